//! Going through a pack without believing anything, and on behind damage.
//!
//! ```text
//!  header │ group │ ░░ damaged ░░ │ group │ … │ directory │ digests │ locators │ places │ index │ trailer
//! ```
//! | what is damaged | how it goes on |
//! |---|---|
//! | header | trailer and index say what it said: salt, rectangle, generation |
//! | a group's head | behind it the next group is found: its head proves itself. The locators say which contents were in it |
//! | a block of digests | the changes are read all the same, without them |
//! | index or trailer | directory blocks prove themselves and say their length: they are found one behind the other, the digests behind them |
//!
//! A trailer that a single bit mends counts.

mod groups;
mod tail;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use groups::read_group;

use super::Depth;
use super::group::{GROUP_HEADER_LEN, GroupHeader};
use super::index::Index;
use super::layout::{HEADER_LEN_MAX, PackHeader};
use super::reader::Pack;
use super::trailer::{PACK_TRAILER_LEN, PackTrailer};
use crate::Result;
use crate::codec::{FileHeader, FileId, Flip, Holds, Malformed, Part, Reader, Sum};
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::log::{Fault, LoggedChange, checked_block};
use crate::manifest::ValueFileInfo;
use crate::model::Address;
use crate::suspect::Suspect;

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
    /// The changes of a sound directory block, behind its part. Where a digest cannot be read it is [`Digest::UNREADABLE`](crate::model::Digest::UNREADABLE).
    Directory(Vec<LoggedChange>),
}

/// What is known of a pack after it was gone through.
#[derive(Clone, Debug, Default)]
pub struct PackSurvey {
    /// What all files have in front, if it is sound, or if a single bit mends it.
    pub common: Option<FileHeader>,
    /// Its header; if that is damaged, what a single bit makes of it or trailer and index say. Then the store may be unknown (zeros).
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
    suspect: Suspect<'a>,
    salt: u64,
    /// Where the groups start.
    header_len: u64,
    out: PackSurvey,
    /// The bit that was turned back to read the trailer.
    trailer_flip: Option<Flip>,
    /// The pack as a reader has it, if header, trailer and index can be read, or made up from each other.
    pack: Option<Pack>,
    /// What is wrong with the index.
    index_fault: Option<Fault>,
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
    let mut walk = Walk {
        suspect: Suspect { file, path },
        salt: 0,
        header_len: 0,
        out: PackSurvey { len, ..PackSurvey::default() },
        trailer_flip: None,
        pack: None,
        index_fault: None,
        visit,
    };
    let header = walk.header()?;
    walk.trailer()?;
    walk.index()?;
    walk.header_part(header)?;
    let groups_end = walk.groups(depth)?;
    walk.tail(groups_end)?;
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

impl Walk<'_> {
    fn part(&mut self, part: Part) -> Result<()> {
        (self.visit)(PackItem::Part(part))
    }

    fn read(&self, at: u64, len: usize) -> Result<Bytes> {
        self.suspect.read(at, len)
    }

    fn flip(&self, sum: &Sum) -> Result<Option<Flip>> {
        self.suspect.flip(sum)
    }

    /// The header; answers its part.
    fn header(&mut self) -> Result<Part> {
        let mut bytes = self.read(0, HEADER_LEN_MAX)?.to_vec();
        let mut part = Part::sound("header", 0, 0, "").holding(Holds::derived());
        // Where nothing else says it, the salt is taken as it stands: the groups prove it.
        let mut reader = Reader::new(&bytes);
        let _ = reader.bytes(88, "a header");
        self.salt = reader.u64("a salt").unwrap_or_default();
        let Err(error) = self.decode_header(&bytes, &mut part) else { return Ok(part) };
        part.state = error.try_into()?;
        if part.state.is_damage() {
            let mut reader = Reader::new(&bytes);
            let _ = reader.bytes(12, "a header");
            let body = u64::from(reader.u32("a header length").unwrap_or(0)).min(HEADER_LEN_MAX as u64);
            let body = body.saturating_sub(4);
            part.flip = self.flip(&Sum { ranges: vec![(0, body)], at: body, ..Sum::default() })?;
            if let Some(flip) = part.flip {
                flip.mend(0, &mut bytes);
                let _ = self.decode_header(&bytes, &mut part);
            }
        }
        Ok(part)
    }

    fn decode_header(&mut self, bytes: &[u8], part: &mut Part) -> Result<()> {
        let common = FileHeader::decode(self.suspect.path, bytes)?;
        self.out.common = Some(common);
        let (header, len) = PackHeader::decode(self.suspect.path, bytes, &common.store, common.id)?;
        self.header_len = len as u64;
        self.salt = header.salt();
        part.what = describe(&header);
        part.len = len as u64;
        self.out.header = Some(header);
        Ok(())
    }

    /// A header that cannot be read ends where the first group proves itself.
    fn header_part(&mut self, mut part: Part) -> Result<()> {
        if self.header_len == 0 {
            let end = self.groups_limit();
            let first =
                self.next_group(63, end.min(self.out.len.min(HEADER_LEN_MAX as u64 + CHUNK as u64)))?;
            self.header_len = first.unwrap_or(64).min(self.out.len);
            part.len = self.header_len;
            // Groups that went with it.
            if let Some(holds) = self.located(0, self.header_len) {
                part.holds = holds;
            }
            part.what = self.out.header.as_ref().map(describe).unwrap_or_default();
        }
        self.part(part)
    }

    fn trailer(&mut self) -> Result<()> {
        let Some(at) = self.out.len.checked_sub(PACK_TRAILER_LEN as u64) else { return Ok(()) };
        let mut bytes = self.read(at, PACK_TRAILER_LEN)?.to_vec();
        let decode = |bytes: &[u8], header: &Option<PackHeader>| match header {
            Some(header) => PackTrailer::decode(bytes, at, header).ok(),
            None => PackTrailer::decode_alone(bytes, at).ok(),
        };
        self.out.trailer = decode(&bytes, &self.out.header);
        if self.out.trailer.is_none() {
            // With one bit turned back it says all that it said: the rest is found by it.
            let body = PACK_TRAILER_LEN as u64 - 4;
            let sum = Sum { numbers: vec![at], ranges: vec![(at, body)], at: at.saturating_add(body) };
            if let Some(flip) = self.flip(&sum)? {
                flip.mend(at, &mut bytes);
                self.out.trailer = decode(&bytes, &self.out.header);
                self.trailer_flip = self.out.trailer.is_some().then_some(flip);
            }
        }
        Ok(())
    }

    /// The index; with it and the trailer, a header that is damaged.
    fn index(&mut self) -> Result<()> {
        let Some(trailer) = self.out.trailer else { return Ok(()) };
        let end = self.out.len.saturating_sub(PACK_TRAILER_LEN as u64);
        let len = usize::try_from(end.saturating_sub(trailer.index_at)).unwrap_or(0);
        let bytes = self.read(trailer.index_at, len)?;
        if self.out.header.is_none() {
            self.salt = trailer.salt;
        }
        let entries = checked_block(&bytes, trailer.index_at, self.salt);
        if self.out.header.is_none() {
            self.out.header = entries.ok().and_then(|entries| self.implied_header(&trailer, entries).ok());
        }
        let Some(header) = self.out.header.clone() else {
            self.index_fault = Some(Fault::malformed(0, "an index that says where its blocks are"));
            return Ok(());
        };
        match entries.map_err(Fault::from).and_then(|entries| Ok(Index::decode(entries, &header, &trailer)?))
        {
            Ok(index) => {
                let Suspect { file, path } = self.suspect;
                let groups_from = self.header_len.max(64);
                self.pack =
                    Some(Pack::from_parts(path, file, header, groups_from, trailer, index, self.salt));
            }
            Err(fault) => self.index_fault = Some(fault),
        }
        Ok(())
    }

    fn implied_header(&self, trailer: &PackTrailer, index: &[u8]) -> Result<PackHeader, Malformed> {
        let named = self.suspect.path.file_name().and_then(|name| FileId::parse(name.to_str()?));
        let store = self.out.common.map_or([0; 16], |common| common.store);
        let id = self.out.common.map(|common| common.id).or(named.map(|(id, _)| id));
        let id = id.unwrap_or(FileId { epoch: 0, number: 0 });
        Ok(trailer.header(store, id, Index::entities(index)?))
    }

    /// Where groups end, at the latest.
    fn groups_limit(&self) -> u64 {
        self.out.trailer.map_or(self.out.len, |trailer| trailer.directory_at)
    }

    /// Everything that the pack holds.
    fn all(&self) -> Holds {
        let mut holds = Holds::default();
        if let Some(header) = &self.out.header {
            let rectangle = &header.rectangle;
            holds = Holds::sequences(rectangle.sequence_first, rectangle.sequence_last);
            holds.entities = self.entities();
        }
        holds
    }

    /// The entities of the pack: the first, and the first name behind the last.
    fn entities(&self) -> Option<(Bytes, Option<Bytes>)> {
        let rectangle = &self.out.header.as_ref()?.rectangle;
        let last = &rectangle.entity_last;
        let behind = (!last.is_empty()).then(|| Bytes::from([&last[..], &[0]].concat()));
        (!rectangle.is_whole()).then(|| (rectangle.entity_first.clone(), behind))
    }
}

fn describe(header: &PackHeader) -> String {
    let rectangle = &header.rectangle;
    format!(
        "changes {} to {}, generation {}",
        rectangle.sequence_first, rectangle.sequence_last, header.generation
    )
}
