use std::sync::Arc;

use bytes::Bytes;

use super::invariants::{check_boundaries, check_level_order};
use super::*;
use crate::ErrorKind;
use crate::index::memtable::Memtable;
use crate::index::testing::{MemTables, VecSource, row};
use crate::index::{EntityRange, Order, RunCursor, entity_hash};
use crate::model::{Bound, Entity};

fn adding(added: Vec<TableInfo>) -> TableEdit {
    TableEdit { added, ..TableEdit::default() }
}

fn table(tables: &MemTables, level: u8, runs: &[(&str, &[(u64, u64)])]) -> TableInfo {
    tables.table(level, VecSource::new(runs))
}

#[test]
fn level_0_is_newest_first_and_the_others_are_sorted() {
    let tables = MemTables::default();
    let infos = [
        table(&tables, 0, &[("a", &[(2, 20)])]),
        table(&tables, 1, &[("x", &[(1, 2)])]),
        table(&tables, 0, &[("a", &[(3, 30)])]),
        table(&tables, 1, &[("a", &[(1, 1)])]),
    ];
    let levels = Levels::open(&infos, &tables).unwrap();
    let numbers = |level| levels.revisions.level(level).iter().map(|t| t.info.id.number).collect::<Vec<_>>();
    assert_eq!((numbers(0), numbers(1)), (vec![3, 1], vec![4, 2]));
    let covering: Vec<_> = levels.revisions.covering(b"a").map(|t| t.info.id.number).collect();
    assert_eq!(covering, [3, 1, 4]);
    assert_eq!(levels.revisions.covering(b"b").count(), 0);
    assert_eq!(levels.table_count(), 4);
}

#[test]
fn an_edit_that_does_not_fit_is_refused_and_changes_nothing() {
    let tables = MemTables::default();
    let a = table(&tables, 1, &[("a", &[(1, 1)]), ("c", &[(1, 2)])]);
    let levels = Levels::default().apply(&adding(vec![a.clone()]), &tables).unwrap();
    let b = table(&tables, 1, &[("b", &[(1, 3)])]);
    let deep = table(&tables, LEVEL_MAX + 1, &[("z", &[(1, 3)])]);
    let empty = TableInfo { rows: 0, ..table(&tables, 2, &[("z", &[(1, 3)])]) };
    let bad = [
        adding(vec![a.clone()]),
        adding(vec![b.clone()]),
        adding(vec![deep]),
        adding(vec![empty]),
        TableEdit { removed: vec![(0, b.id)], ..TableEdit::default() },
        TableEdit { removed: vec![(1, a.id)], ..TableEdit::default() },
        TableEdit { moved: vec![(0, b.id, 2)], ..TableEdit::default() },
        TableEdit { moved: vec![(0, a.id, LEVEL_MAX + 1)], ..TableEdit::default() },
    ];
    for edit in &bad {
        assert_eq!(levels.apply(edit, &tables).unwrap_err().kind(), ErrorKind::Invalid, "{edit:?}");
    }
    assert_eq!(levels.infos().collect::<Vec<_>>(), [&a]);
}

#[test]
fn a_moved_table_stays_open() {
    struct OpensNothing;
    impl OpenTables for OpensNothing {
        fn revisions(&self, _: &TableInfo) -> Result<Arc<dyn Source>> {
            panic!("it is open already")
        }
        fn annotations(&self, _: &TableInfo) -> Result<Arc<dyn AnnotationSource>> {
            panic!("it is open already")
        }
    }
    let tables = MemTables::default();
    let info = table(&tables, 0, &[("a", &[(1, 1)])]);
    let levels = Levels::default().apply(&adding(vec![info.clone()]), &tables).unwrap();
    let moved = TableEdit { moved: vec![(0, info.id, 3)], ..TableEdit::default() };
    let levels = levels.apply(&moved, &OpensNothing).unwrap();
    assert_eq!(levels.revisions.level(3)[0].info, TableInfo { level: 3, ..info });
    let view = IndexView::of_tables(levels);
    assert_eq!(view.find(b"a", &Bound::ALL).unwrap().unwrap().number, 1);
}

#[test]
fn tables_of_level_0_that_overlap_have_disjoint_sequences() {
    let tables = MemTables::default();
    let overlapping = vec![
        table(&tables, 0, &[("a", &[(1, 1)]), ("b", &[(1, 5)])]),
        table(&tables, 0, &[("b", &[(1, 4)]), ("c", &[(1, 9)])]),
    ];
    assert!(Levels::default().apply(&adding(overlapping), &tables).is_err());
    let apart = vec![
        table(&tables, 0, &[("a", &[(1, 1)]), ("b", &[(1, 5)])]),
        table(&tables, 0, &[("c", &[(1, 4)]), ("d", &[(1, 9)])]),
    ];
    assert!(Levels::default().apply(&adding(apart), &tables).is_ok());
}

#[test]
fn a_boundary_entity_that_is_newer_below_is_found_before_the_edit_is_written() {
    let tables = MemTables::default();
    for (first, last) in [((5, 50), (1, 51)), ((1, 51), (5, 50))] {
        let below = table(&tables, 1, &[("a", &[(2, 20)]), ("m", &[(1, 21)]), ("z", &[(2, 22)])]);
        let levels = Levels::default().apply(&adding(vec![below]), &tables).unwrap();
        let good = adding(vec![table(&tables, 0, &[("a", &[(5, 50)]), ("z", &[(5, 51)])])]);
        check_boundaries(&levels.apply(&good, &tables).unwrap(), &good).unwrap();
        let bad = adding(vec![table(&tables, 0, &[("a", &[first]), ("z", &[last])])]);
        let error = check_boundaries(&levels.apply(&bad, &tables).unwrap(), &bad).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
    // The same by a move below what is older.
    let newer = table(&tables, 0, &[("a", &[(5, 50)])]);
    let older = table(&tables, 1, &[("a", &[(1, 10)])]);
    let levels = Levels::default().apply(&adding(vec![newer.clone(), older]), &tables).unwrap();
    let bad = TableEdit { moved: vec![(0, newer.id, 2)], ..TableEdit::default() };
    assert!(check_boundaries(&levels.apply(&bad, &tables).unwrap(), &bad).is_err());
}

#[test]
fn the_full_check_finds_what_the_ends_of_tables_do_not_show() {
    let tables = MemTables::default();
    let below = table(&tables, 1, &[("a", &[(1, 1)]), ("m", &[(2, 2)]), ("z", &[(1, 3)])]);
    let above = table(&tables, 0, &[("b", &[(1, 10)]), ("m", &[(1, 11)]), ("y", &[(1, 12)])]);
    let edit = adding(vec![below, above]);
    let levels = Levels::default().apply(&edit, &tables).unwrap();
    check_boundaries(&levels, &edit).unwrap();
    let error = check_level_order(&IndexView::of_tables(levels), &|| false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("history of m"), "{error}");
}

#[test]
fn the_full_check_finds_rows_out_of_order_inside_a_table_and_can_be_cancelled() {
    let tables = MemTables::default();
    let mut bad = VecSource::new(&[("a", &[(1, 1), (2, 2), (3, 3)])]);
    bad.runs[0].1[1].commit_time = 1000;
    let edit = adding(vec![tables.table(1, bad)]);
    let view = IndexView::of_tables(Levels::default().apply(&edit, &tables).unwrap());
    assert_eq!(check_level_order(&view, &|| false).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(check_level_order(&view, &|| true).unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn memtables_are_flushed_oldest_first_and_never_while_active() {
    let memtable = || Arc::new(Memtable::new(1000));
    let (old, middle, active) = (memtable(), memtable(), memtable());
    let view = IndexView::new(old.clone(), Arc::default());
    assert!(view.flush_next().is_none());
    assert!(view.flushed(&old, Arc::default()).is_err());
    let view = view.rotated(middle.clone()).rotated(active.clone());
    assert!(Arc::ptr_eq(view.flush_next().unwrap(), &old));
    assert!(view.flushed(&middle, Arc::default()).is_err());
    let view = view.flushed(&old, Arc::default()).unwrap().flushed(&middle, Arc::default()).unwrap();
    assert_eq!(view.memtables().len(), 1);
    assert!(Arc::ptr_eq(view.active().unwrap(), &active));
}

#[test]
fn a_read_that_meets_an_unreadable_table_is_an_error_not_an_older_answer() {
    let tables = MemTables::default();
    let old = table(&tables, 1, &[("a", &[(1, 1)]), ("b", &[(1, 2)])]);
    let bad =
        VecSource { unreadable: Some(Entity::new("a").unwrap()), ..VecSource::new(&[("a", &[(2, 10)])]) };
    let view = {
        let edit = adding(vec![old, tables.table(0, bad)]);
        IndexView::of_tables(Levels::default().apply(&edit, &tables).unwrap())
    };
    assert!(view.find(b"a", &Bound::ALL).is_err());
    assert!(view.find_many(&["b", "a"], &Bound::ALL).is_err());
    let mut heads = view.heads(&EntityRange::default(), &Bound::ALL, Order::Ascending);
    assert!(heads.next().unwrap().is_err());
    assert!(heads.next().is_none());
}

#[test]
fn a_prefix_is_a_range_and_iterators_outlive_the_view() {
    fn owned<T: Send + 'static>(value: T) -> T {
        value
    }
    let active = Arc::new(Memtable::new(1000));
    for (at, name) in ["Q1", "Q2", "R1"].iter().enumerate() {
        let entity = Entity::new(name).unwrap();
        active.insert(&entity, entity_hash(name.as_bytes()), &row(1, at as u64 + 1)).unwrap();
    }
    let view = IndexView::new(active, Arc::default());
    let heads = owned(view.heads(&EntityRange::prefix(b"Q"), &Bound::ALL, Order::Descending));
    let rows = owned(view.rows(&Entity::new("Q1").unwrap(), &Bound::ALL, Order::Ascending));
    let mut runs = owned(view.runs(&EntityRange { from: Bytes::from("R"), to: None }, Order::Ascending));
    drop(view);
    let names: Vec<_> = heads.map(|head| head.unwrap().0.to_string()).collect();
    assert_eq!(names, ["Q2", "Q1"]);
    assert_eq!(rows.count(), 1);
    assert_eq!(runs.next_run().unwrap().unwrap().entity.as_bytes(), b"R1");
}
