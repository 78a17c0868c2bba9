#![allow(clippy::disallowed_methods, reason = "reads a history from outside the tree")]

use super::*;

/// A history as a table sees it: imported (authored long ago, committed now) or written as it happened.
#[derive(Clone, Copy, Debug)]
enum Written {
    Imported,
    Live,
}

fn history(path: &str, written: Written) -> Model {
    let text = zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap();
    let mut model = Model::new();
    let mut commit_time = 1_750_000_000_000_000;
    for (sequence, line) in (1..).zip(text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())) {
        let line: serde_json::Value = serde_json::from_slice(line).unwrap();
        let bytes = |key: &str| line[key].as_str().map(|text| Bytes::from(text.to_owned()));
        let run = model.entry(bytes("entity").unwrap().to_vec()).or_default();
        let authored = (line["ts"].as_f64().unwrap() * 1e6) as i64;
        // A group of 64 is committed every 3 ms or so.
        if sequence % 64 == 0 {
            commit_time += 2_500 + xxhash_rust::xxh3::xxh3_64(&[sequence as u8]) as i64 % 1000;
        }
        let (commit_time, authored_time) = match written {
            Written::Imported => (commit_time, Some(authored)),
            // Microseconds that mean something, as a clock gives them.
            Written::Live => (authored + (sequence * 7_919 % 1000) as i64, None),
        };
        let older = run.first();
        let effective =
            authored_time.unwrap_or(commit_time).max(older.map_or(i64::MIN, |row: &Row| row.effective_time));
        let commit_time = commit_time.max(older.map_or(i64::MIN, |row| row.commit_time));
        let content = bytes("content").map(|content| {
            let tag = crate::model::Digest::of(&content).tag();
            let same = run.iter().filter_map(|row| row.content).find(|content| content.tag == tag);
            let address = same.map_or(Address { sequence, slot: 0 }, |same| same.address);
            ContentRef { address, len: content.len() as u32, tag }
        });
        let fields = Fields { author: bytes("author"), comment: bytes("comment"), ..Fields::default() };
        let row = Row {
            number: line["rev"].as_u64().unwrap(),
            parent: line["parent"].as_u64().unwrap(),
            sequence,
            commit_rest: 0,
            commit_time,
            authored_time,
            effective_time: effective,
            kind: if content.is_some() { RevisionKind::Put } else { RevisionKind::Delete },
            flags: if line["bot"].is_boolean() { Flags::BOT } else { Flags(0) },
            content,
            cold: fields.encode().into(),
        };
        run.insert(0, row);
    }
    model
}

#[test]
#[ignore = "prints the size of a table of real histories: cargo test --lib table::tests::size -- --ignored --nocapture"]
fn bytes_per_revision() {
    let path = std::env::var("RECENSION_HISTORY").unwrap_or("/work/shared/data/dev.jsonl.zst".into());
    for written in [Written::Imported, Written::Live] {
        let model = history(&path, written);
        for level in [0, 1] {
            let (file, info) = try_build(&model, Limits::PRODUCTION, options(level)).unwrap();
            let table = open(file, &info, TableAccess::Read).unwrap();
            let stats = table.verify(VerifyHash::Compare, &mut |_| Ok(())).unwrap();
            let per = |bytes: u64| bytes as f64 / info.rows as f64;
            println!(
                "{written:?}, level {level}: {} rows, {} entities; bytes a revision: hot {:.2} cold {:.2} entities {:.2} index {:.2} filter {:.2}, file {:.2}",
                info.rows,
                info.entities,
                per(stats.hot_bytes),
                per(stats.cold_bytes),
                per(stats.entity_bytes),
                per(stats.index_bytes),
                per(stats.filter_bytes),
                per(stats.file_bytes),
            );
        }
    }
}
