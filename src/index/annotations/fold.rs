//! Many overlapping annotations become disjoint intervals.

use std::collections::BTreeMap;

use super::{StoredAnnotation, Visibility};
use crate::model::{AnnotationKind, FieldMask};

/// Revisions of an entity that hide and have forgotten the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// First revision number, inclusive.
    pub first: u64,
    /// Last revision number, inclusive.
    pub last: u64,
    /// What is hidden there, and not forgotten.
    pub hidden: FieldMask,
    /// What is forgotten there. One of the two is not empty.
    pub forgotten: FieldMask,
}

/// Folds the annotations of one entity, in any order: for each revision and field, of hiding and showing the annotation with the highest
/// sequence number decides; what was forgotten stays forgotten whatever came after. The intervals are disjoint and ascending;
/// neighbours that say the same are one; what says nothing is left out.
///
/// A sweep over the ends: O(n log n), and for each end as many annotations as overlap there.
pub fn fold(annotations: &[StoredAnnotation]) -> Vec<Interval> {
    let mut ends = Vec::with_capacity(annotations.len().saturating_mul(2));
    for stored in annotations {
        let annotation = &stored.annotation;
        if annotation.first > annotation.last {
            continue;
        }
        ends.push((annotation.first, stored.sequence, Some(annotation)));
        if let Some(behind) = annotation.last.checked_add(1) {
            ends.push((behind, stored.sequence, None));
        }
    }
    ends.sort_by_key(|&(number, sequence, annotation)| (number, sequence, annotation.is_some()));

    let mut active = BTreeMap::new();
    let mut intervals: Vec<Interval> = Vec::new();
    let mut ends = ends.into_iter().peekable();
    while let Some((number, sequence, annotation)) = ends.next() {
        match annotation {
            Some(annotation) => _ = active.insert(sequence, (annotation.kind, annotation.fields)),
            None => _ = active.remove(&sequence),
        }
        let last = match ends.peek() {
            Some(&(next, _, _)) if next == number => continue,
            Some(&(next, _, _)) => next - 1,
            None => u64::MAX,
        };
        let (hidden, forgotten) = decide(&active);
        if hidden.is_empty() && forgotten.is_empty() {
            continue;
        }
        match intervals.last_mut() {
            Some(before)
                if (before.hidden, before.forgotten) == (hidden, forgotten)
                    && before.last.checked_add(1) == Some(number) =>
            {
                before.last = last;
            }
            _ => intervals.push(Interval { first: number, last, hidden, forgotten }),
        }
    }
    intervals
}

/// What the annotations that cover one revision hide, and what they have made forgotten.
fn decide(active: &BTreeMap<u64, (AnnotationKind, FieldMask)>) -> (FieldMask, FieldMask) {
    let (mut hidden, mut decided, mut forgotten) =
        (FieldMask::default(), FieldMask::default(), FieldMask::default());
    for &(kind, fields) in active.values().rev() {
        match kind {
            AnnotationKind::Hide => {
                hidden = hidden.with(fields.without(decided));
                decided = decided.with(fields);
            }
            AnnotationKind::Show => {
                decided = decided.with(fields);
                if planted!("show undoes forget") {
                    return (hidden, forgotten);
                }
            }
            AnnotationKind::Forget | AnnotationKind::Retain => forgotten = forgotten.with(fields),
            // Stands under another name and is asked for by that.
            AnnotationKind::Purge => {}
        }
        if forgotten.contains(FieldMask::ALL) {
            break;
        }
    }
    (hidden.without(forgotten), forgotten)
}

/// What is hidden and forgotten of one revision.
pub(super) fn look_up(intervals: &[Interval], number: u64) -> Visibility {
    let at = intervals.partition_point(|interval| interval.last < number);
    match intervals.get(at) {
        Some(interval) if interval.first <= number => {
            Visibility { hidden: interval.hidden, forgotten: interval.forgotten, purged: false }
        }
        _ => Visibility::default(),
    }
}
