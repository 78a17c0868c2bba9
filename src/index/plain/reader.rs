//! Reading a plain table.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::PLAIN_TABLE_VERSION;
use super::block::{PlainBlock, PlainIndex};
use super::scan::PlainScan;
use crate::cache::{Cache, CacheKey, CacheKind, Cached};
use crate::codec::{FileKind, Malformed};
use crate::env::File;
use crate::index::filter::Filter;
use crate::index::table::input::{Identity, Input};
use crate::index::table::{BlockAt, BlockKind, FRAME_LEN, TableAccess, VerifyHash};
use crate::index::{EntityRange, Order};
use crate::manifest::TableInfo;
use crate::{Error, Result};

/// The hash that a key was added with.
pub type KeyHash<'a> = &'a dyn Fn(&[u8]) -> u64;

/// An open plain table. Index, filter and blocks live in the cache.
#[derive(Clone)]
pub struct PlainTable {
    input: Input,
    info: TableInfo,
    cache: Arc<Cache>,
}

impl PlainTable {
    /// Opens a table that the manifest knows as `info`. Reads header, footer and properties.
    ///
    /// # Errors
    /// `Corrupt` if the file is not what `info` and its own checksums say, `Unsupported` for a newer format, `Io`.
    pub fn open(
        file: Arc<dyn File>,
        path: &Path,
        info: &TableInfo,
        store: &[u8; 16],
        cache: Arc<Cache>,
        access: TableAccess,
    ) -> Result<Arc<Self>> {
        let identity = Identity {
            kind: FileKind::PlainTable,
            version_max: PLAIN_TABLE_VERSION,
            store,
            id: info.id,
            len: info.len,
        };
        let input = Input::open(file, path, identity, access)?;
        input.require_properties(info)?;
        Ok(Arc::new(Self { input, info: info.clone(), cache }))
    }

    /// What the manifest says of it.
    pub fn info(&self) -> &TableInfo {
        &self.info
    }

    /// Whether a key of this hash may be here; `false` is certain. Without a filter: `true`.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn may_contain(&self, hash: u64) -> Result<bool> {
        Ok(self.filter()?.is_none_or(|filter| filter.contains(hash)))
    }

    /// The value of a key. With the `hash` that the builder was given for it, the filter is asked first.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn get(&self, key: &[u8], hash: Option<u64>) -> Result<Option<Bytes>> {
        if key < &self.info.first[..] || key > &self.info.last[..] {
            return Ok(None);
        }
        if let Some(hash) = hash
            && !self.may_contain(hash)?
        {
            return Ok(None);
        }
        let index = self.index()?;
        let Some(number) = index.block_of(key) else { return Ok(None) };
        let block = self.block(&index, number)?;
        Ok(block.keys.find(key).map(|i| block.value(i)))
    }

    /// The pairs of a range (keys from, inclusive, to, exclusive), one at a time: a block is held, not the range.
    pub fn range(self: Arc<Self>, range: &EntityRange, order: Order) -> PlainScan {
        PlainScan::new(self, range, order)
    }

    /// Reads every byte from the file, past the cache, and checks all there is to check. See
    /// [`crate::index::table::RevisionTable::verify`]. `key_hash` gives the hash a key was added with, to check the filter.
    ///
    /// # Errors
    /// The first damage found; those of `progress`; `Io`.
    pub fn verify(
        &self,
        hash: VerifyHash,
        key_hash: Option<KeyHash<'_>>,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let fresh = Self { cache: Arc::new(Cache::new(0)), ..self.clone() };
        let index = fresh.index()?;
        fresh.input.verify_cover(index.blocks.iter().map(|(at, _)| *at).collect(), &self.affected_all())?;
        if hash == VerifyHash::Compare {
            fresh.input.verify_hash(&self.info.blake3, &self.affected_all(), progress)?;
        }
        let filter = fresh.filter()?;
        let mut previous: Option<Bytes> = None;
        for (number, (at, count)) in index.blocks.iter().enumerate() {
            let block = fresh.block(&index, number)?;
            let wrong =
                |expected, found| Err(self.input.corrupt(at.offset, expected, found, index.affected(number)));
            for i in 0..block.keys.len() {
                let key = block.keys.get(i);
                if previous.as_ref().is_some_and(|previous| &previous[..] >= key) {
                    return wrong("keys in ascending order", "one out of order");
                }
                if previous.is_none() && self.info.first != key {
                    return wrong("the first key as in the manifest", "another one");
                }
                if let (Some(filter), Some(hash)) = (&filter, key_hash)
                    && !filter.contains(hash(key))
                {
                    return wrong("every key in the filter", "one that is not");
                }
                previous = Some(block.keys.share(i));
            }
            progress(u64::from(*count))?;
        }
        if previous.as_ref() == Some(&self.info.last) {
            return Ok(());
        }
        let at = self.input.footer.properties.offset;
        Err(self.input.corrupt(at, "the last key as in the manifest", "another one", self.affected_all()))
    }

    fn affected_all(&self) -> String {
        format!("keys from {} to {}", self.info.first.escape_ascii(), self.info.last.escape_ascii())
    }

    fn load<T: Cached>(
        &self,
        kinds: (CacheKind, BlockKind),
        at: BlockAt,
        affected: &dyn Fn() -> String,
        decode: impl FnOnce(&Bytes) -> Result<T, Malformed>,
    ) -> Result<Arc<T>> {
        let key = CacheKey { file: self.info.id.number, at: at.offset, kind: kinds.0 };
        self.cache.get_or_load(key, || {
            let raw = self.input.block(kinds.1, at, affected)?;
            let base = at.offset.saturating_add(FRAME_LEN as u64);
            decode(&raw).map_err(|bad| Error::malformed(self.input.path(), base, bad, affected()))
        })
    }

    fn filter(&self) -> Result<Option<Arc<Filter>>> {
        let Some(at) = self.input.footer.filter else { return Ok(None) };
        let kinds = (CacheKind::Filter, BlockKind::Filter);
        self.load(kinds, at, &|| self.affected_all(), Filter::decode).map(Some)
    }

    pub(super) fn index(&self) -> Result<Arc<PlainIndex>> {
        let at = self.input.footer.index;
        let kinds = (CacheKind::Index, BlockKind::Index);
        let decode = |raw: &Bytes| PlainIndex::decode(raw, at.offset, self.info.rows);
        self.load(kinds, at, &|| self.affected_all(), decode)
    }

    pub(super) fn block(&self, index: &PlainIndex, number: usize) -> Result<Arc<PlainBlock>> {
        let Some((at, count)) = index.blocks.get(number).copied() else {
            let offset = self.input.footer.index.offset;
            return Err(self.input.corrupt(offset, "a block", "an index without it", self.affected_all()));
        };
        let kinds = (CacheKind::Plain, BlockKind::Plain);
        let decode = |raw: &Bytes| PlainBlock::decode(raw, count as usize, index.keys.get(number));
        self.load(kinds, at, &|| index.affected(number), decode)
    }
}

impl std::fmt::Debug for PlainTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PlainTable({})", self.input.path().display())
    }
}
