//! Which contents of a batch are compressed together: those of one entity, if there are enough of them.
//!
//! They are cut as a pack cuts them: newest first, full groups counted from the oldest. So packing copies a full group as it is, and a short
//! one too if the entity has no other contents in the segment.

use super::prepare::{PreparedOp, PreparedWhat};
use crate::limits::{LOG_GROUP_LEVEL, LOG_GROUP_RAW_MAX, Limits};
use crate::log::{UnitDraft, group_units};

/// Op and slot.
type Place = (usize, usize);

/// Compresses the contents of all writes, none of which is compressed yet.
pub(super) fn compress(ops: &mut [PreparedOp], entities: usize, limits: &Limits) {
    let mut contents: Vec<Vec<Place>> = vec![Vec::new(); entities];
    for (at, op) in ops.iter().enumerate().rev() {
        // What needs the head may turn out to write nothing.
        let PreparedWhat::Write(write) = &op.what else { continue };
        if (!write.needs_head() || planted!("group with what may not be written"))
            && let Some(places) = contents.get_mut(op.entity)
        {
            places.extend((0..write.units.len()).map(|slot| (at, slot)));
        }
    }
    let from = usize::from(limits.log_group_from.max(2));
    let full = usize::from(limits.pack_group_contents.max(1));
    for places in contents.iter().filter(|places| places.len() >= from) {
        let (newest, older) = places.split_at(places.len() % full);
        for group in [newest].into_iter().chain(older.chunks(full)) {
            if group.len() >= from {
                compress_together(ops, group, from);
            }
        }
    }
    for op in ops {
        if let PreparedWhat::Write(write) = &mut op.what {
            write.units.iter_mut().for_each(UnitDraft::compress);
        }
    }
}

/// Makes a group, or several if the contents are large.
fn compress_together(ops: &mut [PreparedOp], places: &[Place], from: usize) {
    let mut units: Vec<UnitDraft> =
        places.iter().filter_map(|place| unit(ops, *place).map(|unit| unit.clone())).collect();
    let mut rest = &mut units[..];
    while !rest.is_empty() {
        let mut bytes = 0_usize;
        let fits = |unit: &&UnitDraft| {
            bytes = bytes.saturating_add(unit.stored.len());
            bytes <= LOG_GROUP_RAW_MAX
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (group, behind) = std::mem::take(&mut rest).split_at_mut(count);
        if group.len() >= from && group_units(group, LOG_GROUP_LEVEL) {
            probe!("prepare: contents grouped");
        }
        rest = behind;
    }
    for (place, made) in places.iter().zip(units) {
        if let Some(unit) = unit(ops, *place) {
            *unit = made;
        }
    }
}

fn unit(ops: &mut [PreparedOp], (op, slot): Place) -> Option<&mut UnitDraft> {
    match &mut ops.get_mut(op)?.what {
        PreparedWhat::Write(write) => write.units.get_mut(slot),
        _ => None,
    }
}
