//! What was forgotten does not come back, whatever else is going on: flushes, merges that are half done, restores, readers that began before.

#[path = "common/markers.rs"]
mod markers;

use std::path::Path;

use markers::{builder, draft, gone_for_good, holding, names_all, none, report, sound, text, write};
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    AnnotationsFrom, Batch, ChangeKind, Compaction, Content, Draft, EntityRange, ErrorKind, Expect,
    FieldMask, Forgetting, Head, Packing, RepairMode, Revision, Sharing, Store, repair,
};

const WORDS: [&[u8]; 3] = [b"SECRETWORD", b"AUTHORWORD", b"COMMENTWORD"];

fn secret(edit: u64) -> Draft {
    draft(edit, "SECRETWORD").author("AUTHORWORD").comment("COMMENTWORD")
}

/// Nothing that a reader is given has a marker in it.
fn tells_nothing(revision: &Revision) {
    let content = revision.content().unwrap();
    let told = format!("{content:?} {:?} {:?}", revision.fields().unwrap(), revision.slots().unwrap());
    for word in WORDS {
        assert!(!told.contains(std::str::from_utf8(word).unwrap()), "{told}");
    }
}

#[test]
fn a_crash_between_the_flushes_of_revisions_and_annotations_brings_nothing_back() {
    // The revisions are in tables already and the annotation is not; or both are in one memtable.
    for together in [false, true] {
        let base = SimEnv::new(8);
        let open = |env: &SimEnv| builder(env).packing(Packing::WhenAsked).open().unwrap();
        let store = open(&base);
        write(&store, 0..30);
        for edit in 0..5 {
            store.put("Page 4", Expect::Any, secret(edit)).unwrap();
        }
        if !together {
            store.flush().unwrap();
        }
        let last = store.head("Page 4").unwrap().number();
        let range = (last - 4, last);
        store
            .forget(&Forgetting::revisions("Page 4", range.0, range.1).fields(FieldMask::ALL), &mut none())
            .unwrap();
        store.put("Page 4", Expect::Any, draft(9, "")).unwrap();
        // The process goes without closing anything.
        let base = base.fork().process_kill();
        drop(store);
        let (mut kills, mut done) = (0, false);
        while !done {
            kills += 1;
            for policy in [CrashPolicy::STRICT, CrashPolicy::POSIX] {
                let env = base.fork().process_kill();
                let store = open(&env);
                env.fs.kill_at_change(env.fs.changes() + kills);
                done = store.flush().is_ok();
                drop(store);
                let env = env.crash(&policy);
                let store = open(&env);
                for number in range.0..=range.1 {
                    let revision = store.revision("Page 4", number).unwrap().unwrap();
                    assert_eq!(revision.content().unwrap(), Content::Forgotten, "killed at {kills}");
                    tells_nothing(&revision);
                }
                names_all(&store, &env, &WORDS);
                assert!(store.reclaim(&mut none()).unwrap().is_complete());
                assert_eq!(holding(&env, &WORDS), Vec::<String>::new(), "killed at {kills}");
                assert!(report(&store).is_clear(), "killed at {kills}: {:#?}", report(&store));
                sound(&store);
            }
        }
        assert!(kills > 8, "{kills}");
    }
}

/// Whether packs stand over each other: some that are made of several, and what is left of those.
fn is_half_done(env: &SimEnv) -> bool {
    let state = recension::manifest::read_state(&env.env(), "/store".as_ref()).unwrap();
    let ranges: Vec<(u64, u64)> =
        state.value_files.values().map(|info| (info.sequence_first, info.sequence_last)).collect();
    let meet = |(a, b): &(u64, u64), (c, d): &(u64, u64)| (a, b) != (c, d) && a <= d && c <= b;
    ranges.iter().any(|one| ranges.iter().any(|other| meet(one, other)))
}

#[test]
fn a_purge_that_meets_a_merge_that_is_half_done_takes_the_name_out_of_all_its_pieces() {
    let base = SimEnv::new(9);
    let open = |env: &SimEnv| builder(env).packing(Packing::WhenAsked).open().unwrap();
    let store = open(&base);
    let name = |page: u64| format!("Page {:02}-NAMEWORD-{page}", page % 30);
    for edit in 0..600 {
        store.put(name(edit % 30), Expect::Any, draft(edit, &format!("SECRETWORD-{}-", edit % 30))).unwrap();
        if edit % 150 == 149 {
            store.pack(&mut none()).unwrap();
        }
    }
    store.close().unwrap();
    let mut half_done = 0;
    for step in (1..).step_by(8) {
        let env = base.fork().process_kill();
        let store = open(&env);
        env.fs.kill_at_change(env.fs.changes() + step);
        let done = store.compact(Compaction::Full, &mut none()).is_ok();
        drop(store);
        let env = env.crash(&CrashPolicy::STRICT);
        let store = open(&env);
        half_done += u64::from(is_half_done(&env));
        // Another one each time: the first, the last, and every bound in between.
        let page = step % 30;
        store.purge(name(page), Expect::Any, "", "").unwrap();
        let words = [name(page), format!("SECRETWORD-{page}-")];
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        names_all(&store, &env, &words);
        let reclaimed = store.reclaim(&mut none()).unwrap();
        assert!(reclaimed.is_complete(), "step {step}: {reclaimed:?}");
        assert_eq!(holding(&env, &words), Vec::<String>::new(), "step {step}, {}", name(page));
        assert!(report(&store).is_clear(), "step {step}: {:#?}", report(&store));
        assert_eq!(store.stats().unwrap().live_and_dead.1, 0, "step {step}");
        if step % 5 == 1 {
            sound(&store);
            store.compact(Compaction::Full, &mut none()).unwrap();
            assert_eq!(holding(&env, &words), Vec::<String>::new(), "step {step}, compacted");
            sound(&store);
        }
        if done {
            assert!(half_done > 5 && step > 60, "{half_done} of {step}");
            return;
        }
    }
}

#[test]
fn all_slots_of_a_revision_are_forgotten_and_those_that_others_have_are_asked_about() {
    let env = SimEnv::new(3);
    let store = builder(&env).open().unwrap();
    let slot = |word: &str| Some(format!("{} {word}", text(7)).into());
    let first = draft(1, "SECRETWORD main")
        .slot("data", slot("SECRETWORD data"))
        .slot("media", slot("SHAREDWORD media"));
    store.put("a", Expect::Absent, first).unwrap();
    let second =
        draft(2, "KEPTWORD").slot("media", slot("SHAREDWORD media")).slot("data", slot("KEPTWORD data"));
    store.put("a", Expect::Head(1), second).unwrap();
    store.compact(Compaction::Full, &mut none()).unwrap();
    // The second revision has one of the contents, too.
    let refused = store.forget(&Forgetting::revisions("a", 1, 1), &mut none()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains('2'), "{refused}");
    let leave = Forgetting::revisions("a", 1, 1).sharing(Sharing::Leave);
    store.forget(&leave, &mut none()).unwrap();
    names_all(&store, &env, &[b"SECRETWORD"]);
    store.reclaim(&mut none()).unwrap();
    let revision = |number| store.revision("a", number).unwrap().unwrap();
    assert_eq!(revision(1).content().unwrap(), Content::Forgotten);
    for (role, content) in revision(1).slots().unwrap() {
        assert_eq!(content, Content::Forgotten, "{role:?}");
    }
    let kept = revision(2).slots().unwrap();
    assert_eq!(kept.len(), 2);
    for (role, content) in kept {
        let word = if role == "media" { "SHAREDWORD" } else { "KEPTWORD" };
        let Content::Present(bytes) = content else { panic!("{role:?} is {content:?}") };
        assert!(String::from_utf8_lossy(&bytes).contains(word));
    }
    assert!(!holding(&env, &[b"SHAREDWORD"]).is_empty() && !holding(&env, &[b"KEPTWORD"]).is_empty());
    assert!(report(&store).is_clear());
    gone_for_good(store, &env, &[b"SECRETWORD"]);
    let store = builder(&env).open().unwrap();
    store.forget(&Forgetting::revisions("a", 2, 2), &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    gone_for_good(store, &env, &[b"SHAREDWORD", b"KEPTWORD"]);
}

#[test]
fn equal_contents_of_other_entities_are_found_by_their_digest_and_reused_ones_with_them() {
    let env = SimEnv::new(4);
    let store = builder(&env).open().unwrap();
    let same = format!("{} SAMEWORD", text(3));
    for name in ["a", "b", "c"] {
        store.put(name, Expect::Absent, Draft::new(same.clone())).unwrap();
        store.put(name, Expect::Any, draft(4, "")).unwrap();
        store.revert(name, Expect::Any, 1).unwrap();
    }
    store.compact(Compaction::Full, &mut none()).unwrap();
    let digest = recension::Digest::of(same.as_bytes());
    // By digest all are meant that have it, those that reuse it included.
    let done = store.forget(&Forgetting::digest(digest), &mut none()).unwrap();
    assert_eq!((done.entities, done.revisions), (3, 6));
    names_all(&store, &env, &[b"SAMEWORD"]);
    store.reclaim(&mut none()).unwrap();
    gone_for_good(store, &env, &[b"SAMEWORD"]);
}

#[test]
fn readers_that_began_before_the_forgetting_are_told_nothing_after_it() {
    let env = SimEnv::new(5);
    let store = builder(&env).open().unwrap();
    for edit in 0..40 {
        store.put("Page 4", Expect::Any, secret(edit)).unwrap();
        store.put(format!("Other {edit}"), Expect::Any, secret(edit)).unwrap();
        write(&store, edit..edit + 1);
    }
    env.jobs.run_until_idle(1000);
    let snapshot = store.snapshot();
    let held: Vec<Revision> =
        (1..=3).map(|number| store.revision("Page 4", number).unwrap().unwrap()).collect();
    held[0].content().unwrap();
    held[1].fields().unwrap();
    let mut newest_first = store.history("Page 4").unwrap();
    let mut oldest_first = store.history("Page 4").unwrap().rev();
    let mut of_snapshot = snapshot.history("Page 4").unwrap();
    let mut heads = snapshot.heads(EntityRange::prefix(b"Other"));
    let mut feed = store.changes(0).unwrap();
    for iterator in [&mut newest_first as &mut dyn Iterator<Item = _>, &mut oldest_first, &mut of_snapshot] {
        iterator.next().unwrap().unwrap();
    }
    heads.next().unwrap().unwrap();
    feed.next().unwrap().unwrap();

    for name in std::iter::once("Page 4".to_owned()).chain((0..40).map(|edit| format!("Other {edit}"))) {
        let all = Forgetting::revisions(&name, 1, u64::MAX).fields(FieldMask::ALL).sharing(Sharing::Include);
        store.forget(&all, &mut none()).unwrap();
    }
    let rest = |store: &Store| {
        held.iter().for_each(tells_nothing);
        for number in 1..=40 {
            if let Some(revision) = snapshot.revision("Page 4", number).unwrap() {
                tells_nothing(&revision);
            }
        }
        let head = store.snapshot().head("Page 4").unwrap();
        tells_nothing(head.revision().unwrap());
    };
    rest(&store);
    // Some before the bytes are gone, some after.
    for _ in 0..5 {
        tells_nothing(&newest_first.next().unwrap().unwrap());
        tells_nothing(&oldest_first.next().unwrap().unwrap());
    }
    store.reclaim(&mut none()).unwrap();
    rest(&store);
    newest_first
        .chain(oldest_first)
        .chain(of_snapshot)
        .for_each(|revision| tells_nothing(&revision.unwrap()));
    heads.for_each(|head| tells_nothing(head.unwrap().revision().unwrap()));
    for change in feed {
        if let ChangeKind::Revision(revision) = change.unwrap().kind
            && revision.entity().as_bytes() != b"Page 4"
        {
            tells_nothing(&revision);
        }
    }
    // The snapshot and the handles hold no file any more that has the bytes.
    drop((held, snapshot));
    gone_for_good(store, &env, &WORDS);
}

#[test]
fn a_checkpoint_of_before_the_erasing_is_restored_without_what_was_forgotten() {
    for reclaimed in [false, true] {
        let env = SimEnv::new(6);
        let store = builder(&env).open().unwrap();
        for edit in 0..30 {
            store.put("Page 4", Expect::Any, secret(edit)).unwrap();
            store.put("NAMEWORD", Expect::Any, secret(edit)).unwrap();
            write(&store, edit..edit + 1);
        }
        env.jobs.run_until_idle(300);
        // Before the forgetting, and between that and the erasing.
        store.checkpoint("/first").unwrap();
        let last = store.head("Page 4").unwrap().number();
        store
            .forget(
                &Forgetting::revisions("Page 4", 1, last).fields(FieldMask::ALL).sharing(Sharing::Include),
                &mut none(),
            )
            .unwrap();
        store.purge("NAMEWORD", Expect::Any, "", "").unwrap();
        store.checkpoint("/second").unwrap();
        if reclaimed {
            store.reclaim(&mut none()).unwrap();
            store.checkpoint("/third").unwrap();
            let words: Vec<&[u8]> = [&WORDS[..], &[b"NAMEWORD"]].concat();
            let held = holding(&env, &words);
            assert!(held.iter().all(|path| !path.starts_with("/third")), "{held:?}");
        }
        store.close().unwrap();
        drop(store);
        for from in ["/first", "/second"] {
            let to = format!("/again{from}");
            let annotations = AnnotationsFrom::Store("/store".into());
            let at = |dir: &str| {
                recension::Store::builder(dir).limits(recension::limits::Limits::TINY).env(env.env())
            };
            at(&to).restore(from, &annotations, &mut none()).unwrap();
            let store = at(&to).open().unwrap();
            assert!(matches!(store.head("NAMEWORD").unwrap(), Head::Purged(_)), "{from}");
            for revision in store.history("Page 4").unwrap() {
                let revision = revision.unwrap();
                assert_eq!(revision.content().unwrap(), Content::Forgotten, "{from}");
                tells_nothing(&revision);
            }
            let named = report(&store);
            assert!(named.held.iter().any(|held| held.path == Path::new(from)), "{named:#?}");
            assert!(store.reclaim(&mut none()).unwrap().is_complete());
            let words: Vec<&[u8]> = [&WORDS[..], &[b"NAMEWORD"]].concat();
            let held = holding(&env, &words);
            assert!(held.iter().all(|path| !path.starts_with(&to)), "{from}: {held:?}");
            sound(&store);
        }
    }
}

#[test]
fn a_file_that_nobody_knows_is_named_when_opening_has_put_it_into_lost() {
    let env = SimEnv::new(7);
    let store = builder(&env).open().unwrap();
    for edit in 0..40 {
        store.put("Page 4", Expect::Any, secret(edit)).unwrap();
    }
    store.compact(Compaction::Full, &mut none()).unwrap();
    let old: Vec<(String, Vec<u8>)> = holding(&env, &WORDS)
        .into_iter()
        .filter(|path| path.ends_with(".pack") || path.ends_with(".tab"))
        .map(|path| (path.clone(), env.fs.read_file(&path).unwrap()))
        .collect();
    assert!(old.len() > 1, "{old:?}");
    let all = Forgetting::revisions("Page 4", 1, u64::MAX).fields(FieldMask::ALL).sharing(Sharing::Include);
    store.forget(&all, &mut none()).unwrap();
    store.reclaim(&mut none()).unwrap();
    store.close().unwrap();
    drop(store);
    // So the store has forgotten that they ever were its own.
    builder(&env).open().unwrap().close().unwrap();
    // Somebody brings them back from a backup.
    old.iter().for_each(|(path, bytes)| env.fs.write_file(path, bytes).unwrap());
    let store = builder(&env).open().unwrap();
    let held = holding(&env, &WORDS);
    assert_eq!(held.len(), old.len());
    assert!(held.iter().all(|path| path.starts_with("/store/lost/")), "{held:?}");
    let named: Vec<String> = report(&store).held.iter().map(|held| held.path.display().to_string()).collect();
    assert_eq!(named, held);
    held.iter().for_each(|path| env.fs.remove(path).unwrap());
    gone_for_good(store, &env, &WORDS);
}

#[test]
fn a_batch_of_contents_that_were_compressed_together_is_taken_apart() {
    let env = SimEnv::new(2);
    let store = builder(&env).packing(Packing::WhenAsked).open().unwrap();
    let mut batch = Batch::new();
    for edit in 0..12 {
        let word = if edit % 3 == 1 { "SECRETWORD" } else { "KEPTWORD" };
        batch = batch.put("a", Expect::Any, draft(edit, &format!("{word} {edit}"))).unwrap();
    }
    store.commit(batch).unwrap();
    for number in (2..=12).step_by(3) {
        store.forget(&Forgetting::revisions("a", number, number), &mut none()).unwrap();
    }
    names_all(&store, &env, &[b"SECRETWORD"]);
    store.reclaim(&mut none()).unwrap();
    for number in 1..=12 {
        let content = store.revision("a", number).unwrap().unwrap().content().unwrap();
        assert_eq!(content == Content::Forgotten, number % 3 == 2, "{number}");
    }
    gone_for_good(store, &env, &[b"SECRETWORD"]);
}

#[test]
fn a_repair_saves_what_is_kept_and_brings_nothing_back_of_what_was_erased() {
    for (reclaimed, index) in [(false, true), (false, false), (true, true), (true, false)] {
        let env = SimEnv::new(11);
        let store = builder(&env).open().unwrap();
        for edit in 0..40 {
            store.put("Page 4", Expect::Any, secret(edit)).unwrap();
            store.put("NAMEWORD", Expect::Any, secret(edit)).unwrap();
            write(&store, edit..edit + 1);
        }
        store.compact(Compaction::Due, &mut none()).unwrap();
        let last = store.head("Page 4").unwrap().number();
        let all = Forgetting::revisions("Page 4", 1, last).fields(FieldMask::ALL).sharing(Sharing::Include);
        store.forget(&all, &mut none()).unwrap();
        store.purge("NAMEWORD", Expect::Any, "", "").unwrap();
        if reclaimed {
            store.reclaim(&mut none()).unwrap();
        }
        let told = |store: &Store, name: &str| -> Vec<String> {
            let history = store.history(name).unwrap().map(Result::unwrap);
            history
                .map(|it| format!("{} {:?} {:?}", it.number(), it.content().unwrap(), it.fields().unwrap()))
                .collect()
        };
        let names = ["Page 1", "Page 2", "Page 4"];
        let before: Vec<_> = names.iter().map(|name| told(&store, name)).collect();
        store.close().unwrap();
        drop(store);
        if !index {
            let derived = |path: &String| [".manifest", ".tab", ".kv"].iter().any(|it| path.ends_with(it));
            env.fs.files().into_iter().filter(derived).for_each(|path| env.fs.remove(&path).unwrap());
        }
        let saved = repair(&env.env(), "/store".as_ref(), "/mended".as_ref(), RepairMode::Apply, &mut none())
            .unwrap();
        assert_eq!((saved.lost, saved.damaged_files), (Vec::new(), Vec::new()));
        let store =
            Store::builder("/mended").limits(recension::limits::Limits::TINY).env(env.env()).open().unwrap();
        let after: Vec<_> = names.iter().map(|name| told(&store, name)).collect();
        assert_eq!(after, before);
        assert_eq!(store.head("NAMEWORD").unwrap(), Head::Purged(40));
        sound(&store);
        store.reclaim(&mut none()).unwrap();
        let words: Vec<&[u8]> = [&WORDS[..], &[b"NAMEWORD"]].concat();
        let held = holding(&env, &words);
        assert!(held.iter().all(|path| !path.starts_with("/mended")), "{held:?}");
    }
}
