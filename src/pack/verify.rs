//! Whether a pack is what it says.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Depth;
use super::bits::Rows;
use super::reader::{Located, Pack, search};
use super::trailer::PACK_TRAILER_LEN;
use crate::codec::Crc;
use crate::env::read_vec_at;
use crate::error::IoContext;
use crate::log::{Change, ChangeBlocks, FaultContext, affected, checked_block, no_such_content};
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// All locators of a pack, as they are on the disk: verification asks for each content twice.
struct Locators<'a> {
    pack: &'a Pack,
    blocks: Vec<Rows<4>>,
}

impl<'a> Locators<'a> {
    fn read(pack: &'a Pack) -> Result<Self> {
        let mut blocks = Vec::with_capacity(pack.index.locators.len());
        for place in &pack.index.locators {
            let named = || affected(place.first);
            let bytes = read_vec_at(&*pack.file, place.len as usize, place.offset);
            let bytes = Bytes::from(bytes.context("read", &pack.path)?);
            let rows = checked_block(&bytes, place.offset, pack.salt);
            let rows = rows.in_file(&pack.path, place.offset, named)?;
            blocks.push(Rows::open(&bytes.slice_ref(rows)).in_file(&pack.path, place.offset, named)?);
        }
        Ok(Self { pack, blocks })
    }

    fn locate(&self, address: Address) -> Result<Located> {
        let block = self.pack.locator_block(address);
        let found = block.and_then(|block| search(block, self.blocks.get(block)?, address));
        found.ok_or_else(|| no_such_content(&self.pack.path, address))
    }
}

impl Pack {
    /// Reads the whole file. In memory: a group, a directory block and the locators, about 3 bytes a content.
    ///
    /// # Errors
    /// `Corrupt` at the first thing that is wrong; `Io`; `Cancelled`, asked once per group.
    pub fn verify(&self, depth: Depth, cancel: &dyn Fn() -> bool) -> Result<()> {
        self.verify_tail()?;
        let locators = Locators::read(self)?;
        // Contents that were erased are in no group.
        let mut seen = self.verify_directory(&locators)?;
        let mut end = self.header_len as u64;
        for group in 0..self.trailer.groups {
            if cancel() {
                return Err(Error::Cancelled);
            }
            let named = || format!("group {group}");
            let (at, len) = self.group_place(group, named)?;
            if at != end {
                return Err(Error::corrupt(&self.path, at, format!("a group at {end}"), "a gap", named()));
            }
            end = at.saturating_add(len as u64);
            let group_frame = self.group(group, named)?;
            let header = &group_frame.header;
            let raw = match depth {
                Depth::Stored => None,
                Depth::Contents => {
                    let whole = header.raw_len as usize;
                    Some(header.open(&group_frame.stored, whole).in_file(&self.path, at, named)?)
                }
            };
            for (index, member) in header.members.iter().enumerate() {
                let address = member.address;
                let located = locators.locate(address)?;
                if (located.group, located.member) != (group, index) {
                    let found = format!("one to group {} member {}", located.group, located.member);
                    return Err(Error::corrupt(
                        &self.path,
                        self.trailer.locators_at,
                        format!("a locator to group {group} member {index}"),
                        found,
                        affected(address),
                    ));
                }
                seen = seen.saturating_add(1);
                if let Some(raw) = &raw {
                    let content = header.member(raw, index).in_file(&self.path, at, || affected(address))?;
                    self.compare(located.place, address, &content, at)?;
                }
            }
        }
        if seen != self.trailer.contents || end != self.trailer.directory_at {
            let expected = format!("{} contents in groups", self.trailer.contents);
            return Err(Error::corrupt(&self.path, end, expected, seen.to_string(), "the whole pack"));
        }
        Ok(())
    }

    fn compare(&self, place: u64, address: Address, content: &[u8], at: u64) -> Result<()> {
        let expected = self.digests(place, place.saturating_add(1), || affected(address))?;
        let found = Digest::of(content);
        match expected.first() {
            Some(expected) if *expected == found => Ok(()),
            other => {
                let expected = format!("content digest {other:?}");
                Err(Error::corrupt(&self.path, at, expected, found.to_string(), affected(address)))
            }
        }
    }

    fn verify_tail(&self) -> Result<()> {
        let end = self.len.saturating_sub(PACK_TRAILER_LEN as u64);
        let mut crc = Crc::new();
        let mut at = self.trailer.directory_at;
        while at < end {
            let len = usize::try_from(end - at).unwrap_or(usize::MAX).min(256 << 10);
            crc = crc.bytes(&read_vec_at(&*self.file, len, at).context("read", &self.path)?);
            at = at.saturating_add(len as u64);
        }
        let found = crc.finish();
        if found == self.trailer.tail_checksum {
            return Ok(());
        }
        Err(Error::corrupt(
            &self.path,
            self.trailer.directory_at,
            format!("tail checksum {:08x}", self.trailer.tail_checksum),
            format!("{found:08x}"),
            "directory, digests and locators",
        ))
    }

    /// Stored bytes of the groups that hold a content of an entity from `entity_first` on. Reads the directory, and a head per group.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Cancelled`, asked once per block of the directory.
    pub fn stored_bytes_from(&self, entity_first: &[u8], cancel: &dyn Fn() -> bool) -> Result<u64> {
        let mut groups = BTreeSet::new();
        for block in 0..self.index.directory.len() {
            if cancel() {
                return Err(Error::Cancelled);
            }
            for change in self.read_block(block)? {
                let Change::Revision { entity, digests, .. } = change.change else { continue };
                for slot in (0..digests.len() as u16).take_while(|_| entity.as_bytes() >= entity_first) {
                    groups.insert(self.locate(Address { sequence: change.sequence, slot })?.group);
                }
                groups.remove(&self.trailer.groups);
            }
        }
        let stored =
            |group| self.group_head(group, || format!("group {group}")).map(|it| u64::from(it.stored_len));
        groups.into_iter().map(stored).sum()
    }

    /// The directory's contents are those of the locators, in the same order; answers how many of them were erased.
    fn verify_directory(&self, locators: &Locators<'_>) -> Result<u64> {
        let (mut contents, mut erased) = (0_u64, 0_u64);
        for block in 0..self.index.directory.len() {
            for change in self.read_block(block)? {
                let Change::Revision { digests, .. } = change.change else { continue };
                for (slot, digest) in digests.iter().enumerate() {
                    let address = Address { sequence: change.sequence, slot: slot as u16 };
                    let Located { place, group, .. } = locators.locate(address)?;
                    if (group == self.trailer.groups) != digest.is_erased() {
                        let expected = "contents that are erased together with their digests";
                        let at = self.trailer.locators_at;
                        return Err(Error::corrupt(&self.path, at, expected, "one", affected(address)));
                    }
                    erased = erased.saturating_add(u64::from(digest.is_erased()));
                    if place != contents {
                        let (expected, found) = (format!("locator {contents}"), format!("locator {place}"));
                        let at = self.trailer.locators_at;
                        return Err(Error::corrupt(&self.path, at, expected, found, affected(address)));
                    }
                    contents = contents.saturating_add(1);
                }
            }
        }
        if contents == self.trailer.contents {
            return Ok(erased);
        }
        let expected = format!("{} contents", self.trailer.contents);
        Err(Error::corrupt(
            &self.path,
            self.trailer.directory_at,
            expected,
            contents.to_string(),
            "the directory",
        ))
    }
}
