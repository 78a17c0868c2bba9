//! Making manifest and index anew from the value files alone.
//!
//! ```text
//!  headers and trailers of all segments and packs
//!        │ which of them make up the store (`choose`): from change 1 on without a gap, the highest generation of each rectangle
//!        ▼
//!  new manifest, without tables, flushed up to 0 ──► opening replays everything, flushing as it goes
//! ```
//! Everything but the value files is a view of them, so a rebuild is a new manifest and an opening: time and memory are those of a replay, one
//! memtable at a time.
//!
//! 1. Nothing is written before it is clear that the value files are complete: what the old manifest (if it can be read) knew, and what the log
//!    promises, must be there. What is missing or damaged is an error that names it; `repair` is for that.
//! 2. The new manifest is durable before the old one goes. The tables of the old one are obsolete in it, so that they go at the opening, also if
//!    the process ends in between.
//! 3. Value files are read and never written (but for a segment that a crash left without its tail, as at any opening).
//! 4. A file that is superseded by a pack of a higher generation never comes back: what was forgotten in the pack stays forgotten.

mod choose;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use self::choose::{choose, overlap};
use super::Store;
use super::open::{StoreBuilder, open_locked};
use crate::codec::{FileHeader, FileId, FileKind};
use crate::env::{Access, Env, LockMode, read_at_most};
use crate::error::IoContext;
use crate::limits::Limits;
use crate::log::{
    LeftoverKind, Position, RecoveryInput, RecoveryMode, SEGMENT_HEADER_LEN, SegmentHeader, ValueFile,
    VerifyDepth, describe_segment, survey,
};
use crate::manifest::{Manifest, OpenMode, PackedEnd, State, StoreLock, ValueFileInfo};
use crate::pack::{Pack, describe_pack};
use crate::{Error, ErrorKind, Result};

/// What a rebuild does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RebuildMode {
    /// Says what it would do and writes nothing.
    DryRun,
    /// Does it.
    Apply,
}

/// What a rebuild found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RebuildReport {
    /// Whether the old manifest could be read.
    pub had_manifest: bool,
    /// Names of the sealed segments and packs that make up the store, by sequence number. Segments behind them are found as at any opening.
    pub value_files: Vec<String>,
    /// The last change there is.
    pub sequence: u64,
    /// Names of the files that go: the old index, and what a pack superseded.
    pub obsolete: Vec<String>,
    /// Changes that the new index was made of; 0 in a dry run.
    pub replayed: u64,
}

impl StoreBuilder {
    /// Makes manifest and index anew from the segments and packs in the directory; also if there is no manifest any more. Afterwards the store
    /// answers as before. See [`RebuildMode`].
    ///
    /// # Errors
    /// `Corrupt` if value files are missing or damaged: then nothing was changed. `Locked`, `Invalid` if there are no value files,
    /// `Unsupported`, `Io`.
    pub fn rebuild(self, mode: RebuildMode) -> Result<RebuildReport> {
        let env = self.environment();
        let path = self.path().to_path_buf();
        if !env.fs.exists(&path).context("look for a store in", &path)? {
            return Err(Error::invalid(format!("there is no store in {}", path.display())));
        }
        let lock = StoreLock::acquire(&env, &path, LockMode::Exclusive)?;
        let (state, mut report) = plan(&env, &path)?;
        if mode == RebuildMode::DryRun {
            return Ok(report);
        }
        Manifest::install(&env, &path, state)?;
        let store: Store = open_locked(self, env, Some(lock))?;
        report.replayed = store.open_report().replayed;
        store.flush()?;
        store.close()?;
        Ok(report)
    }
}

/// A value file and what it says.
struct Candidate {
    info: ValueFileInfo,
    /// Of a segment.
    header: Option<SegmentHeader>,
    /// The old manifest names it.
    installed: bool,
}

/// The new state. Writes nothing.
fn plan(env: &Env, dir: &Path) -> Result<(State, RebuildReport)> {
    let fs = env.fs.as_ref();
    let listing = fs.read_dir(dir).context("list", dir)?;
    let own: Vec<(FileId, FileKind)> =
        listing.iter().filter(|entry| !entry.is_dir).filter_map(|entry| FileId::parse(&entry.name)).collect();
    let old = match Manifest::open(env, dir, OpenMode::ReadOnly, &Limits::PRODUCTION) {
        Ok((manifest, _)) => Some(State::clone(&manifest.state())),
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => None,
        Err(error) => return Err(error),
    };
    let mut found = find(env, dir, &own, old.as_ref())?;
    if found.segments.is_empty() && found.packs.is_empty() && found.open.is_empty() {
        return Err(Error::invalid(format!(
            "there are no segments or packs in {}: nothing to rebuild from",
            dir.display()
        )));
    }
    found.leave_out_unfinished(fs, dir)?;
    let (mut chosen, next) = choose(&found.packs, &found.segments);
    found.account(fs, dir, &mut chosen, old.as_ref())?;
    // A pack that could not be used is no loss if the rest is complete; behind a gap it is.
    let behind = found.packs.iter().map(|pack| pack.info.sequence_last).max().unwrap_or(0);
    if behind >= next {
        let gap = || {
            let affected = format!("changes from {next} on");
            Error::corrupt(dir, 0, format!("a value file with change {next}"), "none", affected)
        };
        return Err(found.unreadable.pop().unwrap_or_else(gap));
    }
    let packed_end = found.packed_end(fs, dir, &chosen, old.as_ref())?;
    let promise = old.as_ref().map_or((0, 0), |old| old.promise);
    let log = survey(&RecoveryInput {
        fs,
        dir,
        listing: &listing,
        store: &found.store,
        sealed: &chosen,
        packed_end,
        changes: &|_| Box::new(std::iter::empty()),
        promise: Position::new(promise.0, promise.1),
        flushed: 0,
        limits: &Limits::PRODUCTION,
        mode: RecoveryMode::ReadOnly,
    });
    let log = match log {
        Ok(log) => log,
        Err(error) => return Err(found.unreadable.pop().unwrap_or(error)),
    };
    let known = old.as_ref().map_or(0, |old| {
        let files = old.value_files.values().map(|file| file.sequence_last);
        files.chain(old.flushed.values().copied()).max().unwrap_or(0)
    });
    if log.sequence < known {
        let affected = format!("changes {} to {known}", log.sequence.saturating_add(1));
        let error = Error::corrupt(dir, 0, "all changes that the manifest knows", "fewer", affected);
        return Err(found.unreadable.pop().unwrap_or(error));
    }
    for leftover in log.leftovers.iter().filter(|leftover| leftover.why == LeftoverKind::Obsolete) {
        // Older than the log's end and not chosen: it must say nothing that is not said elsewhere.
        let last = found.segments.iter().find(|segment| segment.info.id == leftover.id);
        if last.is_some_and(|segment| segment.info.sequence_last > log.sequence) {
            let path = dir.join(leftover.id.file_name(FileKind::Segment));
            return Err(Error::corrupt(
                &path,
                0,
                "a segment that the log goes on from",
                "one that it does not",
                "its changes",
            ));
        }
    }
    let mut report =
        RebuildReport { had_manifest: old.is_some(), sequence: log.sequence, ..RebuildReport::default() };
    report.value_files = chosen.iter().map(|info| info.id.file_name(info.kind)).collect();
    let state = found.state(env, &own, chosen, packed_end, old, &mut report);
    Ok((state, report))
}

/// The value files of a directory.
struct Found {
    store: [u8; 16],
    segments: Vec<Candidate>,
    /// Unsealed ones.
    open: Vec<SegmentHeader>,
    packs: Vec<Candidate>,
    /// Segments whose header cannot be read: spare ones, or damaged.
    nameless: Vec<FileId>,
    /// Why a pack cannot be used.
    unreadable: Vec<Error>,
    epoch: u64,
}

fn find(env: &Env, dir: &Path, own: &[(FileId, FileKind)], old: Option<&State>) -> Result<Found> {
    let fs = env.fs.as_ref();
    let mut found = Found {
        store: old.map_or([0; 16], |old| old.store),
        segments: Vec::new(),
        open: Vec::new(),
        packs: Vec::new(),
        unreadable: Vec::new(),
        nameless: Vec::new(),
        epoch: old.map_or(1, |old| old.epoch),
    };
    let mut known = old.is_some();
    for (id, kind) in own {
        let unfinished =
            old.is_some_and(|old| old.intents.get(id) == Some(kind) || old.obsolete.get(id) == Some(kind));
        if !matches!(kind, FileKind::Segment | FileKind::Pack) || unfinished {
            continue;
        }
        let path = dir.join(id.file_name(*kind));
        let file = fs.open(&path, Access::Read).context("open", &path)?;
        let mut start = [0; 64];
        let n = read_at_most(&*file, &mut start, 0).context("read", &path)?;
        let common = match FileHeader::decode(&path, start.get(..n).unwrap_or_default()) {
            Ok(common) => common,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // A spare segment has no header yet; whether it is one is recovery's to judge.
                match kind {
                    FileKind::Pack => found.unreadable.push(error),
                    _ => found.nameless.push(*id),
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        if !known {
            found.store = common.store;
            known = true;
        }
        common.require(&path, *kind, common.version, &found.store, *id)?;
        found.epoch = found.epoch.max(id.epoch);
        let installed = old.is_some_and(|old| old.value_files.contains_key(id));
        let described = match kind {
            FileKind::Pack => describe_pack(&*file, &path)
                .map(|(_, info)| Some(Candidate { info, header: None, installed })),
            _ => match describe_segment(&*file, &path) {
                Ok((header, Some(info))) => Ok(Some(Candidate { info, header: Some(header), installed })),
                Ok((header, None)) => {
                    found.open.push(header);
                    Ok(None)
                }
                Err(error) => Err(error),
            },
        };
        match described {
            Ok(Some(candidate)) if *kind == FileKind::Pack => found.packs.push(candidate),
            Ok(Some(candidate)) => found.segments.push(candidate),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => match kind {
                FileKind::Pack => found.unreadable.push(error),
                _ => found.nameless.push(*id),
            },
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

impl Found {
    /// Without the old manifest nobody says whether a pack was finished: one that would take the place of files that are still there is read
    /// through first. (The others are all there is of their changes.)
    fn leave_out_unfinished(&mut self, fs: &dyn crate::env::Fs, dir: &Path) -> Result<()> {
        let lower: Vec<ValueFileInfo> =
            self.segments.iter().chain(&self.packs).map(|it| it.info.clone()).collect();
        let mut sound = Vec::with_capacity(self.packs.len());
        for pack in std::mem::take(&mut self.packs) {
            let info = &pack.info;
            let replaces = |other: &ValueFileInfo| {
                overlap(other, info)
                    && (other.kind == FileKind::Segment || other.generation < info.generation)
            };
            if !pack.installed && lower.iter().any(replaces) {
                let path = dir.join(info.id.file_name(FileKind::Pack));
                let read = Pack::open(fs, &path, info, &self.store, None)
                    .and_then(|opened| opened.verify(VerifyDepth::Stored, &|| false));
                match read {
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        self.unreadable.push(error);
                        continue;
                    }
                    other => other?,
                }
            }
            sound.push(pack);
        }
        self.packs = sound;
        Ok(())
    }

    /// The end of the newest pack, as the segment behind it names it.
    fn packed_end(
        &self,
        fs: &dyn crate::env::Fs,
        dir: &Path,
        chosen: &[ValueFileInfo],
        old: Option<&State>,
    ) -> Result<Option<PackedEnd>> {
        let newest =
            chosen.iter().filter(|info| info.kind == FileKind::Pack).max_by_key(|info| info.sequence_last);
        let Some(newest) = newest else { return Ok(None) };
        let sequence = newest.sequence_last;
        if let Some(end) = old.and_then(|old| old.packed_end).filter(|end| end.sequence == sequence) {
            return Ok(Some(end));
        }
        let headers =
            self.segments.iter().filter_map(|segment| segment.header).chain(self.open.iter().copied());
        let behind = headers.filter(|header| {
            header.predecessor_sequence == sequence && header.predecessor_checksum == newest.last_checksum
        });
        // If none names it, recovery has to look into every segment that may be behind it: those with higher numbers than its own. A pack's number
        // says nothing, for it may have been made while the next segments were written.
        let unnamed = || {
            let segments = self.segments.iter().map(|segment| &segment.info);
            let later = segments.filter(|info| info.sequence_last > sequence).map(|info| info.id.number);
            let open = self.open.iter().map(|header| header.id.number);
            let nameless = self.nameless.iter().map(|id| id.number);
            let lowest = later.chain(open).chain(nameless).min().unwrap_or(u64::MAX);
            FileId { number: newest.id.number.min(lowest.saturating_sub(1)), ..newest.id }
        };
        let id = behind.map(|header| header.predecessor).max().unwrap_or_else(unnamed);
        // Packs of parts share a range of sequence numbers: one of them has the newest change.
        let mut commit_time = 0;
        for info in chosen.iter().filter(|info| info.kind == FileKind::Pack && info.sequence_last == sequence)
        {
            let path = dir.join(info.id.file_name(FileKind::Pack));
            let pack: Arc<dyn ValueFile> = Arc::new(Pack::open(fs, &path, info, &self.store, None)?);
            for change in pack.changes(sequence.saturating_sub(1), sequence) {
                commit_time = change?.commit_time;
            }
        }
        // How long the segment was nobody knows any more; what this is used for is no promise of more than its header.
        let len = SEGMENT_HEADER_LEN as u64;
        Ok(Some(PackedEnd { id, len, sequence, checksum: newest.last_checksum, commit_time }))
    }

    /// What is still referred to was counted once: a file that is what it was keeps its account. Of one that is used in part it is counted again.
    fn account(
        &self,
        fs: &dyn crate::env::Fs,
        dir: &Path,
        chosen: &mut [ValueFileInfo],
        old: Option<&State>,
    ) -> Result<()> {
        for info in chosen {
            let known = old.and_then(|old| old.value_files.get(&info.id));
            match known {
                Some(known) if (known.len, &known.entity_first) == (info.len, &info.entity_first) => {
                    info.live_bytes = known.live_bytes;
                }
                _ if self
                    .packs
                    .iter()
                    .any(|pack| pack.info.id == info.id && pack.info.entity_first != info.entity_first) =>
                {
                    let path = dir.join(info.id.file_name(FileKind::Pack));
                    let pack = Pack::open(fs, &path, info, &self.store, None)?;
                    info.live_bytes = pack.stored_bytes_from(&info.entity_first, &|| false)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The new state.
    fn state(
        &self,
        env: &Env,
        own: &[(FileId, FileKind)],
        chosen: Vec<ValueFileInfo>,
        packed_end: Option<PackedEnd>,
        old: Option<State>,
        report: &mut RebuildReport,
    ) -> State {
        let mut old = old.unwrap_or_default();
        // Whether the files that were chosen have nothing left of what is forgotten is for reclaiming to find out.
        old.options.remove(super::reclaim::MARK);
        let mut obsolete = BTreeMap::new();
        // Only what the chosen files hold is superseded: sealed segments behind them are the log.
        let held = chosen.iter().map(|info| info.sequence_last).max().unwrap_or(0);
        let superseded = self.segments.iter().chain(&self.packs).map(|candidate| &candidate.info);
        let superseded: Vec<FileId> = superseded
            .filter(|info| chosen.iter().all(|other| other.id != info.id))
            .filter(|info| {
                info.kind == FileKind::Pack || info.sequence_last <= held && info.sequence_last > 0
            })
            .map(|info| info.id)
            .collect();
        for (id, kind) in own {
            let derived = matches!(kind, FileKind::RevisionTable | FileKind::PlainTable);
            let gone = old.intents.contains_key(id) || old.obsolete.contains_key(id);
            if derived || gone || superseded.contains(id) {
                obsolete.insert(*id, *kind);
                report.obsolete.push(id.file_name(*kind));
            }
        }
        State {
            store: self.store,
            incarnation: env.rng.next_u64().max(1),
            epoch: self.epoch,
            next_file: old.next_file,
            value_files: chosen.into_iter().map(|info| (info.id, info)).collect(),
            promise: old.promise,
            packed_end,
            obsolete,
            holders: old.holders,
            options: old.options,
            kept: old.kept,
            flushed: match planted!("rebuild keeps the flush mark") {
                true => old.flushed,
                false => BTreeMap::default(),
            },
            ..State::default()
        }
    }
}
