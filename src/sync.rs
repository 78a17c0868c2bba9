//! Locks, condition variables and atomics of the parts that threads race in: commit pipeline, views, caches' tokens, file life times.
//!
//! They are `parking_lot`'s and the standard library's. Under `--cfg shuttle` they are those of the `shuttle` scheduler instead, which runs a
//! test's threads one at a time and draws at each lock and atomic who goes on (`tests/shuttle.rs`, `tools/test-shuttle`). What is
//! never held across a point where threads can change places (the simulated disk, cache shards) needs no such stand-in.

#[cfg(not(shuttle))]
pub(crate) use parking_lot::{Condvar, Mutex, RwLock};
#[cfg(not(shuttle))]
pub(crate) use std::sync::atomic;

#[cfg(shuttle)]
mod stand_ins;
#[cfg(shuttle)]
pub(crate) use shuttle::sync::atomic;
#[cfg(shuttle)]
pub(crate) use stand_ins::{Condvar, Mutex, RwLock};

/// Lets other threads go first.
pub(crate) fn yield_now() {
    #[cfg(not(shuttle))]
    std::thread::yield_now();
    #[cfg(shuttle)]
    shuttle::thread::yield_now();
}
