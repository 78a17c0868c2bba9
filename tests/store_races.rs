//! Races that were found by review: each of these hung or lost something once.
#![allow(clippy::disallowed_methods, reason = "tests start threads")]

use std::sync::atomic::{AtomicBool, Ordering};

use recension::limits::Limits;
use recension::{Batch, CheckDepth, Draft, Durability, Expect, Outcome, Progress, Store};

#[test]
fn one_thread_may_have_hundreds_of_commits_in_flight_whatever_buckets_they_share() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s.db")).unwrap();
    let tickets: Vec<_> = (0..3000)
        .map(|n| {
            let batch = Batch::new().put(format!("entity {n}"), Expect::Absent, Draft::new("x")).unwrap();
            store.submit(batch, Durability::Buffered).unwrap()
        })
        .collect();
    tickets.into_iter().for_each(|ticket| drop(ticket.wait().unwrap()));
    assert_eq!(store.published(), 3000);
}

#[test]
fn a_submitted_commit_is_written_though_nobody_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s.db")).unwrap();
    let batch = Batch::new().put("a", Expect::Absent, Draft::new("x")).unwrap();
    let ticket = store.submit(batch, Durability::Sync).unwrap();
    while ticket.try_result().is_none() {
        std::thread::yield_now();
    }
    let committed = ticket.try_result().unwrap().unwrap();
    assert_eq!(committed.outcome(), Outcome::Written { revision: 1, sequence: 1 });
}

#[test]
fn writers_of_large_contents_never_wait_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s.db")).unwrap();
    let content: Vec<u8> = (0..3_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::thread::scope(|scope| {
        for thread in 0..24 {
            let (store, content) = (&store, &content);
            scope.spawn(move || {
                for n in 0..2 {
                    let draft = Draft::new(content.clone());
                    let batch = Batch::new().put(format!("{thread}-{n}"), Expect::Absent, draft).unwrap();
                    store.commit_with(batch, Durability::Buffered).unwrap();
                }
            });
        }
    });
    assert_eq!(store.published(), 48);
}

#[test]
fn a_checkpoint_of_a_busy_store_is_a_sound_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::builder(dir.path().join("s.db")).limits(Limits::TINY).open().unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut n = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    let draft = Draft::new(format!("{n}").repeat(20));
                    let batch =
                        Batch::new().put(format!("e{thread}-{}", n % 50), Expect::Any, draft).unwrap();
                    store.commit_with(batch, Durability::Buffered).unwrap();
                    n += 1;
                }
            });
        }
        for round in 0..12 {
            let before = store.published();
            let to = dir.path().join(format!("copy{round}.db"));
            let report = store.checkpoint(&to).unwrap();
            assert!(report.sequence >= before, "what was acknowledged before is in it");
            let copy = Store::builder(&to).limits(Limits::TINY).open().unwrap();
            assert_eq!(copy.published(), report.sequence);
            let check = copy.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
            assert_eq!(check.findings, []);
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_busy_store_that_rolls_its_segments_reopens_with_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    for round in 1..=6_u64 {
        let store = open_when_free(&path);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..100 {
                        let entity = format!("e{thread}");
                        store
                            .put(
                                entity,
                                Expect::Head((round - 1) * 100 + n).or_absent(),
                                Draft::new("y".repeat(100)),
                            )
                            .unwrap();
                        if n % 10 == 0 {
                            std::thread::sleep(std::time::Duration::from_micros(300));
                        }
                    }
                });
            }
        });
        if round % 2 == 0 { store.close().unwrap() } else { drop(store) }
    }
    let store = open_when_free(&path);
    for thread in 0..4 {
        assert_eq!(store.head(format!("e{thread}")).unwrap().number(), 600);
    }
    let check = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert_eq!(check.findings, []);
}

/// A dropped store gives up its lock when its last job has ended.
fn open_when_free(path: &std::path::Path) -> Store {
    loop {
        let builder = Store::builder(path).limits(Limits::TINY);
        match builder.promise_delay(std::time::Duration::from_micros(200)).open() {
            Err(e) if e.kind() == recension::ErrorKind::Locked => std::thread::yield_now(),
            other => return other.unwrap(),
        }
    }
}

trait OrAbsent {
    fn or_absent(self) -> Self;
}

impl OrAbsent for Expect {
    fn or_absent(self) -> Self {
        if self == Expect::Head(0) { Expect::Absent } else { self }
    }
}
