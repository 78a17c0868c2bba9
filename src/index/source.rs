//! What a memtable, a table and a sorted level have in common.

use std::sync::Arc;

use bytes::Bytes;

use crate::Result;
use crate::model::{Bound, Entity, Row};

/// In which direction an iterator walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// Entities ascending; for the rows of one entity: oldest first.
    Ascending,
    /// Entities descending; for the rows of one entity: newest first.
    Descending,
}

/// A range of entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityRange {
    /// Inclusive; empty for no lower bound.
    pub from: Bytes,
    /// Exclusive; `None` for no upper bound.
    pub to: Option<Bytes>,
}

impl EntityRange {
    /// All entities that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        while let Some(last) = to.pop() {
            if last < u8::MAX {
                to.push(last + 1);
                break;
            }
        }
        let to = (!to.is_empty()).then(|| Bytes::from(to));
        Self { from: Bytes::copy_from_slice(prefix), to }
    }

    /// Whether the entity is inside.
    pub fn contains(&self, entity: &[u8]) -> bool {
        entity >= &self.from[..] && self.to.as_ref().is_none_or(|to| entity < &to[..])
    }
}

/// The hash of an entity, as filters, caches and the reservation table use it. It is on disk (in filters): XXH3-64, seed 0.
pub fn entity_hash(entity: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(entity)
}

/// Rows of one entity.
pub type RowIter = Box<dyn Iterator<Item = Result<Row>> + Send>;

/// What is known of an entity's rows in one source without reading them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// Whose rows.
    pub entity: Entity,
    /// How many.
    pub rows: u64,
    /// Number of the newest.
    pub number_last: u64,
    /// Sequence number of the newest.
    pub sequence_last: u64,
    /// Number of the oldest.
    pub number_first: u64,
    /// Sequence number of the oldest.
    pub sequence_first: u64,
}

/// A sorted set of rows: a memtable, a table, or a level of disjoint tables.
///
/// Every error is an error of the whole read: an implementation never skips what it cannot read.
pub trait Source: Send + Sync {
    /// Whether the entity may have rows here. `false` is certain. Reads no blocks (a filter not in the cache is read).
    fn may_contain(&self, entity: &[u8], hash: u64) -> Result<bool>;

    /// The newest row of the entity inside the bound. `hash` is [`entity_hash`] of `entity`. Asks the filter first.
    fn find(&self, entity: &[u8], hash: u64, bound: &Bound) -> Result<Option<Row>>;

    /// The rows of the entity inside the bound. Streams: memory does not grow with the history.
    fn rows(self: Arc<Self>, entity: &[u8], bound: &Bound, order: Order) -> RowIter;

    /// The rows of the entity inside the bound whose number is above one, oldest first: to go on where a walk was left.
    fn rows_above(self: Arc<Self>, entity: &[u8], above: u64, bound: &Bound) -> RowIter {
        let rows = self.rows(entity, bound, Order::Ascending);
        Box::new(rows.filter(move |row| row.as_ref().map_or(true, |row| row.number > above)))
    }

    /// This source for a job that reads it once from end to end, leaving the caches to the readers; `None` if that makes no difference.
    fn for_scan(&self) -> Option<Arc<dyn Source>> {
        None
    }

    /// Bytes on disk of what only a look at single revisions needs: authors, comments, attributes.
    fn cold_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    /// Walks the entities of a range.
    fn runs(self: Arc<Self>, range: &EntityRange, order: Order) -> Box<dyn RunCursor>;
}

/// Walks the entities of a [`Source`], and the rows of each if asked.
pub trait RunCursor: Send {
    /// Moves to the next entity; `None` at the end, and from then on.
    fn next_run(&mut self) -> Result<Option<RunInfo>>;

    /// The newest row of the present entity inside the bound. Does not move [`RunCursor::next_row`].
    fn find(&mut self, bound: &Bound) -> Result<Option<Row>>;

    /// The next row of the present entity, newest first whatever the cursor's order; `None` behind the oldest.
    fn next_row(&mut self) -> Result<Option<Row>>;
}
