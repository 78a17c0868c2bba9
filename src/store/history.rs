//! Iterators over the revisions of an entity and over the heads of many.
//!
//! They own what they need, stream, can be sent to another thread, and are fused after an error. So that a reader that takes its
//! time holds no files back, the present version of the index is pinned anew every thousand items, and the iterator seeks behind
//! the last one that it gave out.

use std::sync::Arc;

use bytes::Bytes;

use super::inner::Inner;
use super::revision::{Head, Revision};
use crate::Result;
use crate::index::levels::Heads as HeadIter;
use crate::index::merge::ChainRows;
use crate::index::{EntityRange, Order};
use crate::model::{Bound, Entity};

/// Items between two pins of the index.
const REPIN_AFTER: u32 = 1000;

/// The revisions of one entity, newest first; `.rev()` for oldest first. Reads no contents.
pub struct History {
    inner: Arc<Inner>,
    entity: Entity,
    bound: Bound,
    front: Option<ChainRows>,
    front_given: u32,
    back: Option<ChainRows>,
    /// Numbers at or below this were given out from the back; 0 for none.
    floor: u64,
    /// Numbers at or above this were given out from the front.
    ceiling: u64,
    done: bool,
}

impl History {
    pub(crate) fn new(inner: &Arc<Inner>, entity: Entity, bound: Bound) -> Self {
        Self {
            inner: inner.clone(),
            entity,
            bound,
            front: None,
            front_given: 0,
            back: None,
            floor: 0,
            ceiling: u64::MAX,
            done: false,
        }
    }

    fn finish(&mut self) {
        self.done = true;
        self.front = None;
        self.back = None;
    }
}

impl Iterator for History {
    type Item = Result<Revision>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.front_given >= REPIN_AFTER {
            self.front = None;
        }
        let front = self.front.get_or_insert_with(|| {
            self.front_given = 0;
            let below = self.ceiling.saturating_sub(u64::from(self.ceiling != u64::MAX));
            let bound = Bound { number: self.bound.number.min(below), ..self.bound };
            self.inner.view().rows(&self.entity, &bound, Order::Descending)
        });
        let item =
            front.next().map(|row| row.and_then(|row| Revision::new(&self.inner, self.entity.clone(), row)));
        match item {
            Some(Ok(Some(revision))) if revision.number() > self.floor => {
                self.front_given += 1;
                self.ceiling = revision.number();
                Some(Ok(revision))
            }
            Some(Err(e)) => {
                self.finish();
                Some(Err(e))
            }
            // Of an older revision than a purged one nothing is left either.
            _ => {
                self.finish();
                None
            }
        }
    }
}

impl DoubleEndedIterator for History {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        loop {
            let back = self
                .back
                .get_or_insert_with(|| self.inner.view().rows(&self.entity, &self.bound, Order::Ascending));
            let item = back
                .next()
                .map(|row| row.and_then(|row| Revision::new(&self.inner, self.entity.clone(), row)));
            match item {
                // Purged; there may be newer ones.
                Some(Ok(None)) => {}
                Some(Ok(Some(revision))) if revision.number() < self.ceiling => {
                    self.floor = revision.number();
                    return Some(Ok(revision));
                }
                Some(Err(e)) => {
                    self.finish();
                    return Some(Err(e));
                }
                _ => {
                    self.finish();
                    return None;
                }
            }
        }
    }
}

impl std::iter::FusedIterator for History {}

/// The heads of a range of entities in the order of their names; `.rev()` for the other order. Tombstones are given out as
/// [`Head::Deleted`]; purged entities are left out, for nothing is left of their names.
pub struct Heads {
    inner: Arc<Inner>,
    bound: Bound,
    /// What neither end has given out.
    left: EntityRange,
    front: Option<HeadIter>,
    front_given: u32,
    back: Option<HeadIter>,
    back_given: u32,
    done: bool,
}

enum Given {
    Head(Head),
    Purged,
    End,
}

impl Heads {
    pub(crate) fn new(inner: &Arc<Inner>, range: EntityRange, bound: Bound) -> Self {
        Self {
            inner: inner.clone(),
            bound,
            left: range,
            front: None,
            front_given: 0,
            back: None,
            back_given: 0,
            done: false,
        }
    }

    /// `None`: the entity was purged, look at the next one.
    fn give(
        &mut self,
        item: Option<Result<(Entity, crate::model::Row)>>,
        order: Order,
    ) -> Option<Option<Result<Head>>> {
        let item = item.map(|found| {
            let (entity, row) = found?;
            if !self.left.contains(entity.as_bytes()) {
                return Ok(Given::End);
            }
            match order {
                Order::Ascending => {
                    let mut after = entity.as_bytes().to_vec();
                    after.push(0);
                    self.left.from = Bytes::from(after);
                }
                Order::Descending => self.left.to = Some(entity.bytes().clone()),
            }
            Ok(match Revision::new(&self.inner, entity, row)? {
                Some(revision) => Given::Head(Head::of(revision)),
                None => Given::Purged,
            })
        });
        let end = match item {
            Some(Ok(Given::Head(head))) => return Some(Some(Ok(head))),
            Some(Ok(Given::Purged)) => return None,
            Some(Err(e)) => Some(Err(e)),
            Some(Ok(Given::End)) | None => None,
        };
        self.done = true;
        (self.front, self.back) = (None, None);
        Some(end)
    }
}

impl Iterator for Heads {
    type Item = Result<Head>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        loop {
            if self.front_given >= REPIN_AFTER {
                self.front = None;
            }
            let front = self.front.get_or_insert_with(|| {
                self.front_given = 0;
                self.inner.view().heads(&self.left, &self.bound, Order::Ascending)
            });
            self.front_given += 1;
            let item = front.next();
            if let Some(given) = self.give(item, Order::Ascending) {
                return given;
            }
        }
    }
}

impl DoubleEndedIterator for Heads {
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        loop {
            if self.back_given >= REPIN_AFTER {
                self.back = None;
            }
            let back = self.back.get_or_insert_with(|| {
                self.back_given = 0;
                self.inner.view().heads(&self.left, &self.bound, Order::Descending)
            });
            self.back_given += 1;
            let item = back.next();
            if let Some(given) = self.give(item, Order::Descending) {
                return given;
            }
        }
    }
}

impl std::iter::FusedIterator for Heads {}
