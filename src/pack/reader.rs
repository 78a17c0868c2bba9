//! A pack, open for reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::bits::{ROWS, Rows};
use super::group::{GROUP_HEADER_LEN, GROUP_MEMBERS_MAX, GroupHeader};
use super::index::Index;
use super::layout::{HEADER_LEN_MAX, PackHeader};
use super::trailer::{PACK_TRAILER_LEN, PackTrailer};
use crate::codec::{FileId, crc};
use crate::env::{Access, File, Fs, read_at_most, read_vec_at};
use crate::error::IoContext;
use crate::log::{
    BlockCache, BlockChanges, ChangeIter, Fault, FaultContext, StoredIn, ValueFile, Verified, VerifyDepth,
    affected, checked_block, no_such_content,
};
use crate::manifest::ValueFileInfo;
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// Longest head and table of a group.
const HEAD_LEN_MAX: usize = GROUP_HEADER_LEN + GROUP_MEMBERS_MAX * 22;

/// Where a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Located {
    /// Its place among the pack's contents, in the order of their addresses.
    pub place: u64,
    /// Behind the last one: the content was erased.
    pub group: u64,
    pub member: usize,
}

/// A pack. In memory: about 50 bytes per directory block and 0.2 per content.
pub struct Pack {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    pub(super) header: PackHeader,
    pub(super) header_len: usize,
    pub(super) trailer: PackTrailer,
    pub(super) index: Index,
    pub(super) len: u64,
    pub(super) salt: u64,
    cache: Option<Arc<dyn BlockCache>>,
}

impl Pack {
    /// Opens the pack that the manifest describes. Three reads.
    ///
    /// # Errors
    /// `Corrupt` if it is not that pack or its header, trailer or index is damaged; `Io`; `Unsupported`.
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

    /// The same of a file that is open. Between the parts of a merge, the manifest's rectangle may be a part of the file's.
    ///
    /// # Errors
    /// As for [`Pack::open`].
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
        let len = info.checked_len(&*file, path)?;
        let mut start = vec![0; HEADER_LEN_MAX];
        let n = read_at_most(&*file, &mut start, 0).context("read", path)?;
        let (header, header_len) =
            PackHeader::decode(path, start.get(..n).unwrap_or_default(), store, info.id)?;
        let rectangle = &header.rectangle;
        let said = (rectangle.sequence_first, rectangle.sequence_last, header.generation);
        if said != (info.sequence_first, info.sequence_last, info.generation)
            || !rectangle.covers_entities(&info.entity_first, &info.entity_last)
            || header.annotation_watermark != info.annotation_watermark
        {
            return wrong(
                format!("{} in generation {}", affected(), info.generation),
                format!("changes {} to {} in generation {}", said.0, said.1, said.2),
            );
        }
        let Some(at) = len.checked_sub(PACK_TRAILER_LEN as u64).filter(|at| *at >= header_len as u64) else {
            return wrong("a trailer at the end".into(), "none".into());
        };
        let bytes = read_vec_at(&*file, PACK_TRAILER_LEN, at).context("read", path)?;
        let trailer = PackTrailer::decode(&bytes, at, &header).in_file(path, at, affected)?;
        if trailer.directory_at < header_len as u64 || trailer.last_checksum != info.last_checksum {
            return wrong("the pack of the manifest".into(), "another one".into());
        }
        // The trailer's places are inside the file.
        let index_len = usize::try_from(at - trailer.index_at).unwrap_or(usize::MAX);
        let bytes = read_vec_at(&*file, index_len, trailer.index_at).context("read", path)?;
        let salt = header.salt();
        let index = checked_block(&bytes, trailer.index_at, salt)
            .and_then(|entries| Index::decode(entries, &header, &trailer))
            .in_file(path, trailer.index_at, affected)?;
        Ok(Self { path: path.to_path_buf(), file, header, header_len, trailer, index, len, salt, cache })
    }

    /// A pack whose parts were read one by one, and no cache.
    pub(super) fn from_parts(
        path: &Path,
        file: &Arc<dyn File>,
        header: PackHeader,
        header_len: u64,
        trailer: PackTrailer,
        index: Index,
        salt: u64,
    ) -> Self {
        let (path, file) = (path.to_path_buf(), Arc::clone(file));
        let (header_len, len) = (header_len as usize, file.len().unwrap_or_default());
        Self { path, file, header, header_len, trailer, index, len, salt, cache: None }
    }

    /// What its header says.
    pub fn header(&self) -> &PackHeader {
        &self.header
    }

    /// What its trailer says.
    pub fn trailer(&self) -> &PackTrailer {
        &self.trailer
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A verified block of the tail.
    pub(super) fn tail_block(&self, at: u64, len: usize, affected: impl FnOnce() -> String) -> Result<Bytes> {
        if let Some(block) = self.cache.as_ref().and_then(|cache| cache.get(self.header.id, at)) {
            return Ok(block);
        }
        let bytes = Bytes::from(read_vec_at(&*self.file, len, at).context("read", &self.path)?);
        let entries = checked_block(&bytes, at, self.salt).in_file(&self.path, at, affected)?;
        let entries = bytes.slice_ref(entries);
        if let Some(cache) = &self.cache {
            cache.put(self.header.id, at, entries.clone());
        }
        Ok(entries)
    }

    /// A block of locators: (sequence, slot, group, member) each.
    pub(super) fn locators(&self, block: usize, affected: impl Fn() -> String) -> Result<Rows<4>> {
        let Some(place) = self.index.locators.get(block) else {
            let bad = Fault::malformed(0, "a locator block that is there");
            return Err(bad.into_error(&self.path, self.trailer.locators_at, affected()));
        };
        let bytes = self.tail_block(place.offset, place.len as usize, &affected)?;
        Rows::open(&bytes).in_file(&self.path, place.offset, affected)
    }

    pub(super) fn locate(&self, address: Address) -> Result<Located> {
        self.find(address)?.ok_or_else(|| no_such_content(&self.path, address))
    }

    /// `None` if no locator names it.
    fn find(&self, address: Address) -> Result<Option<Located>> {
        let Some(block) = self.locator_block(address) else { return Ok(None) };
        let rows = self.locators(block, || affected(address))?;
        Ok(search(block, &rows, address))
    }

    /// Which block of locators may name a content.
    pub(super) fn locator_block(&self, address: Address) -> Option<usize> {
        self.index.locators.partition_point(|place| place.first <= address).checked_sub(1)
    }

    /// Where a group stands, and its length.
    pub(super) fn group_place(&self, group: u64, affected: impl Fn() -> String) -> Result<(u64, usize)> {
        let bad = || {
            let bad = Fault::malformed(0, "a place among the groups");
            bad.into_error(&self.path, self.trailer.places_at, affected())
        };
        let index = usize::try_from(group).map_err(|_| bad())?;
        let (at, len) = *self.index.places.get(index / ROWS).ok_or_else(bad)?;
        let bytes = self.tail_block(at, len as usize, &affected)?;
        let rows = Rows::<1>::open(&bytes).in_file(&self.path, at, &affected)?;
        // Each block ends in the place where its last group ends.
        let (Some([start]), Some([end])) = (rows.row(index % ROWS), rows.row(index % ROWS + 1)) else {
            return Err(bad());
        };
        if start < self.header_len as u64 || end > self.trailer.directory_at {
            return Err(bad());
        }
        let len = end.checked_sub(start).and_then(|len| usize::try_from(len).ok()).ok_or_else(bad)?;
        Ok((start, len))
    }

    /// What a group says of itself, without reading what is stored.
    pub(super) fn group_head(&self, group: u64, affected: impl Fn() -> String) -> Result<GroupHeader> {
        let (at, len) = self.group_place(group, &affected)?;
        let head = read_vec_at(&*self.file, len.min(HEAD_LEN_MAX), at).context("read", &self.path)?;
        let (header, _) = GroupHeader::decode(&head, at, self.salt).in_file(&self.path, at, affected)?;
        Ok(header)
    }

    /// A group: where it stands, what it says of itself, what is stored. All verified.
    pub(super) fn group(&self, group: u64, affected: impl Fn() -> String) -> Result<Group> {
        let (at, len) = self.group_place(group, &affected)?;
        let bytes = Bytes::from(read_vec_at(&*self.file, len, at).context("read", &self.path)?);
        let (header, head_len) =
            GroupHeader::decode(&bytes, at, self.salt).in_file(&self.path, at, &affected)?;
        let head = bytes.slice(..head_len);
        let stored = bytes.slice(head_len..);
        if stored.len() as u64 != u64::from(header.stored_len) || crc(&stored) != header.stored_crc {
            let bad = Fault::malformed(head_len, "the checksum of the group");
            return Err(bad.into_error(&self.path, at, affected()));
        }
        Ok(Group { at, header, head, stored })
    }

    /// The group from the cache: its head, and all of it uncompressed.
    fn cached(&self, at: u64, affected: impl Fn() -> String) -> Result<Option<(GroupHeader, Bytes)>> {
        let Some(cache) = &self.cache else { return Ok(None) };
        // The head stands beside the contents, under the offset of its second byte.
        let id = self.header.id;
        let (Some(raw), Some(head)) = (cache.get(id, at), cache.get(id, at.saturating_add(1))) else {
            return Ok(None);
        };
        let (header, _) = GroupHeader::decode(&head, at, self.salt).in_file(&self.path, at, affected)?;
        Ok(Some((header, raw)))
    }
}

/// A content in a block of locators.
pub(super) fn search(block: usize, rows: &Rows<4>, address: Address) -> Option<Located> {
    let (mut low, mut high) = (0, rows.len());
    while low < high {
        let middle = low.midpoint(high);
        let [sequence, slot] = rows.front(middle)?;
        match (sequence, slot).cmp(&(address.sequence, u64::from(address.slot))) {
            std::cmp::Ordering::Equal => {
                let [_, _, group, member] = rows.row(middle)?;
                let place = (block * ROWS).saturating_add(middle) as u64;
                return Some(Located { place, group, member: member as usize });
            }
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    None
}

/// A verified group.
pub(super) struct Group {
    pub at: u64,
    pub header: GroupHeader,
    pub head: Bytes,
    pub stored: Bytes,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack").field("path", &self.path).field("trailer", &self.trailer).finish()
    }
}

impl ValueFile for Pack {
    fn id(&self) -> FileId {
        self.header.id
    }

    /// Puts the whole group into the cache: its other contents are wanted next.
    fn read_content(&self, address: Address) -> Result<Bytes> {
        self.read(address, true)
    }

    /// The newest content of a group needs only the front of it, which is not kept.
    fn read_alone(&self, address: Address) -> Result<Bytes> {
        self.read(address, false)
    }

    fn keeps_contents(&self) -> bool {
        self.cache.is_some()
    }

    fn verify_stored(&self, depth: VerifyDepth, cancel: &dyn Fn() -> bool) -> Result<Verified> {
        self.verify(depth, cancel)?;
        Ok(match depth {
            VerifyDepth::Stored => Verified::default(),
            VerifyDepth::Contents => {
                Verified { contents: self.trailer.contents, bytes: self.trailer.raw_bytes }
            }
        })
    }

    fn stored_in(&self, address: Address) -> Result<Option<StoredIn>> {
        let located = self.find(address)?.filter(|located| located.group != self.trailer.groups);
        let Some(located) = located else { return Ok(None) };
        let (offset, _) = self.group_place(located.group, || affected(address))?;
        let head = self.group_head(located.group, || affected(address))?;
        Ok(Some(StoredIn {
            offset,
            contents: head.members.len() as u64,
            stored_bytes: u64::from(head.stored_len),
            raw_bytes: u64::from(head.raw_len),
        }))
    }

    fn digest(&self, address: Address) -> Result<Digest> {
        let place = self.locate(address)?.place;
        let digests = self.digests(place, place.saturating_add(1), || affected(address))?;
        digests.first().copied().ok_or_else(|| no_such_content(&self.path, address))
    }

    fn changes(self: Arc<Self>, after: u64, up_to: u64) -> ChangeIter {
        let behind = self.index.directory.partition_point(|place| place.first_sequence <= after);
        Box::new(BlockChanges::new(self, behind.saturating_sub(1), after, up_to))
    }
}

impl Pack {
    fn read(&self, address: Address, neighbours: bool) -> Result<Bytes> {
        let affected = || affected(address);
        let located = self.locate(address)?;
        if located.group == self.trailer.groups {
            // Whoever read before it was forgotten asks the gate again and is told.
            let (expected, found) = ("a content", "none: it was forgotten and is erased");
            return Err(Error::corrupt(&self.path, self.trailer.locators_at, expected, found, affected()));
        }
        let (at, _) = self.group_place(located.group, affected)?;
        let (header, raw) = match self.cached(at, affected)? {
            Some(found) => found,
            None => {
                let group = self.group(located.group, affected)?;
                let front = group.header.start(located.member.saturating_add(1));
                let whole = group.header.raw_len as usize;
                let keep = neighbours || front == whole;
                let cache = self.cache.as_ref().filter(|_| keep);
                let len = if cache.is_some() { whole } else { front };
                let raw = group.header.open(&group.stored, len).in_file(&self.path, at, affected)?;
                if let Some(cache) = &self.cache {
                    cache.decoded_group();
                }
                if let Some(cache) = cache {
                    cache.put(self.header.id, at, raw.clone());
                    cache.put(self.header.id, at.saturating_add(1), group.head);
                }
                (group.header, raw)
            }
        };
        if header.members.get(located.member).is_none_or(|member| member.address != address) {
            let bad = Fault::malformed(0, "the content that was asked for");
            return Err(bad.into_error(&self.path, at, affected()));
        }
        let content = header.member(&raw, located.member).in_file(&self.path, at, affected)?;
        // Not a slice: a small content that somebody holds on to would keep the whole group in memory.
        Ok(if content.len() == raw.len() { content } else { Bytes::copy_from_slice(&content) })
    }
}
