//! Where a content stands in its file.

use crate::model::{Address, Digest};

/// Where a content stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locator {
    /// Which content.
    pub address: Address,
    /// 0: its unit holds nothing else. Else the unit is a group, and this is its place there, counted from 1 at the newest content.
    pub member: u16,
    /// Where its unit starts in the file.
    pub offset: u64,
    /// Length of the unit, header included.
    pub len: u32,
}

impl Locator {
    /// Whether bytes of its unit are to be counted with this content: with the first one of a group, so that they count once.
    pub fn counts(&self) -> bool {
        self.member <= 1
    }
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
