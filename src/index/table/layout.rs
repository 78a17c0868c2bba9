//! The block index of a revision table: where each block is and what decides whether to read it.
//!
//! ```text
//! rows             varint   in the table
//! block rows       varint   rows of every hot block but the last
//! hot blocks       columns: places; first row's number, end of its commit, commit time (biased), effective time (biased)
//! cold blocks      varint count; columns: places, rows
//! entity blocks    varint count; columns: places, entities, rows; first entity of each, prefix-compressed
//!
//! places: a column of bytes skipped since the end of the last block of that kind, a column of lengths with the frame
//! ```
//!
//! Rows are counted through the table, newest first within an entity, entities ascending. Every hot block but the last has the
//! same number of rows, so a row's hot block is a division; its cold block is a binary search. With the first row of each hot
//! block at hand, the newest row inside a bound is found by one binary search here and one in a block, however long the run.

use std::ops::Range;

use super::column::{biased, put_column, read_column, unbiased};
use super::entities::RunStats;
use super::frame::BlockAt;
use super::hot_block::RowKey;
use super::keys::{Keys, put_keys};
use crate::cache::Cached;
use crate::codec::{Malformed, Reader, put_varint};
use crate::limits::ENTITY_LEN_MAX;
use crate::model::{Bound, Entity};

/// No hot block has more rows than this.
pub(super) const BLOCK_ROWS_MAX: usize = 64 << 10;

/// A hot block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HotAt {
    pub(super) at: BlockAt,
    /// Of its first row.
    pub(super) key: RowKey,
}

/// A cold block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColdAt {
    pub(super) at: BlockAt,
    pub(super) first_row: u64,
    pub(super) rows: u32,
}

/// An entity block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntitiesAt {
    pub(super) at: BlockAt,
    pub(super) first_row: u64,
    pub(super) rows: u64,
    pub(super) entities: u32,
}

/// All blocks of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) rows: u64,
    pub(super) block_rows: u64,
    pub(super) hot: Vec<HotAt>,
    pub(super) cold: Vec<ColdAt>,
    pub(super) entities: Vec<EntitiesAt>,
    /// The first entity of each entity block.
    pub(super) keys: Keys,
}

/// Encodes the index of a table. `keys` are the first entities of the entity blocks.
pub(super) fn encode_layout<'a>(
    rows: u64,
    block_rows: u32,
    hot: &[HotAt],
    cold: &[ColdAt],
    entities: &[EntitiesAt],
    keys: impl Iterator<Item = &'a [u8]>,
) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, rows);
    put_varint(&mut out, u64::from(block_rows));
    put_places(&mut out, hot.iter().map(|hot| hot.at));
    column(&mut out, hot, |hot| hot.key.number);
    column(&mut out, hot, |hot| hot.key.commit_end);
    column(&mut out, hot, |hot| biased(hot.key.commit_time));
    column(&mut out, hot, |hot| biased(hot.key.effective_time));
    put_varint(&mut out, cold.len() as u64);
    put_places(&mut out, cold.iter().map(|cold| cold.at));
    column(&mut out, cold, |cold| u64::from(cold.rows));
    put_varint(&mut out, entities.len() as u64);
    put_places(&mut out, entities.iter().map(|entities| entities.at));
    column(&mut out, entities, |entities| u64::from(entities.entities));
    column(&mut out, entities, |entities| entities.rows);
    put_keys(&mut out, keys);
    out
}

fn column<T>(out: &mut Vec<u8>, of: &[T], value: impl Fn(&T) -> u64) {
    put_column(out, &of.iter().map(value).collect::<Vec<_>>());
}

/// Appends the places of blocks, in the order of the file.
pub(in crate::index) fn put_places(out: &mut Vec<u8>, places: impl Iterator<Item = BlockAt>) {
    let (mut skipped, mut lengths, mut end) = (Vec::new(), Vec::new(), 0);
    for at in places {
        skipped.push(at.offset - end);
        lengths.push(u64::from(at.len));
        end = at.end();
    }
    put_column(out, &skipped);
    put_column(out, &lengths);
}

/// The inverse of [`put_places`]; all blocks end at or before `end_max`.
pub(in crate::index) fn read_places(
    reader: &mut Reader<'_>,
    count: usize,
    end_max: u64,
) -> Result<Vec<BlockAt>, Malformed> {
    let skipped = read_column(reader, count)?;
    let lengths = read_column(reader, count)?;
    let bad = reader.malformed("blocks one behind the other, before the footer");
    let mut end = 0_u64;
    let place = |(skipped, len): (u64, u64)| {
        let offset = end.checked_add(skipped).ok_or(bad)?;
        let at = BlockAt { offset, len: u32::try_from(len).map_err(|_| bad)? };
        end = at.end();
        if end <= end_max { Ok(at) } else { Err(bad) }
    };
    skipped.into_iter().zip(lengths).map(place).collect()
}

impl Layout {
    /// Decodes the index of a table whose blocks end at or before `end_max`.
    pub(super) fn decode(bytes: &[u8], end_max: u64) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        // A block has a frame: so a file cannot hold more blocks than this.
        let blocks_max = end_max / super::frame::FRAME_LEN as u64;
        let rows = reader.varint("how many rows")?;
        let block_rows = reader.varint_max(BLOCK_ROWS_MAX as u64, "rows of a hot block")?;
        if block_rows == 0 || rows.div_ceil(block_rows) > blocks_max {
            return Err(reader.malformed("no more rows than the file's blocks hold"));
        }
        let hot = read_hot(&mut reader, rows.div_ceil(block_rows) as usize, end_max)?;
        let count = reader.varint_max(blocks_max, "how many cold blocks")? as usize;
        let cold = read_cold(&mut reader, count, end_max, rows)?;
        let count = reader.varint_max(blocks_max, "how many entity blocks")? as usize;
        let entities = read_entities(&mut reader, count, end_max, rows)?;
        let keys_max = count.saturating_mul(ENTITY_LEN_MAX);
        let keys = Keys::read(&mut reader, count, ENTITY_LEN_MAX, keys_max)?;
        reader.end("nothing behind the index")?;
        Ok(Self { rows, block_rows, hot, cold, entities, keys })
    }

    /// The hot block of a row, and the row in it.
    pub(super) fn hot_of(&self, row: u64) -> (usize, usize) {
        let (block, within) = (row.checked_div(self.block_rows), row.checked_rem(self.block_rows));
        (block.unwrap_or(0) as usize, within.unwrap_or(0) as usize)
    }

    /// The rows of a hot block.
    pub(super) fn hot_rows(&self, block: usize) -> Range<u64> {
        let start = (block as u64).saturating_mul(self.block_rows);
        start..start.saturating_add(self.block_rows).min(self.rows)
    }

    /// The cold block of a row, and the row in it.
    pub(super) fn cold_of(&self, row: u64) -> Option<(usize, usize)> {
        let block = self.cold.partition_point(|cold| cold.first_row <= row).checked_sub(1)?;
        let within = row.checked_sub(self.cold.get(block)?.first_row)?;
        Some((block, within as usize))
    }

    /// The entity block that holds the entity if any does.
    pub(super) fn entities_of(&self, entity: &[u8]) -> Option<usize> {
        self.keys.rank_through(entity).checked_sub(1)
    }

    /// The rows of the run among which the newest inside the bound is: all in one hot block, except that the end may be the
    /// first row of the next one, which then is inside for certain.
    pub(super) fn narrow(&self, run: &RunStats, bound: &Bound) -> Range<u64> {
        let (first_block, _) = self.hot_of(run.first_row);
        let (last_block, _) = self.hot_of(run.end_row().saturating_sub(1));
        if first_block == last_block {
            return run.first_row..run.end_row();
        }
        let (mut low, mut high) = (first_block.saturating_add(1), last_block.saturating_add(1));
        while low < high {
            let middle = low.midpoint(high);
            let inside = self.hot.get(middle).is_some_and(|hot| hot.key.inside(bound));
            if inside { high = middle } else { low = middle.saturating_add(1) }
        }
        let from = (low.saturating_sub(1) as u64).saturating_mul(self.block_rows).max(run.first_row);
        from..(low as u64).saturating_mul(self.block_rows).min(run.end_row())
    }

    /// The entities whose rows are among `rows`, for people. As exact as the index is: to an entity block.
    pub(super) fn affected(&self, rows: Range<u64>) -> String {
        let from = self.entities.partition_point(|block| block.first_row <= rows.start).saturating_sub(1);
        let to = self.entities.partition_point(|block| block.first_row < rows.end);
        self.affected_blocks(from..to)
    }

    /// The entities of some entity blocks, for people.
    pub(super) fn affected_blocks(&self, blocks: Range<usize>) -> String {
        let name = |i| match Entity::from_bytes(self.keys.share(i)) {
            Ok(entity) => entity.to_string(),
            Err(_) => "the first entity".to_owned(),
        };
        if blocks.end < self.keys.len() {
            format!("entities from {} up to {} (not included)", name(blocks.start), name(blocks.end))
        } else {
            format!("entities from {} to the end of the table", name(blocks.start))
        }
    }
}

fn read_hot(reader: &mut Reader<'_>, count: usize, end_max: u64) -> Result<Vec<HotAt>, Malformed> {
    let places = read_places(reader, count, end_max)?;
    let mut column = || read_column(reader, count);
    let (numbers, ends, commits, effectives) = (column()?, column()?, column()?, column()?);
    let keys = numbers.into_iter().zip(ends).zip(commits.into_iter().zip(effectives));
    let hot = places.into_iter().zip(keys).map(|(at, ((number, commit_end), (commit, effective)))| HotAt {
        at,
        key: RowKey {
            number,
            commit_end,
            commit_time: unbiased(commit),
            effective_time: unbiased(effective),
        },
    });
    Ok(hot.collect())
}

fn read_cold(
    reader: &mut Reader<'_>,
    count: usize,
    end_max: u64,
    total: u64,
) -> Result<Vec<ColdAt>, Malformed> {
    let places = read_places(reader, count, end_max)?;
    let rows = read_column(reader, count)?;
    let bad = reader.malformed("rows of cold blocks that add up");
    let mut first_row = 0_u64;
    let mut cold = Vec::with_capacity(count);
    for (at, rows) in places.into_iter().zip(rows) {
        if rows == 0 || rows > super::cold::COLD_ROWS_MAX as u64 {
            return Err(bad);
        }
        cold.push(ColdAt { at, first_row, rows: rows as u32 });
        first_row = first_row.checked_add(rows).ok_or(bad)?;
    }
    if first_row == total { Ok(cold) } else { Err(bad) }
}

fn read_entities(
    reader: &mut Reader<'_>,
    count: usize,
    end_max: u64,
    total: u64,
) -> Result<Vec<EntitiesAt>, Malformed> {
    let places = read_places(reader, count, end_max)?;
    let counts = read_column(reader, count)?;
    let rows = read_column(reader, count)?;
    let bad = reader.malformed("rows of entity blocks that add up");
    let mut first_row = 0_u64;
    let mut entities = Vec::with_capacity(count);
    for (at, (count, rows)) in places.into_iter().zip(counts.into_iter().zip(rows)) {
        let count = u32::try_from(count).map_err(|_| bad)?;
        entities.push(EntitiesAt { at, first_row, rows, entities: count });
        first_row = first_row.checked_add(rows).filter(|_| rows > 0 && count > 0).ok_or(bad)?;
    }
    if first_row == total { Ok(entities) } else { Err(bad) }
}

impl Cached for Layout {
    fn weight(&self) -> usize {
        size_of_val(&*self.hot)
            .saturating_add(size_of_val(&*self.cold))
            .saturating_add(size_of_val(&*self.entities))
            .saturating_add(self.keys.weight())
    }
}
