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

/// Where a content stands, and what of its file it takes: alone, or together with the others of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredIn {
    /// Where the unit or group starts in the file.
    pub offset: u64,
    /// How many contents stand in it.
    pub contents: u64,
    /// Bytes of all of them as they are stored, as the file's own count of stored bytes has them.
    pub stored_bytes: u64,
    /// Bytes of all of them, uncompressed.
    pub raw_bytes: u64,
}
