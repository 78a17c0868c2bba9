//! Forgetting, purging and retention as readers and writers see them.

mod common;

use std::path::Path;

use recension::{
    AsOf, Batch, ChangeKind, Compaction, Content, Digest, Draft, EntityRange, ErasureMode, Error, ErrorKind,
    Expect, FieldMask, Forgetting, Head, HeadState, LiveChangeKind, LiveChanges, Outcome, Progress,
    Retention, Sharing, Store, Timestamp,
};

fn open(dir: &Path) -> Store {
    Store::open(dir.join("store")).unwrap()
}

fn put(store: &Store, entity: &str, content: &str) -> u64 {
    let draft = Draft::new(content.to_owned()).author("ann").comment(format!("about {content}"));
    store.put(entity, Expect::Any, draft).unwrap().outcome().revision().unwrap()
}

fn forget(store: &Store, what: Forgetting) -> recension::Result<recension::Forgot> {
    store.forget(&what.actor("oversight").reason("request 7"), &mut Progress::none())
}

fn content(store: &Store, entity: &str, number: u64) -> Content {
    store.revision(entity, number).unwrap().unwrap().content().unwrap()
}

#[test]
fn what_is_forgotten_is_forgotten_on_every_path_at_once_and_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 1..=4 {
        put(&store, "a", &format!("secret {n}"));
    }
    // Everything that a reader may hold: a snapshot, a revision, a head in the cache, iterators, a cursor.
    let snapshot = store.snapshot();
    let held = store.revision("a", 2).unwrap().unwrap();
    assert!(store.head("a").unwrap().revision().unwrap().content().unwrap().bytes().is_some());
    let mut history = store.history("a").unwrap();
    history.next().unwrap().unwrap();
    let all = FieldMask::CONTENT.with(FieldMask::AUTHOR).with(FieldMask::COMMENT);
    let done = forget(&store, Forgetting::revisions("a", 2, u64::MAX).fields(all)).unwrap();
    assert_eq!((done.revisions, done.entities, done.commits), (3, 1, 1));

    let gone = |revision: &recension::Revision| {
        assert_eq!(revision.content().unwrap(), Content::Forgotten);
        assert_eq!(revision.content_unhidden().unwrap(), Content::Forgotten);
        assert_eq!(revision.digest().unwrap(), None);
        let fields = revision.fields().unwrap();
        assert_eq!((&fields.author, &fields.comment), (&None, &None));
    };
    let look = |store: &Store| {
        let head = store.head("a").unwrap();
        assert_eq!((head.number(), matches!(head, Head::Live(_))), (4, true), "a head keeps its number");
        gone(head.revision().unwrap());
        gone(&store.revision("a", 2).unwrap().unwrap());
        gone(store.as_of("a", AsOf::Sequence(3)).unwrap().revision().unwrap());
        for revision in store.history("a").unwrap().take(3) {
            gone(&revision.unwrap());
        }
        for head in store.heads(EntityRange::default()) {
            gone(head.unwrap().revision().unwrap());
        }
        for change in store.changes(1).unwrap() {
            if let ChangeKind::Revision(revision) = change.unwrap().kind {
                gone(&revision);
            }
        }
        assert_eq!(content(store, "a", 1), Content::Present("secret 1".into()));
    };
    look(&store);
    gone(&held);
    gone(snapshot.head("a").unwrap().revision().unwrap());
    gone(&history.next().unwrap().unwrap());
    for change in LiveChanges::open(store.path(), 1).map(std::iter::once).unwrap() {
        let mut live = change;
        while let Some(change) = live.poll().unwrap() {
            if let LiveChangeKind::Revision { row, fields, forgotten, .. } = change.kind {
                assert_eq!((forgotten, &fields.author), (all, &None));
                let raw = String::from_utf8_lossy(&row.cold).into_owned();
                assert!(!raw.contains("ann") && !raw.contains("secret"), "{raw}");
                assert_eq!(row.content.unwrap().tag, 0, "no piece of the digest either");
            }
        }
    }
    // Neither a show nor a hide, a flush, a compaction nor a reopen brings it back.
    let hiding = recension::Hiding {
        entity: b"a".to_vec(),
        first: 1,
        last: 9,
        fields: FieldMask::ALL,
        actor: String::new(),
        reason: String::new(),
    };
    store.show(hiding).unwrap();
    look(&store);
    store.flush().unwrap();
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    look(&store);
    store.close().unwrap();
    look(&open(dir.path()));
    look(&Store::builder(dir.path().join("store")).read_only().open().unwrap());
}

#[test]
fn writes_do_not_bring_back_what_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = [7; 16];
    store.put("a", Expect::Absent, Draft::new("first").request_id(id)).unwrap();
    put(&store, "a", "second");
    store.delete("a", Expect::Head(2)).unwrap();
    forget(&store, Forgetting::revisions("a", 1, 2)).unwrap();
    assert_eq!(store.revert("a", Expect::Head(3), 1).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.undelete("a", Expect::Head(3)).unwrap_err().kind(), ErrorKind::Invalid);
    // A retry is answered by its id, not by a comparison that would tell what the content was.
    for guess in ["first", "another"] {
        let again = store.put("a", Expect::Absent, Draft::new(guess).request_id(id)).unwrap();
        assert!(matches!(again.outcome(), Outcome::Replayed { revision: 1, .. }));
    }
    put(&store, "a", "third");
    forget(&store, Forgetting::revisions("a", 4, 4)).unwrap();
    let same = store.put("a", Expect::Any, Draft::new("third").if_changed()).unwrap();
    assert!(matches!(same.outcome(), Outcome::Written { revision: 5, .. }), "{same:?}");
}

#[test]
fn who_shares_a_content_loses_the_content_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "same");
    put(&store, "a", "other");
    store.revert("a", Expect::Head(2), 1).unwrap();
    let what = Forgetting::revisions("a", 3, 3).fields(FieldMask::ALL).sharing(Sharing::Include);
    assert_eq!(forget(&store, what).unwrap().revisions, 2);
    assert_eq!(content(&store, "a", 1), Content::Forgotten);
    assert_eq!(content(&store, "a", 3), Content::Forgotten);
    let forgotten = |number| store.revision("a", number).unwrap().unwrap().forgotten();
    assert_eq!((forgotten(1), forgotten(3)), (FieldMask::CONTENT, FieldMask::ALL));
}

#[test]
fn a_content_that_others_have_is_refused_unless_all_are_meant() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "x");
    put(&store, "a", "y");
    store.revert("a", Expect::Head(2), 1).unwrap();
    put(&store, "a", "x");
    let one = || Forgetting::revisions("a", 1, 1);
    match forget(&store, one()) {
        Err(Error::Shared { count: 2, revisions, .. }) => assert_eq!(revisions, [3, 4]),
        other => panic!("{other:?}"),
    }
    assert_eq!(content(&store, "a", 1), Content::Present("x".into()), "nothing was forgotten");
    assert_eq!(
        forget(&store, one().fields(FieldMask::AUTHOR)).unwrap().revisions,
        1,
        "authors are not shared"
    );
    assert_eq!(forget(&store, one().sharing(Sharing::Leave)).unwrap().revisions, 1);
    assert_eq!(content(&store, "a", 1), Content::Forgotten);
    assert_eq!(content(&store, "a", 3), Content::Present("x".into()));
    let preview =
        forget(&store, Forgetting::revisions("a", 3, 3).sharing(Sharing::Include).preview()).unwrap();
    assert_eq!((preview.revisions, preview.commits), (2, 0));
    assert_eq!(
        forget(&store, Forgetting::revisions("a", 3, 3).sharing(Sharing::Include)).unwrap().revisions,
        2
    );
    assert_eq!(content(&store, "a", 4), Content::Forgotten);
    assert_eq!(content(&store, "a", 2), Content::Present("y".into()));
}

#[test]
fn an_author_and_a_content_are_forgotten_everywhere_and_the_log_does_not_name_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..700 {
        put(&store, &format!("page {n}"), if n % 2 == 0 { "spam" } else { "text" });
    }
    let by = forget(&store, Forgetting::author("ann")).unwrap();
    assert_eq!((by.revisions, by.entities, by.commits), (700, 700, 2));
    assert_eq!(forget(&store, Forgetting::author("ann")).unwrap().commits, 0, "done is done");
    let digest = Digest::of(b"spam");
    assert_eq!(forget(&store, Forgetting::digest(digest)).unwrap().revisions, 350);
    assert_eq!(content(&store, "page 2", 1), Content::Forgotten);
    assert_eq!(content(&store, "page 3", 1), Content::Present("text".into()));
    let mut jobs = std::collections::BTreeMap::<u64, (u64, bool)>::new();
    for change in store.changes(700).unwrap() {
        let ChangeKind::Annotation(word) = change.unwrap().kind else { panic!("annotations only") };
        let said = format!("{word:?}");
        assert!(!said.contains("ann\"") && !said.contains(&digest.to_string()), "{said}");
        let erasure = word.erasure.unwrap();
        let job = jobs.entry(erasure.job).or_default();
        *job = (job.0 + 1, erasure.more);
    }
    assert_eq!(jobs.into_values().map(|job| job.0).sum::<u64>(), 1050);
    assert!(store.stats().unwrap().latched.is_none());
}

#[test]
fn a_job_says_when_it_is_done_and_goes_on_after_an_interruption() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..1300 {
        put(&store, &format!("{n:04}"), "text");
    }
    let mut steps = 0;
    let mut stop = |_: &'static str, _, _| {
        steps += 1;
        steps < 12
    };
    let stopped = store.forget(&Forgetting::author("ann"), &mut Progress::new(&mut stop));
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    let more = |store: &Store| {
        let last = store.changes(store.published() - 1).unwrap().next().unwrap().unwrap();
        let ChangeKind::Annotation(word) = last.kind else { panic!("an annotation") };
        word.erasure.unwrap().more
    };
    assert!(more(&store), "it was interrupted, and says so");
    let listed = |store: &Store| store.erasure_report(&mut Progress::none()).unwrap().interrupted;
    let [interrupted] = &listed(&store)[..] else { panic!("{:?}", listed(&store)) };
    assert_eq!((interrupted.fields, interrupted.sequence), (FieldMask::AUTHOR, store.published()));
    let job = interrupted.job;

    // It goes on under its own id, also in another process, and is not listed any more.
    store.flush().unwrap();
    store.close().unwrap();
    drop(store);
    let store = open(dir.path());
    assert_eq!(listed(&store)[0].job, job);
    let wrong = forget(&store, Forgetting::author("ann").resume(job ^ 1)).unwrap_err();
    assert!(
        wrong.kind() == ErrorKind::Invalid && wrong.to_string().contains(&format!("{job:016x}")),
        "{wrong}"
    );
    let rest = forget(&store, Forgetting::author("ann").resume(job)).unwrap();
    assert!(rest.revisions > 0 && rest.revisions < 1300 && rest.job == job, "{rest:?}");
    assert!(!more(&store));
    assert_eq!(listed(&store), []);
    assert_eq!(forget(&store, Forgetting::author("ann")).unwrap().revisions, 0);
    assert_eq!(forget(&store, Forgetting::author("ann").resume(job)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_job_of_which_only_the_end_was_not_said_is_ended_by_resuming_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 0..1100 {
        put(&store, &format!("{n:04}"), "text");
    }
    let mut steps = 0;
    let mut stop = |_: &'static str, _, _| {
        steps += 1;
        steps < 12
    };
    forget(&store, Forgetting::author("ann").preview()).unwrap();
    store.forget(&Forgetting::author("ann"), &mut Progress::new(&mut stop)).unwrap_err();
    let job = store.erasure_report(&mut Progress::none()).unwrap().interrupted[0].job;
    // Somebody else does the rest, under another id.
    let rest = forget(&store, Forgetting::author("ann")).unwrap();
    assert!(rest.revisions > 0 && rest.job != job);
    assert_eq!(store.erasure_report(&mut Progress::none()).unwrap().interrupted.len(), 1, "it stays listed");
    let end = forget(&store, Forgetting::author("ann").resume(job)).unwrap();
    assert_eq!((end.job, end.revisions, end.commits), (job, 0, 1));
    assert_eq!(store.erasure_report(&mut Progress::none()).unwrap().interrupted, []);
    // A retention is another kind of job.
    let retention = Retention {
        range: EntityRange::default(),
        superseded_before: Timestamp(i64::MAX),
        keep_older: 0,
        fields: FieldMask::CONTENT,
        mode: ErasureMode::Resume(job),
        actor: String::new(),
        reason: String::new(),
    };
    assert_eq!(store.retain(&retention, &mut Progress::none()).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_purged_entity_is_gone_with_its_name_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "Jane Doe", "one");
    put(&store, "Jane Doe", "two");
    put(&store, "other", "x");
    let held = store.revision("Jane Doe", 1).unwrap().unwrap();
    let snapshot = store.snapshot();
    let mut transaction = store.transaction();
    transaction.head("Jane Doe").unwrap();
    transaction.put("other", Draft::new("y")).unwrap();
    assert!(store.purge("Jane Doe", Expect::Head(1), "", "").is_err());
    assert!(store.purge("nobody", Expect::Any, "", "").is_err());
    store.purge("Jane Doe", Expect::Head(2), "oversight", "request 8").unwrap();
    assert_eq!(transaction.commit(Default::default()).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(held.content().unwrap(), Content::Forgotten);
    let look = |store: &Store, head: Head| {
        assert_eq!(store.head("Jane Doe").unwrap(), head);
        assert_eq!(store.revision("Jane Doe", 1).unwrap(), None);
        assert_eq!(store.as_of("Jane Doe", AsOf::Sequence(1)).unwrap(), Head::Purged(2));
        assert_eq!(store.purged("Jane Doe").unwrap(), Some(2));
        let numbers: Vec<u64> =
            store.history("Jane Doe").unwrap().rev().map(|revision| revision.unwrap().number()).collect();
        assert_eq!(
            numbers,
            head.revision().map(|revision| revision.number()).into_iter().collect::<Vec<_>>()
        );
        let named = store.heads_as_of(EntityRange::default(), AsOf::Sequence(3)).count();
        assert_eq!(named, 1, "its name is in no list");
        let mut kinds = store.changes(0).unwrap().map(|change| change.unwrap().kind);
        assert!(matches!(kinds.next(), Some(ChangeKind::Purged)));
        assert!(matches!(kinds.next(), Some(ChangeKind::Purged)));
        assert!(matches!(kinds.next(), Some(ChangeKind::Revision(_))));
        match kinds.next() {
            Some(ChangeKind::Annotation(word)) => {
                assert_eq!((word.last, &word.actor[..]), (2, "oversight"));
                assert!(!format!("{word:?}").contains("Jane"));
            }
            other => panic!("{other:?}"),
        }
    };
    look(&store, Head::Purged(2));
    assert_eq!(snapshot.head("Jane Doe").unwrap(), Head::Purged(2));
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    look(&store, Head::Purged(2));
    store.close().unwrap();
    let store = open(dir.path());
    look(&store, Head::Purged(2));
    // Whoever read revision 2 before the purge must not write its text again behind it.
    for expect in [Expect::Absent, Expect::Head(2)] {
        match store.put("Jane Doe", expect, Draft::new("again")) {
            Err(Error::Conflict { actual: HeadState::Purged(2), .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(store.revert("Jane Doe", Expect::Any, 1).is_err());
    store.put("Jane Doe", Expect::Any, Draft::new("somebody else")).unwrap();
    let head = store.head("Jane Doe").unwrap();
    let revision = head.revision().unwrap();
    assert_eq!(
        (revision.number(), revision.parent()),
        (3, 0),
        "numbers go on, and what is gone is no parent"
    );
    look(&store, head);
}

#[test]
fn an_annotation_of_before_a_purge_says_nothing_of_what_came_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "x");
    let hiding = recension::Hiding {
        entity: b"a".to_vec(),
        first: 1,
        last: u64::MAX,
        fields: FieldMask::ALL,
        actor: String::new(),
        reason: String::new(),
    };
    store.hide(hiding).unwrap();
    store.purge("a", Expect::Any, "", "").unwrap();
    put(&store, "a", "y");
    assert_eq!(content(&store, "a", 2), Content::Present("y".into()));
    assert!(matches!(store.changes(1).unwrap().next().unwrap().unwrap().kind, ChangeKind::Purged));
}

#[test]
fn retention_keeps_the_head_and_so_many_versions_and_what_they_share() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for n in 1..=5 {
        put(&store, "a", &format!("text {n}"));
    }
    store.revert("a", Expect::Head(5), 1).unwrap();
    put(&store, "b", "alone");
    let retention = |keep_older, superseded_before| Retention {
        range: EntityRange::default(),
        superseded_before,
        keep_older,
        fields: FieldMask::CONTENT,
        mode: ErasureMode::Do,
        actor: "janitor".into(),
        reason: "policy".into(),
    };
    let retain = |keep, before| store.retain(&retention(keep, before), &mut Progress::none()).unwrap();
    assert_eq!(retain(0, Timestamp(0)).revisions, 0, "nothing was superseded that long ago");
    assert_eq!(retain(2, Timestamp(i64::MAX)).revisions, 3);
    for (number, expected) in [(3, Content::Forgotten), (4, Content::Present("text 4".into()))] {
        assert_eq!(content(&store, "a", number), expected);
    }
    assert_eq!(retain(2, Timestamp(i64::MAX)).revisions, 0);
    // Revision 3 was superseded by revision 4, whenever that was committed.
    let fourth = store.revision("a", 5).unwrap().unwrap().commit_time();
    assert_eq!(retain(0, Timestamp(fourth.0 + 1)).revisions, 1);
    assert_eq!(retain(0, Timestamp(i64::MAX)).revisions, 1, "the head is always kept");
    assert_eq!(content(&store, "a", 1), Content::Forgotten);
    assert_eq!(
        content(&store, "a", 6),
        Content::Present("text 1".into()),
        "its content is that of revision 1"
    );
    assert_eq!(content(&store, "b", 1), Content::Present("alone".into()));
}

#[test]
fn a_range_that_is_open_ends_at_the_head_of_now() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "x");
    forget(&store, Forgetting::revisions("a", 1, u64::MAX)).unwrap();
    put(&store, "a", "y");
    assert_eq!(content(&store, "a", 2), Content::Present("y".into()));
    assert!(forget(&store, Forgetting::revisions("nobody", 1, 2)).is_err());
    assert!(forget(&store, Forgetting::revisions("a", 2, 1)).is_err());
    assert!(forget(&store, Forgetting::revisions("a", 1, 1).fields(FieldMask::default())).is_err());
}

#[test]
fn a_revert_and_a_forget_at_once_never_leave_a_revision_with_a_forgotten_content() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for round in 0..60 {
        let entity = format!("e{round}");
        put(&store, &entity, "secret");
        put(&store, &entity, "later");
        std::thread::scope(|scope| {
            scope.spawn(|| _ = store.revert(&entity, Expect::Any, 1));
            scope.spawn(|| {
                let what = Forgetting::revisions(&entity, 1, 1).sharing(Sharing::Include);
                forget(&store, what).unwrap();
            });
        });
        for revision in store.history(&entity).unwrap() {
            let content = revision.unwrap().content().unwrap();
            assert_ne!(content, Content::Present("secret".into()), "round {round}");
        }
    }
    // Whoever has a batch with both sees the same.
    let batch = Batch::new().require("e0", Expect::Any).unwrap();
    store.commit(batch).unwrap();
}
