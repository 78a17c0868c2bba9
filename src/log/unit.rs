//! A stored content.
//!
//! A unit describes itself, so that it can be read with one `pread`, checked without decompressing, and moved to another value
//! file as it is:
//!
//! ```text
//!  0  magic         u8   c5
//!  1  kind          u8   1 one content; 2 reserved: a group frame (contents of several revisions in one zstd frame)
//!  2  codec         u8   0 raw, 1 lz4, 2 zstd
//!  3  crypt         u8   reserved: 0 = not encrypted (else the stored bytes start with the nonce)
//!  4  key id        u16  reserved: 0
//!  6  slot          u16
//!  8  sequence      u64  of the change that wrote it; with the slot: its address
//! 16  stored length u32
//! 20  raw length    u32
//! 24  raw checksum  u32  masked CRC of the uncompressed bytes
//! 28  checksum      u32  masked CRC of the stored bytes, then of bytes 0..28
//! 32  stored bytes
//! ```
//!
//! 1. The checksum covers what is stored, so scrubbing needs neither codec nor key; the raw checksum catches a decoder that goes
//!    wrong. The stored bytes come first in the checksum: they are summed when a write is prepared, the 28 bytes when the sequence
//!    number is known.
//! 2. Sequence and slot are compared with what was asked for: a block that a disk put in the wrong place is never served.

use std::path::Path;

use bytes::Bytes;

use super::fault::{Fault, FaultContext};
use crate::codec::{self, Codec, Crc, Reader, put_u16, put_u32, put_u64};
use crate::limits;
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// Length of what stands before the stored bytes.
pub const UNIT_HEADER_LEN: usize = 32;

const MAGIC: u8 = 0xc5;
const KIND_CONTENT: u8 = 1;
const KIND_GROUP: u8 = 2;
/// Contents from here on are compressed only if samples of them are compressible.
const PROBE_FROM: usize = 64 << 10;
const PROBE_LEN: usize = 4 << 10;

/// A content, digested and compressed, ready to be laid into a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitDraft {
    /// How `stored` is compressed.
    pub codec: Codec,
    /// Uncompressed length, bytes.
    pub raw_len: u32,
    /// BLAKE3 of the uncompressed bytes.
    pub digest: Digest,
    /// What goes to disk.
    pub stored: Bytes,
    /// Masked CRC of the uncompressed bytes.
    pub raw_crc: u32,
}

impl UnitDraft {
    /// Digests and compresses. The length is checked when the frame is laid out.
    pub fn new(raw: Bytes) -> Self {
        let (codec, packed) = if looks_compressible(&raw) {
            codec::compress_if_smaller(Codec::Lz4, 0, &raw)
        } else {
            (Codec::Raw, None)
        };
        Self {
            codec,
            raw_len: u32::try_from(raw.len()).unwrap_or(u32::MAX),
            digest: Digest::of(&raw),
            raw_crc: codec::crc(&raw),
            stored: packed.map_or(raw, Bytes::from),
        }
    }

    /// Length on disk, header included.
    pub fn disk_len(&self) -> usize {
        UNIT_HEADER_LEN.saturating_add(self.stored.len())
    }
}

/// Media and archives are large and do not shrink; three small samples tell, at a hundredth of the cost of trying.
fn looks_compressible(raw: &[u8]) -> bool {
    if raw.len() < PROBE_FROM {
        return true;
    }
    let last = raw.len() - PROBE_LEN;
    [0, last / 2, last].into_iter().any(|at| {
        let sample = raw.get(at..at + PROBE_LEN).unwrap_or_default();
        codec::compress_if_smaller(Codec::Lz4, 0, sample).0 != Codec::Raw
    })
}

/// What a unit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitHeader {
    /// How the stored bytes are compressed.
    pub codec: Codec,
    /// Whose content it is.
    pub address: Address,
    /// Length of the stored bytes.
    pub stored_len: u32,
    /// Length of the content.
    pub raw_len: u32,
    /// Masked CRC of the content.
    pub raw_crc: u32,
}

impl UnitHeader {
    /// The 32 bytes; `stored` is the running checksum of the stored bytes.
    pub(super) fn encode(&self, stored: Crc) -> Vec<u8> {
        let mut out = Vec::with_capacity(UNIT_HEADER_LEN);
        out.extend_from_slice(&[MAGIC, KIND_CONTENT, self.codec as u8, 0]);
        put_u16(&mut out, 0);
        put_u16(&mut out, self.address.slot);
        put_u64(&mut out, self.address.sequence);
        put_u32(&mut out, self.stored_len);
        put_u32(&mut out, self.raw_len);
        put_u32(&mut out, self.raw_crc);
        let checksum = stored.bytes(&out).finish();
        put_u32(&mut out, checksum);
        out
    }

    /// Verifies the checksum of a whole unit and reads its header.
    pub fn verify(unit: &[u8]) -> Result<Self, Fault> {
        let (head, stored) =
            unit.split_at_checked(UNIT_HEADER_LEN).ok_or(Fault::malformed(0, "a content unit"))?;
        let mut reader = Reader::new(head);
        if reader.u8("a unit's magic")? != MAGIC {
            return Err(Fault::malformed(0, "the magic of a content unit"));
        }
        let kind = reader.u8("a unit kind")?;
        let codec = reader.u8("a codec")?;
        let crypt = reader.u8("crypt")?;
        let key = reader.u16("a key id")?;
        let slot = reader.u16("a slot")?;
        let sequence = reader.u64("a sequence number")?;
        let stored_len = reader.u32("a stored length")?;
        let raw_len = reader.u32("a raw length")?;
        let raw_crc = reader.u32("a raw checksum")?;
        let checksum = reader.u32("a checksum")?;
        if stored.len() as u64 != u64::from(stored_len) {
            return Err(Fault::malformed(16, "the length that the locator names"));
        }
        let fields = head.get(..UNIT_HEADER_LEN - 4).unwrap_or_default();
        if codec::crc_parts(&[stored, fields]) != checksum && !planted!("content checksum not compared") {
            return Err(Fault::malformed(28, "the checksum of the content unit"));
        }
        if kind == KIND_GROUP {
            return Err(Fault::Unsupported("group frames".into()));
        }
        if kind != KIND_CONTENT {
            return Err(Fault::Unsupported(format!("content units of kind {kind}")));
        }
        if crypt != 0 || key != 0 {
            return Err(Fault::Unsupported("encryption".into()));
        }
        let codec =
            Codec::from_u8(codec).ok_or_else(|| Fault::Unsupported(format!("content codec {codec}")))?;
        if raw_len as usize > limits::CONTENT_LEN_MAX {
            return Err(Fault::malformed(20, "a content length within the limit"));
        }
        Ok(Self { codec, address: Address { sequence, slot }, stored_len, raw_len, raw_crc })
    }

    /// Verifies a whole unit and gives its content. Uncompressed contents are a slice of `unit`, not a copy.
    pub fn open(unit: &Bytes, address: Address) -> Result<Bytes, Fault> {
        let header = Self::verify(unit)?;
        if header.address != address {
            return Err(Fault::malformed(6, "the content that was asked for"));
        }
        let stored = unit.slice(UNIT_HEADER_LEN.min(unit.len())..);
        let raw_len = header.raw_len as usize;
        let raw = match header.codec {
            Codec::Raw => stored,
            packed => Bytes::from(codec::decompress(packed, &stored, raw_len)?),
        };
        let compared = !planted!("content checksum not compared");
        if raw.len() != raw_len || compared && codec::crc(&raw) != header.raw_crc {
            return Err(Fault::malformed(24, "the checksum of the uncompressed content"));
        }
        Ok(raw)
    }
}

/// The unit that `bytes` start with, if it is valid, and its length: for finding contents where nothing says that there are any.
pub(super) fn peek(bytes: &[u8]) -> Option<(usize, UnitHeader)> {
    let mut reader = Reader::new(bytes.get(..UNIT_HEADER_LEN)?);
    if reader.array::<2>("a unit").ok()? != [MAGIC, KIND_CONTENT]
        || reader.u8("a codec").ok()? > Codec::Zstd as u8
    {
        return None;
    }
    reader.bytes(13, "a unit").ok()?;
    let len = UNIT_HEADER_LEN.checked_add(reader.u32("a length").ok()? as usize)?;
    let header = UnitHeader::verify(bytes.get(..len)?).ok()?;
    Some((len, header))
}

/// [`UnitHeader::open`] with the file in the error.
pub(super) fn open_at(path: &Path, offset: u64, unit: &Bytes, address: Address) -> Result<Bytes> {
    UnitHeader::open(unit, address).in_file(path, offset, || affected(address))
}

/// How a damaged content is called.
pub(crate) fn affected(address: Address) -> String {
    format!("the content of change {} slot {}", address.sequence, address.slot)
}

/// No value file has such a content, although an index row says so.
pub(crate) fn no_such_content(path: &Path, address: Address) -> Error {
    Error::corrupt(path, 0, affected(address), "no locator for it", affected(address))
}
