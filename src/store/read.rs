//! Reading by name: heads, revisions, entities as of a point.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::head_cache::HeadEntry;
use super::heads::HeadInfo;
use super::inner::Inner;
use super::prepare::Prepared;
use super::revision::{Head, Revision};
use crate::cache::{CacheKey, CacheKind};
use crate::index::entity_hash;
use crate::model::{Bound, ContentRef, Entity, FieldMask, Row};
use crate::{Error, Result};

impl Inner {
    /// The head of an entity as published now.
    pub(crate) fn head(self: &Arc<Self>, entity: &[u8]) -> Result<Head> {
        let hash = entity_hash(entity);
        let entry = self.head_entry(entity, hash)?;
        match entry {
            None => Ok(Head::Absent),
            Some(entry) => Ok(Head::of(Revision::of_entry(self, entry)?)),
        }
    }

    /// The head through the cache. The answer was right at some moment during the call.
    fn head_entry(&self, entity: &[u8], hash: u64) -> Result<Option<Arc<HeadEntry>>> {
        let last = || self.bucket(hash).load(Ordering::Acquire);
        if let Some(entry) = self.heads.get(entity, hash, last) {
            probe!("head cache: hit");
            return Ok(Some(entry));
        }
        let at = self.published();
        let Some(row) = self.view.load().find(entity, &Bound::at(at))? else { return Ok(None) };
        let careless = planted!("stale head cache fill");
        let entry = Arc::new(HeadEntry::head(entity, row, if careless { u64::MAX } else { at })?);
        if last() <= at || careless {
            self.heads.put(hash, &entry);
        }
        Ok(Some(entry))
    }

    /// The newest row of an entity inside a bound.
    pub(crate) fn find_row(&self, entity: &Entity, bound: &Bound) -> Result<Option<Row>> {
        self.view.load().find(entity.as_bytes(), bound)
    }

    /// The same as a revision.
    pub(crate) fn find(self: &Arc<Self>, entity: &[u8], bound: &Bound) -> Result<Option<Revision>> {
        match self.view.load().find(entity, bound)? {
            Some(row) => Revision::new(self, Entity::new(entity)?, row).map(Some),
            None => Ok(None),
        }
    }

    /// The heads that a batch is about, as published at `at`.
    pub(crate) fn look_up(&self, batch: &Prepared, at: u64) -> Result<Vec<HeadInfo>> {
        let mut heads = Vec::with_capacity(batch.entities.len());
        for (entity, hash) in &batch.entities {
            let last = || self.bucket(*hash).load(Ordering::Acquire);
            let cached =
                self.heads.get(entity.as_bytes(), *hash, last).filter(|entry| entry.row.sequence <= at);
            let head = match cached {
                Some(entry) => HeadInfo::of(&entry.row),
                None => match self.view.load().find(entity.as_bytes(), &Bound::at(at))? {
                    Some(row) => HeadInfo::of(&row),
                    None => HeadInfo::ABSENT,
                },
            };
            heads.push(head);
        }
        Ok(heads)
    }

    /// Which fields of a revision are hidden now: the one gate that every read passes.
    pub(crate) fn hidden(&self, entity: &Entity, number: u64) -> Result<FieldMask> {
        // Set before the first annotation is published: whoever could know of one sees it.
        if !self.annotated.load(Ordering::Acquire) {
            return Ok(FieldMask::default());
        }
        let view = self.view.load();
        Ok(view.visibility(entity, number)?.hidden)
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
