//! The value files that there are, and what the new manifest says of those that were chosen.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::choose::overlap;
use super::{Candidate, RebuildReport};
use crate::codec::{FileHeader, FileId, FileKind};
use crate::env::{Access, Env, read_at_most};
use crate::error::IoContext;
use crate::log::{SEGMENT_HEADER_LEN, SegmentHeader, ValueFile, VerifyDepth, describe_segment};
use crate::manifest::{PackedEnd, State, ValueFileInfo};
use crate::pack::{Pack, describe_pack};
use crate::store::reclaim::MARK;
use crate::{Error, ErrorKind, Result};

/// The value files of a directory.
pub(super) struct Found {
    pub(super) store: [u8; 16],
    pub(super) segments: Vec<Candidate>,
    /// Unsealed ones.
    pub(super) open: Vec<SegmentHeader>,
    pub(super) packs: Vec<Candidate>,
    /// Segments whose header cannot be read: spare ones, or damaged.
    pub(super) nameless: Vec<FileId>,
    /// Why a pack cannot be used.
    pub(super) unreadable: Vec<Error>,
    pub(super) epoch: u64,
}

pub(super) fn find(env: &Env, dir: &Path, own: &[(FileId, FileKind)], old: Option<&State>) -> Result<Found> {
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
    pub(super) fn leave_out_unfinished(&mut self, fs: &dyn crate::env::Fs, dir: &Path) -> Result<()> {
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
    pub(super) fn packed_end(
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
    pub(super) fn account(
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
    pub(super) fn state(
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
        old.options.remove(MARK);
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
            holders: match planted!("rebuild forgets who holds copies") {
                true => Vec::new(),
                false => old.holders,
            },
            options: old.options,
            kept: old.kept,
            flushed: match () {
                () if planted!("rebuild keeps the flush mark") => old.flushed,
                () if planted!("rebuild loses annotations") => BTreeMap::from([(1, held)]),
                () => BTreeMap::default(),
            },
            ..State::default()
        }
    }
}
