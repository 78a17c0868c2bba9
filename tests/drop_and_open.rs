//! A store that is dropped without being closed, and opened again at once.
#![allow(clippy::disallowed_methods, reason = "real threads and files")]

use recension::limits::Limits;
use recension::{Batch, CheckDepth, Draft, Durability, Expect, Progress, Store};

/// Many small files, so that background work is always running.
fn load(store: &Store, from: u64) -> u64 {
    for n in from..from + 150 {
        let draft = Draft::new(format!("{n} {}", "some text ".repeat(n as usize % 60)));
        let batch = Batch::new().put(format!("e{}", n % 97), Expect::Any, draft).unwrap();
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    from + 150
}

#[test]
fn a_dropped_store_can_be_opened_at_once_in_the_same_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let open = || Store::builder(&path).limits(Limits::TINY).open();
    let mut written = 0;
    for round in 0..12 {
        let store = open().unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(store.published(), written);
        written = load(&store, written);
        drop(store);
    }
    let store = open().unwrap();
    assert_eq!(store.published(), written);
    let report = store.check(CheckDepth::Deep, &mut Progress::none()).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
}

#[test]
fn a_second_close_does_nothing_and_a_drop_behind_it_neither() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    store.put("e", Expect::Absent, Draft::new("x")).unwrap();
    let other = store.clone();
    store.close().unwrap();
    // It belongs to somebody else now.
    let next = Store::open(dir.path().join("s")).unwrap();
    store.close().unwrap();
    other.close().unwrap();
    drop((store, other));
    next.put("e", Expect::Head(1), Draft::new("y")).unwrap();
    next.close().unwrap();
}
