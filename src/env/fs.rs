//! Files and directories, as the engine sees them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new file, for reading and writing; `AlreadyExists` if there is one.
    CreateNew,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// Its name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes; 0 for a directory.
    pub len: u64,
}

/// A file system.
///
/// # Contract
///
/// - Nothing is durable before it was synced: the data and length of a file by [`File::sync_data`], the *name* of a new,
///   renamed, linked or removed file by [`Fs::sync_dir`] on its directory. Each needs its own sync.
/// - After a crash a directory entry may be there without the data, the data without the entry, or the old entry instead of
///   the new one.
/// - Open files stay readable after their name is removed.
/// - Paths are given as the caller built them; the file system does not depend on a current directory except for relative
///   paths that the user passed in.
pub trait Fs: Send + Sync + 'static {
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>>;
    /// Gives `from` the name `to`, replacing what was there. Atomic for readers, durable after [`Fs::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// A second name for the same file. `AlreadyExists` if `to` is taken.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Creates a directory and its parents; no error if it is there.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The entries of a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Whether there is a file or directory of that name. An error other than "not found" is an error.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Takes the advisory lock of a file, creating it if need be. `Ok(None)` if another holder is in the way: any for an exclusive lock, an
    /// exclusive one for a shared lock. The lock is held until the value is dropped, and is gone when the process is.
    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn FileLock>>>;
    /// An absolute path without symbolic links or dots, to tell whether two paths name one directory.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
    /// Bytes that can still be written on the file system that holds `path`; `u64::MAX` if that cannot be told.
    fn free_space(&self, path: &Path) -> io::Result<u64>;
    /// The name of the network file system that holds `path`; `None` if it is on a disk of this machine, or if that cannot be told. Locks and
    /// syncs do not mean there what they mean here.
    fn network_file_system(&self, path: &Path) -> Option<&'static str> {
        let _ = path;
        None
    }

    /// The path from the root on; whether anything is there does not matter. What has no working directory answers the path as it is.
    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }
}

/// An open file. All calls are positional and may be made from several threads at once.
///
/// # Contract
///
/// - [`File::read_at`] and [`File::write_at`] may do less than was asked and may fail with `Interrupted`; use
///   [`super::read_exact_at`] and [`super::write_all_at`].
/// - Written bytes are seen by later reads at once, through every handle and map of the file, durable or not.
/// - After a failed sync nothing may be assumed of what was written since the last good one: not even that a later good sync
///   makes it durable. The engine never retries a sync.
pub trait File: Send + Sync + 'static {
    /// Reads up to `buf.len()` bytes at `offset`; 0 means the end of the file.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes up to `buf.len()` bytes at `offset`, growing the file.
    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize>;
    /// Makes the data and the length durable (`fdatasync`; `F_FULLFSYNC` on macOS).
    fn sync_data(&self) -> io::Result<()>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether the length is 0.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros, holding no space) the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes sure that writing inside `offset..offset + len` will find its space (`fallocate`), growing the file if it is
    /// shorter; new bytes read as zeros. Fails with `StorageFull` if there is no room.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;
    /// The first `len` bytes as one shared buffer: a memory map where there are any, else a copy. Only for files that are never
    /// changed again and that are at least `len` long (checked). An I/O error inside a map is a signal, not an error: use on
    /// trusted disks.
    fn map(&self, len: u64) -> io::Result<Bytes>;
    /// Makes later reads see what the disk has: drops clean pages from the page cache (written and not yet synced bytes stay).
    ///
    /// After a failed sync the cache shows bytes that the disk does not have, as if they were clean, to this process and to the next
    /// one. Whoever decides from a file's bytes what was durable calls this first. A hint where the system has nothing better.
    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }
    /// How many names the file has.
    fn link_count(&self) -> io::Result<u64>;
}

/// Who else may hold the lock of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockMode {
    /// Nobody.
    Exclusive,
    /// Others that share it.
    Shared,
}

/// A held file lock; dropping it gives it up.
pub trait FileLock: Send + Sync + 'static {}
