//! Segments and packs: the log's active end, and what stands in the manifest.

use std::cell::Cell;
use std::sync::Arc;

use super::look::{Held, Look};
use super::{Pass, readable};
use crate::codec::FileKind;
use crate::index::annotations::Erasures;
use crate::manifest::{State, ValueFileInfo};
use crate::pack::PackOptions;
use crate::store::forget::erasures::ViewErasures;
use crate::store::inner::Inner;
use crate::store::merging::Merge;
use crate::store::values::ValueEntry;
use crate::{Error, Result};

/// A rectangle is begun to be written anew so many times in a round at most. The first file that comes of it has regard to all annotations of the
/// round, and a bound that told a name is gone, so the second time would be a mistake of ours: no reason to go on for ever.
const TIMES: u32 = 4;

/// Which of its bounds a file has to lose.
#[derive(Clone, Copy, Debug)]
enum Side {
    Lower,
    Upper,
}

impl Inner {
    /// Ends the active segment if it holds anything to be erased.
    pub(super) fn reclaim_active(
        self: &Arc<Self>,
        erasures: &ViewErasures,
        pass: &mut Pass,
        cancel: &dyn Fn() -> bool,
    ) -> Result<()> {
        let published = self.published();
        let (mut ends, mut holds) = (false, false);
        for entry in self.unsealed(&self.manifest.state()) {
            // One that gets no more frames is sealed in any case.
            if entry.last != u64::MAX {
                ends = true;
                continue;
            }
            match readable(Look::new(erasures, cancel).changes(&entry.file, published))? {
                Ok(held) => holds |= !held.is_empty(),
                Err(why) => {
                    let id = entry.file.id();
                    pass.give_up(id.file_name(FileKind::Segment), id, why);
                }
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

    pub(super) fn reclaim_values(
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
            let mut wanted = None;
            for info in state.value_files.values() {
                let concerned = info.sequence_first <= erasures.up_to() && !pass.is_done(info.id);
                if concerned
                    && (info.annotation_watermark < erasures.up_to() || self.tells_name(info, erasures, pass))
                {
                    wanted = Some(info.clone());
                    break;
                }
            }
            let Some(info) = wanted else { return Ok(()) };
            if cancel() {
                return Err(Error::Cancelled);
            }
            let name = info.id.file_name(info.kind);
            match readable(self.held_by(&info, erasures, cancel))? {
                Err(_) if planted!("unreadable file taken for clean") => _ = pass.clean.insert(info.id),
                Err(why) => pass.give_up(name, info.id, why),
                Ok((held, None)) if held.is_empty() => _ = pass.clean.insert(info.id),
                Ok((_, bound)) => {
                    // Whoever could not read it before: it is tried again.
                    self.background.unpackable.lock().remove(&info.id);
                    let (first, last) = (info.entity_first.clone(), info.entity_last.clone());
                    let rectangle = (info.sequence_first, info.sequence_last, first, last);
                    let begun = pass.begun.entry(rectangle).or_default();
                    *begun += 1;
                    debug_assert!(*begun <= TIMES, "{name} is written anew in vain");
                    if *begun > TIMES {
                        let why = format!("internal: it was written anew {TIMES} times in vain");
                        pass.give_up(name, info.id, why);
                        continue;
                    }
                    let written = Cell::new(false);
                    let write = |stop: &dyn Fn() -> bool| {
                        written.set(self.rewrite_values(&info, &state, bound, stop)?);
                        Ok(())
                    };
                    self.latching(match info.kind {
                        FileKind::Pack => self.packing_meanwhile(cancel, &write),
                        // It is the oldest segment, or one that is soon: others wait for no longer than for its packing.
                        _ => write(cancel),
                    })?;
                    if written.get() {
                        probe!("reclaim: value file written anew");
                        pass.done.value_files += 1;
                    } else {
                        pass.give_up(name, info.id, "it cannot be written anew".into());
                    }
                }
            }
        }
    }

    /// Whether a bound of a file may be the name of a purged entity, be it that of the manifest or that which its header tells: of a file that was cut
    /// since it was made they differ.
    fn tells_name(&self, info: &ValueFileInfo, erasures: &ViewErasures, pass: &mut Pass) -> bool {
        let named = |bound: &[u8]| !erasures.purged_bound(bound).is_ok_and(|purged| purged.is_none());
        if named(&info.entity_first) || named(&info.entity_last) {
            return true;
        }
        let of_header = || {
            info.kind == FileKind::Pack
                && self.open_pack(info).map_or(true, |pack| {
                    let rectangle = &pack.header().rectangle;
                    named(&rectangle.entity_first) || named(&rectangle.entity_last)
                })
        };
        pass.purges && *pass.named.entry(info.id).or_insert_with(of_header)
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
        let entry = ValueEntry::open(&self.manifest, info, None)?;
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
            // Writers are slowed down for segments that wait: the caller packs them in between.
            self.merge_part(&Merge { first, last, inputs, options, rewrites: true }, cancel)?;
        }
        Ok(!self.background.unpackable.lock().contains(&info.id))
    }
}

/// Whether two parts of a run stand side by side.
fn meet(left: &ValueFileInfo, right: &ValueFileInfo) -> bool {
    !left.entity_last.is_empty() && right.entity_first.strip_suffix(&[0]) == Some(&left.entity_last[..])
}
