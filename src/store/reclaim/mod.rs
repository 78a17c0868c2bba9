//! The physical side of forgetting: files that hold bytes of forgotten things are written anew without them.
//!
//! ```text
//! annotations of today ──► which files hold what they made forgotten ──► each of those is written anew ──► "erased up to" in the manifest
//!                          (segments, packs, tables; the active segment     (as packing, merging and
//!                           is ended if it does)                             compaction write files)
//! ```
//! 1. *Only the files concerned are written*, one at a time: a segment becomes a pack, a pack a pack of the same rectangle in which untouched groups
//!    are copied, a table a table. Memory is that of a part of a merge.
//! 2. *Never through the write path*: nothing gets a new sequence number, so nothing forgotten can come back.
//! 3. *Each file is one edit of the manifest.* A crash leaves a state that is as good as any; what is left is found again.
//! 4. *Value files before tables*, for most bytes are there. Neither needs the other: who an entity was is told by its name, in the file itself.
//! 5. The mark `erased-up-to` moves only when no file is left that was written without regard to the annotations up to it, and none was
//!    damaged. It is a short cut and what checkpoints are judged by; the report looks for itself.
//! 6. *Damage is forgiven*: a file that cannot be read stays, the others go on, nothing latches. The report names it.
//! 7. A name may stand in the manifest, too, as the bound of a file: after a purge the manifest's file is written anew.

mod look;
mod report;

pub use report::{ErasureReport, HeldFile, HeldRole, UnknownFile};

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Progress;
use super::forget::erasures::ViewErasures;
use super::inner::Inner;
use super::merging::Merge;
use crate::codec::{FileId, FileKind};
use crate::error::IoContext;
use crate::index::annotations::Erasures;
use crate::index::compaction::CompactionJob;
use crate::manifest::{Edit, State, TableInfo, ValueFileInfo};
use crate::model::AnnotationKind;
use crate::pack::PackOptions;
use crate::{Error, Result};
use look::{Held, Look};

/// The name in the manifest of the mark up to which everything forgotten is erased: 8 bytes, little endian.
const MARK: &str = "erased-up-to";
/// A new annotation may come while files are written; then they are looked through again, so many times at most.
const ROUNDS: u32 = 8;
/// A rectangle is written anew so many times at most, whatever its new file still holds: more is a mistake of ours, and no reason to go on for
/// ever.
const TIMES: u32 = 16;

/// What reclaiming did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// Annotations up to this sequence number were considered; 0: nothing was ever forgotten.
    pub up_to: u64,
    /// Segments and packs written anew.
    pub value_files: u64,
    /// Tables written anew.
    pub tables: u64,
    /// Names of files that could not be read, and why: they stay as they are and may hold what is forgotten. See `check`.
    pub unreadable: Vec<(String, String)>,
}

impl Reclaimed {
    /// Whether no file is left that could not be looked through.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty()
    }
}

/// Of what annotations up to this sequence number made forgotten, no file of the store has any bytes left.
pub(crate) fn erased_up_to(state: &State) -> u64 {
    let mark = state.options.get(MARK).and_then(|value| <[u8; 8]>::try_from(&value[..]).ok());
    mark.map_or(0, u64::from_le_bytes)
}

/// Which of its bounds a file has to lose.
#[derive(Clone, Copy, Debug)]
enum Side {
    Lower,
    Upper,
}

/// What a pass over the files has come to.
#[derive(Default)]
struct Pass {
    /// Looked through: nothing to be left out.
    clean: BTreeSet<FileId>,
    /// How often a rectangle was begun to be written anew: sequence numbers and entities, first and last. A part that is done leaves a smaller one.
    begun: BTreeMap<(u64, u64, Bytes, Bytes), u32>,
    done: Reclaimed,
}

impl Pass {
    fn is_done(&self, id: FileId) -> bool {
        self.clean.contains(&id)
    }

    fn give_up(&mut self, name: String, id: FileId, why: String) {
        tracing::warn!(file = name, why, "cannot be looked through for what is forgotten: run check");
        self.clean.insert(id);
        self.done.unreadable.push((name, why));
    }
}

impl Inner {
    /// Writes every file anew that holds bytes of what is forgotten.
    pub(crate) fn reclaim(self: &Arc<Self>, progress: &mut Progress<'_>) -> Result<Reclaimed> {
        self.check_writable()?;
        let progress = RefCell::new(progress);
        let cancel = || self.is_ending() || progress.borrow_mut().step("reclaim", 0, 0).is_err();
        self.reclaim_until(&cancel)
    }

    fn reclaim_until(self: &Arc<Self>, cancel: &dyn Fn() -> bool) -> Result<Reclaimed> {
        let _one_at_a_time = self.background.reclaiming.lock();
        let mut pass = Pass::default();
        for _ in 0..ROUNDS {
            let erasures = self.erasures();
            let from = erased_up_to(&self.manifest.state());
            pass.done.up_to = erasures.up_to();
            let (mut any, mut purges) = (false, false);
            let found = erasures.erasing(from, &mut |stored| {
                any = true;
                purges |= stored.annotation.kind == AnnotationKind::Purge;
                Ok(())
            });
            if let Err(error) = found {
                // Then nothing can be told of any file.
                let Some(why) = readable(Err::<(), _>(error))?.err() else { return Ok(pass.done) };
                pass.done.unreadable.push(("annotations".into(), why));
                return Ok(pass.done);
            }
            if !any {
                return Ok(pass.done);
            }
            pass.clean.clear();
            pass.done.unreadable.clear();
            self.reclaim_active(&erasures, cancel)?;
            self.reclaim_values(&erasures, &mut pass, cancel)?;
            self.reclaim_tables(&erasures, &mut pass, cancel)?;
            if !pass.done.unreadable.is_empty() {
                return Ok(pass.done);
            }
            self.reclaim_manifest(&erasures, purges, &pass)?;
        }
        Ok(pass.done)
    }

    /// Ends the active segment if it holds anything to be erased.
    fn reclaim_active(self: &Arc<Self>, erasures: &ViewErasures, cancel: &dyn Fn() -> bool) -> Result<()> {
        let values = self.values();
        let state = self.manifest.state();
        let sealed = |number: u64| state.value_files.keys().any(|id| id.number == number);
        let published = self.published();
        let (mut ends, mut holds) = (false, false);
        for entry in values.entries().iter().filter(|entry| !sealed(entry.number)) {
            // One that gets no more frames is sealed in any case.
            ends |= entry.last != u64::MAX;
            if entry.last == u64::MAX {
                let look = Look::new(erasures, cancel).changes(&entry.file, published);
                holds |= match readable(look)? {
                    Ok(held) => !held.is_empty(),
                    Err(_) => false,
                };
            }
        }
        if holds {
            probe!("reclaim: active segment ended");
            self.roll_over()?;
            self.sync()?;
        }
        if holds || ends {
            self.seal_all()?;
        }
        Ok(())
    }

    fn reclaim_values(
        self: &Arc<Self>,
        erasures: &ViewErasures,
        pass: &mut Pass,
        cancel: &dyn Fn() -> bool,
    ) -> Result<()> {
        // Where a merge is half done, a bound is moved by finishing it.
        while self.is_merge_unfinished() && self.latching(self.merge_one(cancel))? {}
        loop {
            let _one_at_a_time = self.background.packing.turn();
            self.check_writable()?;
            let state = self.manifest.state();
            let named = |bound: &[u8]| erasures.purged_bound(bound).is_ok_and(|purged| purged.is_some());
            let wanted = |info: &&ValueFileInfo| {
                info.sequence_first <= erasures.up_to()
                    && !pass.is_done(info.id)
                    && (info.annotation_watermark < erasures.up_to()
                        || named(&info.entity_first)
                        || named(&info.entity_last))
            };
            let Some(info) = state.value_files.values().find(wanted).cloned() else { return Ok(()) };
            if cancel() {
                return Err(Error::Cancelled);
            }
            let name = info.id.file_name(info.kind);
            match readable(self.held_by(&info, erasures, cancel))? {
                Err(why) => pass.give_up(name, info.id, why),
                Ok((held, None)) if held.is_empty() => _ = pass.clean.insert(info.id),
                Ok((_, bound)) => {
                    if self.background.unpackable.lock().contains(&info.id) {
                        pass.give_up(name, info.id, "it is damaged".into());
                        continue;
                    }
                    let (first, last) = (info.entity_first.clone(), info.entity_last.clone());
                    let rectangle = (info.sequence_first, info.sequence_last, first, last);
                    let begun = pass.begun.entry(rectangle).or_default();
                    *begun += 1;
                    if *begun > TIMES {
                        pass.give_up(name, info.id, format!("it was written anew {TIMES} times in vain"));
                        continue;
                    }
                    match self.latching(self.rewrite_values(&info, &state, bound, cancel)) {
                        Ok(true) => {
                            probe!("reclaim: value file written anew");
                            pass.done.value_files += 1;
                        }
                        Ok(false) => pass.give_up(name, info.id, "it cannot be written anew".into()),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// What a value file of the manifest holds, and whether one of its bounds is the name of a purged entity.
    fn held_by(
        &self,
        info: &ValueFileInfo,
        erasures: &ViewErasures,
        cancel: &dyn Fn() -> bool,
    ) -> Result<(Held, Option<Side>)> {
        let bound = match erasures.purged_bound(&info.entity_first)? {
            Some(_) => Some(Side::Lower),
            None => erasures.purged_bound(&info.entity_last)?.map(|_| Side::Upper),
        };
        // All of the file, also what a merge that is half done has taken out of its rectangle.
        let entry = super::values::ValueEntry::open(&self.manifest, info, None)?;
        let mut held = Look::new(erasures, cancel).changes(&entry.file, u64::MAX)?;
        if info.kind == FileKind::Pack {
            // Its header still tells the bounds that it was made with.
            let rectangle = self.open_pack(info)?.header().rectangle.clone();
            for bound in [&rectangle.entity_first, &rectangle.entity_last] {
                held.names += u64::from(erasures.purged_bound(bound)?.is_some());
            }
        }
        Ok((held, bound))
    }

    /// `false`: it turned out to be damaged and stays.
    fn rewrite_values(
        self: &Arc<Self>,
        info: &ValueFileInfo,
        state: &State,
        bound: Option<Side>,
        cancel: &dyn Fn() -> bool,
    ) -> Result<bool> {
        if info.kind == FileKind::Segment {
            self.pack_segment(info, cancel)?;
        } else {
            let Some(pack) = self.packable(info.id, self.open_pack(info))? else { return Ok(false) };
            // As well compressed as it is; groups that lose nothing are copied.
            let level = pack.trailer().level.clamp(1, 19) as i32;
            let best = level >= PackOptions::BEST.level;
            let directory_level =
                if best { PackOptions::BEST.directory_level } else { PackOptions::FAST.directory_level };
            let options = PackOptions { level, directory_level, improve: false, ..PackOptions::FAST };
            drop(pack);
            let mut inputs = vec![info.clone()];
            if let Some(side) = bound {
                // Together with its neighbour there, so that there is no bound where they meet, or another one.
                let same = |other: &&ValueFileInfo| {
                    (other.sequence_first, other.sequence_last) == (info.sequence_first, info.sequence_last)
                        && other.id != info.id
                        && other.kind == FileKind::Pack
                        && match side {
                            Side::Lower => meet(other, info),
                            Side::Upper => meet(info, other),
                        }
                };
                inputs.extend(state.value_files.values().filter(same).cloned());
                if inputs.len() == 1 {
                    // A merge that is half done moves this bound when it goes on.
                    return Ok(false);
                }
            }
            let (first, last) = (info.sequence_first, info.sequence_last);
            self.merge_part(&Merge { first, last, inputs, options, rewrites: true }, cancel)?;
        }
        Ok(!self.background.unpackable.lock().contains(&info.id))
    }

    fn reclaim_tables(
        self: &Arc<Self>,
        erasures: &ViewErasures,
        pass: &mut Pass,
        cancel: &dyn Fn() -> bool,
    ) -> Result<()> {
        loop {
            let _one_at_a_time = self.background.compacting.lock();
            self.check_writable()?;
            let view = self.view();
            let wanted = |info: &&TableInfo| {
                info.erased_up_to < erasures.up_to()
                    && info.sequence_first <= erasures.up_to()
                    && !pass.is_done(info.id)
            };
            let Some(info) = view.levels().infos().find(wanted).cloned() else { return Ok(()) };
            if cancel() {
                return Err(Error::Cancelled);
            }
            let name = info.id.file_name(info.kind());
            let path = self.manifest.files().path(info.id, info.kind());
            let look = Look::new(erasures, cancel).file(&*self.env.fs, &path, info.kind());
            match readable(look)? {
                Ok(Held { unreadable: Some(why), .. }) | Err(why) => pass.give_up(name, info.id, why),
                Ok(held) if held.is_empty() => _ = pass.clean.insert(info.id),
                Ok(_) => {
                    self.require_space(info.len)?;
                    let Some(job) = CompactionJob::rewrite(view.levels(), info.keyspace, info.id) else {
                        pass.clean.insert(info.id);
                        continue;
                    };
                    match self.run_compaction(&job, cancel) {
                        Ok(()) => {
                            probe!("reclaim: table written anew");
                            pass.done.tables += 1;
                        }
                        Err(error @ (Error::Corrupt(_) | Error::Unsupported { .. })) => {
                            pass.give_up(name, info.id, error.to_string());
                        }
                        Err(error) => return self.latching(Err(error)),
                    }
                }
            }
        }
    }

    /// Moves the mark, if no file came meanwhile that was written without regard to the annotations up to it.
    fn reclaim_manifest(&self, erasures: &ViewErasures, purges: bool, pass: &Pass) -> Result<()> {
        let _compacting = self.background.compacting.lock();
        let _packing = self.background.packing.turn();
        let _flushing = self.background.flushing.lock();
        let state = self.manifest.state();
        let up_to = erasures.up_to();
        let fresh_table = state.tables.values().any(|table| {
            table.erased_up_to < up_to && table.sequence_first <= up_to && !pass.is_done(table.id)
        });
        let fresh_pack = state.value_files.values().any(|file| {
            let old = file.annotation_watermark < up_to && file.sequence_first <= up_to;
            old && file.kind == FileKind::Pack && !pass.is_done(file.id)
        });
        if fresh_table || fresh_pack {
            return Ok(());
        }
        // Names that were removed are to stay so.
        let dir = self.manifest.dir();
        self.latching(self.env.fs.sync_dir(dir).context("sync the directory", dir))?;
        if purges {
            probe!("reclaim: manifest written anew");
            self.latching(self.with_reserve(|| self.manifest.rewrite_now()))?;
        }
        let value = bytes::Bytes::copy_from_slice(&up_to.to_le_bytes());
        let edit = Edit::SetOption { key: MARK.into(), value };
        self.latching(self.with_reserve(|| self.manifest.commit(vec![edit.clone()]))).map(drop)
    }

    /// How long until what is forgotten and not erased yet is to be gone; `None` if there is nothing.
    fn reclaim_due(&self) -> Result<Option<Duration>> {
        let erasures = self.erasures();
        let mut oldest = u64::MAX;
        erasures.erasing(erased_up_to(&self.manifest.state()), &mut |stored| {
            oldest = oldest.min(stored.sequence);
            Ok(())
        })?;
        if oldest == u64::MAX {
            return Ok(None);
        }
        let values = self.values();
        let change = values.changes(oldest.saturating_sub(1)).next().transpose()?;
        let since = change.map_or(0, |change| self.env.clock.wall_us().saturating_sub(change.commit_time));
        let since = Duration::from_micros(u64::try_from(since).unwrap_or(0));
        Ok(Some((self.options.erase_within / 2).saturating_sub(since)))
    }

    /// Has what is forgotten erased in time: begins when half of the time that the options give has passed. What is damaged is tried again
    /// when something else is forgotten, and after the next opening.
    pub(crate) fn reclaim_after(self: &Arc<Self>, delay: Duration) {
        self.reclaim_once(delay, |inner| match readable(inner.reclaim_due())? {
            Ok(None) => Ok(()),
            Ok(Some(due)) if due > Duration::ZERO => {
                inner.reclaim_after(due);
                Ok(())
            }
            Ok(Some(_)) => inner.reclaim_until(&|| inner.is_ending()).map(drop),
            Err(why) => {
                tracing::warn!(why, "cannot tell what is forgotten and not erased yet: run check");
                Ok(())
            }
        });
    }
}

/// Whether two parts of a run stand side by side.
fn meet(left: &ValueFileInfo, right: &ValueFileInfo) -> bool {
    !left.entity_last.is_empty() && right.entity_first.strip_suffix(&[0]) == Some(&left.entity_last[..])
}

/// What was read of a file, or why it cannot be: damage and refused reads are forgiven.
fn readable<T>(result: Result<T>) -> Result<Result<T, String>> {
    match result {
        Ok(read) => Ok(Ok(read)),
        Err(error @ (Error::Corrupt(_) | Error::Unsupported { .. } | Error::Io { .. })) => {
            Ok(Err(error.to_string()))
        }
        Err(error) => Err(error),
    }
}
