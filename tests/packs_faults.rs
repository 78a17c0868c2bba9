//! Packing and merging when files cannot be read, packs cannot be written, or there is no room: nothing is lost, and nothing stops that need not.

#[path = "common/simulated.rs"]
mod simulated;

use std::time::Duration;

use recension::sim::{FaultKind, Op, Rule, SimEnv};
use recension::{CheckDepth, Compaction, Draft, ErrorKind, Expect, Packing, Progress, Store};
use simulated::{all, builder, text};

const PAGES: u64 = 5;

fn write(store: &Store, edits: std::ops::Range<u64>) {
    for edit in edits {
        store.put(format!("Page {}", edit % PAGES), Expect::Any, Draft::new(text(edit))).unwrap();
    }
}

fn has(store: &Store, edits: u64) {
    for edit in 0..edits {
        let number = edit / PAGES + 1;
        let revision = store.revision(format!("Page {}", edit % PAGES), number).unwrap().unwrap();
        assert_eq!(revision.content().unwrap().bytes().unwrap(), text(edit).as_bytes());
    }
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
    assert_eq!(report.findings, []);
}

/// Files of a kind, oldest first.
fn files(env: &SimEnv, ending: &str) -> Vec<String> {
    env.fs.files().into_iter().filter(|path| path.ends_with(ending)).collect()
}

/// From now on every call of these kinds about a path fails.
fn fails(env: &SimEnv, fault: FaultKind, ops: &[Op], path: &str) {
    env.fs.fail_when(Rule { ops: ops.to_vec(), path: path.to_owned(), skip: 0, count: u32::MAX, fault });
}

/// A store with sealed segments and no packs, closed.
fn sealed(seed: u64, edits: u64) -> SimEnv {
    let env = SimEnv::new(seed);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..edits);
    store.close().unwrap();
    env
}

#[test]
fn a_segment_that_cannot_be_read_stays_and_the_others_are_packed() {
    let env = sealed(1, 300);
    let bad = files(&env, ".seg").remove(1);
    for opening in 0..2 {
        let store = builder(&env).open().unwrap();
        fails(&env, FaultKind::ReadError, &[Op::Read], &bad);
        env.jobs.run_for(Duration::from_secs(60));
        let stats = store.stats().unwrap();
        assert_eq!((stats.latched, stats.unpackable.0, stats.packs_waiting.0), (None, 1, 0), "{opening}");
        assert_eq!((stats.segments.0, files(&env, ".seg").contains(&bad)), (1, true));
        assert!(stats.packs.0 > 2);
        let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
        assert!(report.findings.iter().any(|finding| format!("{finding:?}").contains(&bad)), "{report:?}");
        store.put(format!("Other {opening}"), Expect::Absent, Draft::new("goes on")).unwrap();
        // A disk that reads it again: whoever asks for the best layout gets it.
        env.fs.heal();
        if opening == 1 {
            store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
            assert_eq!((store.stats().unwrap().segments.0, store.stats().unwrap().unpackable.0), (0, 0));
        }
        has(&store, 300);
        store.close().unwrap();
    }
}

#[test]
fn a_pack_that_cannot_be_read_is_not_merged_and_nothing_is_latched() {
    let env = sealed(2, 400);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    store.pack(&mut Progress::new(&mut all)).unwrap();
    store.close().unwrap();
    let bad = files(&env, ".pack").remove(2);
    let store = builder(&env).open().unwrap();
    fails(&env, FaultKind::ReadError, &[Op::Read], &bad);
    env.jobs.run_for(Duration::from_secs(60));
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    let stats = store.stats().unwrap();
    assert_eq!((&stats.latched, stats.unpackable.0), (&None, 1));
    assert!(files(&env, ".pack").contains(&bad) && stats.merged > 0, "the others are merged: {stats:?}");
    env.fs.heal();
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    assert!(!files(&env, ".pack").contains(&bad));
    has(&store, 400);
}

#[test]
fn a_pack_that_cannot_be_written_is_given_up_and_tried_again() {
    for (seed, fault, op) in [
        (1, FaultKind::WriteError, Op::Write),
        (2, FaultKind::NameError, Op::Create),
        (3, FaultKind::ReadError, Op::Read),
    ] {
        let env = sealed(seed, 300);
        let store = builder(&env).open().unwrap();
        fails(&env, fault, &[op], ".pack");
        env.jobs.run_for(Duration::from_secs(10));
        let stats = store.stats().unwrap();
        assert_eq!((stats.latched, stats.packs.0), (None, 0), "{fault:?}");
        assert_eq!(files(&env, ".pack"), <[String; 0]>::default(), "what was begun is gone");
        let refused = store.pack(&mut Progress::new(&mut all)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
        store.put("Other", Expect::Absent, Draft::new("goes on")).unwrap();
        env.fs.heal();
        env.jobs.run_for(Duration::from_secs(120));
        let stats = store.stats().unwrap();
        assert_eq!((stats.latched, stats.segments.0, stats.packs_waiting.0), (None, 0, 0), "{fault:?}");
        has(&store, 300);
    }
}

#[test]
fn a_pack_whose_sync_failed_latches_the_store() {
    for (op, path) in [(Op::Sync, ".pack"), (Op::SyncDir, "/store")] {
        let env = sealed(4, 300);
        let store = builder(&env).open().unwrap();
        fails(&env, FaultKind::SyncError, &[op], path);
        env.jobs.run_for(Duration::from_secs(10));
        assert!(store.stats().unwrap().latched.is_some(), "{op:?}");
        drop(store);
        env.fs.heal();
        let env = env.crash(&recension::sim::CrashPolicy::STRICT);
        has(&builder(&env).open().unwrap(), 300);
    }
}

#[test]
fn without_room_nothing_is_written_for_packs_and_it_is_tried_ever_less_often() {
    let env = sealed(5, 300);
    let store = builder(&env).open().unwrap();
    // Room for what an opening writes, and for no pack.
    env.fs.set_capacity(env.fs.used() + 512);
    env.jobs.run_for(Duration::from_secs(5));
    let (changes, calls) = (env.fs.changes(), env.fs.calls());
    env.jobs.run_for(Duration::from_secs(600));
    assert_eq!(env.fs.changes(), changes, "nothing is written");
    assert!(env.fs.calls() - calls < 200, "{}", env.fs.calls() - calls);
    let stats = store.stats().unwrap();
    assert_eq!((&stats.latched, stats.packs.0), (&None, 0));
    assert!(stats.packs_waiting.0 > 2, "the backlog is told: {stats:?}");
    env.fs.set_capacity(u64::MAX);
    env.jobs.run_for(Duration::from_secs(65));
    assert_eq!(store.stats().unwrap().packs_waiting.0, 0);
    has(&store, 300);
}

#[test]
fn writers_are_not_slowed_down_by_a_full_compaction_and_it_ends() {
    let env = sealed(6, 500);
    let store = builder(&env).open().unwrap();
    let (mut edits, mut most) = (500, 0);
    let slowed = store.stats().unwrap().throttled_packing;
    store
        .compact(
            Compaction::Full,
            &mut Progress::new(&mut |what, _, _| {
                if what == "merge" && edits < 1000 {
                    write(&store, edits..edits + 1);
                    edits += 1;
                    env.jobs.run_for(Duration::from_millis(1));
                    most = most.max(store.stats().unwrap().packs_waiting.0);
                }
                true
            }),
        )
        .unwrap();
    assert!(edits > 700 && most <= 4, "{edits} edits, {most} segments waited");
    assert_eq!(store.stats().unwrap().throttled_packing, slowed);
    env.jobs.run_for(Duration::from_secs(5));
    has(&store, edits);
}
