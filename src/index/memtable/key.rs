//! Keys of the memtable, and how to look them up without building one.

use std::borrow::Borrow;
use std::cmp::Ordering;

use crate::model::Entity;

/// The key of a row: entities ascending, within an entity numbers *descending*. Never inserted twice.
#[derive(Clone, Debug)]
pub(super) struct RowKey {
    pub entity: Entity,
    pub number: u64,
}

/// A row's key by reference. `SkipMap` looks up any `Q` that the key borrows as; borrowing as a trait object lets a look-up
/// compare with a `&[u8]` on the stack, so it allocates nothing (a composite key would otherwise need an owned `Entity`).
pub(super) trait AsRowKey {
    fn parts(&self) -> (&[u8], u64);
}

impl AsRowKey for RowKey {
    fn parts(&self) -> (&[u8], u64) {
        (self.entity.as_bytes(), self.number)
    }
}

impl AsRowKey for (&[u8], u64) {
    fn parts(&self) -> (&[u8], u64) {
        *self
    }
}

impl<'a> Borrow<dyn AsRowKey + 'a> for RowKey {
    fn borrow(&self) -> &(dyn AsRowKey + 'a) {
        self
    }
}

impl Ord for dyn AsRowKey + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        let ((entity, number), (other_entity, other_number)) = (self.parts(), other.parts());
        entity.cmp(other_entity).then(other_number.cmp(&number))
    }
}

impl PartialOrd for dyn AsRowKey + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn AsRowKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn AsRowKey + '_ {}

impl Ord for RowKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let this: &dyn AsRowKey = self;
        this.cmp(other)
    }
}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RowKey {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for RowKey {}

/// The key of an annotation: (entity, first number, last number, sequence), all ascending.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AnnotationKey {
    pub entity: Entity,
    pub first: u64,
    pub last: u64,
    pub sequence: u64,
}
