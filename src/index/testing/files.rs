//! Tables in files, as the store has them, without the store: no intents, no directory syncs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::MemTables;
use crate::Result;
use crate::cache::Cache;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{Access, Fs, OsFs};
use crate::error::IoContext;
use crate::index::Source;
use crate::index::annotations::AnnotationSource;
use crate::index::compaction::{BuildTables, PlainOutput, RevisionOutput};
use crate::index::levels::OpenTables;
use crate::index::table::{
    REVISION_TABLE_VERSION, RevisionTable, RevisionTableBuilder, TableAccess, TableOptions,
};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::model::{Entity, Row};

const STORE: [u8; 16] = [7; 16];

/// Revision tables in a directory of their own; annotations stay in memory.
pub struct FileTables {
    dir: tempfile::TempDir,
    fs: OsFs,
    next: AtomicU64,
    cache: Arc<Cache>,
    access: TableAccess,
    plain: MemTables,
}

impl FileTables {
    pub fn new(access: TableAccess) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::new(16 << 10));
        Self { dir, fs: OsFs::new(), next: AtomicU64::new(1000), cache, access, plain: MemTables::default() }
    }

    fn path(&self, id: FileId) -> PathBuf {
        self.dir.path().join(id.file_name(FileKind::RevisionTable))
    }
}

impl OpenTables for FileTables {
    fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>> {
        let path = self.path(info.id);
        let file = self.fs.open(&path, Access::Read).context("open", &path)?;
        let table: Arc<dyn Source> =
            RevisionTable::open(file, &path, info, &STORE, self.cache.clone(), self.access)?;
        Ok(table)
    }

    fn annotations(&self, info: &TableInfo) -> Result<Arc<dyn AnnotationSource>> {
        self.plain.annotations(info)
    }
}

impl BuildTables for FileTables {
    fn revisions(&self, level: u8) -> Result<Box<dyn RevisionOutput>> {
        let id = FileId { epoch: 1, number: self.next.fetch_add(1, Ordering::Relaxed) };
        let path = self.path(id);
        let file = self.fs.open(&path, Access::CreateNew).context("create", &path)?;
        let header = FileHeader {
            kind: FileKind::RevisionTable,
            version: REVISION_TABLE_VERSION,
            header_len: FILE_HEADER_LEN as u32,
            store: STORE,
            id,
        };
        let options = TableOptions::for_level(0, level);
        let builder = RevisionTableBuilder::new(file, &path, header, Limits::TINY, options)?;
        Ok(Box::new(RevisionFile { builder, entity: None }))
    }

    fn plain(&self, keyspace: u16, level: u8) -> Result<Box<dyn PlainOutput>> {
        self.plain.plain(keyspace, level)
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
