//! The operating system's files, with every read of a table counted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use recension::env::{Access, DirEntry, Env, File, FileLock, Fs, LockMode, OsFs};

/// Reads of tables and of segments.
#[derive(Default)]
pub struct Reads {
    tables: AtomicU64,
    segments: AtomicU64,
}

impl Reads {
    pub fn tables(&self) -> u64 {
        self.tables.load(Ordering::Relaxed)
    }

    pub fn segments(&self) -> u64 {
        self.segments.load(Ordering::Relaxed)
    }
}

/// The usual surroundings, and the counters.
pub fn counting_env() -> (Env, Arc<Reads>) {
    let reads = Arc::<Reads>::default();
    let fs = CountingFs { fs: OsFs::new(), reads: reads.clone() };
    (Env { fs: Arc::new(fs), ..Env::os(2) }, reads)
}

struct CountingFs {
    fs: OsFs,
    reads: Arc<Reads>,
}

struct CountingFile {
    file: Arc<dyn File>,
    reads: Arc<Reads>,
    is_segment: bool,
}

impl Fs for CountingFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let file = self.fs.open(path, access)?;
        let is_segment = path.extension().is_some_and(|extension| extension == "seg");
        Ok(Arc::new(CountingFile { file, reads: self.reads.clone(), is_segment }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.fs.remove_file(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.fs.hard_link(from, to)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.fs.create_dir_all(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs.read_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.fs.sync_dir(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.fs.exists(path)
    }
    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        self.fs.try_lock(path, mode)
    }
    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.fs.canonical(path)
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.fs.free_space(path)
    }
}

impl File for CountingFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let counter = if self.is_segment { &self.reads.segments } else { &self.reads.tables };
        counter.fetch_add(1, Ordering::Relaxed);
        self.file.read_at(buf, offset)
    }
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.file.write_at(buf, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.allocate(offset, len)
    }
    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.file.map(len)
    }
    fn link_count(&self) -> io::Result<u64> {
        self.file.link_count()
    }
}
