//! Blocks of a segment's tail while the segment is packed: each is wanted for every content that it names, and by nobody else.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::codec::FileId;
use crate::log::BlockCache;
use crate::sync::Mutex;

/// Blocks that are kept at most, 4 KiB each. A segment of 64 Ki contents has some 800.
const BLOCKS_MAX: usize = 4096;

/// Keeps what it is given, of one file, until it has enough.
#[derive(Default)]
pub(super) struct TailBlocks {
    blocks: Mutex<BTreeMap<u64, Bytes>>,
}

impl BlockCache for TailBlocks {
    fn get(&self, _: FileId, offset: u64) -> Option<Bytes> {
        self.blocks.lock().get(&offset).cloned()
    }

    fn put(&self, _: FileId, offset: u64, block: Bytes) {
        let mut blocks = self.blocks.lock();
        if blocks.len() < BLOCKS_MAX {
            blocks.insert(offset, block);
        }
    }
}
