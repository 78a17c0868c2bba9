//! An index under random work, and the map that it must read like. Generic over where the tables are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::row;
use crate::index::annotations::NothingErased;
use crate::index::annotations::{StoredAnnotation, Visibility};
use crate::index::compaction::{self, BuildTables, CompactionJob, CompactionOutcome};
use crate::index::levels::{IndexView, Levels, OpenTables, TableEdit, invariants};
use crate::index::memtable::Memtable;
use crate::index::{EntityRange, Order, RunCursor, entity_hash};
use crate::limits::Limits;
use crate::model::{Annotation, AnnotationKind, Bound, Entity, FieldMask, Row};

const NAMES: [&str; 9] = ["a", "a\0", "aa", "b", "b1", "b2", "c", "long name of an entity", "z"];

#[derive(Clone, Debug)]
pub enum Op {
    /// One commit: a revision of each of these entities, numbers so much above the head.
    Commit(Vec<(usize, u64)>),
    /// Many revisions of one entity.
    Burst(usize, u64),
    Annotate {
        entity: usize,
        first: u64,
        len: u64,
        hide: bool,
        fields: u8,
    },
    Rotate,
    Flush,
    Compact,
    /// A compaction that is told to stop after so many slices.
    Interrupted(u32),
    CompactFull,
    Read {
        bound: Bound,
        from: usize,
        to: Option<usize>,
    },
    Reopen,
}

pub fn ops(len: usize) -> impl Strategy<Value = Vec<Op>> {
    let name = 0..NAMES.len();
    let bound = prop_oneof![
        2 => Just(Bound::ALL),
        3 => (0..300_u64).prop_map(Bound::at),
        1 => (0..40_u64).prop_map(|number| Bound { number, ..Bound::ALL }),
        1 => (0..3000_i64).prop_map(|commit_time| Bound { commit_time, ..Bound::ALL }),
        1 => (0..3000_i64, 0..300_u64)
            .prop_map(|(effective_time, sequence)| Bound { effective_time, sequence, ..Bound::ALL }),
    ];
    let op = prop_oneof![
        8 => prop::collection::vec((name.clone(), 1..4_u64), 1..4).prop_map(Op::Commit),
        2 => (name.clone(), 1..60_u64).prop_map(|(entity, count)| Op::Burst(entity, count)),
        1 => (name.clone(), 0..20_u64, 0..20_u64, any::<bool>(), 0..16_u8).prop_map(
            |(entity, first, len, hide, fields)| Op::Annotate { entity, first, len, hide, fields }
        ),
        3 => Just(Op::Rotate),
        4 => Just(Op::Flush),
        4 => Just(Op::Compact),
        1 => (0..3_u32).prop_map(Op::Interrupted),
        1 => Just(Op::CompactFull),
        4 => (bound, name.clone(), prop::option::of(name)).prop_map(|(bound, from, to)| Op::Read { bound, from, to }),
        1 => Just(Op::Reopen),
    ];
    prop::collection::vec(op, 1..len)
}

/// The index under test and its model.
pub struct World<T> {
    pub tables: T,
    pub view: IndexView,
    limits: Limits,
    sequence: u64,
    histories: BTreeMap<Entity, Vec<Row>>,
    annotations: Vec<StoredAnnotation>,
}

impl<T: BuildTables + OpenTables> World<T> {
    pub fn new(tables: T) -> Self {
        let limits = Limits::TINY;
        let view = IndexView::new(Arc::new(Memtable::new(limits.memtable_bytes)), Arc::default());
        Self { tables, view, limits, sequence: 0, histories: BTreeMap::new(), annotations: Vec::new() }
    }

    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Commit(edits) => self.commit(edits),
            Op::Burst(entity, count) => (0..*count).for_each(|_| self.commit(&[(*entity, 1)])),
            Op::Annotate { entity, first, len, hide, fields } => {
                self.sequence += 1;
                let annotation = Annotation {
                    entity: Entity::new(NAMES[*entity]).unwrap(),
                    first: *first,
                    last: first + len,
                    kind: if *hide { AnnotationKind::Hide } else { AnnotationKind::Show },
                    fields: FieldMask(*fields),
                    actor: "admin".into(),
                    reason: "test".into(),
                    erasure: None,
                };
                self.view.active().unwrap().insert_annotation(self.sequence, &annotation).unwrap();
                self.annotations.push(StoredAnnotation { sequence: self.sequence, annotation });
            }
            Op::Rotate => {
                let fresh = Arc::new(Memtable::new(self.limits.memtable_bytes));
                self.view = self.view.rotated(fresh);
            }
            Op::Flush => self.flush(),
            Op::Compact => {
                for _ in 0..50 {
                    let Some(job) = compaction::pick(self.view.levels(), &self.limits, &[]) else { return };
                    self.compact(&job);
                }
                panic!("compaction does not come to an end: {:?}", self.view.levels());
            }
            Op::Interrupted(slices) => self.interrupted(*slices),
            Op::CompactFull => {
                for job in compaction::pick_full(self.view.levels(), &self.limits) {
                    self.compact(&job);
                }
                assert!(compaction::pick_full(self.view.levels(), &self.limits).is_empty());
            }
            Op::Read { bound, from, to } => {
                let to = to.map(|to| Bytes::from(NAMES[to]));
                self.check_reads(bound, &EntityRange { from: Bytes::from(NAMES[*from]), to });
            }
            Op::Reopen => {
                let infos: Vec<_> = self.view.levels().infos().cloned().collect();
                let levels = Levels::open(&infos, &self.tables).unwrap();
                assert_eq!(format!("{levels:?}"), format!("{:?}", self.view.levels()));
                self.view = self.view.with_levels(Arc::new(levels));
            }
        }
    }

    fn commit(&mut self, edits: &[(usize, u64)]) {
        for (at, &(entity, step)) in edits.iter().enumerate() {
            self.sequence += 1;
            let entity = Entity::new(NAMES[entity]).unwrap();
            let history = self.histories.entry(entity.clone()).or_default();
            let mut row = row(history.last().map_or(0, |row| row.number) + step, self.sequence);
            row.commit_rest = (edits.len() - 1 - at) as u32;
            row.commit_time += i64::from(row.commit_rest) * 10;
            row.effective_time = history.last().map_or(0, |row| row.effective_time).max(row.commit_time - 20);
            let hash = entity_hash(entity.as_bytes());
            self.view.active().unwrap().insert(&entity, hash, &row).unwrap();
            history.push(row);
        }
    }

    fn flush(&mut self) {
        let Some(memtable) = self.view.flush_next().cloned() else { return };
        let outcome = compaction::flush(&memtable, &self.limits, &self.tables, &NothingErased).unwrap();
        assert_eq!(outcome.sequence, memtable.sequences().map(|(_, last)| last));
        let levels = self.install(&outcome.edit);
        self.view = self.view.flushed(&memtable, levels).unwrap();
    }

    fn install(&self, edit: &TableEdit) -> Arc<Levels> {
        let levels = self.view.levels().apply(edit, &self.tables).unwrap();
        invariants::check_boundaries(&levels, edit).unwrap();
        Arc::new(levels)
    }

    fn compact(&mut self, job: &CompactionJob) {
        let done =
            compaction::run(job, &self.limits, &self.tables, &NothingErased, &|| false, &mut |_| ()).unwrap();
        let CompactionOutcome::Done(edit) = done else { panic!("nobody interrupted it") };
        self.view = self.view.with_levels(self.install(&edit));
    }

    fn interrupted(&mut self, slices: u32) {
        let Some(job) = compaction::pick_full(self.view.levels(), &self.limits).pop() else { return };
        let asked = std::cell::Cell::new(0);
        let cancel = || asked.replace(asked.get() + 1) >= slices;
        // If it was done before it was stopped, its outputs are thrown away: that must do no harm either.
        let _ =
            compaction::run(&job, &self.limits, &self.tables, &NothingErased, &cancel, &mut |_| ()).unwrap();
        self.check_reads(&Bound::ALL, &EntityRange::default());
    }

    pub fn check_reads(&self, bound: &Bound, range: &EntityRange) {
        for name in NAMES.iter().chain(&["absent", "a1"]) {
            let entity = Entity::new(name).unwrap();
            let history = self.histories.get(&entity).map_or(&[][..], |rows| rows);
            let inside: Vec<_> = history.iter().filter(|row| bound.admits(row)).cloned().collect();
            assert_eq!(self.view.find(entity.as_bytes(), bound).unwrap(), inside.last().cloned(), "{name}");
            for order in [Order::Ascending, Order::Descending] {
                let mut rows: Vec<_> = self.view.rows(&entity, bound, order).map(Result::unwrap).collect();
                if order == Order::Descending {
                    rows.reverse();
                }
                assert_eq!(rows, inside, "{name} {order:?}");
            }
            self.check_gate(&entity);
        }
        let newest = |rows: &Vec<Row>| rows.iter().rfind(|row| bound.admits(row)).cloned();
        let found = self.view.find_many(&NAMES, bound).unwrap();
        let expected = NAMES.map(|name| self.histories.get(name.as_bytes()).and_then(newest));
        assert_eq!(found, expected);

        let mut heads: Vec<_> =
            self.histories.iter().filter(|(entity, _)| range.contains(entity.as_bytes())).collect();
        for order in [Order::Ascending, Order::Descending] {
            let expected: Vec<_> =
                heads.iter().filter_map(|(e, rows)| Some(((*e).clone(), newest(rows)?))).collect();
            let found: Vec<_> = self.view.heads(range, bound, order).map(Result::unwrap).collect();
            assert_eq!(found, expected, "{order:?}");
            let mut runs = self.view.runs(range, order);
            for (entity, rows) in &heads {
                let info = runs.next_run().unwrap().unwrap();
                assert_eq!((&info.entity, info.rows), (*entity, rows.len() as u64));
            }
            assert_eq!(runs.next_run().unwrap(), None);
            heads.reverse();
        }
        let report = invariants::check_level_order(&self.view, &|| false).unwrap();
        let rows: usize = self.histories.values().map(Vec::len).sum();
        assert_eq!((report.entities, report.rows), (self.histories.len() as u64, rows as u64));
    }

    fn check_gate(&self, entity: &Entity) {
        let of: Vec<_> =
            self.annotations.iter().filter(|stored| stored.annotation.entity == *entity).cloned().collect();
        let mut found = self.view.annotations(entity).unwrap();
        found.sort_by_key(|stored| stored.sequence);
        assert_eq!(found, of);
        for number in [0, 1, 5, 10, 20, 39, 100] {
            let mut expected = Visibility::default();
            for Annotation { first, last, kind, fields, .. } in of.iter().map(|stored| &stored.annotation) {
                if *first <= number && number <= *last {
                    expected.hidden = match kind {
                        AnnotationKind::Hide => expected.hidden.with(*fields),
                        _ => expected.hidden.without(*fields),
                    };
                }
            }
            assert_eq!(self.view.visibility(&[0; 16], entity, number).unwrap(), expected);
        }
    }
}
