//! Stores that a script damaged: the damage is found, and the entities and revisions that it affects are named.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};

use recension::codec::FileKind;
use serde_json::Value;
use support::{Said, copy, dump, files, flip, store};

fn verify(dir: &Path) -> Said {
    dump([Path::new("verify"), dir, Path::new("--json")])
}

/// A store, and a damaged copy of it.
fn copied(dir: &Path, sound: &Path, name: &str) -> PathBuf {
    let to = dir.join(name);
    copy(sound, &to);
    to
}

fn findings(said: &Said) -> Vec<Value> {
    said.json().into_iter().filter(|line| line["type"] == "finding").collect()
}

/// Entities that some finding names.
fn named(findings: &[Value]) -> Vec<String> {
    let revisions = findings.iter().filter_map(|finding| finding["revisions"].as_array()).flatten();
    revisions
        .filter_map(|revision| Some(format!("{} {}", revision["entity"].as_str()?, revision["rev"])))
        .collect()
}

#[test]
fn a_sound_store_is_sound_in_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 700);
    let path = store.to_str().unwrap();
    for line in [
        "inspect STORE",
        "scan STORE --limit 5",
        "scan STORE --index --prefix page --rev 2",
        "scan STORE --values quoted --limit 3",
        "properties STORE",
        "verify STORE",
        "verify STORE --stored",
        "manifest dump STORE",
        "manifest summarize STORE",
        "manifest check STORE",
        "manifest at STORE 1",
        "trace STORE page%201",
        "trace STORE page%203 --rev 1",
        "explain STORE get page%201",
        "explain STORE get page%201 --rev 2",
        "explain STORE history page%201",
        "explain STORE as-of page%201 --at 200",
        "space STORE",
        "log STORE --tail 5",
        "diff-index STORE --window 100",
        "lsm STORE",
        "recompress STORE --sample-mib 1 --seconds 5",
        "io-bench STORE --reads 20",
    ] {
        for json in [false, true] {
            let mut args: Vec<String> =
                line.split(' ').map(|word| word.replace("STORE", path).replace("%20", " ")).collect();
            if line.contains("manifest at") {
                // The commits of this manifest begin wherever it was last rewritten.
                let summary = dump(["manifest", "summarize", path, "--json"]).ok().json();
                args[3] = summary[0]["commit"].to_string();
            }
            args.extend(json.then(|| "--json".to_owned()));
            let said = dump(&args).ok();
            assert!(!said.out.trim().is_empty(), "{line}");
            if json {
                assert!(
                    said.json().iter().all(|object| object["schema"] == 1 && object["type"].is_string()),
                    "{line}"
                );
            }
        }
    }
    for path in std::fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().path()) {
        if path.file_name().unwrap() == "LOCK" {
            continue;
        }
        for verb in ["inspect", "layout", "scan", "properties", "verify"] {
            dump([Path::new(verb), &path]).ok();
        }
        dump([Path::new("hex"), &path, Path::new("--annotate")]).ok();
        dump([Path::new("hex"), &path, Path::new("--annotate"), Path::new("--json")]).ok().json();
    }
}

#[test]
fn a_flipped_bit_in_each_kind_of_file_is_found_with_what_it_affects() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    let kinds = [
        FileKind::Segment,
        FileKind::Pack,
        FileKind::RevisionTable,
        FileKind::PlainTable,
        FileKind::Manifest,
    ];
    for kind in kinds {
        for (number, file) in files(&sound, kind).iter().enumerate() {
            let len = std::fs::metadata(file).unwrap().len();
            let name = file.file_name().unwrap();
            let damaged = copied(dir.path(), &sound, &format!("{kind:?}-{number}"));
            // In the middle of what is used.
            let parts = dump([Path::new("layout"), file, Path::new("--json")]).ok().json();
            let used = parts
                .iter()
                .rfind(|part| part["state"] == "sound" && part["len"].as_u64() > Some(40))
                .unwrap();
            let at = used["offset"].as_u64().unwrap() + used["len"].as_u64().unwrap() / 2;
            assert!(at < len);
            flip(&damaged.join(name), at, 3);
            let said = verify(&damaged).damage();
            let found = findings(&said);
            assert!(found.iter().any(|finding| finding["file"] == *name.to_str().unwrap()), "{}", said.out);
            assert!(
                found.iter().any(|finding| finding["flip_offset"] == at && finding["flip_bit"] == 3),
                "{at:#x} {}",
                said.out
            );
        }
    }
}

#[test]
fn a_damaged_content_names_its_revision() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 300);
    let segment = files(&sound, FileKind::Segment).pop().unwrap();
    let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
    let contents: Vec<&Value> = parts.iter().filter(|part| part["kind"] == "content").collect();
    let content = contents[contents.len() / 2];
    let at = content["offset"].as_u64().unwrap() + content["len"].as_u64().unwrap() - 1;
    flip(&segment, at, 0);
    let found = findings(&verify(&sound).damage());
    let revision = &content["revisions"][0];
    let name = format!("{} {}", revision["entity"].as_str().unwrap(), revision["rev"]);
    assert_eq!(named(&found), [name]);
}

#[test]
fn a_damaged_frame_names_its_revision_as_the_index_knows_it() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 300);
    let segment = files(&sound, FileKind::Segment).pop().unwrap();
    let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
    let frames: Vec<&Value> = parts.iter().filter(|part| part["kind"] == "commit").collect();
    let frame = frames[frames.len() / 2];
    flip(&segment, frame["offset"].as_u64().unwrap() + 70, 1);
    let found = findings(&verify(&sound).damage());
    let revision = &frame["revisions"][0];
    let name = format!("{} {}", revision["entity"].as_str().unwrap(), revision["rev"]);
    assert!(named(&found).contains(&name), "{name}: {found:?}");
}

#[test]
fn a_missing_a_cut_and_a_swapped_file_and_one_of_another_store_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    std::fs::create_dir(dir.path().join("o")).unwrap();
    let other = store(&dir.path().join("o"), 700);
    let state = support::state(&sound);
    let value_files: Vec<_> = state.value_files.values().cloned().collect();
    assert!(value_files.len() >= 2, "several value files");
    let name = |at: usize| value_files[at].id.file_name(value_files[at].kind);

    let missing = copied(dir.path(), &sound, "missing");
    std::fs::remove_file(missing.join(name(0))).unwrap();
    let said = verify(&missing).damage();
    let found = findings(&said);
    assert!(
        found.iter().any(|finding| finding["check"] == "missing" && finding["file"] == *name(0)),
        "{}",
        said.out
    );
    assert!(!named(&found).is_empty(), "the index knows what was in it: {}", said.out);

    let cut = copied(dir.path(), &sound, "cut");
    let path = cut.join(name(0));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let said = verify(&cut).damage();
    assert!(findings(&said).iter().any(|finding| finding["check"] == "length"), "{}", said.out);

    let swapped = copied(dir.path(), &sound, "swapped");
    std::fs::rename(swapped.join(name(0)), swapped.join("aside")).unwrap();
    std::fs::rename(swapped.join(name(1)), swapped.join(name(0))).unwrap();
    std::fs::rename(swapped.join("aside"), swapped.join(name(1))).unwrap();
    let said = verify(&swapped).damage();
    let identity = findings(&said).iter().filter(|finding| finding["check"] == "identity").count();
    assert!(identity >= 2, "{}", said.out);

    let foreign = copied(dir.path(), &sound, "foreign");
    let theirs = support::state(&other);
    let their = theirs.value_files.values().next().unwrap();
    std::fs::copy(other.join(their.id.file_name(their.kind)), foreign.join(name(0))).unwrap();
    let said = verify(&foreign).damage();
    assert!(said.out.contains("of store"), "{}", said.out);

    let headless = copied(dir.path(), &sound, "headless");
    files(&headless, FileKind::Manifest).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert!(verify(&headless).damage().out.contains("recension rebuild"));
}

#[test]
fn an_index_that_lacks_a_table_differs_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 300);
    let table = files(&sound, FileKind::RevisionTable).pop().unwrap();
    std::fs::remove_file(&table).unwrap();
    let said = dump([Path::new("diff-index"), &sound, Path::new("--json")]).damage();
    assert!(
        said.json().iter().any(|line| line["kind"] == "missing_in_index" && line["entity"].is_string()),
        "{}",
        said.out
    );
}

#[test]
fn a_live_store_can_be_looked_at_while_it_is_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("live");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    // It packs beside the writer, as a store does.
    let store = recension::Store::builder(&path).limits(support::small()).open().unwrap();
    support::fill(&store, 50);
    let writer = std::thread::spawn({
        let (stop, store) = (stop.clone(), store.clone());
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                support::fill(&store, 60);
            }
        }
    });
    for _ in 0..3 {
        for args in [
            vec!["inspect"],
            vec!["verify", "--stored"],
            vec!["scan", "--limit", "50"],
            vec!["log", "--tail", "3"],
            vec!["space"],
            vec!["manifest-summarize"],
            vec!["trace", "page 1", "--rev", "1"],
            vec!["explain", "get", "page 1"],
        ] {
            let mut line: Vec<&std::ffi::OsStr> = Vec::new();
            let rest = match args[0] {
                "manifest-summarize" => {
                    line.extend(["manifest", "summarize"].map(std::ffi::OsStr::new));
                    &args[1..]
                }
                verb => {
                    line.push(std::ffi::OsStr::new(verb));
                    &args[1..]
                }
            };
            line.push(path.as_os_str());
            line.extend(rest.iter().map(std::ffi::OsStr::new));
            dump(&line).ok();
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    let published = store.published();
    store.close().unwrap();
    let said = verify(&path).ok();
    let summary = said.json().pop().unwrap();
    assert_eq!(summary["changes"], published);
}

#[test]
fn nothing_is_written_and_no_lock_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 100);
    let list = || {
        let mut all: Vec<_> = std::fs::read_dir(&sound)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                (std::fs::read(&path).unwrap(), path.metadata().unwrap().modified().unwrap(), path)
            })
            .collect();
        all.sort_by(|a, b| a.2.cmp(&b.2));
        all
    };
    let before = list();
    for verb in ["inspect", "verify", "scan", "space", "log", "diff-index", "properties"] {
        dump([Path::new(verb), &sound]).ok();
    }
    assert!(list() == before);
}

#[test]
fn wrong_calls_have_their_exit_codes() {
    assert_eq!(dump(["inspect", "/there/is/nothing/here"]).code, Some(4));
    assert_eq!(dump(["inspect"]).code, Some(2));
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 60);
    let path = sound.to_str().unwrap();
    assert_eq!(dump(["explain", path, "get", "nobody"]).code, Some(4));
    assert_eq!(dump(["explain", path, "as-of", "page 1"]).code, Some(2));
    assert_eq!(dump(["trace", path, "nobody"]).code, Some(4));
    let text = dir.path().join("text");
    std::fs::write(&text, "nothing of ours").unwrap();
    assert_eq!(dump([Path::new("inspect"), &text]).code, Some(5));
}

#[test]
fn a_file_that_is_announced_and_not_whole_yet_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    let (env, limits) = (recension::env::Env::os(1), recension::limits::Limits::PRODUCTION);
    let mode = recension::manifest::OpenMode::ReadWrite;
    let (manifest, _) = recension::manifest::Manifest::open(&env, &sound, mode, &limits).unwrap();
    let id = recension::codec::FileId { epoch: 1, number: 60_000 };
    let reserved = recension::manifest::Edit::NextFile(id.number + 1);
    let announced = recension::manifest::Edit::Intent { id, kind: FileKind::Pack };
    manifest.commit(vec![reserved, announced]).unwrap();
    drop(manifest);
    // Nothing is in it yet; or changes are, and not their digests.
    let whole = files(&sound, FileKind::Pack).remove(0);
    let parts = dump([Path::new("layout"), &whole, Path::new("--json")]).ok().json();
    let digests = parts.iter().find(|part| part["kind"] == "digests").unwrap()["offset"].as_u64().unwrap();
    for len in [0, digests as usize] {
        let written = &support::read(&whole)[..len];
        std::fs::write(sound.join(id.file_name(FileKind::Pack)), written).unwrap();
        let said = verify(&sound).ok();
        assert!(said.out.contains("announced, not installed: not looked at"), "{}", said.out);
        for verb in ["inspect", "scan", "properties", "space", "recompress", "diff-index"] {
            dump([Path::new(verb), &sound]).ok();
        }
        dump([Path::new("explain"), &sound, Path::new("get"), Path::new("page 1")]).ok();
    }
}

#[test]
fn contents_that_are_not_all_written_yet_are_no_damage_unless_somebody_was_promised_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 40);
    let segment = files(&path, FileKind::Segment).pop().unwrap();
    let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
    let contents: Vec<&Value> = parts.iter().filter(|part| part["kind"] == "content").collect();
    let last = contents[contents.len() - 1]["offset"].as_u64().unwrap() + 20;
    // A copy of what a reader beside the writer may see: the head of the last frame, and not all of its contents.
    let copied = copied(dir.path(), &path, "seen");
    let seen = copied.join(segment.file_name().unwrap());
    let mut bytes = std::fs::read(&seen).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[last as usize..end].fill(0);
    std::fs::write(&seen, &bytes).unwrap();
    dump([Path::new("verify"), &seen]).ok();
    store.sync().unwrap();
    store.close().unwrap();
    // Now a later frame says that it was durable.
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[last as usize] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    dump([Path::new("verify"), &segment]).damage();
}
