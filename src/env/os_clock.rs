//! The operating system's clocks.
#![allow(clippy::disallowed_methods, reason = "this is what stands behind env::Clock")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Clock;

/// Real time.
#[derive(Debug)]
pub struct OsClock {
    start: Instant,
}

impl OsClock {
    /// The clocks of this machine.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "reads the clock")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for OsClock {
    fn wall_us(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, i64::wrapping_neg),
        }
    }

    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
