//! Where the parts of a merge end.
//!
//! A part is bounded in changes and bytes, for the memory that it takes to make. Where it ends is made out once for a merge, from a sample of
//! the entities weighed by their changes and the lengths of their contents: entities are taken or left by their hash, so that the sample
//! is of bounded size and does not depend on the order of the inputs. No bound is the name of a purged entity, since the manifest tells it.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use bytes::Bytes;

use super::forget::erasures::ViewErasures;
use super::inner::Inner;
use super::merging::{Merge, successor};
use crate::index::annotations::Erasures;
use crate::index::entity_hash;
use crate::limits::ENTITY_LEN_MAX;
use crate::log::{Change, ValueFile};
use crate::manifest::ValueFileInfo;
use crate::pack::Pack;
use crate::{Error, Result};

/// So many entities are kept to find where parts end.
const SAMPLE: usize = 16 << 10;
/// So many merges are planned ahead.
const PLANS: usize = 8;

impl Inner {
    /// The largest entity of the next part: that of the whole merge if it takes all that is left.
    pub(super) fn part_end(
        &self,
        merge: &Merge,
        packs: &[(&ValueFileInfo, Arc<Pack>)],
        erasures: &ViewErasures,
        cancel: &dyn Fn() -> bool,
    ) -> Result<Bytes> {
        let limits = &self.options.limits;
        let records: u64 = packs.iter().map(|(info, _)| info.records).sum();
        let bytes: u64 = packs.iter().map(|(info, _)| info.len).sum();
        let parts = |records: u64, bytes: u64| {
            records
                .div_ceil(limits.pack_part_records.max(1))
                .max(bytes.div_ceil(limits.pack_part_bytes.max(1)))
        };
        // Without looking: the rectangles may have been cut, so this is more than there is.
        if parts(records, bytes) <= 1 {
            return Ok(merge.entity_last());
        }
        let (from, last) = (merge.entity_first(), merge.entity_last());
        let next = |ends: &[Bytes]| {
            // It was planned before an entity was purged whose name it would tell.
            let inside = |end: &&Bytes| {
                **end >= from
                    && (last.is_empty() || **end < last)
                    && !tells_purged(erasures, end).unwrap_or(true)
            };
            ends.iter().find(inside).unwrap_or(&last).clone()
        };
        if !merge.rewrites
            && let Some(ends) = self.background.part_ends.lock().get(&(merge.first, merge.last))
        {
            return Ok(next(ends));
        }
        let ends = self.plan_parts(merge, packs, erasures, bytes, &parts, cancel)?;
        let end = next(&ends);
        if !merge.rewrites {
            let mut plans = self.background.part_ends.lock();
            // Of merges that are half done at once each is of a lower tier than the one before.
            if plans.len() >= PLANS {
                plans.clear();
            }
            plans.insert((merge.first, merge.last), ends);
        }
        Ok(end)
    }

    /// Where the parts end, from a sample of the entities weighed by their changes and the lengths of their contents.
    fn plan_parts(
        &self,
        merge: &Merge,
        packs: &[(&ValueFileInfo, Arc<Pack>)],
        erasures: &ViewErasures,
        bytes: u64,
        parts: &dyn Fn(u64, u64) -> u64,
        cancel: &dyn Fn() -> bool,
    ) -> Result<Vec<Bytes>> {
        let from = merge.entity_first();
        let mut sample: BTreeMap<Bytes, u64> = BTreeMap::new();
        // Of so many hashes one is in the sample.
        let mut every = 1_u64;
        let (mut weight, mut seen, mut left) = (0_u64, 0_u64, 0_u64);
        for (_, pack) in packs {
            let pack: Arc<dyn ValueFile> = pack.clone();
            for change in pack.changes(merge.first.saturating_sub(1), merge.last) {
                let change = change?;
                let (entity, len) = match change.change {
                    Change::Revision { entity, row, .. } => (entity, row.content.map_or(0, |it| it.len)),
                    Change::Annotation(note) => (note.entity, 0),
                    Change::Erased { .. } => continue,
                };
                seen += 1;
                if seen.is_multiple_of(1024) && cancel() {
                    return Err(Error::Cancelled);
                }
                if entity.as_bytes() < &from[..] {
                    continue;
                }
                left += 1;
                if !entity_hash(entity.as_bytes()).is_multiple_of(every) {
                    continue;
                }
                // A bound is told in the manifest and in the parts: it is not to be the name of a purged entity.
                if erasures.gate(&entity)?.purged_before(change.sequence) {
                    continue;
                }
                // A change costs about as much as so many bytes of content.
                let cost = u64::from(len).saturating_add(256);
                weight = weight.saturating_add(cost);
                *sample.entry(Bytes::copy_from_slice(entity.as_bytes())).or_default() += cost;
                if sample.len() > SAMPLE {
                    every *= 2;
                    sample.retain(|entity, _| entity_hash(entity).is_multiple_of(every));
                    weight = sample.values().sum();
                }
            }
        }
        // Of files that were cut a part is left.
        let parts = parts(left, bytes.saturating_mul(left) / seen.max(1)).max(1);
        let each = weight.div_ceil(parts).max(1);
        let mut ends: Vec<Bytes> = Vec::new();
        let mut so_far = 0_u64;
        for (entity, cost) in &sample {
            so_far = so_far.saturating_add(*cost);
            let more = sample.range::<Bytes, _>((Excluded(entity), Unbounded)).next().is_some();
            if so_far >= each && more {
                // The bound of the next part is one byte longer, and no longer than a name may be.
                let end = entity.slice(..entity.len().min(ENTITY_LEN_MAX - 1));
                if !tells_purged(erasures, &end)? {
                    so_far = 0;
                    ends.push(end);
                }
            }
        }
        ends.dedup();
        Ok(ends)
    }
}

/// Whether a part that ends here, or the one behind it, would tell the name of a purged entity: also where an entity has the name of a purged
/// one with a zero behind it, which reads like the bound right behind that.
fn tells_purged(erasures: &ViewErasures, end: &Bytes) -> Result<bool> {
    Ok(erasures.purged_bound(end)?.is_some() || erasures.purged_bound(&successor(end))?.is_some())
}
