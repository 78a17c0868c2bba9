//! Packs in a store: made in the background, read like segments, there after a crash.

#[path = "common/simulated.rs"]
mod simulated;

use std::time::Duration;

use recension::limits::Limits;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    AcceptClockSteps, AsOf, ByteSize, CheckDepth, Compaction, Draft, Expect, FieldMask, Hiding, LiveChanges,
    Packing, Progress, Store,
};
use simulated::{all, builder, text};

const PAGES: u64 = 5;

fn write(store: &Store, edits: std::ops::Range<u64>) {
    for edit in edits {
        store.put(format!("Page {}", edit % PAGES), Expect::Any, Draft::new(text(edit))).unwrap();
    }
}

/// Every revision, through names, histories and the feed.
fn has(store: &Store, edits: u64) {
    for page in 0..PAGES {
        let numbers: Vec<u64> = (0..edits).filter(|edit| edit % PAGES == page).collect();
        let history: Vec<_> = store.history(format!("Page {page}")).unwrap().map(Result::unwrap).collect();
        assert_eq!(history.len(), numbers.len());
        for (revision, edit) in history.iter().rev().zip(numbers) {
            assert_eq!(revision.content().unwrap().bytes().unwrap(), text(edit).as_bytes());
            assert_eq!(revision.sequence(), edit + 1);
        }
    }
    for edit in (0..edits).step_by(11) {
        let head = store.as_of(format!("Page {}", edit % PAGES), AsOf::Sequence(edit + 1)).unwrap();
        assert_eq!(head.live().unwrap().content().unwrap().bytes().unwrap(), text(edit).as_bytes());
    }
    let feed: Vec<u64> = store.changes(0).unwrap().map(|change| change.unwrap().sequence).collect();
    assert_eq!(feed, (1..=edits).collect::<Vec<_>>());
    for depth in [CheckDepth::Full, CheckDepth::Deep] {
        let report = store.check(depth, &mut Progress::new(&mut |_, _, _| true)).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!(report.changes, edits);
        // Of a source that a merge has not come to the end of, contents that were merged already are verified as well.
        assert_eq!(report.contents >= edits, depth == CheckDepth::Deep);
    }
}

fn names(env: &SimEnv, ending: &str) -> usize {
    env.fs.files().iter().filter(|path| path.ends_with(ending)).count()
}

#[test]
fn sealed_segments_become_packs_and_everything_reads_the_same() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    write(&store, 0..400);
    env.jobs.run_until_idle(10_000);
    let stats = store.stats().unwrap();
    assert!(stats.packs.0 > 3 && stats.segments.0 == 0, "{stats:?}");
    assert!(names(&env, ".seg") <= 2, "the segments are gone: {:?}", env.fs.files());
    has(&store, 400);
    store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert_eq!(store.stats().unwrap().contents.0, (0..400).map(|edit| text(edit).len() as u64).sum::<u64>());
    has(&store, 400);
    store.close().unwrap();
    let store = builder(&env).open().unwrap();
    assert!(store.open_report().clean);
    has(&store, 400);
    write(&store, 400..500);
    has(&store, 500);
}

#[test]
fn the_log_goes_on_behind_a_newest_segment_that_became_a_pack() {
    for (at, policy) in [CrashPolicy::NOTHING, CrashPolicy::POSIX, CrashPolicy::PARANOID].iter().enumerate() {
        let env = SimEnv::new(at as u64);
        let store = builder(&env).open().unwrap();
        write(&store, 0..150);
        store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
        assert_eq!(store.stats().unwrap().segments.0, 0);
        let env = env.crash(policy);
        // Nothing behind the pack, and then a segment behind it that was never sealed.
        let store = builder(&env).open().unwrap();
        has(&store, 150);
        write(&store, 150..160);
        let env = env.crash(policy);
        let store = builder(&env).open().unwrap();
        has(&store, 160);
        let read_only = env.process_kill();
        has(&builder(&read_only).read_only().open().unwrap(), 160);
    }
}

#[test]
fn whoever_reads_a_segment_reads_on_when_it_has_become_a_pack() {
    let env = SimEnv::new(2);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..200);
    env.jobs.run_until_idle(10_000);
    assert!(store.stats().unwrap().packs.0 == 0 && store.stats().unwrap().segments.0 > 2);
    let mut feed = store.changes(0).unwrap();
    assert_eq!(feed.next().unwrap().unwrap().sequence, 1);
    let oldest = store.revision("Page 0", 1).unwrap().unwrap();
    store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert!(names(&env, ".seg") > 1, "the feed holds one");
    assert_eq!(
        feed.map(|change| change.unwrap().sequence).collect::<Vec<_>>(),
        (2..=200).collect::<Vec<_>>()
    );
    assert_eq!(names(&env, ".seg"), 1, "its name goes when the last reader is done");
    assert_eq!(oldest.content().unwrap().bytes().unwrap(), text(0).as_bytes());
    has(&store, 200);
}

#[test]
fn the_live_feed_goes_on_through_packs() {
    let env = SimEnv::new(3);
    let store = builder(&env).open().unwrap();
    write(&store, 0..20);
    let (actor, reason) = (String::new(), String::new());
    let hiding =
        Hiding { entity: b"Page 0".into(), first: 1, last: 1, fields: FieldMask::COMMENT, actor, reason };
    store.hide(hiding).unwrap();
    env.jobs.run_for(Duration::from_secs(1));
    let mut live = LiveChanges::open_in(env.env(), "/store".as_ref(), 0).unwrap();
    let mut seen = Vec::new();
    let mut take = |live: &mut LiveChanges| {
        while let Some(change) = live.poll().unwrap() {
            seen.push(change.sequence);
        }
        seen.clone()
    };
    assert_eq!(take(&mut live), (1..=21).collect::<Vec<_>>());
    // Several segments are written, sealed and packed while nobody looks.
    write(&store, 20..320);
    env.jobs.run_for(Duration::from_secs(1));
    assert!(store.stats().unwrap().packs.0 > 3);
    assert_eq!(take(&mut live), (1..=321).collect::<Vec<_>>());
    write(&store, 320..330);
    env.jobs.run_for(Duration::from_secs(1));
    assert_eq!(take(&mut live), (1..=331).collect::<Vec<_>>());
    // All is packed, and the log behind it is empty.
    store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert_eq!(take(&mut live), (1..=331).collect::<Vec<_>>());
    write(&store, 330..331);
    env.jobs.run_for(Duration::from_secs(1));
    assert_eq!(take(&mut live), (1..=332).collect::<Vec<_>>());
    for after in [0, 21, 100, 331, 332] {
        let mut late = LiveChanges::open_in(env.env(), "/store".as_ref(), after).unwrap();
        let mut rest = Vec::new();
        while let Some(change) = late.poll().unwrap() {
            rest.push(change.sequence);
        }
        assert_eq!(rest, (after + 1..=332).collect::<Vec<_>>());
    }
    assert!(LiveChanges::open_in(env.env(), "/store".as_ref(), 333).is_err());
}

#[test]
fn a_checkpoint_of_packs_is_a_store_of_its_own() {
    let env = SimEnv::new(4);
    let store = builder(&env).open().unwrap();
    write(&store, 0..300);
    env.jobs.run_until_idle(10_000);
    store.checkpoint("/copy").unwrap();
    env.jobs.run_until_idle(10_000);
    write(&store, 300..400);
    let copy = Store::builder("/copy").limits(Limits::TINY).memory(ByteSize(1 << 20)).env(env.env());
    let copy = copy.accept_clock_steps(AcceptClockSteps::AtOnce).open().unwrap();
    has(&copy, 300);
    env.jobs.run_until_idle(10_000);
    has(&copy, 300);
    has(&store, 400);
}

#[test]
fn a_damaged_segment_stays_as_it_is_and_nothing_is_latched() {
    let env = SimEnv::new(5);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..300);
    store.close().unwrap();
    let mut segments: Vec<String> = env.fs.files().into_iter().filter(|it| it.ends_with(".seg")).collect();
    segments.sort();
    let len = env.fs.read_file(&segments[1]).unwrap().len();
    let mut bytes = env.fs.read_file(&segments[1]).unwrap();
    bytes[len / 3] ^= 1;
    env.fs.write_file(&segments[1], &bytes).unwrap();
    let store = builder(&env).open().unwrap();
    env.jobs.run_until_idle(10_000);
    let stats = store.stats().unwrap();
    assert_eq!((stats.segments.0, stats.packs_waiting.0, stats.unpackable.0, stats.latched), (1, 0, 1, None));
    assert!(stats.packs.0 > 2);
    store.put("Page 0", Expect::Any, Draft::new("goes on")).unwrap();
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert!(!report.findings.is_empty());
}

#[test]
fn packing_is_cancelled_and_can_be_taken_up_again() {
    let env = SimEnv::new(6);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..200);
    let mut left = 3;
    let cancelled = store.pack(&mut Progress::new(&mut |_, _, _| {
        left -= 1;
        left > 0
    }));
    assert_eq!(cancelled.unwrap_err().kind(), recension::ErrorKind::Cancelled);
    let packs = store.stats().unwrap().packs.0;
    assert_eq!(names(&env, ".pack"), usize::try_from(packs).unwrap(), "what was half made is gone");
    has(&store, 200);
    store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
    has(&store, 200);
    assert_eq!(store.stats().unwrap().segments.0, 0);
}

#[test]
fn packs_are_merged_in_tiers_and_everything_reads_the_same() {
    let env = SimEnv::new(7);
    let store = builder(&env).open().unwrap();
    write(&store, 0..900);
    env.jobs.run_until_idle(100_000);
    let stats = store.stats().unwrap();
    assert!(stats.packed > 12 && stats.merged > 6, "{stats:?}");
    has(&store, 900);
    let bytes = stats.bytes_on_disk;
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    env.jobs.run_until_idle(100_000);
    let full = store.stats().unwrap();
    assert!(full.bytes_on_disk < bytes && full.packs.0 < 8, "{full:?}");
    has(&store, 900);
    // Done once, it is done.
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    assert_eq!(store.stats().unwrap().merged, full.merged);
    store.close().unwrap();
    has(&builder(&env).open().unwrap(), 900);
}

#[test]
fn a_merge_that_was_stopped_anywhere_is_taken_up_again() {
    for stop_at in 1..60_u64 {
        let env = SimEnv::new(stop_at);
        let store = builder(&env).open().unwrap();
        write(&store, 0..300);
        let mut steps = 0;
        let stopped = store.compact(
            Compaction::Full,
            &mut Progress::new(&mut |_, _, _| {
                steps += 1;
                steps < stop_at * stop_at
            }),
        );
        let env = match stop_at % 3 {
            0 => env.crash(&CrashPolicy::STRICT),
            1 => env.process_kill(),
            _ => {
                has(&store, 300);
                store.close().unwrap();
                env
            }
        };
        let store = builder(&env).open().unwrap();
        has(&store, 300);
        env.jobs.run_until_idle(100_000);
        has(&store, 300);
        store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
        has(&store, 300);
        if stopped.is_ok() {
            return;
        }
    }
    panic!("a full compaction takes more steps than were tried");
}

#[test]
fn parts_of_a_merge_end_between_entities_with_the_longest_names() {
    let env = SimEnv::new(9);
    let store = builder(&env).open().unwrap();
    let name = |n: u64| format!("{}{:0>12}", "n".repeat(500), n % 40);
    for edit in 0..400 {
        store.put(name(edit), Expect::Any, Draft::new(text(edit))).unwrap();
    }
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    let stats = store.stats().unwrap();
    assert!(stats.packs.0 > 2, "several parts: {stats:?}");
    for edit in 0..400 {
        let revision = store.revision(name(edit), edit / 40 + 1).unwrap().unwrap();
        assert_eq!(revision.content().unwrap().bytes().unwrap(), text(edit).as_bytes());
    }
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
    assert_eq!((report.findings, report.changes), (vec![], 400));
}

#[test]
fn a_feed_that_was_begun_before_merges_ends_right() {
    let env = SimEnv::new(10);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..500);
    store.pack(&mut Progress::new(&mut all)).unwrap();
    let mut feed = store.changes(0).unwrap();
    let mut live = LiveChanges::open_in(env.env(), "/store".as_ref(), 0).unwrap();
    for sequence in 1..=10 {
        assert_eq!(feed.next().unwrap().unwrap().sequence, sequence);
        assert_eq!(live.poll().unwrap().unwrap().sequence, sequence);
    }
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    assert_eq!(
        feed.map(|change| change.unwrap().sequence).collect::<Vec<_>>(),
        (11..=500).collect::<Vec<_>>()
    );
    for sequence in 11..=500 {
        assert_eq!(live.poll().unwrap().unwrap().sequence, sequence);
    }
}

#[test]
fn the_accounts_are_those_of_the_directory() {
    let env = SimEnv::new(11);
    let store = builder(&env).open().unwrap();
    for round in 0..6_u64 {
        write(&store, round * 150..(round + 1) * 150);
        env.jobs.run_until_idle(round * 7);
        match round {
            4 => store.flush().unwrap(),
            5 => store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap(),
            _ => {}
        }
        let stats = store.stats().unwrap();
        let files = env.fs.files();
        let sum = |ending: &str| -> u64 {
            let files = files.iter().filter(|path| path.starts_with("/store/") && path.ends_with(ending));
            files.map(|path| env.fs.read_file(path).unwrap().len() as u64).sum()
        };
        let disk = stats.disk;
        assert_eq!((disk.total(), disk.total()), (stats.bytes_on_disk, sum("")));
        assert_eq!((disk.log, disk.packs, disk.index), (sum(".seg"), sum(".pack"), sum(".tab")));
        assert_eq!((disk.annotations, disk.manifest), (sum(".kv"), sum(".manifest")));
        assert_eq!(stats.packs.1, stats.pack_tiers.iter().map(|tier| tier.1).sum::<u64>());
        assert_eq!(stats.packs.1 + stats.segments.1, stats.contents.1 + stats.value_metadata);
        assert_eq!(stats.live_and_dead.0 + stats.live_and_dead.1, stats.contents.1);
        assert!(stats.write_amplification().unwrap() > 0.1);
    }
    let stats = store.stats().unwrap();
    let raw: u64 = (0..900).map(|edit| text(edit).len() as u64).sum();
    assert_eq!((stats.written_raw, stats.contents.0, stats.live_and_dead.1), (raw, raw, 0));
    assert_eq!(stats.disk.packs, stats.packs.1, "what was replaced is gone");
    assert!(stats.ratio().unwrap() > 1.0, "{stats:?}");
}

#[test]
fn what_is_left_of_the_sources_of_a_merge_is_counted() {
    let env = SimEnv::new(12);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    write(&store, 0..400);
    store.pack(&mut Progress::new(&mut all)).unwrap();
    let mut seen = 0;
    for most in 1..200 {
        let mut steps = 0;
        let stopped = store.compact(
            Compaction::Full,
            &mut Progress::new(&mut |step, done, _| {
                steps += u64::from(step == "merge" && done > 0);
                steps < most
            }),
        );
        let stats = store.stats().unwrap();
        let (live, dead) = stats.live_and_dead;
        assert_eq!(live + dead, stats.contents.1);
        seen += u64::from(dead > 0);
        if stopped.is_ok() {
            assert!(seen > 0, "no merge was met half way");
            assert_eq!(dead, 0);
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn parts_of_one_run_are_compressed_anew_each_within_its_bounds() {
    let mut in_parts = 0;
    for edits in (150..450).step_by(25) {
        let env = SimEnv::new(12);
        let store = builder(&env).open().unwrap();
        write(&store, 0..edits);
        // Ordinary merges: sometimes all that is left is one run of several parts.
        store.pack(&mut Progress::new(&mut all)).unwrap();
        env.jobs.run_until_idle(100_000);
        in_parts += usize::from(store.stats().unwrap().packs.0 > 1);
        store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
        has(&store, edits);
        store.close().unwrap();
        has(&builder(&env).open().unwrap(), edits);
    }
    assert!(in_parts > 2, "{in_parts}");
}

#[test]
fn a_full_compaction_that_was_stopped_between_parts_goes_on_after_further_writes() {
    for stop_at in 2..40_u64 {
        let env = SimEnv::new(stop_at);
        let store = builder(&env).open().unwrap();
        write(&store, 0..300);
        let mut parts = 0;
        let stopped = store.compact(
            Compaction::Full,
            &mut Progress::new(&mut |what, _, _| {
                parts += u64::from(what == "merge");
                parts < stop_at
            }),
        );
        write(&store, 300..400);
        store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
        let stats = store.stats().unwrap();
        assert!(stats.packs.0 <= 6, "one run of a few parts: {stats:?}");
        has(&store, 400);
        if stopped.is_ok() {
            return;
        }
    }
}
