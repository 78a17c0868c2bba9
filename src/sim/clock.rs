//! Time that passes only because somebody looks at it, waits, or does I/O.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::fault::{FaultKind, FaultStats, Rate};
use super::rng::Prng;
use crate::env::Clock;

/// 2024-01-01 UTC, µs.
const START_US: i64 = 1_704_067_200_000_000;

/// The simulated clock. Clones are the same clock; it goes on through crashes.
#[derive(Clone, Debug)]
pub struct SimClock(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    wall_us: i64,
    monotonic_us: u64,
    step_us: u64,
    jump: Rate,
    back: Rate,
    jump_us_max: u64,
    rng: Prng,
    stats: FaultStats,
}

impl SimClock {
    /// A clock that starts in 2024 and steps by a microsecond with every reading.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_stats(seed, FaultStats::default())
    }

    pub(super) fn with_stats(seed: u64, stats: FaultStats) -> Self {
        Self(Arc::new(Mutex::new(State {
            wall_us: START_US,
            monotonic_us: 0,
            step_us: 1,
            jump: Rate::NEVER,
            back: Rate::NEVER,
            jump_us_max: 0,
            rng: Prng::new(seed),
            stats,
        })))
    }

    pub(super) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// How far a reading moves the clock; 0 stops it.
    pub fn set_step_us(&self, step_us: u64) {
        self.0.lock().step_us = step_us;
    }

    /// Lets readings of the wall clock find it moved forward or back by up to `us_max`, at these rates.
    pub fn set_faults(&self, jump: Rate, back: Rate, us_max: u64) {
        let mut state = self.0.lock();
        (state.jump, state.back, state.jump_us_max) = (jump, back, us_max);
    }

    /// Moves the wall clock, in either direction. The monotonic clock does not notice.
    pub fn jump(&self, by_us: i64) {
        let mut state = self.0.lock();
        state.wall_us = state.wall_us.saturating_add(by_us);
        let kind = if by_us < 0 { FaultKind::ClockBack } else { FaultKind::ClockJump };
        state.stats.hit(kind);
    }

    /// Lets time pass on both clocks.
    pub fn advance_us(&self, us: u64) {
        self.0.lock().advance(us);
    }

    /// The monotonic clock, without moving it.
    #[must_use]
    pub fn peek_us(&self) -> u64 {
        self.0.lock().monotonic_us
    }
}

impl State {
    fn advance(&mut self, us: u64) {
        self.monotonic_us = self.monotonic_us.saturating_add(us);
        self.wall_us = self.wall_us.saturating_add(i64::try_from(us).unwrap_or(i64::MAX));
    }
}

impl Clock for SimClock {
    fn wall_us(&self) -> i64 {
        let mut state = self.0.lock();
        let step = state.step_us;
        state.advance(step);
        for (rate, sign, kind) in
            [(state.jump, 1, FaultKind::ClockJump), (state.back, -1, FaultKind::ClockBack)]
        {
            if rate != Rate::NEVER && rate.hits(state.rng.next_u64()) {
                let max = state.jump_us_max;
                let by = i64::try_from(state.rng.below(max).saturating_add(1)).unwrap_or(i64::MAX);
                state.wall_us = state.wall_us.saturating_add(by.saturating_mul(sign));
                state.stats.hit(kind);
            }
        }
        state.wall_us
    }

    fn monotonic_us(&self) -> u64 {
        let mut state = self.0.lock();
        let step = state.step_us;
        state.advance(step);
        state.monotonic_us
    }

    fn sleep(&self, duration: Duration) {
        self.advance_us(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }
}
