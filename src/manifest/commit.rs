//! The open manifest: commits and file numbers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sync::Mutex;
use arc_swap::ArcSwap;

use super::apply::{Role, apply};
use super::edit::Edit;
use super::files::Files;
use super::invariants::check_touched;
use super::log::{AppendError, Log};
use super::snapshot;
use super::state::State;
use crate::codec::{FileId, FileKind};
use crate::env::{Fs, Rng};
use crate::{Error, Result};

/// So many file numbers are reserved ahead: one commit of the manifest for as many files.
pub(super) const RESERVE: u64 = 64;
/// So many unlinked files are gathered before the manifest forgets them (which costs a sync of the directory).
const UNLINKED_BATCH: usize = 16;

/// Which files make up the store now.
///
/// Shared between threads. Reading the state never waits; commits are made one at a time.
pub struct Manifest {
    pub(super) fs: Arc<dyn Fs>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) dir: PathBuf,
    /// Edits may grow to this many bytes before they are replaced by a snapshot.
    pub(super) limit: u64,
    pub(super) state: ArcSwap<State>,
    pub(super) writer: Mutex<Writer>,
    /// The next file number to give out; free to use if it is below the state's `next_file`.
    pub(super) next: Mutex<u64>,
    pub(super) files: Arc<Files>,
}

/// What commits change, under one lock.
pub(super) struct Writer {
    /// `None`: opened for reading only.
    pub(super) log: Option<Log>,
    /// All file numbers that were ever seen.
    pub(super) used: BTreeSet<u64>,
    /// The first failure.
    pub(super) latched: Option<Arc<str>>,
}

impl Writer {
    fn latch(&mut self, error: &Error) -> Error {
        let cause = self.latched.get_or_insert_with(|| format!("the manifest failed: {error}").into());
        Error::Latched { cause: cause.clone() }
    }

    fn log(&mut self, dir: &Path) -> Result<&mut Log> {
        if let Some(cause) = &self.latched {
            return Err(Error::Latched { cause: cause.clone() });
        }
        self.log
            .as_mut()
            .ok_or_else(|| Error::invalid(format!("the store {} is open for reading only", dir.display())))
    }
}

/// The outcome of a commit: the new state, and the files that are not part of it any more.
type Committed = (Arc<State>, Vec<(FileId, FileKind)>);

impl Manifest {
    /// The present state. Does not wait and does not change.
    pub fn state(&self) -> Arc<State> {
        self.state.load_full()
    }

    /// The store's files: everything that reads a table or value file opens it here, so that it is not deleted under the reader.
    pub fn files(&self) -> &Arc<Files> {
        &self.files
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes all edits durable and then visible, as one. The files that they add must be synced, name included. Files that
    /// they remove are unlinked as soon as nobody has them open. Without edits, does nothing.
    ///
    /// # Errors
    /// `Invalid`, naming the rule, if the new state would break an invariant, and `OutOfSpace`: nothing has happened. `Latched`
    /// if a write or sync failed, now or before: whether the commit is there is seen when the store is opened again.
    pub fn commit(&self, edits: Vec<Edit>) -> Result<Arc<State>> {
        let committed = self.commit_locked(&mut self.writer.lock(), edits);
        self.finish(committed)
    }

    /// Reserves a file number. It is never given out again, whatever happens. Costs a commit once in 64 calls.
    ///
    /// # Errors
    /// As [`Manifest::commit`].
    pub fn allocate_file(&self) -> Result<FileId> {
        loop {
            {
                let mut next = self.next.lock();
                let state = self.state.load();
                if *next < state.next_file {
                    let id = FileId { epoch: state.epoch, number: *next };
                    *next += 1;
                    return Ok(id);
                }
            }
            let mut writer = self.writer.lock();
            let wanted = *self.next.lock();
            if wanted >= self.state.load().next_file {
                let reserve = vec![Edit::NextFile(wanted.saturating_add(RESERVE))];
                let committed = self.commit_locked(&mut writer, reserve);
                drop(writer);
                self.finish(committed)?;
            }
        }
    }

    /// Registers files that a job is about to write, durably and all at once. Adding a file to the store ends its intent; a job
    /// that gives up removes its files and commits [`Edit::IntentDone`]. What is still announced at the next open is deleted.
    ///
    /// # Errors
    /// As [`Manifest::commit`].
    pub fn announce(&self, kind: FileKind, count: usize) -> Result<Vec<FileId>> {
        let mut writer = self.writer.lock();
        let state = self.state.load_full();
        let (first, end) = {
            let mut next = self.next.lock();
            let first = *next;
            *next = first.saturating_add(count as u64);
            (first, *next)
        };
        let ids: Vec<FileId> = (first..end).map(|number| FileId { epoch: state.epoch, number }).collect();
        let mut edits = Vec::with_capacity(ids.len() + 1);
        if end > state.next_file {
            edits.push(Edit::NextFile(end.saturating_add(RESERVE)));
        }
        edits.extend(ids.iter().map(|&id| Edit::Intent { id, kind }));
        let committed = self.commit_locked(&mut writer, edits);
        drop(writer);
        self.finish(committed)?;
        Ok(ids)
    }

    /// Replaces the manifest's file by one that says the present state and nothing of what was before.
    ///
    /// # Errors
    /// As [`Manifest::commit`].
    pub fn rewrite_now(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        writer.log(&self.dir)?;
        self.rewrite(&mut writer)
    }

    /// Ends all commits: the directory may belong to somebody else from here on.
    pub fn retire(&self) {
        self.writer.lock().latched.get_or_insert_with(|| "the store was closed".into());
    }

    /// Why there are no more commits, if so.
    pub fn latched(&self) -> Option<Arc<str>> {
        self.writer.lock().latched.clone()
    }

    fn finish(&self, committed: Result<Committed>) -> Result<Arc<State>> {
        let (state, removed) = committed?;
        for (id, kind) in removed {
            self.files.retire(id, kind);
        }
        Ok(state)
    }

    fn commit_locked(&self, writer: &mut Writer, mut edits: Vec<Edit>) -> Result<Committed> {
        writer.log(&self.dir)?;
        if edits.is_empty() {
            return Ok((self.state(), Vec::new()));
        }
        if writer.log(&self.dir)?.is_long(self.limit) {
            self.rewrite(writer)?;
        }
        let asked = edits.len();
        if self.files.unlinked() >= UNLINKED_BATCH {
            let unlinked = self.files.take_unlinked().map_err(|e| writer.latch(&e))?;
            edits.extend(unlinked.into_iter().map(Edit::Deleted));
        }
        let committed = self.write(writer, &edits);
        if committed.is_err() {
            let deleted = edits.iter().skip(asked).filter_map(|edit| match edit {
                Edit::Deleted(id) => Some(*id),
                _ => None,
            });
            self.files.put_back(deleted);
        }
        committed
    }

    fn write(&self, writer: &mut Writer, edits: &[Edit]) -> Result<Committed> {
        let mut state = State::clone(&self.state.load());
        let applied = apply(&mut state, &writer.used, Role::Commit, edits)?;
        check_touched(&state, &applied.touched)?;
        let log = writer.log(&self.dir)?;
        match log.append(&snapshot::payload(edits)) {
            Ok(()) => {}
            Err(AppendError::Refused(error)) => return Err(error),
            Err(AppendError::Broken(error)) => return Err(writer.latch(&error)),
        }
        // The commit is durable, so it succeeds; if only its promise fails, the next one is refused.
        if let Err(error) = log.promise() {
            writer.latch(&error);
        }
        writer.used.extend(applied.fresh);
        let removed = edits.iter().filter_map(|edit| match edit {
            Edit::RemoveTable { id, .. } | Edit::RemoveValueFile(id) => {
                state.obsolete.get(id).map(|kind| (*id, *kind))
            }
            _ => None,
        });
        let removed = removed.collect();
        let state = Arc::new(state);
        self.state.store(state.clone());
        Ok((state, removed))
    }

    /// Replaces the manifest file by a new one with a snapshot of the present state.
    ///
    /// The old file is gone, durably, before anything is committed to the new one. So where both are found, the new one holds
    /// nothing but what the old one says, and the old one is as good if the new one was not finished.
    fn rewrite(&self, writer: &mut Writer) -> Result<()> {
        let log = writer.log(&self.dir)?;
        let (old, number) = (log.path().to_path_buf(), log.number());
        let mut state = State::clone(&self.state.load());
        let id = {
            let mut next = self.next.lock();
            let id = FileId { epoch: state.epoch, number: *next };
            *next += 1;
            id
        };
        state.next_file = state.next_file.max(id.number.saturating_add(1));
        let created = Log::create(self.fs.as_ref(), self.rng.as_ref(), &self.dir, id, &state, number);
        let log = match created {
            Ok(log) => log,
            Err(AppendError::Broken(error)) => return Err(writer.latch(&error)),
            Err(AppendError::Refused(_)) => {
                // No room for a second file: the old one can still be written on once the new one is surely gone.
                let path = self.dir.join(id.file_name(FileKind::Manifest));
                return remove_durably(self.fs.as_ref(), &self.dir, &[path]).map_err(|e| writer.latch(&e));
            }
        };
        let old = if planted!("old manifest left") { Vec::new() } else { vec![old] };
        remove_durably(self.fs.as_ref(), &self.dir, &old).map_err(|e| writer.latch(&e))?;
        probe!("manifest: rewritten as a snapshot");
        writer.log = Some(log);
        writer.used.insert(id.number);
        self.state.store(Arc::new(state));
        Ok(())
    }
}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manifest").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// Removes files (not being there is fine) and makes that durable.
pub(super) fn remove_durably(fs: &dyn Fs, dir: &Path, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        match fs.remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", path, e)),
            _ => {}
        }
    }
    fs.sync_dir(dir).map_err(|e| Error::io("sync the directory", dir, e))
}
