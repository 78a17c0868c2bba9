//! What the tests of the index share: rows, sources that are vectors, a model.

mod files;
pub mod model;
mod tables;

pub use files::FileTables;
pub use tables::MemTables;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

use crate::index::{EntityRange, Order, RowIter, RunCursor, RunInfo, Source};
use crate::model::{Address, Bound, ContentRef, Entity, Flags, RevisionKind, Row};
use crate::{Error, Result};

/// The same cases on every run.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// A row whose other fields follow from number and sequence.
pub fn row(number: u64, sequence: u64) -> Row {
    let time = sequence as i64 * 10;
    Row {
        number,
        parent: number - 1,
        sequence,
        commit_rest: 0,
        commit_time: time,
        authored_time: sequence.is_multiple_of(3).then_some(time - 5),
        effective_time: time,
        kind: if sequence.is_multiple_of(11) { RevisionKind::Delete } else { RevisionKind::Put },
        flags: Flags((sequence % 5) as u16),
        content: (!sequence.is_multiple_of(11)).then_some(ContentRef {
            address: Address { sequence, slot: 0 },
            len: number as u32,
            tag: sequence.wrapping_mul(77),
        }),
        cold: Bytes::from(format!("author {}", sequence % 9)),
    }
}

/// Rows of an entity, oldest first whatever the order they are read in.
pub fn rows_of<S: Source + 'static>(source: &Arc<S>, name: &str, bound: &Bound, order: Order) -> Vec<Row> {
    let mut rows: Vec<_> = source.clone().rows(name.as_bytes(), bound, order).map(Result::unwrap).collect();
    if order == Order::Descending {
        rows.reverse();
    }
    rows
}

/// Entities ascending, rows of each oldest first. Holds whatever a test puts in, right or wrong.
#[derive(Clone, Default)]
pub struct VecSource {
    pub runs: Vec<(Entity, Vec<Row>)>,
    /// Reading this entity's rows fails.
    pub unreadable: Option<Entity>,
}

impl VecSource {
    pub fn new(runs: &[(&str, &[(u64, u64)])]) -> Self {
        let entity = |name: &str| Entity::new(name).unwrap();
        let rows = |rows: &[(u64, u64)]| rows.iter().map(|&(n, s)| row(n, s)).collect();
        Self { runs: runs.iter().map(|(name, of)| (entity(name), rows(of))).collect(), unreadable: None }
    }

    fn readable(&self, entity: &[u8]) -> Result<()> {
        match &self.unreadable {
            Some(bad) if bad.as_bytes() == entity => Err(Error::Cancelled),
            _ => Ok(()),
        }
    }

    fn run(&self, entity: &[u8]) -> Result<&[Row]> {
        self.readable(entity)?;
        Ok(self.runs.iter().find(|(name, _)| name.as_bytes() == entity).map_or(&[], |(_, rows)| rows))
    }
}

impl Source for VecSource {
    fn may_contain(&self, entity: &[u8], _hash: u64) -> Result<bool> {
        Ok(self.runs.iter().any(|(name, _)| name.as_bytes() == entity))
    }

    fn find(&self, entity: &[u8], _hash: u64, bound: &Bound) -> Result<Option<Row>> {
        Ok(self.run(entity)?.iter().rfind(|row| bound.admits(row)).cloned())
    }

    fn rows(self: Arc<Self>, entity: &[u8], bound: &Bound, order: Order) -> RowIter {
        let rows = match self.run(entity) {
            Ok(rows) => rows.iter().filter(|row| bound.admits(row)).cloned(),
            Err(error) => return Box::new([Err(error)].into_iter()),
        };
        let mut rows: Vec<_> = rows.map(Ok).collect();
        if order == Order::Descending {
            rows.reverse();
        }
        Box::new(rows.into_iter())
    }

    fn runs(self: Arc<Self>, range: &EntityRange, order: Order) -> Box<dyn RunCursor> {
        let mut runs: Vec<_> =
            self.runs.iter().filter(|(name, _)| range.contains(name.as_bytes())).cloned().collect();
        if order == Order::Descending {
            runs.reverse();
        }
        let current = (Entity::new("none").unwrap(), Vec::new());
        Box::new(VecRuns { source: self, runs: runs.into_iter(), current, next: 0 })
    }
}

struct VecRuns {
    source: Arc<VecSource>,
    runs: std::vec::IntoIter<(Entity, Vec<Row>)>,
    current: (Entity, Vec<Row>),
    next: usize,
}

impl RunCursor for VecRuns {
    fn next_run(&mut self) -> Result<Option<RunInfo>> {
        let Some(run) = self.runs.next() else {
            self.current.1.clear();
            return Ok(None);
        };
        self.next = run.1.len();
        self.current = run;
        let (entity, rows) = &self.current;
        Ok(Some(RunInfo {
            entity: entity.clone(),
            rows: rows.len() as u64,
            number_last: rows[rows.len() - 1].number,
            sequence_last: rows[rows.len() - 1].sequence,
            number_first: rows[0].number,
            sequence_first: rows[0].sequence,
        }))
    }

    fn find(&mut self, bound: &Bound) -> Result<Option<Row>> {
        self.source.readable(self.current.0.as_bytes())?;
        Ok(self.current.1.iter().rfind(|row| bound.admits(row)).cloned())
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        self.source.readable(self.current.0.as_bytes())?;
        let Some(at) = self.next.checked_sub(1) else { return Ok(None) };
        self.next = at;
        Ok(Some(self.current.1[at].clone()))
    }
}
