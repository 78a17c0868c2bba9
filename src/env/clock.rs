//! Time.

use std::time::Duration;

/// Wall time, monotonic time and waiting.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since 1970-01-01 UTC. May jump in both directions.
    fn wall_us(&self) -> i64;
    /// Microseconds since some fixed moment. Never goes back.
    fn monotonic_us(&self) -> u64;
    /// Waits. The simulated clock advances instead.
    fn sleep(&self, duration: Duration);
}
