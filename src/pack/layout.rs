//! The header of a pack, and which changes it has.
//!
//! ```text
//!   0 common header        64   kind 5, version 1      104 packer               u16
//!  64 first sequence       u64  ) the rectangle        106 level                u16
//!  72 last sequence        u64  )                      108 first entity length  u16
//!  80 annotation watermark u64                         110 last entity length   u16
//!  88 salt                 u64  under every checksum   112 first entity, last entity (empty: no bound)
//!  96 generation           u32                             zeros up to a multiple of 8
//! 100 libzstd              u32                             reserved u32, checksum u32 of all before
//! ```
//!
//! The salt is a hash of store, rectangle, generation and watermark.

use std::path::Path;

use bytes::Bytes;

use crate::codec::{
    FILE_HEADER_LEN, FileHeader, FileId, FileKind, Malformed, Reader, crc, put_bytes, put_u16, put_u32,
    put_u64,
};
use crate::limits;
use crate::{Error, Result};

/// Format version that is written, and the newest that is read.
pub const PACK_VERSION: u16 = 1;
/// Which rules grouped and ordered the contents; changes whenever other bytes would come out.
pub const PACKER: u16 = 1;
/// Digests of a block.
pub(super) const DIGESTS: usize = 128;
/// Kind of a block of digests that are all there.
pub(super) const DIGESTS_PLAIN: u8 = 0;
/// Kind of a block in which zeros stand for digests that were erased.
pub(super) const DIGESTS_ERASED: u8 = 2;
/// Longest header.
pub(super) const HEADER_LEN_MAX: usize = 112 + 2 * limits::ENTITY_LEN_MAX + 8;

const FIXED_LEN: usize = 112;

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
