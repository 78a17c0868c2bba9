//! Reading a whole table and believing nothing.

use std::ops::Range;
use std::sync::Arc;

use super::entities::RunStats;
use super::frame::BlockAt;
use super::hot_block::RowKey;
use super::layout::Layout;
use super::reader::{Held, RevisionTable};
use crate::cache::Cache;
use crate::index::entity_hash;
use crate::model::{Fields, RevisionKind};
use crate::{Error, Result};

/// Whether to compare the file's BLAKE3 with the manifest's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerifyHash {
    /// Blocks only; their checksums cover every byte.
    Skip,
    /// Also read the file through for its BLAKE3.
    Compare,
}

/// What a table is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// Rows.
    pub rows: u64,
    /// Entities.
    pub entities: u64,
    /// Hot blocks.
    pub hot_blocks: u64,
    /// Cold blocks.
    pub cold_blocks: u64,
    /// Entity blocks.
    pub entity_blocks: u64,
    /// Bytes of hot blocks, with their frames.
    pub hot_bytes: u64,
    /// Bytes of cold blocks.
    pub cold_bytes: u64,
    /// Bytes of entity blocks.
    pub entity_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the filter.
    pub filter_bytes: u64,
    /// Bytes of the whole file.
    pub file_bytes: u64,
}

impl RevisionTable {
    /// What the table is made of. Reads the index.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn stats(&self) -> Result<TableStats> {
        let layout = self.layout()?;
        let footer = &self.input.footer;
        let sum = |places: &mut dyn Iterator<Item = BlockAt>| places.map(|at| u64::from(at.len)).sum();
        Ok(TableStats {
            rows: self.info.rows,
            entities: self.info.entities,
            hot_blocks: layout.hot.len() as u64,
            cold_blocks: layout.cold.len() as u64,
            entity_blocks: layout.entities.len() as u64,
            hot_bytes: sum(&mut layout.hot.iter().map(|hot| hot.at)),
            cold_bytes: sum(&mut layout.cold.iter().map(|cold| cold.at)),
            entity_bytes: sum(&mut layout.entities.iter().map(|entities| entities.at)),
            index_bytes: u64::from(footer.index.len),
            filter_bytes: footer.filter.map_or(0, |at| u64::from(at.len)),
            file_bytes: self.input.len,
        })
    }

    /// Reads every byte from the file, past the cache, and checks all there is to check: that the blocks cover the file, every
    /// checksum, every order, that the filter knows every entity, that index, entity blocks, rows and properties agree, that
    /// cold fields can be decoded.
    ///
    /// `progress` is called now and then with the number of rows (and, for the hash, bytes) done since the last call; an error
    /// that it returns ends the work and is returned.
    ///
    /// # Errors
    /// The first damage found; those of `progress`; `Io`.
    pub fn verify(
        &self,
        hash: VerifyHash,
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<TableStats> {
        // A cache of its own that keeps nothing, so that everything comes from the file.
        let fresh = self.with_cache(Arc::new(Cache::new(0)));
        let layout = fresh.layout()?;
        fresh.verify_cover(&layout)?;
        if hash == VerifyHash::Compare {
            fresh.input.verify_hash(&self.info.blake3, &self.affected_all(), progress)?;
        }
        fresh.verify_rows(&layout, progress)?;
        fresh.stats()
    }

    /// Every byte is in exactly one block, the header or the footer.
    fn verify_cover(&self, layout: &Layout) -> Result<()> {
        let mut places: Vec<BlockAt> = layout.hot.iter().map(|hot| hot.at).collect();
        places.extend(layout.cold.iter().map(|cold| cold.at));
        places.extend(layout.entities.iter().map(|entities| entities.at));
        self.input.verify_cover(places, &self.affected_all())
    }

    fn verify_rows(&self, layout: &Layout, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let filter = self.filter()?;
        let (mut held, mut entities) = (Held::default(), 0_u64);
        let (mut sequence_first, mut sequence_last) = (u64::MAX, 0);
        let mut previous: Vec<u8> = Vec::new();
        for (number, place) in layout.entities.iter().enumerate() {
            let block = self.entity_block(layout, number)?;
            let wrong = |expected: &str, found: &str| {
                let affected = layout.affected_blocks(number..number.saturating_add(1));
                Err(self.input.corrupt(place.at.offset, expected, found, affected))
            };
            for i in 0..block.keys.len() {
                let (entity, run) = (block.keys.get(i), block.run(i));
                if entity <= &previous[..] {
                    return wrong("entities in ascending order", "one out of order");
                }
                if filter.as_ref().is_some_and(|filter| !filter.contains(entity_hash(entity))) {
                    return wrong("every entity in the filter", "one that is not");
                }
                if entities == 0 && self.info.first != entity {
                    return wrong("the first entity as in the manifest", "another one");
                }
                previous = entity.to_vec();
                entities = entities.saturating_add(1);
                self.verify_run(layout, &mut held, &run)?;
                sequence_first = sequence_first.min(run.sequence_first);
                sequence_last = sequence_last.max(run.sequence_last);
            }
            progress(place.rows)?;
        }
        if previous != self.info.last
            || (sequence_first, sequence_last) != (self.info.sequence_first, self.info.sequence_last)
        {
            let found = format!("sequences {sequence_first} to {sequence_last}, or another last entity");
            let at = self.input.footer.properties.offset;
            return Err(self.input.corrupt(at, "what the manifest says", &found, self.affected_all()));
        }
        Ok(())
    }

    fn verify_run(&self, layout: &Layout, held: &mut Held, run: &RunStats) -> Result<()> {
        let rows: Range<u64> = run.first_row..run.end_row();
        let mut last: Option<(RowKey, u64)> = None;
        for at in rows.clone() {
            let (hot, within) = self.hot_at(layout, held, at)?;
            let wrong = |expected: &str, found: String| -> Result<(), Error> {
                let (block, _) = layout.hot_of(at);
                let offset = layout.hot.get(block).map_or(0, |hot| hot.at.offset);
                Err(self.input.corrupt(offset, expected, &found, layout.affected(rows.clone())))
            };
            let row = self.row(layout, held, at)?;
            let key = RowKey::of(&row);
            let found = || format!("revision {} (sequence {})", row.number, row.sequence);
            let starts = u32::try_from(within).is_ok_and(|row| hot.starts().binary_search(&row).is_ok());
            if starts != (within == 0 || at == run.first_row) {
                wrong("runs as the entity block has them", found())?;
            }
            if at == run.first_row
                && ((row.number, row.sequence) != (run.number_last, run.sequence_last)
                    || run.deleted != (row.kind == RevisionKind::Delete))
            {
                wrong("the newest row as the entity block has it", found())?;
            }
            if at.saturating_add(1) == run.end_row()
                && (row.number, row.sequence) != (run.number_first, run.sequence_first)
            {
                wrong("the oldest row as the entity block has it", found())?;
            }
            if let Some((newer, sequence)) = last
                && (key.number >= newer.number
                    || row.sequence >= sequence
                    || key.commit_end > newer.commit_end
                    || key.commit_time > newer.commit_time
                    || key.effective_time > newer.effective_time)
            {
                wrong("rows newest first", found())?;
            }
            if let Err(bad) = Fields::decode(&row.cold) {
                wrong("cold fields", format!("{bad}, in {}", found()))?;
            }
            last = Some((key, row.sequence));
        }
        Ok(())
    }
}
