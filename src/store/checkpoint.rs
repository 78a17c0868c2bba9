//! A second store out of links to this one's immutable files.

use std::path::Path;
use std::sync::Arc;

use super::Progress;
use super::inner::Inner;
use crate::env::Fs;
use crate::error::IoContext;
use crate::log::FrameKind;
use crate::manifest::{Edit, Holder, Manifest, State, prepare_dir};
use crate::{Error, Result};

/// What a checkpoint holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointReport {
    /// Everything up to here is in it.
    pub sequence: u64,
    /// Files linked.
    pub files: u64,
    /// Their bytes; shared with this store until one of the two drops a file.
    pub bytes: u64,
}

impl Inner {
    /// Seals the active segment and links everything into `to`, which becomes a store with an incarnation of its own. Writers are not
    /// held up but for the moment in which the segment is changed.
    pub(crate) fn checkpoint(
        self: &Arc<Self>,
        to: &Path,
        progress: &mut Progress<'_>,
    ) -> Result<CheckpointReport> {
        self.check_writable()?;
        if let Some(Error::Io { path, source, .. }) = self.checkpoint_failed.get() {
            probe!("checkpoint: refused after a failed sync");
            let action = "make a checkpoint until this store was opened again (remove the directories made for the last one first), for names may be lost in";
            return Err(Error::Io { action, path: path.clone(), source: source.clone() });
        }
        let fs = &self.env.fs;
        if fs.exists(to).context("look for", to)? {
            return Err(Error::invalid(format!("{} exists already: name a new directory", to.display())));
        }
        // No table is made or removed from before the segment ends until all links are made: tables must not be ahead of the log.
        let _compacting = self.background.compacting.lock();
        // Nor is a segment replaced by its pack.
        let _packing = self.background.packing.turn();
        let _flushing = self.background.flushing.lock();
        self.check_writable()?;
        self.roll_over()?;
        // Whoever rolled over, the group that did is written now, and its segment queued for sealing.
        self.sync()?;
        self.seal_all()?;
        let _sealing = self.background.sealing.lock();
        let state = self.manifest.state();
        let sequence = state.value_files.values().map(|file| file.sequence_last).max().unwrap_or(0);
        if let Some(flushed) = state.flushed.values().max().filter(|flushed| **flushed > sequence) {
            return Err(Error::invalid(format!(
                "internal: tables up to {flushed}, sealed segments up to {sequence}"
            )));
        }
        let path = holder_path(&**fs, to)?;
        // Of what was forgotten later than that, or was not erased yet, it may hold the bytes: whatever its sequence number.
        let erased_up_to = super::reclaim::erased_up_to(&state);
        let holder = Holder { path: path.clone(), sequence, erased_up_to, made: self.env.clock.wall_us() };
        // Known as a holder before it holds anything: an erasure report names it even if this crashes half way.
        if !planted!("checkpoint not listed") {
            self.manifest.commit(vec![Edit::AddHolder(holder)])?;
        }
        let linked = self.link_all(to, &state, sequence, progress);
        if linked.is_err() && !fs.exists(to).unwrap_or(true) {
            self.manifest.commit(vec![Edit::RemoveHolder { path }])?;
        }
        linked
    }

    fn link_all(
        &self,
        to: &Path,
        state: &State,
        sequence: u64,
        progress: &mut Progress<'_>,
    ) -> Result<CheckpointReport> {
        let fs = &self.env.fs;
        prepare_dir(fs.as_ref(), to).inspect_err(|error| {
            // The next sync of it would succeed and tell nothing of the names that this one lost: a directory above, made just now, may go.
            if matches!(error, Error::Io { action: "sync the directory", .. }) {
                let _ = self.checkpoint_failed.set(error.clone());
            }
        })?;
        let values = state.value_files.values().map(|file| (file.id, file.kind, file.len));
        let tables = state.tables.values().map(|table| (table.id, table.kind(), table.len));
        let mut report = CheckpointReport { sequence, files: 0, bytes: 0 };
        let of = (state.value_files.len() + state.tables.len()) as u64;
        for (id, kind, len) in values.chain(tables) {
            progress.step("link", report.files, of)?;
            let name = id.file_name(kind);
            let from = self.path.join(&name);
            fs.hard_link(&from, &to.join(&name))
                .context("link into the checkpoint (it must be on the same file system)", &from)?;
            report.files += 1;
            report.bytes = report.bytes.saturating_add(len);
        }
        fs.sync_dir(to).context("sync the directory", to)?;
        let copy = State {
            incarnation: self.env.rng.next_u64().max(1),
            intents: Default::default(),
            obsolete: Default::default(),
            holders: Vec::new(),
            ..state.clone()
        };
        Manifest::install(&self.env, to, copy)?;
        Ok(report)
    }

    /// Ends the active segment, if it holds anything: the next frame goes to a new one.
    pub(crate) fn roll_over(self: &Arc<Self>) -> Result<()> {
        loop {
            {
                let mut pipeline = self.pipeline.lock();
                if pipeline.tail.records == 0 {
                    return Ok(());
                }
                if pipeline.spare.is_some() {
                    // Full as far as `place` is concerned.
                    pipeline.tail.records = u64::MAX / 2;
                    break;
                }
            }
            let _one_at_a_time = self.space.lock();
            if self.pipeline.lock().spare.is_none() {
                let segment = self.create_segment(self.options.limits.reserve_first)?;
                self.pipeline.lock().spare = Some(segment);
            }
        }
        self.append_empty(FrameKind::Promise, true)?;
        Ok(())
    }
}

/// A checkpoint's place as the manifest keeps it: from the root on, since who asks later may stand elsewhere.
pub(crate) fn holder_path(fs: &dyn Fs, path: &Path) -> Result<String> {
    let path = fs.absolute(path).context("tell the full path of", path)?;
    path.into_os_string().into_string().map_err(|path| {
        Error::invalid(format!("{} is not UTF-8: a checkpoint must be known by its path", path.display()))
    })
}
