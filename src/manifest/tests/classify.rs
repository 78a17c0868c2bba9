//! What is in the directory, and what is done about it.

use super::*;
use crate::codec::{FileHeader, MAGIC};

fn put(disk: &Disk, name: &str, len: usize) {
    disk.put(&dir().join(name), &vec![b'x'; len]);
}

/// A store with a table, a segment and an intent, all files there.
fn store(disk: &Disk) -> Manifest {
    let manifest = create(disk);
    let edits = vec![
        flushed(10),
        Edit::AddTable(table(5, 0, ["a", "b"], [1, 2])),
        Edit::AddValueFile(segment(6, [1, 10])),
        Edit::Intent { id: id(7), kind: FileKind::RevisionTable },
        Edit::Intent { id: id(8), kind: FileKind::Pack },
    ];
    manifest.commit(edits).unwrap();
    put(disk, "00000001-00000005.tab", 1005);
    put(disk, "00000001-00000006.seg", 5006);
    put(disk, "00000001-00000007.tab", 3);
    manifest
}

#[test]
fn every_file_of_the_directory_is_told_apart() {
    let disk = Disk::new();
    let manifest = store(&disk);
    put(&disk, "LOCK", 10);
    put(&disk, "00000001-00000009.seg", 0);
    put(&disk, "00000001-00000005.seg", 1);
    put(&disk, "00000001-0000000a.kv", 11);
    put(&disk, "00000001-00000007.kv", 12);
    put(&disk, "00000001-00000005.tab.bak", 13);
    let contents = manifest.scan().unwrap();
    let expected = Contents {
        known: vec![id(5), id(6)],
        manifests: vec![id(1)],
        intents: vec![(id(7), FileKind::RevisionTable)],
        obsolete: vec![],
        segments: vec![id(9)],
        unknown: vec![
            ("00000001-00000005.seg".into(), 1),
            ("00000001-00000007.kv".into(), 12),
            ("00000001-0000000a.kv".into(), 11),
        ],
        foreign: vec![("00000001-00000005.tab.bak".into(), 13)],
        missing: vec![],
    };
    assert_eq!(contents, expected);
    contents.require_complete(dir()).unwrap();
}

#[test]
fn what_a_job_replaces_while_the_directory_is_listed_is_not_missing() {
    let disk = Disk::new();
    let manifest = Arc::new(store(&disk));
    let job = {
        let (manifest, disk) = (manifest.clone(), disk.clone());
        move || {
            put(&disk, "00000001-0000000b.tab", 1011);
            let new = Edit::AddTable(table(11, 0, ["a", "b"], [1, 2]));
            manifest.commit(vec![Edit::RemoveTable { keyspace: 0, id: id(5) }, new]).unwrap();
        }
    };
    disk.behind_listing(job);
    assert_eq!(manifest.scan().unwrap().missing, []);
    disk.delete(&dir().join("00000001-0000000b.tab"));
    assert_eq!(manifest.scan().unwrap().missing.len(), 1, "what is missing before and behind is missing");
}

#[test]
fn settling_removes_what_was_announced_and_never_installed_and_only_that() {
    let disk = Disk::new();
    drop(store(&disk));
    put(&disk, "00000001-00000009.seg", 1);
    put(&disk, "notes.txt", 5);
    let manifest = reopen(&disk);
    let settled = manifest.settle(&LostLimits::default()).unwrap();
    assert_eq!(settled.removed, ["00000001-00000007.tab"]);
    assert!(settled.lost.is_empty() && settled.left.is_empty());
    assert!(manifest.state().intents.is_empty());
    let names = disk.names(dir());
    for kept in ["00000001-00000005.tab", "00000001-00000006.seg", "00000001-00000009.seg", "notes.txt"] {
        assert!(names.contains(&kept.to_string()), "{kept}");
    }
    assert_eq!(names.len(), 5);
    assert_eq!(manifest.settle(&LostLimits::default()).unwrap().removed.len(), 0, "once is enough");
}

#[test]
fn files_that_nobody_knows_go_to_lost_if_they_are_ours() {
    let disk = Disk::new();
    let manifest = store(&disk);
    let header = FileHeader { kind: FileKind::Pack, version: 1, header_len: 64, store: STORE, id: id(60) };
    disk.put(&dir().join("copy of a pack"), &header.encode());
    disk.put(&dir().join("magic only"), &MAGIC);
    disk.put(&dir().join("picture.png"), b"\x89PNG\r\n\x1a\nxxxx");
    disk.put(&dir().join("short"), b"\x89");
    put(&disk, "00000001-00000033.pack", 9);
    let settled = manifest.settle(&LostLimits::default()).unwrap();
    let lost = ["00000001-00000033.pack", "copy of a pack", "magic only"];
    assert_eq!(settled.lost, lost);
    assert_eq!(disk.names(&dir().join("lost")), lost);
    assert_eq!(settled.lost_stats, LostStats { files: 3, bytes: 9 + 64 + 8 });
    assert_eq!(manifest.lost_stats().unwrap(), settled.lost_stats);
    let names = disk.names(dir());
    assert!(names.contains(&"picture.png".into()) && names.contains(&"short".into()));
    // It survives a power cut, and another file of that name finds a place too.
    let disk = disk.crash(disk::Survives::Nothing, disk::Survives::Nothing);
    put(&disk, "00000001-00000033.pack", 4);
    reopen(&disk).settle(&LostLimits::default()).unwrap();
    assert_eq!(disk.bytes(&dir().join("lost/00000001-00000033.pack")).len(), 9);
    assert_eq!(disk.bytes(&dir().join("lost/00000001-00000033.pack.1")).len(), 4);
}

#[test]
fn what_does_not_fit_into_lost_stays_where_it_is() {
    let disk = Disk::new();
    let manifest = store(&disk);
    for number in 40..44 {
        put(&disk, &id(number).file_name(FileKind::Pack), 100);
    }
    let two = LostLimits { files: 2, bytes: 1000 };
    let settled = manifest.settle(&two).unwrap();
    assert_eq!((settled.lost.len(), settled.left.len()), (2, 2));
    let bytes = LostLimits { files: 10, bytes: 350 };
    let settled = manifest.settle(&bytes).unwrap();
    assert_eq!((settled.lost.len(), settled.left.len()), (1, 1));
    assert!(disk.names(dir()).contains(&id(43).file_name(FileKind::Pack)));
}

#[test]
fn a_missing_or_changed_file_is_an_error_that_names_it_and_nothing_is_touched() {
    for (name, len, found) in [
        ("00000001-00000006.seg", None, "no such file"),
        ("00000001-00000006.seg", Some(5005), "5005 bytes"),
        ("00000001-00000005.tab", Some(1006), "1006 bytes"),
    ] {
        let disk = Disk::new();
        let manifest = store(&disk);
        disk.delete(&dir().join(name));
        if let Some(len) = len {
            put(&disk, name, len);
        }
        put(&disk, "00000001-00000033.pack", 9);
        let steps = disk.steps();
        let Err(Error::Corrupt(damage)) = manifest.settle(&LostLimits::default()) else { panic!() };
        assert_eq!(damage.path, dir().join(name));
        assert_eq!(damage.found, found);
        assert!(damage.affected.contains("sequence numbers 1 to"), "{damage:?}");
        assert_eq!(disk.steps(), steps);
    }
}

#[test]
fn all_missing_files_are_counted() {
    let disk = Disk::new();
    let manifest = store(&disk);
    disk.delete(&dir().join("00000001-00000006.seg"));
    disk.delete(&dir().join("00000001-00000005.tab"));
    let contents = manifest.scan().unwrap();
    assert_eq!(contents.missing.len(), 2);
    let error = contents.require_complete(dir()).unwrap_err();
    assert!(error.to_string().contains("and 1 more"), "{error}");
}
