//! What `stats` says is what is on the disk, in whatever state a store is; and what waits for background work is told and bounded.

#[path = "common/simulated.rs"]
mod simulated;

#[path = "common/recount.rs"]
mod recount;

use std::sync::Arc;

use recension::codec::FileKind;
use recension::index::table::{TableItem, dissect_table};
use recension::limits::Limits;
use recension::log::ValueFile;
use recension::manifest::read_state;
use recension::pack::Pack;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    Batch, ByteSize, CheckDepth, Compaction, Digest, Draft, EntityRange, ErasureMode, Expect, FieldMask,
    Forgetting, Hiding, Packing, Progress, Retention, Sharing, Stats, Store, Timestamp,
};
use simulated::{all, builder, text};

const PAGES: u64 = 7;

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

    let cold = state.tables.values().filter(|table| table.keyspace == 0).map(|table| {
        let path = format!("/store/{}", table.id.file_name(table.kind()));
        let file = env.env().fs.open(path.as_ref(), recension::env::Access::Read).unwrap();
        let mut cold = 0;
        dissect_table(&file, path.as_ref(), &mut |item| {
            if let TableItem::Part(part) = item
                && part.kind.starts_with("cold")
            {
                cold += part.len;
            }
            Ok(())
        })
        .unwrap();
        cold
    });
    assert_eq!(disk.index_cold, cold.sum::<u64>(), "{what}");

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
                let counted = pack.stored_bytes_from(&info.entity_first, &|| false).unwrap();
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
    let (contents, bytes, sealed, unsealed) = recount::remains(env, store);
    let told = stats.not_erased.clone();
    assert_eq!(told.unreadable, None, "{what}");
    assert_eq!(
        (told.contents, told.raw_bytes, told.stored_bytes, told.unsealed_bytes),
        (contents, bytes, sealed, unsealed),
        "{what}"
    );
    live -= sealed;
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
    drop(store);
    // An opening, so that the manifest has forgotten what it removed.
    builder(&env).open().unwrap().close().unwrap();
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

/// Something of every kind that can be forgotten: single contents and groups of the log, slots, reused and equal contents.
fn of_every_kind(store: &Store) {
    write(store, 0..150);
    for page in 0..4 {
        let mut batch = Batch::new();
        for edit in 0..6 {
            batch = batch.put(format!("Page {page}"), Expect::Any, Draft::new(text(400 + edit))).unwrap();
        }
        store.commit(batch).unwrap();
        let slots = Draft::new(text(500 + page))
            .slot("side", Some(format!("{} on the side", text(510 + page)).into()));
        store.put(format!("Page {page}"), Expect::Any, slots).unwrap();
        store.revert(format!("Page {page}"), Expect::Any, 3).unwrap();
    }
    for name in 0..60 {
        // They share their groups with others.
        store.put(format!("Small {name:02}"), Expect::Any, Draft::new(format!("tiny {name}"))).unwrap();
    }
}

/// Forgets by range, digest, age and name, one after the other, and has the accounts looked at after each.
fn forget_all(store: &Store, look: &mut dyn FnMut(&str)) {
    let none = || Progress::none();
    let head = store.head("Page 1").unwrap().number();
    store.forget(&Forgetting::revisions("Page 1", head - 5, head - 2), &mut none()).unwrap();
    look("a range, a group of the log in it");
    store.forget(&Forgetting::revisions("Page 2", 3, 3).sharing(Sharing::Leave), &mut none()).unwrap();
    look("a content that another revision keeps");
    store.forget(&Forgetting::revisions("Page 3", 2, 4).sharing(Sharing::Include), &mut none()).unwrap();
    look("a content with the revisions that reuse it");
    let side = store.head("Page 0").unwrap().number() - 1;
    store.forget(&Forgetting::revisions("Page 0", side, side), &mut none()).unwrap();
    look("all slots of a revision");
    let digest = Digest::of("tiny 7".as_bytes());
    store.forget(&Forgetting::digest(digest), &mut none()).unwrap();
    look("by digest, one of a group of many entities");
    let author = Forgetting::revisions("Page 4", 1, 9).fields(FieldMask::AUTHOR);
    store.forget(&author, &mut none()).unwrap();
    look("fields alone");
    let retention = Retention {
        range: EntityRange::prefix(b"Page 5"),
        superseded_before: Timestamp(i64::MAX),
        keep_older: 3,
        fields: FieldMask::CONTENT,
        mode: ErasureMode::Do,
        actor: String::new(),
        reason: String::new(),
    };
    store.retain(&retention, &mut none()).unwrap();
    look("by age");
    store.purge("Page 6", Expect::Any, "", "").unwrap();
    store.purge("Small 11", Expect::Any, "", "").unwrap();
    look("purged");
    store.put("Page 6", Expect::Any, Draft::new("again")).unwrap();
    look("and written again");
}

#[test]
fn what_is_forgotten_is_dead_at_once_and_told_until_it_is_erased_wherever_it_stands() {
    for state in ["in the log", "sealed", "packed", "some jobs", "merged", "opened again"] {
        let env = SimEnv::new(4);
        let packing = if state == "some jobs" { Packing::InBackground } else { Packing::WhenAsked };
        let open = || builder(&env).packing(packing).open().unwrap();
        let mut store = open();
        of_every_kind(&store);
        match state {
            "sealed" => _ = store.checkpoint("/elsewhere").unwrap(),
            "packed" => store.pack(&mut Progress::none()).unwrap(),
            "some jobs" => _ = env.jobs.run_until_idle(30),
            "merged" => store.compact(Compaction::Full, &mut Progress::none()).unwrap(),
            "opened again" => {
                drop(store);
                store = open();
            }
            _ => {}
        }
        assert_eq!(are_exact(&env, &store, state).not_erased.annotations, 0, "{state}");
        let mut most = 0;
        forget_all(&store, &mut |what| {
            let found = are_exact(&env, &store, &format!("{state}: {what}")).not_erased;
            assert!(found.annotations > 0 && found.since.is_some(), "{state}: {what}: {found:?}");
            assert!(found.contents >= most, "{state}: {what}");
            most = found.contents;
        });
        assert!(most > 40, "{most}");
        // Packing does not wait for anything: what it writes anew is without it.
        store.pack(&mut Progress::none()).unwrap();
        are_exact(&env, &store, &format!("{state}: packed again"));
        drop(store);
        let store = open();
        are_exact(&env, &store, &format!("{state}: opened"));
        store.reclaim(&mut Progress::none()).unwrap();
        let done = are_exact(&env, &store, &format!("{state}: reclaimed"));
        assert_eq!(done.not_erased, Default::default(), "{state}");
        assert_eq!(done.live_and_dead.1, 0, "{state}");
    }
}

#[test]
fn what_is_forgotten_is_counted_right_at_every_step_of_a_merge_and_of_reclaiming_and_after_a_crash_there() {
    let base = SimEnv::new(6);
    let store = builder(&base).packing(Packing::WhenAsked).open().unwrap();
    of_every_kind(&store);
    store.pack(&mut Progress::none()).unwrap();
    forget_all(&store, &mut |_| {});
    store.close().unwrap();
    for job in ["merge", "reclaim"] {
        let mut states = std::collections::BTreeSet::new();
        for step in (1..).step_by(4) {
            let env = base.fork().process_kill();
            let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
            env.fs.kill_at_change(env.fs.changes() + step);
            let done = match job {
                "merge" => store.compact(Compaction::Full, &mut Progress::none()).is_ok(),
                _ => store.reclaim(&mut Progress::none()).is_ok_and(|done| done.is_complete()),
            };
            drop(store);
            let env = env.crash(&CrashPolicy::STRICT);
            let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
            let stats = are_exact(&env, &store, &format!("{job}, step {step}"));
            states.insert((stats.not_erased.stored_bytes, stats.live_and_dead.1));
            if done {
                break;
            }
        }
        assert!(states.len() > 2, "{job}: {states:?}");
    }
}

#[test]
fn what_was_written_adds_up_over_openings_that_were_closed() {
    let env = SimEnv::new(7);
    let open = || builder(&env).packing(Packing::WhenAsked).open().unwrap();
    let now = |stats: &Stats| (stats.written.0 + stats.written.2 + stats.written_packs, stats.written_raw);
    let ever = |stats: &Stats| (stats.written_ever.to_files, stats.written_ever.raw);

    let store = open();
    write(&store, 0..300);
    let first = store.stats().unwrap();
    assert_eq!(ever(&first), now(&first));
    assert!(first.written_raw > 0 && first.written.0 > 0);
    store.close().unwrap();

    // Another one writes no contents, and much else.
    let store = open();
    let before = ever(&store.stats().unwrap());
    assert_eq!(before.1, first.written_raw, "all contents were in it");
    assert!(before.0 >= now(&first).0, "what closing wrote is in it, too");
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    let compacted = store.stats().unwrap();
    assert_eq!(ever(&compacted), (before.0 + now(&compacted).0, before.1));
    assert!(compacted.written_packs > 0);
    store.close().unwrap();

    // One that was not closed is not in it, and does no harm to the rest.
    let store = open();
    let kept = ever(&store.stats().unwrap());
    assert!(kept.0 >= ever(&compacted).0);
    write(&store, 300..400);
    let crashed = env.crash(&CrashPolicy::STRICT);
    drop(store);
    let store = builder(&crashed).read_only().open().unwrap();
    let stats = store.stats().unwrap();
    assert_eq!(ever(&stats), kept);
    assert!(stats.written_ever.amplification().unwrap() > 0.0);
}
