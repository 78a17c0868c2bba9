//! Where a content is.

/// The address of a content: the sequence number of the change that first wrote it, and its slot there. It never changes;
/// which file holds it is the value map's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// Sequence number of the change that wrote the bytes.
    pub sequence: u64,
    /// Slot among that change's *stored* contents (not roles), from 0.
    pub slot: u16,
}

/// A revision's reference to a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContentRef {
    /// Where the bytes are. The sequence is the revision's own unless the content is reused (revert, null edit); a reuse names
    /// the origin directly, never another reuse.
    pub address: Address,
    /// Length of the content in bytes, uncompressed.
    pub len: u32,
    /// [`super::Digest::tag`] of the content.
    pub tag: u64,
}
