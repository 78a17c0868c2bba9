//! Random numbers seeded by the operating system.
#![allow(
    clippy::disallowed_types,
    reason = "RandomState is the standard library's door to the system's random numbers"
)]

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Rng;

/// Unpredictable enough for salts and ids (not for keys): BLAKE3 over a seed from the operating system and a counter.
#[derive(Debug)]
pub struct OsRng {
    seed: [u64; 4],
    count: AtomicU64,
}

impl OsRng {
    /// Seeds from the operating system.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "reads the system's random numbers")]
    pub fn new() -> Self {
        let time = super::OsClock::new();
        let draw =
            |n: u64| RandomState::new().hash_one((n, super::Clock::wall_us(&time), std::process::id()));
        Self { seed: [draw(1), draw(2), draw(3), draw(4)], count: AtomicU64::new(0) }
    }
}

impl Rng for OsRng {
    fn fill(&self, buf: &mut [u8]) {
        let mut hasher = blake3::Hasher::new();
        for word in self.seed {
            hasher.update(&word.to_le_bytes());
        }
        hasher.update(&self.count.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        hasher.finalize_xof().fill(buf);
    }
}
