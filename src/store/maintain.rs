//! The work itself: flush, compaction, sealing, promises. `background.rs` decides when.

use crate::sync::atomic::Ordering;
use std::cell::RefCell;
use std::sync::Arc;

use super::Progress;
use super::append::Rolled;
use super::inner::Inner;
use super::pipeline::{Item, Placed};
use super::tables::Tables;
use super::ticket::TicketState;
use super::unpackable::{is_failed_sync, is_unreadable};
use super::values::ValueEntry;
use crate::index::compaction::{self, CompactionJob, CompactionOutcome, FlushOutcome};
use crate::index::levels::invariants::check_boundaries;
use crate::index::levels::{IndexView, KEYSPACE_ANNOTATIONS, KEYSPACE_REVISIONS, Levels, TableEdit};
use crate::index::memtable::Memtable;
use crate::log::{FrameDraft, FrameKind, SealRequest, seal};
use crate::manifest::Edit;
use crate::{Error, Result};

/// How much [`super::Store::compact`] does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compaction {
    /// What the background would do: tables are merged until no level is over its size.
    #[default]
    Due,
    /// The best layout: tables are merged into one level, and everything written so far is packed, compressed as well as it can be, and merged into
    /// one run of packs. That takes minutes per GiB of contents.
    Full,
}

impl Inner {
    /// What a job needs to open and make tables.
    pub(crate) fn tables(&self) -> Tables {
        let options = &self.options;
        Tables::new(&self.env, &self.manifest, &self.cache, options.table_reads, &options.limits)
    }

    /// Flushes the oldest waiting memtable; `false` if none waits.
    pub(crate) fn flush_one(self: &Arc<Self>) -> Result<bool> {
        let _one_at_a_time = self.background.flushing.lock();
        self.check_writable()?;
        let view = self.view();
        let Some(memtable) = view.flush_next().cloned() else { return Ok(false) };
        let ahead = memtable.sequences().is_some_and(|(_, last)| last > self.durable());
        if ahead && !planted!("flush ahead of the log") {
            probe!("flush: log synced first");
            // Tables must not be ahead of the log.
            self.sync_behind()?;
        }
        let tables = self.tables();
        let flushed = self.flush_memtable(&memtable, &tables);
        self.clean_up(&tables, &flushed);
        flushed?;
        probe!("flush: installed");
        tracing::debug!(rows = memtable.row_count(), bytes = memtable.bytes(), "a memtable was flushed");
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        self.compact_in_background();
        Ok(true)
    }

    /// After a job that failed: what it made is not part of the store. Best effort, as whatever is left is removed at the next open.
    fn clean_up(&self, tables: &Tables, result: &Result<()>) {
        // After any other failure the store latches: the manifest may name the files, or a sync failed, which is not tried again.
        if let Err(error) = result
            && (matches!(error, Error::OutOfSpace { .. } | Error::Cancelled) || is_unreadable(error))
            && let Err(error) = tables.give_up()
        {
            tracing::warn!(%error, "could not remove the files of a job that failed");
            if is_failed_sync(&error) {
                // Names that others gave may be lost with it, and the next sync would not say so.
                let _ = self.latch(&error);
            }
        }
    }

    fn flush_memtable(&self, memtable: &Arc<Memtable>, tables: &Tables) -> Result<()> {
        let outcome = compaction::flush(memtable, &self.options.limits, tables, &self.erasures())?;
        let edits = edits_of_flush(&outcome);
        if planted!("checkpoint before tables")
            && let Some(sequence) = outcome.sequence
        {
            let marks = [KEYSPACE_REVISIONS, KEYSPACE_ANNOTATIONS].into_iter();
            self.manifest.commit(marks.map(|keyspace| Edit::SetFlushed { keyspace, sequence }).collect())?;
        }
        self.install(edits, &outcome.edit, tables, |view, levels| view.flushed(memtable, levels))
    }

    /// Commits a change of the tables to the manifest, then shows it to readers. The sync is not made under `view_lock`: the leader
    /// takes that to rotate.
    fn install(
        &self,
        edits: Vec<Edit>,
        change: &TableEdit,
        tables: &Tables,
        exchange: impl Fn(&IndexView, Arc<Levels>) -> Result<IndexView>,
    ) -> Result<()> {
        let _installing = self.install_lock.lock();
        // Only an installation changes the tables, so these levels stay the right ones.
        let view = self.view.load();
        let levels = Arc::new(view.levels().apply(change, tables)?);
        check_boundaries(&levels, change)?;
        exchange(&view, levels.clone())?;
        if planted!("inputs deleted early") {
            for (keyspace, id) in &change.removed {
                let kind = match keyspace {
                    0 => crate::codec::FileKind::RevisionTable,
                    _ => crate::codec::FileKind::PlainTable,
                };
                let _ = self.env.fs.remove_file(&self.manifest.files().path(*id, kind));
            }
        }
        self.with_reserve(|| self.manifest.commit(edits.clone()))?;
        let bytes = change.added.iter().map(|table| table.len).sum();
        self.counters.table_bytes.fetch_add(bytes, Ordering::Relaxed);
        let _exchanging = self.view_lock.lock();
        self.view.store(Arc::new(exchange(&self.view.load(), levels)?));
        Ok(())
    }

    /// Writes everything in memory to tables.
    pub(crate) fn flush_all(self: &Arc<Self>) -> Result<()> {
        self.check_writable()?;
        self.sync()?;
        self.rotate_what_is_there();
        while self.latching(self.flush_one())? {}
        self.wake_background();
        Ok(())
    }

    /// Ends the active memtable, if it has anything.
    pub(crate) fn rotate_what_is_there(self: &Arc<Self>) {
        // The leader's lock: nobody else writes to the active memtable meanwhile.
        let _log = self.log.lock();
        if self.view().active().is_some_and(|active| !active.is_empty()) {
            self.rotate();
        }
    }

    /// What compaction would do next, without what is put off.
    pub(crate) fn next_compaction(&self) -> Option<CompactionJob> {
        let put_off = self.background.put_off.claims();
        compaction::pick(self.view.load().levels(), &self.options.limits, &put_off)
    }

    /// Does one compaction; `false` if there was none to do. `Cancelled` leaves everything as it was.
    pub(crate) fn compact_one(self: &Arc<Self>, cancel: &dyn Fn() -> bool) -> Result<bool> {
        let _one_at_a_time = self.background.compacting.lock();
        self.check_writable()?;
        match self.next_compaction() {
            Some(job) => self.run_compaction(&job, cancel).map(|()| true),
            None => Ok(false),
        }
    }

    pub(super) fn run_compaction(
        self: &Arc<Self>,
        job: &CompactionJob,
        cancel: &dyn Fn() -> bool,
    ) -> Result<()> {
        if !job.is_move() {
            self.require_space("merge tables", job.bytes())?;
        }
        let tables = self.tables();
        let merged = self.merge(job, &tables, cancel);
        self.clean_up(&tables, &merged);
        match merged {
            Err(error) if is_unreadable(&error) => {
                probe!("compaction: put off, a table cannot be read");
                tracing::warn!(%error, "tables cannot be compacted and stay as they are: run check");
                self.background.put_off.compaction(job.claim(), &error);
                return Err(error);
            }
            merged => merged?,
        }
        self.background.put_off.compacted(job.claim());
        tracing::debug!(bytes = job.bytes(), "tables were compacted");
        self.counters.compactions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn merge(&self, job: &CompactionJob, tables: &Tables, cancel: &dyn Fn() -> bool) -> Result<()> {
        let erasures = self.erasures();
        match compaction::run(job, &self.options.limits, tables, &erasures, cancel, &mut |_| {})? {
            CompactionOutcome::Interrupted => Err(Error::Cancelled),
            CompactionOutcome::Done(change) => {
                self.install(edits_of(&change), &change, tables, |view, levels| Ok(view.with_levels(levels)))
            }
        }
    }

    /// Compacts until nothing is left to do; fully: until each keyspace is in one level.
    pub(crate) fn compact(self: &Arc<Self>, how: Compaction, progress: &mut Progress<'_>) -> Result<()> {
        self.flush_all()?;
        // Asked for: what could not be read before is tried again.
        self.background.put_off.release_compactions();
        let full = how == Compaction::Full;
        if full {
            self.pack_fully(progress)?;
        }
        let progress = RefCell::new(progress);
        let mut done = 0;
        loop {
            progress.borrow_mut().step("compact", done, 0)?;
            let _one_at_a_time = self.background.compacting.lock();
            self.check_writable()?;
            let view = self.view();
            let job = match (self.next_compaction(), full) {
                (Some(job), _) => job,
                (None, true) => {
                    match compaction::pick_full(view.levels(), &self.options.limits).into_iter().next() {
                        Some(job) => job,
                        None => return Ok(()),
                    }
                }
                (None, false) => return Ok(()),
            };
            let bytes = job.bytes();
            let of = done.saturating_add(bytes);
            let stop = || self.is_ending() || progress.borrow_mut().step("compact", done, of).is_err();
            self.latching(self.run_compaction(&job, &stop))?;
            done = of;
        }
    }

    /// Seals one segment that gets no more frames, and shows its sealed form to readers.
    pub(crate) fn seal_one(self: &Arc<Self>, rolled: &Rolled) -> Result<()> {
        let active = &rolled.active;
        let id = active.header().id;
        let unsynced = self.log.lock().unsynced.iter().any(|segment| segment.id == id);
        if (unsynced || self.durable() < rolled.last_sequence) && !planted!("seal ahead of the log") {
            probe!("seal: log synced first");
            // The trailer will say that all frames are durable, promises included.
            self.sync_behind()?;
            if self.durable() < rolled.last_sequence {
                // A group that failed: this says so.
                self.sync()?;
            }
        }
        let state = self.manifest.state();
        let request = SealRequest {
            store: &state.store,
            id,
            frames_end: rolled.frames_end,
            block_records: self.options.limits.directory_block_records,
        };
        let info = self.with_reserve(|| seal(&*self.env.fs, active.path(), &request))?;
        let entry = ValueEntry::open(&self.manifest, &info, Some(&self.cache))?;
        let _installing = self.install_lock.lock();
        self.with_reserve(|| self.manifest.commit(vec![Edit::AddValueFile(info.clone())]))?;
        let _exchanging = self.view_lock.lock();
        self.values.store(Arc::new(self.values.load().replaced(&[info.id.number], [entry])));
        probe!("seal: installed");
        tracing::debug!(
            file = id.number,
            bytes = info.len,
            last_sequence = info.sequence_last,
            "a segment was sealed"
        );
        self.counters.seals.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a frame without content that says how far the log is synced, if no later frame says it already.
    pub(crate) fn write_promise(self: &Arc<Self>) -> Result<()> {
        {
            let log = self.log.lock();
            if log.promise_written >= log.promise {
                return Ok(());
            }
        }
        probe!("promise: written when idle");
        match self.append_empty(FrameKind::Promise, false) {
            // Without room there is no promise; the next commit carries it.
            Err(Error::OutOfSpace { .. }) => Ok(()),
            other => other,
        }
    }

    /// Appends a frame without records.
    pub(crate) fn append_empty(self: &Arc<Self>, kind: FrameKind, sync: bool) -> Result<()> {
        let frame = FrameDraft::new(kind, Vec::new())?;
        let len = frame.len();
        let ticket = Arc::<TicketState>::default();
        let mut frame = Some(frame);
        loop {
            let mut pipeline = self.pipeline.lock();
            if kind == FrameKind::Promise {
                self.check_writable()?;
            }
            if let Some((segment, offset)) = pipeline.place(len, 0, &self.options.limits) {
                let commit_time = self.env.clock.wall_us();
                let first_sequence = pipeline.next_sequence;
                let placed = frame.take().map(|frame| {
                    Box::new(Placed {
                        frame,
                        segment,
                        offset,
                        first_sequence,
                        count: 0,
                        commit_time,
                        entities: Vec::new(),
                    })
                });
                let result =
                    Ok(super::Committed { sequence: first_sequence.saturating_sub(1), outcomes: Vec::new() });
                pipeline.gathering.push(Item { ticket: ticket.clone(), sync, frame: placed, result });
                break;
            }
            drop(pipeline);
            self.make_space(len, 0, kind)?;
        }
        self.wait_ticket(&ticket).map(drop)
    }
}

/// The manifest's words for a flush: its tables, and that all keyspaces are flushed up to one sequence (they move together: see the
/// design, §7).
pub(crate) fn edits_of_flush(outcome: &FlushOutcome) -> Vec<Edit> {
    let keyspaces = [KEYSPACE_REVISIONS, KEYSPACE_ANNOTATIONS].into_iter();
    let marks = outcome
        .sequence
        .into_iter()
        .flat_map(|sequence| keyspaces.clone().map(move |keyspace| Edit::SetFlushed { keyspace, sequence }));
    edits_of(&outcome.edit).into_iter().chain(marks).collect()
}

/// The manifest's words for a change of the tables.
pub(crate) fn edits_of(change: &TableEdit) -> Vec<Edit> {
    let removed = change.removed.iter().map(|&(keyspace, id)| Edit::RemoveTable { keyspace, id });
    let moved = change.moved.iter().map(|&(keyspace, id, level)| Edit::MoveTable { keyspace, id, level });
    let added = change.added.iter().cloned().map(Edit::AddTable);
    removed.chain(moved).chain(added).collect()
}
