//! What a pack says at its end.
//!
//! ```text
//!   0 magic              8   "RCNPACK\n"       72 raw bytes, stored bytes
//!   8 version            u16  1                88 directory at, digests at, locators at, places at, index at   u64 each
//!  10 packer             u16                  128 generation         u32
//!  12 trailer length     u32                  132 libzstd            u32
//!  16 salt               u64                  136 last checksum      u32  of the last frame packed
//!  24 first, last sequence,                   140 level              u32
//!     annotation watermark                    144 features           u64  reserved: 0
//!  48 records, contents, groups               152 tail checksum      u32  of directory up to here
//!                                             156 checksum           u32  of own offset, 0..156
//! ```
//!
//! It does not name the file, so that everything behind the header is a function of what is packed and by which packer.

use bytes::Bytes;

use super::layout::{DIGESTS, PACK_VERSION, PACKER, PackHeader, Rectangle};
use crate::codec::{Crc, FileId, Reader, put_u16, put_u32, put_u64};
use crate::log::Fault;

/// Length of a trailer.
pub const PACK_TRAILER_LEN: usize = 160;
const MAGIC: &[u8; 8] = b"RCNPACK\n";

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
