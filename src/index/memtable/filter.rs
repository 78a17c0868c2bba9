//! Which entities may be in a memtable.
//!
//! A look-up in a skip list costs about twenty cache misses; most look-ups of a store with much history are of entities that
//! are not in the memtable. This is a Bloom filter of 512-bit blocks (one cache line: a look-up is one miss), eight bits an
//! entity, one in each word of the block.
//!
//! The writer sets the bits *before* it inserts the row, both before the row's sequence is published with a release store. A
//! reader that looks for a published row has loaded that watermark, so it sees the bits; relaxed access is enough.

use std::sync::atomic::{AtomicU64, Ordering};

const WORDS: usize = 8;

pub(super) struct EntityFilter {
    words: Box<[AtomicU64]>,
    blocks: u64,
}

impl EntityFilter {
    /// For about `entities` entities: 12 bits each, which is less than 1 % false positives.
    pub(super) fn new(entities: usize) -> Self {
        let blocks = entities.saturating_mul(12).div_ceil(512).max(1);
        let words = (0..blocks.saturating_mul(WORDS)).map(|_| AtomicU64::new(0)).collect();
        Self { words, blocks: blocks as u64 }
    }

    /// Memory, bytes.
    pub(super) fn bytes(&self) -> usize {
        self.words.len().saturating_mul(8)
    }

    pub(super) fn insert(&self, hash: u64) {
        for (word, bit) in self.block(hash).iter().zip(bits(hash)) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.block(hash).iter().zip(bits(hash)).all(|(word, bit)| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn block(&self, hash: u64) -> &[AtomicU64] {
        // The high half of the 128-bit product: a block by the hash's upper bits without a division.
        let block = ((u128::from(hash) * u128::from(self.blocks)) >> 64) as usize;
        self.words.get(block * WORDS..(block + 1) * WORDS).unwrap_or_default()
    }
}

/// One bit for each word, from the hash remixed so that they do not depend on the block's number.
fn bits(hash: u64) -> impl Iterator<Item = u64> {
    let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..WORDS as u32).map(move |n| 1_u64 << (mixed.rotate_left(n * 7) & 63))
}
