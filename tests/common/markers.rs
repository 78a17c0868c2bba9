//! Markers, words that stand nowhere else, are searched in the raw bytes of every file of the disk and in everything that can be decoded of it: frames,
//! units, groups, directories, blocks, edits. That uses the code of the inspection tool, not that of the erasure report.

#![allow(dead_code, reason = "each test uses a part of it")]

#[path = "decoded.rs"]
mod decoded;
#[path = "simulated.rs"]
mod simulated;

use std::path::Path;
use std::time::Duration;

use decoded::decoded;
use recension::sim::SimEnv;
use recension::{
    CheckDepth, Compaction, Draft, ErasureReport, Expect, FieldMask, Forgetting, Progress, RebuildMode,
    Store, StoreBuilder,
};

pub const DIR: &str = "/store";

pub fn builder(env: &SimEnv) -> StoreBuilder {
    simulated::builder(env).erase_within(Duration::from_secs(3600))
}

/// The files under a directory that hold one of the words.
pub fn holding(env: &SimEnv, words: &[&[u8]]) -> Vec<String> {
    let has = |path: &String| {
        let all = decoded(&env.fs, Path::new(path));
        words.iter().any(|word| all.windows(word.len()).any(|window| window == *word))
    };
    env.fs.files().into_iter().filter(has).collect()
}

pub fn none() -> Progress<'static> {
    Progress::none()
}

pub fn report(store: &Store) -> ErasureReport {
    store.erasure_report(&mut none()).unwrap()
}

pub fn sound(store: &Store) {
    let found = store.check(CheckDepth::Deep, &mut none()).unwrap();
    assert_eq!(found.findings, []);
}

pub fn text(edit: u64) -> String {
    (0..12).map(|line| format!("line {line}, edited in {}\n", edit.saturating_sub(line) / 5)).collect()
}

pub fn draft(edit: u64, word: &str) -> Draft {
    Draft::new(format!("{}{word}", text(edit))).author("somebody").comment(format!("edit {edit}"))
}

pub fn write(store: &Store, edits: std::ops::Range<u64>) {
    for edit in edits {
        store.put(format!("Page {}", edit % 6), Expect::Any, draft(edit, "")).unwrap();
    }
}

/// Whatever the report says must be true: it names every file that a word is found in.
pub fn names_all(store: &Store, env: &SimEnv, words: &[&[u8]]) {
    let report = report(store);
    let found: Vec<String> = holding(env, words).into_iter().filter(|path| path.starts_with(DIR)).collect();
    assert!(!found.is_empty(), "else this proves nothing");
    assert!(!report.is_clear());
    for path in &found {
        let named = report.held.iter().any(|held| held.path == Path::new(path));
        assert!(named, "{path} is not named: {report:#?}");
    }
    assert!(report.held.iter().all(|held| held.sequence > 0 && !held.jobs.is_empty()), "{report:#?}");
}

/// Nothing is left, and the report says so; the store is sound and stays so, closed and opened, compacted, rebuilt.
pub fn gone_for_good(store: Store, env: &SimEnv, words: &[&[u8]]) {
    let look = |store: &Store, when: &str| {
        assert_eq!(holding(env, words), Vec::<String>::new(), "{when}");
        let report = report(store);
        assert!(report.is_clear(), "{when}: {report:#?}");
        sound(store);
    };
    look(&store, "reclaimed");
    write(&store, 500..560);
    env.jobs.run_until_idle(10_000);
    look(&store, "written on");
    store.close().unwrap();
    drop(store);
    let store = builder(env).open().unwrap();
    look(&store, "opened again");
    store.compact(Compaction::Full, &mut none()).unwrap();
    look(&store, "compacted");
    store.close().unwrap();
    drop(store);
    builder(env).rebuild(RebuildMode::Apply).unwrap();
    let store = builder(env).open().unwrap();
    look(&store, "rebuilt");
}

/// A store with something to be erased in segments, packs, tables and the manifest.
pub fn half_done(env: &SimEnv) -> Store {
    let store = builder(env).open().unwrap();
    for edit in 0..80 {
        let name = if edit % 9 == 4 { "Page NAMEWORD" } else { "Page 4" };
        store.put(name, Expect::Any, draft(edit, "SECRETWORD").author("AUTHORWORD")).unwrap();
        write(&store, edit..edit + 1);
        if edit == 40 {
            env.jobs.run_until_idle(1000);
            store.compact(Compaction::Full, &mut none()).unwrap();
        }
    }
    store.purge("Page NAMEWORD", Expect::Any, "", "").unwrap();
    let last = store.head("Page 4").unwrap().number();
    store.forget(&Forgetting::revisions("Page 4", 1, last).fields(FieldMask::ALL), &mut none()).unwrap();
    store
}
