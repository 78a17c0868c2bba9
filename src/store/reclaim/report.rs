//! Which files still hold bytes of forgotten things.
//!
//! Every file in the directory is looked into: segments, packs, tables, the manifest, what is being written or waits for a reader, spare files, `lost/`.
//! Checkpoints are judged by what was erased when they were made. What cannot be read or is not known is named as such: then nobody can say that it
//! holds nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::look::{Held, Look};
use super::readable;
use crate::codec::{FileId, FileKind};
use crate::env::Fs;
use crate::error::IoContext;
use crate::index::annotations::{Erasures, StoredAnnotation};
use crate::manifest::{Edit, Holder, LOCK_FILE, LOST_DIR, State};
use crate::model::AnnotationKind;
use crate::store::Progress;
use crate::store::checkpoint::holder_path;
use crate::store::forget::InterruptedJob;
use crate::store::forget::erasures::ViewErasures;
use crate::store::forget::interrupted::Jobs;
use crate::store::inner::Inner;
use crate::store::reserve::RESERVE_FILE;
use crate::store::values::ValueEntry;
use crate::{Error, Result};

/// What a file is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HeldRole {
    /// A segment of the log, sealed or being written.
    Segment,
    /// A pack.
    Pack,
    /// A table of the index.
    Table,
    /// The manifest.
    Manifest,
    /// A file that is being made, or is left of one.
    Unfinished,
    /// A file that is not part of the store any more and waits for its last reader.
    Obsolete,
    /// A file in `lost/`.
    Lost,
    /// A checkpoint.
    Checkpoint,
}

impl HeldRole {
    /// A word for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Pack => "pack",
            Self::Table => "table",
            Self::Manifest => "manifest",
            Self::Unfinished => "unfinished",
            Self::Obsolete => "obsolete",
            Self::Lost => "lost",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// A file that holds bytes of forgotten things.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeldFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub role: HeldRole,
    /// Forgotten contents in it. A checkpoint is not looked into: of it, annotations that forget and may concern what is in it.
    pub contents: u64,
    /// Rows with an author, a comment, attributes or a piece of a digest that is forgotten.
    pub fields: u64,
    /// Changes, rows and bounds that tell of a purged entity. Of a checkpoint: annotations that purge.
    pub names: u64,
    /// Some of the jobs that made it forgotten.
    pub jobs: Vec<u64>,
    /// The sequence number of the first annotation that did.
    pub sequence: u64,
}

/// A file of which it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownFile {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// See [`Store::erasure_report`](crate::Store::erasure_report).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErasureReport {
    /// Annotations up to this sequence number were considered.
    pub up_to: u64,
    /// How many of them make something forgotten.
    pub erasing: u64,
    /// Files looked through.
    pub files: u64,
    /// Files that hold bytes of forgotten things.
    pub held: Vec<HeldFile>,
    /// Files of which it cannot be told.
    pub unknown: Vec<UnknownFile>,
    /// Jobs of which only a part was done: the rest of what they were to make forgotten is not. (Or their last change was about an entity that was
    /// purged since, so that nothing says that they ended: resumed, they find nothing left to do, and end again.)
    pub interrupted: Vec<InterruptedJob>,
    /// Checkpoints that are listed and not there any more: take them off the list if they were not moved.
    pub gone: Vec<String>,
}

impl ErasureReport {
    /// Whether no file that the store knows of holds any byte of a forgotten thing.
    pub fn is_clear(&self) -> bool {
        self.held.is_empty() && self.unknown.is_empty()
    }

    fn add(&mut self, path: &Path, role: HeldRole, held: Held) {
        self.files = self.files.saturating_add(1);
        if let Some(why) = held.unreadable.clone() {
            self.unknown.push(UnknownFile { path: path.to_path_buf(), why });
        }
        if !held.is_empty() {
            let Held { contents, fields, names, jobs, sequence, .. } = held;
            let (path, jobs) = (path.to_path_buf(), jobs.into_iter().collect());
            self.held.push(HeldFile { path, role, contents, fields, names, jobs, sequence });
        }
    }

    /// What was found out about a file; one that went meanwhile holds nothing.
    fn take(&mut self, inner: &Inner, path: &Path, role: HeldRole, held: Result<Held>) -> Result<()> {
        match readable(held)? {
            Ok(held) => self.add(path, role, held),
            Err(_) if !inner.env.fs.exists(path).unwrap_or(true) => {}
            Err(why) => self.unknown.push(UnknownFile { path: path.to_path_buf(), why }),
        }
        Ok(())
    }
}

/// What is asked of each file.
struct Asked<'a> {
    erasures: &'a ViewErasures,
    state: &'a State,
    unsealed: Vec<ValueEntry>,
    cancel: &'a dyn Fn() -> bool,
}

impl Asked<'_> {
    fn look(&self) -> Look<'_> {
        Look::new(self.erasures, self.cancel)
    }
}

impl Inner {
    pub(crate) fn erasure_report(&self, progress: &mut Progress<'_>) -> Result<ErasureReport> {
        let erasures = self.erasures();
        let mut report = ErasureReport { up_to: erasures.up_to(), ..ErasureReport::default() };
        let mut later: BTreeMap<String, Held> = BTreeMap::new();
        let state = self.manifest.state();
        let mut jobs = Jobs::default();
        let from = match planted!("report believes the mark") {
            true => super::erased_up_to(&state),
            false => 0,
        };
        let read = erasures.erasing(from, &mut |stored| {
            report.erasing += 1;
            jobs.add(&stored);
            for holder in state.holders.iter().filter(|holder| stored.sequence > holder.erased_up_to) {
                note_holder(&erasures, holder, &stored, later.entry(holder.path.clone()).or_default())?;
            }
            Ok(())
        });
        report.interrupted = jobs.interrupted();
        if let Err(why) = readable(read)? {
            // A damaged table is named below; here it means that something may be forgotten that nobody knows of.
            report.unknown.push(UnknownFile { path: self.path.clone(), why });
        } else if report.erasing == 0 {
            return Ok(report);
        }
        let progress = std::cell::RefCell::new(progress);
        let cancel = || progress.borrow_mut().step("look", 0, 0).is_err();
        let asked =
            Asked { erasures: &erasures, state: &state, unsealed: self.unsealed(&state), cancel: &cancel };
        self.report_unsealed(&asked, &mut report)?;
        self.report_dir(&asked, &mut report)?;
        if !planted!("report leaves out lost files") {
            self.report_lost(&asked, &mut report)?;
        }
        for holder in &state.holders {
            let path = Path::new(&holder.path);
            match readable(is_there(&*self.env.fs, path))? {
                Err(why) => report.unknown.push(UnknownFile { path: path.to_path_buf(), why }),
                Ok(false) => report.gone.push(holder.path.clone()),
                Ok(true) => {
                    let held = later.remove(&holder.path).unwrap_or_default();
                    report.add(path, HeldRole::Checkpoint, held);
                }
            }
        }
        Ok(report)
    }

    /// Segments that are not in the manifest yet: they are written to while they are read.
    fn report_unsealed(&self, asked: &Asked<'_>, report: &mut ErasureReport) -> Result<()> {
        for entry in &asked.unsealed {
            let path = self.manifest.files().path(entry.file.id(), FileKind::Segment);
            let held = asked.look().changes(&entry.file, self.published());
            report.take(self, &path, HeldRole::Segment, held)?;
        }
        Ok(())
    }

    fn report_dir(&self, asked: &Asked<'_>, report: &mut ErasureReport) -> Result<()> {
        let unsealed: BTreeSet<FileId> = asked.unsealed.iter().map(|entry| entry.file.id()).collect();
        let state = asked.state;
        let fs = &self.env.fs;
        for entry in fs.read_dir(&self.path).context("list", &self.path)? {
            let path = self.path.join(&entry.name);
            let known = FileId::parse(&entry.name).filter(|_| !entry.is_dir);
            let Some((id, kind)) = known else {
                if ![LOCK_FILE, RESERVE_FILE, LOST_DIR].contains(&entry.name.as_str()) {
                    let why = "it is none of the store's files: look what it is".into();
                    report.unknown.push(UnknownFile { path, why });
                }
                continue;
            };
            if unsealed.contains(&id)
                || planted!("report leaves out what is obsolete") && state.obsolete.contains_key(&id)
            {
                continue;
            }
            let role = match kind {
                _ if state.obsolete.contains_key(&id) => HeldRole::Obsolete,
                _ if state.intents.contains_key(&id) => HeldRole::Unfinished,
                FileKind::Manifest => HeldRole::Manifest,
                FileKind::Pack => HeldRole::Pack,
                FileKind::RevisionTable | FileKind::PlainTable => HeldRole::Table,
                _ => HeldRole::Segment,
            };
            let held = asked.look().file(&**fs, &path, kind);
            report.take(self, &path, role, held)?;
        }
        Ok(())
    }

    fn report_lost(&self, asked: &Asked<'_>, report: &mut ErasureReport) -> Result<()> {
        let fs = &self.env.fs;
        let dir = self.path.join(LOST_DIR);
        if !fs.exists(&dir).context("look for", &dir)? {
            return Ok(());
        }
        for entry in fs.read_dir(&dir).context("list", &dir)? {
            let path = dir.join(&entry.name);
            match FileId::parse(&entry.name).filter(|_| !entry.is_dir) {
                Some((_, kind)) => {
                    let held = asked.look().file(&**fs, &path, kind);
                    report.take(self, &path, HeldRole::Lost, held)?;
                }
                None => {
                    let why = "it is in lost/ and none of the store's files: look what it is, then remove it"
                        .into();
                    report.unknown.push(UnknownFile { path, why });
                }
            }
        }
        Ok(())
    }

    /// Takes a checkpoint off the list of those that may hold what was forgotten since.
    pub(crate) fn release_checkpoint(&self, path: &Path) -> Result<()> {
        self.check_writable()?;
        let fs = &*self.env.fs;
        let path = holder_path(fs, path)?;
        if !self.manifest.state().holders.iter().any(|holder| holder.path == path) {
            let known: Vec<_> = self.manifest.state().holders.iter().map(|it| it.path.clone()).collect();
            return Err(Error::invalid(format!("no checkpoint at {path} is listed; listed are: {known:?}")));
        }
        if is_there(fs, Path::new(&path))? {
            return Err(Error::invalid(format!("{path} is still there: remove it first")));
        }
        self.with_reserve(|| self.manifest.commit(vec![Edit::RemoveHolder { path: path.clone() }])).map(drop)
    }
}

/// Whether anything is left at a checkpoint's place.
fn is_there(fs: &dyn Fs, path: &Path) -> Result<bool> {
    let there = fs.exists(path).context("look for the checkpoint", path)?;
    Ok(there && !fs.read_dir(path).context("list the checkpoint", path)?.is_empty())
}

/// An annotation that came when a checkpoint was made already, or whose bytes were not erased yet then.
fn note_holder(
    erasures: &ViewErasures,
    holder: &Holder,
    stored: &StoredAnnotation,
    held: &mut Held,
) -> Result<()> {
    if !erasures.concerns(stored, holder.sequence)? {
        return Ok(());
    }
    let count = match stored.annotation.kind {
        AnnotationKind::Purge => &mut held.names,
        _ => &mut held.contents,
    };
    *count = count.saturating_add(1);
    if held.jobs.len() < 16 {
        held.jobs.extend(stored.annotation.erasure.map(|erasure| erasure.job));
    }
    held.sequence = if held.sequence == 0 { stored.sequence } else { held.sequence.min(stored.sequence) };
    Ok(())
}
