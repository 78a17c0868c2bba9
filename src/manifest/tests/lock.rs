use super::*;
use crate::env::{Fs, LockMode};

#[test]
fn a_store_is_locked_once_in_a_process_and_free_again_after() {
    let disk = Disk::new();
    prepare_dir(&disk, dir()).unwrap();
    let env = env(&disk);
    let lock = StoreLock::acquire(&env, dir(), LockMode::Exclusive).unwrap();
    let Err(Error::Locked { owner, path }) = StoreLock::acquire(&env, dir(), LockMode::Exclusive) else {
        panic!()
    };
    assert_eq!((owner.as_str(), path.as_path()), ("this process", dir()));
    drop(lock);
    StoreLock::acquire(&env, dir(), LockMode::Exclusive).unwrap();
}

#[test]
fn two_disks_are_two_stores() {
    let (one, two) = (Disk::new(), Disk::new());
    let first = StoreLock::acquire(&env(&one), dir(), LockMode::Exclusive).unwrap();
    let second = StoreLock::acquire(&env(&two), dir(), LockMode::Exclusive).unwrap();
    drop((first, second));
}

#[test]
fn the_error_names_the_process_that_has_the_store() {
    let disk = Disk::new();
    let path = dir().join(LOCK_FILE);
    for (text, expected) in [
        (&b"process 4711\n"[..], "process 4711"),
        (b"", "another process"),
        (b"\xff\xfe", "another process"),
        (b"process \x1b[31m", "another process"),
    ] {
        disk.put(&path, text);
        let held = disk.try_lock(&path, LockMode::Exclusive).unwrap();
        let Err(Error::Locked { owner, .. }) = StoreLock::acquire(&env(&disk), dir(), LockMode::Exclusive)
        else {
            panic!()
        };
        assert_eq!(owner, expected);
        drop(held);
    }
}

#[test]
fn on_a_real_disk_a_second_handle_is_told_that_this_process_has_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let lock = StoreLock::acquire(&Env::os(1), dir.path(), LockMode::Exclusive).unwrap();
    // Another environment: the registry does not know it, the file lock does.
    let Err(Error::Locked { owner, .. }) = StoreLock::acquire(&Env::os(1), dir.path(), LockMode::Exclusive)
    else {
        panic!()
    };
    assert_eq!(owner, "this process");
    drop(lock);
    StoreLock::acquire(&Env::os(1), dir.path(), LockMode::Exclusive).unwrap();
}

#[test]
fn readers_share_a_store_and_keep_a_writer_out() {
    let dir = tempfile::tempdir().unwrap();
    let acquire = |env: &Env, mode| StoreLock::acquire(env, dir.path(), mode);
    let env = Env::os(1);
    let (one, two) = (acquire(&env, LockMode::Shared).unwrap(), acquire(&env, LockMode::Shared).unwrap());
    let elsewhere = acquire(&Env::os(1), LockMode::Shared).unwrap();
    assert!(matches!(acquire(&env, LockMode::Exclusive), Err(Error::Locked { .. })));
    drop((one, two));
    let Err(Error::Locked { owner, .. }) = acquire(&env, LockMode::Exclusive) else { panic!() };
    assert_eq!(owner, "somebody who reads it");
    drop(elsewhere);
    let writer = acquire(&env, LockMode::Exclusive).unwrap();
    for env in [&env, &Env::os(1)] {
        let Err(Error::Locked { owner, .. }) = acquire(env, LockMode::Shared) else { panic!() };
        assert_eq!(owner, "this process");
    }
    drop(writer);
    acquire(&env, LockMode::Shared).unwrap();
}
