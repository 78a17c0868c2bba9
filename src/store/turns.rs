//! Whose turn it is in the background: a segment that waits to be packed, or packs that wait to be merged.
//!
//! ```text
//!  runs of packs        what comes first                            segments that wait while a merge goes on
//!  ─────────────────────────────────────────────────────────────────────────────────────────────────────────
//!  up to `pack_runs`    packing: writers are slowed down by         more than 2 are packed in between
//!                       segments that wait, by packs they are not
//!  more                 merging, the smallest merge first; also     one more for each `pack_fan_in` runs above,
//!                       before a larger one that is half done       up to 12
//! ```
//! 1. A writer who never pauses always has a segment waiting. If packing always came first, packs would gather for as long as he
//!    writes: each is a file that is kept open, and one more place to look for the parts of a group.
//! 2. If merging always came first, segments would gather instead. They are what writers are slowed down for (`throttle_for_packing`: from the fifth on, and
//!    twice as much for each further one), so the way to hold a writer back who outruns both is to let more segments wait the more runs
//!    there are. What merging is short of is then time, and he is made to give it.
//! 3. So both are bounded: segments by the twelve that may wait and what is sealed before he is stopped, runs by `pack_runs` and what is packed meanwhile.
//!    Where the rules of `merging` find nothing to do, more runs than that may stand: three of each tier above the lowest.

use crate::sync::atomic::Ordering;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::inner::Inner;
use crate::Result;

/// So many segments wait while a merge goes on; at the next one they are packed in between.
const WAIT_FOR_MERGE: u64 = 2;
/// So many where there are too many runs of packs, at most. Writers are held to half a megabyte a second by then.
const WAIT_AT_MOST: u64 = 12;

impl Inner {
    /// Packs a segment or makes a part of a merge; `false` if there is neither. `Cancelled` leaves everything as it was.
    pub(crate) fn pack_or_merge(self: &Arc<Self>, cancel: &dyn Fn() -> bool) -> Result<bool> {
        if self.has_many_runs() && self.merge_one(cancel)? {
            probe!("merge: before segments that wait");
            return Ok(true);
        }
        Ok(self.pack_one(cancel)? || self.merge_one(cancel)?)
    }

    /// Whether there are so many runs of packs that merging comes first.
    pub(super) fn has_many_runs(&self) -> bool {
        self.runs_of_packs() > u64::from(self.options.limits.pack_runs)
    }

    fn runs_of_packs(&self) -> u64 {
        self.stretches().iter().map(|stretch| stretch.len() as u64).sum()
    }

    /// How many segments may wait while a merge goes on.
    fn may_wait(&self) -> u64 {
        let limits = &self.options.limits;
        let above = self.runs_of_packs().saturating_sub(u64::from(limits.pack_runs));
        let more = above.div_ceil(u64::from(limits.pack_fan_in.max(1)));
        WAIT_FOR_MERGE.saturating_add(more).min(WAIT_AT_MOST)
    }

    /// Merges, and packs segments in between if several wait: a merge takes long, and writers would be slowed down for what it holds up. Whoever
    /// calls this holds the lock for packing.
    pub(super) fn packing_meanwhile(
        &self,
        cancel: &dyn Fn() -> bool,
        merge: &dyn Fn(&dyn Fn() -> bool) -> Result<()>,
    ) -> Result<()> {
        let failed = RefCell::new(None);
        let may_wait = Cell::new(self.may_wait());
        let stop = || {
            while self.background.waiting_to_pack.load(Ordering::Relaxed) > may_wait.get() && !cancel() {
                let Some(segment) = self.next_to_pack() else { break };
                if let Err(error) = self.pack_segment(&segment, cancel) {
                    *failed.borrow_mut() = Some(error);
                    return true;
                }
                self.background.waiting_to_pack.store(self.segments_to_pack().0, Ordering::Relaxed);
                may_wait.set(self.may_wait());
            }
            cancel()
        };
        let merged = merge(&stop);
        failed.into_inner().map_or(merged, Err)
    }
}
