//! A read that fails in background work: it is told, tried again, and costs nothing. Writes and syncs that fail are another matter.

#[path = "common/simulated.rs"]
mod simulated;

use std::time::Duration;

use recension::limits::Limits;
use recension::sim::{CrashPolicy, FaultKind, Op, Rule, SimEnv};
use recension::{
    CheckDepth, Compaction, Draft, ErrorKind, Expect, FieldMask, Hiding, Packing, Progress, Store,
    StoreBuilder, TableReads,
};
use simulated::{all, builder, text};

const PAGES: u64 = 5;

fn open(env: &SimEnv) -> Store {
    unpacked(env).open().unwrap()
}

fn unpacked(env: &SimEnv) -> StoreBuilder {
    builder(env).packing(Packing::WhenAsked).table_reads(TableReads::Read)
}

fn put(store: &Store, edit: u64) -> recension::Result<recension::Committed> {
    store.put(format!("Page {}", edit % PAGES), Expect::Any, Draft::new(text(edit)))
}

fn has(store: &Store, edits: u64) {
    for edit in 0..edits {
        let revision = store.revision(format!("Page {}", edit % PAGES), edit / PAGES + 1).unwrap().unwrap();
        assert_eq!(revision.content().unwrap().bytes().unwrap(), text(edit).as_bytes());
    }
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
    assert_eq!(report.findings, []);
}

/// Writes until a write is refused, which must be before there are `most`; why.
fn until_refused(env: &SimEnv, store: &Store, edits: &mut u64, most: u64) -> recension::Error {
    loop {
        match put(store, *edits) {
            Ok(_) => *edits += 1,
            Err(error) => return error,
        }
        env.jobs.run_for(Duration::from_millis(100));
        assert!(*edits < most);
    }
}

/// From now on so many calls of these kinds about a path fail.
fn fails(env: &SimEnv, fault: FaultKind, ops: &[Op], path: &str, count: u32) {
    env.fs.fail_when(Rule { ops: ops.to_vec(), path: path.to_owned(), skip: 0, count, fault });
}

fn work(store: &Store) -> Vec<String> {
    store.stats().unwrap().put_off.into_iter().map(|it| it.work).collect()
}

#[test]
fn a_segment_that_cannot_be_read_once_is_sealed_at_the_next_try() {
    for op in [Op::Open, Op::Read, Op::Len] {
        let env = SimEnv::new(1);
        let store = open(&env);
        (0..10).for_each(|edit| _ = put(&store, edit).unwrap());
        env.jobs.run_for(Duration::from_secs(1));
        let fault = if op == Op::Len { FaultKind::MetaError } else { FaultKind::ReadError };
        let fault = if op == Op::Open { FaultKind::NameError } else { fault };
        fails(&env, fault, &[op], ".seg", 1);
        let mut edits = 10;
        while work(&store) != ["seal"] {
            put(&store, edits).unwrap();
            edits += 1;
            env.jobs.run_until_idle(100);
            assert!(edits < 1000, "{op:?}");
        }
        let sealed = store.stats().unwrap().segments.0;
        env.jobs.run_for(Duration::from_secs(2));
        let stats = store.stats().unwrap();
        assert_eq!((stats.latched, stats.put_off.len(), stats.segments.0), (None, 0, sealed + 1), "{op:?}");
        has(&store, edits);
        store.close().unwrap();
        has(&open(&env), edits);
    }
}

#[test]
fn a_segment_that_can_never_be_read_stops_writers_in_the_end_and_loses_nothing() {
    let env = SimEnv::new(2);
    let store = open(&env);
    (0..10).for_each(|edit| _ = put(&store, edit).unwrap());
    env.jobs.run_for(Duration::from_secs(1));
    fails(&env, FaultKind::ReadError, &[Op::Read], ".seg", u32::MAX);
    let mut edits = 10;
    let refused = until_refused(&env, &store, &mut edits, 10_000);
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    assert!(refused.to_string().contains(".seg"), "{refused}");
    let stats = store.stats().unwrap();
    assert_eq!((&stats.latched, stats.put_off[0].work.as_str()), (&None, "seal"), "{stats:?}");
    assert!(stats.put_off[0].times > 1 && stats.put_off[0].why.contains(".seg"), "{:?}", stats.put_off);
    env.fs.heal();
    // The next writer has it tried again.
    put(&store, edits).unwrap();
    edits += 1;
    env.jobs.run_for(Duration::from_secs(65));
    assert_eq!((store.stats().unwrap().latched, work(&store)), (None, vec![]));
    has(&store, edits);
    store.close().unwrap();
    has(&open(&env), edits);
}

#[test]
fn a_store_that_is_closed_or_killed_with_segments_that_could_not_be_sealed_opens_again() {
    for crash in [None, Some(CrashPolicy::STRICT)] {
        let env = SimEnv::new(3);
        let store = open(&env);
        (0..10).for_each(|edit| _ = put(&store, edit).unwrap());
        env.jobs.run_for(Duration::from_secs(1));
        fails(&env, FaultKind::ReadError, &[Op::Read], ".seg", u32::MAX);
        let mut edits = 10;
        while store.stats().unwrap().put_off.iter().all(|it| it.times < 4) {
            put(&store, edits).unwrap();
            edits += 1;
            env.jobs.run_for(Duration::from_millis(100));
        }
        let env = match crash {
            None => {
                let refused = store.close().unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
                env
            }
            Some(policy) => env.crash(&policy),
        };
        env.fs.heal();
        let store = open(&env);
        assert!(store.open_report().cuts.iter().all(|cut| cut.frames == 0), "{:?}", store.open_report());
        assert_eq!(store.open_report().clean, crash.is_none());
        has(&store, edits);
    }
}

#[test]
fn a_segment_that_cannot_be_written_when_it_is_sealed_latches() {
    let env = SimEnv::new(4);
    let store = open(&env);
    (0..10).for_each(|edit| _ = put(&store, edit).unwrap());
    env.jobs.run_for(Duration::from_secs(1));
    // The first cut of a file is that behind the tail of a sealed segment.
    fails(&env, FaultKind::MetaError, &[Op::SetLen], ".seg", 1);
    for edit in 10..1000 {
        if put(&store, edit).is_err() {
            break;
        }
        env.jobs.run_until_idle(100);
    }
    assert!(store.stats().unwrap().latched.is_some());
}

/// A store with tables in several levels.
fn with_tables(seed: u64) -> (SimEnv, u64) {
    let env = SimEnv::new(seed);
    let store = open(&env);
    for edit in 0..600 {
        put(&store, edit).unwrap();
        env.jobs.run_until_idle(100);
    }
    store.compact(Compaction::Due, &mut Progress::none()).unwrap();
    store.close().unwrap();
    (env, 600)
}

#[test]
fn a_table_that_cannot_be_read_once_is_compacted_at_the_next_try() {
    let (env, edits) = with_tables(8);
    let store = open(&env);
    fails(&env, FaultKind::ReadError, &[Op::Read], ".tab", 1);
    let refused = store.compact(Compaction::Full, &mut Progress::none()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    let stats = store.stats().unwrap();
    assert_eq!((stats.latched, stats.put_off.len()), (None, 1));
    let tables = env.fs.files().into_iter().filter(|path| path.ends_with(".tab")).count() as u64;
    assert_eq!(tables, stats.levels.iter().map(|level| level.0).sum::<u64>(), "what was begun is gone");
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    assert_eq!(store.stats().unwrap().put_off, []);
    has(&store, edits);
}

#[test]
fn a_damaged_table_is_not_compacted_and_the_store_takes_writes() {
    let (env, _) = with_tables(9);
    let tables: Vec<_> = env.fs.files().into_iter().filter(|path| path.ends_with(".tab")).collect();
    for path in &tables {
        let mut bytes = env.fs.read_file(path).unwrap();
        bytes[100] ^= 1;
        env.fs.write_file(path, &bytes).unwrap();
    }
    for opening in 0..3 {
        let store = open(&env);
        for edit in 0..200 {
            let page = format!("{:04}", (opening * 200 + edit) * 7919 % 10_000);
            store.put(page, Expect::Absent, Draft::new(text(edit))).unwrap();
            env.jobs.run_for(Duration::from_millis(10));
        }
        let stats = store.stats().unwrap();
        assert_eq!((stats.latched, stats.put_off[0].work.as_str()), (None, "compaction"));
        assert!(tables.iter().all(|path| env.fs.files().contains(path)));
        let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
        assert!(!report.findings.is_empty());
        store.close().unwrap();
    }
}

#[test]
fn tables_that_cannot_be_read_are_compacted_when_they_can_be_again() {
    let (env, mut edits) = with_tables(5);
    let store = open(&env);
    for path in env.fs.files().iter().filter(|path| path.ends_with(".tab")) {
        fails(&env, FaultKind::ReadError, &[Op::Read], path, u32::MAX);
    }
    let compactions = store.stats().unwrap().jobs.1;
    while !work(&store).contains(&"compaction".to_owned()) {
        let page = format!("Page {:04}", edits * 7919 % 10_000);
        // Who looks up what cannot be read is told so, too.
        _ = store.put(page, Expect::Any, Draft::new(text(edits)));
        edits += 1;
        env.jobs.run_until_idle(100);
        assert!(edits < 5000, "{:?}", store.stats());
    }
    let stats = store.stats().unwrap();
    assert_eq!((stats.latched, stats.jobs.1), (None, compactions));
    env.jobs.run_for(Duration::from_secs(3600));
    let stats = store.stats().unwrap();
    assert_eq!(stats.latched, None);
    let tries = stats.put_off.iter().find(|it| it.work == "compaction").unwrap().times;
    assert!((5..20).contains(&tries), "ever less often: {tries}");
    env.fs.heal();
    env.jobs.run_for(Duration::from_secs(1200));
    let stats = store.stats().unwrap();
    assert_eq!((stats.latched, stats.put_off), (None, vec![]));
    assert!(stats.jobs.1 > compactions);
    has(&store, 600);
}

#[test]
fn a_flush_whose_table_cannot_be_read_back_is_tried_again_and_writers_are_told() {
    let env = SimEnv::new(6);
    let store = open(&env);
    fails(&env, FaultKind::ReadError, &[Op::Read], ".tab", u32::MAX);
    let mut edits = 0;
    let refused = until_refused(&env, &store, &mut edits, 5000);
    assert_eq!(refused.kind(), ErrorKind::Io, "{refused}");
    let stats = store.stats().unwrap();
    assert_eq!((stats.latched, stats.put_off[0].work.as_str()), (None, "flush"));
    assert!(!env.fs.files().iter().any(|path| path.ends_with(".tab")), "what was begun is gone");
    env.fs.heal();
    env.jobs.run_for(Duration::from_secs(65));
    let stats = store.stats().unwrap();
    assert_eq!((stats.put_off, stats.memtables_waiting), (vec![], 0));
    put(&store, edits).unwrap();
    has(&store, edits + 1);
}

#[test]
fn a_compaction_that_is_due_begins_when_the_store_is_opened() {
    let env = SimEnv::new(7);
    let lazy = Limits { level0_tables: 100, ..Limits::TINY };
    let store = unpacked(&env).limits(lazy).open().unwrap();
    let mut edits = 0;
    while store.stats().unwrap().levels.first().is_none_or(|level| level.0 < 8) {
        put(&store, edits).unwrap();
        edits += 1;
        env.jobs.run_until_idle(100);
        assert!(edits < 5000, "{:?}", store.stats());
    }
    store.close().unwrap();
    drop(store);
    let store = open(&env);
    env.jobs.run_until_idle(1000);
    let stats = store.stats().unwrap();
    assert!(stats.jobs.1 > 0 && stats.levels[0].0 < 4, "{stats:?}");
    has(&store, edits);
}

#[test]
fn a_feed_that_met_an_error_goes_on_with_the_change_that_it_could_not_give() {
    let env = SimEnv::new(10);
    let store = open(&env);
    (0..20).for_each(|edit| _ = put(&store, edit).unwrap());
    let (entity, actor, reason) = (b"Page 2".to_vec(), "a".to_owned(), "b".to_owned());
    let fields = FieldMask::CONTENT;
    store.hide(Hiding { entity, first: 1, last: 1, fields, actor, reason }).unwrap();
    store.flush().unwrap();
    store.close().unwrap();
    let store = open(&env);
    fails(&env, FaultKind::ReadError, &[Op::Read], ".kv", u32::MAX);
    let mut feed = store.changes(0).unwrap();
    let mut given: Vec<u64> = Vec::new();
    let error = loop {
        match feed.next().unwrap() {
            Ok(change) => given.push(change.sequence),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    env.fs.heal();
    let (after, position) = (feed.cursor(), feed.position().unwrap());
    assert_eq!(after, given.last().copied().unwrap_or(0));
    let rest: Vec<u64> = store.resume(&position).unwrap().map(|change| change.unwrap().sequence).collect();
    given.extend(rest);
    assert_eq!(given, (1..=21).collect::<Vec<_>>());
}
