//! Who leads: takes what has gathered, has it written (`append.rs`), completes the tickets and hands the lead on.
//!
//! One at a time: whoever waits for a commit while nobody leads becomes the leader and takes everything that has gathered. While
//! it writes, the next group gathers. A leader goes on with the next group for a few times, and leaves it to one of those who wait for the
//! group before to tell the others; then it makes a waiter of the gathering group the next leader. Either way the disk does not wait for
//! wake-ups, which on a machine with few cores, or a virtual one, take as long as the disk does.
//!
//! 1. *A failed write or sync latches*: nothing of the group is applied, everybody in flight gets `Latched`. It is never retried.
//! 2. Tickets are completed when their group is published, and `pending` is cleared then.
//! 3. Whoever is left to tell the others sleeps on its ticket and does not lead: it does so before it returns.

use crate::sync::atomic::Ordering;
use crate::sync::yield_now;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::draft::Committed;
use super::inner::Inner;
use super::pipeline::Item;
use super::ticket::{TicketState, Told, Wake};
use crate::env::JobClass;
use crate::{Error, Result};

/// A leader goes on with up to this many further groups before it hands the lead on: its own caller waits meanwhile.
const LEAD_AGAIN: usize = 4;

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
        let next = Vec::with_capacity(pipeline.last_group);
        std::mem::replace(&mut pipeline.gathering, next)
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
