//! Many overlapping annotations become disjoint intervals.

use std::collections::BTreeMap;

use super::{StoredAnnotation, Visibility};
use crate::model::{AnnotationKind, FieldMask};

/// Revisions of an entity that hide the same fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// First revision number, inclusive.
    pub first: u64,
    /// Last revision number, inclusive.
    pub last: u64,
    /// What is hidden there; never empty.
    pub hidden: FieldMask,
}

/// Folds the annotations of one entity, in any order: for each revision and field the annotation with the highest sequence
/// number decides. The intervals are disjoint and ascending; neighbours that hide the same are one; what hides nothing is
/// left out.
///
/// A sweep over the ends: O(n log n), and for each end as many annotations as overlap there until every field is decided.
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
        let hidden = decide(&active);
        if hidden.is_empty() {
            continue;
        }
        match intervals.last_mut() {
            Some(before) if before.hidden == hidden && before.last.checked_add(1) == Some(number) => {
                before.last = last;
            }
            _ => intervals.push(Interval { first: number, last, hidden }),
        }
    }
    intervals
}

/// What the annotations that cover one revision hide.
fn decide(active: &BTreeMap<u64, (AnnotationKind, FieldMask)>) -> FieldMask {
    let (mut hidden, mut decided) = (FieldMask::default(), FieldMask::default());
    for &(kind, fields) in active.values().rev() {
        if kind == AnnotationKind::Hide {
            hidden = hidden.with(fields.without(decided));
        }
        decided = decided.with(fields);
        if decided.contains(FieldMask::ALL) {
            break;
        }
    }
    hidden
}

/// What is hidden of one revision.
pub(super) fn look_up(intervals: &[Interval], number: u64) -> Visibility {
    let at = intervals.partition_point(|interval| interval.last < number);
    match intervals.get(at) {
        Some(interval) if interval.first <= number => Visibility { hidden: interval.hidden },
        _ => Visibility::default(),
    }
}
