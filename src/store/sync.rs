//! Syncing the log for background work while commits go on.
//!
//! A flush or a seal needs the log durable up to some point behind the writers. Going through the pipeline for it would make buffered
//! commits wait for the disk: the leader holds the log while it syncs. Here the files are synced without it.
//!
//! 1. One sync of a file at a time, and *none after a failed one*: the system tells of a lost page once, so a second sync would
//!    succeed for bytes that are gone. [`SegmentFile::sync`] remembers, whoever called it.
//! 2. What was written when the sync began is durable when it ends, nothing later: the present segment stays in `unsynced`.
//! 3. A failure latches before anybody else can be told of anything durable.

use crate::sync::atomic::Ordering;
use std::sync::Arc;

use super::inner::Inner;
use super::space::SegmentFile;
use crate::error::IoContext;
use crate::log::Position;
use crate::{Error, Result};

impl SegmentFile {
    /// Makes what was written to the file durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut failed = self.sync_failed.lock();
        if *failed {
            let source = std::io::Error::other("an earlier sync failed");
            return Err(Error::io("sync the log in", &self.path, source));
        }
        let synced = self.file.sync_data().context("sync the log in", &self.path);
        *failed = synced.is_err();
        synced
    }
}

impl Inner {
    /// Makes everything published before this call durable. Commits go on meanwhile.
    pub(crate) fn sync_behind(self: &Arc<Self>) -> Result<()> {
        let (segments, present, promise, sequence) = {
            let log = self.log.lock();
            self.check_writable()?;
            let promise = Position { file: log.segment.id.number, offset: log.end };
            // Only what went through is published; what a failed group left is not.
            (log.unsynced.clone(), log.segment.id, promise, self.published())
        };
        for segment in &segments {
            segment.sync().map_err(|error| self.latch(&error))?;
            self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        }
        {
            let mut log = self.log.lock();
            self.check_writable()?;
            let done = |id| id != present && segments.iter().any(|segment| segment.id == id);
            log.unsynced.retain(|segment| !done(segment.id));
            log.promise = log.promise.max(promise);
        }
        self.durable.fetch_max(sequence, Ordering::AcqRel);
        self.watch.notify();
        Ok(())
    }
}
