//! What reads show: history, ranges, time travel, the feed, hiding; the same from memory, from tables and after a reopen.
#![allow(clippy::disallowed_methods, reason = "tests look at real files and start threads")]

use std::time::Duration;

use recension::limits::Limits;
use recension::{
    AsOf, Batch, ChangeKind, Compaction, Content, Draft, EntityRange, ErrorKind, Expect, FieldMask, Head,
    Hiding, Progress, Store, Timestamp,
};

fn tiny(path: &std::path::Path) -> Store {
    Store::builder(path).limits(Limits::TINY).open().unwrap()
}

fn number_text(n: u64) -> String {
    format!("revision {n} {}", "x".repeat((n as usize * 37) % 300))
}

/// 20 entities with histories of 1 to 40 revisions, authored a second apart.
fn fill(store: &Store) {
    let mut time = 0;
    for round in 1..=40_u64 {
        for entity in 0..20_u64 {
            if round <= 1 + entity * 2 {
                time += 1;
                let draft = Draft::new(number_text(round))
                    .authored(Timestamp::from_secs(time))
                    .comment(format!("r{round}"));
                store.put(format!("e{entity:02}"), Expect::Head(round - 1).min_absent(), draft).unwrap();
            }
        }
    }
}

trait MinAbsent {
    fn min_absent(self) -> Self;
}

impl MinAbsent for Expect {
    fn min_absent(self) -> Self {
        if self == Expect::Head(0) { Expect::Absent } else { self }
    }
}

fn check_all(store: &Store) {
    for entity in 0..20_u64 {
        let name = format!("e{entity:02}");
        let last = (1 + entity * 2).min(40);
        let head = store.get(&name).unwrap().unwrap();
        assert_eq!(head.number(), last);
        assert_eq!(head.content().unwrap().into_bytes().unwrap(), number_text(last));
        let down: Vec<u64> = store.history(&name).unwrap().map(|r| r.unwrap().number()).collect();
        assert_eq!(down, (1..=last).rev().collect::<Vec<_>>());
        let up: Vec<u64> = store.history(&name).unwrap().rev().map(|r| r.unwrap().number()).collect();
        assert_eq!(up, (1..=last).collect::<Vec<_>>());
        for n in 1..=last {
            let revision = store.revision(&name, n).unwrap().unwrap();
            assert_eq!(revision.content().unwrap().into_bytes().unwrap(), number_text(n));
            assert_eq!(revision.fields().unwrap().comment.as_deref().unwrap(), format!("r{n}").as_bytes());
            assert_eq!(revision.digest().unwrap().unwrap(), recension::Digest::of(number_text(n).as_bytes()));
            let then = store.as_of(&name, AsOf::Sequence(revision.sequence())).unwrap();
            assert_eq!(then.number(), n);
            let time = revision.authored_time().unwrap();
            assert_eq!(store.as_of(&name, AsOf::EffectiveTime(time)).unwrap().number(), n);
            let before = store.as_of(&name, AsOf::Sequence(revision.sequence() - 1)).unwrap();
            assert_eq!(before.number(), n - 1);
        }
        assert!(store.revision(&name, last + 1).unwrap().is_none());
    }
    let names: Vec<String> = store
        .heads(EntityRange::default())
        .map(|head| head.unwrap().revision().unwrap().entity().to_string())
        .collect();
    assert_eq!(names, (0..20).map(|n| format!("e{n:02}")).collect::<Vec<_>>());
    let backwards: Vec<u64> = store.prefix("e1").rev().map(|head| head.unwrap().number()).collect();
    assert_eq!(backwards, (10..20_u64).rev().map(|n| (1 + n * 2).min(40)).collect::<Vec<_>>());
    let early = store.heads_as_of(EntityRange::default(), AsOf::Sequence(21));
    let early: Vec<u64> = early.map(|head| head.unwrap().number()).collect();
    assert_eq!(early.iter().sum::<u64>(), 21);
    let feed: Vec<u64> = store.changes(0).unwrap().map(|change| change.unwrap().sequence).collect();
    assert_eq!(feed, (1..=store.durable()).collect::<Vec<_>>());
    let tail: Vec<u64> =
        store.changes(feed.len() as u64 - 3).unwrap().map(|change| change.unwrap().sequence).collect();
    assert_eq!(tail.len(), 3);
}

#[test]
fn everything_reads_the_same_from_memory_from_tables_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = tiny(&path);
    fill(&store);
    check_all(&store);
    store.flush().unwrap();
    check_all(&store);
    store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    check_all(&store);
    let report = store.check(recension::CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.changes, store.durable());
    store.close().unwrap();
    let store = tiny(&path);
    assert!(store.open_report().clean);
    check_all(&store);
    drop(store);
    let store = tiny(&path);
    check_all(&store);
    let stats = store.stats().unwrap();
    assert!(stats.segments.0 + stats.packs.0 > 3, "{stats:?}");
}

#[test]
fn a_store_opened_for_reading_reads_all_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = tiny(&path);
    fill(&store);
    store.close().unwrap();
    let before: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
    let store = Store::builder(&path).limits(Limits::TINY).read_only().open().unwrap();
    check_all(&store);
    assert_eq!(store.put("a", Expect::Any, Draft::new("x")).unwrap_err().kind(), ErrorKind::Invalid);
    store.close().unwrap();
    let after: Vec<_> = std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(before, after);
    let missing = Store::builder(dir.path().join("none")).read_only().open();
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::Invalid);
    assert!(!dir.path().join("none").exists(), "reading never creates a store");
}

#[test]
fn a_snapshot_stays_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let store = tiny(&dir.path().join("s.db"));
    store.put("a", Expect::Absent, Draft::new("1")).unwrap();
    let snapshot = store.snapshot();
    for n in 1..200 {
        store.put("a", Expect::Head(n), Draft::new("more")).unwrap();
        store.put(format!("b{n}"), Expect::Absent, Draft::new("more")).unwrap();
    }
    store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert_eq!(snapshot.head("a").unwrap().number(), 1);
    assert_eq!(snapshot.heads(EntityRange::default()).count(), 1);
    assert_eq!(snapshot.history("a").unwrap().count(), 1);
    assert!(snapshot.revision("a", 2).unwrap().is_none());
}

#[test]
fn what_is_hidden_is_hidden_on_every_path_and_can_be_shown_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = tiny(&path);
    for n in 0..5 {
        let draft = Draft::new(format!("secret {n}")).author("ann").comment("why");
        store.put("a", Expect::Any, draft).unwrap();
    }
    let held = store.revision("a", 3).unwrap().unwrap();
    let snapshot = store.snapshot();
    let what = |fields, first, last| Hiding {
        entity: b"a".to_vec(),
        first,
        last,
        fields,
        actor: "boss".into(),
        reason: "privacy".into(),
    };
    store.hide(what(FieldMask::CONTENT.with(FieldMask::AUTHOR), 2, 4)).unwrap();
    let see = |store: &Store, n: u64, hidden: bool| {
        let revision = store.revision("a", n).unwrap().unwrap();
        assert_eq!(revision.content().unwrap() == Content::Hidden, hidden, "revision {n}");
        assert_eq!(revision.fields().unwrap().author.is_none(), hidden);
        assert!(revision.fields().unwrap().comment.is_some());
    };
    assert_eq!(held.content().unwrap(), Content::Hidden, "a revision held since before");
    let old = snapshot.revision("a", 3).unwrap().unwrap();
    assert_eq!(old.content().unwrap(), Content::Hidden, "time travel does not see around it");
    assert_eq!(old.content_unhidden().unwrap().into_bytes().unwrap(), "secret 2");
    for reopened in [false, true] {
        let store = if reopened {
            store.flush().unwrap();
            store.clone()
        } else {
            store.clone()
        };
        see(&store, 1, false);
        (2..=4).for_each(|n| see(&store, n, true));
        see(&store, 5, false);
    }
    store.show(what(FieldMask::CONTENT.with(FieldMask::AUTHOR), 3, 3)).unwrap();
    see(&store, 3, false);
    store.close().unwrap();
    let store = tiny(&path);
    see(&store, 2, true);
    see(&store, 3, false);
    let annotations =
        store.changes(0).unwrap().filter(|c| matches!(c.as_ref().unwrap().kind, ChangeKind::Annotation(_)));
    assert_eq!(annotations.count(), 2);
}

#[test]
fn the_feed_says_where_a_commit_ends_and_waits_for_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = tiny(&dir.path().join("s.db"));
    let batch = (0..3)
        .fold(Batch::new(), |batch, n| batch.put(format!("e{n}"), Expect::Absent, Draft::new("x")).unwrap());
    store.commit(batch).unwrap();
    let mut feed = store.changes(0).unwrap();
    let rests: Vec<u32> = feed.by_ref().map(|change| change.unwrap().commit_rest).collect();
    assert_eq!(rests, [2, 1, 0]);
    assert!(feed.wait(Some(Duration::from_millis(1))).unwrap().is_none());
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || store.put("late", Expect::Absent, Draft::new("x")).unwrap())
    };
    let change = feed.wait(None).unwrap().unwrap();
    assert_eq!(change.sequence, 4);
    writer.join().unwrap();
    assert_eq!(store.changes(5).unwrap_err_kind(), ErrorKind::CursorLost);
    let closer = {
        let store = store.clone();
        std::thread::spawn(move || store.close().unwrap())
    };
    assert!(feed.wait(None).unwrap().is_none(), "closing ends the wait");
    closer.join().unwrap();
}

trait UnwrapErrKind {
    fn unwrap_err_kind(self) -> ErrorKind;
}

impl<T> UnwrapErrKind for recension::Result<T> {
    fn unwrap_err_kind(self) -> ErrorKind {
        self.err().expect("an error").kind()
    }
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = tiny(&dir.path().join("s.db"));
    fill(&store);
    let report = store.checkpoint(dir.path().join("copy.db")).unwrap();
    assert_eq!(report.sequence, store.durable());
    store.put("later", Expect::Absent, Draft::new("x")).unwrap();
    let copy = tiny(&dir.path().join("copy.db"));
    check_all(&copy);
    assert_eq!(copy.head("later").unwrap(), Head::Absent);
    copy.put("own", Expect::Absent, Draft::new("y")).unwrap();
    assert_eq!(store.head("own").unwrap(), Head::Absent);
    assert_eq!(store.checkpoint(dir.path().join("copy.db")).unwrap_err_kind(), ErrorKind::Invalid);
    drop(store);
    let report = copy.check(recension::CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn a_store_is_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = tiny(&path);
    let second = Store::open(&path).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Locked);
    assert!(second.to_string().contains("this process"), "{second}");
    store.close().unwrap();
    assert_eq!(store.put("a", Expect::Any, Draft::new("x")).unwrap_err_kind(), ErrorKind::Invalid);
    store.close().unwrap();
    Store::open(&path).unwrap();
}
