//! What `log` says of a log with a hole, with two ends, or shorter than it was promised; and how it follows one that grows.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};

use recension::codec::FileKind;
use recension::{Batch, Draft, Durability, Expect};
use serde_json::Value;
use support::{Said, copy, dump, files, open};

/// A closed store of several sealed segments and one that is written to.
fn segments(dir: &Path) -> PathBuf {
    let path = dir.join("s");
    let store = open(&path);
    support::fill(&store, 700);
    store.close().unwrap();
    assert!(files(&path, FileKind::Segment).len() > 3);
    path
}

fn log(dir: &Path) -> Said {
    dump([Path::new("log"), dir, Path::new("--json"), Path::new("--tail")])
}

fn troubles(said: &Said) -> Vec<Value> {
    said.json().into_iter().filter(|line| line["type"] == "trouble").collect()
}

#[track_caller]
fn is_told(dir: &Path, kind: &str, words: &str) {
    let said = log(dir).damage();
    let found = troubles(&said);
    let told = |it: &Value| it["kind"] == kind && it["text"].as_str().unwrap().contains(words);
    assert!(found.iter().any(told), "{kind}, {words}: {}", said.out);
}

#[test]
fn a_sound_log_has_no_troubles_packed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = segments(dir.path());
    assert!(troubles(&log(&path).ok()).is_empty());
    std::fs::create_dir(dir.path().join("packed")).unwrap();
    let packed = support::store(&dir.path().join("packed"), 700);
    assert!(troubles(&log(&packed).ok()).is_empty());
}

#[test]
fn a_segment_that_is_missing_in_the_middle_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = segments(dir.path());
    let all = files(&path, FileKind::Segment);
    std::fs::remove_file(&all[1]).unwrap();
    is_told(&path, "gap", "which is not there");
}

#[test]
fn a_segment_whose_last_frames_are_gone_is_a_gap_before_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let path = segments(dir.path());
    let first = files(&path, FileKind::Segment).remove(0);
    let parts = dump([Path::new("layout"), &first, Path::new("--json")]).ok().json();
    let frames: Vec<&Value> = parts.iter().filter(|part| part["kind"] == "commit").collect();
    let bytes = support::read(&first);
    let cut = frames[frames.len() / 2]["offset"].as_u64().unwrap() as usize;
    std::fs::write(&first, &bytes[..cut]).unwrap();
    is_told(&path, "gap", "goes on behind change");
}

#[test]
fn two_segments_behind_the_same_one_are_duplicate_tails() {
    let dir = tempfile::tempdir().unwrap();
    let path = segments(dir.path());
    // Somebody restored a copy, wrote to both, and put the files together again.
    let other = dir.path().join("other");
    copy(&path, &other);
    let before = files(&path, FileKind::Segment).len();
    for (store, words) in [(&path, "here"), (&other, "there")] {
        let store = open(store);
        for i in 0..600 {
            let draft = Draft::new(format!("{words} {i}"));
            let batch = Batch::new().put("page 1", Expect::Any, draft).unwrap();
            store.commit_with(batch, Durability::Buffered).unwrap();
        }
        store.close().unwrap();
    }
    let theirs = files(&other, FileKind::Segment);
    assert!(theirs.len() > before);
    let last = theirs.last().unwrap();
    let name = "00000001-0000fffe.seg";
    std::fs::copy(last, path.join(name)).unwrap();
    is_told(&path, "duplicate tail", "all follow change");
}

#[test]
fn a_log_that_is_shorter_than_it_was_promised_is_a_broken_promise() {
    let dir = tempfile::tempdir().unwrap();
    let path = segments(dir.path());
    let last = files(&path, FileKind::Segment).pop().unwrap();
    let parts = dump([Path::new("layout"), &last, Path::new("--json")]).ok().json();
    let frames: Vec<&Value> = parts.iter().filter(|part| part["kind"] == "commit").collect();
    let bytes = support::read(&last);
    let cut = frames[frames.len() / 2]["offset"].as_u64().unwrap() as usize;
    std::fs::write(&last, &bytes[..cut]).unwrap();
    is_told(&path, "broken promise", "end at byte");
    std::fs::remove_file(&last).unwrap();
    is_told(&path, "broken promise", "that file is not there");
}

#[test]
fn a_log_that_grows_is_followed_by_another_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    support::fill(&store, 40);
    store.sync().unwrap();
    let before = store.published();
    let follower = std::thread::spawn({
        let path = path.clone();
        move || dump(["log", path.to_str().unwrap(), "--tail", "1", "--follow", "--seconds", "3", "--json"])
    });
    // For as long as it looks.
    let mut n = 0;
    while !follower.is_finished() {
        n += 1;
        let batch = Batch::new().put("followed", Expect::Any, Draft::new(format!("text {n}"))).unwrap();
        store.commit(batch).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = follower.join().unwrap().ok();
    let lines = said.json();
    assert_eq!(lines.iter().filter(|line| line["type"] == "frame").count(), 1, "one frame of the tail");
    let seen: Vec<u64> = lines
        .iter()
        .filter(|line| line["type"] == "change")
        .map(|line| line["seq"].as_u64().unwrap())
        .collect();
    assert!(seen.len() > 1 && seen.windows(2).all(|two| two[1] == two[0] + 1), "{seen:?}");
    assert!(seen[0] <= before + n && seen.iter().all(|sequence| *sequence > 0), "{seen:?}");
    let followed = lines.iter().filter(|line| line["type"] == "change" && line["entity"] == "followed");
    assert!(followed.count() > 1, "{}", said.out);
    store.close().unwrap();
}

#[test]
fn who_follows_is_told_names_as_every_verb_tells_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path);
    store.put("a\u{0}b", Expect::Any, Draft::new("text")).unwrap();
    store.close().unwrap();
    let line = ["log", path.to_str().unwrap(), "--follow", "--since", "0", "--seconds", "1"];
    let said = dump(line).ok();
    assert!(said.out.contains("a\\u{0}b  revision 1"), "{}", said.out);
}
