//! The header of a pack, its index and its trailer.
//!
//! ```text
//! header:   0 common header        64   kind 5, version 1            trailer:  0 magic              8   "RCNPACK\n"
//!          64 first sequence       u64  ) the rectangle                        8 version            u16  1
//!          72 last sequence        u64  )                                     10 packer             u16
//!          80 annotation watermark u64                                        12 trailer length     u32
//!          88 salt                 u64  under every checksum                  16 salt               u64
//!          96 generation           u32                                        24 first, last sequence, annotation watermark
//!         100 libzstd              u32                                        48 records, contents, groups
//!         104 packer               u16                                        72 raw bytes, stored bytes
//!         106 level                u16                                        88 directory at, digests at, locators at,
//!         108 first entity length  u16                                           places at, index at   u64 each
//!         110 last entity length   u16                                       128 generation         u32
//!         112 first entity, last entity (empty: no bound)                    132 libzstd            u32
//!             zeros up to a multiple of 8                                    136 last checksum      u32  of the last frame packed
//!             reserved u32, checksum u32 of all before                       140 level              u32
//!                                                                            144 features           u64  reserved: 0
//!                                                                            152 tail checksum      u32  of directory up to here
//!                                                                            156 checksum           u32  of own offset, 0..156
//! ```
//!
//! The salt is a hash of store, rectangle, generation and watermark, and the trailer does not name the file, so that everything behind the
//! header is a function of what is packed and by which packer.

use std::path::Path;

use bytes::Bytes;

use crate::codec::{
    Crc, FILE_HEADER_LEN, FileHeader, FileId, FileKind, Malformed, Reader, crc, put_bytes, put_u16, put_u32,
    put_u64, put_varint,
};
use crate::limits;
use crate::log::Fault;
use crate::model::Address;
use crate::{Error, Result};

/// Format version that is written, and the newest that is read.
pub const PACK_VERSION: u16 = 1;
/// Which rules grouped and ordered the contents; changes whenever other bytes would come out.
pub const PACKER: u16 = 1;
/// Length of a trailer.
pub const PACK_TRAILER_LEN: usize = 160;
/// Digests of a block.
pub(super) const DIGESTS: usize = 128;
/// Kind of a block of digests that are all there.
pub(super) const DIGESTS_PLAIN: u8 = 0;
/// Kind of a block in which zeros stand for digests that were erased.
pub(super) const DIGESTS_ERASED: u8 = 2;
/// Longest header.
pub(super) const HEADER_LEN_MAX: usize = 112 + 2 * limits::ENTITY_LEN_MAX + 8;

const FIXED_LEN: usize = 112;
const MAGIC: &[u8; 8] = b"RCNPACK\n";

/// Which changes a value file holds: a range of sequence numbers × a range of entities, all bounds inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// First sequence number.
    pub sequence_first: u64,
    /// Last sequence number.
    pub sequence_last: u64,
    /// Smallest entity; empty: no lower bound.
    pub entity_first: Bytes,
    /// Largest entity; empty: no upper bound.
    pub entity_last: Bytes,
}

impl Rectangle {
    /// Whether an entity lies in it.
    pub fn has_entity(&self, entity: &[u8]) -> bool {
        entity >= &self.entity_first[..] && (self.entity_last.is_empty() || entity <= &self.entity_last[..])
    }

    /// Whether all entities from `first` to `last` lie in it; empty: no bound.
    pub fn covers_entities(&self, first: &[u8], last: &[u8]) -> bool {
        let from = self.entity_first[..] <= *first;
        let to = self.entity_last.is_empty() || !last.is_empty() && *last <= self.entity_last[..];
        from && to
    }

    /// Whether it has all entities: then it has every sequence number from first to last.
    pub fn is_whole(&self) -> bool {
        self.entity_first.is_empty() && self.entity_last.is_empty()
    }
}

/// What a pack says at its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// Of which store.
    pub store: [u8; 16],
    /// Which file.
    pub id: FileId,
    /// Which changes.
    pub rectangle: Rectangle,
    /// How often the rectangle was rewritten.
    pub generation: u32,
    /// Annotations up to this sequence number were applied.
    pub annotation_watermark: u64,
    /// Version of libzstd.
    pub libzstd: u32,
    /// See [`PACKER`].
    pub packer: u16,
    /// Level of the compressor.
    pub level: u16,
}

impl PackHeader {
    /// Under every checksum of the file.
    pub fn salt(&self) -> u64 {
        let mut key = self.store.to_vec();
        let rectangle = &self.rectangle;
        for n in [
            rectangle.sequence_first,
            rectangle.sequence_last,
            u64::from(self.generation),
            self.annotation_watermark,
        ] {
            put_u64(&mut key, n);
        }
        put_bytes(&mut key, &rectangle.entity_first);
        put_bytes(&mut key, &rectangle.entity_last);
        xxhash_rust::xxh3::xxh3_64(&key)
    }

    /// All bytes before the first group.
    pub(super) fn encode(&self) -> Vec<u8> {
        let rectangle = &self.rectangle;
        let entities = rectangle.entity_first.len() + rectangle.entity_last.len();
        let len = (FIXED_LEN + entities).next_multiple_of(8) + 8;
        let common = FileHeader {
            kind: FileKind::Pack,
            version: PACK_VERSION,
            header_len: len as u32,
            store: self.store,
            id: self.id,
        };
        let mut out = common.encode();
        put_u64(&mut out, rectangle.sequence_first);
        put_u64(&mut out, rectangle.sequence_last);
        put_u64(&mut out, self.annotation_watermark);
        put_u64(&mut out, self.salt());
        put_u32(&mut out, self.generation);
        put_u32(&mut out, self.libzstd);
        put_u16(&mut out, self.packer);
        put_u16(&mut out, self.level);
        put_u16(&mut out, rectangle.entity_first.len() as u16);
        put_u16(&mut out, rectangle.entity_last.len() as u16);
        out.extend_from_slice(&rectangle.entity_first);
        out.extend_from_slice(&rectangle.entity_last);
        out.resize(len - 4, 0);
        let checksum = crc(&out);
        put_u32(&mut out, checksum);
        out
    }

    /// Reads the header of pack `id` of `store` from the first bytes of a file; answers it and its length.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a valid header or not that pack's, `Unsupported` for a newer version.
    pub(super) fn decode(path: &Path, bytes: &[u8], store: &[u8; 16], id: FileId) -> Result<(Self, usize)> {
        let common = FileHeader::decode(path, bytes)?;
        common.require(path, FileKind::Pack, PACK_VERSION, store, id)?;
        let read = || -> Result<(Self, usize), Malformed> {
            let len = common.header_len as usize;
            let mut reader = Reader::new(bytes);
            if len > HEADER_LEN_MAX {
                return Err(reader.malformed("a header of a pack's length"));
            }
            let body = reader.bytes(len.saturating_sub(4), "a pack header")?;
            if reader.u32("a checksum")? != crc(body) {
                return Err(reader.malformed("the checksum of the pack header"));
            }
            let mut reader = Reader::new(body);
            reader.bytes(FILE_HEADER_LEN, "a file header")?;
            let sequence_first = reader.u64("a sequence number")?;
            let sequence_last = reader.u64("a sequence number")?;
            let annotation_watermark = reader.u64("a watermark")?;
            let salt = reader.u64("a salt")?;
            let generation = reader.u32("a generation")?;
            let libzstd = reader.u32("a version")?;
            let packer = reader.u16("a packer")?;
            let level = reader.u16("a level")?;
            let first = usize::from(reader.u16("a length")?);
            let last = usize::from(reader.u16("a length")?);
            let entity_first = Bytes::copy_from_slice(reader.bytes(first, "an entity")?);
            let entity_last = Bytes::copy_from_slice(reader.bytes(last, "an entity")?);
            let rectangle = Rectangle { sequence_first, sequence_last, entity_first, entity_last };
            let (store, id) = (common.store, common.id);
            let header =
                Self { store, id, rectangle, generation, annotation_watermark, libzstd, packer, level };
            if header.salt() != salt {
                return Err(reader.malformed("the salt of this rectangle"));
            }
            Ok((header, len))
        };
        read().map_err(|bad| Error::malformed(path, 0, bad, "the whole pack"))
    }
}

/// What a pack says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackTrailer {
    /// The file's salt.
    pub salt: u64,
    /// First sequence number of the rectangle.
    pub sequence_first: u64,
    /// Last sequence number of the rectangle.
    pub sequence_last: u64,
    /// Annotations up to this sequence number were applied.
    pub annotation_watermark: u64,
    /// Changes.
    pub records: u64,
    /// Contents.
    pub contents: u64,
    /// Group frames.
    pub groups: u64,
    /// Bytes of the contents, uncompressed.
    pub raw_bytes: u64,
    /// Bytes of the contents, as stored.
    pub stored_bytes: u64,
    /// Where the groups end and the directory starts.
    pub directory_at: u64,
    /// Where the digests start.
    pub digests_at: u64,
    /// Where the locators start.
    pub locators_at: u64,
    /// Where the places of the groups start.
    pub places_at: u64,
    /// Where the index starts.
    pub index_at: u64,
    /// How often the rectangle was rewritten.
    pub generation: u32,
    /// Version of libzstd.
    pub libzstd: u32,
    /// Checksum of the last log frame that was packed.
    pub last_checksum: u32,
    /// Level of the compressor.
    pub level: u32,
    /// Masked CRC of everything from the directory up to the trailer.
    pub tail_checksum: u32,
}

impl PackTrailer {
    pub(super) fn encode(&self, at: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(PACK_TRAILER_LEN);
        out.extend_from_slice(MAGIC);
        put_u16(&mut out, PACK_VERSION);
        put_u16(&mut out, PACKER);
        put_u32(&mut out, PACK_TRAILER_LEN as u32);
        for n in [
            self.salt,
            self.sequence_first,
            self.sequence_last,
            self.annotation_watermark,
            self.records,
            self.contents,
            self.groups,
            self.raw_bytes,
            self.stored_bytes,
            self.directory_at,
            self.digests_at,
            self.locators_at,
            self.places_at,
            self.index_at,
        ] {
            put_u64(&mut out, n);
        }
        for n in [self.generation, self.libzstd, self.last_checksum, self.level] {
            put_u32(&mut out, n);
        }
        put_u64(&mut out, 0);
        put_u32(&mut out, self.tail_checksum);
        let checksum = Crc::new().number(at).bytes(&out).finish();
        put_u32(&mut out, checksum);
        out
    }

    /// Reads the trailer that stands at `at`, the last bytes of the pack with this header. Its places are in order and in the file.
    pub(super) fn decode(bytes: &[u8], at: u64, header: &PackHeader) -> Result<Self, Fault> {
        let trailer = Self::decode_alone(bytes, at)?;
        let said = (trailer.salt, trailer.sequence_first, trailer.sequence_last, trailer.generation);
        let rectangle = &header.rectangle;
        if said != (header.salt(), rectangle.sequence_first, rectangle.sequence_last, header.generation)
            || trailer.annotation_watermark != header.annotation_watermark
        {
            return Err(Fault::malformed(16, "the rectangle that the header names"));
        }
        Ok(trailer)
    }

    /// The header of the pack that this is the trailer of. What it does not say comes from elsewhere.
    pub(super) fn header(&self, store: [u8; 16], id: FileId, entities: (Bytes, Bytes)) -> PackHeader {
        let level = u16::try_from(self.level).unwrap_or(u16::MAX);
        let rectangle = Rectangle {
            sequence_first: self.sequence_first,
            sequence_last: self.sequence_last,
            entity_first: entities.0,
            entity_last: entities.1,
        };
        let (generation, annotation_watermark) = (self.generation, self.annotation_watermark);
        let (libzstd, packer) = (self.libzstd, PACKER);
        PackHeader { store, id, rectangle, generation, annotation_watermark, libzstd, packer, level }
    }

    /// The same without a header to compare with.
    pub(super) fn decode_alone(bytes: &[u8], at: u64) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let body = reader.bytes(PACK_TRAILER_LEN - 4, "a trailer")?;
        let stored = reader.u32("a checksum")?;
        reader.end("the end of the file")?;
        let mut reader = Reader::new(body);
        if reader.bytes(8, "a trailer")? != MAGIC {
            return Err(Fault::malformed(0, "the magic of a pack's trailer"));
        }
        if Crc::new().number(at).bytes(body).finish() != stored {
            return Err(Fault::malformed(PACK_TRAILER_LEN - 4, "the checksum of the trailer"));
        }
        let version = reader.u16("a version")?;
        reader.u16("a packer")?;
        if version != PACK_VERSION || reader.u32("a length")? as usize != PACK_TRAILER_LEN {
            return Err(Fault::Unsupported(format!("pack trailers of version {version}")));
        }
        let mut next = || reader.u64("a field of the trailer");
        let mut trailer = Self {
            salt: next()?,
            sequence_first: next()?,
            sequence_last: next()?,
            annotation_watermark: next()?,
            records: next()?,
            contents: next()?,
            groups: next()?,
            raw_bytes: next()?,
            stored_bytes: next()?,
            directory_at: next()?,
            digests_at: next()?,
            locators_at: next()?,
            places_at: next()?,
            index_at: next()?,
            generation: 0,
            libzstd: 0,
            last_checksum: 0,
            level: 0,
            tail_checksum: 0,
        };
        trailer.generation = reader.u32("a generation")?;
        trailer.libzstd = reader.u32("a version")?;
        trailer.last_checksum = reader.u32("a checksum")?;
        trailer.level = reader.u32("a level")?;
        let features = reader.u64("features")?;
        trailer.tail_checksum = reader.u32("a checksum")?;
        if features != 0 {
            return Err(Fault::Unsupported(format!("pack trailers with features {features:#x}")));
        }
        let places = [
            trailer.directory_at,
            trailer.digests_at,
            trailer.locators_at,
            trailer.places_at,
            trailer.index_at,
            at,
        ];
        let digests = trailer.digests_at.checked_add(digests_len(trailer.contents));
        let counts = [trailer.records, trailer.contents, trailer.groups];
        if !places.is_sorted()
            || digests != Some(trailer.locators_at)
            || counts.into_iter().any(|count| count > u64::from(u32::MAX))
        {
            return Err(Fault::malformed(88, "places and counts that agree"));
        }
        Ok(trailer)
    }
}

/// Length of the digests of so many contents.
pub(super) fn digests_len(contents: u64) -> u64 {
    contents.saturating_mul(32).saturating_add(contents.div_ceil(DIGESTS as u64).saturating_mul(9))
}

/// A directory block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DirectoryPlace {
    /// Where its gaps stand, or if it has none, the block.
    pub offset: u64,
    /// Of the gaps; 0 if its sequence numbers are consecutive.
    pub gaps_len: u32,
    pub len: u32,
    pub first_sequence: u64,
    pub records: u32,
    /// Contents of the blocks before it.
    pub contents_before: u64,
}

/// A block of locators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocatorPlace {
    pub offset: u64,
    pub len: u32,
    pub first: Address,
}

/// Where everything in the tail is. Kept in memory while the pack is open: 48 bytes per directory block, 32 per 256 contents, 16 per
/// 256 groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub directory: Vec<DirectoryPlace>,
    pub locators: Vec<LocatorPlace>,
    /// Offset and length of the blocks of group places.
    pub places: Vec<(u64, u32)>,
}

impl Index {
    /// Varints, without the end of a block.
    pub fn encode(&self, rectangle: &Rectangle, out: &mut Vec<u8>) {
        put_bytes(out, &rectangle.entity_first);
        put_bytes(out, &rectangle.entity_last);
        let mut sequence = rectangle.sequence_first;
        let mut contents = 0;
        put_varint(out, self.directory.len() as u64);
        for place in &self.directory {
            put_varint(out, u64::from(place.gaps_len));
            put_varint(out, u64::from(place.len));
            put_varint(out, place.first_sequence - sequence);
            put_varint(out, u64::from(place.records));
            put_varint(out, place.contents_before - contents);
            sequence = place.first_sequence;
            contents = place.contents_before;
        }
        let mut sequence = rectangle.sequence_first;
        put_varint(out, self.locators.len() as u64);
        for place in &self.locators {
            put_varint(out, u64::from(place.len));
            put_varint(out, place.first.sequence - sequence);
            put_varint(out, u64::from(place.first.slot));
            sequence = place.first.sequence;
        }
        put_varint(out, self.places.len() as u64);
        self.places.iter().for_each(|(_, len)| put_varint(out, u64::from(*len)));
    }

    /// The entities that a verified index names: those of the pack's rectangle.
    pub fn entities(bytes: &[u8]) -> Result<(Bytes, Bytes), Malformed> {
        let mut reader = Reader::new(bytes);
        let mut entity = || reader.prefixed(limits::ENTITY_LEN_MAX, "an entity").map(Bytes::copy_from_slice);
        Ok((entity()?, entity()?))
    }

    /// Reads a verified index. All places are in the parts of the file that the trailer names.
    pub fn decode(bytes: &[u8], header: &PackHeader, trailer: &PackTrailer) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let entities = [
            reader.prefixed(limits::ENTITY_LEN_MAX, "an entity")?,
            reader.prefixed(limits::ENTITY_LEN_MAX, "an entity")?,
        ];
        let rectangle = &header.rectangle;
        if entities != [&rectangle.entity_first[..], &rectangle.entity_last[..]] {
            return Err(reader.malformed("the rectangle that the header names"));
        }
        let max = u64::from(u32::MAX);
        let mut index = Self::default();
        let mut at = trailer.directory_at;
        let (mut sequence, mut contents, mut records) = (rectangle.sequence_first, 0_u64, 0_u64);
        // Counts are bounded by the bytes that are there: every entry takes some.
        for _ in 0..reader.varint_max(bytes.len() as u64, "a number of blocks")? {
            let gaps_len = reader.varint_max(max, "a length")? as u32;
            let len = reader.varint_max(max, "a length")? as u32;
            let bad = reader.malformed("directory blocks in order");
            sequence = sequence.checked_add(reader.varint("a sequence number")?).ok_or(bad)?;
            let count = reader.varint_max(max, "a number of records")? as u32;
            contents = contents.checked_add(reader.varint("a number of contents")?).ok_or(bad)?;
            records = records.saturating_add(u64::from(count));
            index.directory.push(DirectoryPlace {
                offset: at,
                gaps_len,
                len,
                first_sequence: sequence,
                records: count,
                contents_before: contents,
            });
            at =
                at.checked_add(u64::from(gaps_len)).and_then(|n| n.checked_add(u64::from(len))).ok_or(bad)?;
        }
        if at != trailer.digests_at || records != trailer.records || contents > trailer.contents {
            return Err(reader.malformed("directory blocks up to the digests"));
        }
        let mut at = trailer.locators_at;
        let mut sequence = rectangle.sequence_first;
        for _ in 0..reader.varint_max(bytes.len() as u64, "a number of blocks")? {
            let len = reader.varint_max(max, "a length")? as u32;
            let bad = reader.malformed("locator blocks in order");
            sequence = sequence.checked_add(reader.varint("a sequence number")?).ok_or(bad)?;
            let slot = reader.varint_max(u64::from(u16::MAX), "a slot")? as u16;
            index.locators.push(LocatorPlace { offset: at, len, first: Address { sequence, slot } });
            at = at.checked_add(u64::from(len)).ok_or(bad)?;
        }
        if at != trailer.places_at
            || index.locators.len() as u64 != trailer.contents.div_ceil(super::bits::ROWS as u64)
        {
            return Err(reader.malformed("locators up to the places of the groups"));
        }
        let mut at = trailer.places_at;
        for _ in 0..reader.varint_max(bytes.len() as u64, "a number of blocks")? {
            let len = reader.varint_max(max, "a length")? as u32;
            index.places.push((at, len));
            at = at.checked_add(u64::from(len)).ok_or(reader.malformed("blocks in order"))?;
        }
        if at != trailer.index_at
            || index.places.len() as u64 != trailer.groups.div_ceil(super::bits::ROWS as u64)
        {
            return Err(reader.malformed("places of groups up to the index"));
        }
        reader.end("the end of the index")?;
        Ok(index)
    }
}
