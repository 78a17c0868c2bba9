//! Files in memory: fast enough to open a store at every torn byte and flipped bit.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::env::{Access, DirEntry, File, FileLock, Fs, LockMode};

#[derive(Default)]
pub(crate) struct MemFs {
    files: Mutex<BTreeMap<PathBuf, Arc<MemFile>>>,
    /// Counts down with every change to a file; the change that finds it at 1 fails, half done.
    pub fuse: Arc<AtomicU64>,
}

#[derive(Default)]
struct MemFile {
    bytes: RwLock<Vec<u8>>,
    fuse: Arc<AtomicU64>,
}

impl MemFs {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let file = MemFile { bytes: RwLock::new(bytes.to_vec()), fuse: Arc::clone(&self.fuse) };
        self.files.lock().insert(path.to_path_buf(), Arc::new(file));
    }

    pub fn get(&self, path: &Path) -> Vec<u8> {
        self.files.lock()[path].bytes.read().clone()
    }

    /// A copy that shares nothing.
    pub fn copy(&self) -> Arc<Self> {
        let copy = Self::new();
        for (path, file) in self.files.lock().iter() {
            copy.put(path, &file.bytes.read());
        }
        copy
    }
}

impl Fs for MemFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut files = self.files.lock();
        match (files.get(path), access) {
            (Some(_), Access::CreateNew) => Err(ErrorKind::AlreadyExists.into()),
            (Some(file), _) => Ok(Arc::clone(file) as Arc<dyn File>),
            (None, Access::CreateNew) => {
                let file = Arc::new(MemFile { bytes: RwLock::default(), fuse: Arc::clone(&self.fuse) });
                files.insert(path.to_path_buf(), Arc::clone(&file));
                Ok(file)
            }
            (None, _) => Err(ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or(ErrorKind::NotFound)?;
        files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.lock().remove(path).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn hard_link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let files = self.files.lock();
        let inside = files.iter().filter(|(name, _)| name.parent() == Some(path));
        Ok(inside
            .map(|(name, file)| DirEntry {
                name: name.file_name().unwrap().to_str().unwrap().to_owned(),
                is_dir: false,
                len: file.bytes.read().len() as u64,
            })
            .collect())
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.files.lock().contains_key(path))
    }

    fn try_lock(&self, _path: &Path, _: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        Ok(None)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }

    fn free_space(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl MemFile {
    /// Whether the next change is cut short.
    fn blows(&self) -> bool {
        self.fuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)) == Ok(1)
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.bytes.read();
        let tail = bytes.get(offset as usize..).unwrap_or_default();
        let n = tail.len().min(buf.len());
        buf[..n].copy_from_slice(&tail[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let torn = self.blows();
        let buf = if torn { &buf[..buf.len() / 2] } else { buf };
        let mut bytes = self.bytes.write();
        let end = offset as usize + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(buf);
        if torn { Err(io::Error::other("crash")) } else { Ok(buf.len()) }
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.blows() { Err(io::Error::other("crash")) } else { Ok(()) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.read().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.blows() {
            return Err(io::Error::other("crash"));
        }
        self.bytes.write().resize(len as usize, 0);
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes.write();
        let end = (offset + len) as usize;
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        Ok(())
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.bytes.read()[..len as usize]))
    }

    fn link_count(&self) -> io::Result<u64> {
        Ok(1)
    }
}
