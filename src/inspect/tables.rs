//! Opening a store's tables and value files without its lock: for looking only.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::Cache;
use crate::codec::FileKind;
use crate::env::{Access, Fs};
use crate::index::Source;
use crate::index::annotations::{AnnotationSource, AnnotationTable};
use crate::index::levels::OpenTables;
use crate::index::plain::PlainTable;
use crate::index::table::{RevisionTable, TableAccess};
use crate::log::{SealedSegment, ValueFile};
use crate::manifest::{TableInfo, ValueFileInfo};
use crate::pack::Pack;
use crate::{Error, Result};

/// Bytes of the cache that tables are read through.
const CACHE_BYTES: u64 = 32 << 20;

/// Opens tables of a directory for reading.
pub struct ReadTables<'a> {
    fs: &'a dyn Fs,
    dir: PathBuf,
    store: [u8; 16],
    cache: Arc<Cache>,
}

impl<'a> ReadTables<'a> {
    /// Tables of this store, with a cache of their own.
    pub fn new(fs: &'a dyn Fs, dir: &Path, store: [u8; 16]) -> Self {
        Self { fs, dir: dir.to_path_buf(), store, cache: Arc::new(Cache::new(CACHE_BYTES)) }
    }

    fn file(&self, info: &TableInfo) -> Result<(Arc<dyn crate::env::File>, PathBuf)> {
        let path = self.dir.join(info.id.file_name(info.kind()));
        let opened = self.fs.open(&path, Access::Read);
        let file = opened.map_err(|source| Error::Io {
            action: "open",
            path: path.clone(),
            source: Arc::new(source),
        })?;
        Ok((file, path))
    }

    /// A table of revisions.
    ///
    /// # Errors
    /// As opening one gives.
    pub fn revision_table(&self, info: &TableInfo) -> Result<Arc<RevisionTable>> {
        let (file, path) = self.file(info)?;
        RevisionTable::open(file, &path, info, &self.store, self.cache.clone(), TableAccess::Read)
    }

    /// A table of anything else.
    ///
    /// # Errors
    /// As opening one gives.
    pub fn plain_table(&self, info: &TableInfo) -> Result<Arc<PlainTable>> {
        let (file, path) = self.file(info)?;
        PlainTable::open(file, &path, info, &self.store, self.cache.clone(), TableAccess::Read)
    }

    /// A sealed value file.
    ///
    /// # Errors
    /// As opening one gives.
    pub fn value_file(&self, info: &ValueFileInfo) -> Result<Arc<dyn ValueFile>> {
        let path = self.dir.join(info.id.file_name(info.kind));
        Ok(match info.kind {
            FileKind::Pack => Arc::new(Pack::open(self.fs, &path, info, &self.store, None)?),
            _ => Arc::new(SealedSegment::open(self.fs, &path, info, &self.store, None)?),
        })
    }
}

// `OpenTables` wants to be shared between threads; the seam is.
impl OpenTables for ReadTables<'_> {
    fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>> {
        let table: Arc<dyn Source> = self.revision_table(info)?;
        Ok(table)
    }

    fn annotations(&self, info: &TableInfo) -> Result<Arc<dyn AnnotationSource>> {
        Ok(Arc::new(AnnotationTable::new(self.plain_table(info)?)))
    }
}
