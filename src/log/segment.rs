//! The header of a segment.
//!
//! ```text
//!   0  common header       64   kind 1, version 1, header length 144
//!  64  predecessor epoch   u64  )
//!  72  predecessor number  u64  ) 0, 0 for the first segment
//!  80  last sequence       u64  of the predecessor: this segment goes on behind it
//!  88  last checksum       u32  of the predecessor's last frame; 0 for the first segment
//!  92  shard               u16  reserved: 0
//!  94  region              u16  reserved: 0
//!  96  salt                u64  random: under every frame's checksum
//! 104  incarnation         u64  of the store
//! 112  created             i64  µs
//! 120  promise, file       u64  )
//! 128  promise, offset     u64  ) the log was known to be durable up to here
//! 136  reserved            u32  0
//! 140  checksum            u32  masked CRC of bytes 0..140
//! 144  frames
//! ```

use std::path::Path;

use super::Position;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind, Malformed, Reader, crc, put_u32, put_u64};
use crate::{Error, Result};

/// Length of a segment's header; the first frame stands here.
pub const SEGMENT_HEADER_LEN: usize = 144;
/// Format version that is written, and the newest that is read.
pub const SEGMENT_VERSION: u16 = 1;

const CHECKSUM_AT: usize = SEGMENT_HEADER_LEN - 4;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Of which store.
    pub store: [u8; 16],
    /// Which file.
    pub id: FileId,
    /// The segment before; (0, 0) for the first.
    pub predecessor: FileId,
    /// Sequence number of the last change before this segment; 0 for the first.
    pub predecessor_sequence: u64,
    /// Checksum of the last frame before this segment; 0 for the first.
    pub predecessor_checksum: u32,
    /// Random; under every frame's checksum.
    pub salt: u64,
    /// The store's incarnation when it was made.
    pub incarnation: u64,
    /// When it was made, µs.
    pub created: i64,
    /// The log was known to be durable up to here.
    pub promise: Position,
}

impl SegmentHeader {
    /// The 144 bytes.
    pub fn encode(&self) -> Vec<u8> {
        let common = FileHeader {
            kind: FileKind::Segment,
            version: SEGMENT_VERSION,
            header_len: SEGMENT_HEADER_LEN as u32,
            store: self.store,
            id: self.id,
        };
        let mut out = common.encode();
        put_u64(&mut out, self.predecessor.epoch);
        put_u64(&mut out, self.predecessor.number);
        put_u64(&mut out, self.predecessor_sequence);
        put_u32(&mut out, self.predecessor_checksum);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.salt);
        put_u64(&mut out, self.incarnation);
        put_u64(&mut out, self.created.cast_unsigned());
        put_u64(&mut out, self.promise.file);
        put_u64(&mut out, self.promise.offset);
        put_u32(&mut out, 0);
        let checksum = crc(&out);
        put_u32(&mut out, checksum);
        out
    }

    /// Reads the header of segment `id` of `store`.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a valid header or not that segment's, `Unsupported` for a newer version.
    pub fn decode(path: &Path, bytes: &[u8], store: &[u8; 16], id: FileId) -> Result<Self> {
        let common = FileHeader::decode(path, bytes)?;
        common.require(path, FileKind::Segment, SEGMENT_VERSION, store, id)?;
        let malformed = |bad: Malformed| Error::malformed(path, 0, bad, "the whole segment");
        let mut reader = Reader::new(bytes);
        let body = reader.bytes(CHECKSUM_AT, "a segment header").map_err(malformed)?;
        let checksum = reader.u32("a checksum").map_err(malformed)?;
        if common.header_len as usize != SEGMENT_HEADER_LEN || crc(body) != checksum {
            return Err(Error::corrupt(
                path,
                CHECKSUM_AT as u64,
                format!("segment header checksum {:08x}", crc(body)),
                format!("{checksum:08x}"),
                "the whole segment",
            ));
        }
        let read = || -> Result<Self, Malformed> {
            let mut reader = Reader::new(body);
            reader.bytes(FILE_HEADER_LEN, "a file header")?;
            let predecessor =
                FileId { epoch: reader.u64("a predecessor")?, number: reader.u64("a predecessor")? };
            let predecessor_sequence = reader.u64("a sequence number")?;
            let predecessor_checksum = reader.u32("a checksum")?;
            reader.u32("shard and region")?;
            Ok(Self {
                store: common.store,
                id: common.id,
                predecessor,
                predecessor_sequence,
                predecessor_checksum,
                salt: reader.u64("a salt")?,
                incarnation: reader.u64("an incarnation")?,
                created: reader.u64("a time")?.cast_signed(),
                promise: Position { file: reader.u64("a promise")?, offset: reader.u64("a promise")? },
            })
        };
        read().map_err(malformed)
    }

    /// The sequence number of the segment's first change.
    pub fn first_sequence(&self) -> u64 {
        self.predecessor_sequence.saturating_add(1)
    }
}
