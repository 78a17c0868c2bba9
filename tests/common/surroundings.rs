//! Where a store lives: a simulated machine, or a directory of the file system.
#![allow(clippy::disallowed_methods, reason = "waits for a real lock")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use recension::limits::Limits;
use recension::sim::{CrashPolicy, SimEnv};
use recension::{AcceptClockSteps, ByteSize, Error, IfMissing, Store, StoreBuilder};

use super::op::Death;

pub enum Surroundings {
    Sim(Box<SimEnv>),
    Os(tempfile::TempDir),
}

impl Surroundings {
    pub fn sim(seed: u64) -> Self {
        let env = SimEnv::new(seed);
        env.fs.panic_on_violation();
        Self::Sim(Box::new(env))
    }

    pub fn os() -> Self {
        Self::Os(tempfile::tempdir().expect("a temporary directory"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Sim(_) => Path::new("/").join(name),
            Self::Os(dir) => dir.path().join(name),
        }
    }

    pub fn builder(&self, name: &str) -> StoreBuilder {
        let builder =
            Store::builder(self.path(name)).limits(Limits::TINY).accept_clock_steps(AcceptClockSteps::AtOnce);
        match self {
            Self::Sim(env) => builder.env(env.env()).memory(ByteSize(1 << 20)),
            Self::Os(_) => builder.memory(ByteSize(1 << 20)),
        }
    }

    /// Opens the store, which must be there. A background thread of the one before may still be on its way out.
    pub fn open(&self, name: &str) -> recension::Result<Store> {
        let open = || self.builder(name).if_missing(IfMissing::Fail).open();
        for _ in 0..1000 {
            match open() {
                Err(Error::Locked { .. }) if !self.can_die() => std::thread::sleep(Duration::from_millis(5)),
                opened => return opened,
            }
        }
        open()
    }

    /// Whether the machine went off by itself.
    pub fn is_off(&self) -> bool {
        match self {
            Self::Sim(env) => env.fs.is_off(),
            Self::Os(_) => false,
        }
    }

    pub fn step_jobs(&self, n: u64) {
        if let Self::Sim(env) = self {
            env.jobs.run_until_idle(n);
        }
    }

    pub fn run_for(&self, time: Duration) {
        if let Self::Sim(env) = self {
            env.jobs.run_for(time);
        }
    }

    /// The machine goes off in the call that is so many changes away. `false` where that cannot be done.
    pub fn kill_in(&self, changes: u64) -> bool {
        match self {
            Self::Sim(env) => {
                env.fs.kill_at_change(env.fs.changes() + 1 + changes);
                true
            }
            Self::Os(_) => false,
        }
    }

    /// Off, and up again. Only simulated machines do that.
    pub fn die(&mut self, death: Death) {
        if let Self::Sim(env) = self {
            env.fs.power_off();
            **env = match death {
                Death::Process => env.process_kill(),
                Death::Lenient => env.crash(&CrashPolicy::LENIENT),
                Death::Posix => env.crash(&CrashPolicy::POSIX),
                Death::Strict => env.crash(&CrashPolicy::STRICT),
                Death::Paranoid => env.crash(&CrashPolicy::PARANOID),
                Death::Nothing => env.crash(&CrashPolicy::NOTHING),
            };
        }
    }

    pub fn can_die(&self) -> bool {
        matches!(self, Self::Sim(_))
    }
}
