//! Transactions: read at a snapshot, write all at the end, if nothing that was read by name has changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::sync::Mutex;

use super::draft::{Batch, Committed, Draft, Durability, Op};
use super::history::Heads;
use super::inner::Inner;
use super::revision::{Head, Revision};
use super::snapshot::Snapshot;
use crate::index::EntityRange;
use crate::model::{Entity, Expect};
use crate::{Error, Result};

/// Reads a fixed point, buffers writes, and commits them if every entity read *by name* (absences included) still has the head that
/// was read: serialisable for those. Reads of ranges are snapshot reads and are not checked again: their type, [`SnapshotHeads`],
/// says so.
///
/// Its own writes are not seen by its reads. Dropping it takes everything back.
pub struct Transaction {
    inner: Arc<Inner>,
    snapshot: Snapshot,
    /// What was read by name: the head's sequence, 0 for absent, and its number.
    reads: Mutex<BTreeMap<Entity, (u64, u64)>>,
    batch: Batch,
}

/// Heads of a range at a transaction's snapshot, in the order of their names; reversible. Not checked at commit.
pub struct SnapshotHeads(Heads);

impl Iterator for SnapshotHeads {
    type Item = Result<Head>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl DoubleEndedIterator for SnapshotHeads {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

impl std::iter::FusedIterator for SnapshotHeads {}

impl Transaction {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let snapshot = Snapshot::new(inner.clone(), inner.published());
        Self { inner, snapshot, reads: Mutex::default(), batch: Batch::new() }
    }

    /// The point that it reads.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The head of an entity; checked again at commit.
    ///
    /// # Errors
    /// `Invalid` for a bad entity name; `Corrupt` or `Io` if it cannot be read.
    pub fn head(&self, entity: impl AsRef<[u8]>) -> Result<Head> {
        let entity = Entity::new(entity)?;
        let head = self.snapshot.head(&entity)?;
        let seen = match &head {
            Head::Purged(last) => {
                (self.inner.purge(entity.as_bytes())?.map_or(0, |purge| purge.sequence), *last)
            }
            head => head.revision().map_or((0, 0), |revision| (revision.sequence(), revision.number())),
        };
        self.reads.lock().insert(entity, seen);
        Ok(head)
    }

    /// The live head of an entity; checked again at commit.
    ///
    /// # Errors
    /// As for [`Transaction::head`].
    pub fn get(&self, entity: impl AsRef<[u8]>) -> Result<Option<Revision>> {
        Ok(self.head(entity)?.live())
    }

    /// One revision. Revisions never change, so only its absence is checked again at commit (as a read of the head).
    ///
    /// # Errors
    /// As for [`Transaction::head`].
    pub fn revision(&self, entity: impl AsRef<[u8]>, number: u64) -> Result<Option<Revision>> {
        let found = self.snapshot.revision(&entity, number)?;
        if found.is_none() {
            self.head(entity)?;
        }
        Ok(found)
    }

    /// Heads of a range, as of the snapshot; not checked at commit.
    pub fn heads(&self, range: EntityRange) -> SnapshotHeads {
        SnapshotHeads(self.snapshot.heads(range))
    }

    /// Buffers a revision. The entity must have the head that the transaction sees.
    ///
    /// # Errors
    /// As for [`Transaction::head`].
    pub fn put(&mut self, entity: impl AsRef<[u8]>, draft: Draft) -> Result<()> {
        let entity = Entity::new(entity)?;
        if !self.reads.lock().contains_key(&entity) {
            self.head(&entity)?;
        }
        // The expectation is carried by the guards, which stand in front.
        self.batch.ops.push(Op::Write { entity, expect: Expect::Any, draft: Box::new(draft) });
        Ok(())
    }

    /// Buffers a tombstone.
    ///
    /// # Errors
    /// As for [`Transaction::head`].
    pub fn delete(&mut self, entity: impl AsRef<[u8]>) -> Result<()> {
        self.put(entity, Draft::tombstone())
    }

    /// Commits what was buffered. The outcomes are those of the writes, in order.
    ///
    /// # Errors
    /// `Conflict` if something read by name has changed: run the whole transaction again.
    pub fn commit(self, durability: Durability) -> Result<Committed> {
        let reads = self.reads.into_inner();
        let guards = reads.len();
        let mut ops = Vec::with_capacity(guards + self.batch.ops.len());
        for (entity, (sequence, number)) in reads {
            let expect = if sequence == 0 { Expect::Absent } else { Expect::Head(number) };
            ops.push(Op::Guard { entity, expect, sequence: Some(sequence) });
        }
        ops.extend(self.batch.ops);
        let mut committed = self.inner.commit(Batch { ops, ..Batch::new() }, durability)?;
        if committed.outcomes.len() < guards {
            return Err(Error::invalid("internal: fewer outcomes than conditions"));
        }
        committed.outcomes.drain(..guards);
        Ok(committed)
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}
