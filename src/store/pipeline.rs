//! The critical section of a commit: check, number, place. No I/O happens here.
//!
//! ```text
//!  caller                        pipeline (mutex)                       leader (one at a time)
//!  prepare ──► look up heads ──► last_sequence[bucket] <= S ?           takes the whole gathering
//!              at S = published    no: pending head, or look up again   finishes frames, one write, one sync
//!                                  expectations, numbers, space     ──► applies, publishes, completes tickets
//! ```
//!
//! 1. *Check and reservation are one step.* A head looked up at S outside the section is used only if nothing was given out to its
//!    bucket since S; a head that is pending is taken from `pending`.
//! 2. *Space before numbers.* An offset is handed out only inside reserved space of the tail segment.
//! 3. *Answers do not overtake.* A refusal that rests on a pending head travels with the group that publishes that head.
//! 4. A refused commit leaves nothing behind: no number, no row, no bytes.

use std::sync::Arc;

use super::clock::CommitClock;
use super::draft::{Committed, Durability, Outcome};
use super::heads::HeadInfo;
use super::inner::Inner;
use super::prepare::{Prepared, PreparedWhat};
use super::resolve::{Plan, out_of_step};
use super::space::{SegmentFile, Tail};
use super::ticket::TicketState;
use crate::env::HashMap;
use crate::index::annotations::Purge;
use crate::limits::AUTHORED_AHEAD_MAX_US;
use crate::log::{FrameDraft, Numbers};
use crate::model::{AnnotationKind, Entity};
use crate::{Error, Result};

/// A gathering group takes at most this many bytes of frames; more wait for the next.
pub(crate) const GROUP_BYTES_MAX: usize = 16 << 20;

/// What the critical section guards.
pub(crate) struct Pipeline {
    /// The next sequence number to give out.
    pub(crate) next_sequence: u64,
    pub(crate) clock: CommitClock,
    /// Heads that were given out and are not published.
    pub(crate) pending: HashMap<Entity, HeadInfo>,
    /// Where the next frame goes.
    pub(crate) tail: Tail,
    /// A segment prepared ahead.
    pub(crate) spare: Option<Arc<SegmentFile>>,
    /// Commits that wait for the next leader, in sequence order.
    pub(crate) gathering: Vec<Item>,
    pub(crate) gathering_bytes: usize,
    /// Commits in the group that was taken last.
    pub(crate) last_group: usize,
    /// Somebody leads, or was told to.
    pub(crate) leading: bool,
}

/// One waiting commit.
pub(crate) struct Item {
    pub(crate) ticket: Arc<TicketState>,
    pub(crate) sync: bool,
    pub(crate) frame: Option<Box<Placed>>,
    /// What the ticket gets when the group went through.
    pub(crate) result: Result<Committed>,
}

/// A frame with its numbers and its place.
pub(crate) struct Placed {
    pub(crate) frame: FrameDraft,
    pub(crate) segment: Arc<SegmentFile>,
    pub(crate) offset: u64,
    pub(crate) first_sequence: u64,
    pub(crate) count: u64,
    pub(crate) commit_time: i64,
    /// The entities that it changes: pending until it is published.
    pub(crate) entities: Vec<Entity>,
}

/// What a reservation came to.
pub(crate) enum Reserved {
    Queued(Arc<TicketState>),
    /// A head has moved since it was looked up.
    Stale,
    /// This plan was made with a head that is not the one now pending; look again when that is published.
    AfterPublish(u64),
    /// The tail has no room for a frame of this length.
    NoSpace(usize),
    /// The gathering is full: wait for this one.
    Full(Arc<TicketState>),
}

impl Inner {
    /// One attempt to reserve. `heads` were looked up at `at`. Takes the plan's frame only when it answers `Queued`.
    pub(crate) fn reserve(
        &self,
        batch: &Prepared,
        plan: &mut Plan,
        heads: &[HeadInfo],
        at: u64,
        durability: Durability,
    ) -> Result<Reserved> {
        let mut guard = self.pipeline.lock();
        let pipeline = &mut *guard;
        self.check_writable()?;
        if pipeline.gathering_bytes > GROUP_BYTES_MAX
            && let Some(first) = pipeline.gathering.first()
        {
            return Ok(Reserved::Full(first.ticket.clone()));
        }
        let mut current = Vec::with_capacity(heads.len());
        let mut rests_on_pending = false;
        for ((entity, hash), head) in batch.entities.iter().zip(heads) {
            match self.standing(pipeline, entity, *hash, at) {
                Standing::Same => current.push(*head),
                Standing::Pending(pending) if batch.needs_head => {
                    return Ok(Reserved::AfterPublish(pending.until));
                }
                Standing::Pending(pending) => {
                    probe!("pipeline: head is pending");
                    rests_on_pending = true;
                    current.push(pending);
                }
                Standing::Moved => {
                    probe!("pipeline: look up again");
                    return Ok(Reserved::Stale);
                }
            }
        }
        let sync = durability == Durability::Sync;
        let assigned = match assign(batch, plan, &mut current, pipeline, self) {
            Ok(assigned) => assigned,
            Err(refusal)
                if rests_on_pending
                    && !planted!("answers overtake")
                    && matches!(refusal, Error::Conflict { .. } | Error::Invalid { .. }) =>
            {
                let ticket = Arc::<TicketState>::default();
                pipeline.gathering.push(Item {
                    ticket: ticket.clone(),
                    sync: false,
                    frame: None,
                    result: Err(refusal),
                });
                return Ok(Reserved::Queued(ticket));
            }
            Err(refusal) => {
                if planted!("refusal uses numbers up") {
                    pipeline.next_sequence += 1;
                }
                return Err(refusal);
            }
        };
        let ticket = Arc::<TicketState>::default();
        let Some(frame) = &plan.frame else {
            // Nothing to write; the answer may still rest on a pending head, or on one that is to be made durable.
            let sequence = if rests_on_pending { pipeline.next_sequence - 1 } else { self.published() };
            let result = Ok(Committed { sequence, outcomes: assigned.outcomes });
            let sync = sync && self.durable() < sequence;
            if rests_on_pending || sync {
                pipeline.gathering.push(Item { ticket: ticket.clone(), sync, frame: None, result });
            } else {
                ticket.complete(result);
            }
            return Ok(Reserved::Queued(ticket));
        };
        let count = assigned.numbers.len() as u64;
        let Some((segment, offset)) = pipeline.place(frame.len(), count, &self.options.limits) else {
            return Ok(Reserved::NoSpace(frame.len()));
        };
        let commit_time = assigned.commit_time;
        // From here on nothing fails.
        let Some(mut frame) = plan.frame.take() else { return Err(out_of_step()) };
        let first_sequence = pipeline.next_sequence;
        pipeline.next_sequence = first_sequence.saturating_add(count);
        for (record, numbers) in assigned.numbers.iter().enumerate() {
            if let Some(numbers) = numbers {
                frame.set_numbers(record, *numbers);
            }
        }
        let mut entities = Vec::with_capacity(batch.entities.len());
        for ((entity, hash), head) in batch.entities.iter().zip(current) {
            // Annotations move the bucket as revisions do: a revert that was made out before a forget is made out again, and a head
            // that was cached before a purge is not found any more.
            if head.until >= first_sequence {
                self.bucket(*hash).store(head.until, std::sync::atomic::Ordering::Release);
                pipeline.pending.insert(entity.clone(), head);
                entities.push(entity.clone());
            }
        }
        let sequence = pipeline.next_sequence - 1;
        pipeline.gathering_bytes += frame.len();
        let frame = Box::new(Placed { frame, segment, offset, first_sequence, count, commit_time, entities });
        let result = Ok(Committed { sequence, outcomes: assigned.outcomes });
        pipeline.gathering.push(Item { ticket: ticket.clone(), sync, frame: Some(frame), result });
        Ok(Reserved::Queued(ticket))
    }

    /// What became of an entity's head that was looked up at `at`.
    fn standing(&self, pipeline: &Pipeline, entity: &Entity, hash: u64, at: u64) -> Standing {
        let unmoved = self.bucket(hash).load(std::sync::atomic::Ordering::Acquire) <= at;
        if unmoved || planted!("cas outside the section") {
            return Standing::Same;
        }
        match pipeline.pending.get(entity) {
            Some(pending) => Standing::Pending(*pending),
            // Another entity of the bucket is in flight. Of this one, whatever was given out is published, for it leaves `pending`
            // under this lock and after that: nothing published since the look-up means nothing of this entity.
            None if self.published() == at => Standing::Same,
            None => Standing::Moved,
        }
    }

    /// A refusal that was made out with heads looked up at `at`: an error if they still are the heads.
    pub(crate) fn refuse(&self, batch: &Prepared, refusal: Error, at: u64) -> Result<Reserved> {
        let pipeline = self.pipeline.lock();
        self.check_writable()?;
        for (entity, hash) in &batch.entities {
            match self.standing(&pipeline, entity, *hash, at) {
                Standing::Same => {}
                Standing::Pending(pending) => return Ok(Reserved::AfterPublish(pending.until)),
                Standing::Moved => return Ok(Reserved::Stale),
            }
        }
        Err(refusal)
    }

    /// The answer to a request that was carried out before: at once, or when it is as durable as this attempt asks for.
    pub(crate) fn replayed(&self, committed: Committed, durability: Durability) -> Result<Arc<TicketState>> {
        let ticket = Arc::<TicketState>::default();
        if durability == Durability::Sync && self.durable() < committed.sequence {
            let mut pipeline = self.pipeline.lock();
            self.check_writable()?;
            let result = Ok(committed);
            pipeline.gathering.push(Item { ticket: ticket.clone(), sync: true, frame: None, result });
        } else {
            ticket.complete(Ok(committed));
        }
        Ok(ticket)
    }
}

/// Whether a head that was looked up is the head.
enum Standing {
    Same,
    Pending(HeadInfo),
    /// It may have moved: look again.
    Moved,
}

struct Assigned {
    /// For each record of the frame; `None` for annotations.
    numbers: Vec<Option<Numbers>>,
    outcomes: Vec<Outcome>,
    commit_time: i64,
}

/// Checks every expectation and gives numbers, changing only `heads`.
fn assign(
    batch: &Prepared,
    plan: &Plan,
    heads: &mut [HeadInfo],
    pipeline: &mut Pipeline,
    inner: &Inner,
) -> Result<Assigned> {
    let mut numbers = Vec::with_capacity(batch.ops.len());
    let mut outcomes = Vec::with_capacity(batch.ops.len());
    let mut sequence = pipeline.next_sequence;
    let mut time = None;
    for (op, record) in batch.ops.iter().zip(&plan.records) {
        let (entity, _) = batch.entities.get(op.entity).ok_or_else(out_of_step)?;
        let head = heads.get_mut(op.entity).ok_or_else(out_of_step)?;
        head.admit(entity, &op.what)?;
        match &op.what {
            PreparedWhat::Guard { .. } => outcomes.push(Outcome::Held),
            PreparedWhat::Annotate(annotation) => {
                if annotation.kind == AnnotationKind::Purge {
                    *head = HeadInfo::purged(Purge {
                        sequence,
                        last: head.number,
                        effective_time: head.effective_time,
                    });
                } else if !planted!("forget does not move the bucket") {
                    head.until = sequence;
                }
                numbers.push(None);
                outcomes.push(Outcome::Annotated { sequence });
                sequence = sequence.saturating_add(1);
            }
            PreparedWhat::Write(write) => {
                if record.is_none() {
                    outcomes.push(Outcome::Unchanged { revision: head.number });
                    continue;
                }
                let number = head.next_number(entity, write)?;
                let commit_time = match time {
                    Some(time) => time,
                    None => *time.insert(pipeline.clock.next(&*inner.env.clock)?),
                };
                let effective_time = effective_time(write.authored, commit_time, head.effective_time);
                // What was purged is nobody's parent.
                let parent = write.parent.unwrap_or(if head.is_purged() { 0 } else { head.number });
                numbers.push(Some(Numbers { number, parent, effective_time }));
                outcomes.push(Outcome::Written { revision: number, sequence });
                *head = HeadInfo {
                    sequence,
                    until: sequence,
                    number,
                    kind: Some(write.kind()),
                    effective_time,
                    content: None,
                    digest: write.units.first().map(|unit| unit.digest),
                };
                sequence = sequence.saturating_add(1);
            }
        }
    }
    let commit_time = match time {
        Some(time) => time,
        None => pipeline.clock.next(&*inner.env.clock)?,
    };
    Ok(Assigned { numbers, outcomes, commit_time })
}

/// max(authored or commit time, the previous revision's); an authored time far in the future does not enter.
fn effective_time(authored: Option<i64>, commit: i64, previous: i64) -> i64 {
    match authored {
        Some(authored) if authored <= commit.saturating_add(AUTHORED_AHEAD_MAX_US) => {
            match planted!("effective time not monotone") {
                true => authored,
                false => authored.max(previous),
            }
        }
        Some(_) if previous != i64::MIN => previous,
        _ => commit.max(previous),
    }
}
