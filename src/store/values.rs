//! The value map: which file holds the content of a sequence number.
//!
//! Rectangles of (sequence range × entity range) map to value files. Today every rectangle spans all entities, so the map is a
//! sorted list of sequence ranges, the last of them open: the segment that is being written.

use std::sync::Arc;

use bytes::Bytes;

use crate::cache::{Cache, CacheKey, CacheKind};
use crate::codec::FileId;
use crate::log::{BlockCache, ValueFile};
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// One file and its range.
#[derive(Clone)]
pub(crate) struct ValueEntry {
    pub(crate) first: u64,
    /// Inclusive; `u64::MAX` while the file is being written.
    pub(crate) last: u64,
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn ValueFile>,
}

/// All value files by sequence number.
#[derive(Clone, Default)]
pub(crate) struct ValueMap {
    entries: Vec<ValueEntry>,
}

impl ValueMap {
    pub(crate) fn new(mut entries: Vec<ValueEntry>) -> Self {
        entries.sort_by_key(|entry| entry.first);
        Self { entries }
    }

    pub(crate) fn entries(&self) -> &[ValueEntry] {
        &self.entries
    }

    /// The same with the open file closed at `last` and a new open one behind it.
    pub(crate) fn rolled(&self, next: ValueEntry) -> Self {
        let mut entries = self.entries.clone();
        if let Some(open) = entries.last_mut() {
            open.last = next.first.saturating_sub(1);
        }
        // A segment without records leaves nothing behind.
        entries.retain(|entry| entry.first <= entry.last);
        entries.push(next);
        Self { entries }
    }

    /// The same with one file replaced by its sealed form.
    pub(crate) fn replaced(&self, with: ValueEntry) -> Self {
        let entries = self.entries.iter();
        let entries =
            entries.map(|entry| if entry.number == with.number { with.clone() } else { entry.clone() });
        Self { entries: entries.collect() }
    }

    /// The file that holds a sequence number.
    pub(crate) fn find(&self, sequence: u64) -> Option<&ValueEntry> {
        let at = self.entries.partition_point(|entry| entry.first <= sequence).checked_sub(1)?;
        self.entries.get(at).filter(|entry| sequence <= entry.last)
    }

    fn file(&self, address: Address) -> Result<&Arc<dyn ValueFile>> {
        self.find(address.sequence).map(|entry| &entry.file).ok_or_else(|| {
            Error::corrupt(
                std::path::Path::new("the value map"),
                0,
                format!("a value file for sequence {}", address.sequence),
                "none",
                format!("the content written at sequence {}", address.sequence),
            )
        })
    }

    pub(crate) fn read(&self, address: Address) -> Result<Bytes> {
        self.file(address)?.read_content(address)
    }

    pub(crate) fn digest(&self, address: Address) -> Result<Digest> {
        self.file(address)?.digest(address)
    }
}

/// The store's cache, as sealed files use it.
pub(crate) struct DirectoryCache(pub(crate) Arc<Cache>);

impl BlockCache for DirectoryCache {
    fn get(&self, file: FileId, offset: u64) -> Option<Bytes> {
        self.0.get::<Bytes>(key(file, offset)).map(|block| Bytes::clone(&block))
    }

    fn put(&self, file: FileId, offset: u64, block: Bytes) {
        self.0.insert(key(file, offset), &Arc::new(block));
    }
}

fn key(file: FileId, offset: u64) -> CacheKey {
    CacheKey { file: file.number, at: offset, kind: CacheKind::Directory }
}
