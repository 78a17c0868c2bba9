//! A disk in memory that can lose what was not synced, fail at a chosen step, and be full.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::env::{Access, DirEntry, File, FileLock, Fs, LockMode};

/// What survives of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Survives {
    All,
    Nothing,
    /// Each name and each 8 bytes by themselves, as the seed says.
    Some(u64),
    /// Each name and each write, whole, as the seed says.
    Writes(u64),
}

impl Survives {
    fn keeps(self, n: u64) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Some(seed) | Self::Writes(seed) => {
                xxhash_rust::xxh3::xxh3_64_with_seed(&n.to_le_bytes(), seed) & 1 == 0
            }
        }
    }
}

#[derive(Clone, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    /// What was written since the last sync: where, and what.
    writes: Vec<(usize, Vec<u8>)>,
}

#[derive(Default)]
struct Inner {
    inodes: Vec<Inode>,
    live: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    locks: BTreeSet<PathBuf>,
    steps: u64,
    /// From this step on, nothing works any more.
    dead_from: Option<u64>,
    /// This step alone fails.
    fails_at: Option<u64>,
    full: bool,
    /// Done once, right behind the next listing of a directory.
    behind_listing: Option<Box<dyn FnOnce() + Send>>,
}

impl Inner {
    fn step(&mut self) -> io::Result<()> {
        let step = self.steps;
        self.steps += 1;
        if self.dead_from.is_some_and(|dead| step >= dead) || self.fails_at == Some(step) {
            return Err(io::Error::other("the disk failed"));
        }
        Ok(())
    }

    fn inode(&self, path: &Path) -> io::Result<usize> {
        self.live.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<Inner>>);

impl Disk {
    pub(super) fn new() -> Self {
        let disk = Self::default();
        disk.0.lock().dirs.insert(PathBuf::from("/"));
        disk
    }

    /// How many changing calls were made.
    pub(super) fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    /// After `steps` more changing calls, nothing works.
    pub(super) fn die_after(&self, steps: u64) {
        let mut inner = self.0.lock();
        inner.dead_from = Some(inner.steps + steps);
    }

    /// After `steps` more changing calls, one fails.
    pub(super) fn fail_after(&self, steps: u64) {
        let mut inner = self.0.lock();
        inner.fails_at = Some(inner.steps + steps);
    }

    /// What others do while the directory is being listed.
    pub(super) fn behind_listing(&self, what: impl FnOnce() + Send + 'static) {
        self.0.lock().behind_listing = Some(Box::new(what));
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().full = full;
    }

    /// What is there after the power comes back.
    pub(super) fn crash(&self, data: Survives, names: Survives) -> Self {
        let inner = self.0.lock();
        let mut new = Inner { dirs: inner.dirs.clone(), ..Inner::default() };
        for (at, inode) in inner.inodes.iter().enumerate() {
            let mut bytes = inode.durable.clone();
            let len = if data.keeps(at as u64) { inode.live.len() } else { inode.durable.len() };
            bytes.resize(len, 0);
            if let Survives::Writes(_) = data {
                for (n, (offset, written)) in inode.writes.iter().enumerate() {
                    if data.keeps(((at as u64) << 32) + n as u64) {
                        bytes.resize(bytes.len().max(offset + written.len()), 0);
                        bytes[*offset..offset + written.len()].copy_from_slice(written);
                    }
                }
                new.inodes.push(Inode { live: bytes.clone(), durable: bytes, ..Inode::default() });
                continue;
            }
            for (chunk, (new, live)) in bytes.chunks_mut(8).zip(inode.live.chunks(8)).enumerate() {
                if data.keeps(((at as u64) << 32) + chunk as u64) {
                    let n = new.len().min(live.len());
                    new[..n].copy_from_slice(&live[..n]);
                }
            }
            new.inodes.push(Inode { live: bytes.clone(), durable: bytes, ..Inode::default() });
        }
        let paths: BTreeSet<_> = inner.live.keys().chain(inner.durable.keys()).collect();
        for (n, path) in paths.into_iter().enumerate() {
            let from = if names.keeps(n as u64) { &inner.live } else { &inner.durable };
            if let Some(inode) = from.get(path) {
                new.live.insert(path.clone(), *inode);
            }
        }
        new.durable = new.live.clone();
        Self(Arc::new(Mutex::new(new)))
    }

    pub(super) fn bytes(&self, path: &Path) -> Vec<u8> {
        let inner = self.0.lock();
        inner.inodes[inner.inode(path).unwrap()].live.clone()
    }

    /// Puts a durable file there.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut inner = self.0.lock();
        inner.inodes.push(Inode { live: bytes.to_vec(), durable: bytes.to_vec(), ..Inode::default() });
        let inode = inner.inodes.len() - 1;
        inner.live.insert(path.to_path_buf(), inode);
        inner.durable.insert(path.to_path_buf(), inode);
    }

    /// Puts a file there that nobody has synced.
    pub(super) fn put_unsynced(&self, path: &Path, bytes: &[u8]) {
        let mut inner = self.0.lock();
        inner.inodes.push(Inode { live: bytes.to_vec(), ..Inode::default() });
        let inode = inner.inodes.len() - 1;
        inner.live.insert(path.to_path_buf(), inode);
    }

    pub(super) fn delete(&self, path: &Path) {
        let mut inner = self.0.lock();
        inner.live.remove(path);
        inner.durable.remove(path);
    }

    pub(super) fn names(&self, dir: &Path) -> Vec<String> {
        self.read_dir(dir).unwrap().into_iter().map(|entry| entry.name).collect()
    }
}

impl Fs for Disk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut inner = self.0.lock();
        let inode = match (access, inner.live.get(path)) {
            (Access::CreateNew, Some(_)) => return Err(ErrorKind::AlreadyExists.into()),
            (Access::CreateNew, None) => {
                inner.step()?;
                inner.inodes.push(Inode::default());
                let inode = inner.inodes.len() - 1;
                inner.live.insert(path.to_path_buf(), inode);
                inode
            }
            _ => inner.inode(path)?,
        };
        Ok(Arc::new(DiskFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.step()?;
        let inode = inner.inode(from)?;
        inner.live.remove(from);
        inner.live.insert(to.to_path_buf(), inode);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.step()?;
        inner.inode(path)?;
        inner.live.remove(path);
        Ok(())
    }

    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(ErrorKind::Unsupported.into())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.step()?;
        inner.dirs.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut inner = self.0.lock();
        if !inner.dirs.contains(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_string();
        let inside = |other: &&PathBuf| other.parent() == Some(path);
        let dirs = inner.dirs.iter().filter(inside);
        let dirs = dirs.map(|dir| DirEntry { name: name(dir), is_dir: true, len: 0 });
        let files = inner.live.iter().filter(|(path, _)| inside(path)).map(|(path, inode)| DirEntry {
            name: name(path),
            is_dir: false,
            len: inner.inodes[*inode].live.len() as u64,
        });
        let mut entries: Vec<_> = dirs.chain(files).collect();
        entries.sort();
        let what = inner.behind_listing.take();
        drop(inner);
        if let Some(what) = what {
            what();
        }
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.step()?;
        let inside = |other: &PathBuf| other.parent() == Some(path);
        let live: Vec<_> =
            inner.live.iter().filter(|(p, _)| inside(p)).map(|(p, i)| (p.clone(), *i)).collect();
        inner.durable.retain(|p, _| !inside(p));
        inner.durable.extend(live);
        Ok(())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let inner = self.0.lock();
        Ok(inner.dirs.contains(path) || inner.live.contains_key(path))
    }

    fn try_lock(&self, path: &Path, _: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        let free = self.0.lock().locks.insert(path.to_path_buf());
        Ok(free.then(|| {
            Box::new(DiskLock { disk: self.clone(), path: path.to_path_buf() }) as Box<dyn FileLock>
        }))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

struct DiskLock {
    disk: Disk,
    path: PathBuf,
}

impl FileLock for DiskLock {}

impl Drop for DiskLock {
    fn drop(&mut self) {
        self.disk.0.lock().locks.remove(&self.path);
    }
}

struct DiskFile {
    disk: Disk,
    inode: usize,
}

impl File for DiskFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.0.lock();
        let bytes = inner.inodes[self.inode].live.get(offset as usize..).unwrap_or_default();
        let n = buf.len().min(bytes.len());
        buf[..n].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.0.lock();
        inner.step()?;
        let live = &mut inner.inodes[self.inode].live;
        let end = offset as usize + buf.len();
        live.resize(live.len().max(end), 0);
        live[offset as usize..end].copy_from_slice(buf);
        inner.inodes[self.inode].writes.push((offset as usize, buf.to_vec()));
        Ok(buf.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.step()?;
        let inode = &mut inner.inodes[self.inode];
        inode.durable = inode.live.clone();
        inode.writes.clear();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().inodes[self.inode].live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.step()?;
        inner.inodes[self.inode].live.resize(len as usize, 0);
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.step()?;
        if inner.full {
            return Err(ErrorKind::StorageFull.into());
        }
        let live = &mut inner.inodes[self.inode].live;
        live.resize(live.len().max((offset + len) as usize), 0);
        Ok(())
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        Ok(self.disk.0.lock().inodes[self.inode].live[..len as usize].to_vec().into())
    }

    fn link_count(&self) -> io::Result<u64> {
        Ok(1)
    }
}
