//! A full disk: commits are refused, reads go on, nothing acknowledged is lost, and all is well when there is room again.

use std::time::Duration;

use recension::limits::Limits;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    ByteSize, CheckDepth, Compaction, Content, Draft, Durability, ErrorKind, Expect, Forgetting, Packing,
    Progress, Store,
};

fn open(machine: &SimEnv) -> recension::Result<Store> {
    Store::builder("/s").limits(Limits::TINY).memory(ByteSize(1 << 20)).env(machine.env()).open()
}

fn text(n: u64) -> String {
    format!("{n} {}", "words ".repeat(n as usize % 60))
}

/// Puts until the disk is full; the number of the last put that went through.
fn fill(store: &Store, from: u64, durability: Durability) -> u64 {
    for n in from..from + 5000 {
        let batch =
            recension::Batch::new().put(format!("e{}", n % 40), Expect::Any, Draft::new(text(n))).unwrap();
        if let Err(error) = store.commit_with(batch, durability) {
            assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
            return n - 1;
        }
    }
    panic!("the disk is never full");
}

fn everything_is_there(store: &Store, last: u64) {
    assert_eq!(store.published(), last);
    for change in store.changes(0).unwrap() {
        let change = change.unwrap();
        let recension::ChangeKind::Revision(revision) = change.kind else { panic!("a revision") };
        let content = revision.content().unwrap().into_bytes().unwrap();
        assert_eq!(content, text(change.sequence));
    }
    let heads = store
        .heads(recension::EntityRange::default())
        .map(|head| head.unwrap().revision().unwrap().sequence());
    assert_eq!(heads.max(), Some(last));
}

fn check(store: &Store) {
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[test]
fn commits_are_refused_and_nothing_is_lost_and_room_makes_it_usable_again() {
    for (seed, kib) in [(1, 96), (2, 128), (3, 200), (4, 260), (5, 333)] {
        let machine = SimEnv::new(seed);
        let store = open(&machine).unwrap();
        let mut last = 0;
        for round in 1..=4_u64 {
            machine.fs.set_capacity(machine.fs.used() + kib * 1024);
            let durability = if round % 2 == 0 { Durability::Buffered } else { Durability::Sync };
            last = fill(&store, last + 1, durability);
            // Again and again: it stays refused, and reads go on.
            for _ in 0..3 {
                machine.jobs.run_for(Duration::from_secs(1));
                everything_is_there(&store, last);
            }
            assert!(store.stats().unwrap().latched.is_none(), "full is not broken");
        }
        machine.fs.set_capacity(u64::MAX);
        machine.jobs.run_for(Duration::from_secs(5));
        store.put("e0", Expect::Any, Draft::new(text(last + 1))).expect("there is room again");
        last += 1;
        everything_is_there(&store, last);
        store.flush().unwrap();
        store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
        check(&store);
        store.close().unwrap();
        everything_is_there(&open(&machine).unwrap(), last);
    }
}

#[test]
fn a_store_that_ran_into_a_full_disk_can_be_closed_and_opened_without_more_room() {
    for seed in 10..30 {
        let machine = SimEnv::new(seed);
        let store = open(&machine).unwrap();
        machine.fs.set_capacity(machine.fs.used() + (60 + seed * 7) * 1024);
        let last = fill(&store, 1, Durability::Sync);
        let closed = store.close();
        assert!(closed.as_ref().is_ok_and(|()| true) || closed.unwrap_err().kind() == ErrorKind::OutOfSpace);
        drop(store);
        let reader = Store::builder("/s").limits(Limits::TINY).env(machine.env()).read_only().open().unwrap();
        everything_is_there(&reader, last);
        drop(reader);
        machine.fs.set_capacity(u64::MAX);
        let store = open(&machine).unwrap();
        everything_is_there(&store, last);
        check(&store);
    }
}

#[test]
fn a_power_cut_on_a_full_disk_loses_nothing_durable() {
    for seed in 40..70 {
        let machine = SimEnv::new(seed);
        let store = open(&machine).unwrap();
        machine.fs.set_capacity(machine.fs.used() + (40 + seed * 3) * 1024);
        let last = fill(&store, 1, Durability::Sync);
        let machine = machine.crash(&CrashPolicy::STRICT);
        drop(store);
        // Recovery may need room itself: then it says so.
        match open(&machine) {
            Ok(store) => everything_is_there(&store, last),
            Err(error) => assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}"),
        }
        machine.fs.set_capacity(u64::MAX);
        let store = open(&machine).unwrap();
        everything_is_there(&store, last);
        check(&store);
    }
}

#[test]
fn a_full_disk_refuses_edits_and_still_lets_something_be_forgotten() {
    let mut forgotten = 0;
    for seed in 100..140_u64 {
        let machine = SimEnv::new(seed);
        // Large enough a segment for a reserve that holds the log's next step.
        let limits = Limits { segment_bytes: 1 << 20, ..Limits::TINY };
        let open = || {
            let builder = Store::builder("/s").limits(limits).memory(ByteSize(1 << 20));
            builder.packing(Packing::WhenAsked).env(machine.env()).open().unwrap()
        };
        let store = open();
        machine.fs.set_capacity(machine.fs.used() + (100 + seed) * 1024);
        let last = fill(&store, 1, Durability::Sync);
        // Background work may have needed the reserve itself.
        let reserved = machine.env().fs.exists(std::path::Path::new("/s/RESERVE")).unwrap();
        let entity = format!("e{}", last % 40);
        let number = store.get(&entity).unwrap().unwrap().number();
        let wanted = Forgetting::revisions(&entity, number, number).actor("oversight");
        match store.forget(&wanted, &mut Progress::none()) {
            Ok(forgot) => {
                assert_eq!(forgot.revisions, 1);
                assert_eq!(
                    store.revision(&entity, number).unwrap().unwrap().content().unwrap(),
                    Content::Forgotten
                );
                forgotten += u32::from(reserved);
            }
            Err(error) => {
                assert!(!reserved, "{seed}: there was a reserve: {error}");
                assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
            }
        }
        machine.fs.set_capacity(u64::MAX);
        store.close().unwrap();
        check(&open());
    }
    assert!(forgotten > 0, "no case had a reserve left");
}
