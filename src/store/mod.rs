//! The store: opening, writing, reading.

mod append;
mod background;
mod check;
mod checkpoint;
mod clock;
mod commit;
mod cursor;
mod draft;
mod feed;
mod forget;
mod forgetting;
mod grouping;
mod head_cache;
mod heads;
mod history;
mod inner;
mod leader;
mod live;
mod maintain;
mod memory;
mod merging;
mod open;
mod options;
mod packing;
mod parts;
mod pipeline;
mod prepare;
mod progress;
mod put_off;
mod read;
mod rebuild;
mod reclaim;
mod repair;
mod reserve;
mod resolve;
mod restore;
mod revision;
mod small;
mod snapshot;
mod space;
mod start;
mod stats;
mod sync;
mod tables;
mod tail_blocks;
mod ticket;
mod transaction;
mod turns;
mod unpackable;
mod upkeep;
mod values;
mod watch;
mod written;

use std::path::Path;
use std::sync::Arc;

pub use check::{CheckDepth, CheckReport, Finding};
pub use checkpoint::CheckpointReport;
pub use cursor::Cursor;
pub use draft::{Batch, Committed, Draft, Durability, Hiding, Outcome};
pub use feed::{Change, ChangeKind, Changes};
pub use forget::{
    ERASURE_TEXT_MAX, ErasureMode, ForgetWhat, Forgetting, Forgot, InterruptedJob, NotErased, Retention,
    Sharing,
};
pub use history::{Heads, History};
pub use live::{LiveChange, LiveChangeKind, LiveChanges};
pub use maintain::Compaction;
pub use open::{AcceptClockSteps, CutReport, IfMissing, OpenReport, StoreBuilder};
pub use options::{ByteSize, Options, Packing, TableReads};
pub use progress::Progress;
pub use put_off::PutOff;
pub use rebuild::{RebuildMode, RebuildReport};
pub use reclaim::{ErasureReport, HeldFile, HeldRole, Reclaimed, UnknownFile};
pub use repair::{Lost, RepairMode, RepairReport, repair};
pub use restore::{AnnotationsFrom, RestoreReport};
pub use revision::{AsOf, Content, Head, Revision};
pub use snapshot::Snapshot;
pub use stats::{DiskUse, Stats};
pub use ticket::Ticket;
pub use transaction::{SnapshotHeads, Transaction};
pub use written::Written;

use inner::Inner;

use crate::Result;
use crate::index::EntityRange;
use crate::model::Expect;

/// An open store. Clones are handles of the same store; it is closed by [`Store::close`] or when the last handle is dropped. A drop does not
/// wait for background work, which may then keep the store locked for a moment: another process gets `Locked` until it has ended, an opening in
/// this process waits for it, 10 s at most.
///
/// Reads and commits block the calling thread for as long as the disk needs: from asynchronous code call them through the
/// executor's `spawn_blocking`, or use [`Store::submit`] and await the ticket.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Handle>,
}

/// Dropped with the last `Store`: ends background work without waiting for it.
struct Handle(Arc<Inner>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Store {
    fn inner(&self) -> &Arc<Inner> {
        &self.inner.0
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner: Arc::new(Handle(inner)) }
    }

    /// Opens the store in a directory, creating it if there is none.
    ///
    /// # Errors
    /// `Locked` if it is open elsewhere, `Corrupt` if what is there is damaged, `Invalid` if the directory is not a store.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::builder(path).open()
    }

    /// Opens with options.
    pub fn builder(path: impl AsRef<Path>) -> StoreBuilder {
        StoreBuilder::new(path.as_ref())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.inner().path()
    }

    /// The id that the store was created with.
    pub fn id(&self) -> [u8; 16] {
        self.inner().manifest.state().store
    }

    /// What opening found and did.
    pub fn open_report(&self) -> &OpenReport {
        &self.inner().background.open_report
    }

    /// Writes one revision, durably.
    ///
    /// ```
    /// # use recension::{Store, Draft, Expect, Head};
    /// # let dir = tempfile::tempdir().unwrap();
    /// let store = Store::open(dir.path().join("wiki.db"))?;
    /// let first = store.put("Main Page", Expect::Absent, Draft::new("hello"))?;
    /// store.put("Main Page", Expect::Head(1), Draft::new("hello, world").comment("more"))?;
    /// // A second writer who has not seen revision 2:
    /// let stale = store.put("Main Page", Expect::Head(1), Draft::new("hallo"));
    /// assert_eq!(stale.unwrap_err().kind(), recension::ErrorKind::Conflict);
    /// # Ok::<(), recension::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Conflict` if the head is not as expected; `Invalid` for what breaks a limit; `Busy`, `OutOfSpace`: try again; `Io`: something could not be
    /// read, nothing was given out; `Latched`: reopen.
    pub fn put(&self, entity: impl AsRef<[u8]>, expect: Expect, draft: Draft) -> Result<Committed> {
        self.commit(Batch::new().put(entity, expect, draft)?)
    }

    /// Writes a tombstone, durably. The history stays readable; a further revision brings the entity back.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn delete(&self, entity: impl AsRef<[u8]>, expect: Expect) -> Result<Committed> {
        self.put(entity, expect, Draft::tombstone())
    }

    /// Brings a deleted entity back with its newest live content, durably.
    ///
    /// # Errors
    /// As for [`Store::put`]; `Invalid` if it is not deleted.
    pub fn undelete(&self, entity: impl AsRef<[u8]>, expect: Expect) -> Result<Committed> {
        self.put(entity, expect, Draft::undelete())
    }

    /// Makes the content of an earlier revision the head again, as a new revision, durably.
    ///
    /// # Errors
    /// As for [`Store::put`]; `Invalid` if there is no such revision or it has no content.
    pub fn revert(&self, entity: impl AsRef<[u8]>, expect: Expect, to: u64) -> Result<Committed> {
        self.put(entity, expect, Draft::revert_to(to))
    }

    /// Commits a batch, durably: all of it or nothing.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn commit(&self, batch: Batch) -> Result<Committed> {
        self.commit_with(batch, Durability::Sync)
    }

    /// Commits a batch with the durability given.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn commit_with(&self, batch: Batch, durability: Durability) -> Result<Committed> {
        self.inner().commit(batch, durability)
    }

    /// Reserves a batch and answers a ticket to wait for or to await, so that one thread can have many commits in flight. Expectations
    /// are checked and numbers given before it returns; an error now means that nothing was written.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn submit(&self, batch: Batch, durability: Durability) -> Result<Ticket> {
        self.inner().submit(batch, durability)
    }

    /// Makes everything committed before this call durable.
    ///
    /// # Errors
    /// `Latched` if the disk refused.
    pub fn sync(&self) -> Result<()> {
        self.inner().sync()
    }

    /// Starts a transaction at the present state.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.inner().clone())
    }

    /// The store as it is now, for any number of reads.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner().clone(), self.inner().published())
    }

    /// The store as it was when `sequence` was the last change; rounded down to a commit boundary.
    pub fn snapshot_at(&self, sequence: u64) -> Snapshot {
        Snapshot::new(self.inner().clone(), sequence.min(self.inner().published()))
    }

    /// The newest revision of an entity.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn head(&self, entity: impl AsRef<[u8]>) -> Result<Head> {
        self.inner().head(entity.as_ref())
    }

    /// The newest revision of an entity, unless it is absent or deleted.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn get(&self, entity: impl AsRef<[u8]>) -> Result<Option<Revision>> {
        Ok(self.head(entity)?.live())
    }

    /// The heads of several entities at one moment, in the order asked for.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if one cannot be read.
    pub fn heads_of<E: AsRef<[u8]>>(&self, entities: &[E]) -> Result<Vec<Head>> {
        let snapshot = self.snapshot();
        entities.iter().map(|entity| snapshot.head(entity)).collect()
    }

    /// One revision.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn revision(&self, entity: impl AsRef<[u8]>, number: u64) -> Result<Option<Revision>> {
        self.snapshot().revision(entity, number)
    }

    /// The entity as of a sequence number or a time.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn as_of(&self, entity: impl AsRef<[u8]>, as_of: AsOf) -> Result<Head> {
        self.snapshot().as_of(entity, as_of)
    }

    /// The revisions of an entity, newest first; reversible. Contents are read only when asked for.
    ///
    /// # Errors
    /// `Invalid` for a bad entity name.
    pub fn history(&self, entity: impl AsRef<[u8]>) -> Result<History> {
        self.snapshot().history(entity)
    }

    /// The heads of a range of entities, tombstones included, in the order of their names; reversible.
    pub fn heads(&self, range: EntityRange) -> Heads {
        self.snapshot().heads(range)
    }

    /// The same as of a sequence number or a time.
    pub fn heads_as_of(&self, range: EntityRange, as_of: AsOf) -> Heads {
        Heads::new(self.inner(), range, as_of.bound(self.inner().published()))
    }

    /// Every change behind `after` (0: from the start), in commit order. To go on later, keep a [`Cursor`] (see [`Changes::position`]) rather
    /// than the bare number.
    ///
    /// # Errors
    /// `CursorLost` if `after` is beyond the last durable change.
    pub fn changes(&self, after: u64) -> Result<Changes> {
        Changes::new(self.inner(), after)
    }

    /// Every change behind a cursor that was kept, in commit order.
    ///
    /// # Errors
    /// `CursorLost` if this store does not have the change that it stands behind: that was lost in a power cut and never durable here, or the store
    /// was restored from a checkpoint and went another way since; `Invalid` if it is one of another store; `Corrupt`, `Io`.
    pub fn resume(&self, cursor: &Cursor) -> Result<Changes> {
        self.inner().resume(cursor)
    }

    /// The last sequence number that can be read.
    pub fn published(&self) -> u64 {
        self.inner().published()
    }

    /// The last sequence number that survives a power cut.
    pub fn durable(&self) -> u64 {
        self.inner().durable()
    }

    /// Closes the store: everything durable, the log trimmed and marked, background work ended. Other handles get errors from then on. A
    /// second call does nothing.
    ///
    /// # Errors
    /// What the disk says; the store is closed all the same.
    pub fn close(&self) -> Result<()> {
        self.inner().close()
    }

    /// The heads of all entities whose name starts with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Heads {
        self.heads(EntityRange::prefix(prefix.as_ref()))
    }

    /// Whether an entity has a live head.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn contains(&self, entity: impl AsRef<[u8]>) -> Result<bool> {
        Ok(matches!(self.head(entity)?, Head::Live(_)))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path()).finish_non_exhaustive()
    }
}
