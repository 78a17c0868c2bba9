//! The data model (design §3): entities, revisions, what a write expects, what a record holds.

mod annotation;
mod bound;
mod content;
mod digest;
mod entity;
mod expect;
mod fields;
mod row;
mod time;

pub use annotation::{Annotation, AnnotationKind, Erasure, FieldMask, PURGED_PREFIX, purged_name};
pub use bound::Bound;
pub use content::{Address, ContentRef};
pub use digest::Digest;
pub use entity::Entity;
pub use expect::{Expect, HeadState};
pub use fields::{Fields, FieldsError};
pub use row::{Flags, RevisionKind, Row};
pub use time::Timestamp;

#[cfg(test)]
mod tests;
