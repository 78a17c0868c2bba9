//! What an administrator asks of an open store: numbers, checks, compaction, packing, checkpoints.

use std::path::Path;

use super::{CheckDepth, CheckReport, CheckpointReport, Compaction, Progress, Stats, Store};
use crate::Result;

impl Store {
    /// Numbers about the store.
    ///
    /// # Errors
    /// `Io` if the directory cannot be listed.
    pub fn stats(&self) -> Result<Stats> {
        self.inner().stats()
    }

    /// Verifies the store: see [`CheckDepth`]. Damage is reported, not an error.
    ///
    /// # Errors
    /// `Cancelled`; `Io` if something cannot be read at all.
    pub fn check(&self, depth: CheckDepth, progress: &mut Progress<'_>) -> Result<CheckReport> {
        self.inner().check(depth, progress)
    }

    /// Writes what is in memory to tables.
    ///
    /// # Errors
    /// What the disk says.
    pub fn flush(&self) -> Result<()> {
        self.inner().flush_all()
    }

    /// Compacts: what is due, or everything.
    ///
    /// # Errors
    /// What the disk says; `Cancelled`.
    pub fn compact(&self, how: Compaction, progress: &mut Progress<'_>) -> Result<()> {
        self.inner().compact(how, progress)
    }

    /// Packs everything written so far: ends the segment that is being written, seals it, and rewrites all segments as packs, in which the
    /// revisions of an entity are compressed together. Cancelled, it keeps what is done.
    ///
    /// # Errors
    /// What the disk says; `Cancelled`.
    pub fn pack(&self, progress: &mut Progress<'_>) -> Result<()> {
        self.inner().pack_all(progress)
    }

    /// Makes a second, independent store in `to` out of links to this one's files, while this one is in use.
    ///
    /// # Errors
    /// `Invalid` if `to` exists; `Io` where links are not possible.
    pub fn checkpoint(&self, to: impl AsRef<Path>) -> Result<CheckpointReport> {
        self.checkpoint_with(to, &mut Progress::new(&mut |_, _, _| true))
    }

    /// The same with progress. Cancelled, it leaves what it has linked in `to`; that is not a store.
    ///
    /// # Errors
    /// As for [`Store::checkpoint`]; `Cancelled`.
    pub fn checkpoint_with(
        &self,
        to: impl AsRef<Path>,
        progress: &mut Progress<'_>,
    ) -> Result<CheckpointReport> {
        self.inner().checkpoint(to.as_ref(), progress)
    }
}
