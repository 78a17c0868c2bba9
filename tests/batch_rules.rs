//! Rules of batches and of commits in flight that were broken once.

use recension::index::entity_hash;
use recension::limits::Limits;
use recension::sim::SimEnv;
use recension::{Batch, Content, Draft, Durability, ErrorKind, Expect, FieldMask, Hiding, Outcome, Store};

fn store() -> (SimEnv, Store) {
    let machine = SimEnv::new(1);
    let store = Store::builder("/s").limits(Limits::TINY).env(machine.env()).open().expect("a new store");
    (machine, store)
}

fn submit(store: &Store, batch: Batch) -> recension::Ticket {
    store.submit(batch, Durability::Buffered).expect("reserved")
}

#[test]
fn an_undelete_never_brings_back_an_older_content_than_that_of_its_own_batch() {
    let (_machine, store) = store();
    store.put("a", Expect::Absent, Draft::new("old")).unwrap();
    let batch = Batch::new().put("a", Expect::Head(1), Draft::new("new")).unwrap();
    let batch =
        batch.delete("a", Expect::Head(2)).unwrap().put("a", Expect::Head(3), Draft::undelete()).unwrap();
    assert_eq!(store.commit(batch).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.published(), 1);
}

#[test]
fn an_undelete_behind_a_named_number_of_the_same_batch_has_its_content() {
    let (_machine, store) = store();
    store.put("a", Expect::Absent, Draft::new("text")).unwrap();
    let batch = Batch::new().put("a", Expect::Head(1), Draft::tombstone().number(50)).unwrap();
    store.commit(batch.put("a", Expect::Head(50), Draft::undelete()).unwrap()).unwrap();
    let head = store.get("a").unwrap().unwrap();
    assert_eq!((head.number(), head.content().unwrap()), (51, Content::Present("text".into())));
}

#[test]
fn a_conflict_is_told_before_what_is_wrong_with_a_later_step() {
    let (_machine, store) = store();
    store.put("a", Expect::Absent, Draft::new("text")).unwrap();
    assert_eq!(store.revert("a", Expect::Head(7), 3).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.undelete("a", Expect::Head(7)).unwrap_err().kind(), ErrorKind::Conflict);
    let batch = Batch::new()
        .require("b", Expect::Head(1))
        .unwrap()
        .put("a", Expect::Any, Draft::revert_to(9))
        .unwrap();
    assert_eq!(store.commit(batch).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn what_rests_on_a_commit_in_flight_is_made_out_with_it() {
    let (_machine, store) = store();
    store.put("a", Expect::Absent, Draft::new("text")).unwrap();
    let deleted = submit(&store, Batch::new().delete("a", Expect::Head(1)).unwrap());
    let undeleted = store.undelete("a", Expect::Any).expect("it is deleted, though that is not published");
    assert_eq!(undeleted.outcome().revision(), Some(3));
    deleted.wait().unwrap();
    let put = submit(&store, Batch::new().put("a", Expect::Head(3), Draft::new("other")).unwrap());
    store.put("a", Expect::Any, Draft::new("third")).unwrap();
    put.wait().unwrap();
    let put = submit(&store, Batch::new().put("b", Expect::Absent, Draft::new("one")).unwrap());
    assert_eq!(store.revert("b", Expect::Head(1), 1).unwrap().outcome().revision(), Some(2));
    put.wait().unwrap();
}

#[test]
fn a_commit_in_flight_does_not_hold_up_another_entity_of_its_bucket() {
    let (_machine, store) = store();
    let bucket = |n: u32| entity_hash(n.to_string().as_bytes()) & 0xffff;
    let other = (1..u32::MAX).find(|n| bucket(*n) == bucket(0)).expect("a collision").to_string();
    let flight = submit(&store, Batch::new().put("0", Expect::Absent, Draft::new("x")).unwrap());
    // Nobody leads: this must not wait for the other one to be published by somebody else.
    let second = submit(&store, Batch::new().put(&other, Expect::Absent, Draft::new("y")).unwrap());
    assert_eq!(second.wait().unwrap().outcome(), Outcome::Written { revision: 1, sequence: 2 });
    assert_eq!(flight.wait().unwrap().outcome(), Outcome::Written { revision: 1, sequence: 1 });
}

#[test]
fn a_durable_answer_is_durable_although_it_wrote_nothing() {
    let draft = || Draft::new("text").request_id([1; 16]);
    let ways: [fn() -> Batch; 3] = [
        || Batch::new().put("a", Expect::Any, Draft::new("text").request_id([1; 16])).unwrap(),
        || Batch::new().put("a", Expect::Any, Draft::new("text").if_changed()).unwrap(),
        || Batch::new().require("a", Expect::Head(1)).unwrap(),
    ];
    for (in_flight, again) in ways.into_iter().flat_map(|way| [(false, way), (true, way)]) {
        let (_machine, store) = store();
        let flight = submit(&store, Batch::new().put("a", Expect::Absent, draft()).unwrap());
        if !in_flight {
            flight.wait().unwrap();
        }
        let answer = store.commit(again()).unwrap();
        assert!(!matches!(answer.outcome(), Outcome::Written { .. }));
        assert_eq!((answer.sequence, store.durable()), (1, 1), "{:?}", answer.outcome());
    }
}

#[test]
fn a_revert_to_a_withheld_content_keeps_the_other_slots() {
    let (_machine, store) = store();
    store
        .put("a", Expect::Absent, Draft::withheld().slot("side", Some("s".into())).content_type("x"))
        .unwrap();
    store.put("a", Expect::Any, Draft::new("text")).unwrap();
    store.revert("a", Expect::Any, 1).unwrap();
    let head = store.get("a").unwrap().unwrap();
    assert_eq!(head.content().unwrap(), Content::Withheld);
    assert_eq!(head.slots().unwrap(), [("side".into(), Content::Present("s".into()))]);
    assert_eq!(head.fields().unwrap().content_type.as_deref(), Some(&b"x"[..]));
}

#[test]
fn all_later_revisions_can_be_hidden() {
    let (_machine, store) = store();
    store.put("a", Expect::Absent, Draft::new("one")).unwrap();
    let all = |first| Hiding {
        entity: b"a".to_vec(),
        first,
        last: u64::MAX,
        fields: FieldMask::CONTENT,
        actor: String::new(),
        reason: String::new(),
    };
    store.hide(all(2)).unwrap();
    store.put("a", Expect::Any, Draft::new("two")).unwrap();
    assert_eq!(store.get("a").unwrap().unwrap().content().unwrap(), Content::Hidden);
    assert_eq!(store.hide(all(u64::MAX)).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_request_that_was_made_without_an_annotation_is_not_the_one_with_it() {
    let hiding = |last| Hiding {
        entity: b"a".to_vec(),
        first: 1,
        last,
        fields: FieldMask::CONTENT,
        actor: "x".into(),
        reason: String::new(),
    };
    let put = || Draft::new("text").request_id([5; 16]);
    let with = |last| Batch::new().hide(hiding(last)).unwrap().put("b", Expect::Any, put()).unwrap();
    let (_machine, store) = store();
    store.put("a", Expect::Absent, Draft::new("one")).unwrap();
    store.put("b", Expect::Absent, put()).unwrap();
    // The change before the put is no annotation, and another commit.
    assert_eq!(store.commit(with(1)).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.get("a").unwrap().unwrap().content().unwrap(), Content::Present("one".into()));

    let (_machine, store) = self::store();
    store.put("a", Expect::Absent, Draft::new("one")).unwrap();
    store.commit(with(1)).unwrap();
    let again = store.commit(with(1)).unwrap();
    assert_eq!(
        again.outcomes,
        [Outcome::Annotated { sequence: 2 }, Outcome::Replayed { revision: 1, sequence: 3 }]
    );
    assert_eq!(store.commit(with(2)).unwrap_err().kind(), ErrorKind::Invalid, "another annotation");
    let alone = Batch::new().put("b", Expect::Any, put()).unwrap();
    assert_eq!(store.commit(alone).unwrap_err().kind(), ErrorKind::Invalid, "a part of the request");
}
