//! Building a plain table.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::block::{encode_block, encode_index};
use super::{PLAIN_KEY_LEN_MAX, PLAIN_TABLE_VERSION, PLAIN_VALUE_LEN_MAX};
use crate::codec::{Codec, FileHeader, FileKind};
use crate::env::File;
use crate::index::filter::{Fingerprint, encode_filter};
use crate::index::table::footer::Footer;
use crate::index::table::sink::Sink;
use crate::index::table::{BlockAt, BlockKind, FRAME_LEN, Properties, TableOptions};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::{Error, Result};

/// Writes a plain table from pairs in ascending order of their keys. Memory is bounded by a block, plus eight bytes per key for
/// the filter and about 40 per block for the index.
///
/// After an error the builder is of no use: drop it and remove the file.
pub struct PlainTableBuilder {
    sink: Sink,
    header: FileHeader,
    limits: Limits,
    options: TableOptions,
    pairs: Vec<(Bytes, Bytes)>,
    pairs_bytes: usize,
    blocks: Vec<(BlockAt, u32)>,
    firsts: Vec<Bytes>,
    /// `None` once a key came without a hash.
    hashes: Option<Vec<u64>>,
    properties: Properties,
}

impl PlainTableBuilder {
    /// Starts a table in a new, empty file. `header` is of kind [`FileKind::PlainTable`], version [`PLAIN_TABLE_VERSION`], with
    /// nothing of its own.
    ///
    /// # Errors
    /// `Invalid` for another header.
    pub fn new(
        file: Arc<dyn File>,
        path: &Path,
        header: FileHeader,
        limits: Limits,
        options: TableOptions,
    ) -> Result<Self> {
        let sink = Sink::new(file, path, header, FileKind::PlainTable, PLAIN_TABLE_VERSION)?;
        let properties = Properties { keyspace: options.keyspace, ..Properties::default() };
        Ok(Self {
            sink,
            header,
            limits,
            options,
            pairs: Vec::new(),
            pairs_bytes: 0,
            blocks: Vec::new(),
            firsts: Vec::new(),
            hashes: Some(Vec::new()),
            properties,
        })
    }

    /// Adds a pair. `hash` is what the filter will be asked with (of the key, of a part of it, of whatever look-ups know); give
    /// one for all keys, or for none and have no filter.
    ///
    /// # Errors
    /// `Invalid` if the key does not sort behind the one before, is too long, or only some keys have a hash; `Io`, `OutOfSpace`.
    pub fn add(&mut self, key: &[u8], value: &[u8], hash: Option<u64>) -> Result<()> {
        if key.len() > PLAIN_KEY_LEN_MAX || value.len() > PLAIN_VALUE_LEN_MAX {
            return Err(Error::invalid(format!(
                "a plain table takes keys of {PLAIN_KEY_LEN_MAX} and values of {PLAIN_VALUE_LEN_MAX} bytes at most"
            )));
        }
        if self.properties.rows > 0 && self.properties.last >= key {
            return Err(Error::invalid("keys of a table must be added in ascending order, each once"));
        }
        match (&mut self.hashes, hash) {
            (Some(hashes), Some(hash)) => hashes.push(hash),
            (hashes, None) if self.properties.rows == 0 => *hashes = None,
            (None, None) => {}
            _ => return Err(Error::invalid("either all keys of a table have a hash, or none")),
        }
        let key = Bytes::copy_from_slice(key);
        if self.properties.rows == 0 {
            self.properties.first = key.clone();
        }
        self.properties.rows += 1;
        self.properties.last = key.clone();
        self.pairs_bytes += key.len() + value.len();
        self.pairs.push((key, Bytes::copy_from_slice(value)));
        if self.pairs_bytes >= self.limits.block_bytes as usize || self.pairs.len() >= u16::MAX as usize {
            self.write_block()?;
        }
        Ok(())
    }

    /// How many bytes the file would have if it ended here: exact for what is in blocks, estimated for the rest.
    pub fn bytes(&self) -> u64 {
        let filter = self.hashes.as_ref().map_or(0, |hashes| hashes.len() as u64 * 9 / 8);
        self.sink.len() + self.pairs_bytes as u64 + (self.blocks.len() * FRAME_LEN) as u64 + filter
    }

    /// How many keys it has so far.
    pub fn rows(&self) -> u64 {
        self.properties.rows
    }

    /// Writes what is left and syncs the file's data. `sequences` is what the manifest will say of the table's age. The
    /// directory's sync is the caller's business.
    ///
    /// # Errors
    /// `Invalid` for a table without keys, `Io`, `OutOfSpace`.
    pub fn finish(mut self, sequences: RangeInclusive<u64>) -> Result<TableInfo> {
        if self.properties.rows == 0 {
            return Err(Error::invalid("a table has at least one key"));
        }
        self.write_block()?;
        self.properties.sequence_first = *sequences.start();
        self.properties.sequence_last = *sequences.end();
        let index = encode_index(&self.blocks, &self.firsts);
        let index = self.sink.block(BlockKind::Index, Codec::Raw, 0, &index)?;
        let filter = match self.hashes {
            Some(hashes) => Some(self.sink.block(
                BlockKind::Filter,
                Codec::Raw,
                0,
                &encode_filter(hashes, Fingerprint::Narrow),
            )?),
            None => None,
        };
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
            entities: 0,
            erased_up_to: self.options.erased_up_to,
        })
    }

    fn write_block(&mut self) -> Result<()> {
        let Some((first, _)) = self.pairs.first() else { return Ok(()) };
        let block = encode_block(&self.pairs);
        let at = self.sink.block(BlockKind::Plain, self.options.codec, self.options.zstd_level, &block)?;
        self.firsts.push(first.clone());
        self.blocks.push((at, self.pairs.len() as u32));
        self.pairs.clear();
        self.pairs_bytes = 0;
        Ok(())
    }
}
