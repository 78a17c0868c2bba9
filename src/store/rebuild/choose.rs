//! Which of the value files in a directory make up the store.
//!
//! ```text
//! entities ▲ ┌────┬────┬────┐  S1 S2 S3: generation 1, whole        what is chosen:  ┌────┬────┬────┐
//!          │ │ S1 │ S2 │ S3 │  P1, P2: generation 2, parts of a                      │ S1 │ S2 │ S3 │  cut down to what
//!          │ ├────┴────┴────┤  merge that is half done                               ├────┴────┴────┤  is left of them
//!          │ │      P2      │                                                        │      P2      │
//!          │ ├──────────────┤                                                        ├──────────────┤
//!          │ │      P1      │                                                        │      P1      │
//!          └─┴──────────────┴► sequence numbers                                      └──────────────┘
//! ```
//! 1. The highest generation of each rectangle counts. Whatever was made of files has a higher generation than each of them, so an order by
//!    generation is the order in which things were made, wherever rectangles overlap.
//! 2. A merge goes from the smallest entities to the largest, so what is left of its sources is their upper end: a rectangle again. What is not
//!    (part of a merge is missing or damaged in the middle) is not used: then changes are missing, and that is said.
//! 3. Packs go before segments: a segment becomes a pack as a whole.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::merging::successor;
use super::Candidate;
use crate::manifest::ValueFileInfo;

/// The files that make up the store from change 1 on, and the first change that none of them has. Files that are used in part have their
/// rectangles cut, and the account of the whole.
pub(super) fn choose(packs: &[Candidate], segments: &[Candidate]) -> (Vec<ValueFileInfo>, u64) {
    let mut by_generation: Vec<&ValueFileInfo> = packs.iter().map(|pack| &pack.info).collect();
    by_generation.sort_by_key(|info| std::cmp::Reverse((info.generation, info.id)));
    let mut packs: Vec<ValueFileInfo> = Vec::new();
    for info in by_generation {
        packs.extend(what_is_left(info, &packs));
    }
    let mut chosen: BTreeMap<(u64, Bytes), ValueFileInfo> = BTreeMap::new();
    let mut next = 1_u64;
    let mut checksum = None;
    loop {
        if let Some(last) = tiled(&packs, next) {
            let column =
                packs.iter().filter(|pack| pack.sequence_first <= next && next <= pack.sequence_last);
            for pack in column {
                if pack.sequence_last == last {
                    checksum = Some(pack.last_checksum);
                }
                chosen.insert((pack.sequence_first, pack.entity_first.clone()), pack.clone());
            }
            next = last.saturating_add(1);
            continue;
        }
        // Of several that follow the same change the newest is the log.
        let follows = |segment: &&Candidate| {
            segment.info.sequence_first == next
                && segment.info.records > 0
                && segment
                    .header
                    .is_some_and(|header| checksum.is_none_or(|sum| sum == header.predecessor_checksum))
        };
        let Some(segment) = segments.iter().filter(follows).max_by_key(|segment| segment.info.id.number)
        else {
            break;
        };
        checksum = Some(segment.info.last_checksum);
        next = segment.info.sequence_last.saturating_add(1);
        chosen.insert((segment.info.sequence_first, Bytes::new()), segment.info.clone());
    }
    (chosen.into_values().collect(), next)
}

/// What others of a higher generation leave of a file; `None` if that is nothing, or not a rectangle.
fn what_is_left(info: &ValueFileInfo, higher: &[ValueFileInfo]) -> Option<ValueFileInfo> {
    let mut over: Vec<&ValueFileInfo> = higher.iter().filter(|other| overlap(other, info)).collect();
    if planted!("rebuild leaves out what is half merged") && !over.is_empty() {
        return None;
    }
    over.sort_by(|a, b| a.entity_first.cmp(&b.entity_first));
    let mut left = info.clone();
    for other in over {
        let within = other.sequence_first <= info.sequence_first && info.sequence_last <= other.sequence_last;
        let meets = other.entity_first <= left.entity_first;
        if !within || !meets || ends_behind(other, info) {
            return None;
        }
        left.entity_first = left.entity_first.max(successor(&other.entity_last));
    }
    Some(left)
}

/// Whether nothing of one file is behind the end of the other.
fn ends_behind(other: &ValueFileInfo, info: &ValueFileInfo) -> bool {
    other.entity_last.is_empty() || !info.entity_last.is_empty() && info.entity_last <= other.entity_last
}

/// Whether two rectangles have a change in common.
pub(super) fn overlap(a: &ValueFileInfo, b: &ValueFileInfo) -> bool {
    let below = |last: &Bytes, first: &Bytes| !last.is_empty() && last < first;
    a.sequence_first <= b.sequence_last
        && b.sequence_first <= a.sequence_last
        && !below(&a.entity_last, &b.entity_first)
        && !below(&b.entity_last, &a.entity_first)
}

/// Up to where packs that hold change `at` cover all entities; `None` if they do not.
fn tiled(packs: &[ValueFileInfo], at: u64) -> Option<u64> {
    let mut active: Vec<&ValueFileInfo> =
        packs.iter().filter(|pack| pack.sequence_first <= at && at <= pack.sequence_last).collect();
    active.sort_by(|a, b| a.entity_first.cmp(&b.entity_first));
    let mut expected: Option<Bytes> = Some(Bytes::new());
    for pack in &active {
        // Neighbours meet where the first key of one is the immediate successor of the last key of the other.
        if expected.as_ref() != Some(&pack.entity_first) {
            return None;
        }
        expected = (!pack.entity_last.is_empty()).then(|| successor(&pack.entity_last));
    }
    match (active.is_empty(), expected) {
        (false, None) => active.iter().map(|pack| pack.sequence_last).min(),
        _ => None,
    }
}
