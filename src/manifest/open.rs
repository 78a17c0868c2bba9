//! Opening and creating: which manifest file counts.
//!
//! The newest file whose snapshot is whole counts. It says at least what every older one says ([`super::Manifest`] makes sure of it), so
//! the older ones are removed; a newer one that was never finished is removed only if the one that counts is undamaged.
//!
//! A file that does not end in a promise was being written when the process ended. It is never written on: its state goes into
//! a new file first.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sync::Mutex;
use arc_swap::ArcSwap;

use super::ahead;
use super::commit::{Manifest, RESERVE, Writer, remove_durably};
use super::files::Files;
use super::invariants;
use super::lock::LOCK_FILE;
use super::log::{AppendError, Log};
use super::lost::LOST_DIR;
use super::replay::{self, Cut, Found, Replayed};
use super::state::State;
use crate::codec::{FileId, FileKind};
use crate::env::{DirEntry, Env, Fs};
use crate::error::IoContext;
use crate::limits::Limits;
use crate::{Error, Result};

/// What to do with a store's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// A store that is there.
    ReadWrite,
    /// A store that is there; nothing in the directory is changed.
    ReadOnly,
    /// A new store with this id, in a directory that holds nothing of concern: nothing but `LOCK`, `README…`, hidden files
    /// and `lost+found`.
    Create {
        /// Random, and never used before.
        store: [u8; 16],
    },
    /// A store that is there, else a new one.
    CreateIfAbsent {
        /// The id of a new store.
        store: [u8; 16],
    },
}

/// What happened when a manifest was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The store is new.
    pub created: bool,
    /// What was cut off the manifest's end: the rest of a commit that was never acknowledged.
    pub cut: Option<Cut>,
    /// The state was written to a new manifest file.
    pub rewritten: bool,
    /// Manifest files that were removed: older ones, and newer ones that were never finished.
    pub removed: Vec<FileId>,
}

impl Manifest {
    /// Opens the manifest of the store in `dir`. The caller holds the store's lock, unless it only reads.
    ///
    /// # Errors
    /// `Invalid` if there is no store (or one, for `Create`), `Corrupt`, `Unsupported`, `Io`.
    pub fn open(env: &Env, dir: &Path, mode: OpenMode, limits: &Limits) -> Result<(Self, Opened)> {
        let fs = env.fs.as_ref();
        let entries = match fs.read_dir(dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            other => other.context("list", dir)?,
        };
        let manifests = manifest_files(&entries);
        let seen = own_files(&entries).map(|(id, _)| id.number).max().unwrap_or(0);
        let create = match mode {
            OpenMode::Create { store } | OpenMode::CreateIfAbsent { store } => Some(store),
            OpenMode::ReadWrite | OpenMode::ReadOnly => None,
        };
        if manifests.is_empty() {
            refuse_orphans(dir, &entries)?;
            let Some(store) = create else {
                return Err(Error::invalid(format!("there is no store in {}", dir.display())));
            };
            return Self::create(env, dir, &entries, store, limits);
        }
        let chosen = match choose(fs, dir, &manifests) {
            Ok(chosen) => chosen,
            Err(NotChosen::Unfinished(error)) => match create {
                Some(store) if is_unfinished_creation(&entries, &manifests) => {
                    let name = first_manifest().file_name(FileKind::Manifest);
                    remove_durably(fs, dir, &[dir.join(&name)])?;
                    let rest: Vec<_> = entries.into_iter().filter(|entry| entry.name != name).collect();
                    return Self::create(env, dir, &rest, store, limits);
                }
                _ => return Err(error),
            },
            Err(NotChosen::Failed(error)) => return Err(error),
        };
        ahead::refuse(fs, dir, &entries, chosen.id, &chosen.read.state)?;
        match mode {
            OpenMode::Create { .. } => {
                Err(Error::invalid(format!("there is a store in {} already", dir.display())))
            }
            OpenMode::ReadOnly => {
                let opened = Opened { cut: chosen.read.cut.clone(), ..Opened::default() };
                let next = chosen.read.state.next_file;
                let used = chosen.read.used;
                Ok((Self::new(env, dir, limits, chosen.read.state, None, used, next), opened))
            }
            OpenMode::ReadWrite | OpenMode::CreateIfAbsent { .. } => {
                Self::take_over(env, dir, limits, chosen, &manifests, seen)
            }
        }
    }

    /// Writes a manifest that says `state` and removes all others: for a store that is rebuilt, restored or copied. The files that
    /// it names must be durable.
    ///
    /// # Errors
    /// `Invalid` if the state breaks a rule; `Io`.
    pub fn install(env: &Env, dir: &Path, mut state: State) -> Result<FileId> {
        let entries = env.fs.read_dir(dir).context("list", dir)?;
        let seen = own_files(&entries).map(|(id, _)| id.number).max().unwrap_or(0);
        let id = FileId { epoch: state.epoch, number: state.next_file.max(seen.saturating_add(1)) };
        state.next_file = id.number.saturating_add(RESERVE);
        invariants::check(&state)?;
        let old_ids = manifest_files(&entries);
        // Should the process end before the old ones are removed, this one must say more. A damaged one says nothing.
        let number = old_ids.iter().filter_map(|id| match replay::read(env.fs.as_ref(), dir, *id) {
            Ok(Found::Whole(old)) => Some(old.number),
            _ => None,
        });
        let number = number.max().unwrap_or(0).saturating_add(1);
        let created = Log::create(env.fs.as_ref(), env.rng.as_ref(), dir, id, &state, number);
        created.map_err(AppendError::into_error)?;
        let old: Vec<PathBuf> = old_ids.into_iter().map(|id| path_of(dir, id)).collect();
        remove_durably(env.fs.as_ref(), dir, &old)?;
        Ok(id)
    }

    fn create(
        env: &Env,
        dir: &Path,
        entries: &[DirEntry],
        store: [u8; 16],
        limits: &Limits,
    ) -> Result<(Self, Opened)> {
        if let Some(entry) = entries.iter().find(|entry| !is_of_no_concern(&entry.name)) {
            return Err(Error::invalid(format!(
                "{} is not empty (it holds {:?}): a store wants a directory of its own",
                dir.display(),
                entry.name
            )));
        }
        prepare_dir(env.fs.as_ref(), dir)?;
        let id = first_manifest();
        let next = id.number + 1;
        let incarnation = env.rng.next_u64().max(1);
        let state =
            State { store, incarnation, epoch: id.epoch, next_file: next + RESERVE, ..State::default() };
        let created = Log::create(env.fs.as_ref(), env.rng.as_ref(), dir, id, &state, 1);
        let log = created.map_err(AppendError::into_error)?;
        let opened = Opened { created: true, ..Opened::default() };
        Ok((Self::new(env, dir, limits, state, Some(log), [id.number].into(), next), opened))
    }

    /// Leaves one durable manifest file that can be written on.
    fn take_over(
        env: &Env,
        dir: &Path,
        limits: &Limits,
        chosen: Chosen,
        manifests: &[FileId],
        seen: u64,
    ) -> Result<(Self, Opened)> {
        let fs = env.fs.as_ref();
        let Chosen { id, read, unfinished } = chosen;
        // A file that was never finished would be taken for the newest once something valid is behind its number.
        if !unfinished.is_empty() {
            probe!("manifest: unfinished file removed");
            let paths: Vec<PathBuf> = unfinished.iter().map(|id| path_of(dir, *id)).collect();
            remove_durably(fs, dir, &paths)?;
        }
        let next = read.state.next_file.max(seen.saturating_add(1));
        let mut opened = Opened { cut: read.cut.clone(), removed: unfinished, ..Opened::default() };
        let mut others: Vec<FileId> =
            manifests.iter().copied().filter(|other| other.number < id.number).collect();
        let mut used = read.used.clone();
        let (log, state, next) = if read.clean || planted!("torn manifest continued") {
            (Log::resume(fs, dir, id, &read)?, read.state, next)
        } else {
            // What was read may be in the page cache only, name included. Until the new file is finished this is the manifest.
            if !planted!("old manifest not durable") {
                Log::resume(fs, dir, id, &read)?;
            }
            let new = FileId { epoch: read.state.epoch, number: next };
            let next = next.saturating_add(1);
            let state = State { next_file: next.saturating_add(RESERVE), ..read.state };
            let created = Log::create(fs, env.rng.as_ref(), dir, new, &state, read.number);
            probe!("manifest: state taken to a new file");
            opened.rewritten = true;
            others.push(id);
            used.insert(new.number);
            (created.map_err(AppendError::into_error)?, state, next)
        };
        if !others.is_empty() {
            let paths: Vec<PathBuf> = others.iter().map(|id| path_of(dir, *id)).collect();
            remove_durably(fs, dir, &paths)?;
        }
        opened.removed.extend(others);
        Ok((Self::new(env, dir, limits, state, Some(log), used, next), opened))
    }

    fn new(
        env: &Env,
        dir: &Path,
        limits: &Limits,
        state: State,
        log: Option<Log>,
        used: std::collections::BTreeSet<u64>,
        next: u64,
    ) -> Self {
        Self {
            fs: env.fs.clone(),
            rng: env.rng.clone(),
            dir: dir.to_path_buf(),
            limit: limits.manifest_bytes,
            state: ArcSwap::from_pointee(state),
            writer: Mutex::new(Writer { log, used, latched: None }),
            next: Mutex::new(next),
            files: Files::new(env.fs.clone(), dir.to_path_buf()),
        }
    }
}

/// Creates a store's directory, durably with its parents; no error if it is there.
///
/// # Errors
/// `Io`.
pub fn prepare_dir(fs: &dyn Fs, dir: &Path) -> Result<()> {
    let mut new = Vec::new();
    for ancestor in dir.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        if fs.exists(ancestor).context("look for", ancestor)? {
            break;
        }
        new.push(ancestor);
    }
    fs.create_dir_all(dir).context("create", dir)?;
    for parent in new.iter().rev().filter_map(|path| path.parent()) {
        fs.sync_dir(parent).context("sync the directory", parent)?;
    }
    // Those that are there may have been made a moment ago by a process that ended before it could sync their names.
    for path in dir.ancestors().filter(|path| !new.contains(path)) {
        let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { break };
        match fs.sync_dir(parent) {
            // What we may not even list we did not make.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => break,
            other => other.context("sync the directory", parent)?,
        }
    }
    Ok(())
}

struct Chosen {
    id: FileId,
    read: Replayed,
    /// Newer files without a whole snapshot.
    unfinished: Vec<FileId>,
}

enum NotChosen {
    /// No file has a whole snapshot.
    Unfinished(Error),
    Failed(Error),
}

impl From<Error> for NotChosen {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// `manifests` are sorted, oldest first.
fn choose(fs: &dyn Fs, dir: &Path, manifests: &[FileId]) -> Result<Chosen, NotChosen> {
    let mut unfinished = Vec::new();
    let mut error = None;
    let mut rest = manifests.iter().rev().copied();
    while let Some(id) = rest.next() {
        match replay::read(fs, dir, id)? {
            Found::Incomplete(e) => {
                error.get_or_insert(e);
                unfinished.push(id);
            }
            Found::Whole(read) => {
                if let Some(older) = rest.next() {
                    refuse_contradiction(fs, dir, id, &read, older)?;
                }
                return Ok(Chosen { id, read: *read, unfinished });
            }
        }
    }
    Err(NotChosen::Unfinished(error.unwrap_or_else(|| Error::invalid("there is no manifest"))))
}

/// While an older file is there, the newer one's snapshot has all of it.
fn refuse_contradiction(fs: &dyn Fs, dir: &Path, id: FileId, read: &Replayed, older: FileId) -> Result<()> {
    match replay::read(fs, dir, older) {
        Ok(Found::Whole(old)) if old.number > read.snapshot_number || old.state.store != read.state.store => {
            Err(Error::corrupt(
                &path_of(dir, id),
                replay::HEADER_LEN as u64,
                format!("a snapshot of the same store and of commit {} or later", old.number),
                format!("commit {}", read.snapshot_number),
                format!("which of it and {} counts", older.file_name(FileKind::Manifest)),
            ))
        }
        // Whatever it is, the newer one does not need it.
        _ => Ok(()),
    }
}

fn first_manifest() -> FileId {
    FileId { epoch: 1, number: 1 }
}

fn path_of(dir: &Path, id: FileId) -> PathBuf {
    dir.join(id.file_name(FileKind::Manifest))
}

pub(super) fn own_files(entries: &[DirEntry]) -> impl Iterator<Item = (FileId, FileKind)> {
    entries.iter().filter(|entry| !entry.is_dir).filter_map(|entry| FileId::parse(&entry.name))
}

/// Manifest files, oldest first.
fn manifest_files(entries: &[DirEntry]) -> Vec<FileId> {
    let manifests = own_files(entries).filter(|(_, kind)| *kind == FileKind::Manifest);
    let mut manifests: Vec<FileId> = manifests.map(|(id, _)| id).collect();
    manifests.sort_unstable_by_key(|id| (id.number, id.epoch));
    manifests
}

/// The process ended while it made a store: there is its first manifest, without a whole snapshot, and nothing else of ours.
fn is_unfinished_creation(entries: &[DirEntry], manifests: &[FileId]) -> bool {
    manifests == [first_manifest()] && own_files(entries).count() == 1
}

fn is_of_no_concern(name: &str) -> bool {
    name == LOCK_FILE || name == "lost+found" || name.starts_with('.') || name.starts_with("README")
}

/// Files of a store without a manifest are never taken for an empty directory.
fn refuse_orphans(dir: &Path, entries: &[DirEntry]) -> Result<()> {
    let count = own_files(entries).count();
    let lost = entries.iter().any(|entry| entry.is_dir && entry.name == LOST_DIR);
    let found = match own_files(entries).next() {
        Some((id, kind)) => {
            format!("none, but {count} other files of a store, such as {}", id.file_name(kind))
        }
        None if lost => "none, but lost files of a store".into(),
        None => return Ok(()),
    };
    let affected =
        "which files make up the store (`recension rebuild` makes a new manifest from the value files)";
    Err(Error::corrupt(dir, 0, "a manifest", found, affected))
}

/// The state alone, for tools that only look.
///
/// # Errors
/// As [`Manifest::open`] for reading only.
pub fn read_state(env: &Env, dir: &Path) -> Result<Arc<State>> {
    Manifest::open(env, dir, OpenMode::ReadOnly, &Limits::PRODUCTION).map(|(manifest, _)| manifest.state())
}
