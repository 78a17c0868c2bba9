//! Making manifest and index anew from the value files alone.
//!
//! ```text
//!  headers and trailers of all segments and packs
//!        │ which of them make up the store (`choose`): from change 1 on without a gap, the highest generation of each rectangle
//!        ▼
//!  new manifest, without tables, flushed up to 0 ──► opening replays everything, flushing as it goes
//! ```
//! Everything but the value files is a view of them, so a rebuild is a new manifest and an opening: time and memory are those of a replay, one
//! memtable at a time.
//!
//! 1. Nothing is written before it is clear that the value files are complete: what the old manifest (if it can be read) knew, and what the log
//!    promises, must be there. What is missing or damaged is an error that names it; `repair` is for that.
//! 2. The new manifest is durable before the old one goes. The tables of the old one are obsolete in it, so that they go at the opening, also if
//!    the process ends in between.
//! 3. Value files are read and never written (but for a segment that a crash left without its tail, as at any opening).
//! 4. A file that is superseded by a pack of a higher generation never comes back: what was forgotten in the pack stays forgotten.

mod choose;
mod found;

use std::path::Path;

use self::choose::choose;
use self::found::find;
use super::Store;
use super::open::{StoreBuilder, open_locked};
use crate::codec::{FileId, FileKind};
use crate::env::{Env, LockMode};
use crate::error::IoContext;
use crate::limits::Limits;
use crate::log::{Position, RecoveryInput, RecoveryMode, SegmentHeader, survey};
use crate::manifest::{Manifest, OpenMode, State, StoreLock, ValueFileInfo};
use crate::{Error, ErrorKind, Result};

/// What a rebuild does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RebuildMode {
    /// Says what it would do and writes nothing.
    DryRun,
    /// Does it.
    Apply,
}

/// What a rebuild found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebuildReport {
    /// Whether the old manifest could be read.
    pub had_manifest: bool,
    /// Names of the sealed segments and packs that make up the store, by sequence number. Segments behind them are found as at any opening.
    pub value_files: Vec<String>,
    /// The last change there is.
    pub sequence: u64,
    /// Names of the files that go: the old index, and what a pack superseded.
    pub obsolete: Vec<String>,
    /// Changes that the new index was made of; 0 in a dry run.
    pub replayed: u64,
}

impl StoreBuilder {
    /// Makes manifest and index anew from the segments and packs in the directory; also if there is no manifest any more. Afterwards the store
    /// answers as before. See [`RebuildMode`]. It takes as long as reading all directories does, tells no progress and is not cancelled: a process that ends in the
    /// middle leaves the store as it was, or the new manifest, and may do it again. What had been erased is looked for anew: a checkpoint
    /// made between a rebuild and the next reclaim is named as one that may hold forgotten bytes.
    ///
    /// # Errors
    /// `Corrupt` if value files are missing or damaged: then nothing was changed. `Locked`, `Invalid` if there are no value files,
    /// `Unsupported`, `Io`.
    pub fn rebuild(self, mode: RebuildMode) -> Result<RebuildReport> {
        let env = self.environment();
        let path = self.path().to_path_buf();
        if !env.fs.exists(&path).context("look for a store in", &path)? {
            return Err(Error::invalid(format!("there is no store in {}", path.display())));
        }
        let lock = StoreLock::acquire(&env, &path, LockMode::Exclusive)?;
        let (state, mut report) = plan(&env, &path)?;
        if mode == RebuildMode::DryRun {
            return Ok(report);
        }
        // What the old manifest had removed must not come back behind the new one, which does not know of it.
        env.fs.sync_dir(&path).context("sync", &path)?;
        Manifest::install(&env, &path, state)?;
        let store: Store = open_locked(self, env, Some(lock))?;
        report.replayed = store.open_report().replayed;
        store.flush()?;
        store.close()?;
        Ok(report)
    }
}

/// A value file and what it says.
struct Candidate {
    info: ValueFileInfo,
    /// Of a segment.
    header: Option<SegmentHeader>,
    /// The old manifest names it.
    installed: bool,
}

/// The new state. Writes nothing.
fn plan(env: &Env, dir: &Path) -> Result<(State, RebuildReport)> {
    let fs = env.fs.as_ref();
    let listing = fs.read_dir(dir).context("list", dir)?;
    let own: Vec<(FileId, FileKind)> =
        listing.iter().filter(|entry| !entry.is_dir).filter_map(|entry| FileId::parse(&entry.name)).collect();
    let old = match Manifest::open(env, dir, OpenMode::ReadOnly, &Limits::PRODUCTION) {
        Ok((manifest, _)) => Some(State::clone(&manifest.state())),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => None,
        Err(error) => return Err(error),
    };
    let mut found = find(env, dir, &own, old.as_ref())?;
    if found.segments.is_empty() && found.packs.is_empty() && found.open.is_empty() {
        return Err(Error::invalid(format!(
            "there are no segments or packs in {}: nothing to rebuild from",
            dir.display()
        )));
    }
    found.leave_out_unfinished(fs, dir)?;
    let (mut chosen, next) = choose(&found.packs, &found.segments);
    found.account(fs, dir, &mut chosen, old.as_ref())?;
    // A pack that could not be used is no loss if the rest is complete; behind a gap it is.
    let behind = found.packs.iter().map(|pack| pack.info.sequence_last).max().unwrap_or(0);
    if behind >= next {
        let gap = || {
            let affected = format!("changes from {next} on");
            Error::corrupt(dir, 0, format!("a value file with change {next}"), "none", affected)
        };
        return Err(found.unreadable.pop().unwrap_or_else(gap));
    }
    let packed_end = found.packed_end(fs, dir, &chosen, old.as_ref())?;
    let promise = old.as_ref().map_or((0, 0), |old| old.promise);
    let log = survey(&RecoveryInput {
        fs,
        dir,
        listing: &listing,
        store: &found.store,
        sealed: &chosen,
        packed_end,
        changes: &|_| Box::new(std::iter::empty()),
        promise: Position::new(promise.0, promise.1),
        flushed: 0,
        limits: &Limits::PRODUCTION,
        mode: RecoveryMode::ReadOnly,
    });
    let log = match log {
        Ok(log) => log,
        Err(error) => return Err(found.unreadable.pop().unwrap_or(error)),
    };
    let known = old.as_ref().map_or(0, |old| {
        let files = old.value_files.values().map(|file| file.sequence_last);
        files.chain(old.flushed.values().copied()).chain([old.promise_sequence]).max().unwrap_or(0)
    });
    if log.sequence < known {
        let affected = format!("changes {} to {known}", log.sequence.saturating_add(1));
        let error = Error::corrupt(dir, 0, "all changes that the manifest knows", "fewer", affected);
        return Err(found.unreadable.pop().unwrap_or(error));
    }
    for leftover in &log.leftovers {
        // Sealed and not chosen: it must say nothing that is not said elsewhere. (What is sealed is durable, and so was everything in front of it: where
        // it follows nothing, that is lost.)
        let last = found.segments.iter().find(|segment| segment.info.id == leftover.id);
        if last.is_some_and(|segment| segment.info.sequence_last > log.sequence) {
            let path = dir.join(leftover.id.file_name(FileKind::Segment));
            return Err(Error::corrupt(
                &path,
                0,
                "a segment that the log goes on from",
                "one that it does not",
                "its changes",
            ));
        }
    }
    let mut report =
        RebuildReport { had_manifest: old.is_some(), sequence: log.sequence, ..RebuildReport::default() };
    report.value_files = chosen.iter().map(|info| info.id.file_name(info.kind)).collect();
    let state = found.state(env, &own, chosen, packed_end, old, &mut report);
    Ok((state, report))
}
