//! How values become bytes: fixed integers, varints, checksums, compression.
//!
//! Decoders never panic and never trust a length: every read goes through [`Reader`], which answers [`Malformed`] instead.

mod checksum;
mod compress;
mod compressor;
mod group;
mod header;
mod part;
mod reader;
mod writer;

pub use checksum::{Crc, crc, crc_parts};
pub use compress::{Codec, compress, compress_if_smaller, decompress};
pub use group::{GROUP_RAW_MAX, WINDOW_LOG_MAX, compress_group, decompress_front};
pub use header::{FILE_HEADER_LEN, FileHeader, FileId, FileKind, MAGIC};
pub use part::{FLIP_LEN_MAX, Flip, Holds, Part, PartState, Sum, find_flip};
pub use reader::{Malformed, Reader};
pub use writer::{put_bytes, put_u16, put_u32, put_u64, put_varint, put_zigzag, varint_len, zigzag};

#[cfg(test)]
mod tests;
