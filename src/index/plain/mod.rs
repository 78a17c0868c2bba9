//! Plain tables: immutable, sorted files of keys and values, for annotations and views.
//!
//! # The picture
//!
//! ```text
//! header        64 bytes, see `codec::FileHeader`: kind 3, version 1
//! blocks        keys and values, keys ascending
//! index         one block: where each of those is, how many keys it has, and the first of them
//! filter        one block over hashes that the builder was given; or none
//! properties    one block, as in a revision table
//! footer        64 bytes, as in a revision table
//!
//! block:   keys      varint                     index:   blocks    varint
//!          keys      prefix-compressed                   places    two columns, see `table::layout`
//!          lengths   column                              keys      column: keys of each block
//!          values    one after the other                 firsts    first key of each block, prefix-compressed
//! ```
//!
//! Frames, checksums, columns and prefix-compressed keys are those of revision tables ([`super::table`]). A block is closed at
//! `Limits::block_bytes` of keys and values; a value larger than that has a block of its own.
//!
//! # Invariants
//!
//! 1. Keys ascend strictly; there is no notion of versions or deletion here: whoever stores such things encodes them.
//! 2. Either every key has a hash in the filter, or there is no filter.
//! 3. The index repeats the first key of each block; readers compare. Properties say what the manifest says; opening compares.

mod block;
mod builder;
pub(in crate::index) mod dissect;
mod reader;
mod scan;

#[cfg(test)]
mod tests;

pub use builder::PlainTableBuilder;
pub use reader::{KeyHash, PlainTable};
pub use scan::PlainScan;

/// The format that is written, and the newest that is read.
pub const PLAIN_TABLE_VERSION: u16 = 1;
/// Longest key, bytes.
pub const PLAIN_KEY_LEN_MAX: usize = 4 << 10;
/// Longest value, bytes.
pub const PLAIN_VALUE_LEN_MAX: usize = 16 << 20;
