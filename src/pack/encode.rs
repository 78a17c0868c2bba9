//! A group is made: contents side by side become a frame that was decoded again.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::group::GroupHeader;
use crate::codec::{Codec, compress_group, crc};
use crate::log::{FaultContext, Member, affected};
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// Contents of a group that does not shrink get a group each if they have at least so many bytes on average: then none of them has to
/// be read past to reach another one.
const APART_FROM: usize = 4 << 10;
/// A run of so many contents that did not shrink will not shrink with the next ones either.
const HOPELESS: usize = 8;

/// Contents side by side.
#[derive(Default)]
pub(super) struct Batch {
    pub raw: Vec<u8>,
    pub contents: Vec<Content>,
}

/// One of them.
#[derive(Clone, Copy)]
pub(super) struct Content {
    /// Its place among the pack's contents.
    pub place: u32,
    pub address: Address,
    pub digest: Digest,
    pub entity_hash: u64,
    pub len: usize,
}

/// How a batch becomes groups. Which thread does it does not show.
#[derive(Clone)]
pub(super) struct Recipe {
    pub level: i32,
    pub full: bool,
    pub mixed: bool,
    /// The file that is being made, for errors.
    pub path: Arc<Path>,
}

/// A group without a place.
pub(super) struct Made {
    pub header: GroupHeader,
    pub stored: Bytes,
    /// Of each member, its place among the pack's contents.
    pub places: Vec<u32>,
}

impl Recipe {
    /// Compresses and audits a batch. One that does not shrink becomes several groups.
    pub fn make(&self, batch: Batch) -> Result<Vec<Made>> {
        let mut made = Vec::with_capacity(1);
        if !batch.contents.is_empty() {
            self.add(batch, &mut made)?;
        }
        Ok(made)
    }

    fn add(&self, batch: Batch, made: &mut Vec<Made>) -> Result<()> {
        let mut batch = batch;
        if planted!("pack not audited")
            && let Some(byte) = batch.raw.last_mut()
        {
            *byte ^= 1;
        }
        let packed = compress_group(&batch.raw, self.level)
            .map_err(|source| Error::io("compress a group for", &self.path, source))?;
        let pays = packed.len() <= batch.raw.len() - batch.raw.len() / 8;
        let count = batch.contents.len();
        if !pays && count > 1 && batch.raw.len() / count >= APART_FROM {
            drop(packed);
            let alone = Self { full: self.full || count >= HOPELESS, mixed: false, ..self.clone() };
            let mut start = 0;
            for content in batch.contents {
                let raw = batch.raw.get(start..start + content.len).unwrap_or_default().to_vec();
                start += content.len;
                alone.add(Batch { raw, contents: vec![content] }, made)?;
            }
            return Ok(());
        }
        let (codec, stored) = if pays && !batch.raw.is_empty() {
            (Codec::Zstd, Bytes::from(packed))
        } else {
            (Codec::Raw, Bytes::copy_from_slice(&batch.raw))
        };
        let mut members = Vec::with_capacity(count);
        let mut start = 0;
        for content in &batch.contents {
            let raw = batch.raw.get(start..start + content.len).unwrap_or_default();
            start += content.len;
            members.push(Member { address: content.address, raw_len: content.len as u32, raw_crc: crc(raw) });
        }
        let entity_hash = batch.contents.first().map_or(0, |content| content.entity_hash);
        let header = GroupHeader {
            codec,
            full: self.full,
            mixed: self.mixed,
            entity_hash: if self.mixed { 0 } else { entity_hash },
            stored_len: stored.len() as u32,
            raw_len: batch.raw.len() as u32,
            stored_crc: crc(&stored),
            level: self.level.unsigned_abs() as u8,
            members,
        };
        let Batch { raw, contents } = batch;
        drop(raw);
        if !planted!("pack not audited") {
            self.audit(&header, &stored, &contents)?;
        }
        made.push(Made { header, stored, places: contents.iter().map(|content| content.place).collect() });
        Ok(())
    }

    /// Decodes what was just made and compares every content with its digest.
    fn audit(&self, header: &GroupHeader, stored: &Bytes, contents: &[Content]) -> Result<()> {
        let raw = header.open(stored, header.raw_len as usize);
        let raw = raw.in_file(&self.path, 0, || "a group that is being made".into())?;
        for (index, content) in contents.iter().enumerate() {
            let named = || affected(content.address);
            let found = Digest::of(&header.member(&raw, index).in_file(&self.path, 0, named)?);
            if content.digest != found {
                let expected = format!("content digest {}", content.digest);
                return Err(Error::corrupt(&self.path, 0, expected, found.to_string(), named()));
            }
        }
        Ok(())
    }
}
