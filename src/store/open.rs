//! Opening and closing.
//!
//! Opening: lock, manifest, clean-up of what a crash left, tables, value files, then the log behind the manifest is recovered and
//! replayed into memtables, which are flushed as they fill up: time and memory are bounded by what was not flushed, not by the
//! store. Recovered segments are sealed and a new one is started, unless the log ends in a clean-close mark: then it is continued.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Store;
use super::forget::erasures::ViewErasures;
use super::memory::Budget;
use super::options::{ByteSize, Options, Packing, TableReads};
use super::start::Opening;
use super::tables::Tables;
use super::values::ValueMap;
use crate::cache::Cache;
use crate::codec::{FileId, FileKind};
use crate::env::{Env, LockMode};
use crate::error::IoContext;
use crate::index::compaction;
use crate::index::entity_hash;
use crate::index::levels::{IndexView, KEYSPACE_ANNOTATIONS, KEYSPACE_REVISIONS, Levels};
use crate::index::memtable::Memtable;
use crate::limits::Limits;
use crate::log::{Change, LoggedChange, Position, RecoveryInput, RecoveryMode, recover};
use crate::manifest::{LostLimits, Manifest, OpenMode, StoreLock};
use crate::{Error, Result};

/// What opening does where there is no store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IfMissing {
    /// Creates one.
    #[default]
    Create,
    /// Answers `Invalid`.
    Fail,
}

/// The unacknowledged end of the log, or of the manifest, that recovery cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutReport {
    /// Which segment, or the manifest.
    pub path: PathBuf,
    /// Where it was cut.
    pub offset: u64,
    /// How many bytes were behind.
    pub bytes: u64,
    /// How many valid frames were among them: writes that nobody was promised.
    pub frames: u64,
}

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// The store is new.
    pub created: bool,
    /// The log ended in a clean-close mark.
    pub clean: bool,
    /// Changes that were replayed from the log.
    pub replayed: u64,
    /// What was cut off the log: torn or lost writes that nobody was promised.
    pub cuts: Vec<CutReport>,
    /// What was cut off the manifest: the rest of a change of files that was never finished. The store's changes are in the log.
    pub manifest_cut: Option<CutReport>,
    /// Files moved to `lost/`.
    pub lost: Vec<String>,
    /// Unfinished files that were removed.
    pub removed: Vec<String>,
    /// The network file system that the store is on, if it is on one: what is promised of crashes and of a second process does not hold there.
    pub network_file_system: Option<&'static str>,
}

/// How to open a store. Made by [`Store::builder`].
#[derive(Debug)]
#[must_use]
pub struct StoreBuilder {
    path: PathBuf,
    options: Options,
    if_missing: IfMissing,
    read_only: bool,
    env: Option<Env>,
}

impl StoreBuilder {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            options: Options::default(),
            if_missing: IfMissing::default(),
            read_only: false,
            env: None,
        }
    }

    /// Memory for memtables, caches and buffers together.
    pub fn memory(mut self, bytes: ByteSize) -> Self {
        self.options.memory = Some(bytes);
        self
    }

    /// Threads for background work; at least 2.
    pub fn background_threads(mut self, threads: usize) -> Self {
        self.options.background_threads = threads;
        self
    }

    /// How tables are read.
    pub fn table_reads(mut self, reads: TableReads) -> Self {
        self.options.table_reads = reads;
        self
    }

    /// When sealed segments are rewritten as packs.
    pub fn packing(mut self, packing: Packing) -> Self {
        self.options.packing = packing;
        self
    }

    /// See [`Options::erase_within`].
    pub fn erase_within(mut self, time: std::time::Duration) -> Self {
        self.options.erase_within = time;
        self
    }

    /// See [`Options::promise_delay`].
    pub fn promise_delay(mut self, delay: std::time::Duration) -> Self {
        self.options.promise_delay = delay;
        self
    }

    /// Believes a clock that stepped forward by more than an hour at once.
    pub fn accept_clock_steps(mut self, accept: AcceptClockSteps) -> Self {
        self.options.accept_clock_steps = accept == AcceptClockSteps::AtOnce;
        self
    }

    /// What to do where there is no store.
    pub fn if_missing(mut self, if_missing: IfMissing) -> Self {
        self.if_missing = if_missing;
        self
    }

    /// Opens without writing anything: for a store that nobody writes to. Never creates one.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Other surroundings than the operating system: the simulator's.
    pub fn env(mut self, env: Env) -> Self {
        self.env = Some(env);
        self
    }

    /// Other sizes than the production ones: the simulator's.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// Opens.
    ///
    /// # Errors
    /// `Locked` if it is open elsewhere, `Corrupt` if it is damaged, `Unsupported` if a newer version wrote it, `Invalid` if
    /// there is no store, `Io`.
    pub fn open(self) -> Result<Store> {
        let env = self.environment();
        open_locked(self, env, None)
    }

    /// Where it is opened: the operating system unless something else was given.
    pub(crate) fn environment(&self) -> Env {
        self.env.clone().unwrap_or_else(|| Env::os(self.options.background_threads))
    }

    /// The sizes that it is opened with.
    pub(crate) fn sizes(&self) -> Limits {
        self.options.limits
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// When a clock step is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AcceptClockSteps {
    /// When two readings agree.
    WhenConfirmed,
    /// At once.
    AtOnce,
}

/// Opens with a lock that is held already, or takes it.
pub(crate) fn open_locked(builder: StoreBuilder, env: Env, held: Option<StoreLock>) -> Result<Store> {
    let StoreBuilder { path, options, if_missing, read_only, env: given } = builder;
    let fs = env.fs.as_ref();
    let exists = fs.exists(&path).context("look for a store in", &path)?;
    let create = if_missing == IfMissing::Create && !read_only;
    if !exists {
        if !create {
            return Err(Error::invalid(format!("there is no store in {}", path.display())));
        }
        // Its name is made durable behind the lock, before there is a manifest in it: nothing is synced for a store that is not held.
        fs.create_dir_all(&path).context("create", &path)?;
    }
    if !create && exists {
        // No lock file is made in a directory that is no store.
        let listing = fs.read_dir(&path).context("list", &path)?;
        if !listing.iter().any(|entry| FileId::parse(&entry.name).is_some()) {
            return Err(Error::invalid(format!("there is no store in {}", path.display())));
        }
    }
    let sharing = if read_only { LockMode::Shared } else { LockMode::Exclusive };
    let lock = match held.map_or_else(|| StoreLock::acquire(&env, &path, sharing), Ok) {
        Ok(lock) => Some(lock),
        // Reading needs no lock file where none can be made; a live writer could have made one.
        Err(Error::Io { source, .. })
            if read_only
                && matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
        {
            None
        }
        Err(error) => return Err(error),
    };
    if !read_only {
        // What a crash left of it is space that recovery may need.
        super::reserve::remove_left_over(fs, &path)?;
    }
    let mut store_id = [0; 16];
    env.rng.fill(&mut store_id);
    let mode = match (read_only, create) {
        (true, _) => OpenMode::ReadOnly,
        (false, true) => OpenMode::CreateIfAbsent { store: store_id },
        (false, false) => OpenMode::ReadWrite,
    };
    let (manifest, opened) = Manifest::open(&env, &path, mode, &options.limits)?;
    let manifest = Arc::new(manifest);
    let network_file_system = fs.network_file_system(&path);
    let mut report = OpenReport { created: opened.created, network_file_system, ..OpenReport::default() };
    if read_only {
        let contents = manifest.scan()?;
        contents.require_complete(&path)?;
    } else {
        let settled = manifest.settle(&LostLimits::default())?;
        report.lost = settled.lost;
        report.removed = settled.removed;
    }
    let machine = if given.is_none() { crate::env::machine_memory() } else { None };
    let budget = Budget::new(&options, machine);
    let cache = Arc::new(Cache::new(budget.cache));
    let tables = Tables::new(&env, &manifest, &cache, options.table_reads, &options.limits);
    let state = manifest.state();
    let levels = Arc::new(Levels::open(state.tables.values(), &tables)?);

    let mut replay = Replay {
        view: IndexView::new(Arc::new(Memtable::new(budget.memtable)), levels),
        manifest: &manifest,
        tables: &tables,
        limits: &options.limits,
        memtable_bytes: budget.memtable,
        flushes: !read_only,
        replayed: 0,
    };
    let mut listing = fs.read_dir(&path).context("list", &path)?;
    // What was packed may still be there if nothing was allowed to remove it.
    listing.retain(|entry| {
        FileId::parse(&entry.name).is_none_or(|(id, kind)| state.obsolete.get(&id) != Some(&kind))
    });
    let values = ValueMap::open(&manifest, state.value_files.values(), Some(&cache))?;
    let sealed: Vec<_> = state.value_files.values().cloned().collect();
    let flushed = |keyspace| state.flushed.get(&keyspace).copied().unwrap_or(0);
    let recovered = recover(
        &RecoveryInput {
            fs,
            dir: &path,
            listing: &listing,
            store: &state.store,
            sealed: &sealed,
            packed_end: state.packed_end,
            changes: &|after| values.changes(after),
            promise: Position::new(state.promise.0, state.promise.1),
            flushed: match planted!("replay starts too late") {
                true => sealed
                    .iter()
                    .map(|file: &crate::manifest::ValueFileInfo| file.sequence_last)
                    .max()
                    .unwrap_or(0),
                false => flushed(KEYSPACE_REVISIONS).min(flushed(KEYSPACE_ANNOTATIONS)),
            },
            limits: &options.limits,
            mode: if read_only { RecoveryMode::ReadOnly } else { RecoveryMode::Write },
        },
        &mut |change| replay.add(change),
    )?;
    report.replayed = replay.replayed;
    let view = replay.view;
    report.clean = recovered.append.is_some();
    let cut = |cut: &crate::log::Cut| CutReport {
        path: cut.path.clone(),
        offset: cut.offset,
        bytes: cut.bytes,
        frames: cut.frames,
    };
    report.cuts = recovered.cuts.iter().map(cut).collect();
    report.manifest_cut = opened.cut.map(|cut| CutReport {
        path: path.join(cut.id.file_name(FileKind::Manifest)),
        offset: cut.offset,
        bytes: cut.bytes,
        frames: cut.frames,
    });
    let opening =
        Opening { env, path, options, budget, read_only, manifest, cache, values, view, report, lock };
    let inner = opening.finish(recovered)?;
    tell(&inner);
    if !read_only {
        inner.compact_in_background();
        inner.pack_in_background();
        if inner.annotated.load(crate::sync::atomic::Ordering::Relaxed) {
            inner.reclaim_after(std::time::Duration::ZERO);
        }
    }
    Ok(Store::from_inner(inner))
}

/// What opening found, for whoever listens.
fn tell(inner: &super::inner::Inner) {
    let (report, path) = (&inner.background.open_report, inner.path().display());
    for cut in &report.cuts {
        let (file, offset, bytes, frames) = (cut.path.display(), cut.offset, cut.bytes, cut.frames);
        tracing::warn!(%file, offset, bytes, frames, "the end of the log was never acknowledged and is cut off");
    }
    if let Some(cut) = &report.manifest_cut {
        let (file, offset, bytes) = (cut.path.display(), cut.offset, cut.bytes);
        tracing::warn!(%file, offset, bytes, "the end of the manifest was never acknowledged and is cut off");
    }
    for file in &report.lost {
        tracing::warn!(%path, file, "a file that nobody knows was moved to lost/");
    }
    if let Some(kind) = report.network_file_system {
        tracing::warn!(%path, kind, "the store is on a network file system: crash safety and locks are not what is promised");
    }
    tracing::info!(
        %path,
        created = report.created,
        clean = report.clean,
        replayed = report.replayed,
        durable = inner.durable(),
        read_only = inner.read_only,
        "the store is open"
    );
}

/// Takes replayed changes into memtables, flushing as they fill up.
struct Replay<'a> {
    view: IndexView,
    manifest: &'a Arc<Manifest>,
    tables: &'a Tables,
    limits: &'a Limits,
    memtable_bytes: u64,
    flushes: bool,
    replayed: u64,
}

impl Replay<'_> {
    fn add(&mut self, logged: LoggedChange) -> Result<()> {
        let Some(memtable) = self.view.active().cloned() else {
            return Err(Error::invalid("internal: no memtable to replay into"));
        };
        match logged.change {
            Change::Annotation(annotation) => memtable.insert_annotation(logged.sequence, &annotation)?,
            Change::Revision { entity, row, .. } => {
                memtable.insert(&entity, entity_hash(entity.as_bytes()), &row)?;
            }
            // Its purge comes behind it, or is in a table already.
            Change::Erased { .. } => {}
        }
        self.replayed = self.replayed.saturating_add(1);
        // A commit's changes stay together: a table never holds half of one.
        if self.flushes && logged.commit_rest == 0 && memtable.bytes() >= self.memtable_bytes {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let rotated = self.view.rotated(Arc::new(Memtable::new(self.memtable_bytes)));
        let Some(memtable) = rotated.flush_next().cloned() else { return Ok(()) };
        probe!("flush: during replay");
        let outcome = {
            // What is replayed was made durable by recovery.
            let view = Arc::new(rotated.clone());
            let erasures = ViewErasures::new(self.manifest.state().store, view, u64::MAX);
            compaction::flush(&memtable, self.limits, self.tables, &erasures)?
        };
        let levels = Arc::new(rotated.levels().apply(&outcome.edit, self.tables)?);
        self.manifest.commit(super::maintain::edits_of_flush(&outcome))?;
        self.view = rotated.flushed(&memtable, levels)?;
        Ok(())
    }
}
