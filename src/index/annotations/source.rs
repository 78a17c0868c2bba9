//! Where annotations are kept.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::{StoredAnnotation, decode, key_prefix};
use crate::codec::FileKind;
use crate::index::plain::PlainTable;
use crate::index::{EntityRange, Order};
use crate::model::Entity;
use crate::{Error, Result};

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

/// A plain table of keyspace 1, its filter built over the hashes of entities.
#[derive(Clone)]
pub struct AnnotationTable {
    table: Arc<PlainTable>,
}

impl AnnotationTable {
    /// Reads `table` as annotations.
    pub fn new(table: Arc<PlainTable>) -> Self {
        Self { table }
    }
}

impl AnnotationSource for AnnotationTable {
    fn collect(&self, entity: &Entity, hash: u64, out: &mut Vec<StoredAnnotation>) -> Result<()> {
        let range = EntityRange::prefix(&key_prefix(entity.as_bytes()));
        let info = self.table.info();
        let outside = info.last < range.from || range.to.as_ref().is_some_and(|to| info.first >= to);
        if outside || !self.table.may_contain(hash)? {
            return Ok(());
        }
        for entry in self.table.clone().range(&range, Order::Ascending) {
            let (key, value) = entry?;
            let stored = decode(&key, &value).map_err(|bad| {
                let path = PathBuf::from(info.id.file_name(FileKind::PlainTable));
                Error::malformed(&path, 0, bad, format!("what is hidden of {entity}"))
            })?;
            out.push(stored);
        }
        Ok(())
    }

    fn entries(self: Arc<Self>) -> Box<dyn Iterator<Item = Result<(Bytes, Bytes)>> + Send> {
        Box::new(self.table.clone().range(&EntityRange::default(), Order::Ascending))
    }
}
