//! When files are deleted.

use super::*;
use crate::env::{Access, Fs};

fn with_tables(disk: &Disk, numbers: &[u64]) -> Manifest {
    let manifest = create(disk);
    let mut edits = vec![flushed(1000)];
    for &number in numbers {
        let table = table(number, 0, ["a", "b"], [number, number]);
        disk.put(&manifest.files().path(table.id, table.kind()), &vec![1; table.len as usize]);
        edits.push(Edit::AddTable(table));
    }
    manifest.commit(edits).unwrap();
    manifest
}

fn remove(number: u64) -> Edit {
    Edit::RemoveTable { keyspace: 0, id: id(number) }
}

fn is_there(disk: &Disk, manifest: &Manifest, number: u64) -> bool {
    disk.exists(&manifest.files().path(id(number), FileKind::RevisionTable)).unwrap()
}

#[test]
fn a_removed_file_is_deleted_once_its_removal_is_durable() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5, 6]);
    let state = manifest.commit(vec![remove(5)]).unwrap();
    assert!(!is_there(&disk, &manifest, 5) && is_there(&disk, &manifest, 6));
    assert_eq!(state.obsolete, [(id(5), FileKind::RevisionTable)].into());
}

#[test]
fn a_refused_or_failed_commit_deletes_nothing() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5]);
    manifest.commit(vec![remove(5), remove(99)]).unwrap_err();
    assert!(is_there(&disk, &manifest, 5));
    disk.set_full(true);
    manifest.commit(vec![remove(5)]).unwrap_err();
    disk.set_full(false);
    assert!(is_there(&disk, &manifest, 5));
    // Reserve, write, then the sync fails.
    disk.fail_after(2);
    manifest.commit(vec![remove(5)]).unwrap_err();
    assert!(is_there(&disk, &manifest, 5));
}

#[test]
fn a_file_that_a_reader_has_open_is_deleted_when_the_last_one_is_done() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5]);
    let one = manifest.files().open(id(5), FileKind::RevisionTable).unwrap();
    let two = manifest.files().open(id(5), FileKind::RevisionTable).unwrap();
    assert!(Arc::ptr_eq(&one, &two));
    assert_eq!(manifest.files().open_files(), [id(5)]);
    manifest.commit(vec![remove(5)]).unwrap();
    assert!(one.is_obsolete() && is_there(&disk, &manifest, 5));
    drop(one);
    assert!(is_there(&disk, &manifest, 5));
    assert_eq!(two.file().len().unwrap(), 1005);
    drop(two);
    assert!(!is_there(&disk, &manifest, 5));
    assert!(manifest.files().open_files().is_empty());
}

#[test]
fn a_file_that_is_still_part_of_the_store_stays_when_its_readers_are_done() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5]);
    drop(manifest.files().open(id(5), FileKind::RevisionTable).unwrap());
    assert!(is_there(&disk, &manifest, 5));
    drop(manifest.files().open(id(5), FileKind::RevisionTable).unwrap());
}

#[test]
fn opening_a_file_that_is_gone_is_damage() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5]);
    disk.delete(&manifest.files().path(id(5), FileKind::RevisionTable));
    let error = manifest.files().open(id(5), FileKind::RevisionTable).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn files_that_could_not_be_deleted_are_deleted_at_the_next_open() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5, 6]);
    let reader = manifest.files().open(id(5), FileKind::RevisionTable).unwrap();
    manifest.commit(vec![remove(5), remove(6)]).unwrap();
    // The process ends with the reader, and the deletion of 6 was not durable.
    let disk = disk.crash(disk::Survives::Nothing, disk::Survives::Nothing);
    drop(reader);
    let manifest = reopen(&disk);
    assert!(is_there(&disk, &manifest, 5) && is_there(&disk, &manifest, 6));
    let settled = manifest.settle(&LostLimits::default()).unwrap();
    assert_eq!(settled.removed.len(), 2);
    assert!(!is_there(&disk, &manifest, 5) && !is_there(&disk, &manifest, 6));
    assert!(manifest.state().obsolete.is_empty());
}

#[test]
fn the_list_of_obsolete_files_does_not_grow_without_end() {
    let disk = Disk::new();
    let numbers: Vec<u64> = (5..65).collect();
    let manifest = with_tables(&disk, &numbers);
    for number in numbers {
        manifest.commit(vec![remove(number)]).unwrap();
        assert!(manifest.state().obsolete.len() <= 17);
    }
    // What it forgot is durably gone.
    let obsolete: Vec<String> =
        manifest.state().obsolete.iter().map(|(id, kind)| id.file_name(*kind)).collect();
    let crashed = disk.crash(disk::Survives::Nothing, disk::Survives::Nothing);
    let tables = crashed.names(dir()).into_iter().filter(|name| name.ends_with(".tab"));
    assert!(tables.into_iter().all(|name| obsolete.contains(&name)));
}

#[test]
fn a_refused_commit_does_not_forget_which_files_were_unlinked() {
    let disk = Disk::new();
    let numbers: Vec<u64> = (5..25).collect();
    let manifest = with_tables(&disk, &numbers);
    manifest.commit(numbers.iter().map(|number| remove(*number)).collect()).unwrap();
    manifest.commit(vec![remove(99)]).unwrap_err();
    let state = manifest.commit(vec![flushed(1001)]).unwrap();
    assert!(state.obsolete.is_empty());
}

#[test]
fn an_open_file_can_be_read_through_its_handle() {
    let disk = Disk::new();
    let manifest = with_tables(&disk, &[5]);
    let handle = manifest.files().open(id(5), FileKind::RevisionTable).unwrap();
    assert_eq!((handle.id(), handle.kind()), (id(5), FileKind::RevisionTable));
    assert!(disk.open(handle.path(), Access::Read).is_ok());
    assert_eq!(handle.path().parent(), Some(manifest.files().dir()));
}
