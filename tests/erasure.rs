//! The physical side of forgetting: bytes of forgotten things leave the disk, and the report tells the truth about it.
//!
//! Markers, words that stand nowhere else, are searched in the raw bytes of every file of the directory and in everything that can be decoded of
//! it: frames, units, groups, directories, blocks, edits. That uses the code of the inspection tool, not that of the report.

use std::path::Path;

use std::time::Duration;

use bytes::Bytes;
use recension::codec::{FileId, FileKind};
use recension::env::{Access, File, Fs};
use recension::index::table::{TableItem, dissect_table};
use recension::limits::Limits;
use recension::log::{SegmentItem, UnitHeader, VerifyDepth, dissect_segment};
use recension::manifest::{ManifestItem, dissect_manifest};
use recension::pack::{PackItem, dissect_pack};
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    AcceptClockSteps, ByteSize, CheckDepth, Compaction, Content, Digest, Draft, EntityRange, ErasureMode,
    ErasureReport, Expect, FieldMask, Forgetting, Head, HeldRole, Hiding, Packing, Progress, RebuildMode,
    Retention, Sharing, Store, StoreBuilder, Timestamp,
};

const DIR: &str = "/store";

fn builder(env: &SimEnv) -> StoreBuilder {
    Store::builder(DIR)
        .limits(Limits::TINY)
        .memory(ByteSize(1 << 20))
        .accept_clock_steps(AcceptClockSteps::AtOnce)
        .erase_within(Duration::from_secs(3600))
        .env(env.env())
}

/// A file as it is, and all that can be decoded of it.
fn decoded(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, Access::Read).unwrap();
    let mut all = read(&*file, 0, file.len().unwrap() as usize);
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut more = Vec::new();
    match FileId::parse(name).map(|(_, kind)| kind) {
        Some(FileKind::Segment) => {
            dissect_segment(&file, path, VerifyDepth::Contents, &mut |item| {
                match item {
                    SegmentItem::Frame(_, records) => {
                        for record in records {
                            more.extend_from_slice(format!("{:?}", record.change).as_bytes());
                            for content in record.contents {
                                let place = content.locator;
                                let unit = Bytes::from(read(&*file, place.offset, place.len as usize));
                                if let Ok(raw) = UnitHeader::open(&unit, place.address) {
                                    more.extend_from_slice(&raw);
                                }
                            }
                        }
                    }
                    SegmentItem::Directory(changes) => {
                        more.extend_from_slice(format!("{changes:?}").as_bytes())
                    }
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        Some(FileKind::Pack) => {
            dissect_pack(&file, path, VerifyDepth::Contents, &mut |item| {
                match item {
                    PackItem::Content(_, Some(raw)) => more.extend_from_slice(&raw),
                    PackItem::Directory(changes) => more.extend_from_slice(format!("{changes:?}").as_bytes()),
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        Some(FileKind::RevisionTable | FileKind::PlainTable) => {
            dissect_table(&file, path, &mut |item| {
                match item {
                    TableItem::Row(entity, row, _) => {
                        more.extend_from_slice(format!("{entity:?} {row:?}").as_bytes())
                    }
                    TableItem::Pair(key, value) => more.extend([key, value].concat()),
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        Some(FileKind::Manifest) => {
            dissect_manifest(path, &all, &mut |item| {
                if let ManifestItem::Frame(frame) = item {
                    more.extend_from_slice(format!("{:?}", frame.edits).as_bytes());
                }
                Ok(())
            })
            .unwrap();
        }
        _ => {}
    }
    all.append(&mut more);
    all
}

fn read(file: &dyn File, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut bytes[done..], at + done as u64).unwrap() {
            0 => break,
            n => done += n,
        }
    }
    bytes.truncate(done);
    bytes
}

/// The files under a directory that hold one of the words.
fn holding(env: &SimEnv, words: &[&[u8]]) -> Vec<String> {
    let has = |path: &String| {
        let all = decoded(&env.fs, Path::new(path));
        words.iter().any(|word| all.windows(word.len()).any(|window| window == *word))
    };
    env.fs.files().into_iter().filter(has).collect()
}

fn none() -> Progress<'static> {
    Progress::none()
}

fn report(store: &Store) -> ErasureReport {
    store.erasure_report(&mut none()).unwrap()
}

fn sound(store: &Store) {
    let found = store.check(CheckDepth::Deep, &mut none()).unwrap();
    assert_eq!(found.findings, []);
}

fn text(edit: u64) -> String {
    (0..12).map(|line| format!("line {line}, edited in {}\n", edit.saturating_sub(line) / 5)).collect()
}

fn draft(edit: u64, word: &str) -> Draft {
    Draft::new(format!("{}{word}", text(edit))).author("somebody").comment(format!("edit {edit}"))
}

fn write(store: &Store, edits: std::ops::Range<u64>) {
    for edit in edits {
        store.put(format!("Page {}", edit % 6), Expect::Any, draft(edit, "")).unwrap();
    }
}

/// Whatever the report says must be true: it names every file that a word is found in.
fn names_all(store: &Store, env: &SimEnv, words: &[&[u8]]) {
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
fn gone_for_good(store: Store, env: &SimEnv, words: &[&[u8]]) {
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

#[test]
fn contents_and_fields_that_are_forgotten_by_range_author_digest_and_age_leave_the_disk() {
    for seed in 0..4 {
        let env = SimEnv::new(seed);
        let store = builder(&env).open().unwrap();
        write(&store, 0..100);
        let secret = |entity: &str, word: &str| {
            let draft = draft(3, word).author("Jo-AUTHORWORD").comment(format!("COMMENTWORD {word}"));
            let draft = draft.attribute("place", "ATTRIBUTEWORD");
            store.put(entity, Expect::Any, draft).unwrap().outcome().revision().unwrap()
        };
        let first = secret("Page 1", "RANGEWORD-one");
        write(&store, 100..150);
        let second = secret("Page 2", "RANGEWORD-two");
        secret("Page 3", "DIGESTWORD");
        write(&store, 150..200);
        secret("Old", "AGEWORD");
        for edit in 0..5 {
            store.put("Old", Expect::Any, draft(edit, "")).unwrap();
        }
        env.jobs.run_until_idle(seed * 50);
        if seed % 2 == 0 {
            store.compact(Compaction::Full, &mut none()).unwrap();
        }
        let all = FieldMask::ALL;
        let words: [&[u8]; 6] =
            [b"RANGEWORD", b"DIGESTWORD", b"AGEWORD", b"AUTHORWORD", b"COMMENTWORD", b"ATTRIBUTEWORD"];
        for (entity, number) in [("Page 1", first), ("Page 2", second)] {
            store.forget(&Forgetting::revisions(entity, number, number).fields(all), &mut none()).unwrap();
        }
        let digest = Digest::of(format!("{}DIGESTWORD", text(3)).as_bytes());
        store.forget(&Forgetting::digest(digest).fields(all), &mut none()).unwrap();
        let retention = Retention {
            range: EntityRange::prefix(b"Old"),
            superseded_before: Timestamp(i64::MAX),
            keep_older: 2,
            fields: all,
            mode: ErasureMode::Do,
            actor: String::new(),
            reason: String::new(),
        };
        store.retain(&retention, &mut none()).unwrap();
        names_all(&store, &env, &words);
        // By the time that the author is asked for, nobody is left of that name.
        let forgotten = store.forget(&Forgetting::author("Jo-AUTHORWORD"), &mut none()).unwrap();
        assert_eq!(forgotten.revisions, 0);
        let done = store.reclaim(&mut none()).unwrap();
        assert!(done.is_complete() && done.value_files > 0, "{done:?}");
        let gone = store.revision("Page 1", first).unwrap().unwrap();
        assert_eq!(gone.content().unwrap(), Content::Forgotten);
        assert!(gone.content_len().unwrap() > 0, "the skeleton stays");
        let stats = store.stats().unwrap();
        assert_eq!(stats.live_and_dead.1, 0);
        assert_eq!(store.reclaim(&mut none()).unwrap().value_files, 0, "nothing is written twice");
        gone_for_good(store, &env, &words);
    }
}

#[test]
fn the_author_goes_everywhere_with_the_id_that_an_import_kept_beside_him() {
    let env = SimEnv::new(5);
    let store = builder(&env).open().unwrap();
    for edit in 0..120 {
        let name = if edit % 10 == 3 { "Jo-AUTHORWORD" } else { "Ann" };
        let id = if edit % 10 == 3 { "77-IDWORD" } else { "1" };
        let draft = draft(edit, "").author(name).attribute("author_id", id).attribute("kept", "KEPTWORD");
        store.put(format!("Page {}", edit % 7), Expect::Any, draft).unwrap();
    }
    store.forget(&Forgetting::author("Jo-AUTHORWORD"), &mut none()).unwrap();
    names_all(&store, &env, &[b"AUTHORWORD"]);
    store.reclaim(&mut none()).unwrap();
    assert!(!holding(&env, &[b"KEPTWORD"]).is_empty(), "other attributes stay");
    gone_for_good(store, &env, &[b"AUTHORWORD", b"IDWORD"]);
}

#[test]
fn a_purged_entity_leaves_no_name_in_any_file_the_manifest_and_its_annotations_included() {
    for seed in 0..6 {
        let env = SimEnv::new(seed);
        let store = builder(&env).open().unwrap();
        write(&store, 0..60);
        // In the middle, and as the first and last of all names, so that it is a bound of tables.
        let names = ["AA-NAMEWORD", "Page 3-NAMEWORD", "zz-NAMEWORD"];
        for edit in 0..40 {
            for name in names {
                store.put(name, Expect::Any, draft(edit, "SECRETWORD").author("AUTHORWORD")).unwrap();
            }
            write(&store, 60 + edit..61 + edit);
        }
        store
            .hide(Hiding {
                entity: names[1].into(),
                first: 2,
                last: 3,
                fields: FieldMask::ALL,
                actor: "x".into(),
                reason: "about NAMEWORD".into(),
            })
            .unwrap();
        if seed % 2 == 0 {
            store
                .compact(if seed % 4 == 0 { Compaction::Full } else { Compaction::Due }, &mut none())
                .unwrap();
        } else {
            env.jobs.run_until_idle(100 * seed);
        }
        for name in names {
            store.purge(name, Expect::Any, "oversight", "request 7").unwrap();
        }
        let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
        names_all(&store, &env, &words);
        let done = store.reclaim(&mut none()).unwrap();
        assert!(done.is_complete(), "{done:?}");
        assert_eq!(store.head(names[0]).unwrap(), Head::Purged(40));
        let feed: Vec<u64> = store.changes(0).unwrap().map(|change| change.unwrap().sequence).collect();
        assert_eq!(feed, (1..=store.durable()).collect::<Vec<_>>(), "the sequence is unbroken");
        gone_for_good(store, &env, &words);
        // The name may be used again, and goes on counting.
        let store = builder(&env).open().unwrap();
        assert_eq!(store.head(names[0]).unwrap(), Head::Purged(40));
        let again = store.put(names[0], Expect::Any, draft(1, "")).unwrap();
        assert_eq!(again.outcome().revision(), Some(41));
        sound(&store);
        assert!(report(&store).is_clear(), "a name that is in use again is no secret: {:#?}", report(&store));
    }
}

#[test]
fn what_is_only_in_the_segment_that_is_being_written_goes_as_well() {
    let env = SimEnv::new(1);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    store.put("a", Expect::Absent, Draft::new("SECRETWORD")).unwrap();
    store.put("b", Expect::Absent, Draft::new("kept")).unwrap();
    store.forget(&Forgetting::revisions("a", 1, 1), &mut none()).unwrap();
    names_all(&store, &env, &[b"SECRETWORD"]);
    store.reclaim(&mut none()).unwrap();
    assert_eq!(store.get("b").unwrap().unwrap().content().unwrap(), Content::Present("kept".into()));
    gone_for_good(store, &env, &[b"SECRETWORD"]);
}

#[test]
fn a_content_that_another_revision_keeps_stays_until_that_is_forgotten_too() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    store.put("a", Expect::Absent, Draft::new("SHAREDWORD").author("AUTHORWORD")).unwrap();
    store.put("a", Expect::Head(1), Draft::new("other")).unwrap();
    store.revert("a", Expect::Head(2), 1).unwrap();
    let leave = Forgetting::revisions("a", 1, 1).fields(FieldMask::ALL).sharing(Sharing::Leave);
    store.forget(&leave, &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    let head = store.get("a").unwrap().unwrap();
    assert_eq!(head.content().unwrap(), Content::Present("SHAREDWORD".into()));
    assert!(report(&store).is_clear(), "what a revision still has is not forgotten");
    sound(&store);
    store.forget(&Forgetting::revisions("a", 3, 3), &mut none()).unwrap();
    names_all(&store, &env, &[b"SHAREDWORD"]);
    store.reclaim(&mut none()).unwrap();
    gone_for_good(store, &env, &[b"SHAREDWORD", b"AUTHORWORD"]);
}

/// A store with something to be erased in segments, packs, tables and the manifest.
fn half_done(env: &SimEnv) -> Store {
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

#[test]
fn a_crash_at_any_point_of_reclaiming_is_survived_and_what_is_left_is_found_again() {
    let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
    let changes = {
        let env = SimEnv::new(3);
        let store = half_done(&env);
        let before = env.fs.changes();
        store.reclaim(&mut none()).unwrap();
        env.fs.changes() - before
    };
    assert!(changes > 30);
    for at in (1..changes).step_by(usize::try_from(changes / 25).unwrap().max(1)) {
        let env = SimEnv::new(3);
        let store = half_done(&env);
        env.fs.kill_at_change(env.fs.changes() + at);
        let _ = store.reclaim(&mut none());
        env.fs.power_off();
        drop(store);
        let env = env.crash(&CrashPolicy::POSIX);
        env.fs.kill_never();
        let store = builder(&env).open().unwrap();
        sound(&store);
        let last = store.head("Page 4").unwrap().number();
        assert_eq!(store.revision("Page 4", last).unwrap().unwrap().content().unwrap(), Content::Forgotten);
        let left = holding(&env, &words);
        assert!(left.is_empty() || !report(&store).is_clear(), "killed at {at}: {left:?}");
        assert!(store.reclaim(&mut none()).unwrap().is_complete());
        assert_eq!(holding(&env, &words), Vec::<String>::new(), "killed at {at}");
        assert!(report(&store).is_clear(), "killed at {at}: {:#?}", report(&store));
        sound(&store);
    }
}

#[test]
fn only_the_parts_concerned_are_written_anew() {
    let env = SimEnv::new(2);
    let store = builder(&env).open().unwrap();
    for edit in 0..600 {
        store.put(format!("Page {:02}", edit % 30), Expect::Any, draft(edit, "")).unwrap();
    }
    store.put("Page 07", Expect::Any, draft(1, "SECRETWORD")).unwrap();
    store.compact(Compaction::Full, &mut none()).unwrap();
    let packs =
        || -> Vec<String> { env.fs.files().into_iter().filter(|path| path.ends_with(".pack")).collect() };
    let before = packs();
    assert!(before.len() > 4, "several parts: {before:?}");
    let last = store.head("Page 07").unwrap().number();
    store.forget(&Forgetting::revisions("Page 07", last, last), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    let after = packs();
    let kept = before.iter().filter(|path| after.contains(path)).count();
    assert_eq!(kept, before.len() - 1, "{before:?}\n{after:?}");
    assert_eq!(holding(&env, &[b"SECRETWORD"]), Vec::<String>::new());
    sound(&store);
}

#[test]
fn a_purged_name_is_no_bound_between_parts_any_more() {
    for page in 0..30 {
        let env = SimEnv::new(2);
        let store = builder(&env).open().unwrap();
        for edit in 0..300 {
            store.put(format!("Page {:02}-NAMEWORD", edit % 30), Expect::Any, draft(edit, "")).unwrap();
        }
        store.compact(Compaction::Full, &mut none()).unwrap();
        let name = format!("Page {page:02}-NAMEWORD");
        store.purge(&name, Expect::Any, "", "").unwrap();
        let done = store.reclaim(&mut none()).unwrap();
        assert!(done.is_complete(), "{done:?}");
        assert_eq!(holding(&env, &[name.as_bytes()]), Vec::<String>::new(), "{name}");
        assert!(report(&store).is_clear(), "{:#?}", report(&store));
        if page % 10 == 0 {
            sound(&store);
        }
    }
}

#[test]
fn a_name_with_a_zero_behind_a_purged_one_is_no_bound_either_since_it_reads_like_one() {
    for page in 0..30 {
        let env = SimEnv::new(2);
        let store = builder(&env).open().unwrap();
        for edit in 0..300 {
            let zero = if edit % 3 == 0 { "" } else { "\0" };
            store.put(format!("Page {:02}{zero}", edit % 31), Expect::Any, draft(edit, "")).unwrap();
        }
        store.compact(Compaction::Full, &mut none()).unwrap();
        store.purge(format!("Page {page:02}"), Expect::Any, "", "").unwrap();
        let done = store.reclaim(&mut none()).unwrap();
        assert!(done.is_complete(), "{done:?}");
        assert!(report(&store).is_clear(), "{:#?}", report(&store));
        if page % 10 == 0 {
            sound(&store);
        }
    }
}

#[test]
fn a_checkpoint_is_named_as_long_as_it_is_there_if_it_may_hold_what_was_not_erased_when_it_was_made() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    store.put("a", Expect::Absent, Draft::new("SECRETWORD")).unwrap();
    store.put("b", Expect::Absent, Draft::new("second SECRETWORD")).unwrap();
    store.forget(&Forgetting::revisions("a", 1, 1), &mut none()).unwrap();
    // Between forgetting and reclaiming: its sequence number is above the annotation's, and it holds the bytes.
    store.checkpoint("/copy").unwrap();
    store.reclaim(&mut none()).unwrap();
    let told = report(&store);
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert_eq!((told.held[0].role, &told.held[0].path), (HeldRole::Checkpoint, &"/copy".into()));
    // One made when all was erased holds nothing, until something else is forgotten.
    store.checkpoint("/later").unwrap();
    assert_eq!(report(&store).held.len(), 1);
    store.forget(&Forgetting::revisions("b", 1, 1), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    assert_eq!(report(&store).held.len(), 2, "{:#?}", report(&store));
    // What it forgot afterwards of what came afterwards does not concern them.
    store.put("c", Expect::Absent, Draft::new("third")).unwrap();
    let before = report(&store).held[1].contents;
    store.forget(&Forgetting::revisions("c", 1, 1), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    assert_eq!(report(&store).held[1].contents, before);
    assert!(store.release_checkpoint("/copy").unwrap_err().to_string().contains("still there"));
    for path in env.fs.files() {
        if path.starts_with("/copy/") || path.starts_with("/later/") {
            env.fs.remove(&path).unwrap();
        }
    }
    let told = report(&store);
    assert!(told.is_clear(), "{told:#?}");
    assert_eq!(told.gone, ["/copy", "/later"]);
    store.release_checkpoint("/copy").unwrap();
    assert_eq!(report(&store).gone, ["/later"]);
    assert!(store.release_checkpoint("/nowhere").is_err());
}

#[test]
fn a_checkpoint_is_kept_by_its_full_path() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("store")).unwrap();
    store.put("a", Expect::Absent, Draft::new("secret")).unwrap();
    let here = std::env::current_dir().unwrap();
    let up: std::path::PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(dir.path().strip_prefix("/").unwrap()).join("copy");
    store.checkpoint(&relative).unwrap();
    store.forget(&Forgetting::revisions("a", 1, 1), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    let told = report(&store);
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert!(told.held[0].path.is_absolute());
}

#[test]
fn files_in_lost_and_files_of_nobody_are_looked_into_or_named() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    write(&store, 0..80);
    let draft = draft(1, "SECRETWORD");
    let number = store.put("a", Expect::Absent, draft).unwrap().outcome().revision().unwrap();
    store.flush().unwrap();
    store.pack(&mut none()).unwrap();
    let pack = holding(&env, &[b"SECRETWORD"]).into_iter().find(|path| path.ends_with(".pack")).unwrap();
    let bytes = env.fs.read_file(&pack).unwrap();
    store.forget(&Forgetting::revisions("a", number, number), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    assert!(report(&store).is_clear());
    let fs: &dyn Fs = &env.fs;
    fs.create_dir_all(Path::new("/store/lost")).unwrap();
    let name = Path::new(&pack).file_name().unwrap().to_str().unwrap().to_owned();
    env.fs.write_file(format!("/store/lost/{name}"), &bytes).unwrap();
    env.fs.write_file("/store/notes.txt", b"SECRETWORD").unwrap();
    let told = report(&store);
    assert_eq!(told.held.len(), 1, "{told:#?}");
    assert_eq!(told.held[0].role, HeldRole::Lost);
    assert_eq!(told.unknown.len(), 1);
    assert!(told.unknown[0].path.ends_with("notes.txt"));
    // Half of it: it cannot be told what the rest was.
    env.fs.write_file(format!("/store/lost/{name}"), &bytes[..bytes.len() / 2]).unwrap();
    assert_eq!(report(&store).unknown.len(), 2);
}

#[test]
fn damage_stops_neither_reclaiming_nor_the_report_and_does_not_latch() {
    for ending in [".pack", ".tab"] {
        let env = SimEnv::new(1);
        let store = half_done(&env);
        store.flush().unwrap();
        store.pack(&mut none()).unwrap();
        store.close().unwrap();
        drop(store);
        let files = env.fs.files();
        let path = files.iter().find(|path| path.ends_with(ending)).unwrap();
        let mut bytes = env.fs.read_file(path).unwrap();
        let mut at = 200;
        if ending == ".pack" {
            // A group of which everything is forgotten would not even be missed.
            let file = env.fs.open(Path::new(path), Access::Read).unwrap();
            dissect_pack(&file, Path::new(path), VerifyDepth::Stored, &mut |item| {
                match item {
                    PackItem::Part(part) if part.kind == "directory" => at = part.offset as usize + 60,
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        bytes[at] ^= 4;
        env.fs.write_file(path, &bytes).unwrap();
        let store = builder(&env).open().unwrap();
        let done = store.reclaim(&mut none()).unwrap();
        assert!(done.value_files + done.tables > 0, "the others go on: {done:?}");
        let told = report(&store);
        let named = told.unknown.iter().map(|it| &it.path).chain(told.held.iter().map(|it| &it.path));
        let named: Vec<_> = named.collect();
        assert!(named.contains(&&std::path::PathBuf::from(path)), "{path}: {told:#?}");
        env.jobs.run_for(Duration::from_secs(4 * 3600));
        assert_eq!(store.stats().unwrap().latched, None);
        store.put("a", Expect::Any, Draft::new("goes on")).unwrap();
    }
}

#[test]
fn what_is_forgotten_is_erased_in_the_background_within_the_time_that_the_options_give() {
    let words: [&[u8]; 3] = [b"NAMEWORD", b"SECRETWORD", b"AUTHORWORD"];
    let env = SimEnv::new(7);
    let store = half_done(&env);
    env.jobs.run_for(Duration::from_secs(600));
    assert!(!holding(&env, &words).is_empty(), "several forgettings share the work");
    store.close().unwrap();
    drop(store);
    // The time goes on counting over an opening.
    let store = builder(&env).open().unwrap();
    env.jobs.run_for(Duration::from_secs(2400));
    assert_eq!(holding(&env, &words), Vec::<String>::new());
    assert!(report(&store).is_clear());
    // At once, if that is what is wanted.
    drop(store);
    let store = builder(&env).erase_within(Duration::ZERO).open().unwrap();
    store.put("z", Expect::Absent, Draft::new("SECRETWORD")).unwrap();
    store.forget(&Forgetting::revisions("z", 1, 1), &mut none()).unwrap();
    env.jobs.run_for(Duration::from_secs(1));
    assert_eq!(holding(&env, &words), Vec::<String>::new());
}

#[test]
fn a_reader_keeps_what_he_has_and_is_told_what_was_forgotten_meanwhile() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    write(&store, 0..100);
    let held = store.revision("Page 1", 1).unwrap().unwrap();
    assert_eq!(held.fields().unwrap().author.as_deref(), Some(&b"somebody"[..]));
    let changes: Vec<_> = store.changes(0).unwrap().collect();
    let mut history = store.history("Page 1").unwrap();
    history.next().unwrap().unwrap();
    let all = Forgetting::revisions("Page 1", 1, u64::MAX).fields(FieldMask::ALL);
    store.forget(&all, &mut none()).unwrap();
    // A handle that was used before gives out no more than one that is found now.
    assert_eq!(held.fields().unwrap().author, None);
    store.reclaim(&mut none()).unwrap();
    assert_eq!(held.content().unwrap(), Content::Forgotten);
    assert_eq!(held.digest().unwrap(), None);
    assert!(history.all(|revision| revision.unwrap().content().unwrap() == Content::Forgotten));
    assert_eq!(changes.len(), 100);
    sound(&store);
}

#[test]
fn a_store_of_which_nothing_was_forgotten_is_clear_without_being_looked_through() {
    let env = SimEnv::new(1);
    let store = builder(&env).open().unwrap();
    write(&store, 0..50);
    env.fs.write_file("/store/notes.txt", b"whatever").unwrap();
    let told = report(&store);
    assert!(told.is_clear());
    assert_eq!((told.files, told.erasing), (0, 0));
    assert_eq!(store.reclaim(&mut none()).unwrap().up_to, 0);
}
