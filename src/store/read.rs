//! Reading by name: heads, revisions, entities as of a point.

use crate::sync::atomic::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use super::head_cache::HeadEntry;
use super::heads::HeadInfo;
use super::inner::Inner;
use super::prepare::Prepared;
use super::revision::{Head, Revision};
use crate::cache::{CacheKey, CacheKind};
use crate::index::annotations::{Gate, Purge, Visibility};
use crate::index::entity_hash;
use crate::model::{Bound, ContentRef, Entity, Row};
use crate::{Error, Result};

impl Inner {
    /// The head of an entity as published now.
    pub(crate) fn head(self: &Arc<Self>, entity: &[u8]) -> Result<Head> {
        let hash = entity_hash(entity);
        let last = || self.bucket(hash).load(Ordering::Acquire);
        if let Some(entry) = self.heads.get(entity, hash, last) {
            probe!("head cache: hit");
            return self.head_of(entity, Some(entry));
        }
        let at = self.published();
        let Some(row) = self.view.load().find(entity, &Bound::at(at))? else {
            return self.head_of(entity, None);
        };
        let careless = planted!("stale head cache fill");
        let entry = Arc::new(HeadEntry::head(entity, row, if careless { u64::MAX } else { at })?);
        // Purges and other annotations move the bucket too, so what is kept was the head at `at` and still is.
        if last() <= at || careless {
            self.heads.put(hash, &entry);
        }
        self.head_of(entity, Some(entry))
    }

    /// What the newest row inside a bound makes of an entity. Every read of a head comes by here: the gate is current whatever the bound.
    fn head_of(self: &Arc<Self>, entity: &[u8], entry: Option<Arc<HeadEntry>>) -> Result<Head> {
        if let Some(entry) = entry
            && let Some(revision) = Revision::of_entry(self, entry)?
        {
            return Ok(Head::of(revision));
        }
        Ok(match self.purge(entity)? {
            Some(purge) => Head::Purged(purge.last),
            None => Head::Absent,
        })
    }

    /// The head of an entity inside a bound.
    pub(crate) fn head_at(self: &Arc<Self>, entity: &[u8], bound: &Bound) -> Result<Head> {
        let entry = match self.view.load().find(entity, bound)? {
            Some(row) => Some(Arc::new(HeadEntry::new(Entity::new(entity)?, row))),
            None => None,
        };
        self.head_of(entity, entry)
    }

    /// The newest row of an entity inside a bound, whatever may be shown of it.
    pub(crate) fn find_row(&self, entity: &Entity, bound: &Bound) -> Result<Option<Row>> {
        self.view.load().find(entity.as_bytes(), bound)
    }

    /// The revision with the number that the bound names.
    pub(crate) fn revision_at(self: &Arc<Self>, entity: &[u8], bound: &Bound) -> Result<Option<Revision>> {
        match self.view.load().find(entity, bound)? {
            Some(row) if row.number == bound.number => Revision::new(self, Entity::new(entity)?, row),
            _ => Ok(None),
        }
    }

    /// The heads that a batch is about, as published at `at`.
    pub(crate) fn look_up(&self, batch: &Prepared, at: u64) -> Result<Vec<HeadInfo>> {
        let mut heads = Vec::with_capacity(batch.entities.len());
        for (entity, hash) in &batch.entities {
            let last = || self.bucket(*hash).load(Ordering::Acquire);
            let cached =
                self.heads.get(entity.as_bytes(), *hash, last).filter(|entry| entry.row.sequence <= at);
            let row = match cached {
                Some(entry) => Some(entry.row.clone()),
                None => self.view.load().find(entity.as_bytes(), &Bound::at(at))?,
            };
            let purge = self.purge(entity.as_bytes())?;
            heads.push(match (row, purge) {
                (Some(row), purge) if purge.is_none_or(|purge| row.number > purge.last) => HeadInfo::of(&row),
                (_, Some(purge)) => HeadInfo::purged(purge),
                _ => HeadInfo::ABSENT,
            });
        }
        Ok(heads)
    }

    /// What may be shown of a revision now: the one gate that every read passes.
    pub(crate) fn visibility(&self, entity: &Entity, number: u64) -> Result<Visibility> {
        // Set before the first annotation is published: whoever could know of one sees it.
        if !self.annotated.load(Ordering::Acquire) {
            return Ok(Visibility::default());
        }
        self.view.load().visibility(&self.store, entity, number)
    }

    /// The same for many revisions of an entity.
    pub(crate) fn gate(&self, entity: &Entity) -> Result<Gate> {
        if !self.annotated.load(Ordering::Acquire) {
            return Ok(Gate::default());
        }
        self.view.load().gate(&self.store, entity)
    }

    /// The purge of an entity, if there was one.
    pub(crate) fn purge(&self, entity: &[u8]) -> Result<Option<Purge>> {
        if !self.annotated.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.view.load().purge(&self.store, entity)
    }

    /// The content of a revision. That of a head is kept with the head unless it is large, any other in the cache.
    pub(crate) fn content_of(
        &self,
        entry: &HeadEntry,
        reference: ContentRef,
        whose: impl Fn() -> String,
    ) -> Result<Bytes> {
        if !entry.wants_content() {
            return self.read_content(&entry.entity, reference, whose);
        }
        let key = content_key(reference);
        let content = self.cache.get_or_pass(key, || {
            self.values.load().file(entry.entity.as_bytes(), reference.address)?.read_alone(reference.address)
        })?;
        let content = self.check_content(Bytes::clone(&content), reference, whose)?;
        let hash = entity_hash(entry.entity.as_bytes());
        if self.bucket(hash).load(Ordering::Acquire) <= entry.at {
            self.heads.put(hash, &Arc::new(entry.with_content(&content)));
        }
        Ok(content)
    }

    /// The bytes of a content, through the cache: by itself, or with its neighbours in a group.
    pub(crate) fn read_content(
        &self,
        entity: &Entity,
        reference: ContentRef,
        whose: impl Fn() -> String,
    ) -> Result<Bytes> {
        let values = self.values.load();
        let file = values.file(entity.as_bytes(), reference.address)?;
        if file.keeps_contents() {
            return self.check_content(file.read_content(reference.address)?, reference, whose);
        }
        let key = content_key(reference);
        let content = self.cache.get_or_load(key, || file.read_content(reference.address))?;
        self.check_content(Bytes::clone(&content), reference, whose)
    }

    /// The length must be that of the index row; the checksums were verified when it was read.
    fn check_content(
        &self,
        bytes: Bytes,
        reference: ContentRef,
        whose: impl Fn() -> String,
    ) -> Result<Bytes> {
        if bytes.len() as u64 != u64::from(reference.len) {
            return Err(Error::corrupt(
                &self.path,
                0,
                format!("a content of {} bytes at sequence {}", reference.len, reference.address.sequence),
                format!("{} bytes", bytes.len()),
                whose(),
            ));
        }
        Ok(bytes)
    }
}

fn content_key(reference: ContentRef) -> CacheKey {
    CacheKey {
        file: reference.address.sequence,
        at: if planted!("cache key without slot") { 0 } else { u64::from(reference.address.slot) },
        kind: CacheKind::Content,
    }
}
