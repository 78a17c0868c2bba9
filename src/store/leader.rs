//! The leader of a group: finishes frames, writes and syncs them, applies and publishes them, completes the tickets.
//!
//! One at a time: whoever waits for a commit while nobody leads becomes the leader and takes everything that has gathered. While
//! it writes, the next group gathers. A leader goes on with the next group for a few times, and leaves it to one of those who wait for the
//! group before to tell the others; then it makes a waiter of the gathering group the next leader. Either way the disk does not wait for
//! wake-ups, which on a machine with few cores, or a virtual one, take as long as the disk does.
//!
//! 1. *Durable before visible*: if any commit of the group asked for `Sync`, nothing of the group is published before the sync.
//! 2. A sync covers all earlier log bytes: older segments that have unsynced bytes are synced first.
//! 3. *A failed write or sync latches*: nothing of the group is applied, everybody in flight gets `Latched`. It is never retried.
//! 4. Rows are applied in sequence order before `published` moves; `pending` is cleared after it has.

use crate::sync::atomic::Ordering;
use crate::sync::yield_now;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::draft::Committed;
use super::inner::Inner;
use super::pipeline::{Item, Placed};
use super::space::SegmentFile;
use super::ticket::{TicketState, Told, Wake};
use super::values::{DirectoryCache, ValueEntry};
use crate::env::{JobClass, write_all_at};
use crate::error::IoContext;
use crate::index::entity_hash;
use crate::log::{ActiveSegment, FramePlace, Position, RecordDraft, SegmentHeader};
use crate::{Error, Result};

/// A leader goes on with up to this many further groups before it hands the lead on: its own caller waits meanwhile.
const LEAD_AGAIN: usize = 4;

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
    /// Waits for a ticket, leading groups while nobody else does.
    pub(crate) fn wait_ticket(self: &Arc<Self>, ticket: &Arc<TicketState>) -> Result<Committed> {
        loop {
            if let Some(result) = ticket.poll() {
                self.dismiss(ticket);
                return result;
            }
            ticket.waiting.store(true, Ordering::Release);
            if self.begin_to_lead() {
                self.lead(Some(ticket));
                continue;
            }
            match self.env.jobs.help() {
                Some(true) => {}
                Some(false) => {
                    return Err(self.latch(&Error::invalid("internal: nobody leads and nothing is queued")));
                }
                None => match ticket.sleep() {
                    Wake::Done(result) => {
                        self.dismiss(ticket);
                        return result;
                    }
                    Wake::Lead => self.lead(Some(ticket)),
                },
            }
        }
    }

    /// What a waiter whose ticket is done still has to do for others: tell them, or lead, if it was told to just before it was done.
    fn dismiss(self: &Arc<Self>, ticket: &Arc<TicketState>) {
        ticket.tell_others();
        if ticket.take_lead() {
            self.lead(None);
        }
    }

    /// Takes the lead if nobody has it and something has gathered. If nothing has, a ticket that is not done yet is in the hands of the leader
    /// before, who gives up the lead first and completes tickets then: leading empty groups until he gets there would be a spin.
    fn begin_to_lead(&self) -> bool {
        let mut pipeline = self.pipeline.lock();
        !pipeline.gathering.is_empty() && !std::mem::replace(&mut pipeline.leading, true)
    }

    /// Has the gathered commits written by a background job, if none is queued for that.
    pub(crate) fn lead_in_background(inner: &Arc<Self>) {
        if !inner.background.begin_lead() {
            return;
        }
        let weak = Arc::downgrade(inner);
        inner.env.jobs.spawn(
            JobClass::Urgent,
            Box::new(move || {
                if let Some(inner) = weak.upgrade() {
                    inner.background.end_lead();
                    if inner.begin_to_lead() {
                        inner.lead(None);
                    }
                }
            }),
        );
    }

    /// Writes groups and hands the lead on. The caller has the lead, and waits for `own`.
    pub(crate) fn lead(self: &Arc<Self>, own: Option<&Arc<TicketState>>) {
        let mut again = LEAD_AGAIN;
        while self.lead_group(own, again > 0) {
            again = again.saturating_sub(1);
        }
    }

    /// Writes one group. Answers whether the caller still has the lead, which takes `keep`.
    fn lead_group(self: &Arc<Self>, own: Option<&Arc<TicketState>>, keep: bool) -> bool {
        let mut items = self.take_group();
        let outcome = match self.latch.get() {
            Some(cause) => Err(Error::Latched { cause: cause.clone() }),
            None => catch_unwind(AssertUnwindSafe(|| self.write_group(&mut items)))
                .unwrap_or_else(|_| Err(Error::invalid("internal: the leader of a group panicked"))),
        };
        let failed = outcome.err().map(|error| match error {
            Error::Latched { .. } => error,
            other => self.latch(&other),
        });
        if failed.is_none() {
            self.watch.notify();
        }
        let kept = self.hand_on(&items, failed.as_ref(), keep);
        let done = items.into_iter().map(|item| match &failed {
            Some(error) => (item.ticket, Err(error.clone())),
            None => (item.ticket, item.result),
        });
        tell(done.collect(), own, kept);
        self.after_group();
        kept
    }

    /// Takes what has gathered. Where several write, the group before was just told that it is done: its writers are about to run, or run
    /// already, with their next commits. Whoever can run goes first, so that these are in the group and not behind it. A lone writer does
    /// not wait.
    fn take_group(&self) -> Vec<Item> {
        let mut pipeline = self.pipeline.lock();
        if pipeline.last_group > 1 && !self.env.jobs.is_stepped() {
            drop(pipeline);
            yield_now();
            pipeline = self.pipeline.lock();
        }
        pipeline.gathering_bytes = 0;
        pipeline.last_group = pipeline.gathering.len();
        std::mem::take(&mut pipeline.gathering)
    }

    /// Clears what is published from `pending` and finds the next leader: the present one, if it may go on (`keep`) and commits of several
    /// writers wait. Then the answer is `true`.
    fn hand_on(self: &Arc<Self>, items: &[Item], failed: Option<&Error>, keep: bool) -> bool {
        let mut guard = self.pipeline.lock();
        let pipeline = &mut *guard;
        if failed.is_none() {
            let published = self.published();
            for placed in items.iter().filter_map(|item| item.frame.as_ref()) {
                for entity in &placed.entities {
                    if pipeline.pending.get(entity).is_some_and(|head| head.until <= published) {
                        pipeline.pending.remove(entity);
                    }
                }
            }
        }
        if let Some(error) = failed {
            // Nothing gathers any more: `reserve` looks at the latch under this lock.
            for item in std::mem::take(&mut pipeline.gathering) {
                item.ticket.complete(Err(error.clone()));
            }
        }
        if keep && pipeline.gathering.len() > 1 && !self.env.jobs.is_stepped() {
            return true;
        }
        let next = pipeline.gathering.iter().find(|item| item.ticket.waiting.load(Ordering::Acquire));
        match next {
            Some(item) if !self.env.jobs.is_stepped() => item.ticket.lead(),
            _ => {
                pipeline.leading = false;
                let left = !pipeline.gathering.is_empty();
                drop(guard);
                if left {
                    Self::lead_in_background(self);
                }
            }
        }
        false
    }

    /// Writes, syncs, applies and publishes. On an error nothing was applied.
    fn write_group(self: &Arc<Self>, items: &mut [Item]) -> Result<()> {
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

    /// Makes everything committed so far durable.
    pub(crate) fn sync(self: &Arc<Self>) -> Result<()> {
        self.check_writable()?;
        self.sync_now()
    }

    /// The same while the store is being closed.
    pub(crate) fn sync_now(self: &Arc<Self>) -> Result<()> {
        let ticket = Arc::<TicketState>::default();
        let result = Ok(Committed { sequence: self.published(), outcomes: Vec::new() });
        self.pipeline.lock().gathering.push(Item { ticket: ticket.clone(), sync: true, frame: None, result });
        self.wait_ticket(&ticket).map(drop)
    }

    /// Waits until everything up to `sequence` is published.
    pub(crate) fn wait_published(self: &Arc<Self>, sequence: u64) -> Result<()> {
        while self.published() < sequence {
            self.check_writable()?;
            // A commit without content behind the pending one: it is done when that is.
            let ticket = Arc::<TicketState>::default();
            let result = Ok(Committed { sequence, outcomes: Vec::new() });
            self.pipeline.lock().gathering.push(Item {
                ticket: ticket.clone(),
                sync: false,
                frame: None,
                result,
            });
            self.wait_ticket(&ticket)?;
        }
        Ok(())
    }
}

/// Completes the tickets of a group. With `by_another`, somebody who sleeps on one of them is woken to complete the rest; not `own`, which
/// nobody sleeps on: its waiter leads.
fn tell(mut done: Vec<Told>, own: Option<&Arc<TicketState>>, by_another: bool) {
    let sleeps = |(ticket, _): &Told| {
        ticket.waiting.load(Ordering::Acquire) && own.is_none_or(|own| !Arc::ptr_eq(own, ticket))
    };
    let another = if by_another { done.iter().position(sleeps) } else { None };
    match another {
        Some(at) => {
            let (ticket, result) = done.swap_remove(at);
            ticket.complete_and_tell(result, done);
        }
        None => done.into_iter().for_each(|(ticket, result)| ticket.complete(result)),
    }
}
