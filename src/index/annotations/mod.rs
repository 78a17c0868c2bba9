//! What hides revisions: the gate that every read of a revision passes.
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
//! Forget, purge and retention will be further kinds: they widen [`Visibility`], not the way here.

mod codec;
mod fold;
mod source;

pub use codec::{KeyParts, decode, decode_key, encode_key, encode_value, key_prefix};
pub use fold::{Interval, fold};
pub use source::{AnnotationSource, AnnotationTable};

use crate::model::{Annotation, FieldMask};

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
    /// Kept from ordinary reads.
    pub hidden: FieldMask,
}

impl Visibility {
    /// Whether nothing is hidden.
    pub fn is_full(self) -> bool {
        self.hidden.is_empty()
    }
}

/// The folded annotations of one entity: look up many of its revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    intervals: Vec<Interval>,
}

impl Gate {
    /// Folds annotations of one entity, in any order.
    pub fn new(annotations: &[StoredAnnotation]) -> Self {
        Self { intervals: fold(annotations) }
    }

    /// What may be shown of a revision.
    pub fn visibility(&self, number: u64) -> Visibility {
        fold::look_up(&self.intervals, number)
    }

    /// Whether nothing of the entity is hidden.
    pub fn is_open(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Disjoint, ascending; what is in none of them is shown.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }
}

#[cfg(test)]
mod tests;
