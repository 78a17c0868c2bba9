//! What `stats` says is what is on the disk, in whatever state a store is; and what waits for background work is told and bounded.

use std::sync::Arc;

use recension::codec::FileKind;
use recension::limits::Limits;
use recension::log::ValueFile;
use recension::manifest::read_state;
use recension::pack::Pack;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    AcceptClockSteps, ByteSize, CheckDepth, Compaction, Draft, Expect, FieldMask, Hiding, Packing, Progress,
    Stats, Store, StoreBuilder,
};

const PAGES: u64 = 7;

fn builder(env: &SimEnv) -> StoreBuilder {
    Store::builder("/store")
        .limits(Limits::TINY)
        .memory(ByteSize(1 << 20))
        .accept_clock_steps(AcceptClockSteps::AtOnce)
        .env(env.env())
}

fn all(_: &'static str, _: u64, _: u64) -> bool {
    true
}

fn text(edit: u64) -> String {
    (0..20).map(|line| format!("line {line}, edited in {}\n", edit.saturating_sub(line) / 7)).collect()
}

fn write(store: &Store, edits: std::ops::Range<u64>) {
    for edit in edits {
        let page = format!("Page {}", edit % PAGES);
        store.put(&page, Expect::Any, Draft::new(text(edit))).unwrap();
        if edit % 50 == 49 {
            let (actor, reason) = (String::new(), String::new());
            let (entity, fields) = (page.into_bytes(), FieldMask::COMMENT);
            store.hide(Hiding { entity, first: 1, last: 1, fields, actor, reason }).unwrap();
        }
    }
}

/// Compares what a store says with its directory, its manifest and its files, each counted anew.
fn are_exact(env: &SimEnv, store: &Store, what: &str) -> Stats {
    let stats = store.stats().unwrap();
    let state = read_state(&env.env(), "/store".as_ref()).unwrap();
    let files: Vec<(String, u64)> = env
        .fs
        .files()
        .into_iter()
        .filter_map(|path| {
            let len = env.fs.read_file(&path).unwrap().len() as u64;
            path.strip_prefix("/store/").map(|name| (name.to_owned(), len))
        })
        .collect();
    let sum = |ending: &str| -> u64 {
        let own = files.iter().filter(|(name, _)| !name.contains('/') && name.ends_with(ending));
        own.map(|(_, len)| len).sum()
    };
    let lost = || files.iter().filter(|(name, _)| name.starts_with("lost/"));
    let disk = stats.disk;
    assert_eq!((disk.log, disk.packs, disk.index), (sum(".seg"), sum(".pack"), sum(".tab")), "{what}");
    assert_eq!((disk.annotations, disk.manifest), (sum(".kv"), sum(".manifest")), "{what}");
    assert_eq!(stats.lost, (lost().count() as u64, lost().map(|(_, len)| len).sum()), "{what}");
    assert_eq!(disk.lost, stats.lost.1, "{what}");
    let everything: u64 = files.iter().map(|(_, len)| len).sum();
    assert_eq!((disk.total(), stats.bytes_on_disk), (everything, everything), "{what}");

    // Tables and value files, as the manifest has them.
    let tables = state.tables.values();
    let of_levels = stats.levels.iter().fold((0, 0), |sum, level| (sum.0 + level.0, sum.1 + level.1));
    let expected = |revisions: bool| {
        let tables = tables.clone().filter(|table| (table.keyspace == 0) == revisions);
        tables.fold((0, 0), |(files, bytes), table| (files + 1, bytes + table.len))
    };
    assert_eq!((of_levels, stats.annotation_tables), (expected(true), expected(false)), "{what}");
    let (mut stored, mut live, mut raw) = (0, 0, 0);
    for info in state.value_files.values() {
        assert!(files.contains(&(info.id.file_name(info.kind), info.len)), "{what}: {info:?}");
        stored += info.stored_bytes;
        raw += info.raw_bytes;
        live += match info.kind {
            FileKind::Pack => {
                let path = format!("/store/{}", info.id.file_name(info.kind));
                let fs = env.env().fs;
                let pack = Pack::open(&*fs, path.as_ref(), info, &state.store, None).unwrap();
                let counted = pack.stored_bytes_from(&info.entity_first).unwrap();
                let groups = pack.trailer().stored_bytes;
                assert_eq!((groups, counted <= groups), (info.stored_bytes, true), "{what}");
                let file: Arc<dyn ValueFile> = Arc::new(pack);
                assert_eq!(file.changes(0, u64::MAX).count() as u64, info.records, "{what}");
                counted
            }
            _ => info.stored_bytes,
        };
    }
    assert_eq!(stats.contents, (raw, stored), "{what}");
    assert_eq!(stats.live_and_dead, (live, stored - live), "{what}");
    assert_eq!(stats.packs.1 + stats.segments.1, stored + stats.value_metadata, "{what}");
    assert_eq!(stats.packs.1, stats.pack_tiers.iter().map(|tier| tier.1).sum::<u64>(), "{what}");
    assert_eq!(stats.packs.0, stats.pack_tiers.iter().map(|tier| tier.0).sum::<u64>(), "{what}");
    stats
}

#[test]
fn they_are_those_of_the_disk_in_every_state_of_a_store() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    are_exact(&env, &store, "new");
    for round in 0..4_u64 {
        write(&store, round * 100..(round + 1) * 100);
        are_exact(&env, &store, "written");
        env.jobs.run_until_idle(round * 9);
        are_exact(&env, &store, "some jobs have run");
    }
    store.flush().unwrap();
    are_exact(&env, &store, "flushed");
    // Whoever reads a file that was replaced holds it.
    let mut feed = store.changes(0).unwrap();
    feed.next();
    env.jobs.run_until_idle(100_000);
    let held = are_exact(&env, &store, "packed, with a reader");
    assert!(held.disk.packs + held.disk.log > held.packs.1 + held.segments.1);
    drop(feed);
    are_exact(&env, &store, "packed");
    store.checkpoint("/checkpoint").unwrap();
    are_exact(&env, &store, "with a checkpoint");
    let replaced = env.fs.files().into_iter().find(|it| it.starts_with("/store/") && it.ends_with(".pack"));
    let replaced = replaced.unwrap();
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    let full = are_exact(&env, &store, "compacted in full");
    assert_eq!(full.live_and_dead.1, 0);
    write(&store, 400..450);
    store.close().unwrap();
    let env = env.fork().process_kill();
    env.fs.write_file(&replaced, b"a file that went long ago is there again").unwrap();
    let store = builder(&env).open().unwrap();
    let again = are_exact(&env, &store, "opened again");
    assert_eq!(again.lost.0, 1, "{again:?}");
}

#[test]
fn they_are_exact_at_every_step_of_a_merge_and_after_a_crash_there() {
    let base = SimEnv::new(2);
    let store = builder(&base).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..260);
    store.pack(&mut Progress::none()).unwrap();
    store.close().unwrap();
    let (mut half_done, mut least, mut most) = (0, f64::MAX, 0_f64);
    for step in (1..).step_by(3) {
        let env = base.fork().process_kill();
        let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
        env.fs.kill_at_change(env.fs.changes() + step);
        let done = store.compact(Compaction::Full, &mut Progress::new(&mut all)).is_ok();
        drop(store);
        let env = env.crash(&CrashPolicy::STRICT);
        let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
        let stats = are_exact(&env, &store, &format!("step {step}"));
        half_done += u64::from(stats.live_and_dead.1 > 0);
        let ratio = stats.ratio().unwrap();
        (least, most) = (least.min(ratio), most.max(ratio));
        if done {
            assert!(half_done > 5, "{half_done}");
            let full = stats.ratio().unwrap();
            assert!(
                most <= full * 1.05,
                "what is there twice does not count twice: {least} to {most}, {full}"
            );
            assert_eq!(store.check(CheckDepth::Deep, &mut Progress::none()).unwrap().findings, []);
            return;
        }
    }
}

#[test]
fn what_waits_to_be_packed_is_told_and_bounded() {
    let env = SimEnv::new(3);
    let store = builder(&env).open().unwrap();
    let mut most = 0;
    for edit in 0..3000 {
        // No job runs but for those that writers help with.
        write(&store, edit..edit + 1);
        most = most.max(store.stats().unwrap().packs_waiting.0);
    }
    let stats = store.stats().unwrap();
    assert!((3..=12).contains(&most), "{most} segments waited at most: {stats:?}");
    assert!(stats.throttled_packing > 0 && stats.packed > 20, "{stats:?}");
    env.jobs.run_until_idle(1_000_000);
    assert_eq!(are_exact(&env, &store, "idle").packs_waiting, (0, 0));
}

#[test]
fn a_walk_through_a_history_decodes_each_group_once() {
    let env = SimEnv::new(4);
    let store = builder(&env).packing(Packing::WhenAsked).memory(ByteSize(8 << 20)).open().unwrap();
    for edit in 0..400 {
        store.put("Page", Expect::Any, Draft::new(text(edit))).unwrap();
    }
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    let groups = u64::from(u8::MAX).min(400 / u64::from(Limits::TINY.pack_group_contents));
    let walk = |newest_first: bool| {
        let before = store.stats().unwrap().groups_decoded;
        let history = store.history("Page").unwrap();
        let read = |revision: recension::Result<recension::Revision>| {
            drop(revision.unwrap().content().unwrap().into_bytes().unwrap());
        };
        match newest_first {
            true => history.for_each(read),
            false => history.rev().for_each(read),
        }
        store.stats().unwrap().groups_decoded - before
    };
    let first = walk(true);
    assert!((groups..groups + 3).contains(&first), "{first} of {groups}");
    assert_eq!(walk(false), 0, "they are in the cache");
}
