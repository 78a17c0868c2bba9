//! Building a revision table.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::cold::{COLD_BLOCKS, COLD_ROWS_MAX, encode_cold};
use super::entities::{RunStats, encode_entities};
use super::footer::Footer;
use super::frame::{BlockKind, FRAME_LEN};
use super::hot::{HotRow, encode_hot};
use super::hot_block::RowKey;
use super::layout::{BLOCK_ROWS_MAX, ColdAt, EntitiesAt, HotAt, encode_layout};
use super::properties::Properties;
use super::sink::Sink;
use super::{REVISION_TABLE_VERSION, TableOptions};
use crate::codec::{Codec, FileHeader, FileKind};
use crate::env::File;
use crate::index::entity_hash;
use crate::index::filter::encode_filter;
use crate::limits::{ENTITY_LEN_MAX, FIELDS_LEN_MAX, Limits, REVISION_NUMBER_MAX};
use crate::manifest::TableInfo;
use crate::model::{RevisionKind, Row};
use crate::{Error, Result};

/// What an entity is taken to cost in an entity block besides its name, bytes uncompressed.
const ENTITY_STATS_BYTES: usize = 16;
/// What a row that is not yet in a block is taken to need in the file, without and per byte of cold fields.
const HOT_ROW_ESTIMATE: u64 = 20;
const COLD_RATIO_ESTIMATE: u64 = 4;

/// Writes a table from entities in ascending order, each with its rows newest first. Memory is bounded by a few blocks, plus
/// eight bytes per entity for the filter and about 60 per block for the index.
///
/// After an error the builder is of no use: drop it and remove the file.
pub struct RevisionTableBuilder {
    sink: Sink,
    header: FileHeader,
    limits: Limits,
    options: TableOptions,
    /// Rows of the hot block that is being gathered.
    hot: Vec<HotRow>,
    /// Lengths and bytes of the cold block that is being gathered.
    cold_lengths: Vec<u64>,
    cold: Vec<u8>,
    /// Finished entities of the entity block that is being gathered, and its raw size.
    entities: Vec<(Bytes, RunStats)>,
    entities_bytes: usize,
    /// The entity that rows are being added to.
    present: Option<Run>,
    hot_index: Vec<HotAt>,
    cold_index: Vec<ColdAt>,
    entity_index: Vec<EntitiesAt>,
    entity_keys: Vec<Bytes>,
    hashes: Vec<u64>,
    properties: Properties,
}

struct Run {
    entity: Bytes,
    stats: RunStats,
    /// Of the row added last.
    oldest: RowKey,
}

impl RevisionTableBuilder {
    /// Starts a table in a new, empty file. `header` is of kind [`FileKind::RevisionTable`], version
    /// [`REVISION_TABLE_VERSION`], with nothing of its own.
    ///
    /// # Errors
    /// `Invalid` for another header or limits of 0.
    pub fn new(
        file: Arc<dyn File>,
        path: &Path,
        header: FileHeader,
        limits: Limits,
        options: TableOptions,
    ) -> Result<Self> {
        if limits.block_rows == 0 || limits.block_rows as usize > BLOCK_ROWS_MAX || limits.block_bytes == 0 {
            return Err(Error::invalid(format!("blocks of a table have 1 to {BLOCK_ROWS_MAX} rows")));
        }
        let sink = Sink::new(file, path, header, FileKind::RevisionTable, REVISION_TABLE_VERSION)?;
        let properties =
            Properties { keyspace: options.keyspace, sequence_first: u64::MAX, ..Properties::default() };
        Ok(Self {
            sink,
            header,
            limits,
            options,
            hot: Vec::new(),
            cold_lengths: Vec::new(),
            cold: Vec::new(),
            entities: Vec::new(),
            entities_bytes: 0,
            present: None,
            hot_index: Vec::new(),
            cold_index: Vec::new(),
            entity_index: Vec::new(),
            entity_keys: Vec::new(),
            hashes: Vec::new(),
            properties,
        })
    }

    /// Goes on to the next entity.
    ///
    /// # Errors
    /// `Invalid` if it does not sort behind the one before, or that one has no rows.
    pub fn start_entity(&mut self, entity: &[u8]) -> Result<()> {
        if entity.is_empty() || entity.len() > ENTITY_LEN_MAX {
            return Err(Error::invalid(format!(
                "an entity name has 1 to {ENTITY_LEN_MAX} bytes, this one has {}",
                entity.len()
            )));
        }
        self.finish_entity()?;
        if self.properties.entities > 0 && self.properties.last >= entity {
            return Err(Error::invalid("entities of a table must be added in ascending order, each once"));
        }
        let entity = Bytes::copy_from_slice(entity);
        let stats = RunStats { first_row: self.properties.rows, ..RunStats::default() };
        self.present = Some(Run { entity, stats, oldest: RowKey::default() });
        Ok(())
    }

    /// Adds the next older row of the present entity.
    ///
    /// # Errors
    /// `Invalid` if number and sequence are not below those of the row before, a time or commit end is above, or a field is
    /// out of its limits; `Io`, `OutOfSpace`.
    pub fn add_row(&mut self, row: &Row) -> Result<()> {
        let Some(run) = &mut self.present else {
            return Err(Error::invalid("a row needs an entity: start one first"));
        };
        let key = RowKey::of(row);
        let stats = &mut run.stats;
        if row.number == 0
            || row.number > REVISION_NUMBER_MAX
            || row.sequence == 0
            || row.cold.len() > FIELDS_LEN_MAX
        {
            return Err(Error::invalid("a row has a number and a sequence from 1, and bounded fields"));
        }
        if stats.rows == 0 {
            stats.number_last = row.number;
            stats.sequence_last = row.sequence;
            stats.deleted = row.kind == RevisionKind::Delete;
        } else if row.number >= stats.number_first
            || row.sequence >= stats.sequence_first
            || key.commit_end > run.oldest.commit_end
            || key.commit_time > run.oldest.commit_time
            || key.effective_time > run.oldest.effective_time
        {
            return Err(Error::invalid(format!(
                "rows of an entity must be added newest first: revision {} (sequence {}) cannot follow revision {} (sequence {})",
                row.number, row.sequence, stats.number_first, stats.sequence_first,
            )));
        }
        let starts_run = stats.rows == 0;
        stats.number_first = row.number;
        stats.sequence_first = row.sequence;
        stats.rows += 1;
        run.oldest = key;
        self.properties.rows += 1;
        self.properties.sequence_first = self.properties.sequence_first.min(row.sequence);
        self.properties.sequence_last = self.properties.sequence_last.max(row.sequence);
        self.cold_lengths.push(row.cold.len() as u64);
        self.cold.extend_from_slice(&row.cold);
        let row = Row { cold: Bytes::new(), ..row.clone() };
        self.hot.push(HotRow { starts_run, row });
        if self.hot.len() >= self.limits.block_rows as usize {
            self.write_hot()?;
        }
        let cold_bytes = self.limits.block_bytes as usize * COLD_BLOCKS;
        if self.cold.len() >= cold_bytes || self.cold_lengths.len() >= COLD_ROWS_MAX {
            self.write_cold()?;
        }
        Ok(())
    }

    /// How many bytes the file would have if it ended here: exact for what is in blocks, estimated for the rest.
    pub fn bytes(&self) -> u64 {
        let hot = self.hot.len() as u64 * HOT_ROW_ESTIMATE;
        let cold = self.cold.len() as u64 / COLD_RATIO_ESTIMATE + self.cold_lengths.len() as u64;
        let blocks = self.hot_index.len() + self.cold_index.len() + self.entity_index.len();
        let index = blocks as u64 * FRAME_LEN as u64;
        let filter = self.hashes.len() as u64 * 9 / 8;
        self.sink.len() + hot + cold + self.entities_bytes as u64 + index + filter
    }

    /// How many rows it has so far.
    pub fn rows(&self) -> u64 {
        self.properties.rows
    }

    /// Writes what is left, the index, the filter, the properties and the footer, and syncs the file's data. The directory's
    /// sync is the caller's business.
    ///
    /// # Errors
    /// `Invalid` for a table without rows, `Io`, `OutOfSpace`.
    pub fn finish(mut self) -> Result<TableInfo> {
        self.finish_entity()?;
        if self.properties.entities == 0 {
            return Err(Error::invalid("a table has at least one row"));
        }
        self.write_hot()?;
        self.write_cold()?;
        self.write_entities()?;
        let index = encode_layout(
            self.properties.rows,
            self.limits.block_rows,
            &self.hot_index,
            &self.cold_index,
            &self.entity_index,
            self.entity_keys.iter().map(|key| &key[..]),
        );
        let index = self.sink.block(BlockKind::Index, Codec::Raw, 0, &index)?;
        let filter = encode_filter(self.hashes, self.options.fingerprint);
        let filter = Some(self.sink.block(BlockKind::Filter, Codec::Raw, 0, &filter)?);
        let properties = self.sink.block(BlockKind::Properties, Codec::Raw, 0, &self.properties.encode())?;
        let written = self.sink.finish(&Footer { index, filter, properties })?;
        Ok(TableInfo {
            keyspace: self.properties.keyspace,
            level: self.options.level,
            id: self.header.id,
            len: written.len,
            blake3: written.blake3,
            first: self.properties.first,
            last: self.properties.last,
            sequence_first: self.properties.sequence_first,
            sequence_last: self.properties.sequence_last,
            rows: self.properties.rows,
            entities: self.properties.entities,
            erased_up_to: self.options.erased_up_to,
        })
    }

    fn finish_entity(&mut self) -> Result<()> {
        let Some(run) = self.present.take() else { return Ok(()) };
        if run.stats.rows == 0 {
            return Err(Error::invalid("an entity of a table has at least one row"));
        }
        if self.properties.entities == 0 {
            self.properties.first = run.entity.clone();
        }
        self.properties.entities += 1;
        self.properties.last = run.entity.clone();
        self.hashes.push(entity_hash(&run.entity));
        self.entities_bytes += run.entity.len() + ENTITY_STATS_BYTES;
        self.entities.push((run.entity, run.stats));
        if self.entities_bytes >= self.limits.block_bytes as usize {
            self.write_entities()?;
        }
        Ok(())
    }

    fn write_hot(&mut self) -> Result<()> {
        let Some(first) = self.hot.first() else { return Ok(()) };
        let key = RowKey::of(&first.row);
        // Packed columns do not compress further, and are read most often.
        let at = self.sink.block(BlockKind::Hot, Codec::Raw, 0, &encode_hot(&self.hot))?;
        self.hot_index.push(HotAt { at, key });
        self.hot.clear();
        Ok(())
    }

    fn write_cold(&mut self) -> Result<()> {
        let rows = self.cold_lengths.len() as u32;
        if rows == 0 {
            return Ok(());
        }
        let block = encode_cold(&self.cold_lengths, &self.cold);
        let at = self.sink.block(BlockKind::Cold, self.options.codec, self.options.zstd_level, &block)?;
        let first_row = self.cold_index.last().map_or(0, |last| last.first_row + u64::from(last.rows));
        self.cold_index.push(ColdAt { at, first_row, rows });
        self.cold_lengths.clear();
        self.cold.clear();
        Ok(())
    }

    fn write_entities(&mut self) -> Result<()> {
        let Some((key, first)) = self.entities.first() else { return Ok(()) };
        let block = encode_entities(&self.entities);
        let at = self.sink.block(BlockKind::Entities, self.options.codec, self.options.zstd_level, &block)?;
        let first_row = first.first_row;
        let rows = self.entities.iter().map(|(_, stats)| stats.rows).sum();
        self.entity_keys.push(key.clone());
        self.entity_index.push(EntitiesAt { at, first_row, rows, entities: self.entities.len() as u32 });
        self.entities.clear();
        self.entities_bytes = 0;
        Ok(())
    }
}
