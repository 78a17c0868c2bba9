//! Going through a pack without believing anything, and on behind damage.
//!
//! Groups describe themselves: they are found one behind the other, and behind a damaged one by their magic. Directory, digests, locators and
//! places are found by index and trailer; each block is verified by itself.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::Depth;
use super::bits::Rows;
use super::group::{GROUP_HEADER_LEN, GroupHeader};
use super::layout::{DIGESTS, HEADER_LEN_MAX, Index, PACK_TRAILER_LEN, PackHeader, PackTrailer};
use super::reader::Pack;
use crate::codec::{FileHeader, Flip, Holds, Part, PartState, Reader, Sum, crc, find_flip};
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::log::{ChangeBlocks, Fault, FaultContext, LoggedChange, checked_block};
use crate::manifest::ValueFileInfo;
use crate::model::Address;
use crate::{Error, Result};

/// Longest head and table of a group.
const HEAD_LEN_MAX: usize = GROUP_HEADER_LEN + super::GROUP_MEMBERS_MAX * 22;
const CHUNK: usize = 64 << 10;

/// What is met on the way through a pack.
#[derive(Debug)]
pub enum PackItem {
    /// A part of the file.
    Part(Part),
    /// A sound group, behind its part: where, and what it says of itself.
    Group(u64, GroupHeader),
    /// A content of a sound group, at [`Depth::Contents`]; `None` if it is damaged.
    Content(Address, Option<Bytes>),
    /// The changes of a sound directory block, behind its part.
    Directory(Vec<LoggedChange>),
}

/// What is known of a pack after it was gone through.
#[derive(Clone, Debug, Default)]
pub struct PackSurvey {
    /// What all files have in front, if it is sound.
    pub common: Option<FileHeader>,
    /// Its header, if it is sound.
    pub header: Option<PackHeader>,
    /// Its trailer, if it is sound, or if a single bit mends it.
    pub trailer: Option<PackTrailer>,
    /// Under every checksum.
    pub salt: u64,
    /// Length of the file.
    pub len: u64,
    /// Sound groups.
    pub groups: u64,
    /// Changes in sound directory blocks.
    pub changes: u64,
}

struct Walk<'a> {
    file: &'a Arc<dyn File>,
    path: &'a Path,
    salt: u64,
    header_len: u64,
    out: PackSurvey,
    /// The bit that was turned back to read the trailer.
    trailer_flip: Option<Flip>,
    visit: &'a mut dyn FnMut(PackItem) -> Result<()>,
}

/// Goes through a pack.
///
/// # Errors
/// `Io`, and those of `visit`. Damage is no error here.
pub fn dissect_pack(
    file: &Arc<dyn File>,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(PackItem) -> Result<()>,
) -> Result<PackSurvey> {
    let len = file.len().context("read the length of", path)?;
    let out = PackSurvey { len, ..PackSurvey::default() };
    let mut walk = Walk { file, path, salt: 0, header_len: 0, out, trailer_flip: None, visit };
    walk.header()?;
    walk.groups(depth)?;
    walk.tail()?;
    walk.out.salt = walk.salt;
    Ok(walk.out)
}

/// What a manifest would say of a pack: for rebuilding and repairing.
///
/// # Errors
/// `Corrupt` if header or trailer are damaged; `Unsupported`, `Io`.
pub fn describe_pack(file: &dyn File, path: &Path) -> Result<(PackHeader, ValueFileInfo)> {
    let mut start = vec![0; HEADER_LEN_MAX];
    let n = read_at_most(file, &mut start, 0).context("read", path)?;
    let start = start.get(..n).unwrap_or_default();
    let common = FileHeader::decode(path, start)?;
    let (header, _) = PackHeader::decode(path, start, &common.store, common.id)?;
    let len = file.len().context("read the length of", path)?;
    let at = len.saturating_sub(PACK_TRAILER_LEN as u64);
    let mut end = vec![0; PACK_TRAILER_LEN];
    let n = read_at_most(file, &mut end, at).context("read", path)?;
    let decoded = PackTrailer::decode(end.get(..n).unwrap_or_default(), at, &header);
    let trailer = decoded.map_err(|fault| fault.into_error(path, at, "the whole pack"))?;
    let mut hash = blake3::Hasher::new();
    let (mut at, mut bytes) = (0_u64, vec![0; CHUNK]);
    while at < len {
        let n = read_at_most(file, &mut bytes, at).context("read", path)?;
        if n == 0 {
            break;
        }
        hash.update(bytes.get(..n).unwrap_or_default());
        at = at.saturating_add(n as u64);
    }
    let info = ValueFileInfo {
        id: header.id,
        kind: common.kind,
        len,
        blake3: *hash.finalize().as_bytes(),
        sequence_first: header.rectangle.sequence_first,
        sequence_last: header.rectangle.sequence_last,
        entity_first: header.rectangle.entity_first.clone(),
        entity_last: header.rectangle.entity_last.clone(),
        generation: header.generation,
        annotation_watermark: header.annotation_watermark,
        records: trailer.records,
        raw_bytes: trailer.raw_bytes,
        stored_bytes: trailer.stored_bytes,
        live_bytes: trailer.stored_bytes,
        last_checksum: trailer.last_checksum,
    };
    Ok((header, info))
}

/// The contents of the group that stands at a place, each if it is what was put in.
///
/// # Errors
/// `Corrupt` if there is no valid group; `Unsupported`, `Io`.
pub fn read_group(file: &dyn File, path: &Path, at: u64, salt: u64) -> Result<Vec<(Address, Option<Bytes>)>> {
    let mut head = vec![0; HEAD_LEN_MAX];
    let n = read_at_most(file, &mut head, at).context("read", path)?;
    let affected = || "the contents of a group".to_owned();
    let (header, head_len) =
        GroupHeader::decode(head.get(..n).unwrap_or_default(), at, salt).in_file(path, at, affected)?;
    let mut stored = vec![0; header.stored_len as usize];
    let n = read_at_most(file, &mut stored, at.saturating_add(head_len as u64)).context("read", path)?;
    stored.truncate(n);
    let stored = Bytes::from(stored);
    if stored.len() != header.stored_len as usize || crc(&stored) != header.stored_crc {
        return Err(Fault::malformed(head_len, "the checksum of the group").into_error(path, at, affected()));
    }
    let raw = header.open(&stored, header.raw_len as usize).in_file(path, at, affected)?;
    let members = header.members.iter().enumerate();
    Ok(members.map(|(index, member)| (member.address, header.member(&raw, index).ok())).collect())
}

fn state_of(error: Error) -> Result<PartState> {
    match error {
        Error::Corrupt(damage) => {
            Ok(PartState::Damaged(format!("expected {}, found {}", damage.expected, damage.found)))
        }
        Error::Unsupported { what, .. } => Ok(PartState::Unsupported(what)),
        other => Err(other),
    }
}

fn fault_state(fault: Fault) -> PartState {
    match fault {
        Fault::Malformed(bad) => PartState::Damaged(format!("expected {}", bad.expected)),
        Fault::Unsupported(what) => PartState::Unsupported(what),
    }
}

impl Walk<'_> {
    fn part(&mut self, part: Part) -> Result<()> {
        (self.visit)(PackItem::Part(part))
    }

    fn read(&self, at: u64, len: usize) -> Result<Bytes> {
        let mut bytes = vec![0; len];
        let n = read_at_most(&**self.file, &mut bytes, at).context("read", self.path)?;
        bytes.truncate(n);
        Ok(Bytes::from(bytes))
    }

    fn flip(&self, sum: &Sum) -> Result<Option<Flip>> {
        find_flip(sum, &mut |at, len| self.read(at, len))
    }

    fn header(&mut self) -> Result<()> {
        let bytes = self.read(0, HEADER_LEN_MAX)?;
        let mut part = Part::sound("header", 0, 64, "").holding(Holds::derived());
        // Where the header cannot be read, its length and the salt are taken as they stand: the groups prove them.
        let mut reader = Reader::new(&bytes);
        let _ = reader.bytes(12, "a header");
        self.header_len = reader.u32("a header length").map_or(0, u64::from).min(HEADER_LEN_MAX as u64);
        let _ = reader.bytes(72, "a header");
        self.salt = reader.u64("a salt").unwrap_or_default();
        part.len = self.header_len;
        match FileHeader::decode(self.path, &bytes) {
            Ok(common) => {
                self.out.common = Some(common);
                match PackHeader::decode(self.path, &bytes, &common.store, common.id) {
                    Ok((header, len)) => {
                        let rectangle = &header.rectangle;
                        part.what = format!(
                            "changes {} to {}, generation {}",
                            rectangle.sequence_first, rectangle.sequence_last, header.generation
                        );
                        part.len = len as u64;
                        self.header_len = len as u64;
                        self.salt = header.salt();
                        self.out.header = Some(header);
                    }
                    Err(error) => part.state = state_of(error)?,
                }
            }
            Err(error) => part.state = state_of(error)?,
        }
        if part.state.is_damage() {
            let body = self.header_len.saturating_sub(4);
            part.flip = self.flip(&Sum { ranges: vec![(0, body)], at: body, ..Sum::default() })?;
        }
        self.trailer()?;
        self.part(part)
    }

    fn trailer(&mut self) -> Result<()> {
        let at = self.out.len.checked_sub(PACK_TRAILER_LEN as u64);
        let (Some(at), Some(header)) = (at, self.out.header.clone()) else { return Ok(()) };
        let mut bytes = self.read(at, PACK_TRAILER_LEN)?.to_vec();
        self.out.trailer = PackTrailer::decode(&bytes, at, &header).ok();
        if self.out.trailer.is_none() {
            // With one bit turned back it says all that it said: the rest is found by it.
            let body = PACK_TRAILER_LEN as u64 - 4;
            let sum = Sum { numbers: vec![at], ranges: vec![(at, body)], at: at.saturating_add(body) };
            if let Some(flip) = self.flip(&sum)? {
                flip.mend(at, &mut bytes);
                self.out.trailer = PackTrailer::decode(&bytes, at, &header).ok();
                self.trailer_flip = self.out.trailer.is_some().then_some(flip);
            }
        }
        Ok(())
    }

    fn groups_end(&self) -> u64 {
        self.out.trailer.map_or(self.out.len, |trailer| trailer.directory_at)
    }

    fn groups(&mut self, depth: Depth) -> Result<()> {
        let end = self.groups_end();
        let mut at = self.header_len.max(64);
        while at < end {
            let head = self.read(at, HEAD_LEN_MAX)?;
            let (header, head_len) = match GroupHeader::decode(&head, at, self.salt) {
                Ok(found) => found,
                Err(fault) => {
                    let next = self.next_group(at, end)?;
                    let stop = next.unwrap_or(end);
                    // Without a trailer nothing says where the groups end.
                    if next.is_none() && self.out.trailer.is_none() {
                        let state = PartState::Damaged("expected a trailer at the end of the file".into());
                        let part = Part {
                            state,
                            ..Part::sound("tail", at, end.saturating_sub(at), "directory, digests, locators")
                        };
                        return self.part(part.holding(self.all()));
                    }
                    let mut part = Part {
                        state: fault_state(fault),
                        ..Part::sound("group", at, stop.saturating_sub(at), "")
                    };
                    part.holds = self.all();
                    part.flip = self.head_flip(at, &head)?;
                    self.part(part)?;
                    at = stop;
                    continue;
                }
            };
            at = self.group(at, header, head_len, depth)?;
        }
        Ok(())
    }

    /// Everything that the pack holds.
    fn all(&self) -> Holds {
        let mut holds = Holds::default();
        if let Some(header) = &self.out.header {
            let rectangle = &header.rectangle;
            holds = Holds::sequences(rectangle.sequence_first, rectangle.sequence_last);
            let last = &rectangle.entity_last;
            holds.entities = Some((rectangle.entity_first.clone(), (!last.is_empty()).then(|| last.clone())));
        }
        holds
    }

    fn group(&mut self, at: u64, header: GroupHeader, head_len: usize, depth: Depth) -> Result<u64> {
        let stored_at = at.saturating_add(head_len as u64);
        let stored = self.read(stored_at, header.stored_len as usize)?;
        let len = (head_len as u64).saturating_add(u64::from(header.stored_len));
        let what = format!("{} contents, {} bytes", header.members.len(), header.raw_len);
        let mut part = Part::sound("group", at, len, what);
        let sequences = || header.members.iter().map(|member| member.address.sequence);
        part.holds = Holds::sequences(sequences().min().unwrap_or(1), sequences().max().unwrap_or(0));
        let end = part.end();
        let sound = stored.len() as u64 == u64::from(header.stored_len) && crc(&stored) == header.stored_crc;
        if !sound {
            part.state = PartState::Damaged("expected the checksum of the group".into());
            let ranges = vec![(stored_at, u64::from(header.stored_len))];
            part.flip = self.flip(&Sum { ranges, at: at.saturating_add(24), ..Sum::default() })?;
        }
        let raw = match (sound, depth) {
            (true, Depth::Contents) => match header.open(&stored, header.raw_len as usize) {
                Ok(raw) => Some(raw),
                Err(bad) => {
                    part.state = PartState::Damaged(format!("expected {}", bad.expected));
                    None
                }
            },
            _ => None,
        };
        self.part(part)?;
        if sound {
            self.out.groups = self.out.groups.saturating_add(1);
            (self.visit)(PackItem::Group(at, header.clone()))?;
        }
        if depth == Depth::Contents {
            for (index, member) in header.members.iter().enumerate() {
                let content = raw.as_ref().and_then(|raw| header.member(raw, index).ok());
                (self.visit)(PackItem::Content(member.address, content))?;
            }
        }
        Ok(end)
    }

    /// The next place where a group's head proves itself.
    fn next_group(&self, at: u64, end: u64) -> Result<Option<u64>> {
        let mut from = at.saturating_add(1);
        while from < end {
            let bytes = self.read(from, CHUNK)?;
            if bytes.is_empty() {
                break;
            }
            for (index, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == 0xc6) {
                let place = from.saturating_add(index as u64);
                if place < end
                    && GroupHeader::decode(&self.read(place, HEAD_LEN_MAX)?, place, self.salt).is_ok()
                {
                    return Ok(Some(place));
                }
            }
            from = from.saturating_add(bytes.len() as u64);
        }
        Ok(None)
    }

    /// The bit that made a group's head invalid: those of the fixed part one by one (a length changes what is covered), then the table.
    fn head_flip(&self, at: u64, head: &Bytes) -> Result<Option<Flip>> {
        let mut copy = head.to_vec();
        for bit in 0..GROUP_HEADER_LEN.saturating_mul(8) {
            let mask = 1_u8.wrapping_shl((bit % 8) as u32);
            let turn =
                |copy: &mut Vec<u8>| copy.iter_mut().skip(bit / 8).take(1).for_each(|byte| *byte ^= mask);
            turn(&mut copy);
            if GroupHeader::decode(&copy, at, self.salt).is_ok() {
                return Ok(Some(Flip { offset: at.saturating_add((bit / 8) as u64), bit: (bit % 8) as u8 }));
            }
            turn(&mut copy);
        }
        let mut reader = Reader::new(head);
        let _ = reader.bytes(28, "a head");
        let table = reader.u16("a length").map_or(0, u64::from);
        let ranges = vec![(at, 32), (at.saturating_add(GROUP_HEADER_LEN as u64), table)];
        self.flip(&Sum { numbers: vec![self.salt, at], ranges, at: at.saturating_add(32) })
    }

    fn tail(&mut self) -> Result<()> {
        let (Some(trailer), Some(header)) = (self.out.trailer, self.out.header.clone()) else {
            return Ok(());
        };
        let end = self.out.len.saturating_sub(PACK_TRAILER_LEN as u64);
        let index_len = end.saturating_sub(trailer.index_at);
        let bytes = self.read(trailer.index_at, usize::try_from(index_len).unwrap_or(0))?;
        let index = checked_block(&bytes, trailer.index_at, self.salt)
            .map_err(Fault::from)
            .and_then(|entries| Ok(Index::decode(entries, &header, &trailer)?));
        match index {
            Err(fault) => {
                let why = "expected an index that says where its blocks are";
                let len = trailer.index_at.saturating_sub(trailer.directory_at);
                let holds = self.all();
                self.part(Part::damaged("tail", trailer.directory_at, len, why).holding(holds))?;
                let mut part = Part {
                    state: fault_state(fault),
                    ..Part::sound("index", trailer.index_at, index_len, "")
                };
                part.holds = Holds::derived();
                part.flip = self.flip(&self.block_sum(trailer.index_at, index_len))?;
                self.part(part)?;
            }
            Ok(index) => {
                let pack = Pack::from_parts(
                    self.path,
                    self.file,
                    header,
                    self.header_len,
                    trailer,
                    index,
                    self.salt,
                );
                self.directory(&pack)?;
                self.blocks(&pack)?;
                let what = "where these blocks are";
                self.part(Part::sound("index", trailer.index_at, index_len, what).holding(Holds::derived()))?;
            }
        }
        let what =
            format!("{} changes, {} contents, {} groups", trailer.records, trailer.contents, trailer.groups);
        let mut part = Part::sound("trailer", end, PACK_TRAILER_LEN as u64, what).holding(Holds::derived());
        if let Some(flip) = self.trailer_flip {
            part.state = PartState::Damaged("expected the checksum of the trailer".into());
            part.flip = Some(flip);
        }
        self.part(part)
    }

    fn block_sum(&self, at: u64, len: u64) -> Sum {
        let body = len.saturating_sub(4);
        Sum { numbers: vec![self.salt, at], ranges: vec![(at, body)], at: at.saturating_add(body) }
    }

    fn directory(&mut self, pack: &Pack) -> Result<()> {
        for (block, place) in pack.index.directory.iter().enumerate() {
            let len = u64::from(place.gaps_len).saturating_add(u64::from(place.len));
            let last = pack
                .index
                .directory
                .get(block.saturating_add(1))
                .map_or(pack.trailer.sequence_last, |next| next.first_sequence.saturating_sub(1));
            let what = format!("{} changes from {} on", place.records, place.first_sequence);
            let mut part = Part::sound("directory", place.offset, len, what);
            part.holds = Holds::sequences(place.first_sequence, last);
            match pack.read_block(block) {
                Ok(changes) => {
                    self.part(part)?;
                    self.out.changes = self.out.changes.saturating_add(changes.len() as u64);
                    (self.visit)(PackItem::Directory(changes))?;
                }
                Err(error) => {
                    part.state = state_of(error)?;
                    let at = place.offset.saturating_add(u64::from(place.gaps_len));
                    let body = u64::from(place.len).saturating_sub(40);
                    let ranges = vec![(at, 36), (at.saturating_add(40), body)];
                    part.flip =
                        self.flip(&Sum { numbers: vec![self.salt, at], ranges, at: at.saturating_add(36) })?;
                    self.part(part)?;
                }
            }
        }
        Ok(())
    }

    /// Digests, locators and places of groups.
    fn blocks(&mut self, pack: &Pack) -> Result<()> {
        let mut blocks = Vec::new();
        let (mut at, mut left) = (pack.trailer.digests_at, pack.trailer.contents);
        while left > 0 {
            let count = left.min(DIGESTS as u64);
            let len = count.saturating_mul(32).saturating_add(9);
            blocks.push(("digests", at, len, format!("{count} digests")));
            at = at.saturating_add(len);
            left = left.saturating_sub(count);
        }
        let locators = pack.index.locators.iter();
        blocks.extend(locators.map(|place| {
            (
                "locators",
                place.offset,
                u64::from(place.len),
                format!("from change {} on", place.first.sequence),
            )
        }));
        let places = pack.index.places.iter();
        blocks.extend(places.map(|(at, len)| ("places", *at, u64::from(*len), "of groups".into())));
        for (kind, at, len, what) in blocks {
            let bytes = self.read(at, usize::try_from(len).unwrap_or(0))?;
            let mut part = Part::sound(kind, at, len, what).holding(Holds::derived());
            if let Err(bad) = checked_block(&bytes, at, self.salt) {
                part.state = PartState::Damaged(format!("expected {}", bad.expected));
                part.flip = self.flip(&self.block_sum(at, len))?;
            } else if kind == "places" {
                let entries = checked_block(&bytes, at, self.salt).map(|entries| bytes.slice_ref(entries));
                if let Some(bad) = entries.ok().and_then(|entries| Rows::<1>::open(&entries).err()) {
                    part.state = PartState::Damaged(format!("expected {}", bad.expected));
                }
            }
            self.part(part)?;
        }
        Ok(())
    }
}
