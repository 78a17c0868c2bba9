//! One thread makes a pack, others compress groups for it.
//!
//! ```text
//! packer:   read ─ read ─ read ─ …  hands in pieces 0, 1, 2, …      takes results 0, 1, 2, … in that order ─► file
//!                                        └─► queue ─► who is free: the packer, whoever waits for his turn to pack, a job
//! ```
//!
//! 1. Results are taken in the order in which the pieces were handed in, and a piece is a function of what is in it: who made it does not
//!    show in the file.
//! 2. Nobody waits for help that may never come. The packer makes what nobody has taken, and waits only for what somebody is making.
//! 3. Only where somebody waits for a pack do others help: a writer's processor is worth more than packing in the background.
//! 4. What is handed in and not yet written is bounded ([`IN_FLIGHT`]), and a larger piece is made by the packer at once.
//! 5. A piece that panics is an error of the pack that it belongs to, and nobody else's.
//! 6. Turns are given out in the order in which they were asked for. One who waits helps whoever has the turn; he holds no lock of the crew while
//!    he does.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::env::{JobClass, Jobs};
use crate::sync::{Condvar, Mutex};
use crate::{Error, Result};

/// Bytes that are handed in and not written, at most.
const IN_FLIGHT: usize = 8 << 20;
/// Pieces, at most.
const PIECES: usize = 32;
/// A piece of more bytes is made by the packer.
const PIECE_MAX: usize = IN_FLIGHT / 2;
/// A job ends after so many bytes: others of its class want to run, too.
const JOB_BYTES: usize = 4 << 20;

/// Whose turn it is to pack, and who helps.
#[derive(Default)]
pub struct Crew {
    shared: Arc<Shared>,
    jobs: Option<Arc<dyn Jobs>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What nobody has taken, oldest first.
    queue: VecDeque<Piece>,
    next_packer: u64,
    /// Turns that were asked for, and those that are over.
    turns: u64,
    over: u64,
    /// Who waits for a pack without being able to make it or to help.
    hurried: usize,
    /// Jobs that are queued or running.
    jobs: usize,
}

impl State {
    fn is_helped(&self) -> bool {
        self.hurried > 0 || self.turns > self.over.saturating_add(1)
    }
}

struct Piece {
    packer: u64,
    bytes: usize,
    /// Does not panic.
    work: Box<dyn FnOnce() + Send>,
}

impl Crew {
    /// A crew whose help comes from these jobs, and from who waits for his turn.
    #[must_use]
    pub fn new(jobs: Arc<dyn Jobs>) -> Self {
        Self { jobs: Some(jobs), shared: Arc::default() }
    }

    /// Nobody helps.
    #[must_use]
    pub fn alone() -> Self {
        Self::default()
    }

    /// Waits until it is the caller's turn, and helps meanwhile.
    pub(crate) fn turn(&self) -> Turn<'_> {
        let mut state = self.shared.state.lock();
        let mine = state.turns;
        state.turns = mine.wrapping_add(1);
        while state.over != mine {
            match state.queue.pop_front() {
                Some(piece) => {
                    drop(state);
                    (piece.work)();
                    state = self.shared.state.lock();
                }
                None => self.shared.changed.wait(&mut state),
            }
        }
        Turn(&self.shared)
    }

    /// Somebody waits for what is packed from now on, until the answer is dropped: jobs help.
    pub(crate) fn hurry(&self) -> Hurry<'_> {
        self.shared.state.lock().hurried += 1;
        Hurry(&self.shared)
    }

    /// Queues a job if there is work for it. Called without the lock.
    fn call_for_help(&self) {
        let Some(jobs) = &self.jobs else { return };
        {
            let mut state = self.shared.state.lock();
            if state.hurried == 0 || state.jobs > 0 || state.queue.is_empty() {
                return;
            }
            state.jobs += 1;
        }
        let helper = Helper(Arc::clone(&self.shared));
        jobs.spawn(JobClass::Compact, Box::new(move || helper.run()));
    }
}

/// A job that helps; also one that never runs.
struct Helper(Arc<Shared>);

impl Helper {
    fn run(self) {
        let mut done = 0_usize;
        while done < JOB_BYTES {
            let Some(piece) = self.0.state.lock().queue.pop_front() else { return };
            done = done.saturating_add(piece.bytes.max(1));
            (piece.work)();
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.state.lock().jobs -= 1;
    }
}

/// The turn to pack.
pub(crate) struct Turn<'a>(&'a Shared);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.over = state.over.wrapping_add(1);
        self.0.changed.notify_all();
    }
}

/// Somebody waits for a pack.
pub(crate) struct Hurry<'a>(&'a Shared);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.state.lock().hurried -= 1;
    }
}

/// The pieces of one pack, in order.
pub(super) struct Pieces<'a, T> {
    crew: &'a Crew,
    packer: u64,
    pending: VecDeque<(usize, Pending<T>)>,
    bytes: usize,
}

enum Pending<T> {
    Made(T),
    /// `None` until it is done; inside, `None` if it panicked.
    Handed(Arc<Mutex<Option<Option<T>>>>),
}

impl<'a, T: Send + 'static> Pieces<'a, T> {
    pub fn new(crew: &'a Crew) -> Self {
        let mut state = crew.shared.state.lock();
        let packer = state.next_packer;
        state.next_packer = packer.wrapping_add(1);
        Self { crew, packer, pending: VecDeque::new(), bytes: 0 }
    }

    /// Adds what is made already, and takes so many bytes until it is written.
    pub fn made(&mut self, bytes: usize, piece: T) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.pending.push_back((bytes, Pending::Made(piece)));
    }

    /// Adds what is made by this work, at once or by somebody else.
    pub fn hand_in(&mut self, bytes: usize, work: impl FnOnce() -> T + Send + 'static) {
        if bytes > PIECE_MAX || !self.crew.shared.state.lock().is_helped() {
            return self.made(bytes, work());
        }
        probe!("pack: groups handed in");
        let slot = Arc::new(Mutex::new(None));
        let (for_result, shared) = (Arc::clone(&slot), Arc::clone(&self.crew.shared));
        let work = move || {
            let result = catch_unwind(AssertUnwindSafe(work)).ok();
            *for_result.lock() = Some(result);
            // Under the lock, or somebody who has just looked would wait for ever.
            let _state = shared.state.lock();
            shared.changed.notify_all();
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.pending.push_back((bytes, Pending::Handed(slot)));
        let piece = Piece { packer: self.packer, bytes, work: Box::new(work) };
        {
            let mut state = self.crew.shared.state.lock();
            state.queue.push_back(piece);
            self.crew.shared.changed.notify_one();
        }
        self.crew.call_for_help();
    }

    /// The next piece: if it is made, or more may not be handed in, or none will be.
    pub fn next(&mut self, last: bool) -> Result<Option<T>> {
        let full = self.bytes > IN_FLIGHT || self.pending.len() > PIECES;
        let Some((bytes, pending)) = self.pending.pop_front() else { return Ok(None) };
        let made = match pending {
            Pending::Made(piece) => piece,
            Pending::Handed(slot) => {
                if !full && !last && slot.lock().is_none() {
                    self.pending.push_front((bytes, Pending::Handed(slot)));
                    return Ok(None);
                }
                self.wait_for(&slot)?
            }
        };
        self.bytes = self.bytes.saturating_sub(bytes);
        Ok(Some(made))
    }

    fn wait_for(&self, slot: &Mutex<Option<Option<T>>>) -> Result<T> {
        let shared = &self.crew.shared;
        loop {
            let mut state = shared.state.lock();
            if let Some(made) = slot.lock().take() {
                return made.ok_or_else(|| Error::invalid("internal: a group could not be made: panic"));
            }
            match state.queue.pop_front() {
                Some(piece) => {
                    drop(state);
                    (piece.work)();
                }
                None => shared.changed.wait(&mut state),
            }
        }
    }
}

impl<T> Drop for Pieces<'_, T> {
    /// What was given up is not made any more.
    fn drop(&mut self) {
        let mut state = self.crew.shared.state.lock();
        let queue = std::mem::take(&mut state.queue);
        let (mine, others): (VecDeque<_>, VecDeque<_>) =
            queue.into_iter().partition(|piece| piece.packer == self.packer);
        state.queue = others;
        drop(state);
        drop(mine);
    }
}
