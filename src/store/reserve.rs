//! The emergency reserve: a file that holds some space while the store is written to, so that what must finish on a full disk (sealing, the
//! manifest, the clean-close mark) can. It is made with the first growth of the log beyond its first step, so that a store that is only
//! opened for a `put` never makes one; `close` removes it.

use crate::sync::atomic::{AtomicBool, Ordering};
use std::path::{Path, PathBuf};

use super::inner::Inner;
use crate::env::{Access, Fs};
use crate::error::IoContext;
use crate::{Error, Result};

/// The file's name.
pub(crate) const RESERVE_FILE: &str = "RESERVE";
/// How much it holds at most, bytes; a sixteenth of a segment where that is less.
const RESERVE_BYTES: u64 = 4 << 20;

/// Whether there is one.
#[derive(Default)]
pub(crate) struct Reserve {
    held: AtomicBool,
}

impl Inner {
    fn reserve_path(&self) -> PathBuf {
        self.path.join(RESERVE_FILE)
    }

    /// Makes the reserve, if there is none and there is room for it. Failing is no error: there is none then.
    pub(crate) fn hold_reserve(&self) {
        if self.read_only || self.reserve.held.swap(true, Ordering::AcqRel) {
            return;
        }
        let path = self.reserve_path();
        // One that a crash left is as good.
        let file = match self.env.fs.open(&path, Access::ReadWrite) {
            Ok(file) => Ok(file),
            Err(_) => self.env.fs.open(&path, Access::CreateNew),
        };
        let bytes = RESERVE_BYTES.min(self.options.limits.segment_bytes / 16).max(1);
        if let Err(error) = file.and_then(|file| file.allocate(0, bytes)) {
            tracing::debug!(%error, "no room for the emergency reserve");
            self.release_reserve();
        }
    }

    /// Gives the reserve's space back to the disk; answers whether there was any.
    pub(crate) fn release_reserve(&self) -> bool {
        self.reserve.held.swap(false, Ordering::AcqRel)
            && self.env.fs.remove_file(&self.reserve_path()).is_ok()
    }

    /// Does something that must finish: if the disk is full, once more without the reserve.
    pub(crate) fn with_reserve<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        match attempt() {
            Err(Error::OutOfSpace { .. }) if self.release_reserve() => {
                probe!("space: emergency reserve used");
                tracing::warn!("the disk is full: the emergency reserve is being used");
                attempt()
            }
            other => other,
        }
    }
}

/// Removes the reserve that a crash left.
pub(crate) fn remove_left_over(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let path = dir.join(RESERVE_FILE);
    match fs.remove_file(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.context("remove", &path),
    }
}
