//! Heads in the store's cache.
//!
//! An entry says: at sequence `at` this row was the head of this entity. It still is if nothing was given out to the entity's
//! bucket since, which one atomic load tells (`Inner::last_sequence`). So an entry needs no invalidation: a stale one is seen
//! to be stale when it is read. The check is made on every hit, after the entry was taken.
//!
//! | rule | why | where |
//! |---|---|---|
//! | an entry is used only if `last_sequence[bucket] <= at` | a newer head may exist | [`HeadCache::get`] |
//! | `at` was read from `published` before the look-up | the row was the head at that point | the caller of [`HeadCache::put`] |
//!
//! A read of a small content is bound by cache misses: at 1 KiB, a warm `pread` costs as much as seven of them. So an entry begins
//! with its name, and a content that was read once through a head is kept *in* the head's entry instead of beside
//! it: one look-up in a hash table for both (`benches/read_heads`).

use std::sync::Arc;

use bytes::Bytes;

use super::small::{small, weight};
use crate::Result;
use crate::cache::{Cache, CacheKey, CacheKind, Cached};
use crate::model::{Entity, Row};

/// Contents up to this many bytes are kept with the head. Larger ones have an entry of their own, which is loaded once however many
/// threads want it.
const CONTENT_MAX: u32 = 64 << 10;
/// Names up to this many bytes stand in the entry itself: its counts and its name are 64 bytes.
const NAME_MAX: usize = 47;

/// A revision in memory: what every handle to it shares. In the cache, a head as it was at a sequence number.
#[repr(C)]
pub(crate) struct HeadEntry {
    /// Length of the name if it stands in `name`, else 255.
    name_len: u8,
    name: [u8; NAME_MAX],
    /// It was the head at this sequence number; 0 if that is not known.
    pub(crate) at: u64,
    content: Option<Bytes>,
    pub(crate) row: Row,
    pub(crate) entity: Entity,
}

impl HeadEntry {
    /// A revision that need not be a head.
    pub(crate) fn new(entity: Entity, row: Row) -> Self {
        Self { name_len: u8::MAX, name: [0; NAME_MAX], at: 0, content: None, row, entity }
    }

    /// A head, to be kept: shares no memory with the block that the row came from.
    pub(crate) fn head(entity: &[u8], row: Row, at: u64) -> Result<Self> {
        let mut bytes = Vec::with_capacity(entity.len().saturating_add(row.cold.len()));
        bytes.extend_from_slice(entity);
        bytes.extend_from_slice(&row.cold);
        let mut cold = Bytes::from(bytes);
        let entity = Entity::from_bytes(cold.split_to(entity.len()))?;
        let mut head = Self { at, ..Self::new(entity, Row { cold, ..row }) };
        head.set_name();
        Ok(head)
    }

    fn set_name(&mut self) {
        let bytes = self.entity.as_bytes();
        if let Some(name) = self.name.get_mut(..bytes.len()) {
            name.copy_from_slice(bytes);
            self.name_len = bytes.len() as u8;
        }
    }

    /// The content, if it is kept here.
    pub(crate) fn content(&self) -> Option<&Bytes> {
        self.content.as_ref()
    }

    /// Whether its content is to be kept here once it was read.
    pub(crate) fn wants_content(&self) -> bool {
        self.at > 0
            && self.content.is_none()
            && self.row.content.is_some_and(|content| content.len <= CONTENT_MAX)
    }

    /// The same head with its content. Another entry: what an entry weighs never changes.
    pub(crate) fn with_content(&self, content: &Bytes) -> Self {
        Self {
            name_len: self.name_len,
            name: self.name,
            at: self.at,
            content: Some(small(content)),
            row: self.row.clone(),
            entity: self.entity.clone(),
        }
    }

    fn is_of(&self, entity: &[u8]) -> bool {
        match self.name.get(..usize::from(self.name_len)) {
            Some(name) => name == entity,
            None => self.entity.as_bytes() == entity,
        }
    }
}

/// What a byte buffer costs besides its bytes: the shared header, the allocator's share of both.
const BUFFER: usize = 56;

impl Cached for HeadEntry {
    fn weight(&self) -> usize {
        let content = self.content.as_ref().map_or(0, |content| weight(content) + BUFFER);
        let bytes = self.entity.as_bytes().len().saturating_add(self.row.cold.len());
        (size_of::<Self>() + BUFFER).saturating_add(bytes).saturating_add(content)
    }
}

/// Heads in the store's one cache, by the entity's hash.
pub(crate) struct HeadCache(Arc<Cache>);

impl HeadCache {
    pub(crate) fn new(cache: Arc<Cache>) -> Self {
        Self(cache)
    }

    /// The head, if it is here and still the head. `last_sequence` is read after the entry was taken.
    pub(crate) fn get(
        &self,
        entity: &[u8],
        hash: u64,
        last_sequence: impl FnOnce() -> u64,
    ) -> Option<Arc<HeadEntry>> {
        let entry = self.0.get::<HeadEntry>(key(hash))?;
        let current = last_sequence() <= entry.at || planted!("stale head cache hit");
        (entry.is_of(entity) && current).then_some(entry)
    }

    pub(crate) fn put(&self, hash: u64, entry: &Arc<HeadEntry>) {
        self.0.insert(key(hash), entry);
    }
}

fn key(hash: u64) -> CacheKey {
    CacheKey { file: hash, at: 0, kind: CacheKind::Head }
}
