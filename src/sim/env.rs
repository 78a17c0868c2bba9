//! Everything simulated, from one seed.

use std::sync::Arc;

use super::clock::SimClock;
use super::fs::SimFs;
use super::jobs::SimJobs;
use super::policy::CrashPolicy;
use super::rng::{SimRng, mix};
use crate::env::Env;

/// A simulated machine while it is up. A crash gives the next one: the same disk, clock and random numbers, an empty job queue.
#[derive(Clone)]
pub struct SimEnv {
    /// The disk.
    pub fs: SimFs,
    /// The clock.
    pub clock: SimClock,
    /// The job queue.
    pub jobs: SimJobs,
    /// The random numbers.
    pub rng: SimRng,
    seed: u64,
}

/// Simulated time of a call of the file system, µs.
const LATENCY_US: u64 = 20;

impl SimEnv {
    /// A machine with an empty disk. Everything that happens on it is a function of `seed` and of what is done.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let fs = SimFs::new(mix(seed, 1));
        let clock = SimClock::with_stats(mix(seed, 2), fs.stats());
        fs.set_clock(&clock, LATENCY_US);
        let jobs = SimJobs::new(mix(seed, 3), &clock);
        Self { fs, clock, jobs, rng: SimRng::new(mix(seed, 4)), seed }
    }

    /// What a store is opened with.
    #[must_use]
    pub fn env(&self) -> Env {
        Env {
            fs: Arc::new(self.fs.clone()),
            clock: Arc::new(self.clock.clone()),
            rng: Arc::new(self.rng.clone()),
            jobs: Arc::new(self.jobs.clone()),
        }
    }

    /// A power cut: see [`SimFs::crash`]. Queued jobs never run.
    #[must_use = "the old machine is dead"]
    pub fn crash(&self, policy: &CrashPolicy) -> Self {
        self.on(self.fs.crash(policy))
    }

    /// A power cut with given choices: see [`SimFs::crash_with`].
    #[must_use = "the old machine is dead"]
    pub fn crash_with(&self, policy: &CrashPolicy, choices: &[u32]) -> Self {
        self.on(self.fs.crash_with(policy, choices))
    }

    /// Only the process dies: see [`SimFs::process_kill`].
    #[must_use = "the old machine is dead"]
    pub fn process_kill(&self) -> Self {
        self.on(self.fs.process_kill())
    }

    /// Another machine that is as this one is now, pending changes and all, but for its jobs, and that shares nothing with it
    /// (but the count of faults). It is off: crash it. What it does then depends on the crash alone, so that many crashes of one
    /// moment can be tried, in any order.
    #[must_use]
    pub fn fork(&self) -> Self {
        let (fs, clock, rng) = (self.fs.fork(), self.clock.fork(), self.rng.fork());
        fs.set_clock(&clock, LATENCY_US);
        let jobs = SimJobs::new(0, &clock);
        jobs.close();
        Self { fs, clock, jobs, rng, seed: self.seed }
    }

    fn on(&self, fs: SimFs) -> Self {
        self.jobs.close();
        let jobs = SimJobs::new(mix(mix(self.seed, 3), fs.calls()), &self.clock);
        Self { fs, clock: self.clock.clone(), jobs, rng: self.rng.clone(), seed: self.seed }
    }
}

impl std::fmt::Debug for SimEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimEnv (seed {})", self.seed)
    }
}
