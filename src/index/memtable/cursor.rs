//! Iterators over a memtable.
//!
//! They own the memtable and may live as long as they like, so they cannot hold on to a node of the skip list: they copy a few
//! rows at a time, twice as many each time, and look their place up again.

use std::ops::Bound as Edge;
use std::sync::Arc;

use bytes::Bytes;

use super::key::AsRowKey;
use super::{Memtable, Slot};
use crate::Result;
use crate::index::{EntityRange, Order, RunCursor, RunInfo};
use crate::model::{Bound, Row};

const CHUNK_FIRST: usize = 4;
const CHUNK_MAX: usize = 128;

/// Copies the rows of one entity, chunk by chunk.
struct Chunks {
    entity: Bytes,
    order: Order,
    /// Where to go on: newest first, the highest number not yet copied; oldest first, the highest number copied. `None`: at the end.
    next: Option<u64>,
    chunk: usize,
    ready: std::vec::IntoIter<Row>,
}

impl Chunks {
    fn new(entity: Bytes, order: Order, next: Option<u64>) -> Self {
        Self { entity, order, next, chunk: CHUNK_FIRST, ready: Vec::new().into_iter() }
    }

    fn next(&mut self, memtable: &Memtable, bound: &Bound) -> Option<Row> {
        if let Some(row) = self.ready.next() {
            return Some(row);
        }
        let next = self.next.take()?;
        let mut rows = Vec::with_capacity(self.chunk);
        let mut entry = match self.order {
            Order::Descending => memtable.seek(&self.entity, next),
            Order::Ascending => memtable.seek_newer(&self.entity, next),
        };
        while let Some(here) = entry.take() {
            if here.key().entity.as_bytes() != &self.entity[..] {
                break;
            }
            let row = &here.value().row;
            // Newest first, the walk starts inside the bound; oldest first, it ends where the bound does.
            if !bound.admits(row) {
                break;
            }
            rows.push(row.clone());
            if rows.len() == self.chunk {
                self.next = match self.order {
                    Order::Descending => row.number.checked_sub(1),
                    Order::Ascending => Some(row.number),
                };
                break;
            }
            entry = match self.order {
                Order::Descending => here.next(),
                Order::Ascending => here.prev(),
            };
        }
        self.chunk = (self.chunk * 2).min(CHUNK_MAX);
        self.ready = rows.into_iter();
        self.ready.next()
    }
}

/// The rows of one entity.
pub(super) struct Rows {
    memtable: Arc<Memtable>,
    bound: Bound,
    chunks: Chunks,
}

impl Rows {
    pub(super) fn new(memtable: Arc<Memtable>, entity: &[u8], bound: &Bound, order: Order) -> Self {
        let next = match order {
            Order::Descending => memtable.newest(entity, bound).map(|entry| entry.key().number),
            Order::Ascending => Some(0),
        };
        Self { memtable, bound: *bound, chunks: Chunks::new(Bytes::copy_from_slice(entity), order, next) }
    }
}

impl Rows {
    /// Oldest first, from the first number above one.
    pub(super) fn above(memtable: Arc<Memtable>, entity: &[u8], above: u64, bound: &Bound) -> Self {
        let chunks = Chunks::new(Bytes::copy_from_slice(entity), Order::Ascending, Some(above));
        Self { memtable, bound: *bound, chunks }
    }
}

impl Iterator for Rows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.chunks.next(&self.memtable, &self.bound).map(Ok)
    }
}

/// The entities of a range.
pub(super) struct Runs {
    memtable: Arc<Memtable>,
    range: EntityRange,
    order: Order,
    state: State,
}

enum State {
    Start,
    At(RunInfo, Chunks),
    End,
}

impl Runs {
    pub(super) fn new(memtable: Arc<Memtable>, range: EntityRange, order: Order) -> Self {
        Self { memtable, range, order, state: State::Start }
    }

    /// What is known of the next entity, from its newest row.
    fn step(&self) -> Option<RunInfo> {
        let rows = &self.memtable.rows;
        let lower = |edge: Edge<(&[u8], u64)>| match edge {
            Edge::Included(probe) => rows.lower_bound(Edge::Included::<&dyn AsRowKey>(&probe)),
            Edge::Excluded(probe) => rows.lower_bound(Edge::Excluded::<&dyn AsRowKey>(&probe)),
            Edge::Unbounded => rows.front(),
        };
        let before = |entity: &[u8]| rows.upper_bound(Edge::Excluded::<&dyn AsRowKey>(&(entity, u64::MAX)));
        let entry = match (&self.state, self.order) {
            (State::End, _) => None,
            // No revision has number 0, so nothing of the entity is behind (entity, 0).
            (State::At(info, _), Order::Ascending) => lower(Edge::Excluded((info.entity.as_bytes(), 0))),
            (State::At(info, _), Order::Descending) => before(info.entity.as_bytes()),
            (State::Start, Order::Ascending) => lower(Edge::Included((&self.range.from[..], u64::MAX))),
            (State::Start, Order::Descending) => match &self.range.to {
                Some(to) => before(to),
                None => rows.back(),
            },
        }?;
        let entity = &entry.key().entity;
        if !self.range.contains(entity.as_bytes()) {
            return None;
        }
        match self.order {
            Order::Ascending => Some(Slot::run(entry.value(), entity)),
            Order::Descending => {
                self.memtable.seek(entity.as_bytes(), u64::MAX).map(|newest| newest.value().run(entity))
            }
        }
    }
}

impl RunCursor for Runs {
    fn next_run(&mut self) -> Result<Option<RunInfo>> {
        let info = self.step();
        self.state = match &info {
            Some(info) => {
                let rows =
                    Chunks::new(info.entity.bytes().clone(), Order::Descending, Some(info.number_last));
                State::At(info.clone(), rows)
            }
            None => State::End,
        };
        Ok(info)
    }

    fn find(&mut self, bound: &Bound) -> Result<Option<Row>> {
        let State::At(info, _) = &self.state else { return Ok(None) };
        Ok(self.memtable.newest(info.entity.as_bytes(), bound).map(|entry| entry.value().row.clone()))
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        let State::At(_, rows) = &mut self.state else { return Ok(None) };
        Ok(rows.next(&self.memtable, &Bound::ALL))
    }
}
