//! The operating system's files.
#![allow(clippy::disallowed_methods, reason = "this is what stands behind env::Fs")]

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{Access, DirEntry, File, FileLock, Fs, LockMode, map};

/// Files through system calls.
#[derive(Debug, Default)]
pub struct OsFs(());

impl OsFs {
    /// The file system of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl Fs for OsFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Read => {}
            Access::ReadWrite => _ = options.write(true),
            Access::CreateNew => _ = options.write(true).create_new(true),
        }
        Ok(Arc::new(OsFile(options.open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                // A file that vanishes while its directory is being listed is not there. Any other error is one.
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                meta => meta?,
            };
            let len = if meta.is_dir() { 0 } else { meta.len() };
            // The store's own names are ASCII. A name that is not UTF-8 is somebody else's and could not be named in a call.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(DirEntry { name, is_dir: meta.is_dir(), len });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::File::open(path)?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(path)
    }

    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        let all = || OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let (mut file, taken) = match mode {
            LockMode::Exclusive => {
                let file = all()?;
                let taken = file.try_lock();
                (file, taken)
            }
            LockMode::Shared => {
                // Whoever only reads need not be allowed to write.
                let file = match fs::File::open(path) {
                    Err(e) if e.kind() == ErrorKind::NotFound => all()?,
                    file => file?,
                };
                let taken = file.try_lock_shared();
                (file, taken)
            }
        };
        match taken {
            Ok(()) if mode == LockMode::Shared => Ok(Some(Box::new(OsLock(file)))),
            Ok(()) => {
                // For the error message of whoever finds the store locked; nothing depends on it.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
                Ok(Some(Box::new(OsLock(file))))
            }
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(e)) => Err(e),
        }
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn absolute(&self, path: &Path) -> io::Result<PathBuf> {
        std::path::absolute(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::io::retry_on_intr(|| rustix::fs::statvfs(path))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    #[cfg(target_os = "linux")]
    fn network_file_system(&self, path: &Path) -> Option<&'static str> {
        let stat = rustix::io::retry_on_intr(|| rustix::fs::statfs(path)).ok()?;
        network_name(u32::try_from(stat.f_type).ok()?)
    }
}

/// By the numbers of `statfs(2)` and the kernel's `magic.h`. FUSE is not among them: it may be either.
#[cfg(target_os = "linux")]
pub(super) fn network_name(magic: u32) -> Option<&'static str> {
    match magic {
        0x6969 => Some("NFS"),
        0x517b | 0xff53_4d42 | 0xfe53_4d42 => Some("SMB"),
        0x0102_1997 => Some("9p"),
        0x00c3_6400 => Some("Ceph"),
        0x0bd0_0bd0 => Some("Lustre"),
        0x5346_414f | 0x6b41_4653 => Some("AFS"),
        0x7375_7245 => Some("Coda"),
        0x7461_636f => Some("OCFS2"),
        0x0116_1970 => Some("GFS2"),
        _ => None,
    }
}

struct OsLock(fs::File);

impl FileLock for OsLock {}

impl Drop for OsLock {
    fn drop(&mut self) {
        // Closing the file gives the lock up only if no child process has it open, too: one that is just being started does, until it runs its
        // own program.
        let _ = self.0.unlock();
    }
}

struct OsFile(fs::File);

impl File for OsFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(buf, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        if reserve(&self.0, offset, len)? { Ok(()) } else { write_zeros_past_end(&self.0, offset, len) }
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        map::map(&self.0, len)
    }

    #[cfg(target_os = "linux")]
    fn drop_cache(&self) -> io::Result<()> {
        use rustix::io::{Errno, retry_on_intr};
        match retry_on_intr(|| rustix::fs::fadvise(&self.0, 0, None, rustix::fs::Advice::DontNeed)) {
            // File systems without a page cache have nothing to drop.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::SPIPE) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    fn link_count(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.nlink())
    }
}

/// Reserves space with `fallocate`; `false` if this file system has none.
#[cfg(target_os = "linux")]
fn reserve(file: &fs::File, offset: u64, len: u64) -> io::Result<bool> {
    use rustix::io::{Errno, retry_on_intr};
    // A long allocation is interrupted by any signal, and starting over continues it.
    match retry_on_intr(|| rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), offset, len)) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_: &fs::File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

/// Reserves space where there is no `fallocate`: writes zeros behind the end of the file. Holes before the end stay holes: to
/// fill them could overwrite what another thread writes there. If there is no room, the file is as long as before.
pub(super) fn write_zeros_past_end(file: &fs::File, offset: u64, len: u64) -> io::Result<()> {
    let end = offset.checked_add(len).ok_or(ErrorKind::FileTooLarge)?;
    let before = file.metadata()?.len();
    let zeros = [0; 64 << 10];
    let mut at = before;
    while at < end {
        let step = usize::try_from(end - at).unwrap_or(usize::MAX).min(zeros.len());
        if let Err(e) = file.write_all_at(zeros.get(..step).unwrap_or(&zeros), at) {
            // The first error is the one to tell; if the cut fails too, the file is only longer than it need be.
            let _ = file.set_len(before);
            return Err(e);
        }
        at = at.saturating_add(step as u64);
    }
    Ok(())
}
