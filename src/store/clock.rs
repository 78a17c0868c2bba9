//! The commit clock: never goes back, does not run away.

use std::time::Duration;

use crate::env::Clock;
use crate::limits::CLOCK_STEP_MAX_US;
use crate::{Error, Result};

/// How far apart two suspicious readings must be to count as two, µs of the monotonic clock.
const AGREE_AFTER_US: u64 = 500_000;

/// Gives commit times.
///
/// A wall clock that steps forward by more than an hour against the monotonic one is not believed until a second reading, at
/// least half a second later, agrees: a wrong reading would push all later commit times into the future for good.
#[derive(Debug)]
pub(crate) struct CommitClock {
    last_commit: i64,
    /// The last believed reading: wall and monotonic.
    base: Option<(i64, u64)>,
    suspect: Option<(i64, u64)>,
    accept_steps: bool,
}

impl CommitClock {
    pub(crate) fn new(last_commit: i64, accept_steps: bool) -> Self {
        Self { last_commit, base: None, suspect: None, accept_steps }
    }

    /// The time of the next commit, µs.
    pub(crate) fn next(&mut self, clock: &dyn Clock) -> Result<i64> {
        let (wall, mono) = (clock.wall_us(), clock.monotonic_us());
        if let Some(base) = self.base
            && !self.accept_steps
            && stepped(base, (wall, mono))
        {
            match self.suspect {
                Some(suspect)
                    if mono.saturating_sub(suspect.1) >= AGREE_AFTER_US
                        && !stepped(suspect, (wall, mono)) => {}
                Some(suspect) if !stepped(suspect, (wall, mono)) => return Err(busy()),
                _ => {
                    self.suspect = Some((wall, mono));
                    return Err(busy());
                }
            }
        }
        self.base = Some((wall, mono));
        self.suspect = None;
        self.last_commit = match planted!("clock goes back") {
            true => wall,
            false => self.last_commit.max(wall),
        };
        Ok(self.last_commit)
    }
}

fn busy() -> Error {
    Error::Busy { reason: "clock", retry_after: Duration::from_micros(AGREE_AFTER_US) }
}

/// Whether the wall clock went forward much more than the monotonic one.
fn stepped(before: (i64, u64), now: (i64, u64)) -> bool {
    let elapsed = i64::try_from(now.1.saturating_sub(before.1)).unwrap_or(i64::MAX);
    now.0.saturating_sub(before.0.saturating_add(elapsed)) > CLOCK_STEP_MAX_US
}
