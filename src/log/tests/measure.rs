//! How many bytes a revision takes in the directory, on real histories.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::mem_fs::MemFs;
use super::support::*;
use crate::log::*;
use crate::model::*;

#[test]
#[ignore = "needs /work/shared/data/dev.jsonl.zst or RECENSION_HISTORY; prints sizes"]
#[allow(clippy::disallowed_methods, reason = "reads test data")]
fn bytes_per_revision_of_the_directory() {
    let path = std::env::var("RECENSION_HISTORY").unwrap_or("/work/shared/data/dev.jsonl.zst".into());
    let packed = std::fs::File::open(path).unwrap();
    let text = std::io::BufReader::new(zstd::Decoder::new(packed).unwrap());
    let mut heads: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    let (mut total, mut revisions, mut frames) = (Sizes::default(), 0_u64, 0_u64);
    for line in std::io::BufRead::lines(text) {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let name = line["entity"].as_str().unwrap();
        let text = |key: &str| line[key].as_str().map(|s| Bytes::copy_from_slice(s.as_bytes()));
        let tags = line["tags"].as_array().into_iter().flatten();
        let cold = Fields {
            author: text("author"),
            comment: text("comment"),
            tags: tags.map(|t| Bytes::copy_from_slice(t.as_str().unwrap().as_bytes())).collect(),
            ..Fields::default()
        };
        let content = text("content");
        let authored = line["ts"].as_i64().map(|s| s * 1_000_000);
        let head = heads.entry(name.to_owned()).or_default();
        log.time += 37_123;
        let numbers = Numbers {
            number: line["rev"].as_u64().unwrap(),
            parent: head.0,
            effective_time: authored.unwrap_or(log.time).max(head.1),
        };
        *head = (numbers.number, numbers.effective_time);
        let draft = RecordDraft::Revision {
            entity: entity(name),
            kind: if content.is_some() { RevisionKind::Put } else { RevisionKind::Delete },
            flags: if line["bot"] == true { Flags::BOT } else { Flags::default() },
            authored_time: authored,
            content: if content.is_some() { MainContent::Stored } else { MainContent::None },
            units: content.into_iter().map(UnitDraft::new).collect(),
            cold: cold.encode().into(),
        };
        let mut frame = FrameDraft::new(FrameKind::Commit, vec![draft]).unwrap();
        if log.segment.end() + frame.len() as u64 > 64 << 20 {
            total.add(&log);
            log.roll();
        }
        frame.set_numbers(0, numbers);
        let place = FramePlace {
            salt: log.segment.header().salt,
            offset: log.segment.end(),
            prev_checksum: log.checksum,
            first_sequence: log.next_sequence,
            commit_time: log.time,
            promise: log.position(),
        };
        log.checksum = frame.finish(&place);
        log.next_sequence += 1;
        revisions += 1;
        frames += frame.len() as u64;
        crate::env::write_all_at(&**log.segment.file(), frame.bytes(), place.offset).unwrap();
        log.segment.push(&frame);
    }
    total.add(&log);
    let per = |bytes: u64| bytes as f64 / revisions as f64;
    println!(
        "{revisions} revisions; bytes each: frames {:.1}, directory {:.1}, locators {:.1}, digests {:.1}, index and trailer {:.1}",
        per(frames),
        per(total.directory),
        per(total.locators),
        per(total.digests),
        per(total.rest)
    );
}

#[derive(Default)]
struct Sizes {
    directory: u64,
    locators: u64,
    digests: u64,
    rest: u64,
}

impl Sizes {
    fn add(&mut self, log: &Writer) {
        let info = seal_all(log, crate::limits::Limits::PRODUCTION.directory_block_records);
        let sealed = open(&log.fs, &info);
        let trailer = sealed.trailer();
        self.directory += trailer.locators_at - trailer.directory_at;
        self.locators += trailer.digests_at - trailer.locators_at;
        self.digests += trailer.index_at - trailer.digests_at;
        self.rest += info.len - trailer.index_at;
        assert_eq!(all_changes(sealed), log.changes());
        crate::env::Fs::remove_file(&*log.fs, &log.path()).unwrap();
    }
}
