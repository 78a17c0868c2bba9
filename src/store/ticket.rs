//! Commits in flight.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Condvar, Mutex};

use super::draft::Committed;
use super::inner::Inner;
use crate::Result;

/// What the group's leader and the one who waits share.
#[derive(Default)]
pub(crate) struct TicketState {
    slot: Mutex<Slot>,
    done: Condvar,
    /// Somebody sleeps on `done`, and may be woken to lead the next group.
    pub(crate) waiting: AtomicBool,
}

#[derive(Default)]
struct Slot {
    result: Option<Result<Committed>>,
    lead: bool,
    /// Whoever takes the result completes these.
    others: Vec<Told>,
    waker: Option<Waker>,
}

/// A ticket and what becomes of it.
pub(crate) type Told = (Arc<TicketState>, Result<Committed>);

/// What a waiter was woken for.
pub(crate) enum Wake {
    Done(Result<Committed>),
    Lead,
}

impl TicketState {
    pub(crate) fn complete(&self, result: Result<Committed>) {
        let mut slot = self.slot.lock();
        slot.result = Some(result);
        let waker = slot.waker.take();
        drop(slot);
        if self.waiting.load(Ordering::Acquire) {
            // More than one may wait for the same ticket: its owner, and a writer who found the group full.
            self.done.notify_all();
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Completes this ticket, and leaves it to its waiter to complete the others. There must be one: `waiting` is set, and it does not lead.
    pub(crate) fn complete_and_tell(&self, result: Result<Committed>, others: Vec<Told>) {
        self.slot.lock().others = others;
        self.complete(result);
    }

    /// Completes what was left to the waiter of this ticket.
    pub(crate) fn tell_others(&self) {
        let others = std::mem::take(&mut self.slot.lock().others);
        for (ticket, result) in others {
            ticket.complete(result);
        }
    }

    /// Makes the waiter the next leader.
    pub(crate) fn lead(&self) {
        self.slot.lock().lead = true;
        self.done.notify_one();
    }

    /// The result, if it is there.
    pub(crate) fn poll(&self) -> Option<Result<Committed>> {
        self.slot.lock().result.clone()
    }

    /// Takes back an order to lead, if one came.
    pub(crate) fn take_lead(&self) -> bool {
        std::mem::take(&mut self.slot.lock().lead)
    }

    /// Sleeps until there is a result or an order to lead. `waiting` was set before.
    pub(crate) fn sleep(&self) -> Wake {
        let mut slot = self.slot.lock();
        loop {
            if let Some(result) = &slot.result {
                return Wake::Done(result.clone());
            }
            if std::mem::take(&mut slot.lead) {
                return Wake::Lead;
            }
            self.done.wait(&mut slot);
        }
    }

    fn set_waker(&self, waker: &Waker) {
        self.slot.lock().waker = Some(waker.clone());
    }
}

/// A commit in flight: [`Ticket::wait`] for it, or await it. Dropping the ticket does not take the commit back.
#[must_use = "a commit is only known to be done when its ticket says so"]
pub struct Ticket {
    pub(crate) state: Arc<TicketState>,
    pub(crate) inner: Arc<Inner>,
}

impl Ticket {
    /// Waits until the commit has the durability that it asked for.
    ///
    /// # Errors
    /// What [`super::Store::commit`] says.
    pub fn wait(self) -> Result<Committed> {
        self.inner.wait_ticket(&self.state)
    }

    /// The result, if it is there already.
    pub fn try_result(&self) -> Option<Result<Committed>> {
        self.state.poll()
    }
}

impl Future for Ticket {
    type Output = Result<Committed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.set_waker(context.waker());
        match self.state.poll() {
            Some(result) => Poll::Ready(result),
            None => {
                Inner::lead_in_background(&self.inner);
                Poll::Pending
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.state.poll().is_none() {
            Inner::lead_in_background(&self.inner);
        }
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket").field("done", &self.state.poll().is_some()).finish()
    }
}
