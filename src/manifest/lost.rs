//! `lost/`: files that look like ours and that nobody knows.
//!
//! Recovery never deletes what it does not know. It moves it here, where it is counted, shown in `stats` and searched by the erasure
//! report; people delete it. When the directory is full, further files stay where they are.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use crate::Result;
use crate::env::Fs;
use crate::error::IoContext;

/// The directory's name.
pub const LOST_DIR: &str = "lost";

/// How much may be kept in `lost/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostLimits {
    /// Most files.
    pub files: u64,
    /// Most bytes.
    pub bytes: u64,
}

impl Default for LostLimits {
    /// 1000 files, 4 GiB.
    fn default() -> Self {
        Self { files: 1000, bytes: 4 << 30 }
    }
}

/// How much is in `lost/`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostStats {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The `lost/` of one store.
pub(super) struct Lost {
    fs: Arc<dyn Fs>,
    store: PathBuf,
    dir: PathBuf,
    names: Vec<String>,
    stats: LostStats,
    moved: bool,
}

impl Lost {
    pub(super) fn open(fs: Arc<dyn Fs>, store: PathBuf) -> Result<Self> {
        let dir = store.join(LOST_DIR);
        let entries = match fs.read_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.context("list", &dir)?,
        };
        let bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.len));
        let stats = LostStats { files: entries.len() as u64, bytes };
        let names = entries.into_iter().map(|entry| entry.name).collect();
        Ok(Self { fs, store, dir, names, stats, moved: false })
    }

    pub(super) fn stats(&self) -> LostStats {
        self.stats
    }

    /// Moves a file of the store here. `false` if there is no room for it.
    pub(super) fn take(&mut self, name: &str, len: u64, limits: &LostLimits) -> Result<bool> {
        let bytes = self.stats.bytes.saturating_add(len);
        if self.stats.files >= limits.files || bytes > limits.bytes {
            return Ok(false);
        }
        self.fs.create_dir_all(&self.dir).context("create", &self.dir)?;
        let free = |name: &String| !self.names.contains(name);
        let as_it_is = std::iter::once(name.to_string());
        let numbered = (1..=self.names.len().saturating_add(1)).map(|n| format!("{name}.{n}"));
        let Some(new) = as_it_is.chain(numbered).find(free) else { return Ok(false) };
        let from = self.store.join(name);
        self.fs.rename(&from, &self.dir.join(&new)).context("move to lost/", &from)?;
        self.names.push(new);
        self.stats = LostStats { files: self.stats.files.saturating_add(1), bytes };
        self.moved = true;
        Ok(true)
    }

    /// Makes the new names durable. The store's own directory is the caller's to sync, after this.
    pub(super) fn sync(&self) -> Result<()> {
        if self.moved {
            self.fs.sync_dir(&self.dir).context("sync the directory", &self.dir)?;
        }
        Ok(())
    }
}
