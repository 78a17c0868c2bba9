//! Where a content stands in its file.

use crate::model::{Address, Digest};

/// Where a content stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locator {
    /// Which content.
    pub address: Address,
    /// Reserved: its place inside a group frame; 0.
    pub member: u16,
    /// Where its unit starts in the file.
    pub offset: u64,
    /// Length of the unit, header included.
    pub len: u32,
}

/// A content that a frame stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredContent {
    /// Where.
    pub locator: Locator,
    /// Its uncompressed length.
    pub raw_len: u32,
    /// Its digest.
    pub digest: Digest,
}
