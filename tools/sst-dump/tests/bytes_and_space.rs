//! `hex --annotate` names every byte; `space` agrees with `stats` and with the disk; what is erased is told up to where.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};

use recension::codec::FileKind;
use recension::{Batch, Compaction, Draft, Expect, Forgetting, Progress, Store};
use serde_json::Value;
use support::{dump, files, store};

fn go(_: &'static str, _: u64, _: u64) -> bool {
    true
}

fn json(args: &[&str], path: &Path) -> Vec<Value> {
    let mut line: Vec<&str> = args.to_vec();
    line.push(path.to_str().unwrap());
    line.push("--json");
    dump(&line).ok().json()
}

/// A file of each kind: segments with groups, sealed and not, packs, tables, the manifest.
fn samples(dir: &Path) -> Vec<PathBuf> {
    let sound = store(dir, 700);
    let open = support::open(&sound);
    let mut batch = Batch::new();
    for n in 1..=8_u64 {
        let expect = if n == 1 { Expect::Absent } else { Expect::Head(n - 1) };
        batch = batch
            .put("grouped", expect, Draft::new(format!("{n} {}", "the same words ".repeat(40))))
            .unwrap();
    }
    open.commit(batch).unwrap();
    open.close().unwrap();
    let kinds = [
        FileKind::Segment,
        FileKind::Pack,
        FileKind::RevisionTable,
        FileKind::PlainTable,
        FileKind::Manifest,
    ];
    let mut all = Vec::new();
    for kind in kinds {
        let of = files(&sound, kind);
        assert!(!of.is_empty(), "{kind:?}");
        all.extend([of[0].clone(), of[of.len() - 1].clone()]);
    }
    all
}

#[test]
fn every_byte_of_every_kind_of_file_stands_under_the_name_of_its_field() {
    let dir = tempfile::tempdir().unwrap();
    let mut named = std::collections::BTreeSet::new();
    for path in samples(dir.path()) {
        let bytes = support::read(&path);
        let fields = json(&["hex", "--annotate", "--len", "16000000"], &path);
        let mut covered = vec![0_u8; bytes.len()];
        for field in &fields {
            let (at, hex) = (field["offset"].as_u64().unwrap() as usize, field["hex"].as_str().unwrap());
            let part = field["part"].as_str().unwrap();
            let name = field["field"].as_str().unwrap();
            assert!(!name.is_empty() || part == "space", "{}: {field}", path.display());
            let shown: Vec<u8> =
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).unwrap()).collect();
            assert_eq!(shown, bytes[at..at + shown.len()], "{field}");
            covered[at..at + shown.len()].iter_mut().for_each(|count| *count += 1);
            named.insert(format!("{part}: {name}"));
        }
        for (at, count) in covered.iter().enumerate() {
            let padding = *count == 0 && bytes[at] == 0;
            assert!(*count == 1 || padding, "{} at {at:#x}: in {count} fields", path.display());
        }
    }
    for field in [
        "edits: AddTable: erased up to",
        "edits: AddValueFile: live bytes",
        "edits: SetPackedEnd: commit time, zigzag µs",
        "snapshot: NextFile: file number",
        "group: table of members",
        "commit: records",
        "trailer: tail checksum",
        "digests: checksum",
        "locators: checksum",
        "footer: magic RCNS.end",
    ] {
        assert!(named.contains(field), "{field} of {named:?}");
    }
}

#[test]
fn space_adds_up_to_what_stats_and_the_disk_say() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let open = || support::open(&path);
    let store = open();
    support::fill(&store, 700);
    store.pack(&mut Progress::new(&mut go)).unwrap();
    store.close().unwrap();
    for packed in [true, false] {
        if !packed {
            let store = open();
            support::fill(&store, 400);
            store.flush().unwrap();
            store.close().unwrap();
        }
        let store = Store::builder(&path).limits(support::small()).read_only().open().unwrap();
        let stats = store.stats().unwrap();
        store.close().unwrap();
        let lines = json(&["space"], &path);
        let sum = |kind: &str, what: &str| -> u64 {
            let of = lines.iter().filter(|line| line["type"] == kind);
            of.map(|line| line[what].as_u64().unwrap()).sum()
        };
        // By file: the disk.
        let on_disk: u64 = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_name() != "LOCK")
            .map(|entry| entry.metadata().unwrap().len())
            .sum();
        assert_eq!(sum("role", "bytes"), on_disk);
        assert_eq!(sum("role", "live_bytes"), stats.live_and_dead.0);
        assert_eq!(sum("role", "dead_bytes"), stats.live_and_dead.1);
        assert_eq!(sum("role", "raw_bytes"), stats.contents.0);
        // By part: every byte of every file, but for what stands inside others.
        let nested = ["content", "group"];
        let outside = lines.iter().filter(|line| {
            line["type"] == "section"
                && !(line["file_kind"] == "segment" && nested.contains(&line["part"].as_str().unwrap()))
        });
        let parts: u64 = outside.map(|line| line["bytes"].as_u64().unwrap()).sum();
        assert!(parts <= on_disk && on_disk - parts < on_disk / 100, "{parts} of {on_disk}");
        // By prefix: contents as stored, those of the segment that is written to as well.
        let stored = sum("prefix", "stored_bytes") + sum("other_prefixes", "stored_bytes");
        let live = sum("prefix", "live_bytes") + sum("other_prefixes", "live_bytes");
        let dead = sum("prefix", "dead_bytes") + sum("other_prefixes", "dead_bytes");
        assert_eq!(live + dead, stored);
        match packed {
            true => assert_eq!(
                (stored, live, dead),
                (stats.contents.1, stats.live_and_dead.0, stats.live_and_dead.1)
            ),
            false => assert!(stored > stats.contents.1),
        }
        let entities = lines.iter().filter(|line| line["type"] == "entity");
        let weights: Vec<u64> = entities.map(|line| line["stored_bytes"].as_u64().unwrap()).collect();
        assert!(
            weights.len() > 5 && weights.len() <= 20 && weights.is_sorted_by(|a, b| a >= b),
            "{weights:?}"
        );
        let rewards: Vec<&str> = lines
            .iter()
            .filter(|line| line["type"] == "reward")
            .map(|line| line["what"].as_str().unwrap())
            .collect();
        for what in ["index compaction", "pack compaction", "dead bytes"] {
            assert!(rewards.iter().any(|reward| reward.starts_with(what)), "{what} of {rewards:?}");
        }
    }
}

#[test]
fn tables_and_packs_say_up_to_where_the_forgotten_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 100);
    store.forget(&Forgetting::revisions("page 1", 1, 2), &mut Progress::new(&mut go)).unwrap();
    let forgotten = store.published();
    store.flush().unwrap();
    store.compact(Compaction::Full, &mut Progress::new(&mut go)).unwrap();
    store.pack(&mut Progress::new(&mut go)).unwrap();
    store.close().unwrap();
    let listed = json(&["inspect"], &path);
    for kind in [FileKind::RevisionTable, FileKind::Pack] {
        let file = files(&path, kind).pop().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        let of_it = |line: &&Value| line["path"].as_str().is_some_and(|path| path.ends_with(name));
        let up_to = listed.iter().find(of_it).unwrap()["erased_up_to"].as_u64().unwrap();
        assert!(up_to >= forgotten, "{kind:?}: {up_to} of {forgotten}");
        for verb in ["inspect", "properties"] {
            assert_eq!(json(&[verb], &file)[0]["erased_up_to"], up_to, "{verb} {kind:?}");
        }
        let shown = dump([Path::new("inspect"), &path]).ok().out;
        assert!(shown.contains("erased up to"), "{shown}");
        let manifest = dump([Path::new("manifest"), Path::new("summarize"), &path]).ok().out;
        assert!(manifest.contains(&format!("erased up to change {up_to}")), "{manifest}");
        // A copy by itself: what only the manifest says is not known.
        let alone = dir.path().join(name);
        std::fs::copy(&file, &alone).unwrap();
        assert!(json(&["inspect"], &alone)[0]["erased_up_to"].is_null());
    }
}

#[test]
fn properties_have_histograms_of_revisions_sizes_ages_groups_and_ratios_packed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 400);
    let revisions = |lines: &[Value]| {
        let of = lines.iter().find(|line| line["name"] == "revisions of an entity, in a file").unwrap();
        of["sum"].as_u64().unwrap()
    };
    store.flush().unwrap();
    let before = revisions(&json(&["properties"], &path));
    store.pack(&mut Progress::new(&mut go)).unwrap();
    store.close().unwrap();
    let lines = json(&["properties"], &path);
    // Whatever it is that says of them, every revision counts once.
    assert_eq!(revisions(&lines), before);
    for name in [
        "content bytes",
        "age against the newest of the file, s",
        "contents of a group",
        "raw bytes of a group",
        "stored in % of raw, group",
        "metadata bytes of a revision",
    ] {
        let found = lines.iter().find(|line| line["name"] == name);
        assert!(found.is_some_and(|line| line["count"].as_u64() > Some(0)), "{name}");
    }
}
