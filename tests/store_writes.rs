//! What writes do: expectations, numbers, refusals, retries.
#![allow(clippy::disallowed_methods, reason = "tests look at real files and start threads")]

use recension::{
    AsOf, Batch, Content, Draft, Durability, ErrorKind, Expect, Flags, Head, Outcome, Store, Timestamp,
};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s.db")).unwrap();
    (dir, store)
}

fn text(head: Head) -> String {
    let revision = head.live().expect("a live head");
    String::from_utf8(revision.content().unwrap().into_bytes().unwrap().to_vec()).unwrap()
}

#[test]
fn a_first_revision_gets_number_one_and_is_the_head() {
    let (_dir, store) = store();
    let committed = store.put("Q1", Expect::Absent, Draft::new("one").author("ann").comment("")).unwrap();
    assert_eq!(committed.outcome(), Outcome::Written { revision: 1, sequence: 1 });
    let revision = store.get("Q1").unwrap().unwrap();
    assert_eq!(revision.number(), 1);
    assert_eq!(revision.parent(), 0);
    let fields = revision.fields().unwrap();
    assert_eq!(fields.author.as_deref(), Some(&b"ann"[..]));
    assert_eq!(fields.comment.as_deref(), Some(&b""[..]), "empty is not absent");
    assert_eq!(text(store.head("Q1").unwrap()), "one");
    assert_eq!(store.head("Q2").unwrap(), Head::Absent);
}

#[test]
fn a_stale_expectation_is_a_conflict_that_names_the_head_and_leaves_nothing_behind() {
    let (_dir, store) = store();
    store.put("Q1", Expect::Absent, Draft::new("one")).unwrap();
    for expect in [Expect::Absent, Expect::Head(2), Expect::Head(0)] {
        let error = store.put("Q1", expect, Draft::new("other")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("revision 1"), "{error}");
    }
    let error = store.put("Q2", Expect::Head(1), Draft::new("x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let next = store.put("Q1", Expect::Head(1), Draft::new("two")).unwrap();
    assert_eq!(next.outcome(), Outcome::Written { revision: 2, sequence: 2 }, "no number was used up");
}

#[test]
fn any_writes_behind_whatever_is_there() {
    let (_dir, store) = store();
    for n in 1..=5 {
        let outcome = store.put("Q1", Expect::Any, Draft::new(format!("{n}"))).unwrap().outcome();
        assert_eq!(outcome.revision(), Some(n));
    }
}

#[test]
fn a_batch_is_all_or_nothing_and_sees_its_own_earlier_changes() {
    let (_dir, store) = store();
    store.put("a", Expect::Absent, Draft::new("1")).unwrap();
    let bad = Batch::new()
        .put("b", Expect::Absent, Draft::new("1"))
        .unwrap()
        .put("a", Expect::Absent, Draft::new("2"))
        .unwrap();
    assert_eq!(store.commit(bad).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.head("b").unwrap(), Head::Absent);
    let good = Batch::new()
        .put("b", Expect::Absent, Draft::new("1"))
        .unwrap()
        .put("b", Expect::Head(1), Draft::new("2"))
        .unwrap()
        .require("a", Expect::Head(1))
        .unwrap();
    let committed = store.commit(good).unwrap();
    assert_eq!(committed.outcomes.len(), 3);
    assert_eq!(text(store.head("b").unwrap()), "2");
    // A point in the middle of the batch is rounded down.
    assert_eq!(store.as_of("b", AsOf::Sequence(2)).unwrap(), Head::Absent);
    assert_eq!(store.as_of("b", AsOf::Sequence(3)).unwrap().number(), 2);
}

#[test]
fn numbers_may_be_named_but_never_go_back() {
    let (_dir, store) = store();
    store.put("a", Expect::Any, Draft::new("x").number(100)).unwrap();
    let error = store.put("a", Expect::Any, Draft::new("y").number(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("100"), "{error}");
    assert_eq!(store.put("a", Expect::Head(100), Draft::new("z")).unwrap().outcome().revision(), Some(101));
    assert!(store.put("a", Expect::Any, Draft::new("z").number(1 << 63)).is_err());
}

#[test]
fn delete_and_undelete_are_revisions_and_history_stays_readable() {
    let (_dir, store) = store();
    store.put("a", Expect::Absent, Draft::new("one").content_type("text/x")).unwrap();
    store.delete("a", Expect::Head(1)).unwrap();
    assert!(matches!(store.head("a").unwrap(), Head::Deleted(revision) if revision.number() == 2));
    assert!(store.get("a").unwrap().is_none());
    assert_eq!(store.revision("a", 2).unwrap().unwrap().content().unwrap(), Content::Deleted);
    store.undelete("a", Expect::Head(2)).unwrap();
    let back = store.get("a").unwrap().unwrap();
    assert_eq!(back.number(), 3);
    assert_eq!(
        back.content_address(),
        store.revision("a", 1).unwrap().unwrap().content_address(),
        "no bytes written"
    );
    assert_eq!(back.fields().unwrap().content_type.as_deref(), Some(&b"text/x"[..]));
    assert_eq!(store.undelete("a", Expect::Head(3)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_revert_reuses_the_origin_and_never_chains() {
    let (_dir, store) = store();
    store.put("a", Expect::Absent, Draft::new("one").slot("side", Some("s1".into()))).unwrap();
    store.put("a", Expect::Any, Draft::new("two")).unwrap();
    store.revert("a", Expect::Any, 1).unwrap();
    store.revert("a", Expect::Any, 3).unwrap();
    let revision = store.get("a").unwrap().unwrap();
    assert_eq!(revision.number(), 4);
    assert_eq!(revision.content_address().unwrap().sequence, 1);
    assert_eq!(revision.content().unwrap().into_bytes().unwrap(), "one");
    let slots = revision.slots().unwrap();
    assert_eq!(slots.len(), 1);
    assert_eq!(slots[0].1.bytes().unwrap(), "s1");
    assert_eq!(store.revert("a", Expect::Any, 9).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn if_changed_writes_nothing_for_the_same_content() {
    let (_dir, store) = store();
    store.put("a", Expect::Absent, Draft::new("one")).unwrap();
    let same = store.put("a", Expect::Any, Draft::new("one").if_changed()).unwrap();
    assert_eq!(same.outcome(), Outcome::Unchanged { revision: 1 });
    assert_eq!(store.published(), 1);
    let stale = store.put("a", Expect::Head(9), Draft::new("one").if_changed());
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict, "the expectation comes first");
    let other = store.put("a", Expect::Any, Draft::new("two").if_changed()).unwrap();
    assert_eq!(other.outcome().revision(), Some(2));
    store.delete("a", Expect::Any).unwrap();
    let behind_tombstone = store.put("a", Expect::Any, Draft::new("two").if_changed()).unwrap();
    assert_eq!(behind_tombstone.outcome().revision(), Some(4), "a deleted head is not the same");
}

#[test]
fn a_retry_with_the_same_request_id_answers_with_the_first_revision() {
    let (dir, store) = store();
    let draft = || Draft::new("one").request_id([7; 16]);
    let first = store.put("a", Expect::Absent, draft()).unwrap();
    assert_eq!(first.outcome(), Outcome::Written { revision: 1, sequence: 1 });
    let again = store.put("a", Expect::Absent, draft()).unwrap();
    assert_eq!(again.outcome(), Outcome::Replayed { revision: 1, sequence: 1 });
    let other = store.put("a", Expect::Absent, Draft::new("two").request_id([7; 16]));
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Invalid, "the same id for another content");
    store.close().unwrap();
    let store = Store::open(dir.path().join("s.db")).unwrap();
    let restarted = store.put("a", Expect::Absent, draft()).unwrap();
    assert_eq!(restarted.outcome(), Outcome::Replayed { revision: 1, sequence: 1 });
    let batch = |n: &str| {
        Batch::new()
            .put("b", Expect::Any, Draft::new(format!("{n}1")))
            .unwrap()
            .put("c", Expect::Any, Draft::new(format!("{n}2")))
            .unwrap()
            .request_id([9; 16])
    };
    let first = store.commit(batch("x")).unwrap();
    let again = store.commit(batch("x")).unwrap();
    assert_eq!(first.sequence, again.sequence);
    assert!(again.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Replayed { .. })));
    assert_eq!(store.commit(batch("y")).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_request_id_is_that_of_all_contents_and_of_what_a_revert_brings_back() {
    let (_dir, store) = store();
    let slots = |one: &'static str, two: &'static str| {
        Draft::new("text").slot("one", Some(one.into())).slot("two", Some(two.into())).request_id([1; 16])
    };
    store.put("a", Expect::Absent, slots("x", "y")).unwrap();
    let again = store.put("a", Expect::Absent, slots("x", "y")).unwrap();
    assert_eq!(again.outcome(), Outcome::Replayed { revision: 1, sequence: 1 });
    let without = Draft::new("text").slot("one", Some("x".into())).request_id([1; 16]);
    let withheld = Draft::new("text").slot("one", Some("x".into())).slot("two", None).request_id([1; 16]);
    let numbered = slots("x", "y").number(9);
    for other in [slots("x", "z"), slots("y", "x"), without, withheld, numbered] {
        let refused = store.put("a", Expect::Any, other).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    }

    // Reverts: to another revision with the same contents is the same, to other contents is not.
    for text in ["one", "two", "one"] {
        store.put("b", Expect::Any, Draft::new(text)).unwrap();
    }
    let revert = |to| Draft::revert_to(to).request_id([2; 16]);
    let first = store.put("b", Expect::Head(3), revert(1)).unwrap().outcome();
    for to in [1, 3] {
        let again = store.put("b", Expect::Head(3), revert(to)).unwrap();
        assert_eq!(again.outcome().revision(), first.revision());
    }
    for other in [revert(2), revert(4), revert(7), Draft::undelete().request_id([2; 16])] {
        assert_eq!(store.put("b", Expect::Head(3), other).unwrap_err().kind(), ErrorKind::Invalid);
    }

    // An undelete answers for itself, a put of other words in its place does not.
    store.delete("b", Expect::Head(4)).unwrap();
    let undelete = || Draft::undelete().request_id([3; 16]);
    store.put("b", Expect::Head(5), undelete()).unwrap();
    let again = store.put("b", Expect::Head(5), undelete()).unwrap();
    assert!(matches!(again.outcome(), Outcome::Replayed { revision: 6, .. }), "{again:?}");
    let put = store.put("b", Expect::Head(5), Draft::new("other").request_id([3; 16]));
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_breaks_a_limit_is_refused_by_name() {
    let (_dir, store) = store();
    let invalid = |error: recension::Error| assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    invalid(store.put("", Expect::Any, Draft::new("x")).unwrap_err());
    invalid(store.put("x".repeat(513), Expect::Any, Draft::new("x")).unwrap_err());
    invalid(store.put("a", Expect::Any, Draft::new(vec![0; (16 << 20) + 1])).unwrap_err());
    invalid(store.put("a", Expect::Any, Draft::new("x").attribute("k", vec![0; 5000])).unwrap_err());
    invalid(store.put("a", Expect::Any, Draft::new("x").slot("main", None)).unwrap_err());
    store.put("a", Expect::Any, Draft::new(vec![0; 16 << 20])).unwrap();
    store.put("x".repeat(512), Expect::Any, Draft::new("")).unwrap();
    assert_eq!(store.published(), 2);
}

#[test]
fn effective_time_is_monotone_and_ignores_the_far_future() {
    let (_dir, store) = store();
    let at = |secs| Draft::new("x").authored(Timestamp::from_secs(secs));
    store.put("a", Expect::Any, at(1000)).unwrap();
    store.put("a", Expect::Any, at(500)).unwrap();
    store.put("a", Expect::Any, at(99_999_999_999)).unwrap();
    store.put("a", Expect::Any, at(2000)).unwrap();
    let times: Vec<i64> =
        store.history("a").unwrap().rev().map(|r| r.unwrap().effective_time().0 / 1_000_000).collect();
    assert_eq!(times, [1000, 1000, 1000, 2000]);
    let authored = store.revision("a", 2).unwrap().unwrap().authored_time();
    assert_eq!(authored, Some(Timestamp::from_secs(500)), "what was claimed is kept");
    assert_eq!(store.as_of("a", AsOf::EffectiveTime(Timestamp::from_secs(1500))).unwrap().number(), 3);
    assert_eq!(store.as_of("a", AsOf::EffectiveTime(Timestamp::from_secs(999))).unwrap(), Head::Absent);
}

#[test]
fn tickets_complete_in_any_order_of_waiting() {
    let (_dir, store) = store();
    let submit = |n: u64| {
        let batch = Batch::new().put("a", Expect::Head(n), Draft::new(format!("{n}"))).unwrap();
        store.submit(batch, Durability::Sync).unwrap()
    };
    store.put("a", Expect::Absent, Draft::new("0")).unwrap();
    let tickets: Vec<_> = (1..=20).map(submit).collect();
    for ticket in tickets.into_iter().rev() {
        ticket.wait().unwrap();
    }
    assert_eq!(store.head("a").unwrap().number(), 21);
    // Dropped without waiting: still written.
    drop(submit(21));
    store.sync().unwrap();
    assert_eq!(store.head("a").unwrap().number(), 22);
}

#[test]
fn many_threads_count_to_the_same_number_by_compare_and_swap() {
    let (_dir, store) = store();
    store.put("counter", Expect::Absent, Draft::new("0")).unwrap();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || {
                let mut done = 0;
                while done < 50 {
                    let head = store.get("counter").unwrap().unwrap();
                    let n: u64 = std::str::from_utf8(&head.content().unwrap().into_bytes().unwrap())
                        .unwrap()
                        .parse()
                        .unwrap();
                    let batch = Batch::new()
                        .put("counter", Expect::Head(head.number()), Draft::new((n + 1).to_string()))
                        .unwrap();
                    match store.commit_with(batch, Durability::Buffered) {
                        Ok(_) => done += 1,
                        Err(e) => assert_eq!(e.kind(), ErrorKind::Conflict),
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(text(store.head("counter").unwrap()), "400");
    assert_eq!(store.head("counter").unwrap().number(), 401);
}

#[test]
fn a_transaction_commits_only_if_what_it_read_by_name_is_unchanged() {
    let (_dir, store) = store();
    store.put("a", Expect::Absent, Draft::new("1")).unwrap();
    let mut good = store.transaction();
    assert_eq!(text(good.head("a").unwrap()), "1");
    assert_eq!(good.head("b").unwrap(), Head::Absent);
    good.put("b", Draft::new("from a")).unwrap();
    let committed = good.commit(Durability::Sync).unwrap();
    assert_eq!(committed.outcomes.len(), 1);

    let mut bad = store.transaction();
    bad.head("c").unwrap();
    bad.put("a", Draft::new("2")).unwrap();
    store.put("c", Expect::Absent, Draft::new("somebody else")).unwrap();
    assert_eq!(bad.commit(Durability::Sync).unwrap_err().kind(), ErrorKind::Conflict, "an absence was read");
    assert_eq!(text(store.head("a").unwrap()), "1");
}

#[test]
fn flags_and_withheld_contents_are_kept_apart_from_empty_ones() {
    let (_dir, store) = store();
    store.put("a", Expect::Any, Draft::withheld().flags(Flags::MINOR)).unwrap();
    store.put("a", Expect::Any, Draft::new("").flags(Flags::BOT)).unwrap();
    let first = store.revision("a", 1).unwrap().unwrap();
    assert_eq!(first.content().unwrap(), Content::Withheld);
    assert!(first.flags().contains(Flags::MINOR) && !first.flags().contains(Flags::BOT));
    assert_eq!(store.get("a").unwrap().unwrap().content().unwrap().into_bytes().unwrap().len(), 0);
}
