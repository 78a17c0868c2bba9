//! The newest rows, in memory.
//!
//! A `crossbeam-skiplist` of rows keyed (entity ascending, number descending), a Bloom filter of its entities, and a second
//! skip list of annotations. Readers take no lock and look up without allocating. There is one writer, the publisher.
//!
//! 1. **A key is inserted once.** Overwriting in a `SkipMap` removes the old node before it links the new one; readers would
//!    see the row vanish. Revisions have unique keys by nature and [`Memtable::insert`] refuses anything else.
//! 2. **Rows of an entity arrive oldest first**: number and sequence grow, times do not shrink. Refused otherwise.
//! 3. **What a reader may see is bounded by its sequence, not by the memtable.** Iteration is not a snapshot: rows that are
//!    inserted meanwhile may or may not turn up, but they have higher sequences than anything published before.
//! 4. Each row knows how many rows of its entity are before it here and which is the oldest, so that the newest row alone tells
//!    what `RunInfo` needs, as one consistent statement, without walking a history.
//! 5. Names and cold bytes are copied: a slice of a log frame would pin the whole frame.
//!
//! Rejected: an inner list per entity (a second allocation and a lock or an atomic swap per insert); a counter per entity in a
//! second map (another look-up per insert, and counter and rows are two truths). An arena skip list would save some 100 bytes
//! a row; it can replace this behind the same interface.

mod cursor;
mod filter;
mod key;

use std::fmt;
use std::mem::size_of;
use std::ops::Bound as Edge;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use crossbeam_skiplist::SkipMap;
use crossbeam_skiplist::map::Entry;

use self::filter::EntityFilter;
use self::key::{AnnotationKey, AsRowKey, RowKey};
use super::annotations::StoredAnnotation;
use super::{EntityRange, Order, RowIter, RunCursor, RunInfo, Source};
use crate::model::{Annotation, AnnotationKind, Bound, Entity, Row};
use crate::{Error, Result};

/// A row and what invariant 4 keeps with it.
struct Slot {
    row: Row,
    /// Rows of the entity that are older and in this memtable.
    older: u64,
    /// Number and sequence of the oldest of them, or the row's own.
    oldest: (u64, u64),
}

/// What a node of the skip list costs besides the bytes it points to: key, value, reference count and height, on average 4/3
/// tower pointers, and the allocator's share; then two buffers with a shared header each.
const ROW_OVERHEAD: usize = size_of::<RowKey>() + size_of::<Slot>() + 8 + 11 + 16 + 2 * 40;
const ANNOTATION_OVERHEAD: usize =
    size_of::<AnnotationKey>() + size_of::<StoredAnnotation>() + 8 + 11 + 16 + 3 * 40;

/// How many rows beyond the bound are walked over before the search turns to bisection.
const LINEAR_STEPS: usize = 16;

/// See the [module](self).
pub struct Memtable {
    rows: SkipMap<RowKey, Slot>,
    annotations: SkipMap<AnnotationKey, StoredAnnotation>,
    filter: EntityFilter,
    bytes: AtomicU64,
    log_bytes: AtomicU64,
    sequence_first: AtomicU64,
    sequence_last: AtomicU64,
    row_count: AtomicU64,
    annotation_count: AtomicU64,
    purge_count: AtomicU64,
}

impl Memtable {
    /// An empty memtable whose filter is sized for `bytes_max` bytes of rows (see [`crate::limits::Limits::memtable_bytes`]).
    pub fn new(bytes_max: u64) -> Self {
        let entities = usize::try_from(bytes_max).unwrap_or(usize::MAX) / ROW_OVERHEAD;
        let filter = EntityFilter::new(entities);
        let bytes = (filter.bytes() + size_of::<Self>()) as u64;
        Self {
            rows: SkipMap::new(),
            annotations: SkipMap::new(),
            filter,
            bytes: AtomicU64::new(bytes),
            log_bytes: AtomicU64::new(0),
            sequence_first: AtomicU64::new(0),
            sequence_last: AtomicU64::new(0),
            row_count: AtomicU64::new(0),
            annotation_count: AtomicU64::new(0),
            purge_count: AtomicU64::new(0),
        }
    }

    /// Adds a revision. Only the publisher calls this, one call at a time. `hash` is [`super::entity_hash`] of the entity.
    ///
    /// # Errors
    /// `Invalid` if the row is not newer than everything of its entity that is here, or its sequence number not above every other: the log has
    /// been applied out of order, which is a bug.
    pub fn insert(&self, entity: &Entity, hash: u64, row: &Row) -> Result<()> {
        self.check_sequence(entity, row.sequence)?;
        let mut slot = Slot { row: row.clone(), older: 0, oldest: (row.number, row.sequence) };
        slot.row.cold = Bytes::copy_from_slice(&row.cold);
        let mut name = None;
        if self.filter.may_contain(hash) {
            if let Some(newest) = self.seek(entity.as_bytes(), u64::MAX) {
                let before = newest.value();
                if !follows(&before.row, row) {
                    return Err(Error::invalid(format!(
                        "revision {} of {entity} does not follow revision {}",
                        row.number, before.row.number
                    )));
                }
                slot.older = before.older.saturating_add(1);
                slot.oldest = before.oldest;
                name = Some(newest.key().entity.clone());
            }
        } else {
            self.filter.insert(hash);
        }
        let mut bytes = ROW_OVERHEAD + row.cold.len();
        let entity = match name {
            Some(name) => name,
            None => {
                bytes += entity.as_bytes().len();
                Entity::new(entity)?
            }
        };
        self.rows.insert(RowKey { entity, number: row.number }, slot);
        self.row_count.fetch_add(1, Ordering::Relaxed);
        self.count(row.sequence, bytes);
        Ok(())
    }

    /// Adds an annotation. Only the publisher calls this.
    ///
    /// # Errors
    /// As [`Memtable::insert`].
    pub fn insert_annotation(&self, sequence: u64, annotation: &Annotation) -> Result<()> {
        self.check_sequence(&annotation.entity, sequence)?;
        let bytes = ANNOTATION_OVERHEAD
            + annotation.entity.as_bytes().len()
            + annotation.actor.len()
            + annotation.reason.len();
        let mut annotation = annotation.clone();
        annotation.entity = Entity::new(&annotation.entity)?;
        let key = AnnotationKey {
            entity: annotation.entity.clone(),
            first: annotation.first,
            last: annotation.last,
            sequence,
        };
        let is_purge = annotation.kind == AnnotationKind::Purge;
        self.annotations.insert(key, StoredAnnotation { sequence, annotation });
        if is_purge {
            self.purge_count.fetch_add(1, Ordering::Release);
        }
        self.annotation_count.fetch_add(1, Ordering::Release);
        self.count(sequence, bytes);
        Ok(())
    }

    /// Notes that changes in here took so many bytes of the log.
    pub fn add_log_bytes(&self, bytes: u64) {
        self.log_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Memory, bytes, with the overhead of the nodes and the filter.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the log that a replay would read for what is in here.
    pub fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// How many revisions.
    pub fn row_count(&self) -> u64 {
        self.row_count.load(Ordering::Relaxed)
    }

    /// How many annotations.
    pub fn annotation_count(&self) -> u64 {
        self.annotation_count.load(Ordering::Acquire)
    }

    /// How many of them are purges.
    pub fn purge_count(&self) -> u64 {
        self.purge_count.load(Ordering::Acquire)
    }

    /// Whether there is nothing here.
    pub fn is_empty(&self) -> bool {
        self.sequences().is_none()
    }

    /// First and last sequence number of the revisions and annotations in here; `None` if there are none.
    pub fn sequences(&self) -> Option<(u64, u64)> {
        let last = self.sequence_last.load(Ordering::Acquire);
        (last > 0).then(|| (self.sequence_first.load(Ordering::Acquire), last))
    }

    /// The annotations of one entity, by (first, last, sequence).
    pub fn annotations_of<'a>(&'a self, entity: &Entity) -> impl Iterator<Item = StoredAnnotation> + 'a {
        let entity = entity.clone();
        let from = AnnotationKey { entity: entity.clone(), first: 0, last: 0, sequence: 0 };
        let mut entry = self.annotations.lower_bound(Edge::Included(&from));
        std::iter::from_fn(move || {
            let here = entry.take()?;
            if here.key().entity != entity {
                return None;
            }
            entry = here.next();
            Some(here.value().clone())
        })
    }

    /// All annotations, by (entity, first, last, sequence).
    pub fn annotations(&self) -> impl Iterator<Item = StoredAnnotation> + '_ {
        self.annotations.iter().map(|entry| entry.value().clone())
    }

    /// Every change comes once and in commit order, revisions and annotations together.
    fn check_sequence(&self, entity: &Entity, sequence: u64) -> Result<()> {
        let last = self.sequence_last.load(Ordering::Acquire);
        if sequence > last {
            return Ok(());
        }
        Err(Error::invalid(format!("change {sequence} (of {entity}) was applied after change {last}")))
    }

    fn count(&self, sequence: u64, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.sequence_first.load(Ordering::Relaxed) == 0 {
            self.sequence_first.store(sequence, Ordering::Release);
        }
        self.sequence_last.store(sequence, Ordering::Release);
    }

    /// The newest row of the entity with at most this number.
    fn seek(&self, entity: &[u8], number: u64) -> Option<Entry<'_, RowKey, Slot>> {
        let probe: &dyn AsRowKey = &(entity, number);
        let entry = self.rows.lower_bound(Edge::Included(probe))?;
        (entry.key().entity.as_bytes() == entity).then_some(entry)
    }

    /// The oldest row of the entity above this number.
    fn seek_newer(&self, entity: &[u8], number: u64) -> Option<Entry<'_, RowKey, Slot>> {
        let probe: &dyn AsRowKey = &(entity, number);
        let entry = self.rows.upper_bound(Edge::Excluded(probe))?;
        (entry.key().entity.as_bytes() == entity).then_some(entry)
    }

    /// The newest row of the entity inside the bound: a few steps, then bisection over the numbers.
    fn newest(&self, entity: &[u8], bound: &Bound) -> Option<Entry<'_, RowKey, Slot>> {
        let mut entry = self.seek(entity, bound.number)?;
        for _ in 0..LINEAR_STEPS {
            if bound.admits(&entry.value().row) {
                return Some(entry);
            }
            entry = entry.next()?;
            if entry.key().entity.as_bytes() != entity {
                return None;
            }
        }
        // Everything from `above` up is outside, everything up to `decided` was looked at: `best` is the newest of it inside.
        let (mut decided, mut above, mut best) = (0, entry.key().number.saturating_add(1), None);
        while decided + 1 < above {
            let middle = decided + (above - decided) / 2;
            match self.seek(entity, middle) {
                Some(found) if found.key().number > decided => {
                    if bound.admits(&found.value().row) {
                        best = Some(found);
                        decided = middle;
                    } else {
                        above = found.key().number;
                    }
                }
                _ => decided = middle,
            }
        }
        best
    }
}

/// Where the commit of a row ends.
fn end(row: &Row) -> u64 {
    row.sequence.saturating_add(u64::from(row.commit_rest))
}

/// Whether `newer` may be the next row of an entity whose newest is `older`.
pub(in crate::index) fn follows(older: &Row, newer: &Row) -> bool {
    newer.number > older.number
        && newer.sequence > older.sequence
        && newer.commit_time >= older.commit_time
        && newer.effective_time >= older.effective_time
        && end(newer) >= end(older)
}

impl Slot {
    fn run(&self, entity: &Entity) -> RunInfo {
        RunInfo {
            entity: entity.clone(),
            rows: self.older.saturating_add(1),
            number_last: self.row.number,
            sequence_last: self.row.sequence,
            number_first: self.oldest.0,
            sequence_first: self.oldest.1,
        }
    }
}

impl Source for Memtable {
    fn may_contain(&self, _entity: &[u8], hash: u64) -> Result<bool> {
        Ok(self.filter.may_contain(hash))
    }

    fn find(&self, entity: &[u8], hash: u64, bound: &Bound) -> Result<Option<Row>> {
        if !self.filter.may_contain(hash) {
            return Ok(None);
        }
        Ok(self.newest(entity, bound).map(|entry| entry.value().row.clone()))
    }

    fn rows(self: Arc<Self>, entity: &[u8], bound: &Bound, order: Order) -> RowIter {
        Box::new(cursor::Rows::new(self, entity, bound, order))
    }

    fn rows_above(self: Arc<Self>, entity: &[u8], above: u64, bound: &Bound) -> RowIter {
        Box::new(cursor::Rows::above(self, entity, above, bound))
    }

    fn runs(self: Arc<Self>, range: &EntityRange, order: Order) -> Box<dyn RunCursor> {
        Box::new(cursor::Runs::new(self, range.clone(), order))
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("rows", &self.row_count())
            .field("annotations", &self.annotation_count())
            .field("bytes", &self.bytes())
            .field("sequences", &self.sequences())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
