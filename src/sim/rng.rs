//! Random numbers that are a function of their seed, for ever.
//!
//! The generator is xoshiro256** (Blackman, Vigna 2018), its state filled by splitmix64 (Steele, Lea, Flood 2014). Both are
//! written out here so that a seed that failed years ago still means the same run: a dependency may change its streams, this
//! file may not (a test pins the first numbers).

use std::sync::Arc;

use parking_lot::Mutex;

use crate::env::Rng;

/// A stateless draw: spreads `a` and `b` over 64 bits. Decisions that are drawn like this (by seed, call number and kind) do not
/// move when another decision is added or taken away, so a failing run can be shrunk.
#[must_use]
pub fn mix(a: u64, b: u64) -> u64 {
    splitmix(a ^ splitmix(b))
}

/// One output of splitmix64 for the state `state`.
fn splitmix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A seeded generator, owned by whoever draws from it.
#[derive(Clone, Debug)]
pub struct Prng {
    s: [u64; 4],
}

impl Prng {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let at = |n: u64| splitmix(seed.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Self { s: [at(0), at(1), at(2), at(3)] }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = &mut self.s;
        let out = s1.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let t = *s1 << 17;
        *s2 ^= *s0;
        *s3 ^= *s1;
        *s1 ^= *s2;
        *s0 ^= *s3;
        *s2 ^= t;
        *s3 = s3.rotate_left(45);
        out
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        // Multiply and shift: the bias is below 2^-64 × n, nothing that a simulation could see.
        u64::try_from((u128::from(self.next_u64()) * u128::from(n)) >> 64).unwrap_or_default()
    }

    /// `true` once in `n` on average; never for 0.
    pub fn one_in(&mut self, n: u64) -> bool {
        n != 0 && self.below(n) == 0
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(usize::try_from(self.below(items.len() as u64)).ok()?)
    }

    /// An independent stream, named by a label.
    #[must_use]
    pub fn fork(&mut self, label: u64) -> Self {
        Self::new(mix(self.next_u64(), label))
    }

    /// Fills the buffer.
    pub fn fill(&mut self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            let word = self.next_u64().to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(word) {
                *to = from;
            }
        }
    }
}

/// A [`Prng`] that can be shared: the simulated [`Rng`].
#[derive(Clone, Debug)]
pub struct SimRng(Arc<Mutex<Prng>>);

impl SimRng {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Prng::new(seed))))
    }

    pub(super) fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.0.lock().clone())))
    }
}

impl Rng for SimRng {
    fn fill(&self, buf: &mut [u8]) {
        self.0.lock().fill(buf);
    }
}
