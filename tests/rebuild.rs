//! Manifest and index are made anew from the value files alone: the store answers as before, at whatever moment they were lost.

#[path = "common/simulated.rs"]
mod simulated;

#[path = "common/behind_header.rs"]
mod behind_header;

use behind_header::behind_header;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    CheckDepth, Compaction, Draft, Expect, FieldMask, Hiding, Packing, Progress, RebuildMode, Stats, Store,
    StoreBuilder,
};
use simulated::{all, text};

const PAGES: u64 = 7;

fn builder(env: &SimEnv) -> StoreBuilder {
    simulated::builder(env).packing(Packing::WhenAsked)
}

fn write(store: &Store, edits: std::ops::Range<u64>) {
    for edit in edits {
        let page = format!("Page {}", edit % PAGES);
        let draft = match edit % 31 {
            30 => Draft::tombstone(),
            _ => Draft::new(text(edit)).author(format!("author {}", edit % 3)).comment("an edit"),
        };
        store.put(&page, Expect::Any, draft).unwrap();
        if edit % 40 == 39 {
            let (actor, reason) = (String::new(), "because".into());
            let (entity, fields) = (page.into_bytes(), FieldMask::COMMENT);
            store.hide(Hiding { entity, first: 1, last: 1, fields, actor, reason }).unwrap();
        }
    }
}

/// All that a store answers, as text.
fn told(store: &Store) -> String {
    let mut text = String::new();
    for change in store.changes(0).unwrap() {
        text += &format!("{:?}\n", change.unwrap());
    }
    for page in 0..PAGES {
        text += &format!("{:?}\n", store.head(format!("Page {page}")).unwrap());
        for revision in store.history(format!("Page {page}")).unwrap() {
            let revision = revision.unwrap();
            text += &format!("{revision:?} {:?}\n", revision.content().unwrap());
        }
    }
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
    assert_eq!(report.findings, []);
    text
}

/// What the value files hold.
fn accounts(stats: &Stats) -> impl PartialEq + std::fmt::Debug + use<> {
    let Stats { segments, packs, pack_tiers, contents, live_and_dead, value_metadata, .. } = stats.clone();
    (segments, packs, pack_tiers, contents, live_and_dead, value_metadata)
}

/// Throws away all that is not a value file.
fn keep_value_files_only(env: &SimEnv) {
    let derived = |path: &String| !path.ends_with(".seg") && !path.ends_with(".pack");
    for path in env.fs.files().into_iter().filter(derived) {
        env.fs.remove(&path).unwrap();
    }
}

/// A store with a few packs, closed.
fn packed(seed: u64, edits: u64) -> SimEnv {
    let env = SimEnv::new(seed);
    let store = builder(&env).open().unwrap();
    write(&store, 0..edits);
    store.pack(&mut Progress::new(&mut all)).unwrap();
    store.close().unwrap();
    env
}

/// The machine at each change of the disk that a full compaction makes, after a power cut there.
fn in_a_full_compaction(base: &SimEnv, each: &mut dyn FnMut(u64, SimEnv)) -> u64 {
    for step in 1.. {
        let env = base.fork().process_kill();
        let store = builder(&env).open().unwrap();
        env.fs.kill_at_change(env.fs.changes() + step);
        let done = store.compact(Compaction::Full, &mut Progress::new(&mut all)).is_ok();
        drop(store);
        each(step, env.crash(&CrashPolicy::STRICT));
        if done {
            return step;
        }
    }
    0
}

#[test]
fn a_store_whose_merge_is_half_done_is_made_anew_with_and_without_its_old_manifest() {
    let base = packed(1, 180);
    let before = told(&builder(&base.fork().process_kill()).open().unwrap());
    let mut half_done = 0;
    let steps = in_a_full_compaction(&base, &mut |step, env| {
        let opened = env.fork().process_kill();
        let store = builder(&opened).open().unwrap();
        let expected = accounts(&store.stats().unwrap());
        half_done += u64::from(store.stats().unwrap().live_and_dead.1 > 0);
        drop(store);
        for with_manifest in [true, false] {
            let env = env.fork().process_kill();
            if !with_manifest {
                keep_value_files_only(&env);
            }
            let report = builder(&env)
                .rebuild(RebuildMode::Apply)
                .unwrap_or_else(|error| panic!("step {step}, manifest {with_manifest}: {error}"));
            assert_eq!(report.had_manifest, with_manifest);
            let store = builder(&env).open().unwrap();
            assert_eq!(told(&store), before, "step {step}, manifest {with_manifest}");
            if with_manifest {
                assert_eq!(accounts(&store.stats().unwrap()), expected, "step {step}");
            }
            store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
            assert_eq!(told(&store), before, "step {step}, manifest {with_manifest}");
        }
    });
    assert!(half_done > 10 && steps > 50, "{half_done} of {steps}");
}

#[test]
fn a_pack_that_was_not_finished_does_not_take_the_place_of_what_it_was_made_from() {
    let base = packed(2, 200);
    let before = told(&builder(&base.fork().process_kill()).open().unwrap());
    // A pack that is whole but for a byte in the middle, beside its sources, and no manifest that says that it was never installed.
    let sources: Vec<(String, Vec<u8>)> =
        base.fs.files().into_iter().map(|path| (path.clone(), base.fs.read_file(&path).unwrap())).collect();
    let env = base.fork().process_kill();
    let store = builder(&env).open().unwrap();
    store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
    store.close().unwrap();
    let is_new = |path: &String| path.ends_with(".pack") && sources.iter().all(|(known, _)| known != path);
    let made: Vec<String> = env.fs.files().into_iter().filter(is_new).collect();
    for broken in &made {
        let env = env.fork().process_kill();
        for (path, bytes) in sources.iter().filter(|(path, _)| path.ends_with(".pack")) {
            env.fs.write_file(path, bytes).unwrap();
        }
        let mut bytes = env.fs.read_file(broken).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        env.fs.write_file(broken, &bytes).unwrap();
        keep_value_files_only(&env);
        let answer = builder(&env).rebuild(RebuildMode::Apply);
        match answer {
            // Every part but the last one leaves a hole that its sources fill only from below.
            Err(error) => assert_eq!(error.kind(), recension::ErrorKind::Corrupt, "{error}"),
            Ok(_) => assert_eq!(told(&builder(&env).open().unwrap()), before),
        }
        if made.last() == Some(broken) {
            assert_eq!(told(&builder(&env).open().unwrap()), before);
        }
    }
    assert!(made.len() > 1, "{made:?}");
}

/// Files of a kind without their headers, by what is in them.
fn behind_headers(env: &SimEnv, ending: &str) -> Vec<Vec<u8>> {
    let files = env.fs.files().into_iter().filter(|path| path.ends_with(ending));
    let mut bodies: Vec<Vec<u8>> =
        files.map(|path| behind_header(&path, env.fs.read_file(&path).unwrap())).collect();
    bodies.sort();
    bodies
}

#[test]
fn a_store_made_anew_is_the_same_behind_the_file_headers_after_a_full_compaction() {
    for edits in [60, 260, 500] {
        let base = packed(3, edits);
        let copy = base.fork().process_kill();
        keep_value_files_only(&copy);
        builder(&copy).rebuild(RebuildMode::Apply).unwrap();
        let original = base.fork().process_kill();
        for env in [&original, &copy] {
            let store = builder(env).open().unwrap();
            store.compact(Compaction::Full, &mut Progress::new(&mut all)).unwrap();
            store.close().unwrap();
        }
        for ending in [".tab", ".kv", ".pack"] {
            let (expected, found) = (behind_headers(&original, ending), behind_headers(&copy, ending));
            assert!(!expected.is_empty());
            assert_eq!(expected.len(), found.len(), "{ending}");
            assert!(expected == found, "{ending} differ");
        }
    }
}

#[test]
fn a_segment_whose_seal_was_torn_is_made_anew_from_its_frames() {
    let base = SimEnv::new(5);
    let store = builder(&base).open().unwrap();
    write(&store, 0..180);
    base.jobs.run_until_idle(1000);
    let before = told(&store);
    store.close().unwrap();
    let state = recension::manifest::read_state(&base.env(), "/store".as_ref()).unwrap();
    let sealed: Vec<_> = state.value_files.values().collect();
    assert!(sealed.len() > 1, "{sealed:?}");
    for info in sealed {
        for back in [300, 1000] {
            let env = base.fork().process_kill();
            let path = format!("/store/{}", info.id.file_name(info.kind));
            env.fs.flip_bit(&path, info.len - back, 3).unwrap();
            keep_value_files_only(&env);
            builder(&env).rebuild(RebuildMode::Apply).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(told(&builder(&env).open().unwrap()), before, "{path}, {back} bytes from its end");
        }
    }
}

#[test]
fn a_segment_that_is_missing_in_front_of_a_sealed_one_is_told_and_nothing_is_left_out() {
    let env = SimEnv::new(9);
    let store = builder(&env).open().unwrap();
    write(&store, 0..60);
    store.pack(&mut Progress::none()).unwrap();
    write(&store, 60..400);
    env.jobs.run_until_idle(1000);
    store.close().unwrap();
    drop(store);
    let is_segment = |path: &String| path.ends_with(".seg");
    let segments: Vec<String> = env.fs.files().into_iter().filter(is_segment).collect();
    assert!(segments.len() > 3, "{segments:?}");
    for path in env.fs.files().into_iter().filter(|path| path.ends_with(".manifest")) {
        env.fs.remove(path).unwrap();
    }
    // In front of the others, behind the packs: what is left by itself looks like a log that goes on nowhere.
    env.fs.remove(&segments[0]).unwrap();
    let before = env.fs.files();
    let refused = builder(&env).rebuild(RebuildMode::Apply).unwrap_err();
    assert_eq!(refused.kind(), recension::ErrorKind::Corrupt, "{refused}");
    assert_eq!(env.fs.files(), before);
}
