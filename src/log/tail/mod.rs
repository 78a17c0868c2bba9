//! What stands behind the frames of a sealed segment, so that contents, digests and changes are found without reading frames.
//!
//! ```text
//! tail mark     16  "RCNTAIL\n", its own offset (u64)
//! directory         blocks of `Limits::directory_block_records` records, compressed
//! locators          blocks of up to 255 entries of 16 bytes, by (sequence, slot)
//! digests           blocks of up to 123 entries of 33 bytes, in the order of the locators
//! index             first entry of every locator block; place of every directory block
//! zeros             up to a multiple of 8
//! trailer      144  the last bytes of the file
//!
//! locator:  sequence − first sequence of the file u32 │ slot u16 │ member u16 (0: a unit of its own; else place in a group, from 1) │ offset u32 │ length u32
//! digest:   kind u8 (0 plain; reserved: 1 keyed, 2 redacted) │ 32 bytes
//! array block:      entries │ reserved u32 │ checksum u32     masked CRC of salt (u64), the block's own offset (u64), all before it
//! index:    (sequence − first u32, slot u16, reserved u16) per locator block
//!           (offset − tail u32, length u32, contents before it u32) per directory block │ checksum u32 as in an array block
//! ```
//!
//! 1. The tail is a function of the frames, the block size and libzstd: made again after a crash, it is the same bytes.
//! 2. It counts only if the trailer is valid; whoever does not know that it was synced (recovery) also verifies the checksum over the
//!    whole tail, which the trailer holds.
//! 3. Every block can be read and verified by itself.
//! 4. The digests are not compressed (nothing would be gained) and stand apart: a digest is found by the place of its locator.
//!
//! Rejected: an entry per sequence number without keys (half the size, but several slots and group frames need a second array);
//! a varint locator block (needs decoding to search it).

mod array;
mod builder;
mod column;
mod directory;
mod directory_decode;
mod trailer;

pub(super) use array::{ArrayKind, DigestEntry};
pub(crate) use array::{checked_block, seal_block};
pub(super) use builder::TailBuilder;
pub(crate) use directory::{BLOCK_HEADER_LEN, Lengths, PackedBlock};
pub(crate) use directory_decode::{DirectoryBlock, Sequences, decode_block, directory_block_len};
pub(super) use trailer::{Index, LocatorKey, TAIL_MARK_LEN, is_tail_mark};
pub use trailer::{TRAILER_LEN, Trailer};
