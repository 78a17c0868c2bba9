//! The one cache of a store, bounded in bytes.
//!
//! Decoded blocks of tables and filters, directories and contents of segments: whatever is read from a file and decoded once
//! lives here and nowhere else, so that one number bounds the memory of all of it.
//!
//! 1. **Everything in it is immutable.** A key names a place in a file whose bytes never change and whose number is never given
//!    out again, so an entry cannot go stale and there is no invalidation protocol. Anything that can change (the head of an
//!    entity, say) may be put here only as a fact that stays true: "at sequence S it was this", with S in the key or checked by
//!    whoever reads it.
//! 2. One load at a time for a key: others that want it wait for that load (single flight).
//! 3. Errors are not cached: the next caller tries again.
//! 4. The same calls in the same order have the same effects on every run: fixed hasher, fixed number of shards.
//!
//! An entry larger than a shard is handed out but not kept. [`Cache::remove_file`] is for the memory, not for correctness: a
//! load that was under way meanwhile may put its entry back, and it will age out.

use std::any::Any;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::sync::{DefaultLifecycle, GuardResult};
use quick_cache::{OptionsBuilder, Weighter};

use crate::Result;

#[cfg(test)]
mod tests;

/// What kind of thing an entry is. Part of the key, and what the counters are kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum CacheKind {
    /// A table's filter.
    Filter = 0,
    /// A table's block index.
    Index = 1,
    /// A block of entities.
    Entities = 2,
    /// A block of hot columns.
    Hot = 3,
    /// A block of cold fields.
    Cold = 4,
    /// A block of a plain table.
    Plain = 5,
    /// A block of a segment's directory.
    Directory = 6,
    /// A decoded content.
    Content = 7,
    /// A head as of a sequence number; the file is the entity's hash.
    Head = 8,
    /// Locators of a segment or pack.
    Locator = 9,
}

impl CacheKind {
    /// How many kinds there are.
    pub const COUNT: usize = 10;
}

/// Names an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CacheKey {
    /// Number of the file it was read from.
    pub file: u64,
    /// Offset in the file, or an ordinal, as the kind has it.
    pub at: u64,
    /// What it is.
    pub kind: CacheKind,
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.file.rotate_left(8) ^ self.kind as u64);
        state.write_u64(self.at);
    }
}

/// Something that can be cached.
pub trait Cached: Any + Send + Sync {
    /// How many bytes of memory it holds, roughly. Must not change.
    fn weight(&self) -> usize;
}

impl Cached for Bytes {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// Bytes of bookkeeping per entry, counted into its weight: key, pointers, reference counts, slot in the slab and the map.
const ENTRY_OVERHEAD: usize = 128;
/// What an entry is taken to weigh when the tables behind the cache are sized.
const ENTRY_WEIGHT_TYPICAL: u64 = 16 << 10;
/// A shard is not made smaller than this, so that a content of 16 MiB can be kept where the cache is large enough.
const SHARD_BYTES_MIN: u64 = 32 << 20;
const SHARDS_MAX: u64 = 16;

#[derive(Clone)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    weight: u64,
}

#[derive(Clone)]
struct Weigh;

impl Weighter<CacheKey, Entry> for Weigh {
    fn weight(&self, _: &CacheKey, entry: &Entry) -> u64 {
        entry.weight
    }
}

/// Mixes the two words of a key. Keys are file numbers and offsets of our own making, so it need not withstand an attacker.
#[derive(Clone, Copy, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, n: u64) {
        let wide =
            u128::from(self.0 ^ n ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xd6e8_feb8_6659_fd93_a076_1d64);
        self.0 = (wide as u64) ^ (wide >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Inner = quick_cache::sync::Cache<
    CacheKey,
    Entry,
    Weigh,
    BuildHasherDefault<KeyHasher>,
    DefaultLifecycle<CacheKey, Entry>,
>;

/// See the module's opening words.
pub struct Cache {
    inner: Inner,
    hits: [AtomicU64; CacheKind::COUNT],
    misses: [AtomicU64; CacheKind::COUNT],
    groups: AtomicU64,
}

/// What a cache has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Most bytes it holds.
    pub capacity: u64,
    /// Bytes it holds now.
    pub used: u64,
    /// Entries it holds now.
    pub entries: u64,
    /// Look-ups that found their entry.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
}

impl Cache {
    /// A cache of at most `capacity` bytes. With 0 it keeps nothing, and every look-up loads.
    pub fn new(capacity: u64) -> Self {
        let wanted = (capacity / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let shards = 1_u64 << wanted.ilog2();
        // quick_cache makes fewer shards than asked for unless each is expected to hold 32 entries.
        let items = (capacity / ENTRY_WEIGHT_TYPICAL).max(32 * shards);
        let mut options = OptionsBuilder::new();
        options
            .shards(usize::try_from(shards).unwrap_or(1))
            .estimated_items_capacity(usize::try_from(items).unwrap_or(usize::MAX))
            .weight_capacity(capacity);
        // The builder fails only for a value that was not given, and all are.
        #[allow(clippy::expect_used, reason = "not about input: the line above gives every required value")]
        let options = options.build().expect("all required options are given");
        let inner =
            Inner::with_options(options, Weigh, BuildHasherDefault::default(), DefaultLifecycle::default());
        Self { inner, hits: Default::default(), misses: Default::default(), groups: AtomicU64::new(0) }
    }

    /// Counts a group of contents that was decoded since it was not here.
    pub fn count_group(&self) {
        self.groups.fetch_add(1, Ordering::Relaxed);
    }

    /// How many groups of contents were decoded since they were not here.
    pub fn groups_decoded(&self) -> u64 {
        self.groups.load(Ordering::Relaxed)
    }

    /// The entry, if it is there.
    pub fn get<T: Cached>(&self, key: CacheKey) -> Option<Arc<T>> {
        let found = self.inner.get(&key).and_then(|entry| entry.value.downcast().ok());
        self.count(key.kind, found.is_some());
        found
    }

    /// The entry; `load` makes it if it is not there.
    ///
    /// # Errors
    /// Those of `load`; they are not remembered.
    pub fn get_or_load<T: Cached>(&self, key: CacheKey, load: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        match self.inner.get_value_or_guard(&key, None) {
            GuardResult::Value(entry) => {
                if let Ok(value) = entry.value.downcast() {
                    self.count(key.kind, true);
                    return Ok(value);
                }
                // Two types under one key: a mistake in the engine, but no reason for a wrong answer.
                debug_assert!(false, "{key:?} is cached as something else");
                self.count(key.kind, false);
                Ok(Arc::new(load()?))
            }
            GuardResult::Guard(guard) => {
                self.count(key.kind, false);
                let value = Arc::new(load()?);
                // Refused if it was removed meanwhile, or is too large: then it is just not kept.
                let _ = guard.insert(Self::entry(&value));
                Ok(value)
            }
            // Not with an unlimited wait.
            GuardResult::Timeout => Ok(Arc::new(load()?)),
        }
    }

    /// The entry; `load` makes it if it is not there, and it is *not* kept then. For jobs that read a whole file once.
    ///
    /// # Errors
    /// Those of `load`.
    pub fn get_or_pass<T: Cached>(&self, key: CacheKey, load: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        match self.get(key) {
            Some(value) => Ok(value),
            None => Ok(Arc::new(load()?)),
        }
    }

    /// Puts an entry in that was made elsewhere (a content that was just written, say).
    pub fn insert<T: Cached>(&self, key: CacheKey, value: &Arc<T>) {
        self.inner.insert(key, Self::entry(value));
    }

    /// Drops an entry.
    pub fn remove(&self, key: CacheKey) {
        let _ = self.inner.remove(&key);
    }

    /// Drops what belongs to a file that is gone. Walks the whole cache: once per removed file, not per read.
    pub fn remove_file(&self, number: u64) {
        self.inner.retain(|key, _| key.file != number);
    }

    /// Most bytes it holds.
    pub fn capacity(&self) -> u64 {
        self.inner.capacity()
    }

    /// Bytes it holds now.
    pub fn used(&self) -> u64 {
        self.inner.weight()
    }

    /// Everything there is to say, over all kinds.
    pub fn stats(&self) -> CacheStats {
        let sum = |all: &[AtomicU64]| all.iter().map(|n| n.load(Ordering::Relaxed)).sum();
        CacheStats {
            capacity: self.capacity(),
            used: self.used(),
            entries: self.inner.len() as u64,
            hits: sum(&self.hits),
            misses: sum(&self.misses),
        }
    }

    /// Hits and misses of one kind.
    pub fn counts(&self, kind: CacheKind) -> (u64, u64) {
        let of = |all: &[AtomicU64]| all.get(kind as usize).map_or(0, |n| n.load(Ordering::Relaxed));
        (of(&self.hits), of(&self.misses))
    }

    fn entry<T: Cached>(value: &Arc<T>) -> Entry {
        Entry { value: value.clone(), weight: value.weight().saturating_add(ENTRY_OVERHEAD) as u64 }
    }

    fn count(&self, kind: CacheKind, hit: bool) {
        let counters = if hit { &self.hits } else { &self.misses };
        if let Some(counter) = counters.get(kind as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stats().fmt(f)
    }
}
