//! The cache of heads.
//!
//! An entry says: at sequence `at` this row was the head of this entity. It still is if nothing was given out to the entity's
//! bucket since, which one atomic load tells (`Inner::last_sequence`). So an entry needs no invalidation: a stale one is seen
//! to be stale when it is read. The check is made on every hit, after the entry was taken.
//!
//! | rule | why | where |
//! |---|---|---|
//! | an entry is used only if `last_sequence[bucket] <= at` | a newer head may exist | [`HeadCache::get`] |
//! | `at` was read from `published` before the look-up | the row was the head at that point | the caller of [`HeadCache::put`] |

use std::hash::BuildHasherDefault;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use xxhash_rust::xxh3::Xxh3Default;

use crate::model::{Entity, Row};

/// A head as it was at a sequence number.
pub(crate) struct HeadEntry {
    pub(crate) entity: Entity,
    pub(crate) row: Row,
    pub(crate) at: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<u64, Arc<HeadEntry>> for Weight {
    fn weight(&self, _: &u64, entry: &Arc<HeadEntry>) -> u64 {
        // The entry with its counts, the two byte buffers' headers, and the cache's own node.
        280 + entry.entity.as_bytes().len() as u64 + entry.row.cold.len() as u64
    }
}

type Hasher = BuildHasherDefault<Xxh3Default>;

pub(crate) struct HeadCache {
    cache: Cache<u64, Arc<HeadEntry>, Weight, Hasher>,
}

impl HeadCache {
    pub(crate) fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 300).unwrap_or(usize::MAX).max(16);
        Self { cache: Cache::with(items, bytes, Weight, Hasher::default(), DefaultLifecycle::default()) }
    }

    /// The head, if it is here and still the head. `last_sequence` is read after the entry was taken.
    pub(crate) fn get(
        &self,
        entity: &[u8],
        hash: u64,
        last_sequence: impl FnOnce() -> u64,
    ) -> Option<Arc<HeadEntry>> {
        let entry = self.cache.get(&hash)?;
        (entry.entity.as_bytes() == entity && (last_sequence() <= entry.at || planted!("stale head cache hit"))).then_some(entry)
    }

    pub(crate) fn put(&self, hash: u64, entry: Arc<HeadEntry>) {
        self.cache.insert(hash, entry);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.cache.weight()
    }
}
