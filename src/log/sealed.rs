//! A sealed segment: contents by locator, changes by directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::cache::BlockCache;
use super::change::{BlockChanges, ChangeBlocks, ChangeIter, LoggedChange, ValueFile};
use super::fault::{Fault, FaultContext};
use super::locator::{Locator, StoredIn};
use super::seal::{read_header, read_trailer};
use super::tail::{
    ArrayKind, DigestEntry, Index, LocatorKey, Sequences, Trailer, checked_block, decode_block,
};
use super::unit::{self, Unit};
use super::unit_read::UnitFile;
use crate::codec::FileId;
use crate::env::{Access, File, Fs, read_vec_at};
use crate::error::IoContext;
use crate::manifest::ValueFileInfo;
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// A sealed segment, open for reading. In memory: 8 bytes per 255 contents and 16 per directory block.
pub struct SealedSegment {
    path: PathBuf,
    file: Arc<dyn File>,
    id: FileId,
    trailer: Trailer,
    index: Index,
    cache: Option<Arc<dyn BlockCache>>,
}

impl SealedSegment {
    /// Opens the segment that the manifest describes. Three reads.
    ///
    /// # Errors
    /// `Corrupt` if it is not that segment or its trailer is damaged; `Io`; `Unsupported`.
    pub fn open(
        fs: &dyn Fs,
        path: &Path,
        info: &ValueFileInfo,
        store: &[u8; 16],
        cache: Option<Arc<dyn BlockCache>>,
    ) -> Result<Self> {
        let file = fs.open(path, Access::Read).context("open", path)?;
        Self::open_file(file, path, info, store, cache)
    }

    /// The same of a file that is open.
    ///
    /// # Errors
    /// As for [`SealedSegment::open`].
    pub fn open_file(
        file: Arc<dyn File>,
        path: &Path,
        info: &ValueFileInfo,
        store: &[u8; 16],
        cache: Option<Arc<dyn BlockCache>>,
    ) -> Result<Self> {
        let affected = || format!("changes {} to {}", info.sequence_first, info.sequence_last);
        let wrong =
            |expected: String, found: String| Err(Error::corrupt(path, 0, expected, found, affected()));
        info.checked_len(&*file, path)?;
        let header = read_header(&*file, path, store, info.id)?;
        let Some(trailer) = read_trailer(&*file, path, &header)? else {
            return wrong("a valid trailer at the end".into(), "none".into());
        };
        let found = (trailer.sequence_first, trailer.sequence_last, trailer.last_checksum);
        if found != (info.sequence_first, info.sequence_last, info.last_checksum) {
            return wrong(affected(), format!("changes {} to {}", found.0, found.1));
        }
        // The trailer's places are inside the file.
        let index_len = usize::try_from(trailer.index_len()).unwrap_or(usize::MAX);
        let index = read_vec_at(&*file, index_len, trailer.index_at).context("read", path)?;
        let index = checked_block(&index, trailer.index_at, trailer.salt)
            .and_then(|entries| Index::decode(entries, &trailer))
            .in_file(path, trailer.index_at, affected)?;
        Ok(Self { path: path.to_path_buf(), file, id: info.id, trailer, index, cache })
    }

    /// What its trailer says.
    pub fn trailer(&self) -> &Trailer {
        &self.trailer
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The block of an array that holds entry `entry`, without its checksum.
    fn array_block(&self, kind: ArrayKind, block: u64, affected: impl FnOnce() -> String) -> Result<Bytes> {
        let (start, len) = kind.block(block, self.trailer.contents);
        let at = start.saturating_add(match kind {
            ArrayKind::Locators => self.trailer.locators_at,
            ArrayKind::Digests => self.trailer.digests_at,
        });
        if let Some(block) = self.cache.as_ref().and_then(|cache| cache.get(self.id, at)) {
            return Ok(block);
        }
        let bytes = Bytes::from(read_vec_at(&*self.file, len, at).context("read", &self.path)?);
        let entries = checked_block(&bytes, at, self.trailer.salt).in_file(&self.path, at, affected)?;
        let entries = bytes.slice_ref(entries);
        if let Some(cache) = &self.cache {
            cache.put(self.id, at, entries.clone());
        }
        Ok(entries)
    }

    /// The locator of a content, and its place among the file's contents.
    fn locate(&self, address: Address) -> Result<(u64, Locator)> {
        let missing = || unit::no_such_content(&self.path, address);
        let delta = address.sequence.checked_sub(self.trailer.sequence_first).ok_or_else(missing)?;
        let key: LocatorKey = (u32::try_from(delta).map_err(|_| missing())?, address.slot);
        let block =
            self.index.locators.partition_point(|first| *first <= key).checked_sub(1).ok_or_else(missing)?;
        let entries = self.array_block(ArrayKind::Locators, block as u64, || unit::affected(address))?;
        let width = ArrayKind::Locators.width();
        let (mut low, mut high) = (0, entries.len() / width);
        while low < high {
            let middle = low.midpoint(high);
            let entry = entries.get(middle * width..).unwrap_or_default();
            let locator = Locator::decode(entry, self.trailer.sequence_first).in_file(
                &self.path,
                self.trailer.locators_at,
                || unit::affected(address),
            )?;
            match locator.address.cmp(&address) {
                std::cmp::Ordering::Equal => {
                    let place = (block * ArrayKind::Locators.per_block()).saturating_add(middle);
                    return Ok((place as u64, locator));
                }
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(missing())
    }

    /// The place of a content's unit.
    fn unit_of(&self, address: Address) -> Result<Locator> {
        let (_, locator) = self.locate(address)?;
        if locator.offset.saturating_add(u64::from(locator.len)) > self.trailer.frames_end {
            let bad = Fault::malformed(0, "a place inside the frames");
            return Err(bad.into_error(&self.path, self.trailer.locators_at, unit::affected(address)));
        }
        Ok(locator)
    }

    fn units(&self) -> UnitFile<'_> {
        UnitFile { file: &*self.file, path: &self.path, id: self.id, cache: self.cache.as_ref() }
    }

    /// The digests of contents `from..to`, counted through the file.
    fn digests(&self, from: u64, to: u64, affected: impl Fn() -> String) -> Result<Vec<Digest>> {
        let kind = ArrayKind::Digests;
        let per_block = kind.per_block() as u64;
        let mut digests = Vec::new();
        let mut at = from;
        while at < to {
            let block = at / per_block;
            let entries = self.array_block(kind, block, &affected)?;
            let first = (at % per_block) as usize;
            let count = (to - at).min(per_block - at % per_block) as usize;
            for entry in entries.chunks(kind.width()).skip(first).take(count) {
                digests.push(DigestEntry::decode(entry).in_file(
                    &self.path,
                    self.trailer.digests_at,
                    &affected,
                )?);
            }
            at = at.saturating_add(count as u64);
        }
        if digests.len() as u64 != to.saturating_sub(from) {
            let bad = Fault::malformed(0, "a digest per content");
            return Err(bad.into_error(&self.path, self.trailer.digests_at, affected()));
        }
        Ok(digests)
    }

    /// The changes of a directory block.
    fn block(&self, block: usize) -> Result<Vec<LoggedChange>> {
        let Some(place) = self.index.directory.get(block) else { return Ok(Vec::new()) };
        let records = u64::from(self.trailer.block_records);
        let first = self.trailer.sequence_first.saturating_add((block as u64).saturating_mul(records));
        let last = first.saturating_add(records - 1).min(self.trailer.sequence_last);
        let affected = || format!("changes {first} to {last}");
        let contents_end = match self.index.directory.get(block.saturating_add(1)) {
            Some(next) => u64::from(next.contents_before),
            None => self.trailer.contents,
        };
        let digests = self.digests(u64::from(place.contents_before), contents_end, affected)?;
        let bytes = read_vec_at(&*self.file, place.len as usize, place.offset).context("read", &self.path)?;
        let changes = decode_block(&bytes, place.offset, self.trailer.salt, Sequences::From(first), &digests)
            .in_file(&self.path, place.offset, affected)?;
        if changes.len() as u64 != last.saturating_sub(first).saturating_add(1) {
            let bad = Fault::malformed(8, "as many records as the trailer says");
            return Err(bad.into_error(&self.path, place.offset, affected()));
        }
        Ok(changes)
    }
}

impl std::fmt::Debug for SealedSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealedSegment").field("path", &self.path).field("trailer", &self.trailer).finish()
    }
}

impl ValueFile for SealedSegment {
    fn id(&self) -> FileId {
        self.id
    }

    fn read_content(&self, address: Address) -> Result<Bytes> {
        self.units().read(&self.unit_of(address)?, true)
    }

    fn read_alone(&self, address: Address) -> Result<Bytes> {
        self.units().read(&self.unit_of(address)?, false)
    }

    fn group_of(&self, address: Address) -> Result<Option<Locator>> {
        Ok(Some(self.unit_of(address)?).filter(|locator| locator.member != 0))
    }

    fn read_unit(&self, locator: &Locator) -> Result<Unit> {
        self.units().unit(locator).map(|(_, unit)| unit)
    }

    fn stored_in(&self, address: Address) -> Result<Option<StoredIn>> {
        self.units().stored_in(&self.unit_of(address)?).map(Some)
    }

    fn digest(&self, address: Address) -> Result<Digest> {
        let (place, _) = self.locate(address)?;
        let digests = self.digests(place, place.saturating_add(1), || unit::affected(address))?;
        digests.first().copied().ok_or_else(|| unit::no_such_content(&self.path, address))
    }

    fn changes(self: Arc<Self>, after: u64, up_to: u64) -> ChangeIter {
        let skip = after.saturating_add(1).saturating_sub(self.trailer.sequence_first);
        let next = usize::try_from(skip / u64::from(self.trailer.block_records)).unwrap_or(usize::MAX);
        Box::new(BlockChanges::new(self, next, after, up_to))
    }
}

impl ChangeBlocks for SealedSegment {
    fn first_sequence(&self, block: usize) -> Option<u64> {
        let records = u64::from(self.trailer.block_records);
        let first = self.trailer.sequence_first.saturating_add((block as u64).saturating_mul(records));
        (block < self.index.directory.len()).then_some(first)
    }

    fn read_block(&self, block: usize) -> Result<Vec<LoggedChange>> {
        self.block(block)
    }
}
