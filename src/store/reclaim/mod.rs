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

mod due;
mod look;
mod report;
mod tables;
mod values;

pub use report::{ErasureReport, HeldFile, HeldRole, UnknownFile};

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Progress;
use super::forget::erasures::ViewErasures;
use super::inner::Inner;
use super::values::ValueEntry;
use crate::codec::{FileId, FileKind};
use crate::error::IoContext;
use crate::index::annotations::Erasures;
use crate::manifest::{Edit, State};
use crate::model::AnnotationKind;
use crate::{Error, Result};

/// The name in the manifest of the mark up to which everything forgotten is erased: 8 bytes, little endian.
pub(in crate::store) const MARK: &str = "erased-up-to";
/// A new annotation may come while files are written; then they are looked through again, so many times at most.
const ROUNDS: u32 = 8;

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
    /// So much was forgotten meanwhile that not all of it was looked at: call it again.
    pub more: bool,
}

impl Reclaimed {
    /// Whether nothing is left of what was forgotten.
    pub fn is_complete(&self) -> bool {
        self.unreadable.is_empty() && !self.more
    }
}

/// Of what annotations up to this sequence number made forgotten, no file of the store has any bytes left.
pub(crate) fn erased_up_to(state: &State) -> u64 {
    let mark = state.options.get(MARK).and_then(|value| <[u8; 8]>::try_from(&value[..]).ok());
    mark.map_or(0, u64::from_le_bytes)
}

/// What a pass over the files has come to.
#[derive(Default)]
struct Pass {
    /// Looked through: nothing to be left out.
    clean: BTreeSet<FileId>,
    /// How often a rectangle was begun to be written anew: sequence numbers and entities, first and last. A part that is done leaves a smaller one.
    begun: BTreeMap<(u64, u64, Bytes, Bytes), u32>,
    /// Whether an entity was purged: then names are looked for.
    purges: bool,
    /// Whether the header of a pack may tell one.
    named: BTreeMap<FileId, bool>,
    done: Reclaimed,
}

impl Pass {
    fn next_round(&mut self, unreadable: Option<String>) {
        self.clean.clear();
        self.begun.clear();
        self.named.clear();
        self.done.unreadable = unreadable.map(|why| ("annotations".to_owned(), why)).into_iter().collect();
    }

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
        for round in 0..=ROUNDS {
            let erasures = self.erasures();
            let mut any = false;
            pass.purges = false;
            let found = erasures.erasing(erased_up_to(&self.manifest.state()), &mut |stored| {
                any = true;
                pass.purges |= stored.annotation.kind == AnnotationKind::Purge;
                Ok(())
            });
            // What annotations say cannot be told of any file then.
            let why = readable(found)?.err();
            if why.is_none() && any && round == ROUNDS {
                pass.done.more = true;
                break;
            }
            pass.done.up_to = erasures.up_to();
            pass.next_round(why);
            if !any || !pass.done.is_complete() {
                break;
            }
            if planted!("mark moved before reclaiming") {
                self.move_mark(erasures.up_to())?;
            }
            if !planted!("active segment not reclaimed") {
                self.reclaim_active(&erasures, &mut pass, cancel)?;
            }
            self.reclaim_values(&erasures, &mut pass, cancel)?;
            if pass.done.value_files > 0 || !planted!("tables reclaimed only beside value files") {
                self.reclaim_tables(&erasures, &mut pass, cancel)?;
            }
            if !pass.done.is_complete() {
                break;
            }
            self.reclaim_manifest(&erasures, &pass)?;
        }
        *self.background.not_reclaimed.lock() = pass.done.unreadable.clone();
        Ok(pass.done)
    }

    /// Segments that are not in the manifest: the one that is being written, and those that are to be sealed.
    fn unsealed(&self, state: &State) -> Vec<ValueEntry> {
        let values = self.values();
        let sealed = |number: u64| state.value_files.keys().any(|id| id.number == number);
        values.entries().iter().filter(|entry| !sealed(entry.number)).cloned().collect()
    }

    /// Moves the mark, if no file came meanwhile that was written without regard to the annotations up to it.
    fn reclaim_manifest(&self, erasures: &ViewErasures, pass: &Pass) -> Result<()> {
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
        if pass.purges && !planted!("purged name stays in the manifest") {
            probe!("reclaim: manifest written anew");
            self.latching(self.with_reserve(|| self.manifest.rewrite_now()))?;
        }
        self.move_mark(up_to)
    }

    fn move_mark(&self, up_to: u64) -> Result<()> {
        let value = bytes::Bytes::copy_from_slice(&up_to.to_le_bytes());
        let edit = Edit::SetOption { key: MARK.into(), value };
        self.latching(self.with_reserve(|| self.manifest.commit(vec![edit.clone()]))).map(drop)
    }
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
