//! What hides revisions and what has made them forgotten: the gate that every read of a revision passes.
//!
//! Annotations are not index rows. They have a keyspace of their own (1), in memtables and in plain tables, keyed (entity, first
//! number, last number, sequence), and **the level order does not hold for them**: an annotation of today covers revisions of years
//! ago. So the gate reads *all* places and lets the highest sequence number win, field by field.
//!
//! 1. The gate is current whatever the read's bound: time travel does not bring back what was hidden since.
//! 2. A place that cannot be read is an error, never "nothing hidden".
//! 3. Ordinary reads pay next to nothing: a store without annotations is one comparison; else each place is asked by count, key range and
//!    filter before anything is read.
//!
//! 4. What is forgotten stays forgotten: no later annotation shows it again.
//! 5. A purge stands under a hash of the entity's name ([`crate::model::purged_name`]). It ends everything of the entity up to its number, the
//!    annotations before it included: a name that is used again starts with a clean slate, and with a higher number.

mod codec;
mod erase;
mod fold;
mod source;

pub use codec::{KeyParts, decode, decode_key, encode_key, encode_value, key_prefix, name_prefix};
pub use erase::{AUTHOR_ID, Erasures, NothingErased, erase_row, is_purged, take_fields};
pub use fold::{Interval, fold};
pub use source::{AnnotationSource, AnnotationTable};

use crate::model::{Annotation, AnnotationKind, FieldMask};

/// An annotation and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnnotation {
    /// Sequence number of the change.
    pub sequence: u64,
    /// What it says.
    pub annotation: Annotation,
}

/// What may be shown of a revision. The default: everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visibility {
    /// Kept from ordinary reads, and not forgotten.
    pub hidden: FieldMask,
    /// Destroyed.
    pub forgotten: FieldMask,
    /// There is nothing left of the revision: its entity was purged.
    pub purged: bool,
}

impl Visibility {
    /// Whether everything may be shown.
    pub fn is_full(self) -> bool {
        self.withheld().is_empty()
    }

    /// What ordinary reads do not get: hidden or forgotten.
    pub fn withheld(self) -> FieldMask {
        if self.purged { FieldMask::ALL } else { self.hidden.with(self.forgotten) }
    }
}

/// The purge of an entity: the newest one, if it was purged more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// Its sequence number.
    pub sequence: u64,
    /// The last revision number that was used before. Numbers go on behind it.
    pub last: u64,
    /// The effective time of that revision, µs.
    pub effective_time: i64,
}

impl Purge {
    /// The newest purge among annotations that stand under the name of a purged entity.
    pub fn newest(annotations: &[StoredAnnotation]) -> Option<Self> {
        let purges = annotations.iter().filter(|stored| stored.annotation.kind == AnnotationKind::Purge);
        purges.max_by_key(|stored| stored.sequence).map(|stored| Self {
            sequence: stored.sequence,
            last: stored.annotation.last,
            effective_time: stored.annotation.erasure.unwrap_or_default().time,
        })
    }
}

/// The folded annotations of one entity: look up many of its revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    intervals: Vec<Interval>,
    purge: Option<Purge>,
}

impl Gate {
    /// Folds annotations of one entity, in any order; those before its purge do not count any more.
    pub fn new(annotations: &[StoredAnnotation], purge: Option<Purge>) -> Self {
        let intervals = match purge {
            None => fold(annotations),
            Some(_) if planted!("annotations outlive a purge") => fold(annotations),
            Some(purge) => {
                let later = annotations.iter().filter(|stored| stored.sequence > purge.sequence);
                fold(&later.cloned().collect::<Vec<_>>())
            }
        };
        Self { intervals, purge }
    }

    /// What may be shown of a revision.
    pub fn visibility(&self, number: u64) -> Visibility {
        match self.purge {
            Some(purge) if number <= purge.last => {
                Visibility { hidden: FieldMask::default(), forgotten: FieldMask::ALL, purged: true }
            }
            _ => fold::look_up(&self.intervals, number),
        }
    }

    /// The purge of the entity.
    pub fn purge(&self) -> Option<Purge> {
        self.purge
    }

    /// Whether nothing of the entity is hidden or gone.
    pub fn is_open(&self) -> bool {
        self.intervals.is_empty() && self.purge.is_none()
    }

    /// Disjoint, ascending; what is in none of them is shown.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

#[cfg(test)]
mod tests;
