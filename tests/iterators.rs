//! What iterators promise: both ends, other threads, an end after an error, and that they hold nothing back.
#![allow(clippy::disallowed_methods, reason = "threads")]

#[path = "common/simulated.rs"]
mod simulated;

use recension::sim::SimEnv;
use recension::{
    AsOf, Batch, Compaction, Draft, Durability, EntityRange, Expect, FieldMask, Head, Progress, Store,
};
use simulated::unpacked;

fn put(store: &Store, entity: &str, count: u64) {
    let mut left = count;
    while left > 0 {
        let mut batch = Batch::new().as_run();
        for _ in 0..left.min(50) {
            batch = batch.put(entity, Expect::Any, Draft::new("x")).unwrap();
        }
        left -= left.min(50);
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
}

fn tables(machine: &SimEnv) -> Vec<String> {
    machine.fs.files().into_iter().filter(|name| name.ends_with(".tab")).collect()
}

#[test]
fn a_long_history_is_walked_from_both_ends_while_the_index_changes_under_it() {
    let machine = SimEnv::new(1);
    let store = unpacked(&machine).open().unwrap();
    put(&store, "e", 3500);
    store.flush().unwrap();
    let mut history = store.history("e").unwrap();
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for step in 0..1700 {
        up.push(history.next_back().unwrap().unwrap().number());
        down.push(history.next().unwrap().unwrap().number());
        if step % 400 == 0 {
            put(&store, "e", 1);
            let how = if step % 800 == 0 { Compaction::Full } else { Compaction::Due };
            store.compact(how, &mut Progress::none()).unwrap();
        }
    }
    up.extend(history.by_ref().rev().map(|revision| revision.unwrap().number()));
    assert!(history.next().is_none() && history.next_back().is_none());
    assert_eq!(up, (1..=1800).collect::<Vec<_>>());
    assert_eq!(down, (1801..=3500).rev().collect::<Vec<_>>());
}

#[test]
fn a_slow_reader_holds_no_files_back() {
    let machine = SimEnv::new(2);
    let store = unpacked(&machine).open().unwrap();
    for entity in 0..40 {
        put(&store, &format!("e{entity:02}"), 30);
    }
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    let mut history = store.history("e07").unwrap();
    let mut backwards = store.history("e08").unwrap().rev();
    let mut heads = store.heads(EntityRange::default());
    let mut last = store.heads(EntityRange::default()).rev();
    let mut read = |n: u64| {
        assert_eq!(history.next().unwrap().unwrap().number(), 31 - n);
        assert_eq!(backwards.next().unwrap().unwrap().number(), n);
        assert_eq!(
            heads.next().unwrap().unwrap().revision().unwrap().entity().to_string(),
            format!("e{:02}", n - 1)
        );
        assert_eq!(
            last.next().unwrap().unwrap().revision().unwrap().entity().to_string(),
            format!("e{:02}", 40 - n)
        );
    };
    read(1);
    let before = tables(&machine);
    for entity in 0..40 {
        put(&store, &format!("e{entity:02}"), 1);
    }
    store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    assert!(before.iter().all(|name| tables(&machine).contains(name)), "they are being read");
    machine.clock.advance_us(1_500_000);
    read(2);
    assert!(before.iter().all(|name| !tables(&machine).contains(name)), "nobody reads them any more");
    (3..20).for_each(read);
}

#[test]
fn a_purged_past_of_thousands_of_revisions_is_passed_over() {
    let machine = SimEnv::new(3);
    let store = unpacked(&machine).open().unwrap();
    put(&store, "e", 2500);
    store.flush().unwrap();
    store.purge("e", Expect::Any, "me", "test").unwrap();
    store.put("e", Expect::Any, Draft::new("new")).unwrap();
    for numbers in [
        store.history("e").unwrap().map(|it| it.unwrap().number()).collect::<Vec<_>>(),
        store.history("e").unwrap().rev().map(|it| it.unwrap().number()).collect(),
    ] {
        assert_eq!(numbers, [2501]);
    }
}

#[test]
fn iterators_are_owned_and_go_to_other_threads() {
    fn moves<T: Send + 'static>(_: &T) {}
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    put(&store, "e", 100);
    // The feed shows what is durable.
    store.sync().unwrap();
    let transaction = store.transaction();
    let (history, heads) = (store.history("e").unwrap(), store.heads(EntityRange::default()));
    let (feed, ranged) = (store.changes(0).unwrap(), transaction.heads(EntityRange::prefix(b"e")));
    moves(
        &store
            .submit(Batch::new().put("f", Expect::Any, Draft::new("x")).unwrap(), Durability::Sync)
            .unwrap(),
    );
    moves(&transaction);
    moves(&store.snapshot());
    let counts = std::thread::spawn(move || {
        (history.count(), heads.rev().count(), ranged.rev().count(), feed.count())
    });
    let (history, heads, ranged, feed) = counts.join().unwrap();
    assert!((100..=101).contains(&feed) && heads <= 2);
    assert_eq!((history, ranged), (100, 1));
}

#[test]
fn heads_are_listed_by_range_in_both_directions_also_of_the_past_and_several_are_read_at_one_moment() {
    let machine = SimEnv::new(4);
    let store = unpacked(&machine).open().unwrap();
    for name in ["a", "ab", "abc", "b", "ba"] {
        store.put(name, Expect::Absent, Draft::new(name)).unwrap();
    }
    let then = store.published();
    let time = store.get("ba").unwrap().unwrap().commit_time();
    machine.clock.advance_us(5_000_000);
    store.delete("ab", Expect::Any).unwrap();
    store.put("ac", Expect::Absent, Draft::new("ac")).unwrap();
    let names = |heads: &mut dyn Iterator<Item = recension::Result<Head>>| -> Vec<String> {
        heads.map(|head| head.unwrap().revision().unwrap().entity().to_string()).collect()
    };
    let range = EntityRange { from: "ab".into(), to: Some("b".into()) };
    assert_eq!(names(&mut store.heads(range.clone())), ["ab", "abc", "ac"]);
    assert_eq!(names(&mut store.heads(range.clone()).rev()), ["ac", "abc", "ab"]);
    for point in [AsOf::Sequence(then), AsOf::CommitTime(time), AsOf::EffectiveTime(time)] {
        assert_eq!(names(&mut store.heads_as_of(range.clone(), point)), ["ab", "abc"]);
        assert_eq!(
            names(&mut store.heads_as_of(EntityRange::default(), point).rev()),
            ["ba", "b", "abc", "ab", "a"]
        );
        assert!(matches!(store.as_of("ab", point).unwrap(), Head::Live(_)));
        assert_eq!(store.as_of("ac", point).unwrap(), Head::Absent);
    }
    assert_eq!(names(&mut store.prefix("b")), ["b", "ba"]);
    let heads = store.heads_of(&["ba", "ab", "none", "a"]).unwrap();
    let kinds: Vec<_> = heads.iter().map(|head| (matches!(head, Head::Deleted(_)), head.number())).collect();
    assert_eq!(kinds, [(false, 1), (true, 2), (false, 0), (false, 1)]);
}

#[test]
fn a_history_is_listed_without_reading_a_content() {
    let machine = SimEnv::new(5);
    let store = unpacked(&machine).open().unwrap();
    for n in 0..50 {
        store.put("e", Expect::Any, Draft::new(vec![n; 2000]).author("ann")).unwrap();
    }
    store.flush().unwrap();
    store.pack(&mut Progress::none()).unwrap();
    store.close().unwrap();
    drop(store);
    // With every content gone the history is still there, and a content is an error and not an absence.
    let store = unpacked(&machine).read_only().open().unwrap();
    for name in machine.fs.files().into_iter().filter(|name| name.ends_with(".pack")) {
        let mut bytes = machine.fs.read_file(&name).unwrap();
        let half = bytes.len() / 2;
        bytes[100..half].fill(0);
        machine.fs.write_file(&name, &bytes).unwrap();
    }
    let history: Vec<_> = store.history("e").unwrap().collect::<recension::Result<_>>().unwrap();
    assert_eq!(history.len(), 50);
    assert!(
        history.iter().all(|it| it.fields().unwrap().author.is_some() && it.hidden() == FieldMask::default())
    );
    assert!(history.iter().any(|it| it.content().is_err()));
}
