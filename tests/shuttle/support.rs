//! A simulated machine whose jobs are `shuttle` threads, and how schedules are explored.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use recension::env::{Job, JobClass, Jobs};
use recension::limits::Limits;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{AcceptClockSteps, ByteSize, Store, planted};

/// Every job is a thread. A delay is not kept: later is allowed, and earlier is what the scheduler may draw.
struct Threads;

impl Jobs for Threads {
    fn spawn(&self, _: JobClass, job: Job) {
        shuttle::thread::spawn(job);
    }

    fn spawn_after(&self, _: Duration, _: JobClass, job: Job) {
        shuttle::thread::spawn(job);
    }

    fn help(&self) -> Option<bool> {
        None
    }
}

pub struct Machine(SimEnv);

impl Machine {
    pub fn new(seed: u64) -> Self {
        let env = SimEnv::new(seed);
        env.fs.panic_on_violation();
        Self(env)
    }

    pub fn open(&self) -> Store {
        let mut env = self.0.env();
        env.jobs = Arc::new(Threads);
        Store::builder("/s.db")
            .limits(Limits::TINY)
            .accept_clock_steps(AcceptClockSteps::AtOnce)
            .memory(ByteSize(1 << 20))
            .env(env)
            .open()
            .expect("opened")
    }

    /// The machine after a power cut that took everything that was not synced.
    pub fn power_cut(&self) -> Self {
        Self(self.0.crash(&CrashPolicy::NOTHING))
    }

    /// The disk's own rules were kept (a violation panics), and a further open finds the store in order.
    pub fn nothing_wrong(&self) {
        self.open().close().expect("closed again");
    }
}

pub fn text(writer: u64, number: u64) -> Bytes {
    format!("writer {writer} wrote number {number}. ").repeat(8).into()
}

pub fn number_of(store: &Store, entity: &str) -> u64 {
    store.head(entity).expect("readable").number()
}

fn schedules(default: usize) -> usize {
    std::env::var("RECENSION_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Runs a test under drawn schedules: half of them by chance, half with few changes of priority, which finds what needs one thread to
/// be slow for long.
pub fn explore(test: fn()) {
    planted::select(None);
    let schedules = schedules(200);
    shuttle::check_random(test, schedules);
    shuttle::check_pct(test, schedules, 3);
}

/// Fails unless the test fails with this planted mistake.
pub fn bites(mistake: &str, test: fn()) {
    let index = planted::ALL.iter().position(|(name, _)| *name == mistake).expect("a planted mistake");
    planted::select(Some(index));
    let schedules = schedules(200) * 20;
    let clean = catch_unwind(AssertUnwindSafe(|| {
        shuttle::check_random(test, schedules / 2);
        shuttle::check_pct(test, schedules / 2, 3);
    }));
    planted::select(None);
    assert!(clean.is_err(), "{mistake}: not seen in {schedules} schedules");
}
