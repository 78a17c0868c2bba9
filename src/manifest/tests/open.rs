//! Creating and opening: which directories, which file.

use super::*;

fn put(disk: &Disk, number: u64, kind: FileKind) {
    disk.put(&dir().join(id(number).file_name(kind)), b"something");
}

#[test]
fn a_new_store_has_an_id_an_epoch_and_an_incarnation_and_is_not_created_twice() {
    let disk = Disk::new();
    let (manifest, opened) = open(&disk, OpenMode::CreateIfAbsent { store: STORE }).unwrap();
    assert!(opened.created);
    let state = manifest.state();
    assert_eq!((state.store, state.epoch), (STORE, 1));
    assert_ne!(state.incarnation, 0);
    drop(manifest);
    let (manifest, opened) = open(&disk, OpenMode::CreateIfAbsent { store: [8; 16] }).unwrap();
    assert_eq!((opened, manifest.state()), (Opened::default(), state));
    let error = open(&disk, OpenMode::Create { store: STORE }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn opening_what_is_not_there_creates_nothing() {
    let disk = Disk::new();
    for mode in [OpenMode::ReadWrite, OpenMode::ReadOnly] {
        let error = open(&disk, mode).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains("no store"), "{error}");
    }
    assert_eq!(disk.steps(), 0);
}

#[test]
fn a_directory_with_value_files_and_no_manifest_never_becomes_an_empty_store() {
    for kind in [FileKind::Segment, FileKind::RevisionTable, FileKind::Pack] {
        let disk = Disk::new();
        prepare_dir(&disk, dir()).unwrap();
        put(&disk, 7, kind);
        let steps = disk.steps();
        let create = OpenMode::CreateIfAbsent { store: STORE };
        for mode in [create, OpenMode::Create { store: STORE }, OpenMode::ReadWrite, OpenMode::ReadOnly] {
            let error = open(&disk, mode).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            let text = error.to_string();
            assert!(text.contains("rebuild") && text.contains(&id(7).file_name(kind)), "{text}");
        }
        assert_eq!(disk.steps(), steps);
    }
}

#[test]
fn a_store_is_not_created_among_other_files_but_beside_some() {
    let disk = Disk::new();
    prepare_dir(&disk, dir()).unwrap();
    for harmless in ["LOCK", "README.md", ".gitignore"] {
        disk.put(&dir().join(harmless), b"x");
    }
    disk.put(&dir().join("letter.txt"), b"Dear Sir");
    let error = open(&disk, OpenMode::Create { store: STORE }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("letter.txt"), "{error}");
    disk.delete(&dir().join("letter.txt"));
    create(&disk);
}

#[test]
fn reading_only_changes_nothing_and_takes_no_commits() {
    let disk = Disk::new();
    let state = create(&disk).commit(vec![flushed(3)]).unwrap();
    let path = manifest_path(&disk);
    let mut bytes = disk.bytes(&path);
    bytes.extend_from_slice(&[1; 20]);
    disk.put(&path, &bytes);
    let steps = disk.steps();
    let (manifest, opened) = open(&disk, OpenMode::ReadOnly).unwrap();
    assert_eq!(essence(&manifest.state()), essence(&state));
    assert_eq!(opened.cut.unwrap().bytes, 20);
    assert_eq!(manifest.commit(vec![flushed(4)]).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(manifest.allocate_file().unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(disk.steps(), steps);
    assert_eq!(read_state(&env(&disk), dir()).unwrap(), manifest.state());
}

#[test]
fn a_file_that_was_closed_in_order_is_written_on() {
    let disk = Disk::new();
    create(&disk).commit(vec![flushed(3)]).unwrap();
    let path = manifest_path(&disk);
    let (manifest, opened) = open(&disk, OpenMode::ReadWrite).unwrap();
    assert_eq!(opened, Opened::default());
    let state = manifest.commit(vec![flushed(4)]).unwrap();
    assert_eq!(manifest_path(&disk), path);
    drop(manifest);
    assert_eq!(reopen(&disk).state(), state);
}

#[test]
fn a_torn_file_is_never_written_on() {
    let disk = Disk::new();
    let state = create(&disk).commit(vec![flushed(3)]).unwrap();
    let path = manifest_path(&disk);
    let mut bytes = disk.bytes(&path);
    let end = bytes.len() as u64;
    bytes.extend_from_slice(&[1; 20]);
    disk.put(&path, &bytes);
    let (manifest, opened) = open(&disk, OpenMode::ReadWrite).unwrap();
    assert!(opened.rewritten);
    assert_eq!(opened.cut, Some(Cut { id: id(1), offset: end, bytes: 20, frames: 0 }));
    assert_eq!(opened.removed, [id(1)]);
    assert_eq!(essence(&manifest.state()), essence(&state));
    assert_ne!(manifest_path(&disk), path);
    assert_eq!(disk.names(dir()).len(), 1);
}

#[test]
fn of_two_whole_files_the_newer_counts_and_the_older_is_removed() {
    let disk = Disk::new();
    create(&disk);
    let old_path = manifest_path(&disk);
    let old = disk.bytes(&old_path);
    let state = State::clone(&reopen(&disk).state());
    Manifest::install(&env(&disk), dir(), state.clone()).unwrap();
    let new_path = manifest_path(&disk);
    assert_ne!(new_path, old_path);
    disk.put(&old_path, &old);
    let (manifest, opened) = open(&disk, OpenMode::ReadWrite).unwrap();
    assert_eq!(opened.removed, [id(1)]);
    assert_eq!(essence(&manifest.state()), essence(&state));
    assert_eq!(manifest_path(&disk), new_path);
    assert_eq!(disk.names(dir()).len(), 1);
}

#[test]
fn an_older_file_that_says_more_than_the_newer_is_a_contradiction() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let old_path = manifest_path(&disk);
    Manifest::install(&env(&disk), dir(), State::clone(&manifest.state())).unwrap();
    let other = Disk::new();
    let manifest = create(&other);
    for sequence in 0..5 {
        manifest.commit(vec![flushed(sequence)]).unwrap();
    }
    disk.put(&old_path, &other.bytes(&old_path));
    let error = open(&disk, OpenMode::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(disk.names(dir()).len(), 2, "nothing is removed");
}

#[test]
fn an_interrupted_install_leaves_the_old_state_or_the_new_one() {
    for step in 0.. {
        let disk = Disk::new();
        let manifest = create(&disk);
        manifest.commit(vec![flushed(3)]).unwrap();
        let state = manifest.commit(vec![flushed(4)]).unwrap();
        let new = State { incarnation: 5, ..State::clone(&state) };
        disk.die_after(step);
        let done = Manifest::install(&env(&disk), dir(), new.clone()).is_ok();
        for survives in [disk::Survives::All, disk::Survives::Nothing, disk::Survives::Some(step)] {
            let found = essence(&reopen(&disk.crash(survives, survives)).state());
            assert!(found == essence(&new) || (!done && found == essence(&state)), "step {step}");
        }
        if done {
            break;
        }
    }
}

#[test]
fn an_unfinished_newer_file_is_removed_only_if_the_older_one_is_whole() {
    let disk = Disk::new();
    let state = create(&disk).commit(vec![flushed(3)]).unwrap();
    let old_path = manifest_path(&disk);
    let old = disk.bytes(&old_path);
    let new_path = dir().join(id(9).file_name(FileKind::Manifest));
    for len in [0, 10, 70, 100] {
        let new = [&old[..32], &id(9).epoch.to_le_bytes(), &9_u64.to_le_bytes(), &old[48..]].concat();
        disk.put(&new_path, &new[..len]);
        let (manifest, opened) = open(&disk, OpenMode::ReadWrite).unwrap();
        assert_eq!(opened.removed, [id(9)]);
        assert_eq!(essence(&manifest.state()), essence(&state));
        assert_eq!(disk.names(dir()).len(), 1);
        assert!(manifest.allocate_file().unwrap().number > 9);
    }
    disk.put(&new_path, &old[..10]);
    let mut damaged = disk.bytes(&old_path);
    damaged[90] ^= 1;
    disk.put(&old_path, &damaged);
    let error = open(&disk, OpenMode::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&id(1).file_name(FileKind::Manifest)), "{error}");
    assert_eq!(disk.names(dir()).len(), 2, "nothing is removed");
}

#[test]
fn a_creation_that_was_interrupted_is_begun_again_and_a_damaged_only_manifest_is_damage() {
    let disk = Disk::new();
    create(&disk);
    let path = manifest_path(&disk);
    let bytes = disk.bytes(&path);
    disk.put(&path, &bytes[..60]);
    assert_eq!(open(&disk, OpenMode::ReadWrite).unwrap_err().kind(), ErrorKind::Corrupt);
    put(&disk, 5, FileKind::Segment);
    let create = OpenMode::CreateIfAbsent { store: STORE };
    assert_eq!(open(&disk, create).unwrap_err().kind(), ErrorKind::Corrupt, "there is a segment");
    disk.delete(&dir().join(id(5).file_name(FileKind::Segment)));
    assert!(open(&disk, create).unwrap().1.created);
}

#[test]
fn damage_in_the_middle_is_an_error_that_names_file_offset_and_effect() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let path = manifest_path(&disk);
    let at = disk.bytes(&path).len();
    manifest.commit(vec![flushed(3)]).unwrap();
    manifest.commit(vec![flushed(4)]).unwrap();
    let mut bytes = disk.bytes(&path);
    bytes[at + 33] ^= 4;
    disk.put(&path, &bytes);
    for mode in [OpenMode::ReadWrite, OpenMode::ReadOnly, OpenMode::CreateIfAbsent { store: STORE }] {
        let Err(Error::Corrupt(damage)) = open(&disk, mode) else { panic!() };
        assert_eq!((damage.path.as_path(), damage.offset), (path.as_path(), at as u64));
        assert!(damage.affected.contains("tables and value files"), "{damage:?}");
    }
    assert_eq!(disk.bytes(&path), bytes);
}

#[test]
fn installing_a_state_that_breaks_a_rule_is_refused() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let mut state = State::clone(&manifest.state());
    state.value_files.insert(id(5), segment(5, [2, 3]));
    let error = Manifest::install(&env(&disk), dir(), state).unwrap_err();
    assert_eq!(rule_of(&error), "value-map-tiled");
}

#[test]
fn a_directory_is_made_durable_with_its_parents() {
    let disk = Disk::new();
    let deep = Path::new("/a/b/c");
    prepare_dir(&disk, deep).unwrap();
    // One creation, and a sync for each new name.
    assert_eq!(disk.steps(), 4);
    prepare_dir(&disk, deep).unwrap();
}

#[test]
fn a_store_that_was_copied_here_is_durable_once_it_is_open() {
    let disk = Disk::new();
    let state = create(&disk).commit(vec![flushed(3)]).unwrap();
    let path = manifest_path(&disk);
    let copy = Disk::new();
    prepare_dir(&copy, dir()).unwrap();
    copy.put_unsynced(&path, &disk.bytes(&path));
    reopen(&copy);
    let after = copy.crash(disk::Survives::Nothing, disk::Survives::Nothing);
    assert_eq!(reopen(&after).state(), state);
}

#[test]
fn a_commit_whose_sync_failed_is_not_trusted_where_it_is() {
    let disk = Disk::new();
    let manifest = create(&disk);
    // Reserve, write, then the sync fails: the bytes can be read, but may never reach the disk.
    disk.fail_after(2);
    assert_eq!(manifest.commit(vec![flushed(3)]).unwrap_err().kind(), ErrorKind::Latched);
    drop(manifest);
    let (manifest, opened) = open(&disk, OpenMode::ReadWrite).unwrap();
    assert!(opened.rewritten);
    assert_eq!(manifest.state().flushed[&0], 3);
    assert_ne!(manifest_path(&disk), dir().join(id(1).file_name(FileKind::Manifest)));
}
