//! Where annotations are kept.

use std::sync::Arc;

use bytes::Bytes;

use super::StoredAnnotation;
use crate::Result;
use crate::model::Entity;

/// An immutable, sorted set of annotations: a plain table.
///
/// Every error is an error of the whole read: an implementation never skips what it cannot read.
pub trait AnnotationSource: Send + Sync {
    /// Appends the annotations of an entity. `hash` is [`crate::index::entity_hash`] of its bytes. Asks the filter, if there is
    /// one, first.
    fn collect(&self, entity: &Entity, hash: u64, out: &mut Vec<StoredAnnotation>) -> Result<()>;

    /// All entries as they are stored, by key.
    fn entries(self: Arc<Self>) -> Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + Send>;
}
