//! Tables in files, as the store has them, without the store: no intents, no directory syncs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Result;
use crate::cache::Cache;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{Access, File, Fs, OsFs};
use crate::error::IoContext;
use crate::index::Source;
use crate::index::annotations::{AnnotationSource, AnnotationTable};
use crate::index::compaction::{BuildTables, PlainOutput, RevisionOutput};
use crate::index::levels::OpenTables;
use crate::index::plain::{PLAIN_TABLE_VERSION, PlainTable, PlainTableBuilder};
use crate::index::table::{
    REVISION_TABLE_VERSION, RevisionTable, RevisionTableBuilder, TableAccess, TableOptions,
};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::model::{Entity, Row};

const STORE: [u8; 16] = [7; 16];

/// Tables in a directory of their own.
pub struct FileTables {
    dir: tempfile::TempDir,
    fs: OsFs,
    next: AtomicU64,
    cache: Arc<Cache>,
    access: TableAccess,
}

impl FileTables {
    pub fn new(access: TableAccess) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::new(16 << 10));
        Self { dir, fs: OsFs::new(), next: AtomicU64::new(1), cache, access }
    }

    fn path(&self, id: FileId, kind: FileKind) -> PathBuf {
        self.dir.path().join(id.file_name(kind))
    }

    fn open(&self, info: &TableInfo, kind: FileKind) -> Result<(Arc<dyn File>, PathBuf)> {
        let path = self.path(info.id, kind);
        Ok((self.fs.open(&path, Access::Read).context("open", &path)?, path))
    }

    fn create(&self, kind: FileKind, version: u16) -> Result<(Arc<dyn File>, PathBuf, FileHeader)> {
        let id = FileId { epoch: 1, number: self.next.fetch_add(1, Ordering::Relaxed) };
        let path = self.path(id, kind);
        let file = self.fs.open(&path, Access::CreateNew).context("create", &path)?;
        let header = FileHeader { kind, version, header_len: FILE_HEADER_LEN as u32, store: STORE, id };
        Ok((file, path, header))
    }
}

impl OpenTables for FileTables {
    fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>> {
        let (file, path) = self.open(info, FileKind::RevisionTable)?;
        let table: Arc<dyn Source> =
            RevisionTable::open(file, &path, info, &STORE, self.cache.clone(), self.access)?;
        Ok(table)
    }

    fn annotations(&self, info: &TableInfo) -> Result<Arc<dyn AnnotationSource>> {
        let (file, path) = self.open(info, FileKind::PlainTable)?;
        let table = PlainTable::open(file, &path, info, &STORE, self.cache.clone(), self.access)?;
        Ok(Arc::new(AnnotationTable::new(table)))
    }
}

impl BuildTables for FileTables {
    fn revisions(&self, level: u8, erased_up_to: u64) -> Result<Box<dyn RevisionOutput>> {
        let (file, path, header) = self.create(FileKind::RevisionTable, REVISION_TABLE_VERSION)?;
        let options = TableOptions::for_level(0, level).erased_up_to(erased_up_to);
        let builder = RevisionTableBuilder::new(file, &path, header, Limits::TINY, options)?;
        Ok(Box::new(RevisionFile { builder, entity: None }))
    }

    fn plain(&self, keyspace: u16, level: u8, erased_up_to: u64) -> Result<Box<dyn PlainOutput>> {
        let (file, path, header) = self.create(FileKind::PlainTable, PLAIN_TABLE_VERSION)?;
        let options = TableOptions::for_level(keyspace, level).erased_up_to(erased_up_to);
        let builder = PlainTableBuilder::new(file, &path, header, Limits::TINY, options)?;
        Ok(Box::new(PlainFile { builder, sequences: (u64::MAX, 0) }))
    }
}

struct RevisionFile {
    builder: RevisionTableBuilder,
    entity: Option<Entity>,
}

impl RevisionOutput for RevisionFile {
    fn add(&mut self, entity: &Entity, row: &Row) -> Result<()> {
        if self.entity.as_ref() != Some(entity) {
            self.builder.start_entity(entity.as_bytes())?;
            self.entity = Some(entity.clone());
        }
        self.builder.add_row(row)
    }

    fn bytes(&self) -> u64 {
        self.builder.bytes()
    }

    fn finish(self: Box<Self>) -> Result<TableInfo> {
        self.builder.finish()
    }
}

struct PlainFile {
    builder: PlainTableBuilder,
    sequences: (u64, u64),
}

impl PlainOutput for PlainFile {
    fn add(&mut self, key: &[u8], value: &[u8], hash: u64, sequence: u64) -> Result<()> {
        self.sequences = (self.sequences.0.min(sequence), self.sequences.1.max(sequence));
        self.builder.add(key, value, Some(hash))
    }

    fn bytes(&self) -> u64 {
        self.builder.bytes()
    }

    fn finish(self: Box<Self>) -> Result<TableInfo> {
        self.builder.finish(self.sequences.0..=self.sequences.1)
    }
}
