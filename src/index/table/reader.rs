//! Reading a revision table.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::REVISION_TABLE_VERSION;
use super::cold::{ColdBlock, decode_cold};
use super::cursor::TableCursor;
use super::entities::{EntityBlock, RunStats, decode_entities};
use super::frame::{BlockAt, BlockKind, FRAME_LEN};
use super::hot_block::{HotBlock, decode_hot};
use super::input::{Identity, Input, TableAccess};
use super::layout::Layout;
use super::rows::TableRows;
use crate::cache::{Cache, CacheKey, CacheKind, Cached};
use crate::codec::{FileKind, Malformed};
use crate::env::File;
use crate::index::filter::Filter;
use crate::index::{EntityRange, Order, RowIter, RunCursor, Source};
use crate::manifest::TableInfo;
use crate::model::{Bound, Row};
use crate::{Error, Result};

/// An open revision table. Holds the file, its place in the manifest and nothing that grows with the table: index, filter and
/// blocks live in the cache.
#[derive(Clone)]
pub struct RevisionTable {
    pub(super) input: Input,
    pub(super) info: TableInfo,
    cache: Arc<Cache>,
    fill: Fill,
}

/// Whether what is read goes into the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fill {
    Keep,
    Pass,
}

/// The blocks a walk is in, so that neighbouring rows do not ask the cache each.
#[derive(Default)]
pub(super) struct Held {
    hot: Option<(usize, Arc<HotBlock>)>,
    cold: Option<(usize, Arc<ColdBlock>)>,
}

impl RevisionTable {
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
            kind: FileKind::RevisionTable,
            version_max: REVISION_TABLE_VERSION,
            store,
            id: info.id,
            len: info.len,
        };
        let input = Input::open(file, path, identity, access)?;
        input.require_properties(info)?;
        Ok(Arc::new(Self { input, info: info.clone(), cache, fill: Fill::Keep }))
    }

    /// What the manifest says of it.
    pub fn info(&self) -> &TableInfo {
        &self.info
    }

    /// The same table for a job that reads it once from end to end: it uses what is cached and puts nothing in.
    pub fn without_cache_fill(&self) -> Arc<Self> {
        Arc::new(Self { fill: Fill::Pass, ..self.clone() })
    }

    pub(super) fn with_cache(&self, cache: Arc<Cache>) -> Self {
        Self { cache, ..self.clone() }
    }

    fn load<T: Cached>(
        &self,
        kind: CacheKind,
        at: BlockAt,
        load: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let key = CacheKey { file: self.info.id.number, at: at.offset, kind };
        match self.fill {
            Fill::Keep => self.cache.get_or_load(key, load),
            Fill::Pass => self.cache.get_or_pass(key, load),
        }
    }

    /// Reads a block and decodes it.
    fn decode<T>(
        &self,
        kind: BlockKind,
        at: BlockAt,
        affected: &dyn Fn() -> String,
        decode: impl FnOnce(&Bytes) -> Result<T, Malformed>,
    ) -> Result<T> {
        let raw = self.input.block(kind, at, affected)?;
        let base = at.offset.saturating_add(FRAME_LEN as u64);
        decode(&raw).map_err(|bad| Error::malformed(self.input.path(), base, bad, affected()))
    }

    pub(super) fn affected_all(&self) -> String {
        let (first, last) = (&self.info.first, &self.info.last);
        format!("entities from {} to {}", first.escape_ascii(), last.escape_ascii())
    }

    /// The block index. Always kept in the cache: every look-up needs it.
    pub(super) fn layout(&self) -> Result<Arc<Layout>> {
        let at = self.input.footer.index;
        let key = CacheKey { file: self.info.id.number, at: at.offset, kind: CacheKind::Index };
        self.cache.get_or_load(key, || {
            let layout = self.decode(BlockKind::Index, at, &|| self.affected_all(), |raw| {
                Layout::decode(raw, at.offset)
            })?;
            let entities: u64 = layout.entities.iter().map(|block| u64::from(block.entities)).sum();
            if layout.rows != self.info.rows || entities != self.info.entities {
                let expected = format!("{} rows of {} entities", self.info.rows, self.info.entities);
                let found = format!("{} rows of {entities} entities", layout.rows);
                return Err(self.input.corrupt(at.offset, &expected, &found, self.affected_all()));
            }
            Ok(layout)
        })
    }

    pub(super) fn filter(&self) -> Result<Option<Arc<Filter>>> {
        let Some(at) = self.input.footer.filter else { return Ok(None) };
        let key = CacheKey { file: self.info.id.number, at: at.offset, kind: CacheKind::Filter };
        let load = || self.decode(BlockKind::Filter, at, &|| self.affected_all(), Filter::decode);
        self.cache.get_or_load(key, load).map(Some)
    }

    fn lacks(&self, layout: &Layout, what: &str) -> Error {
        let offset = self.input.footer.index.offset;
        self.input.corrupt(offset, what, "an index without it", layout.affected(0..layout.rows))
    }

    pub(super) fn entity_block(&self, layout: &Layout, block: usize) -> Result<Arc<EntityBlock>> {
        let Some(place) = layout.entities.get(block) else {
            return Err(self.lacks(layout, "an entity block"));
        };
        self.load(CacheKind::Entities, place.at, || {
            let affected = || layout.affected_blocks(block..block.saturating_add(1));
            let decoded = self.decode(BlockKind::Entities, place.at, &affected, |raw| {
                decode_entities(raw, place.entities as usize, place.first_row, place.rows)
            })?;
            if decoded.keys.get(0) != layout.keys.get(block) {
                let expected = "the entity that the index names";
                return Err(self.input.corrupt(place.at.offset, expected, "another one", affected()));
            }
            Ok(decoded)
        })
    }

    fn hot_block(&self, layout: &Layout, block: usize) -> Result<Arc<HotBlock>> {
        let Some(place) = layout.hot.get(block) else { return Err(self.lacks(layout, "a hot block")) };
        self.load(CacheKind::Hot, place.at, || {
            let rows = layout.hot_rows(block);
            let count = rows.end.saturating_sub(rows.start) as usize;
            let affected = || layout.affected(rows.clone());
            let decoded = self.decode(BlockKind::Hot, place.at, &affected, |raw| decode_hot(raw, count))?;
            if decoded.key(0) != place.key {
                let expected = format!("{:?} as in the index", place.key);
                let found = format!("{:?}", decoded.key(0));
                return Err(self.input.corrupt(place.at.offset, &expected, &found, affected()));
            }
            Ok(decoded)
        })
    }

    fn cold_block(&self, layout: &Layout, block: usize) -> Result<Arc<ColdBlock>> {
        let Some(place) = layout.cold.get(block) else { return Err(self.lacks(layout, "a cold block")) };
        self.load(CacheKind::Cold, place.at, || {
            let rows = place.first_row..place.first_row.saturating_add(u64::from(place.rows));
            let affected = || layout.affected(rows.clone());
            self.decode(BlockKind::Cold, place.at, &affected, |raw| decode_cold(raw, place.rows as usize))
        })
    }

    /// The hot block of a row, and the row in it.
    pub(super) fn hot_at(
        &self,
        layout: &Layout,
        held: &mut Held,
        row: u64,
    ) -> Result<(Arc<HotBlock>, usize)> {
        let (block, within) = layout.hot_of(row);
        let hot = match &held.hot {
            Some((number, hot)) if *number == block => hot.clone(),
            _ => {
                let hot = self.hot_block(layout, block)?;
                held.hot = Some((block, hot.clone()));
                hot
            }
        };
        if within < hot.rows() { Ok((hot, within)) } else { Err(self.lacks(layout, "a row")) }
    }

    /// A row, counted through the table.
    pub(super) fn row(&self, layout: &Layout, held: &mut Held, row: u64) -> Result<Row> {
        let (hot, within) = self.hot_at(layout, held, row)?;
        let Some((block, cold_row)) = layout.cold_of(row) else {
            return Err(self.lacks(layout, "a cold block"));
        };
        let cold = match &held.cold {
            Some((number, cold)) if *number == block => cold,
            _ => &held.cold.insert((block, self.cold_block(layout, block)?)).1,
        };
        Ok(Row { cold: cold.fields(cold_row), ..hot.row(within) })
    }

    /// Where an entity's rows are.
    pub(super) fn locate(&self, layout: &Layout, entity: &[u8]) -> Result<Option<RunStats>> {
        let Some(block) = layout.entities_of(entity) else { return Ok(None) };
        let block = self.entity_block(layout, block)?;
        Ok(block.keys.find(entity).map(|i| block.run(i)))
    }

    /// The newest row of a run inside the bound, counted through the table.
    pub(super) fn search(
        &self,
        layout: &Layout,
        held: &mut Held,
        run: &RunStats,
        bound: &Bound,
    ) -> Result<Option<u64>> {
        if *bound == Bound::ALL {
            return Ok(Some(run.first_row));
        }
        if run.sequence_first > bound.sequence || run.number_first > bound.number {
            return Ok(None);
        }
        let rows = layout.narrow(run, bound);
        let (hot, from) = self.hot_at(layout, held, rows.start)?;
        let count = rows.end.saturating_sub(rows.start) as usize;
        let to = from.saturating_add(count);
        let found = hot.search(from, to, bound);
        if found < to {
            return Ok(rows.start.checked_add(found.saturating_sub(from) as u64));
        }
        Ok((rows.end < run.end_row()).then_some(rows.end))
    }
}

impl Source for RevisionTable {
    fn cold_bytes(&self) -> Result<u64> {
        Ok(self.layout()?.cold.iter().map(|cold| u64::from(cold.at.len)).fold(0, u64::saturating_add))
    }

    fn may_contain(&self, entity: &[u8], hash: u64) -> Result<bool> {
        if entity < &self.info.first[..] || entity > &self.info.last[..] {
            return Ok(false);
        }
        Ok(self.filter()?.is_none_or(|filter| filter.contains(hash)))
    }

    fn find(&self, entity: &[u8], hash: u64, bound: &Bound) -> Result<Option<Row>> {
        if !self.may_contain(entity, hash)? {
            return Ok(None);
        }
        let layout = self.layout()?;
        let Some(run) = self.locate(&layout, entity)? else { return Ok(None) };
        let mut held = Held::default();
        match self.search(&layout, &mut held, &run, bound)? {
            Some(row) => self.row(&layout, &mut held, row).map(Some),
            None => Ok(None),
        }
    }

    fn rows(self: Arc<Self>, entity: &[u8], bound: &Bound, order: Order) -> RowIter {
        Box::new(TableRows::new(self, entity, bound, order))
    }

    fn rows_above(self: Arc<Self>, entity: &[u8], above: u64, bound: &Bound) -> RowIter {
        Box::new(TableRows::above(self, entity, above, bound))
    }

    fn for_scan(&self) -> Option<Arc<dyn Source>> {
        Some(self.without_cache_fill())
    }

    fn runs(self: Arc<Self>, range: &EntityRange, order: Order) -> Box<dyn RunCursor> {
        Box::new(TableCursor::new(self, range, order))
    }
}

impl std::fmt::Debug for RevisionTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevisionTable({})", self.input.path().display())
    }
}
