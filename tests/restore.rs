//! A checkpoint is brought back as the store, and what was hidden and forgotten since stays hidden and forgotten.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use recension::env::{Access, DirEntry, Env, File, FileLock, Fs, LockMode};
use recension::limits::Limits;
use recension::manifest::read_state;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    AcceptClockSteps, AnnotationsFrom, Batch, ByteSize, CheckDepth, Compaction, Content, Draft, Durability,
    EntityRange, ErasureMode, ErrorKind, Expect, FieldMask, Forgetting, Head, Hiding, IfMissing, Progress,
    RebuildMode, RestoreReport, Result, Retention, Store, StoreBuilder, Timestamp,
};

fn builder(env: &Env, dir: &str) -> StoreBuilder {
    Store::builder(dir)
        .limits(Limits::TINY)
        .memory(ByteSize(1 << 20))
        .accept_clock_steps(AcceptClockSteps::AtOnce)
        .if_missing(IfMissing::Create)
        .env(env.clone())
}

fn open(env: &Env, dir: &str) -> Store {
    builder(env, dir).open().unwrap()
}

fn put(store: &Store, entity: &str, text: &str) {
    store.put(entity, Expect::Any, Draft::new(text.to_owned()).author("ann").comment("why")).unwrap();
}

fn restore(env: &Env, from: &str, to: &str, annotations: &AnnotationsFrom) -> Result<RestoreReport> {
    builder(env, to).restore(from, annotations, &mut Progress::none())
}

fn of(store: &str) -> AnnotationsFrom {
    AnnotationsFrom::Store(PathBuf::from(store))
}

fn hide(entity: &str, first: u64, last: u64) -> Hiding {
    let (actor, reason) = (String::new(), String::new());
    Hiding { entity: entity.into(), first, last, fields: FieldMask::COMMENT, actor, reason }
}

/// A store in `/old` of which `/checkpoint` was made, and things that were hidden and forgotten since. Closed.
fn machine(seed: u64) -> SimEnv {
    let sim = SimEnv::new(seed);
    let env = sim.env();
    let store = open(&env, "/old");
    for n in 0..150 {
        put(
            &store,
            &format!("filler {}", n % 9),
            &format!("{n} words in between, several of them").repeat(5),
        );
    }
    for n in 0..60 {
        put(&store, &format!("page {}", n % 6), &format!("text {n} of page {}", n % 6));
    }
    store.hide(hide("page 5", 1, 3)).unwrap();
    sim.jobs.run_until_idle(10_000);
    store.checkpoint("/checkpoint").unwrap();
    for n in 60..90 {
        put(&store, &format!("page {}", n % 6), &format!("text {n} of page {}", n % 6));
    }
    put(&store, "new page", "not in the checkpoint");
    let forget = |what: Forgetting| {
        store.forget(&what.actor("oversight"), &mut Progress::none()).unwrap();
    };
    forget(Forgetting::revisions("page 0", 2, 12).fields(FieldMask::ALL));
    forget(Forgetting::revisions("new page", 1, 1).fields(FieldMask::ALL));
    store.purge("page 1", Expect::Any, "", "").unwrap();
    let retention = Retention {
        range: EntityRange::default(),
        superseded_before: Timestamp(i64::MAX),
        keep_older: 13,
        fields: FieldMask::CONTENT,
        mode: ErasureMode::Do,
        actor: String::new(),
        reason: String::new(),
    };
    store.retain(&retention, &mut Progress::none()).unwrap();
    store.hide(hide("page 3", 1, 15)).unwrap();
    store.show(hide("page 5", 1, 1)).unwrap();
    sim.jobs.run_until_idle(10_000);
    store.flush().unwrap();
    store.close().unwrap();
    sim
}

fn content(store: &Store, entity: &str, number: u64) -> Content {
    store.revision(entity, number).unwrap().unwrap().content().unwrap()
}

/// What must be true of a restored store at once, for readers too.
fn is_as_forgotten(env: &Env, dir: &str) {
    for read_only in [true, false] {
        let store = if read_only { builder(env, dir).read_only() } else { builder(env, dir) }.open().unwrap();
        for number in 1..=10 {
            // Of the first one only the content, by retention.
            assert_eq!(content(&store, "page 0", number), Content::Forgotten);
            let revision = store.revision("page 0", number).unwrap().unwrap();
            assert_eq!(revision.fields().unwrap().author.is_none(), number > 1);
        }
        assert!(matches!(store.head("page 1").unwrap(), Head::Purged(15)), "{:?}", store.head("page 1"));
        assert_eq!(store.purged("page 1").unwrap(), Some(15), "numbers go on behind those of the old store");
        assert_eq!(content(&store, "page 2", 1), Content::Forgotten, "retention");
        let hidden = |entity: &str, number| {
            let revision = store.revision(entity, number).unwrap().unwrap();
            revision.fields().unwrap().comment.is_none()
        };
        assert_eq!(
            (hidden("page 3", 10), hidden("page 4", 10), hidden("page 5", 1), hidden("page 5", 2)),
            (true, false, false, true)
        );
        assert!(matches!(store.head("new page").unwrap(), Head::Absent));
        assert_eq!(content(&store, "page 4", 10), Content::Present("text 58 of page 4".into()));
        let report = store.check(CheckDepth::Deep, &mut Progress::none()).unwrap();
        assert_eq!(report.findings, []);
        store.close().unwrap();
    }
}

#[test]
fn what_was_hidden_behind_the_last_sync_before_the_process_died_stays_hidden() {
    let sim = SimEnv::new(5);
    let store = open(&sim.env(), "/old");
    put(&store, "page", "text");
    store.checkpoint("/checkpoint").unwrap();
    let hiding = Batch::new().hide(hide("page", 1, 1)).unwrap();
    store.commit_with(hiding, Durability::Buffered).unwrap();
    assert!(store.durable() < store.published());
    let sim = sim.process_kill();
    let env = sim.env();
    let report = restore(&env, "/checkpoint", "/new", &of("/old")).unwrap();
    assert_eq!((report.annotations, report.annotations_up_to), (1, Some(2)));
    let head = open(&env, "/new").head("page").unwrap();
    assert_eq!(head.revision().unwrap().hidden(), FieldMask::COMMENT);
}

#[test]
fn what_was_forgotten_since_the_checkpoint_stays_forgotten() {
    let sim = machine(1);
    let env = sim.env();
    let report = restore(&env, "/checkpoint", "/store", &of("/old")).unwrap();
    assert_eq!((report.checkpoint_sequence, report.sequence), (211, 211 + report.annotations));
    assert!(report.linked > 3 && report.copied == 0 && report.annotations > 3, "{report:?}");
    assert_eq!(report.annotations_beyond, 1, "of a page that is not in the checkpoint");
    is_as_forgotten(&env, "/store");
    let (restored, checkpoint, old) = (
        read_state(&env, "/store".as_ref()).unwrap(),
        read_state(&env, "/checkpoint".as_ref()).unwrap(),
        read_state(&env, "/old".as_ref()).unwrap(),
    );
    assert_eq!(restored.store, old.store);
    assert!(restored.incarnation != checkpoint.incarnation && restored.incarnation != old.incarnation);
    let mut holders: Vec<&str> = restored.holders.iter().map(|holder| &*holder.path).collect();
    holders.sort_unstable();
    assert_eq!(holders, ["/checkpoint", "/old"], "they still hold the bytes");
    // What is written under numbers that the old store had as well is something else.
    let store = open(&env, "/store");
    put(&store, "page 3", "written after the restore");
    let head = store.head("page 3").unwrap();
    assert_eq!(head.number(), 11);
    assert!(head.revision().unwrap().fields().unwrap().comment.is_some());
    put(&store, "page 0", "and this");
    assert_eq!(content(&store, "page 0", 11), Content::Present("and this".into()));
    put(&store, "page 1", "a name that is used again");
    assert_eq!(store.head("page 1").unwrap().number(), 16);
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    store.close().unwrap();
    is_as_forgotten_but_for(&env);
    // The checkpoint is as it was.
    assert_eq!(content(&open(&env, "/checkpoint"), "page 0", 2), Content::Present("text 6 of page 0".into()));
}

fn is_as_forgotten_but_for(env: &Env) {
    let store = open(env, "/store");
    assert_eq!(content(&store, "page 0", 10), Content::Forgotten);
    assert_eq!(content(&store, "page 0", 11), Content::Present("and this".into()));
    assert_eq!(store.check(CheckDepth::Deep, &mut Progress::none()).unwrap().findings, []);
}

#[test]
fn a_restore_that_is_interrupted_anywhere_is_no_store_or_has_what_was_forgotten() {
    let base = machine(2);
    let (mut finished, mut rebuilds) = (0, 0);
    for step in 1..400 {
        let sim = base.fork().process_kill();
        sim.fs.kill_at_change(sim.fs.changes() + step);
        let done = restore(&sim.env(), "/checkpoint", "/store", &of("/old")).is_ok();
        let policy = if step % 2 == 0 { CrashPolicy::STRICT } else { CrashPolicy::NOTHING };
        let sim = sim.crash(&policy);
        let env = sim.env();
        let whole = builder(&env, "/store").if_missing(IfMissing::Fail).read_only().open();
        if whole.is_ok() {
            drop(whole);
            finished += 1;
            is_as_forgotten(&env, "/store");
        } else {
            // Who follows the advice to rebuild is refused, or gets all of it.
            let rebuilt = builder(&env, "/store").rebuild(RebuildMode::Apply);
            if rebuilt.is_ok() {
                rebuilds += 1;
                is_as_forgotten(&env, "/store");
            }
            let exists = sim.fs.files().iter().any(|path| path.starts_with("/store/"));
            for path in sim.fs.files().iter().filter(|path| path.starts_with("/store/")) {
                sim.fs.remove(path).unwrap();
            }
            assert!(exists || step < 10, "{step}");
        }
        restore(&env, "/checkpoint", "/again", &of("/old")).unwrap();
        is_as_forgotten(&env, "/again");
        if done {
            assert!(step > 20 && finished > 2 && rebuilds > 0, "{step} {finished} {rebuilds}");
            return;
        }
    }
    panic!("it does not end");
}

#[test]
fn what_is_left_of_the_old_store_is_enough_if_nothing_behind_the_checkpoint_is_missing() {
    let base = machine(3);
    let gone = |endings: &[&str]| {
        let sim = base.fork().process_kill();
        let lost = |path: &String| path.starts_with("/old/") && endings.iter().any(|it| path.ends_with(it));
        for path in sim.fs.files().into_iter().filter(lost) {
            sim.fs.remove(&path).unwrap();
        }
        sim
    };
    // Manifest and index are gone, or one of them.
    for endings in [&[".manifest"][..], &[".tab", ".kv"], &[".manifest", ".tab", ".kv"]] {
        let sim = gone(endings);
        restore(&sim.env(), "/checkpoint", "/store", &of("/old")).unwrap();
        is_as_forgotten(&sim.env(), "/store");
    }
    // The end of the log is gone as well: an annotation may be missing.
    let sim = gone(&[".tab", ".kv"]);
    let last = sim.fs.files().into_iter().rfind(|it| it.starts_with("/old/") && it.ends_with(".seg"));
    sim.fs.remove(last.unwrap()).unwrap();
    let error = restore(&sim.env(), "/checkpoint", "/store", &of("/old")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("hidden or forgotten since"), "{error}");
    assert!(!sim.fs.files().iter().any(|path| path.starts_with("/store/")), "nothing was written");
    // Whoever says so gets the checkpoint as it is.
    let report = restore(&sim.env(), "/checkpoint", "/store", &AnnotationsFrom::Nowhere).unwrap();
    assert_eq!((report.annotations, report.annotations_up_to), (0, None));
    let text = content(&open(&sim.env(), "/store"), "page 0", 2);
    assert_eq!(text, Content::Present("text 6 of page 0".into()));
}

#[test]
fn what_was_forgotten_and_erased_since_the_checkpoint_stays_forgotten_whatever_is_left_of_the_old_store() {
    let base = machine(5);
    let store = open(&base.env(), "/old");
    assert!(store.reclaim(&mut Progress::none()).unwrap().value_files > 0);
    store.close().unwrap();
    drop(store);
    for endings in [&[][..], &[".manifest"], &[".tab", ".kv"], &[".manifest", ".tab", ".kv"]] {
        let sim = base.fork().process_kill();
        let lost = |path: &String| path.starts_with("/old/") && endings.iter().any(|it| path.ends_with(it));
        for path in sim.fs.files().into_iter().filter(lost) {
            sim.fs.remove(&path).unwrap();
        }
        restore(&sim.env(), "/checkpoint", "/store", &of("/old")).unwrap();
        is_as_forgotten(&sim.env(), "/store");
    }
}

#[test]
fn a_checkpoint_that_ends_in_what_was_purged_since_is_still_the_beginning_of_its_store() {
    let sim = SimEnv::new(6);
    let env = sim.env();
    let store = open(&env, "/old");
    put(&store, "kept", "kept");
    put(&store, "purged", "NAMEWORD");
    store.checkpoint("/checkpoint").unwrap();
    store.purge("purged", Expect::Any, "", "").unwrap();
    store.reclaim(&mut Progress::none()).unwrap();
    store.close().unwrap();
    drop(store);
    for (lose, to) in [(false, "/first"), (true, "/second")] {
        if lose {
            for path in sim
                .fs
                .files()
                .into_iter()
                .filter(|it| it.starts_with("/old/") && !it.ends_with(".pack") && !it.ends_with(".seg"))
            {
                sim.fs.remove(&path).unwrap();
            }
        }
        restore(&env, "/checkpoint", to, &of("/old")).unwrap();
        let store = open(&env, to);
        assert_eq!(store.head("purged").unwrap(), Head::Purged(1));
        assert_eq!(content(&store, "kept", 1), Content::Present("kept".into()));
    }
}

#[test]
fn what_cannot_be_right_is_refused_and_nothing_is_written() {
    let sim = machine(4);
    let env = sim.env();
    let other = open(&env, "/other");
    put(&other, "page 0", "of another store");
    other.close().unwrap();
    let before = sim.fs.files();
    let refused = |from: &str, to: &str, annotations: &AnnotationsFrom, why: &str| {
        let error = restore(&env, from, to, annotations).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    refused("/checkpoint", "/store", &of("/other"), "is not the store that the checkpoint was made of");
    refused("/checkpoint", "/old", &of("/old"), "exists already");
    refused("/checkpoint", "/store", &of("/nowhere"), "there is no store in /nowhere");
    refused("/nowhere", "/store", &of("/old"), "there is no checkpoint in /nowhere");
    let files = |files: Vec<String>| -> Vec<String> {
        files.into_iter().filter(|path| !path.ends_with("LOCK")).collect()
    };
    assert_eq!(files(sim.fs.files()), files(before));
    // In use.
    let old = open(&env, "/old");
    let error = restore(&env, "/checkpoint", "/store", &of("/old")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    drop(old);
    // A checkpoint that was written to has gone its own way.
    let copy = open(&env, "/checkpoint");
    put(&copy, "page 0", "another way");
    copy.close().unwrap();
    refused("/checkpoint", "/store", &of("/old"), "was opened for writing");
    let copy = open(&env, "/checkpoint");
    copy.checkpoint("/second").unwrap();
    copy.close().unwrap();
    refused("/second", "/store", &of("/old"), "is not the beginning of the store in /old");
    restore(&env, "/second", "/store", &of("/checkpoint")).unwrap();
    assert_eq!(content(&open(&env, "/store"), "page 0", 11), Content::Present("another way".into()));
}

/// A disk on which `/store` is on another file system than the rest.
struct TwoFileSystems(Arc<dyn Fs>);

impl Fs for TwoFileSystems {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        self.0.open(path, access)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }
    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::CrossesDevices.into())
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.read_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.0.exists(path)
    }
    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        self.0.try_lock(path, mode)
    }
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.0.canonical(path)
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.0.free_space(path)
    }
}

#[test]
fn a_checkpoint_on_another_file_system_is_copied_and_compared() {
    let sim = machine(5);
    let apart = Env { fs: Arc::new(TwoFileSystems(sim.env().fs)), ..sim.env() };
    let report = restore(&apart, "/checkpoint", "/store", &of("/old")).unwrap();
    assert!(report.linked == 0 && report.copied > 3, "{report:?}");
    let sim = sim.crash(&CrashPolicy::STRICT);
    is_as_forgotten(&sim.env(), "/store");
    // No room: nothing is copied.
    sim.fs.set_capacity(sim.fs.used() + 20_000);
    let apart = Env { fs: Arc::new(TwoFileSystems(sim.env().fs)), ..sim.env() };
    let error = restore(&apart, "/checkpoint", "/second", &AnnotationsFrom::Nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    sim.fs.set_capacity(u64::MAX);
    // A flipped bit in the checkpoint is not carried on.
    let state = read_state(&sim.env(), "/checkpoint".as_ref()).unwrap();
    let pack = state.value_files.values().find(|file| file.blake3 != [0; 32]).unwrap();
    let path = format!("/checkpoint/{}", pack.id.file_name(pack.kind));
    let mut bytes: Vec<u8> = Bytes::from(sim.fs.read_file(&path).unwrap()).to_vec();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    sim.fs.write_file(&path, &bytes).unwrap();
    let error = restore(&apart, "/checkpoint", "/third", &AnnotationsFrom::Nowhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}
