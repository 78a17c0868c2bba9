//! The files of a store that are open or waiting to be deleted.
//!
//! A file is unlinked when two things are true: the manifest frame that removed it is synced ([`Files::retire`] is called then,
//! by the manifest only), and nobody has it open ([`FileHandle`] is dropped). If the process ends in between, the state still
//! lists the file as obsolete and the next open deletes it.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use crate::sync::Mutex;

use crate::codec::{FileId, FileKind};
use crate::env::{Access, File, Fs};
use crate::error::IoContext;
use crate::{Error, Result};

/// The open files of one store. One handle per file, shared by everybody who reads it.
pub struct Files {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    open: Mutex<BTreeMap<FileId, Weak<FileHandle>>>,
    /// Unlinked, but the directory was not synced since.
    unlinked: Mutex<Vec<FileId>>,
}

impl Files {
    pub(super) fn new(fs: Arc<dyn Fs>, dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { fs, dir, open: Mutex::default(), unlinked: Mutex::default() })
    }

    /// Opens a finished file for reading, or shares the handle that there is. While the handle lives, the file keeps its name.
    ///
    /// # Errors
    /// `Corrupt` if it is not there, `Io`.
    pub fn open(self: &Arc<Self>, id: FileId, kind: FileKind) -> Result<Arc<FileHandle>> {
        let mut open = self.open.lock();
        if let Some(handle) = open.get(&id).and_then(Weak::upgrade) {
            return Ok(handle);
        }
        let path = self.path(id, kind);
        let file = match self.fs.open(&path, Access::Read) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(Error::corrupt(&path, 0, "the file", "no such file", "everything in it"));
            }
            other => other.context("open", &path)?,
        };
        let handle = Arc::new(FileHandle {
            id,
            kind,
            path,
            file,
            obsolete: AtomicBool::new(false),
            files: self.clone(),
        });
        open.insert(id, Arc::downgrade(&handle));
        Ok(handle)
    }

    /// Where a file of this store is.
    pub fn path(&self, id: FileId, kind: FileKind) -> PathBuf {
        self.dir.join(id.file_name(kind))
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The files that are held open now.
    pub fn open_files(&self) -> Vec<FileId> {
        let open = self.open.lock();
        open.iter().filter(|(_, handle)| handle.strong_count() > 0).map(|(id, _)| *id).collect()
    }

    /// The file is not part of the store any more, and that is durable: unlinks it now, or when its last reader is done.
    pub(super) fn retire(&self, id: FileId, kind: FileKind) {
        let handle = self.open.lock().get(&id).and_then(Weak::upgrade);
        match handle {
            // Dropping this reference may be what unlinks it.
            Some(handle) => {
                probe!("manifest: obsolete file kept for a reader");
                handle.obsolete.store(true, Ordering::SeqCst);
            }
            None => self.unlink(id, &self.path(id, kind)),
        }
    }

    fn unlink(&self, id: FileId, path: &Path) {
        match self.fs.remove_file(path) {
            Ok(()) => self.unlinked.lock().push(id),
            Err(e) if e.kind() == ErrorKind::NotFound => self.unlinked.lock().push(id),
            // It stays listed as obsolete, and the next open tries again.
            Err(e) => tracing::warn!(path = %path.display(), error = %e, "cannot remove an obsolete file"),
        }
    }

    /// How many unlinked files the manifest still lists.
    pub(super) fn unlinked(&self) -> usize {
        self.unlinked.lock().len()
    }

    /// Takes the files whose names are gone, after making that durable.
    pub(super) fn take_unlinked(&self) -> Result<Vec<FileId>> {
        let ids = std::mem::take(&mut *self.unlinked.lock());
        self.fs.sync_dir(&self.dir).context("sync the directory", &self.dir)?;
        Ok(ids)
    }

    /// They were taken, but the manifest still lists them.
    pub(super) fn put_back(&self, ids: impl Iterator<Item = FileId>) {
        self.unlinked.lock().extend(ids);
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").field("dir", &self.dir).finish_non_exhaustive()
    }
}

/// An open file. It keeps its name as long as the handle lives.
pub struct FileHandle {
    id: FileId,
    kind: FileKind,
    path: PathBuf,
    file: Arc<dyn File>,
    obsolete: AtomicBool,
    files: Arc<Files>,
}

impl FileHandle {
    /// Which file.
    pub fn id(&self) -> FileId {
        self.id
    }

    /// What it is.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Whether it will be deleted when the last handle is dropped.
    pub fn is_obsolete(&self) -> bool {
        self.obsolete.load(Ordering::SeqCst)
    }
}

impl Drop for FileHandle {
    fn drop(&mut self) {
        {
            let mut open = self.files.open.lock();
            // Somebody may have opened the file again between the last reference's end and here.
            if open.get(&self.id).is_some_and(|handle| handle.strong_count() == 0) {
                open.remove(&self.id);
            }
        }
        if *self.obsolete.get_mut() {
            self.files.unlink(self.id, &self.path);
        }
    }
}

impl std::fmt::Debug for FileHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileHandle").field("path", &self.path).finish_non_exhaustive()
    }
}
