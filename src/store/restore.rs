//! Bringing a checkpoint back as the store, with what was hidden and forgotten since.
//!
//! ```text
//!  the old store, or what is left of it ── annotations newer than the checkpoint ──┐
//!                                                                                  ▼
//!  checkpoint ── links or copies of its files ──────────► new directory: … pack │ pack │ segment of annotations ─► manifest
//! ```
//! A checkpoint holds what was forgotten after it was made. So whoever restores one says where the newer annotations are, or that there are none.
//!
//! 1. Nothing is written before all of them were read and the checkpoint was found to be the beginning of the same store.
//! 2. They become a sealed segment behind the checkpoint's last change, and the manifest names that together with everything else: there is
//!    no moment at which the new directory is a store without them.
//! 3. That segment is durable before any other file is there. So `rebuild` of a restore that was interrupted finds it as well, or refuses.
//! 4. An annotation reaches no further than the revisions that the checkpoint has: what is written after the restore under the same numbers
//!    is something else. A purge keeps its last number, and numbers go on behind it.
//! 5. The checkpoint and the old store still hold the bytes: both become holders of the restored store.
//! 6. Neither the checkpoint nor the old store is written to. The restored store has an incarnation of its own.

mod files;
mod newer;

use std::path::{Path, PathBuf};

use super::Progress;
use super::Store;
use super::open::{IfMissing, StoreBuilder, open_locked};
use super::repair::LogWriter;
use crate::codec::{FileId, FileKind};
use crate::env::{Env, LockMode};
use crate::error::IoContext;
use crate::log::{Numbers, RecordDraft};
use crate::manifest::{Holder, Manifest, State, StoreLock, ValueFileInfo, prepare_dir};
use crate::model::{Annotation, AnnotationKind, Bound};
use crate::{Error, Result};

/// Annotations of one commit.
const COMMIT_ANNOTATIONS: usize = 512;

/// Where the annotations are that were made after a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnnotationsFrom {
    /// In this store, or what is left of it: the one that the checkpoint was made of.
    Store(PathBuf),
    /// Nowhere: nothing was hidden or forgotten since, or it may come back.
    Nowhere,
}

/// What a restore did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The last change of the checkpoint.
    pub checkpoint_sequence: u64,
    /// The last change of the restored store.
    pub sequence: u64,
    /// Files that are shared with the checkpoint (links), until one of the two drops a file.
    pub linked: u64,
    /// Files that were copied, since they are on another file system.
    pub copied: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Annotations of the old store that were applied.
    pub annotations: u64,
    /// Those that were not needed: their revisions are newer than the checkpoint.
    pub annotations_beyond: u64,
    /// The last change of the old store that could be read; `None` if no store was asked.
    pub annotations_up_to: Option<u64>,
}

impl StoreBuilder {
    /// Makes a store out of a checkpoint, in a directory that is not there yet, and applies what was hidden, shown, forgotten, purged or retained
    /// since. See [`AnnotationsFrom`].
    ///
    /// Revisions that were written after the checkpoint are not in it. If it is interrupted, remove the directory and begin again.
    ///
    /// # Errors
    /// `Invalid` if the directory is there already, if there is no checkpoint, if it was written to since it was made, or if the store with the
    /// annotations is another one; `Corrupt` if that is damaged so that annotations may be missing, or the checkpoint is damaged; `Locked` if one
    /// of the two is in use; `OutOfSpace`, `Io`, `Cancelled`, `Unsupported`.
    pub fn restore(
        self,
        checkpoint: impl AsRef<Path>,
        annotations: &AnnotationsFrom,
        progress: &mut Progress<'_>,
    ) -> Result<RestoreReport> {
        let (env, to) = (self.environment(), self.path().to_path_buf());
        let from = checkpoint.as_ref();
        let fs = env.fs.as_ref();
        if fs.exists(&to).context("look for", &to)? {
            return Err(Error::invalid(format!(
                "{} exists already: a store is restored into a new directory; move what is there aside, and name it as the store with the newer annotations",
                to.display()
            )));
        }
        if !fs.exists(from).context("look for a checkpoint in", from)? {
            return Err(Error::invalid(format!("there is no checkpoint in {}", from.display())));
        }
        let source = self.reading(&env, from).open()?;
        let state = source.inner().manifest.state();
        require_unwritten(&env, from, &state)?;
        let newest = Newest::of(&source, &state)?;
        let mut report = RestoreReport { checkpoint_sequence: newest.sequence, ..RestoreReport::default() };
        let mut holders = vec![holder(&env, from, newest.sequence, super::reclaim::erased_up_to(&state))?];
        let mut wanted = Vec::new();
        if let AnnotationsFrom::Store(old) = annotations {
            let newer = newer::read(&env, old, self.reading(&env, old), &source, &newest, progress)?;
            for annotation in newer.annotations {
                match within(&source, annotation)? {
                    Some(annotation) => wanted.push(annotation),
                    None => report.annotations_beyond += 1,
                }
            }
            report.annotations_up_to = Some(newer.last);
            holders.push(holder(&env, old, newer.last, 0)?);
            // Behind the checkpoint, sequence numbers are others there than they will be here.
            let common =
                |held: Holder| Holder { erased_up_to: held.erased_up_to.min(newest.sequence), ..held };
            holders.extend(newer.holders.into_iter().map(common));
        }
        report.annotations = wanted.len() as u64;
        report.sequence = newest.sequence.saturating_add(report.annotations);

        prepare_dir(fs, &to)?;
        let lock = StoreLock::acquire(&env, &to, LockMode::Exclusive)?;
        let incarnation = env.rng.next_u64().max(1);
        let mut restored = State {
            incarnation,
            intents: Default::default(),
            obsolete: Default::default(),
            holders: Vec::new(),
            ..State::clone(&state)
        };
        for sealed in self.write_annotations(&env, &to, &restored, &newest, wanted)? {
            restored.next_file = restored.next_file.max(sealed.id.number.saturating_add(1));
            restored.value_files.insert(sealed.id, sealed);
        }
        fs.sync_dir(&to).context("sync the directory", &to)?;
        files::bring(&env, from, &to, &state, &mut report, progress)?;
        if planted!("restore forgets who holds copies") {
            holders.clear();
        }
        for holder in state.holders.iter().cloned().chain(holders) {
            restored.holders.retain(|other| other.path != holder.path);
            restored.holders.push(holder);
        }
        Manifest::install(&env, &to, restored)?;
        drop(source);
        // What is behind the index is replayed here, not at the first opening.
        let store = open_locked(self.if_missing(IfMissing::Fail), env, Some(lock))?;
        store.flush()?;
        store.close()?;
        Ok(report)
    }

    fn reading(&self, env: &Env, path: &Path) -> StoreBuilder {
        Store::builder(path).limits(self.sizes()).env(env.clone()).read_only()
    }

    /// The annotations as sealed segments behind the checkpoint, durable but for their names.
    fn write_annotations(
        &self,
        env: &Env,
        to: &Path,
        state: &State,
        newest: &Newest,
        annotations: Vec<Annotation>,
    ) -> Result<Vec<ValueFileInfo>> {
        let mut writer = LogWriter::behind(env, to, state, newest.end, newest.sequence, &self.sizes());
        let commit_time = env.clock.wall_us().max(newest.commit_time);
        let mut annotations = annotations.into_iter().peekable();
        while annotations.peek().is_some() {
            let commit = annotations.by_ref().take(COMMIT_ANNOTATIONS);
            let records = commit.map(|it| (RecordDraft::Annotation(it), Numbers::default())).collect();
            writer.commit(records, commit_time)?;
        }
        writer.sealed()
    }
}

/// The end of a checkpoint.
struct Newest {
    sequence: u64,
    commit_time: i64,
    /// The last segment, which may have become a pack, and its last frame's checksum.
    end: (FileId, u32),
}

impl Newest {
    fn of(source: &Store, state: &State) -> Result<Self> {
        let sequence = source.published();
        let segments = state.value_files.values().filter(|file| file.kind == FileKind::Segment);
        let segments = segments.map(|file| (file.sequence_last, (file.id, file.last_checksum)));
        let packed = state.packed_end.map(|end| (end.sequence, (end.id, end.checksum)));
        let (last, end) = segments.chain(packed).max().unwrap_or((0, (FileId { epoch: 0, number: 0 }, 0)));
        if last != sequence {
            return Err(Error::invalid(format!(
                "internal: the checkpoint has {sequence} changes and its files end at {last}"
            )));
        }
        let commit_time = match sequence {
            0 => 0,
            _ => newer::change_at(source, sequence)?.map_or(0, |change| change.commit_time.0),
        };
        Ok(Self { sequence, commit_time, end })
    }
}

/// A checkpoint that was opened for writing may have a log of its own behind what was linked.
fn require_unwritten(env: &Env, from: &Path, state: &State) -> Result<()> {
    let listing = env.fs.read_dir(from).context("list", from)?;
    let known = |id: &FileId| state.value_files.contains_key(id) || state.obsolete.contains_key(id);
    let mut segments = listing.iter().filter_map(|entry| FileId::parse(&entry.name));
    if segments.any(|(id, kind)| kind == FileKind::Segment && !known(&id)) {
        return Err(Error::invalid(format!(
            "{} was opened for writing after it was made: it is a store of its own; make a checkpoint of it and restore that",
            from.display()
        )));
    }
    Ok(())
}

/// A directory that holds bytes of the store. It is named so that it is found from anywhere.
fn holder(env: &Env, path: &Path, sequence: u64, erased_up_to: u64) -> Result<Holder> {
    let path = env.fs.canonical(path).context("look for", path)?;
    Ok(Holder { path: path.display().to_string(), sequence, erased_up_to, made: env.clock.wall_us() })
}

/// What an annotation says of the revisions that the checkpoint has.
fn within(source: &Store, annotation: Annotation) -> Result<Option<Annotation>> {
    if annotation.kind == AnnotationKind::Purge {
        return Ok(Some(annotation));
    }
    let head = source.inner().find_row(&annotation.entity, &Bound::ALL)?;
    let known = head.map_or(0, |head| head.number);
    if planted!("restore drops what reaches further") && annotation.last > known {
        return Ok(None);
    }
    let last = annotation.last.min(known);
    Ok((annotation.first <= last).then_some(Annotation { last, ..annotation }))
}
