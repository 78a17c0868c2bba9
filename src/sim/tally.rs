//! Counting what a crash did, so that a run can say which faults it has really seen.

use super::fault::{FaultKind, FaultStats};
use super::inode::{Change, Inode};
use super::pieces::{Fate, Part, Piece};

/// Counts what became of the changes of a file.
pub(super) fn count(file: &Inode, pieces: &[(Piece, Fate)], stats: &FaultStats) {
    let n = file.pending.len();
    let (mut kept, mut all, mut length_kept) = (vec![0_usize; n], vec![0_usize; n], vec![false; n]);
    for (piece, fate) in pieces {
        let i = piece.change;
        match piece.part {
            Part::Data { .. } => {
                if let (Some(kept), Some(all)) = (kept.get_mut(i), all.get_mut(i)) {
                    // Counted in halves, so that a piece kept in part makes the whole one torn.
                    *all += 2;
                    *kept += match fate {
                        Fate::Kept => 2,
                        Fate::Lost => 0,
                        Fate::Zeros | Fate::Garbage => {
                            stats.hit(FaultKind::WriteGarbled);
                            0
                        }
                        Fate::Front(_) | Fate::Back(_) | Fate::Scattered(_) => 1,
                    };
                }
            }
            Part::Length | Part::Other if *fate == Fate::Lost => stats.hit(FaultKind::LengthLost),
            Part::Length => _ = length_kept.get_mut(i).map(|it| *it = true),
            Part::Other => {}
        }
    }
    let range = |change: &Change| match change {
        Change::Write { offset, data, .. } => Some((*offset, offset.saturating_add(data.len() as u64))),
        _ => None,
    };
    let (mut lost_before, mut kept_ranges) = (false, Vec::new());
    for (((change, kept), all), length_kept) in file.pending.iter().zip(kept).zip(all).zip(length_kept) {
        let Some((from, to)) = range(change) else { continue };
        if kept < all {
            stats.hit(if kept == 0 { FaultKind::WriteLost } else { FaultKind::WriteTorn });
            if length_kept {
                stats.hit(FaultKind::LengthAhead);
            }
            if kept_ranges.iter().any(|(a, b)| *a < to && from < *b) {
                stats.hit(FaultKind::IntermediateKept);
            }
        }
        if kept > 0 && lost_before {
            stats.hit(FaultKind::WriteReordered);
        }
        lost_before |= kept < all;
        if kept > 0 && kept_ranges.len() < 64 {
            kept_ranges.push((from, to));
        }
    }
}
