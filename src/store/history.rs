//! Iterators over the revisions of an entity and over the heads of many.
//!
//! They own what they need, stream, can be sent to another thread, and are fused after an error. So that a reader that takes its
//! time holds no files back, the present version of the index is pinned anew every thousand items or every second, and the iterator seeks behind
//! the last one that it gave out. (Who stops asking and keeps the iterator keeps what is pinned.)

use std::sync::Arc;

use bytes::Bytes;

use super::inner::Inner;
use super::revision::{Head, Revision};
use crate::Result;
use crate::index::levels::Heads as HeadIter;
use crate::index::merge::ChainRows;
use crate::index::{EntityRange, Order};
use crate::model::{Bound, Entity};

/// A pin of the index is renewed after so many items,
const REPIN_AFTER: u32 = 1000;
/// or after so long, µs.
const REPIN_AFTER_US: u64 = 1_000_000;

/// A walk over a pinned version of the index.
struct Pinned<W> {
    walk: W,
    since_us: u64,
    given: u32,
}

impl<W: Iterator> Pinned<W> {
    /// The walk as it is, or begun anew if there is none or its pin is old.
    fn renewed<'a>(
        pinned: &'a mut Option<Self>,
        inner: &Inner,
        begin: impl FnOnce(&Inner) -> W,
    ) -> &'a mut Self {
        let now = inner.env.clock.monotonic_us();
        let is_old =
            |pin: &mut Self| pin.given >= REPIN_AFTER || now.saturating_sub(pin.since_us) >= REPIN_AFTER_US;
        if pinned.as_mut().is_some_and(is_old) {
            *pinned = None;
        }
        let pin = pinned.get_or_insert_with(|| Self { walk: begin(inner), since_us: now, given: 0 });
        pin.given = pin.given.saturating_add(1);
        pin
    }

    fn next(&mut self) -> Option<W::Item> {
        self.walk.next()
    }
}

/// The revisions of one entity, newest first; `.rev()` for oldest first. Reads no contents.
pub struct History {
    inner: Arc<Inner>,
    entity: Entity,
    bound: Bound,
    front: Option<Pinned<ChainRows>>,
    back: Option<Pinned<ChainRows>>,
    /// Numbers at or below this were given out from the back, or are purged; 0 for none.
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
        let front = Pinned::renewed(&mut self.front, &self.inner, |inner| {
            let below = self.ceiling.saturating_sub(u64::from(self.ceiling != u64::MAX));
            let bound = Bound { number: self.bound.number.min(below), ..self.bound };
            inner.view().rows(&self.entity, &bound, Order::Descending)
        });
        let item =
            front.next().map(|row| row.and_then(|row| Revision::new(&self.inner, self.entity.clone(), row)));
        match item {
            Some(Ok(Some(revision))) if revision.number() > self.floor => {
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
            let back = Pinned::renewed(&mut self.back, &self.inner, |inner| {
                inner.view().rows_above(&self.entity, self.floor, &self.bound)
            });
            let item = back.next().map(|row| {
                let row = row?;
                let number = row.number;
                Ok((number, Revision::new(&self.inner, self.entity.clone(), row)?))
            });
            match item {
                // Purged; there may be newer ones.
                Some(Ok((number, None))) => self.floor = number,
                Some(Ok((number, Some(revision)))) if number < self.ceiling => {
                    self.floor = number;
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
    front: Option<Pinned<HeadIter>>,
    back: Option<Pinned<HeadIter>>,
    done: bool,
}

enum Given {
    Head(Head),
    Purged,
    End,
}

impl Heads {
    pub(crate) fn new(inner: &Arc<Inner>, range: EntityRange, bound: Bound) -> Self {
        Self { inner: inner.clone(), bound, left: range, front: None, back: None, done: false }
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
            let item = Pinned::renewed(&mut self.front, &self.inner, |inner| {
                inner.view().heads(&self.left, &self.bound, Order::Ascending)
            })
            .next();
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
            let item = Pinned::renewed(&mut self.back, &self.inner, |inner| {
                inner.view().heads(&self.left, &self.bound, Order::Descending)
            })
            .next();
            if let Some(given) = self.give(item, Order::Descending) {
                return given;
            }
        }
    }
}

impl std::iter::FusedIterator for Heads {}
