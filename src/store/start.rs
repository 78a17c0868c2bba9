//! From a recovered log to a running store.

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::sync::{Condvar, Mutex};
use arc_swap::ArcSwap;

use super::append::LogState;
use super::background::Background;
use super::clock::CommitClock;
use super::head_cache::HeadCache;
use super::inner::{BUCKETS, Inner};
use super::memory::Budget;
use super::open::OpenReport;
use super::options::Options;
use super::pipeline::Pipeline;
use super::space::{SegmentFile, Tail};
use super::values::{DirectoryCache, ValueEntry, ValueMap};
use crate::cache::Cache;
use crate::codec::{FileId, FileKind};
use crate::env::{Access, Env, HashMap, write_all_at};
use crate::error::IoContext;
use crate::index::levels::IndexView;
use crate::log::{
    ActiveSegment, Appendable, Leftover, LeftoverKind, Position, Recovered, SEGMENT_HEADER_LEN, SegmentHeader,
};
use crate::manifest::{Edit, Manifest, StoreLock};
use crate::{Error, Result};

/// What opening has come to before the log is continued.
pub(crate) struct Opening {
    pub(crate) env: Env,
    pub(crate) path: PathBuf,
    pub(crate) options: Options,
    pub(crate) budget: Budget,
    pub(crate) read_only: bool,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) cache: Arc<Cache>,
    /// What the manifest knows.
    pub(crate) values: ValueMap,
    pub(crate) view: IndexView,
    pub(crate) report: OpenReport,
    pub(crate) lock: Option<StoreLock>,
}

impl Opening {
    /// Registers what recovery sealed, removes what it found unused, and continues the log or starts a new segment.
    pub(crate) fn finish(self, mut recovered: Recovered) -> Result<Arc<Inner>> {
        let manifest = &self.manifest;
        if !self.read_only {
            let mut edits: Vec<Edit> = recovered.sealed.iter().cloned().map(Edit::AddValueFile).collect();
            if !recovered.closed_cleanly && !self.report.created && !planted!("incarnation kept") {
                // Sequence numbers that somebody may have seen may be given out again: feed cursors must notice.
                edits.push(Edit::Incarnation(self.env.rng.next_u64().max(1)));
            }
            if !edits.is_empty() {
                manifest.commit(edits)?;
            }
            // What has frames goes first: they may promise what is in front of them, the header of an empty segment, which must be there as long as
            // they are.
            let is_empty = |leftover: &&Leftover| leftover.why == LeftoverKind::Empty;
            let (empty, others): (Vec<_>, Vec<_>) = recovered.leftovers.iter().partition(is_empty);
            for leftovers in [others, empty].into_iter().filter(|leftovers| !leftovers.is_empty()) {
                for leftover in leftovers {
                    if planted!("leftover segment kept") {
                        break;
                    }
                    let path = self.path.join(leftover.id.file_name(FileKind::Segment));
                    self.env.fs.remove_file(&path).context("remove", &path)?;
                }
                probe!("open: leftover removed");
                self.env.fs.sync_dir(&self.path).context("sync the directory", &self.path)?;
            }
        }
        let mut values = self.values.entries().to_vec();
        for info in &recovered.sealed {
            values.push(ValueEntry::open(manifest, info, Some(&self.cache))?);
        }
        if self.read_only {
            for active in recovered.open.drain(..) {
                active.keep_in(Arc::new(DirectoryCache(self.cache.clone())));
                values.push(entry_of(active));
            }
        }
        let last = recovered.end.sequence;
        let next_sequence = last.saturating_add(1);
        let (log, tail) = match recovered.append.take() {
            Some(append) => self.continue_log(append, &recovered),
            None => self.start_segment(&recovered)?,
        };
        if !self.read_only {
            log.active.keep_in(Arc::new(DirectoryCache(self.cache.clone())));
            let first = log.active.header().predecessor_sequence.saturating_add(1);
            values.push(ValueEntry::whole(first, u64::MAX, log.segment.id.number, log.active.clone()));
        }
        let clock = CommitClock::new(recovered.end.commit_time, self.options.accept_clock_steps);
        let last_sequence = (0..BUCKETS).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Inner {
            heads: HeadCache::new(self.cache.clone()),
            annotated: AtomicBool::new(!self.view.has_no_annotations()),
            view: ArcSwap::from_pointee(self.view),
            values: ArcSwap::from_pointee(ValueMap::new(values)),
            view_lock: Mutex::new(()),
            install_lock: Mutex::new(()),
            closing: Mutex::new(()),
            last_sequence,
            pipeline: Mutex::new(Pipeline {
                next_sequence,
                clock,
                pending: HashMap::default(),
                tail,
                spare: None,
                gathering: Vec::new(),
                gathering_bytes: 0,
                last_group: 0,
                leading: false,
            }),
            space: Mutex::new(()),
            log: Mutex::new(log),
            published: AtomicU64::new(last),
            durable: AtomicU64::new(last),
            watch: super::watch::Watch::default(),
            latch: OnceLock::new(),
            checkpoint_failed: OnceLock::new(),
            closed: AtomicBool::new(false),
            background: Background::new(self.report, Arc::clone(&self.env.jobs)),
            background_done: (Mutex::new(0), Condvar::new()),
            reserve: super::reserve::Reserve::default(),
            counters: super::stats::Counters::default(),
            lock: Mutex::new(self.lock),
            store: self.manifest.state().store,
            env: self.env,
            path: self.path,
            options: self.options,
            budget: self.budget,
            read_only: self.read_only,
            manifest: self.manifest,
            cache: self.cache,
        }))
    }

    /// Goes on behind a clean-close mark.
    fn continue_log(&self, append: Appendable, recovered: &Recovered) -> (LogState, Tail) {
        probe!("open: clean log continued");
        let Appendable { segment: active, end, checksum } = append;
        let header = *active.header();
        let segment = Arc::new(SegmentFile {
            id: header.id,
            path: active.path().to_path_buf(),
            file: active.file().clone(),
            salt: header.salt,
            reserved: AtomicU64::new(end),
            must_sync: AtomicBool::new(true),
            sync_failed: Mutex::new(false),
        });
        let records = recovered.end.sequence.saturating_sub(header.predecessor_sequence);
        log_at(segment, active, end, recovered.end.sequence, checksum, records)
    }

    fn start_segment(&self, recovered: &Recovered) -> Result<(LogState, Tail)> {
        let fs = &self.env.fs;
        let id =
            if self.read_only { FileId { epoch: 0, number: 0 } } else { self.manifest.allocate_file()? };
        let path = self.path.join(id.file_name(FileKind::Segment));
        let header = SegmentHeader {
            store: self.manifest.state().store,
            id,
            predecessor: recovered.end.id,
            predecessor_sequence: recovered.end.sequence,
            predecessor_checksum: recovered.end.checksum,
            salt: self.env.rng.next_u64(),
            incarnation: self.manifest.state().incarnation,
            created: recovered.end.commit_time,
            promise: recovered.promise,
        };
        let end = SEGMENT_HEADER_LEN as u64;
        let file: Arc<dyn crate::env::File> = if self.read_only {
            Arc::new(NoFile)
        } else {
            let file = fs.open(&path, Access::CreateNew).context("create", &path)?;
            file.allocate(0, self.options.limits.reserve_first).context("reserve log space in", &path)?;
            write_all_at(&*file, &header.encode(), 0).context("write", &path)?;
            file.sync_data().context("sync", &path)?;
            fs.sync_dir(&self.path).context("sync the directory", &self.path)?;
            file
        };
        let segment = Arc::new(SegmentFile {
            id,
            path: path.clone(),
            file: file.clone(),
            salt: header.salt,
            must_sync: AtomicBool::new(false),
            sync_failed: Mutex::new(false),
            reserved: AtomicU64::new(if self.read_only {
                0
            } else {
                self.options.limits.reserve_first.max(end)
            }),
        });
        let active = Arc::new(ActiveSegment::new(path, file, header));
        Ok(log_at(segment, active, end, recovered.end.sequence, recovered.end.checksum, 0))
    }
}

fn log_at(
    segment: Arc<SegmentFile>,
    active: Arc<ActiveSegment>,
    end: u64,
    last_sequence: u64,
    last_checksum: u32,
    records: u64,
) -> (LogState, Tail) {
    let promise = Position { file: segment.id.number, offset: end };
    let tail = Tail { segment: segment.clone(), offset: end, records };
    let log = LogState {
        segment,
        active,
        last_checksum,
        last_sequence,
        end,
        promise,
        promise_written: promise,
        unsynced: Vec::new(),
        zeroed: end,
        rolled: Vec::new(),
        buffer: Vec::new(),
    };
    (log, tail)
}

fn entry_of(active: Arc<ActiveSegment>) -> ValueEntry {
    let header = *active.header();
    let first = header.predecessor_sequence.saturating_add(1);
    ValueEntry::whole(first, active.last_sequence(), header.id.number, active)
}

/// Stands where a store that was opened for reading only has nothing to write to.
struct NoFile;

impl crate::env::File for NoFile {
    fn read_at(&self, _: &mut [u8], _: u64) -> std::io::Result<usize> {
        Ok(0)
    }
    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    fn sync_data(&self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    fn len(&self) -> std::io::Result<u64> {
        Ok(0)
    }
    fn set_len(&self, _: u64) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    fn allocate(&self, _: u64, _: u64) -> std::io::Result<()> {
        Err(std::io::ErrorKind::PermissionDenied.into())
    }
    fn map(&self, _: u64) -> std::io::Result<bytes::Bytes> {
        Ok(bytes::Bytes::new())
    }
    fn link_count(&self) -> std::io::Result<u64> {
        Ok(0)
    }
}

/// Ends what is running and leaves the directory as it should be found.
impl Inner {
    /// Whether closing now would flush: a long replay is worth a table, a short one is not.
    pub(crate) fn is_replay_long(&self) -> bool {
        self.view().memtables().iter().map(|memtable| memtable.row_count()).sum::<u64>() > REPLAY_ROWS_MAX
    }

    /// Closes: everything gathered is written and synced, the log trimmed and marked, the lock given up.
    pub(crate) fn close(self: &Arc<Self>) -> Result<()> {
        // A second caller waits for the first and then finds nothing to do: what it did to the files now would be done to those of
        // whoever opened the store in between.
        let _closing = self.closing.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.read_only {
            self.set_closed();
            *self.lock.lock() = None;
            return Ok(());
        }
        let mut result = Ok(());
        if self.latch.get().is_none() {
            // A long replay is worth a table; a short one is not.
            if self.is_replay_long() {
                result = self.flush_all();
            }
            result = result.and_then(|()| self.seal_all());
        }
        let ended = self.end_log();
        if let Err(error) = &ended {
            tracing::warn!(path = %self.path.display(), %error, "the store could not be closed cleanly");
        }
        // Jobs look at `closed` every few hundred rows, and again when they have got one of these.
        drop(self.background.reclaiming.lock());
        drop(self.background.compacting.lock());
        drop(self.background.packing.turn());
        drop(self.background.flushing.lock());
        drop(self.background.sealing.lock());
        self.background.log_ended.store(true, Ordering::SeqCst);
        self.give_up();
        result.and(ended)
    }

    /// The last handle was dropped: the same without waiting for any background work.
    pub(crate) fn abandon(self: &Arc<Self>) {
        let _closing = self.closing.lock();
        if self.closed.load(Ordering::Acquire) {
            return;
        }
        if self.read_only {
            self.set_closed();
            *self.lock.lock() = None;
            return;
        }
        if let Err(error) = self.end_log() {
            tracing::warn!(%error, "the store was dropped and could not be closed cleanly");
        }
        // The lock goes with the last job that holds the store; whoever opens it in this process waits for that.
        if let Some(lock) = &*self.lock.lock() {
            lock.leave();
        }
        self.background.log_ended.store(true, Ordering::SeqCst);
        if self.background.is_idle() {
            self.give_up();
        }
    }

    /// The directory may belong to somebody else from here on.
    pub(crate) fn give_up(&self) {
        self.manifest.retire();
        *self.lock.lock() = None;
        tracing::info!(path = %self.path.display(), durable = self.durable(), "the store was closed");
    }

    fn set_closed(&self) {
        self.closed.store(true, Ordering::Release);
        self.watch.notify();
        self.wake_background();
    }

    /// Writes what has gathered, syncs, marks the log as cleanly closed and trims it.
    fn end_log(self: &Arc<Self>) -> Result<()> {
        if let Some(cause) = self.latch.get() {
            self.set_closed();
            return Err(Error::Latched { cause: cause.clone() });
        }
        // Under the lock that reservations and promises look at `closed` under: whatever was placed is in front of the mark.
        {
            let _pipeline = self.pipeline.lock();
            self.set_closed();
        }
        // What the mark promises must be durable before it is written.
        let synced = self.sync_now();
        let marked = synced
            .and_then(|()| self.with_reserve(|| self.append_empty(crate::log::FrameKind::CleanClose, true)))
            .and_then(|()| self.trim());
        // A spare may just be being prepared.
        drop(self.space.lock());
        self.release_reserve();
        let spare = self.pipeline.lock().spare.take();
        let removed =
            spare.map_or(Ok(()), |spare| self.env.fs.remove_file(&spare.path).context("remove", &spare.path));
        marked.and(removed)
    }

    /// Gives back the space behind the last frame, and has the manifest say where that ends.
    fn trim(&self) -> Result<()> {
        let (segment, end, sequence, has_changes) = {
            let log = self.log.lock();
            let has_changes = log.last_sequence > log.active.header().predecessor_sequence;
            (log.segment.clone(), log.end, log.last_sequence, has_changes)
        };
        segment.file.set_len(end).context("trim", &segment.path)?;
        segment.file.sync_data().context("sync", &segment.path)?;
        let promise = (segment.id.number, end);
        let state = self.manifest.state();
        let mut edits = Vec::new();
        if has_changes && state.promise != promise {
            // Nothing in the log speaks for its own end: were the file cut short later, the rest would look like a torn tail.
            // (Without changes there is nothing to lose, and the segment may be left over and removed.)
            edits.push(Edit::SetPromise { file: promise.0, offset: promise.1, sequence });
        }
        edits.extend(self.keep_written(&state));
        if !edits.is_empty() {
            self.with_reserve(|| self.manifest.commit(edits.clone()))?;
        }
        Ok(())
    }
}

/// More rows than this in memory are flushed by `close`, so that the next open is quick.
const REPLAY_ROWS_MAX: u64 = 4096;
