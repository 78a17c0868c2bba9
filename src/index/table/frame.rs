//! The frame around each block of a table.
//!
//! ```text
//!  0  raw length     u32   after decompression
//!  4  stored length  u32   bytes behind these 24
//!  8  kind           u8    what the block is; see `BlockKind`
//!  9  codec          u8    0 as it is, 1 lz4, 2 zstd
//! 10  crypt          u8    reserved: 0 = not encrypted
//! 11  nonce          u8    reserved: 0 = none stored
//! 12  key id         u16   reserved: 0
//! 14  reserved       u16   0
//! 16  checksum       u32   masked CRC of epoch, file number, offset of the frame, bytes 0..16 and the stored bytes
//! 20  reserved       u32   0, covered by the checksum as well
//! 24  stored bytes
//! ```
//!
//! The checksum is over stored bytes, so that scrubbing needs no key, and over place and file, so that a block in the wrong
//! place or of another file never passes.

use std::path::Path;

use bytes::Bytes;

use crate::codec::{Codec, Crc, FileId, Reader, Sum, compress_if_smaller, decompress, put_u16, put_u32};
use crate::{Error, Result};

/// Length of a block's frame, bytes.
pub const FRAME_LEN: usize = 24;
/// No block is larger than this before compression. Filters and indexes, the largest, are stored raw.
pub const BLOCK_RAW_MAX: usize = 1 << 30;
/// No compressed block is larger than this before compression.
pub const BLOCK_PACKED_RAW_MAX: usize = 64 << 20;

/// What a block is. The number is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum BlockKind {
    /// Columns of rows that are read often.
    Hot = 1,
    /// Fields of rows that are read rarely.
    Cold = 2,
    /// Entities and where their rows are.
    Entities = 3,
    /// Where the blocks are.
    Index = 4,
    /// A filter.
    Filter = 5,
    /// What is said of the table as a whole.
    Properties = 6,
    /// Keys and values of a plain table.
    Plain = 7,
}

impl BlockKind {
    /// From its number on disk.
    pub fn from_u8(n: u8) -> Option<Self> {
        [Self::Hot, Self::Cold, Self::Entities, Self::Index, Self::Filter, Self::Properties, Self::Plain]
            .into_iter()
            .find(|kind| *kind as u8 == n)
    }

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
            Self::Entities => "entities",
            Self::Index => "index",
            Self::Filter => "filter",
            Self::Properties => "properties",
            Self::Plain => "plain",
        }
    }
}

/// Where a block is: its frame's offset and the length with the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlockAt {
    /// Offset in the file.
    pub offset: u64,
    /// Frame and stored bytes.
    pub len: u32,
}

impl BlockAt {
    /// The offset behind it.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

fn checksum(id: FileId, offset: u64, head: &[u8], tail: &[u8], stored: &[u8]) -> u32 {
    Crc::new()
        .number(id.epoch)
        .number(id.number)
        .number(offset)
        .bytes(head)
        .bytes(tail)
        .bytes(stored)
        .finish()
}

/// What the checksum of a block covers.
pub(in crate::index) fn frame_sum(id: FileId, at: BlockAt) -> Sum {
    let place = |from: u64| at.offset.saturating_add(from);
    let stored = u64::from(at.len).saturating_sub(FRAME_LEN as u64);
    let ranges = vec![(at.offset, 16), (place(20), 4), (place(FRAME_LEN as u64), stored)];
    Sum { numbers: vec![id.epoch, id.number, at.offset], ranges, at: place(16) }
}

/// Frames a block that will stand at `offset`. Compresses if that saves an eighth.
///
/// # Errors
/// `Invalid` for a block above [`BLOCK_RAW_MAX`].
pub(in crate::index) fn encode_frame(
    id: FileId,
    offset: u64,
    kind: BlockKind,
    codec: Codec,
    level: i32,
    raw: &[u8],
) -> Result<Vec<u8>> {
    if raw.len() > BLOCK_RAW_MAX {
        return Err(Error::invalid(format!(
            "a block of a table has at most {BLOCK_RAW_MAX} bytes, this one has {}",
            raw.len()
        )));
    }
    let codec = if raw.len() > BLOCK_PACKED_RAW_MAX { Codec::Raw } else { codec };
    let (codec, packed) = compress_if_smaller(codec, level, raw);
    let stored = packed.as_deref().unwrap_or(raw);
    let mut out = Vec::with_capacity(FRAME_LEN + stored.len());
    put_u32(&mut out, raw.len() as u32);
    put_u32(&mut out, stored.len() as u32);
    out.push(kind as u8);
    out.push(codec as u8);
    put_u16(&mut out, 0);
    put_u32(&mut out, 0);
    let sum = checksum(id, offset, &out, &[0; 4], stored);
    put_u32(&mut out, sum);
    put_u32(&mut out, 0);
    out.extend_from_slice(stored);
    Ok(out)
}

/// Checks a frame and gives back the block, decompressed. `framed` is exactly the frame and its stored bytes.
///
/// # Errors
/// `Corrupt`, naming the file, the offset and `affected`; `Unsupported` for encryption.
pub(in crate::index) fn decode_frame(
    path: &Path,
    id: FileId,
    offset: u64,
    kind: BlockKind,
    framed: &Bytes,
    affected: &dyn Fn() -> String,
) -> Result<Bytes> {
    let wrong = |at: u64, expected: String, found: String| {
        Err(Error::corrupt(path, offset.saturating_add(at), expected, found, affected()))
    };
    let mut reader = Reader::new(framed);
    let bad = |bad| Error::malformed(path, offset, bad, affected());
    let head: [u8; 16] = reader.array("a block's frame").map_err(bad)?;
    let sum = reader.u32("a block's checksum").map_err(bad)?;
    let tail: [u8; 4] = reader.array("a block's frame").map_err(bad)?;
    let stored = framed.slice_ref(reader.rest());
    let actual = checksum(id, offset, &head, &tail, &stored);
    if sum != actual && !planted!("block checksum not compared") {
        return wrong(16, format!("block checksum {actual:08x}"), format!("{sum:08x}"));
    }
    let mut reader = Reader::new(&head);
    let raw_len = reader.u32("a raw length").map_err(bad)? as usize;
    let stored_len = reader.u32("a stored length").map_err(bad)? as usize;
    let kind_number = reader.u8("a block kind").map_err(bad)?;
    let codec_number = reader.u8("a codec").map_err(bad)?;
    if stored_len != stored.len() {
        return wrong(4, format!("a block of {} bytes", stored.len()), format!("{stored_len} bytes"));
    }
    if kind_number != kind as u8 {
        return wrong(8, format!("a block of kind {kind:?}"), format!("kind {kind_number}"));
    }
    let unsupported = |what: String| Error::Unsupported { path: path.to_path_buf(), what };
    if reader.rest() != [0; 6] || tail != [0; 4] {
        return Err(unsupported("encrypted blocks, or reserved bits of blocks,".into()));
    }
    let codec = Codec::from_u8(codec_number).ok_or_else(|| unsupported(format!("codec {codec_number}")))?;
    if codec == Codec::Raw {
        return if raw_len == stored_len {
            Ok(stored)
        } else {
            wrong(0, format!("a raw length of {stored_len}"), format!("{raw_len}"))
        };
    }
    if raw_len > BLOCK_PACKED_RAW_MAX {
        return wrong(0, format!("a raw length of at most {BLOCK_PACKED_RAW_MAX}"), format!("{raw_len}"));
    }
    decompress(codec, &stored, raw_len)
        .map(Bytes::from)
        .map_err(|bad| Error::malformed(path, offset.saturating_add(FRAME_LEN as u64), bad, affected()))
}
