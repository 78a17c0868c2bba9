//! The simulated surroundings.

mod call;
mod clock;
mod content;
mod control;
mod crash;
mod damage;
mod dir;
mod disk;
mod env;
mod fault;
mod file;
mod fs;
mod inode;
mod jobs;
mod pieces;
mod policy;
mod rng;
mod tally;
mod trace;
mod violation;

pub use call::{MachineOff, Rule, is_machine_off};
pub use clock::SimClock;
pub use control::Snapshot;
pub use damage::Damage;
pub use env::SimEnv;
pub use fault::{FaultKind, FaultStats, Faults, Rate};
pub use fs::SimFs;
pub use jobs::SimJobs;
pub use policy::{CrashChoice, CrashPolicy, CrashSpace, Grain, LengthRule, LostAs, Order};
pub use rng::{Prng, SimRng, mix};
pub use trace::{Op, TraceEntry};
pub use violation::{Violation, ViolationKind};
