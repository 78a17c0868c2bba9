//! What sealed files ask of the block cache.

use bytes::Bytes;

use crate::codec::FileId;

/// Keeps verified blocks of immutable files, by file and offset. The store's one cache stands behind it.
pub trait BlockCache: Send + Sync {
    /// The block, if it is there.
    fn get(&self, file: FileId, offset: u64) -> Option<Bytes>;
    /// Offers a block. It may be dropped at once.
    fn put(&self, file: FileId, offset: u64, block: Bytes);
    /// A group of contents was decoded, whole or the front of it. Only counted.
    fn decoded_group(&self) {}
}
