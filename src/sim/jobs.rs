//! Background work stepped by hand: which of the ready jobs runs next is drawn from a seed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::clock::SimClock;
use super::rng::Prng;
use crate::env::{Job, JobClass, Jobs};

/// The simulated job queue. It runs nothing by itself: a test calls [`SimJobs::step`], or the engine waits and calls
/// [`Jobs::help`]. Any ready job may be next, whatever its class: with threads, too, a late urgent job does not stop an early one.
///
/// Jobs run on the caller's stack, with nothing locked, and may themselves spawn and help.
#[derive(Clone)]
pub struct SimJobs {
    state: Arc<Mutex<State>>,
    clock: SimClock,
}

struct State {
    queue: Vec<Queued>,
    rng: Prng,
    /// The process that queues here is dead.
    closed: bool,
    ran: u64,
    running: u64,
}

struct Queued {
    due_us: u64,
    class: JobClass,
    job: Job,
}

impl SimJobs {
    /// An empty queue.
    #[must_use]
    pub fn new(seed: u64, clock: &SimClock) -> Self {
        let state = State { queue: Vec::new(), rng: Prng::new(seed), closed: false, ran: 0, running: 0 };
        Self { state: Arc::new(Mutex::new(state)), clock: clock.clone() }
    }

    /// Runs one of the jobs that are ready; `false` if there is none.
    pub fn step(&self) -> bool {
        let now = self.clock.peek_us();
        self.run_one(|queued| queued.due_us <= now)
    }

    /// Runs one of the ready jobs of a class; `false` if there is none.
    pub fn step_class(&self, class: JobClass) -> bool {
        let now = self.clock.peek_us();
        self.run_one(|queued| queued.due_us <= now && queued.class == class)
    }

    /// Runs ready jobs until none is ready or `max` have run; answers how many ran. Does not move the clock.
    pub fn run_until_idle(&self, max: u64) -> u64 {
        (0..max).take_while(|_| self.step()).count() as u64
    }

    /// Runs jobs for `duration` of simulated time: when none is ready, moves the clock to the next one. Answers how many ran.
    pub fn run_for(&self, duration: Duration) -> u64 {
        let until =
            self.clock.peek_us().saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        let mut ran = 0;
        loop {
            if self.step() {
                ran += 1;
                continue;
            }
            let now = self.clock.peek_us();
            match self.next_due() {
                Some(due) if due <= until => self.clock.advance_us(due.saturating_sub(now)),
                _ => {
                    self.clock.advance_us(until.saturating_sub(now));
                    return ran;
                }
            }
        }
    }

    /// Queued jobs, ready or not.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.state.lock().queue.len()
    }

    /// Jobs that have run.
    #[must_use]
    pub fn ran(&self) -> u64 {
        self.state.lock().ran
    }

    /// Jobs on the stack right now: more than one if a job helps.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.state.lock().running
    }

    /// The process died: what is queued, and whatever is queued from now on, never runs.
    pub fn close(&self) {
        let dropped = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        // Outside the lock: a dropped job may drop something that spawns.
        drop(dropped);
    }

    fn next_due(&self) -> Option<u64> {
        self.state.lock().queue.iter().map(|queued| queued.due_us).min()
    }

    fn run_one(&self, ready: impl Fn(&Queued) -> bool) -> bool {
        let mut state = self.state.lock();
        let candidates: Vec<usize> =
            state.queue.iter().enumerate().filter(|(_, queued)| ready(queued)).map(|(i, _)| i).collect();
        let Some(i) = state.rng.pick(&candidates).copied() else { return false };
        let queued = state.queue.remove(i);
        state.ran += 1;
        state.running += 1;
        drop(state);
        let running = Running(self);
        (queued.job)();
        drop(running);
        true
    }

    fn push(&self, delay: Duration, class: JobClass, job: Job) {
        let delay_us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let due_us = self.clock.peek_us().saturating_add(delay_us);
        let mut state = self.state.lock();
        if !state.closed {
            state.queue.push(Queued { due_us, class, job });
            return;
        }
        drop(state);
        drop(job);
    }
}

/// Counts a job as running until it returns or panics.
struct Running<'a>(&'a SimJobs);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.state.lock().running -= 1;
    }
}

impl Jobs for SimJobs {
    fn spawn(&self, class: JobClass, job: Job) {
        self.push(Duration::ZERO, class, job);
    }

    fn spawn_after(&self, delay: Duration, class: JobClass, job: Job) {
        self.push(delay, class, job);
    }

    /// Runs a ready job; if there are only delayed ones, time passes until the first is due.
    fn help(&self) -> Option<bool> {
        if self.step() {
            return Some(true);
        }
        let Some(due) = self.next_due() else { return Some(false) };
        self.clock.advance_us(due.saturating_sub(self.clock.peek_us()));
        Some(self.step())
    }

    fn is_stepped(&self) -> bool {
        true
    }
}
