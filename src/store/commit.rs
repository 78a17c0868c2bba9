//! The way of a batch: prepare, look up, resolve, reserve; again if a head has moved.

use crate::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::draft::{Batch, Committed, Durability};
use super::inner::Inner;
use super::pipeline::Reserved;
use super::prepare::{PreparedWhat, prepare};
use super::put_off::Work;
use super::resolve::{Plan, Resolved};
use super::ticket::{Ticket, TicketState};
use crate::log::FrameKind;
use crate::{Error, Result};

/// Memtables that wait for their flush before writers are slowed down, and at which they stop.
const WAITING_SLOW: usize = 2;
const WAITING_STOP: usize = 5;
/// Segments that wait to be sealed at which writers stop: what is in an unsealed one is held in memory.
const SEALS_STOP: usize = 16;
/// Delay for each memtable above `WAITING_SLOW`, and for each table of level 0 above three times its limit.
const DELAY_STEP: Duration = Duration::from_micros(500);
/// Sealed segments that wait to be packed before writers are slowed down.
const PACKS_SLOW: u64 = 4;
/// About what packing takes of the log in a second, bytes.
const PACKED_PER_SECOND: u64 = 16 << 20;
/// A writer is not held up for longer than this at once.
const DELAY_MAX: Duration = Duration::from_secs(1);

impl Inner {
    /// Reserves a batch and answers its ticket. Does not wait for the disk.
    pub(crate) fn submit(self: &Arc<Self>, batch: Batch, durability: Durability) -> Result<Ticket> {
        let state = self.enqueue(batch, durability)?;
        if state.poll().is_none() {
            // The caller may never wait.
            Self::lead_in_background(self);
        }
        Ok(Ticket { state, inner: self.clone() })
    }

    /// Reserves a batch and waits for it.
    pub(crate) fn commit(self: &Arc<Self>, batch: Batch, durability: Durability) -> Result<Committed> {
        let state = self.enqueue(batch, durability)?;
        self.wait_ticket(&state)
    }

    fn enqueue(self: &Arc<Self>, batch: Batch, durability: Durability) -> Result<Arc<TicketState>> {
        self.check_writable()?;
        let batch = prepare(batch, &self.options.limits)?;
        self.throttle()?;
        let mut plan: Option<Plan> = None;
        loop {
            let at = self.published();
            let heads = self.look_up(&batch, at)?;
            // A plan that does not depend on heads is made once.
            let mut current = match plan.take().filter(|_| !batch.needs_head) {
                Some(plan) => plan,
                None => match self.resolve(&batch, &heads, at)? {
                    Resolved::Plan(plan) => plan,
                    Resolved::Replayed(committed) => return self.replayed(committed, durability),
                    Resolved::Refused(refusal) => {
                        if let Reserved::AfterPublish(sequence) = self.refuse(&batch, refusal, at)? {
                            self.wait_published(sequence)?;
                        }
                        continue;
                    }
                },
            };
            match self.reserve(&batch, &mut current, &heads, at, durability)? {
                Reserved::Queued(state) => return Ok(state),
                Reserved::Stale => {}
                Reserved::AfterPublish(sequence) => {
                    probe!("pipeline: wait for a pending head");
                    self.wait_published(sequence)?;
                }
                Reserved::NoSpace(len) => {
                    let records = current.frame.as_ref().map_or(0, |frame| frame.records().len());
                    let room = || self.make_space(len, records as u64, FrameKind::Commit);
                    // What hides or destroys has to get through also where no more edits do.
                    match batch.ops.iter().any(|op| matches!(op.what, PreparedWhat::Write(_))) {
                        true => room()?,
                        false => self.with_reserve(room)?,
                    }
                }
                Reserved::Full(first) => {
                    // Its own outcome is its owner's business.
                    let _ = self.wait_ticket(&first);
                }
            }
            plan = Some(current);
        }
    }

    /// Slows writers down when flushes and compactions fall behind: a delay in proportion, a full stop only at the end.
    fn throttle(self: &Arc<Self>) -> Result<()> {
        loop {
            let view = self.view.load();
            let waiting = view.memtables().len().saturating_sub(1);
            if waiting >= WAITING_STOP {
                drop(view);
                self.counters.stops.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(waiting, "writers wait for a memtable to be flushed");
                self.wait_for(Work::Flush)?;
                continue;
            }
            if self.background.segments_to_seal() >= SEALS_STOP {
                drop(view);
                self.counters.stops.fetch_add(1, Ordering::Relaxed);
                tracing::debug!("writers wait for segments to be sealed");
                self.wait_for(Work::Seal)?;
                continue;
            }
            let tables = view.levels().revisions.level(0).len();
            let tables_slow = self.options.limits.level0_tables as usize * 3;
            let behind = waiting.saturating_sub(WAITING_SLOW) + tables.saturating_sub(tables_slow);
            self.throttle_for_packing();
            if behind > 0 {
                let delay = DELAY_STEP.saturating_mul(u32::try_from(behind).unwrap_or(u32::MAX).min(100));
                self.counters.delays.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(
                    waiting,
                    tables,
                    ?delay,
                    "writers are slowed down: flushes or compactions are behind"
                );
                self.env.clock.sleep(delay);
                let _ = self.env.jobs.help();
            }
            return Ok(());
        }
    }

    /// Holds the log back to what packing keeps up with: from a few waiting segments on, each further one doubles the time that the bytes
    /// written since the last look are to take.
    fn throttle_for_packing(&self) {
        let waiting = self.background.waiting_to_pack.load(Ordering::Relaxed);
        let behind = waiting.saturating_sub(PACKS_SLOW);
        // To wait for what is put off helps nobody.
        if behind == 0 || self.background.put_off.error(Work::Pack).is_some() {
            return;
        }
        let written = self.counters.log_bytes.load(Ordering::Relaxed);
        let since = written.saturating_sub(self.background.throttled_at.swap(written, Ordering::Relaxed));
        // A segment at most: the first look may be long after the last one.
        let since = since.min(self.options.limits.segment_bytes);
        let per_second = (PACKED_PER_SECOND << 3) >> behind.min(8);
        let delay = Duration::from_micros(since.saturating_mul(1_000_000) / per_second);
        probe!("background: writer slowed down for packing");
        self.counters.delays_packing.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(waiting, ?delay, "writers are slowed down: packing is behind");
        self.env.clock.sleep(delay.min(DELAY_MAX));
        let _ = self.env.jobs.help();
    }

    fn wait_for(self: &Arc<Self>, work: Work) -> Result<()> {
        self.check_writable()?;
        if work == Work::Seal {
            self.seal_soon();
        } else {
            probe!("background: writer stopped for a flush");
            self.flush_in_background();
        }
        match self.env.jobs.help() {
            Some(true) => {}
            Some(false) => {
                return Err(self.latch(&Error::invalid("internal: writers wait and no job is queued")));
            }
            None => {
                let mut count = self.background_done.0.lock();
                let _ = self.background_done.1.wait_for(&mut count, Duration::from_millis(100));
            }
        }
        // Nothing was given out: the caller can try again when there is room, or the disk answers.
        self.background.put_off.error(work).map_or(Ok(()), Err)
    }
}
