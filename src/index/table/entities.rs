//! A block of entities: who has rows in the table, how many, and where they start.
//!
//! ```text
//! entities         varint
//! keys             prefix-compressed, see `keys`
//! rows             column
//! newest number    column
//! number span      column: newest − oldest
//! newest sequence  column
//! sequence span    column: newest − oldest
//! flags            column: bit 0: the newest row is a tombstone
//! ```
//!
//! Rows are counted through the table, so an entity's first row is the block's first (from the index) plus the rows before it:
//! where a run starts costs nothing.

use bytes::Bytes;

use super::column::{Column, put_column, read_column};
use super::keys::{Keys, put_keys};
use crate::cache::Cached;
use crate::codec::{Malformed, Reader, put_varint};
use crate::index::RunInfo;
use crate::limits::ENTITY_LEN_MAX;
use crate::model::Entity;

/// No block holds more bytes of names than this, uncompressed.
const KEYS_BYTES_MAX: usize = 64 << 20;
const TOMBSTONE: u64 = 1;

/// What a table knows of an entity's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunStats {
    /// Counted through the table: where the newest row is.
    pub first_row: u64,
    /// How many rows.
    pub rows: u64,
    /// Number of the newest.
    pub number_last: u64,
    /// Number of the oldest.
    pub number_first: u64,
    /// Sequence number of the newest.
    pub sequence_last: u64,
    /// Sequence number of the oldest.
    pub sequence_first: u64,
    /// Whether the newest is a tombstone.
    pub deleted: bool,
}

impl RunStats {
    /// Behind the oldest row.
    pub fn end_row(&self) -> u64 {
        self.first_row.saturating_add(self.rows)
    }
}

pub(super) fn encode_entities(entities: &[(Bytes, RunStats)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, entities.len() as u64);
    put_keys(&mut out, entities.iter().map(|(entity, _)| &entity[..]));
    let mut column = |value: fn(&RunStats) -> u64| {
        put_column(&mut out, &entities.iter().map(|(_, run)| value(run)).collect::<Vec<_>>());
    };
    column(|run| run.rows);
    column(|run| run.number_last);
    column(|run| run.number_last - run.number_first);
    column(|run| run.sequence_last);
    column(|run| run.sequence_last - run.sequence_first);
    column(|run| u64::from(run.deleted) * TOMBSTONE);
    out
}

/// A decoded block.
#[derive(Clone, Debug)]
pub(super) struct EntityBlock {
    pub(super) keys: Keys,
    first_row: Column,
    rows: Column,
    number_last: Column,
    number_span: Column,
    sequence_last: Column,
    sequence_span: Column,
    flags: Column,
}

/// Decodes a block of exactly `count` entities and `rows` rows that starts at row `first_row` of the table.
pub(super) fn decode_entities(
    bytes: &[u8],
    count: usize,
    first_row: u64,
    rows: u64,
) -> Result<EntityBlock, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.varint("how many entities")? != count as u64 || count == 0 {
        return Err(reader.malformed("as many entities as the index says"));
    }
    let keys = Keys::read(&mut reader, count, ENTITY_LEN_MAX, KEYS_BYTES_MAX)?;
    if keys.get(0).is_empty() {
        return Err(reader.malformed("entities of at least one byte"));
    }
    let mut column = || read_column(&mut reader, count);
    let (row_counts, number_last, number_span) = (column()?, column()?, column()?);
    let (sequence_last, sequence_span, flags) = (column()?, column()?, column()?);
    let below = |spans: &[u64], lasts: &[u64]| spans.iter().zip(lasts).all(|(span, last)| span <= last);
    if !below(&number_span, &number_last) || !below(&sequence_span, &sequence_last) {
        return Err(reader.malformed("oldest numbers of at least 0"));
    }
    let end = first_row.checked_add(rows).ok_or(reader.malformed("a row count"))?;
    let mut first_rows = Vec::with_capacity(count);
    let mut at = first_row;
    for rows in &row_counts {
        first_rows.push(at);
        let bad = reader.malformed("row counts above 0 that add up");
        at = at.checked_add(*rows).filter(|at| *rows > 0 && *at <= end).ok_or(bad)?;
    }
    if at != end || flags.iter().any(|flags| *flags > TOMBSTONE) {
        return Err(reader.malformed("row counts that add up, and known flags"));
    }
    reader.end("nothing behind the flags")?;
    Ok(EntityBlock {
        keys,
        first_row: Column::new(first_rows),
        rows: Column::new(row_counts),
        number_last: Column::new(number_last),
        number_span: Column::new(number_span),
        sequence_last: Column::new(sequence_last),
        sequence_span: Column::new(sequence_span),
        flags: Column::new(flags),
    })
}

impl EntityBlock {
    pub(super) fn run(&self, i: usize) -> RunStats {
        let (number_last, sequence_last) = (self.number_last.get(i), self.sequence_last.get(i));
        RunStats {
            first_row: self.first_row.get(i),
            rows: self.rows.get(i),
            number_last,
            number_first: number_last.saturating_sub(self.number_span.get(i)),
            sequence_last,
            sequence_first: sequence_last.saturating_sub(self.sequence_span.get(i)),
            deleted: self.flags.get(i) & TOMBSTONE != 0,
        }
    }

    /// The same for those who walk; the name shares the block's memory.
    pub(super) fn info(&self, i: usize) -> crate::Result<RunInfo> {
        let run = self.run(i);
        Ok(RunInfo {
            entity: Entity::from_bytes(self.keys.share(i))?,
            rows: run.rows,
            number_last: run.number_last,
            sequence_last: run.sequence_last,
            number_first: run.number_first,
            sequence_first: run.sequence_first,
        })
    }
}

impl Cached for EntityBlock {
    fn weight(&self) -> usize {
        let columns = [
            &self.first_row,
            &self.rows,
            &self.number_last,
            &self.number_span,
            &self.sequence_last,
            &self.sequence_span,
            &self.flags,
        ];
        size_of::<Self>() + self.keys.weight() + columns.into_iter().map(Column::weight).sum::<usize>()
    }
}
