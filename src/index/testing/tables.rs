//! Tables in memory, behind the same traits as those on disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::VecSource;
use crate::codec::FileId;
use crate::index::Source;
use crate::index::annotations::{AnnotationSource, StoredAnnotation, decode, key_prefix};
use crate::index::compaction::{BuildTables, PlainOutput, RevisionOutput};
use crate::index::levels::OpenTables;
use crate::manifest::TableInfo;
use crate::model::{Entity, Row};
use crate::{Error, Result};

type Entries = Vec<(Bytes, Bytes)>;

#[derive(Default)]
struct Files {
    revisions: BTreeMap<FileId, Arc<VecSource>>,
    plain: BTreeMap<FileId, Arc<VecEntries>>,
}

/// Makes and keeps tables.
#[derive(Clone, Default)]
pub struct MemTables {
    files: Arc<Mutex<Files>>,
    next: Arc<AtomicU64>,
}

impl MemTables {
    fn id(&self) -> FileId {
        FileId { epoch: 1, number: 1 + self.next.fetch_add(1, Ordering::Relaxed) }
    }

    /// A table that holds what it is given, right or wrong.
    pub fn table(&self, level: u8, source: VecSource) -> TableInfo {
        let id = self.id();
        let sequences = || source.runs.iter().flat_map(|(_, rows)| rows).map(|row| row.sequence);
        let info = TableInfo {
            keyspace: 0,
            level,
            id,
            len: 100 + 40 * sequences().count() as u64,
            blake3: [0; 32],
            first: source.runs[0].0.bytes().clone(),
            last: source.runs[source.runs.len() - 1].0.bytes().clone(),
            sequence_first: sequences().min().unwrap(),
            sequence_last: sequences().max().unwrap(),
            rows: sequences().count() as u64,
            entities: source.runs.len() as u64,
            erased_up_to: 0,
        };
        self.files.lock().revisions.insert(id, Arc::new(source));
        info
    }

    /// The rows of a table.
    pub fn source(&self, id: FileId) -> Arc<VecSource> {
        self.files.lock().revisions[&id].clone()
    }

    /// How many files were ever completed.
    pub fn completed(&self) -> usize {
        let files = self.files.lock();
        files.revisions.len() + files.plain.len()
    }
}

impl OpenTables for MemTables {
    fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>> {
        Ok(self.source(info.id))
    }

    fn annotations(&self, info: &TableInfo) -> Result<Arc<dyn AnnotationSource>> {
        Ok(self.files.lock().plain[&info.id].clone())
    }
}

impl BuildTables for MemTables {
    fn revisions(&self, level: u8, _erased_up_to: u64) -> Result<Box<dyn RevisionOutput>> {
        Ok(Box::new(Revisions { tables: self.clone(), level, source: VecSource::default(), bytes: 100 }))
    }

    fn plain(&self, keyspace: u16, level: u8, _erased_up_to: u64) -> Result<Box<dyn PlainOutput>> {
        Ok(Box::new(Plain {
            tables: self.clone(),
            keyspace,
            level,
            entries: Vec::new(),
            sequences: Vec::new(),
        }))
    }
}

struct Revisions {
    tables: MemTables,
    level: u8,
    source: VecSource,
    bytes: u64,
}

impl RevisionOutput for Revisions {
    fn add(&mut self, entity: &Entity, row: &Row) -> Result<()> {
        match self.source.runs.last_mut() {
            Some((last, rows)) if last == entity => rows.insert(0, row.clone()),
            _ => self.source.runs.push((entity.clone(), vec![row.clone()])),
        }
        self.bytes += 40;
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn finish(self: Box<Self>) -> Result<TableInfo> {
        Ok(self.tables.table(self.level, self.source))
    }
}

struct Plain {
    tables: MemTables,
    keyspace: u16,
    level: u8,
    entries: Entries,
    sequences: Vec<u64>,
}

impl PlainOutput for Plain {
    fn add(&mut self, key: &[u8], value: &[u8], _hash: u64, sequence: u64) -> Result<()> {
        self.entries.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        self.sequences.push(sequence);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        self.entries.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn finish(self: Box<Self>) -> Result<TableInfo> {
        let id = self.tables.id();
        let info = TableInfo {
            keyspace: self.keyspace,
            level: self.level,
            id,
            len: 100 + self.bytes(),
            blake3: [0; 32],
            first: self.entries[0].0.clone(),
            last: self.entries[self.entries.len() - 1].0.clone(),
            sequence_first: *self.sequences.iter().min().unwrap(),
            sequence_last: *self.sequences.iter().max().unwrap(),
            rows: self.entries.len() as u64,
            entities: 0,
            erased_up_to: 0,
        };
        assert!(self.entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
        self.tables.files.lock().plain.insert(id, Arc::new(VecEntries(self.entries)));
        Ok(info)
    }
}

struct VecEntries(Entries);

impl AnnotationSource for VecEntries {
    fn collect(&self, entity: &Entity, _hash: u64, out: &mut Vec<StoredAnnotation>) -> Result<()> {
        let prefix = key_prefix(entity.as_bytes());
        for (key, value) in self.0.iter().filter(|(key, _)| key.starts_with(&prefix)) {
            out.push(decode(key, value).map_err(|bad| Error::malformed("plain".as_ref(), 0, bad, "all"))?);
        }
        Ok(())
    }

    fn entries(self: Arc<Self>) -> Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + Send> {
        Box::new(self.0.clone().into_iter().map(Ok))
    }
}
