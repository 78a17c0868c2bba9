//! What is opened by mistake: no store, a part of one, one of a newer version, one that is in use, one that nobody may read.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "the tests look at the real file system")]

use std::path::Path;

use recension::codec::FILE_HEADER_LEN;
use recension::limits::Limits;
use recension::sim::{FaultKind, Op, Rule, SimEnv};
use recension::{Draft, Error, ErrorKind, Expect, IfMissing, Store};

fn refused(path: &Path) -> Error {
    let error = Store::open(path).expect_err("not a store");
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error
}

fn closed_store(path: &Path) {
    let store = Store::builder(path).limits(Limits::TINY).open().expect("a new store");
    for n in 0..200 {
        store.put(format!("entity {n}"), Expect::Absent, Draft::new("text".repeat(n))).expect("a put");
    }
    store.flush().expect("a flush");
    store.close().expect("closed");
}

fn files(path: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(path).expect("a directory");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

#[test]
fn a_file_is_not_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "some notes").unwrap();
    refused(&path);
    assert_eq!(std::fs::read(&path).unwrap(), b"some notes", "it is left alone");
}

#[test]
fn a_directory_with_other_things_in_it_does_not_become_a_store() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("thesis.odt"), "years of work").unwrap();
    assert_eq!(refused(dir.path()).kind(), ErrorKind::Invalid);
    let left: Vec<_> = files(dir.path(), "").into_iter().filter(|path| !path.ends_with("LOCK")).collect();
    assert_eq!(left, [dir.path().join("thesis.odt")]);
}

#[test]
fn a_store_is_made_only_where_that_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    for builder in [Store::builder(&path).if_missing(IfMissing::Fail), Store::builder(&path).read_only()] {
        assert_eq!(builder.open().unwrap_err().kind(), ErrorKind::Invalid);
        assert!(!path.exists(), "reading makes nothing");
    }
    std::fs::create_dir(&path).unwrap();
    for builder in [Store::builder(&path).if_missing(IfMissing::Fail), Store::builder(&path).read_only()] {
        assert_eq!(builder.open().unwrap_err().kind(), ErrorKind::Invalid);
    }
    Store::open(&path).unwrap();
}

#[test]
fn a_directory_with_value_files_and_no_manifest_is_not_taken_for_an_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    closed_store(&path);
    for manifest in files(&path, ".manifest") {
        std::fs::remove_file(manifest).unwrap();
    }
    let before = files(&path, "");
    let error = refused(&path);
    assert!(error.to_string().contains("rebuild"), "{error}");
    assert_eq!(files(&path, ""), before, "nothing is touched");
}

#[test]
fn a_file_of_a_newer_version_is_unsupported_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    for ending in [".manifest", ".seg", ".tab"] {
        let path = dir.path().join(&ending[1..]);
        closed_store(&path);
        let file = files(&path, ending).remove(0);
        let mut bytes = std::fs::read(&file).unwrap();
        // The version, and what a newer program would have written as the header's checksum.
        bytes[10] += 7;
        let checksum = recension::codec::crc(&bytes[..FILE_HEADER_LEN - 4]);
        bytes[FILE_HEADER_LEN - 4..FILE_HEADER_LEN].copy_from_slice(&checksum.to_le_bytes());
        std::fs::write(&file, &bytes).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
}

#[test]
fn a_store_is_opened_once_in_a_process_by_whatever_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Store::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
    let paths =
        [path.clone(), dir.path().join("link"), dir.path().join(".").join("link").join("..").join("s")];
    for other in paths {
        let error = refused(&other);
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains("this process"), "{error}");
        assert_eq!(Store::builder(&other).read_only().open().unwrap_err().kind(), ErrorKind::Locked);
    }
    store.put("a", Expect::Absent, Draft::new("x")).unwrap();
    store.close().unwrap();
    let again = Store::open(&path).unwrap();
    assert!(again.get("a").unwrap().is_some());
    for closed in [
        store.put("a", Expect::Any, Draft::new("y")).unwrap_err(),
        store.sync().unwrap_err(),
        store.flush().unwrap_err(),
    ] {
        assert_eq!(closed.kind(), ErrorKind::Invalid, "{closed}");
    }
}

#[test]
fn no_permission_is_an_error_that_names_the_file_and_the_store_opens_when_it_is_given() {
    // Root may do everything, so the simulated disk refuses.
    for op in [Op::Open, Op::ReadDir, Op::Lock, Op::Canonical, Op::Exists, Op::Create] {
        let machine = SimEnv::new(1);
        let open = || Store::builder("/s").limits(Limits::TINY).env(machine.env()).open();
        let store = open().unwrap();
        store.put("a", Expect::Absent, Draft::new("x")).unwrap();
        store.close().unwrap();
        drop(store);
        let fault = if op == Op::Canonical { FaultKind::MetaError } else { FaultKind::NameError };
        machine.fs.fail_when(Rule { ops: vec![op], path: "/s".into(), skip: 0, count: 1000, fault });
        match open() {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Io, "{op:?}: {error}");
                assert!(error.to_string().contains("/s"), "{op:?}: {error}");
            }
            // A store that is there and was closed needs no new file.
            Ok(store) => assert!(op == Op::Create && store.get("a").unwrap().is_some(), "{op:?}"),
        }
        machine.fs.heal();
        let store = open().unwrap();
        assert!(store.get("a").unwrap().is_some());
    }
}
