//! Hiding and destroying: what is not to be read any more, and what is left of it on the disk.

use std::path::Path;

use super::{
    Batch, Committed, ErasureReport, Forgetting, Forgot, Hiding, Progress, Reclaimed, Retention, Store,
};
use crate::Result;
use crate::model::Expect;

impl Store {
    /// Hides fields of revisions from ordinary reads, durably. Reversible.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn hide(&self, what: Hiding) -> Result<Committed> {
        self.commit(Batch::new().hide(what)?)
    }

    /// Shows again what was hidden, durably.
    ///
    /// # Errors
    /// As for [`Store::put`].
    pub fn show(&self, what: Hiding) -> Result<Committed> {
        self.commit(Batch::new().show(what)?)
    }

    /// Destroys fields of revisions, durably. Nothing undoes it: readers get `Forgotten` from now on, on every path, whatever point they read; the
    /// bytes go in the background. Call it again if it was interrupted: what was done is passed over.
    ///
    /// ```
    /// # use recension::{Content, Draft, Expect, Forgetting, Progress, Store};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::open(dir.path().join("wiki.db"))?;
    /// store.put("Main Page", Expect::Absent, Draft::new("a phone number"))?;
    /// store.put("Main Page", Expect::Head(1), Draft::new("harmless"))?;
    /// let wanted = Forgetting::revisions("Main Page", 1, 1).actor("oversight").reason("request 7");
    /// assert_eq!(store.forget(&wanted, &mut Progress::none())?.revisions, 1);
    /// assert_eq!(store.revision("Main Page", 1)?.unwrap().content()?, Content::Forgotten);
    /// # Ok::<(), recension::Error>(())
    /// ```
    ///
    /// # Errors
    /// `Shared` (an `Invalid`) if other revisions have a content that is meant and the call does not say what is to become of them; `Busy` if
    /// an entity is written to all the time; `Cancelled`; as for [`Store::put`].
    pub fn forget(&self, forgetting: &Forgetting, progress: &mut Progress<'_>) -> Result<Forgot> {
        self.inner().forget(forgetting, progress)
    }

    /// Destroys an entity, its name included, durably. Readers get [`Head::Purged`](crate::Head::Purged); numbers go on where they were if the name is used again
    /// (with `Expect::Any` or the last number: `Expect::Absent` is a conflict). What is left is a hash of the name, keyed with the
    /// store's id.
    ///
    /// # Errors
    /// As for [`Store::put`]; `Invalid` if there is nothing to purge.
    pub fn purge(
        &self,
        entity: impl AsRef<[u8]>,
        expect: Expect,
        actor: &str,
        reason: &str,
    ) -> Result<Committed> {
        self.inner().purge_entity(entity.as_ref(), expect, actor, reason)
    }

    /// The last revision number that an entity had when it was last purged; `None` if it never was. Revisions up to there are gone, also
    /// if the name was used again.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if it cannot be read.
    pub fn purged(&self, entity: impl AsRef<[u8]>) -> Result<Option<u64>> {
        Ok(self.inner().purge(entity.as_ref())?.map(|purge| purge.last))
    }

    /// Forgets what was superseded before a time, keeping so many older versions of each entity, durably.
    ///
    /// # Errors
    /// As for [`Store::forget`], without `Shared`: a content that a kept revision has, too, stays for that.
    pub fn retain(&self, retention: &Retention, progress: &mut Progress<'_>) -> Result<Forgot> {
        self.inner().retain(retention, progress)
    }

    /// Writes every file anew that holds bytes of what is forgotten, without them: now, and not within [`Options::erase_within`](crate::Options::erase_within). Readers and
    /// writers go on meanwhile. What a reader still has open goes when he is done.
    ///
    /// # Errors
    /// `OutOfSpace` if there is no room for the largest file concerned, `Cancelled`, `Io`. Damaged files are no error: see
    /// [`Reclaimed::unreadable`].
    pub fn reclaim(&self, progress: &mut Progress<'_>) -> Result<Reclaimed> {
        self.inner().reclaim(progress)
    }

    /// Names each file that still holds bytes of what is forgotten: every file of the directory is looked into, and the checkpoints that were
    /// made of this store are judged by what was erased when they were made. Works on a store that is open for reading only, too. Other
    /// copies it knows nothing of, nor of what a disk keeps in its free blocks.
    ///
    /// # Errors
    /// `Cancelled`; `Io` if the directory cannot be listed. What cannot be read is in the report.
    pub fn erasure_report(&self, progress: &mut Progress<'_>) -> Result<ErasureReport> {
        self.inner().erasure_report(progress)
    }

    /// Takes a checkpoint that is not there any more off the list of those that may hold what was forgotten since.
    ///
    /// # Errors
    /// `Invalid` if none at that path is listed, or if it is still there; `Io`.
    pub fn release_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        self.inner().release_checkpoint(path.as_ref())
    }
}
