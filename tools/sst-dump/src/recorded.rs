//! The file system that the verbs see: it reads through, says what was read, and refuses whatever would write.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use recension::env::{Access, DirEntry, File, FileLock, Fs, LockMode};

/// A read that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadAt {
    /// Of which file.
    pub path: PathBuf,
    /// From where.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// What was read since the last time somebody asked; nothing is kept unless [`Recorder::on`] said so.
#[derive(Clone, Default)]
pub struct Recorder(Arc<Mutex<Option<Vec<ReadAt>>>>);

impl Recorder {
    /// Begins to record.
    pub fn on(&self) {
        if let Ok(mut all) = self.0.lock() {
            *all = Some(Vec::new());
        }
    }

    /// Takes what was recorded.
    pub fn take(&self) -> Vec<ReadAt> {
        self.0.lock().ok().and_then(|mut all| all.as_mut().map(std::mem::take)).unwrap_or_default()
    }

    fn add(&self, path: &Path, offset: u64, len: u64) {
        if let Ok(mut all) = self.0.lock()
            && let Some(all) = all.as_mut()
        {
            all.push(ReadAt { path: path.to_path_buf(), offset, len });
        }
    }
}

/// Reads through to another file system.
pub struct ReadOnlyFs {
    inner: Arc<dyn Fs>,
    recorder: Recorder,
}

impl ReadOnlyFs {
    /// Around another one.
    pub fn new(inner: Arc<dyn Fs>, recorder: Recorder) -> Self {
        Self { inner, recorder }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "sst-dump never writes"))
}

struct ReadOnlyFile {
    inner: Arc<dyn File>,
    path: PathBuf,
    recorder: Recorder,
}

impl Fs for ReadOnlyFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        if access != Access::Read {
            return refused();
        }
        let inner = self.inner.open(path, access)?;
        Ok(Arc::new(ReadOnlyFile { inner, path: path.to_path_buf(), recorder: self.recorder.clone() }))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove_file(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.read_dir(path)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn try_lock(&self, _: &Path, _: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        refused()
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.inner.canonical(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_space(path)
    }
}

impl File for ReadOnlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let n = self.inner.read_at(buf, offset)?;
        self.recorder.add(&self.path, offset, n as u64);
        Ok(n)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        refused()
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        refused()
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.inner.map(len)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.inner.drop_cache()
    }

    fn link_count(&self) -> io::Result<u64> {
        self.inner.link_count()
    }
}
