//! Reading at a fixed point.

use std::sync::Arc;

use super::history::{Heads, History};
use super::inner::Inner;
use super::revision::{AsOf, Head, Revision};
use crate::Result;
use crate::index::EntityRange;
use crate::model::{Bound, Entity};

/// The store as it was at one sequence number. It is only that number: it costs nothing, holds nothing back and never expires.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    sequence: u64,
}

impl Snapshot {
    pub(crate) fn new(inner: Arc<Inner>, sequence: u64) -> Self {
        Self { inner, sequence }
    }

    /// Everything up to here is in it.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    fn bound(&self) -> Bound {
        Bound::at(self.sequence)
    }

    /// The head of an entity at this point.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn head(&self, entity: impl AsRef<[u8]>) -> Result<Head> {
        self.inner.head_at(entity.as_ref(), &self.bound())
    }

    /// The live head of an entity at this point.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn get(&self, entity: impl AsRef<[u8]>) -> Result<Option<Revision>> {
        Ok(self.head(entity)?.live())
    }

    /// One revision, if it was there at this point.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn revision(&self, entity: impl AsRef<[u8]>, number: u64) -> Result<Option<Revision>> {
        let bound = Bound { number, ..self.bound() };
        self.inner.revision_at(entity.as_ref(), &bound)
    }

    /// The entity as of an earlier point.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn as_of(&self, entity: impl AsRef<[u8]>, as_of: AsOf) -> Result<Head> {
        self.inner.head_at(entity.as_ref(), &as_of.bound(self.sequence))
    }

    /// The revisions of an entity up to this point, newest first; reversible.
    ///
    /// # Errors
    /// `Invalid` for a bad entity name.
    pub fn history(&self, entity: impl AsRef<[u8]>) -> Result<History> {
        Ok(History::new(&self.inner, Entity::new(entity)?, self.bound()))
    }

    /// The heads of all entities of a range at this point, tombstones included, in the order of their names; reversible.
    pub fn heads(&self, range: EntityRange) -> Heads {
        Heads::new(&self.inner, range, self.bound())
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot").field("sequence", &self.sequence).finish()
    }
}
