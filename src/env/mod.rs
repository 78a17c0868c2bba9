//! The seams to the outside: files, time, randomness, background work.
//!
//! The engine touches the operating system only through these traits, so that the simulator ([`crate::sim`]) can stand in for
//! all of it and a whole run is a function of one seed. clippy's disallowed lists keep `std::fs`, clocks, threads and random
//! maps out of every other module.
//!
//! | trait | real | simulated |
//! |---|---|---|
//! | [`Fs`], [`File`] | [`OsFs`] | `sim::SimFs` |
//! | [`Clock`] | [`OsClock`] | `sim::SimClock` |
//! | [`Rng`] | [`OsRng`] | `sim::SimRng` |
//! | [`Jobs`] | [`ThreadJobs`] | `sim::SimJobs` |

mod clock;
mod fs;
mod io;
mod jobs;
mod map;
mod os_clock;
mod os_fs;
mod os_jobs;
mod os_memory;
mod os_rng;
mod rng;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use clock::Clock;
pub use fs::{Access, DirEntry, File, FileLock, Fs, LockMode};
pub use io::{read_at_most, read_exact_at, read_vec_at, write_all_at};
pub use jobs::{Job, JobClass, Jobs};
pub use os_clock::OsClock;
pub use os_fs::OsFs;
pub use os_jobs::ThreadJobs;
pub use os_memory::machine_memory;
pub use os_rng::OsRng;
pub use rng::Rng;

/// A hash map with a fixed hasher: the same inputs iterate in the same order on every run.
pub type HashMap<K, V> = hashbrown_shim::HashMap<K, V>;
/// A hash set with a fixed hasher.
pub type HashSet<K> = hashbrown_shim::HashSet<K>;

#[allow(clippy::disallowed_types, reason = "the hasher is fixed here, which is what the rule is about")]
mod hashbrown_shim {
    use std::hash::BuildHasherDefault;
    use xxhash_rust::xxh3::Xxh3Default;

    pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<Xxh3Default>>;
    pub(crate) type HashSet<K> = std::collections::HashSet<K, BuildHasherDefault<Xxh3Default>>;
}

/// Everything a store takes from its surroundings.
#[derive(Clone)]
pub struct Env {
    /// Files and directories.
    pub fs: Arc<dyn Fs>,
    /// Wall and monotonic time.
    pub clock: Arc<dyn Clock>,
    /// Salts, store ids, incarnations.
    pub rng: Arc<dyn Rng>,
    /// Background work.
    pub jobs: Arc<dyn Jobs>,
}

impl Env {
    /// The operating system's files, clocks and random numbers, and a pool of `threads` background threads, started when
    /// the first job arrives.
    pub fn os(threads: usize) -> Self {
        Self {
            fs: Arc::new(OsFs::new()),
            clock: Arc::new(OsClock::new()),
            rng: Arc::new(OsRng::new()),
            jobs: Arc::new(ThreadJobs::new(threads)),
        }
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Env")
    }
}
