//! Cleaning up a store's directory at open.

use super::commit::Manifest;
use super::edit::Edit;
use super::lost::{Lost, LostLimits, LostStats};
use super::scan::{Contents, classify, is_named};
use crate::Result;
use crate::codec::MAGIC;
use crate::env::{Access, read_at_most};
use crate::error::IoContext;

/// What was found in a store's directory and done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What was there before.
    pub contents: Contents,
    /// Files that were removed: never installed, or removed from the store earlier.
    pub removed: Vec<String>,
    /// Files that were moved to `lost/`.
    pub lost: Vec<String>,
    /// Files that nobody knows and for which `lost/` has no room.
    pub left: Vec<String>,
    /// What is in `lost/` now.
    pub lost_stats: LostStats,
}

impl Manifest {
    /// Compares the directory with the manifest. Jobs may install and remove files meanwhile: a file is missing if the manifest named it before the
    /// directory was listed and still does.
    ///
    /// # Errors
    /// `Io`.
    pub fn scan(&self) -> Result<Contents> {
        let before = self.state();
        let entries = self.fs.read_dir(&self.dir).context("list", &self.dir)?;
        let mut contents = classify(&entries, &before);
        if !contents.missing.is_empty() {
            let now = self.state();
            contents.missing.retain(|missing| is_named(&now, &missing.name));
        }
        Ok(contents)
    }

    /// How much is in `lost/`.
    ///
    /// # Errors
    /// `Io`.
    pub fn lost_stats(&self) -> Result<LostStats> {
        Ok(Lost::open(self.fs.clone(), self.dir.clone())?.stats())
    }

    /// Cleans up after the process that had the store before: removes files that were announced and never installed and files that
    /// are obsolete, moves unknown ones to `lost/`. Leaves segments to the log's recovery, and foreign files alone. To be
    /// called right after opening for writing, before any job runs. If a file of the manifest is missing, nothing is touched.
    ///
    /// # Errors
    /// `Corrupt` if a file of the manifest is missing or has another length; `Io`; as [`Manifest::commit`].
    pub fn settle(&self, limits: &LostLimits) -> Result<Settled> {
        let contents = self.scan()?;
        contents.require_complete(&self.dir)?;
        let mut settled = Settled::default();
        for &(id, kind) in contents.intents.iter().chain(&contents.obsolete) {
            let path = self.files().path(id, kind);
            if planted!("unfinished files kept") {
                continue;
            }
            self.fs.remove_file(&path).context("remove", &path)?;
            probe!("open: unfinished file removed");
            settled.removed.push(id.file_name(kind));
        }
        let mut lost = Lost::open(self.fs.clone(), self.dir.clone())?;
        let mut unknown = contents.unknown.clone();
        for (name, len) in &contents.foreign {
            if *len > 0 && self.has_our_magic(name)? {
                unknown.push((name.clone(), *len));
            }
        }
        for (name, len) in unknown {
            if lost.take(&name, len, limits)? {
                settled.lost.push(name);
            } else {
                settled.left.push(name);
            }
        }
        lost.sync()?;
        settled.lost_stats = lost.stats();
        let state = self.state();
        if !(state.intents.is_empty() && state.obsolete.is_empty() && settled.lost.is_empty()) {
            self.fs.sync_dir(&self.dir).context("sync the directory", &self.dir)?;
            let intents = state.intents.keys().map(|id| Edit::IntentDone(*id));
            let obsolete = state.obsolete.keys().map(|id| Edit::Deleted(*id));
            self.commit(intents.chain(obsolete).collect())?;
        }
        settled.contents = contents;
        Ok(settled)
    }

    fn has_our_magic(&self, name: &str) -> Result<bool> {
        let path = self.dir.join(name);
        let mut start = [0; MAGIC.len()];
        // A foreign file that cannot be read is not ours to complain about.
        let Ok(file) = self.fs.open(&path, Access::Read) else { return Ok(false) };
        let len = read_at_most(file.as_ref(), &mut start, 0).context("read", &path)?;
        Ok(len == MAGIC.len() && start == MAGIC)
    }
}
