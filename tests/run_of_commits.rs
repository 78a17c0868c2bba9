//! A run: commits of one change each that are written together.

use recension::{AsOf, Batch, Draft, ErrorKind, Expect, Head, Store};

fn run(n: u64) -> Batch {
    (1..=n).fold(Batch::new(), |batch, i| batch.put("A", Expect::Any, Draft::new(format!("{i}"))).unwrap())
}

#[test]
fn every_change_of_a_run_is_a_commit_boundary() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    store.commit(run(5)).unwrap();
    store.commit(run(5).as_run()).unwrap();
    let head = |sequence| match store.as_of("A", AsOf::Sequence(sequence)).unwrap() {
        Head::Absent => 0,
        head => head.number(),
    };
    // The batch is one commit: nothing of it at 1 to 4. Of the run there is a state at each change.
    assert_eq!((0..=10).map(head).collect::<Vec<_>>(), [0, 0, 0, 0, 0, 5, 6, 7, 8, 9, 10]);
    let rest: Vec<u32> = store.changes(0).unwrap().map(|change| change.unwrap().commit_rest).collect();
    assert_eq!(rest, [4, 3, 2, 1, 0, 0, 0, 0, 0, 0]);

    // Also after a restart.
    store.close().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    let rest: Vec<u32> = store.changes(4).unwrap().map(|change| change.unwrap().commit_rest).collect();
    assert_eq!(rest, [0; 6]);
}

#[test]
fn a_run_goes_through_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    let batch = run(3).put("B", Expect::Head(7), Draft::new("x")).unwrap().as_run();
    assert_eq!(store.commit(batch).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!((store.published(), store.head("A").unwrap()), (0, Head::Absent));
}

#[test]
fn a_run_has_no_request_ids() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    let error = store.commit(run(2).request_id([1; 16]).as_run()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
