//! The physical side of forgetting: bytes of forgotten things leave the disk. See `markers` for how that is looked for.

#[path = "common/markers.rs"]
mod markers;

use markers::{builder, draft, gone_for_good, holding, names_all, none, report, sound, text, write};
use recension::sim::SimEnv;
use recension::{
    Compaction, Content, Digest, Draft, EntityRange, ErasureMode, Expect, FieldMask, Forgetting, Head,
    Hiding, Packing, Retention, Sharing, Timestamp,
};

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
