//! The simulated surroundings: a disk, a clock, random numbers and a job queue that are a function of one seed.
//!
//! A store that is opened on [`SimEnv::env`] runs on one thread, in simulated time, thousands of times a second, and everything
//! that can go wrong does, when the test says so. [`SimFs`] is the disk and the fault injector in one: it is a disk of its own,
//! not a wrapper that could forget to forward a call.
//!
//! ```
//! use recension::env::{Access, write_all_at};
//! use recension::sim::{CrashPolicy, SimEnv};
//!
//! let machine = SimEnv::new(42);
//! let env = machine.env();
//! let file = env.fs.open("/log".as_ref(), Access::CreateNew)?;
//! write_all_at(&*file, b"acknowledged", 0)?;
//! file.sync_data()?;
//! env.fs.sync_dir("/".as_ref())?; // without this, some crashes lose the name
//! write_all_at(&*file, b", and not", 12)?;
//!
//! let machine = machine.crash(&CrashPolicy::PARANOID);
//! assert!(machine.fs.read_file("/log")?.starts_with(b"acknowledged"));
//! assert!(file.len().is_err(), "what was open before the crash is dead");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What can go wrong, and how to switch it on
//!
//! | fault | by |
//! |---|---|
//! | process killed, or power cut, at any call | [`SimFs::kill_at`], [`SimFs::kill_at_change`], [`FaultKind::Kill`]; then [`SimFs::process_kill`] or [`SimFs::crash`] |
//! | unsynced writes lost, torn (4 KiB, 512 B, byte), reordered, an intermediate version kept, zeros or garbage in place | [`CrashPolicy`]: `grain`, `data`, `lost_as`, `keep` |
//! | length and data apart | [`CrashPolicy`]: `length` |
//! | names lost, a rename in half | [`CrashPolicy`]: `names`, `split_renames` |
//! | all images of one crash | [`SimFs::crash_space`], [`SimFs::fork`], [`SimFs::crash_with`] |
//! | bits rotting | [`FaultKind::BitRot`], [`SimFs::flip_bit`], [`Damage::FlipBit`] |
//! | misdirected reads and writes, lost writes, a bit that flips in the buffer of a write | [`FaultKind::SILENT`] |
//! | short calls, `EINTR`, stalls, calls that are always slow on one file | [`FaultKind::HARMLESS`] |
//! | `EIO` from every call, `ENOSPC` out of the blue | [`FaultKind::ERRORS`] |
//! | a failed sync that cleans the pages | [`FaultKind::SyncError`], seen after [`FaultKind::Evict`], [`SimFs::evict_all`] or a crash |
//! | a full disk, and room again | [`SimFs::set_capacity`] |
//! | tails cut or repeated, sectors zeroed or swapped, files missing or older | [`SimFs::damage`] |
//! | clocks jumping, standing still, going back | [`SimClock::set_faults`], [`SimClock::jump`], [`SimClock::set_step_us`] |
//! | another order of background work | the seed of [`SimJobs`] |
//! | another caller in the middle of a sync | [`SimFs::meanwhile`] |
//!
//! [`Faults`] has a rate for each kind; [`SimFs::fail_at`] and [`SimFs::fail_when`] aim. [`SimFs::stats`] says how often each
//! kind took effect, [`SimFs::violations`] what the engine did against the contracts of [`crate::env`] although the disk let it.
//!
//! # Invariants
//!
//! 1. What was written and synced through a call that said `Ok`, and whose name and directories were synced, survives every
//!    crash under every policy, unless a fault of [`FaultKind::SILENT`] or damage was switched on.
//! 2. A write never harms bytes outside its own range (powersafe overwrite), silent faults apart.
//! 3. Each draw for a call depends on the seed, the call's number and the kind of fault only, each crash on the seed, the call
//!    count and the policy: taking one fault away leaves the others where they are, as long as the calls are the same.
//! 4. After the machine went off nothing of that life works again: handles, file systems and job queues of before are dead, so
//!    no zombie writes to the next life's disk.
//!
//! Rejected: a layer over real files (slow, and what it does not know it cannot lose); cloning the disk at a sync (cost grows
//! with the file: pages are shared instead, a sync moves pointers); one stream of random numbers for all faults (no failing run
//! could be made smaller).

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
