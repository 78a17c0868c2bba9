//! A group goes to the log: frames are finished, written with one call, synced with one, applied to the memtable and published.
//!
//! 1. *Durable before visible*: if any commit of the group asked for `Sync`, nothing of the group is published before the sync.
//! 2. A sync covers all earlier log bytes: older segments that have unsynced bytes are synced first.
//! 3. Rows are applied in sequence order before `published` moves.
//! 4. On an error nothing was applied; the leader latches.

use crate::sync::atomic::Ordering;
use std::sync::Arc;

use super::inner::Inner;
use super::pipeline::{Item, Placed};
use super::space::SegmentFile;
use super::values::{DirectoryCache, ValueEntry};
use crate::env::write_all_at;
use crate::error::IoContext;
use crate::index::entity_hash;
use crate::log::{ActiveSegment, FramePlace, Position, RecordDraft, SegmentHeader};
use crate::{Error, Result};

/// Zeros are written ahead of the tail in steps of this many bytes.
const ZERO_STEP: usize = 256 << 10;

/// A segment that gets no more frames.
#[derive(Clone)]
pub(crate) struct Rolled {
    pub(crate) active: Arc<ActiveSegment>,
    pub(crate) last_sequence: u64,
    pub(crate) frames_end: u64,
}

/// The end of the log as the leader knows it.
pub(crate) struct LogState {
    /// The segment that the last frame was written to.
    pub(crate) segment: Arc<SegmentFile>,
    pub(crate) active: Arc<ActiveSegment>,
    /// Checksum of the last frame.
    pub(crate) last_checksum: u32,
    /// Sequence number of the last record written.
    pub(crate) last_sequence: u64,
    /// End of the last frame in `segment`.
    pub(crate) end: u64,
    /// The log is synced up to here.
    pub(crate) promise: Position,
    /// The promise that the last frame carries: less than `promise` while the last group has none yet.
    pub(crate) promise_written: Position,
    /// Files with bytes that were written and not synced, oldest first; `segment` is the last of them if it is among them.
    pub(crate) unsynced: Vec<Arc<SegmentFile>>,
    /// Bytes of `segment` that were written at least once, frames or zeros: a sync into them changes no file metadata.
    pub(crate) zeroed: u64,
    /// Segments that the present group has rolled over, with their last sequence number and the end of their frames: sealed when the
    /// group was applied, for only then do they know all their frames.
    pub(crate) rolled: Vec<Rolled>,
    /// Reused for the bytes of a group.
    pub(crate) buffer: Vec<u8>,
}
impl Inner {
    /// Writes, syncs, applies and publishes. On an error nothing was applied.
    pub(super) fn write_group(self: &Arc<Self>, items: &mut [Item]) -> Result<()> {
        let sync = items.iter().any(|item| item.sync);
        if !sync && items.iter().all(|item| item.frame.is_none()) {
            return Ok(());
        }
        if items.len() > 1 {
            probe!("leader: group of several commits");
        }
        let mut guard = self.log.lock();
        let log = &mut *guard;
        let mut actives = Vec::with_capacity(items.len());
        let mut run_start = log.end;
        log.buffer.clear();
        for placed in items.iter_mut().filter_map(|item| item.frame.as_deref_mut()) {
            if placed.segment.id != log.segment.id {
                if !log.buffer.is_empty() {
                    probe!("leader: group spans two segments");
                }
                self.write_run(log, run_start, sync)?;
                self.roll(log, placed)?;
                run_start = 0;
            }
            let place = FramePlace {
                salt: placed.segment.salt,
                offset: placed.offset,
                prev_checksum: log.last_checksum,
                first_sequence: placed.first_sequence,
                commit_time: placed.commit_time,
                promise: match planted!("promise ahead") {
                    true => Position { file: placed.segment.id.number, offset: placed.offset + 8 },
                    false => log.promise,
                },
            };
            log.last_checksum = placed.frame.finish(&place);
            log.promise_written = log.promise;
            log.end = placed.offset.saturating_add(placed.frame.len() as u64);
            log.last_sequence = log.last_sequence.saturating_add(placed.count);
            log.buffer.extend_from_slice(placed.frame.bytes());
            actives.push(log.active.clone());
        }
        self.write_run(log, run_start, sync)?;
        let last = log.last_sequence;
        let early = planted!("publish before durable");
        if early {
            self.apply(items, &actives)?;
            self.published.fetch_max(last, Ordering::AcqRel);
        }
        if sync && !planted!("ack before sync") {
            self.sync_log(log)?;
        }
        if !early {
            self.apply(items, &actives)?;
        }
        self.published.fetch_max(last, Ordering::AcqRel);
        if sync {
            self.durable.fetch_max(last, Ordering::AcqRel);
        }
        self.seal_in_background(&mut log.rolled);
        self.rotate_if_full();
        Ok(())
    }

    /// Writes the gathered bytes of one segment. Behind a group that passes what was written before, zeros follow for a step, in the
    /// same write: later syncs find their blocks written already and need not journal them, later writes find their pages in
    /// memory. Measured: docs/decisions/0001-log-space.md.
    fn write_run(&self, log: &mut LogState, start: u64, sync: bool) -> Result<()> {
        if log.buffer.is_empty() {
            return Ok(());
        }
        let segment = &log.segment;
        let frames = log.buffer.len();
        let end = start.saturating_add(frames as u64);
        if end > log.zeroed {
            log.zeroed = end;
            let reserved = segment.reserved.load(Ordering::Acquire);
            if frames < ZERO_STEP {
                log.zeroed = end.saturating_add(ZERO_STEP as u64).min(reserved).max(end);
                let len = usize::try_from(log.zeroed - start).unwrap_or(log.buffer.len());
                log.buffer.resize(len, 0);
            }
        }
        write_all_at(&*segment.file, &log.buffer, start).context("append to the log", &segment.path)?;
        // Zeros that nobody syncs are overwritten in memory before the disk sees them.
        let counted = if sync { log.buffer.len() } else { frames };
        self.counters.log_bytes.fetch_add(counted as u64, Ordering::Relaxed);
        if log.unsynced.last().is_none_or(|last| last.id != segment.id) {
            log.unsynced.push(segment.clone());
        }
        log.buffer.clear();
        if log.buffer.capacity() > (1 << 20) {
            log.buffer.shrink_to(1 << 20);
        }
        Ok(())
    }

    /// Makes everything written durable, older segments first.
    pub(crate) fn sync_log(&self, log: &mut LogState) -> Result<()> {
        for segment in &log.unsynced {
            if planted!("older segment not synced") && segment.id != log.segment.id {
                continue;
            }
            if planted!("failed sync retried") && segment.file.sync_data().is_ok() {
                continue;
            }
            segment.sync()?;
            self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        }
        log.unsynced.clear();
        log.promise = Position { file: log.segment.id.number, offset: log.end };
        Ok(())
    }

    /// Moves on to the segment of `placed`: its header goes in front of the run.
    fn roll(self: &Arc<Self>, log: &mut LogState, placed: &Placed) -> Result<()> {
        let segment = placed.segment.clone();
        let header = SegmentHeader {
            store: self.manifest.state().store,
            id: segment.id,
            predecessor: log.segment.id,
            predecessor_sequence: log.last_sequence,
            predecessor_checksum: log.last_checksum,
            salt: segment.salt,
            incarnation: self.manifest.state().incarnation,
            created: placed.commit_time,
            promise: log.promise,
        };
        log.buffer.extend_from_slice(&header.encode());
        let active = Arc::new(ActiveSegment::new(segment.path.clone(), segment.file.clone(), header));
        active.keep_in(Arc::new(DirectoryCache(self.cache.clone())));
        let frames_end = log.end;
        let old = std::mem::replace(&mut log.active, active.clone());
        log.end = log.buffer.len() as u64;
        log.segment = segment.clone();
        log.zeroed = 0;
        {
            let _guard = self.view_lock.lock();
            let entry = ValueEntry::whole(placed.first_sequence, u64::MAX, segment.id.number, active);
            self.values.store(Arc::new(self.values.load().rolled(entry)));
        }
        log.rolled.push(Rolled {
            active: old,
            last_sequence: placed.first_sequence.saturating_sub(1),
            frames_end,
        });
        Ok(())
    }

    /// Puts the rows and annotations of a group into the memtable, in sequence order.
    fn apply(self: &Arc<Self>, items: &[Item], actives: &[Arc<ActiveSegment>]) -> Result<()> {
        let view = self.view();
        let Some(memtable) = view.active() else {
            return Err(Error::invalid("internal: no memtable to write to"));
        };
        let frames = items.iter().filter_map(|item| item.frame.as_deref());
        let mut erases = false;
        for (placed, active) in frames.zip(actives) {
            active.push(&placed.frame);
            let mut sequence = placed.first_sequence;
            for (i, record) in placed.frame.records().iter().enumerate() {
                match record {
                    RecordDraft::Annotation(annotation) => {
                        memtable.insert_annotation(sequence, annotation)?;
                        self.annotated.store(true, Ordering::Release);
                        erases |= annotation.kind.erases();
                    }
                    RecordDraft::Revision { .. } => {
                        let Some((entity, row)) = placed.frame.row(i) else {
                            return Err(Error::invalid("internal: a finished frame without a row"));
                        };
                        let own = row.content.filter(|content| content.address.sequence == sequence);
                        let bytes = own.map_or(0, |content| u64::from(content.len));
                        self.counters.raw_bytes.fetch_add(bytes, Ordering::Relaxed);
                        memtable.insert(&entity, entity_hash(entity.as_bytes()), &row)?;
                    }
                }
                sequence = sequence.saturating_add(1);
            }
            memtable.add_log_bytes(placed.frame.len() as u64);
        }
        if erases {
            self.reclaim_after(self.options.erase_within / 2);
        }
        Ok(())
    }
}
