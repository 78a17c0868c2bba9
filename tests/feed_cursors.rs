//! Cursors of the change feed that are kept outside: over reopenings, crashes, and restored checkpoints.

use recension::limits::Limits;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{
    Batch, Cursor, Draft, Durability, Error, ErrorKind, Expect, FieldMask, Forgetting, Progress, Store,
};

fn open(machine: &SimEnv, path: &str) -> Store {
    Store::builder(path).env(machine.env()).limits(Limits::TINY).open().unwrap()
}

fn put(store: &Store, text: &str, durability: Durability) {
    let batch = Batch::new().put("e", Expect::Any, Draft::new(text.to_owned())).unwrap();
    store.commit_with(batch, durability).unwrap();
}

/// The place behind the first `n` changes, by way of its text.
fn behind(store: &Store, n: usize) -> Cursor {
    let mut feed = store.changes(0).unwrap();
    assert_eq!(feed.by_ref().take(n).count(), n);
    let position = feed.position().unwrap();
    assert_eq!(position.sequence(), n as u64);
    let text = position.to_string();
    assert_eq!(text.parse::<Cursor>().unwrap(), position, "{text}");
    position
}

fn next(store: &Store, cursor: &Cursor) -> u64 {
    store.resume(cursor).unwrap().next().unwrap().unwrap().sequence
}

#[test]
fn a_cursor_goes_on_after_crashes_and_after_what_it_stands_behind_was_forgotten_or_purged() {
    let machine = SimEnv::new(1);
    let store = open(&machine, "/db");
    for n in 0..60 {
        put(&store, &format!("{n} {}", "text ".repeat(n % 40)), Durability::Sync);
    }
    let cursors: Vec<Cursor> = (0..60).map(|n| behind(&store, n)).collect();
    store.forget(&Forgetting::revisions("e", 1, 20).fields(FieldMask::ALL), &mut Progress::none()).unwrap();
    store.pack(&mut Progress::none()).unwrap();
    let check = |store: &Store| {
        for cursor in &cursors {
            assert_eq!(next(store, cursor), cursor.sequence() + 1);
        }
    };
    check(&store);
    machine.fs.power_off();
    drop(store);
    let machine = machine.crash(&CrashPolicy::POSIX);
    let store = open(&machine, "/db");
    check(&store);
    store.purge("e", Expect::Any, "me", "test").unwrap();
    check(&store);
}

#[test]
fn a_cursor_of_before_a_restore_is_lost_where_the_store_went_another_way_since() {
    let machine = SimEnv::new(2);
    let store = open(&machine, "/db");
    (0..10).for_each(|n| put(&store, &format!("common {n}"), Durability::Sync));
    store.checkpoint("/copy").unwrap();
    (0..10).for_each(|n| put(&store, &format!("old line {n}"), Durability::Sync));
    let (common, old) = (behind(&store, 8), behind(&store, 15));
    let copy = open(&machine, "/copy");
    let Err(Error::CursorLost { cursor: 15, last: 10 }) = copy.resume(&old).map(drop) else {
        panic!("it is beyond the end")
    };
    machine.clock.advance_us(60_000_000);
    (0..10).for_each(|n| put(&copy, &format!("new line {n}"), Durability::Sync));
    // The number alone would pass, and 11 to 15 of the new line would never be seen.
    assert_eq!(copy.changes(15).unwrap().count(), 5);
    let Err(Error::CursorLost { cursor: 15, last: 0 }) = copy.resume(&old).map(drop) else {
        panic!("another change has that number")
    };
    assert_eq!(next(&copy, &common), 9);
    assert_eq!(next(&store, &old), 16);
}

#[test]
fn a_cursor_of_another_store_and_a_text_that_is_none_are_refused() {
    let machine = SimEnv::new(3);
    let (one, two) = (open(&machine, "/one"), open(&machine, "/two"));
    put(&one, "x", Durability::Sync);
    put(&two, "x", Durability::Sync);
    assert_eq!(two.resume(&behind(&one, 1)).err().unwrap().kind(), ErrorKind::Invalid);
    let text = behind(&one, 1).to_string();
    for bad in
        ["", "7", &text[1..], &format!("{text}-"), &text.replace("-1-", "-+1-"), &text.replace('-', "é")]
    {
        assert_eq!(bad.parse::<Cursor>().unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
    }
}
