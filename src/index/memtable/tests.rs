use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering as Atomic};

use proptest::prelude::*;

use super::*;
use crate::index::testing::{cases, row, rows_of};
use crate::index::{EntityRange, entity_hash};
use crate::model::{AnnotationKind, FieldMask};

fn entity(name: &str) -> Entity {
    Entity::new(name).unwrap()
}

fn put(memtable: &Memtable, name: &str, number: u64, sequence: u64) {
    let entity = entity(name);
    memtable.insert(&entity, entity_hash(entity.as_bytes()), &row(number, sequence)).unwrap();
}

fn find(memtable: &Memtable, name: &str, bound: &Bound) -> Option<u64> {
    memtable.find(name.as_bytes(), entity_hash(name.as_bytes()), bound).unwrap().map(|row| row.number)
}

#[test]
fn the_newest_row_inside_the_bound_is_found_among_neighbours() {
    let memtable = Memtable::new(1 << 20);
    put(&memtable, "a", 1, 1);
    put(&memtable, "b", 3, 2);
    put(&memtable, "ab", 1, 3);
    put(&memtable, "b", 7, 4);
    assert_eq!(find(&memtable, "b", &Bound::ALL), Some(7));
    assert_eq!(find(&memtable, "b", &Bound::at(3)), Some(3));
    assert_eq!(find(&memtable, "b", &Bound { number: 6, ..Bound::ALL }), Some(3));
    assert_eq!(find(&memtable, "b", &Bound::at(1)), None);
    assert_eq!(find(&memtable, "aa", &Bound::ALL), None);
    assert_eq!(find(&memtable, "c", &Bound::ALL), None);
}

#[test]
fn a_long_history_is_searched_by_every_condition() {
    let memtable = Memtable::new(1 << 20);
    let numbers: Vec<u64> = (0..500).map(|n| 1 + n * n).collect();
    for (at, &number) in numbers.iter().enumerate() {
        put(&memtable, "x", number, at as u64 + 1);
    }
    for at in 0..500_u64 {
        let number = Some(numbers[at as usize]);
        assert_eq!(find(&memtable, "x", &Bound::at(at + 1)), number);
        let time = row(1, at + 1).commit_time;
        assert_eq!(find(&memtable, "x", &Bound { commit_time: time, ..Bound::ALL }), number);
        assert_eq!(find(&memtable, "x", &Bound { effective_time: time, ..Bound::ALL }), number);
        assert_eq!(find(&memtable, "x", &Bound { number: numbers[at as usize], ..Bound::ALL }), number);
    }
    assert_eq!(find(&memtable, "x", &Bound::at(0)), None);
}

#[test]
fn rows_out_of_order_are_refused_and_change_nothing() {
    let memtable = Memtable::new(1 << 20);
    put(&memtable, "a", 2, 5);
    let a = entity("a");
    let hash = entity_hash(b"a");
    let before = memtable.bytes();
    for (number, sequence) in [(2, 6), (1, 6), (3, 5), (3, 4)] {
        assert!(memtable.insert(&a, hash, &row(number, sequence)).is_err(), "{number} {sequence}");
    }
    assert_eq!((memtable.row_count(), memtable.bytes(), memtable.sequences()), (1, before, Some((5, 5))));
}

#[test]
fn names_and_cold_bytes_do_not_pin_the_buffer_they_came_from() {
    let frame = Bytes::from(vec![b'x'; 1000]);
    let memtable = Memtable::new(1 << 20);
    let mut row = row(1, 1);
    row.cold = frame.slice(10..20);
    memtable.insert(&Entity::from_bytes(frame.slice(0..5)).unwrap(), entity_hash(b"xxxxx"), &row).unwrap();
    drop(row);
    assert!(frame.is_unique());
}

#[test]
fn memory_is_counted_with_overhead_and_the_sequence_range_covers_annotations() {
    let memtable = Memtable::new(1 << 20);
    assert!(memtable.is_empty());
    let empty = memtable.bytes();
    put(&memtable, "a", 1, 10);
    assert!(memtable.bytes() > empty + size_of::<Row>() as u64);
    let annotation = Annotation {
        entity: entity("b"),
        first: 1,
        last: 2,
        kind: AnnotationKind::Hide,
        fields: FieldMask::CONTENT,
        actor: "admin".into(),
        reason: String::new(),
        erasure: None,
    };
    memtable.insert_annotation(11, &annotation).unwrap();
    assert!(memtable.insert_annotation(11, &annotation).is_err());
    memtable.insert_annotation(12, &Annotation { entity: entity("a"), ..annotation.clone() }).unwrap();
    memtable.add_log_bytes(100);
    assert_eq!((memtable.sequences(), memtable.log_bytes()), (Some((10, 12)), 100));
    assert_eq!((memtable.row_count(), memtable.annotation_count()), (1, 2));
    let of_b: Vec<_> = memtable.annotations_of(&entity("b")).collect();
    assert_eq!(of_b, [StoredAnnotation { sequence: 11, annotation }]);
    assert_eq!(memtable.annotations_of(&entity("c")).count(), 0);
    assert_eq!(memtable.annotations().map(|stored| stored.sequence).collect::<Vec<_>>(), [12, 11]);
}

#[test]
fn the_filter_keeps_absent_entities_out() {
    let filter = EntityFilter::new(1000);
    for n in 0..1000_u32 {
        filter.insert(entity_hash(&n.to_le_bytes()));
    }
    assert!((0..1000_u32).all(|n| filter.may_contain(entity_hash(&n.to_le_bytes()))));
    let wrong = (1000..11_000_u32).filter(|n| filter.may_contain(entity_hash(&n.to_le_bytes()))).count();
    assert!(wrong < 200, "{wrong} of 10000");
}

#[test]
fn readers_beside_the_writer_see_all_that_is_published_and_nothing_torn() {
    let memtable = Arc::new(Memtable::new(1 << 20));
    let published = Arc::new(AtomicU64::new(0));
    const ENTITIES: u64 = 7;
    const LAST: u64 = 7 * 600;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in 1..=LAST {
                put(&memtable, &format!("e{}", sequence % ENTITIES), 1 + (sequence - 1) / ENTITIES, sequence);
                published.store(sequence, Atomic::Release);
            }
        });
        for reader in 0..2_u64 {
            let (memtable, published) = (memtable.clone(), published.clone());
            scope.spawn(move || {
                let mut round = reader;
                loop {
                    let at = published.load(Atomic::Acquire);
                    let which = round % ENTITIES;
                    let name = format!("e{which}");
                    let expected = (1..=at).filter(|s| s % ENTITIES == which).count() as u64;
                    let found = find(&memtable, &name, &Bound::at(at));
                    assert_eq!(found.unwrap_or(0), expected);
                    if round.is_multiple_of(16) {
                        let order =
                            if round.is_multiple_of(32) { Order::Ascending } else { Order::Descending };
                        let rows = memtable.clone().rows(name.as_bytes(), &Bound::at(at), order);
                        let mut numbers: Vec<_> = rows.map(|row| row.unwrap().number).collect();
                        if order == Order::Descending {
                            numbers.reverse();
                        }
                        assert_eq!(numbers, (1..=expected).collect::<Vec<_>>());
                        let mut runs = memtable.clone().runs(&EntityRange::default(), order);
                        let mut entities = 0;
                        while let Some(info) = runs.next_run().unwrap() {
                            entities += 1;
                            assert_eq!(info.rows, info.number_last - info.number_first + 1);
                            assert_eq!(info.sequence_last - info.sequence_first, (info.rows - 1) * ENTITIES);
                        }
                        assert!(entities >= ENTITIES.min(at));
                    }
                    if at == LAST {
                        break;
                    }
                    round += 1;
                }
            });
        }
    });
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "ab", "b", "b\0", "ba", "c"]).prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_memtable_reads_like_a_map(
        inserts in prop::collection::vec((names(), 1..4_u64), 0..200),
        from in names(),
        to in prop::option::of(names()),
        bound in (0..250_u64, 0..250_u64),
    ) {
        let memtable = Arc::new(Memtable::new(8 << 10));
        let mut model: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for (sequence, (name, step)) in inserts.iter().enumerate() {
            let history = model.entry(name.clone()).or_default();
            let number = history.last().map_or(0, |row| row.number) + step;
            let row = row(number, sequence as u64 + 1);
            memtable.insert(&entity(name), entity_hash(name.as_bytes()), &row).unwrap();
            history.push(row);
        }
        let bound = Bound { sequence: bound.0, number: bound.1, ..Bound::ALL };
        let range = EntityRange { from: Bytes::from(from), to: to.map(Bytes::from) };
        let mut expected: Vec<_> = model.iter().filter(|(name, _)| range.contains(name.as_bytes())).collect();
        for order in [Order::Ascending, Order::Descending] {
            let mut runs = memtable.clone().runs(&range, order);
            for (name, history) in &expected {
                let info = runs.next_run().unwrap().unwrap();
                prop_assert_eq!(info.entity.as_bytes(), name.as_bytes());
                prop_assert_eq!(info.rows, history.len() as u64);
                prop_assert_eq!((info.number_first, info.sequence_first), (history[0].number, history[0].sequence));
                let last = &history[history.len() - 1];
                prop_assert_eq!((info.number_last, info.sequence_last), (last.number, last.sequence));
                let newest = history.iter().rfind(|row| bound.admits(row)).cloned();
                prop_assert_eq!(runs.find(&bound).unwrap(), newest);
                let mut newest_first: Vec<_> = std::iter::from_fn(|| runs.next_row().unwrap()).collect();
                newest_first.reverse();
                prop_assert_eq!(&newest_first, *history);
                let inside: Vec<_> = history.iter().filter(|row| bound.admits(row)).cloned().collect();
                prop_assert_eq!(rows_of(&memtable, name, &bound, order), inside);
            }
            prop_assert!(runs.next_run().unwrap().is_none());
            prop_assert!(runs.next_run().unwrap().is_none());
            expected.reverse();
        }
    }
}
