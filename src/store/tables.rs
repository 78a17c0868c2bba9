//! Opening and making tables for the index: file numbers, intents, directory syncs, pins.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::sync::Mutex;
use bytes::Bytes;

use super::options::TableReads;
use crate::Result;
use crate::cache::Cache;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::{Access, Env, File};
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
use crate::manifest::{Edit, FileHandle, Manifest, TableInfo};
use crate::model::{Entity, Row};

/// Opens and makes the tables of a store; one per job.
#[derive(Clone)]
pub(crate) struct Tables(Arc<Job>);

struct Job {
    env: Env,
    manifest: Arc<Manifest>,
    cache: Arc<Cache>,
    reads: TableReads,
    limits: Limits,
    /// Files that this job announced.
    made: Mutex<Vec<(FileId, FileKind)>>,
}

impl Tables {
    pub(crate) fn new(
        env: &Env,
        manifest: &Arc<Manifest>,
        cache: &Arc<Cache>,
        reads: TableReads,
        limits: &Limits,
    ) -> Self {
        Self(Arc::new(Job {
            env: env.clone(),
            manifest: manifest.clone(),
            cache: cache.clone(),
            reads,
            limits: *limits,
            made: Mutex::default(),
        }))
    }

    /// Removes the files of a job that was told to stop.
    pub(crate) fn give_up(&self) -> Result<()> {
        let made = std::mem::take(&mut *self.0.made.lock());
        let mut edits = Vec::with_capacity(made.len());
        for (id, kind) in made {
            let path = self.0.manifest.files().path(id, kind);
            match self.0.env.fs.remove_file(&path) {
                // Announced, but not created any more.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other.context("remove", &path)?,
            }
            edits.push(Edit::IntentDone(id));
        }
        if !edits.is_empty() {
            self.0
                .env
                .fs
                .sync_dir(self.0.manifest.dir())
                .context("sync the directory", self.0.manifest.dir())?;
            self.0.manifest.commit(edits)?;
        }
        Ok(())
    }

    /// Opens a revision table as itself: for `check` and the tools.
    pub(crate) fn open_revisions(&self, info: &TableInfo) -> Result<Arc<RevisionTable>> {
        let handle = self.0.manifest.files().open(info.id, FileKind::RevisionTable)?;
        let path = handle.path().to_path_buf();
        let access = match self.0.reads {
            TableReads::Read => TableAccess::Read,
            TableReads::Map => TableAccess::Map,
        };
        let file = Arc::new(PinnedFile(handle));
        RevisionTable::open(file, &path, info, &self.0.manifest.state().store, self.0.cache.clone(), access)
    }

    /// Opens a plain table as itself.
    pub(crate) fn open_plain(&self, info: &TableInfo) -> Result<Arc<PlainTable>> {
        let handle = self.0.manifest.files().open(info.id, FileKind::PlainTable)?;
        let path = handle.path().to_path_buf();
        let access = match self.0.reads {
            TableReads::Read => TableAccess::Read,
            TableReads::Map => TableAccess::Map,
        };
        let file = Arc::new(PinnedFile(handle));
        PlainTable::open(file, &path, info, &self.0.manifest.state().store, self.0.cache.clone(), access)
    }

    fn create(&self, kind: FileKind, version: u16) -> Result<(PathBuf, Arc<dyn File>, FileHeader)> {
        let id = match self.0.manifest.announce(kind, 1)?.first() {
            Some(id) => *id,
            None => return Err(crate::Error::invalid("internal: no file number")),
        };
        self.0.made.lock().push((id, kind));
        let path = self.0.manifest.files().path(id, kind);
        let file = self.0.env.fs.open(&path, Access::CreateNew).context("create", &path)?;
        let store = self.0.manifest.state().store;
        Ok((path, file, FileHeader { kind, version, header_len: FILE_HEADER_LEN as u32, store, id }))
    }

    fn sync_name(&self) -> Result<()> {
        let dir = self.0.manifest.dir();
        if planted!("table name not synced") {
            return Ok(());
        }
        self.0.env.fs.sync_dir(dir).context("sync the directory", dir)
    }
}

impl OpenTables for Tables {
    fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>> {
        let table: Arc<dyn Source> = self.open_revisions(info)?;
        Ok(table)
    }

    fn annotations(&self, info: &TableInfo) -> Result<Arc<dyn AnnotationSource>> {
        Ok(Arc::new(AnnotationTable::new(self.open_plain(info)?)))
    }
}

impl BuildTables for Tables {
    fn revisions(&self, level: u8, erased_up_to: u64) -> Result<Box<dyn RevisionOutput>> {
        let (path, file, header) = self.create(FileKind::RevisionTable, REVISION_TABLE_VERSION)?;
        let options = TableOptions::for_level(0, level).erased_up_to(erased_up_to);
        let builder = RevisionTableBuilder::new(file, &path, header, self.0.limits, options)?;
        Ok(Box::new(RevisionFile { tables: self.clone(), builder, level, entity: None }))
    }

    fn plain(&self, keyspace: u16, level: u8, erased_up_to: u64) -> Result<Box<dyn PlainOutput>> {
        let (path, file, header) = self.create(FileKind::PlainTable, PLAIN_TABLE_VERSION)?;
        let builder = PlainTableBuilder::new(
            file,
            &path,
            header,
            self.0.limits,
            TableOptions::for_level(keyspace, level).erased_up_to(erased_up_to),
        )?;
        Ok(Box::new(PlainFile { tables: self.clone(), builder, level, sequences: None }))
    }
}

struct RevisionFile {
    tables: Tables,
    builder: RevisionTableBuilder,
    level: u8,
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
        let info = self.builder.finish()?;
        self.tables.sync_name()?;
        Ok(TableInfo { level: self.level, ..info })
    }
}

struct PlainFile {
    tables: Tables,
    builder: PlainTableBuilder,
    level: u8,
    /// Smallest and largest sequence number of what was added.
    sequences: Option<(u64, u64)>,
}

impl PlainOutput for PlainFile {
    fn add(&mut self, key: &[u8], value: &[u8], hash: u64, sequence: u64) -> Result<()> {
        let (first, last) = self.sequences.unwrap_or((sequence, sequence));
        self.sequences = Some((first.min(sequence), last.max(sequence)));
        self.builder.add(key, value, Some(hash))
    }

    fn bytes(&self) -> u64 {
        self.builder.bytes()
    }

    fn finish(self: Box<Self>) -> Result<TableInfo> {
        let (first, last) = self.sequences.unwrap_or_default();
        let info = self.builder.finish(first..=last)?;
        self.tables.sync_name()?;
        Ok(TableInfo { level: self.level, ..info })
    }
}

/// A file that keeps its name while somebody reads it.
pub(crate) struct PinnedFile(pub(crate) Arc<FileHandle>);

impl File for PinnedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.file().read_at(buf, offset)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.file().len()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::PermissionDenied))
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.0.file().map(len)
    }

    fn link_count(&self) -> io::Result<u64> {
        self.0.file().link_count()
    }
}
