//! Reading a content from its unit: by itself, or out of a group that the cache may hold.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::cache::BlockCache;
use super::fault::FaultContext;
use super::locator::{Locator, StoredIn};
use super::unit::{UNIT_HEADER_LEN, Unit, affected};
use crate::Result;
use crate::codec::FileId;
use crate::env::{File, read_vec_at};
use crate::error::IoContext;
use crate::model::Address;

/// A file of units.
pub(super) struct UnitFile<'a> {
    pub file: &'a dyn File,
    pub path: &'a Path,
    pub id: FileId,
    pub cache: Option<&'a Arc<dyn BlockCache>>,
}

impl UnitFile<'_> {
    /// The content. With `neighbours`, a group that was decoded for it goes into the cache: its other contents are wanted next. Else only
    /// its front is decoded.
    pub fn read(&self, locator: &Locator, neighbours: bool) -> Result<Bytes> {
        let (at, address) = (locator.offset, locator.address);
        let named = || affected(address);
        let kept = if locator.member == 0 { None } else { self.cached(at, address)? };
        let (unit, raw) = match kept {
            Some(found) => found,
            None => {
                let (bytes, unit) = self.unit(locator)?;
                let member = unit.find(address).in_file(self.path, at, named)?;
                let front = unit.front(member);
                let whole = unit.header.raw_len as usize;
                let cache = self.cache.filter(|_| locator.member != 0 && (neighbours || front == whole));
                let len = if cache.is_some() { whole } else { front };
                let raw = unit.decode(len).in_file(self.path, at, named)?;
                if let Some(cache) = self.cache.filter(|_| locator.member != 0) {
                    cache.decoded_group();
                }
                if let Some(cache) = cache {
                    cache.put(self.id, at, raw.clone());
                    // The head stands beside the contents, under the offset of its second byte, and not as a slice of the unit.
                    let head = bytes.get(..unit.head_len()).unwrap_or_default();
                    cache.put(self.id, at.saturating_add(1), Bytes::copy_from_slice(head));
                }
                (unit, raw)
            }
        };
        let member = unit.find(address).in_file(self.path, at, named)?;
        let content = unit.member(&raw, member).in_file(self.path, at, named)?;
        // Not a slice of a group: a small content that somebody holds on to would keep all of it in memory.
        Ok(if content.len() == raw.len() { content } else { Bytes::copy_from_slice(&content) })
    }

    /// The whole unit, verified.
    pub fn unit(&self, locator: &Locator) -> Result<(Bytes, Unit)> {
        let at = locator.offset;
        let bytes = read_vec_at(self.file, locator.len as usize, at).context("read", self.path)?;
        let bytes = Bytes::from(bytes);
        let unit = Unit::open(&bytes).in_file(self.path, at, || affected(locator.address))?;
        Ok((bytes, unit))
    }

    /// What its unit takes.
    pub fn stored_in(&self, locator: &Locator) -> Result<StoredIn> {
        let (_, unit) = self.unit(locator)?;
        Ok(StoredIn {
            offset: locator.offset,
            contents: unit.members.len() as u64,
            stored_bytes: u64::from(locator.len).saturating_sub(UNIT_HEADER_LEN as u64),
            raw_bytes: u64::from(unit.header.raw_len),
        })
    }

    fn cached(&self, at: u64, address: Address) -> Result<Option<(Unit, Bytes)>> {
        let Some(cache) = self.cache else { return Ok(None) };
        let (Some(raw), Some(head)) = (cache.get(self.id, at), cache.get(self.id, at.saturating_add(1)))
        else {
            return Ok(None);
        };
        probe!("log: content of a group from the cache");
        let unit = Unit::of_head(&head).in_file(self.path, at, || affected(address))?;
        Ok(Some((unit, raw)))
    }
}
