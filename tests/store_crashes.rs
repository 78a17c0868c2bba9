//! Crashes that the crash harness found a way through once: each lost, refused or repeated something.

use recension::limits::Limits;
use recension::sim::{CrashPolicy, FaultKind, Prng, SimEnv};
use recension::{Batch, ByteSize, Draft, Durability, ErrorKind, Expect, Store, StoreBuilder};

fn builder(machine: &SimEnv) -> StoreBuilder {
    Store::builder("/db").env(machine.env()).limits(Limits::TINY).memory(ByteSize::mib(8))
}

fn put(store: &Store, entity: &str, len: usize, durability: Durability) -> recension::Result<u64> {
    // Bytes that do not compress.
    let mut rng = Prng::new(len as u64);
    let content: Vec<u8> = (0..len).map(|_| rng.next_u64() as u8).collect();
    let batch = Batch::new().put(entity, Expect::Any, Draft::new(content))?;
    Ok(store.commit_with(batch, durability)?.sequence)
}

#[test]
fn a_store_whose_creation_was_interrupted_twice_can_be_opened() {
    for first in 1..14 {
        for second in 1..16 {
            for seed in 0..8 {
                let machine = SimEnv::new(seed);
                machine.fs.kill_at_change(first);
                let _ = builder(&machine).open();
                machine.fs.power_off();
                let machine = machine.process_kill();
                machine.fs.kill_at_change(machine.fs.changes() + second);
                let _ = builder(&machine).open();
                machine.fs.power_off();
                let machine = machine.crash(&CrashPolicy::POSIX);
                machine.fs.kill_never();
                builder(&machine).open().unwrap();
            }
        }
    }
}

#[test]
fn a_clean_close_mark_does_not_outlive_commits_in_the_next_segment() {
    let machine = SimEnv::new(1);
    let store = builder(&machine).open().unwrap();
    // The segment is nearly full, so that the next commit goes to another one.
    put(&store, "a", 15 << 10, Durability::Sync).unwrap();
    store.close().unwrap();
    drop(store);
    let store = builder(&machine).open().unwrap();
    let incarnation = store.stats().unwrap().incarnation;
    assert_eq!(put(&store, "b", 10 << 10, Durability::Buffered).unwrap(), 2);
    machine.fs.power_off();
    drop(store);
    let machine = machine.crash(&CrashPolicy::NOTHING);
    let store = builder(&machine).open().unwrap();
    // Somebody saw 2, and it will be given out again.
    assert_eq!(store.published(), 1);
    assert_ne!(store.stats().unwrap().incarnation, incarnation);
}

#[test]
fn a_segment_that_the_manifest_cannot_have_named_says_that_the_manifest_is_damaged() {
    let machine = SimEnv::new(1);
    let store = builder(&machine).open().unwrap();
    let whole_at_first = machine.fs.read_file("/db/00000001-00000001.manifest").unwrap();
    for n in 0..80 {
        put(&store, &n.to_string(), 9 << 10, Durability::Sync).unwrap();
        machine.jobs.run_until_idle(100);
    }
    store.close().unwrap();
    drop(store);
    let manifest = machine.fs.files().into_iter().find(|path| path.ends_with(".manifest")).unwrap();
    machine.fs.remove(&manifest).unwrap();
    machine.fs.write_file("/db/00000001-00000001.manifest", &whole_at_first).unwrap();
    let error = builder(&machine).open().unwrap_err();
    assert!(error.to_string().contains("given out"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_commit_that_the_manifest_refused_latches_the_store() {
    let machine = SimEnv::new(1);
    let store = builder(&machine).open().unwrap();
    put(&store, "a", 15 << 10, Durability::Sync).unwrap();
    // The next segment needs a file number, and the manifest cannot write that it was given out.
    for skip in 0..200 {
        machine.fs.fail_next(FaultKind::WriteError, ".manifest", 0);
        if put(&store, &skip.to_string(), 9 << 10, Durability::Sync).is_err() {
            break;
        }
    }
    machine.fs.heal();
    let error = put(&store, "a", 1, Durability::Sync).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Latched);
}

#[test]
fn after_a_failed_sync_above_a_checkpoint_there_is_none_until_the_store_is_opened_again() {
    let machine = SimEnv::new(1);
    machine.fs.panic_on_violation();
    let store = builder(&machine).open().unwrap();
    put(&store, "a", 100, Durability::Sync).unwrap();
    // The name of `/copies/deep` is lost, and the next sync of `/copies` would not say so.
    machine.fs.fail_next(FaultKind::SyncError, "/copies", 0);
    let first = store.checkpoint("/copies/deep/one").unwrap_err();
    machine.fs.heal();
    let second = store.checkpoint("/copies/deep/two").unwrap_err();
    assert_eq!((first.kind(), second.kind()), (ErrorKind::Io, ErrorKind::Io));
    assert!(second.to_string().contains("opened again"), "{second}");
    put(&store, "a", 100, Durability::Sync).expect("the store itself goes on");
    store.close().unwrap();
    drop(store);
    let store = builder(&machine).open().unwrap();
    store.checkpoint("/elsewhere/three").unwrap();
    store.close().unwrap();
    let machine = machine.crash(&CrashPolicy::NOTHING);
    let copy = Store::builder("/elsewhere/three").env(machine.env()).limits(Limits::TINY).open().unwrap();
    assert_eq!(copy.published(), 2);
}
