//! Which tables make up the index, and the view that readers pin.
//!
//! ```text
//!  memtable, memtables being flushed        newest
//!  level 0   tables of flushes, newest first; they overlap
//!  level 1   sorted by entity, disjoint
//!  level 2   ten times as large …           oldest
//! ```
//!
//! 1. **Level order**: for every entity, all rows in a newer place are newer (number and sequence) than all rows in an older
//!    one. So a look-up stops at the first hit, and a history is a concatenation.
//! 2. **An entity's run is never split**: within a level from 1 up, one table has all rows of an entity that the level has, however
//!    large that makes the table. The design allows chains of tables of one entity that are picked whole; a single
//!    table is the same thing with one file, and no code needs to know about chains. Blocks inside a table bound the memory.
//! 3. Level 0 is ordered by last sequence number, newest first. Tables of one flush do not overlap, tables of
//!    different flushes have disjoint sequence ranges, so the order needs no counter of its own.
//! 4. A snapshot is immutable: an edit makes a new one that shares the tables. A table stays open while a snapshot has it.
//!
//! Keyspace 0 (revisions) and 1 (annotations) each have a [`Tree`]. The order rules are for keyspace 0 only; annotations use the
//! same shape so that one picker serves both. Keyspaces from 16 up belong to views and are not here.

mod tree;
mod view;

pub mod invariants;

pub(super) use tree::total;
pub use tree::{Leveled, Tree};
pub use view::{Heads, IndexView};

use std::sync::Arc;

use super::Source;
use super::annotations::AnnotationSource;
use crate::codec::FileId;
use crate::manifest::TableInfo;
use crate::{Error, Result};

/// Keyspace of revisions.
pub const KEYSPACE_REVISIONS: u16 = 0;
/// Keyspace of annotations.
pub const KEYSPACE_ANNOTATIONS: u16 = 1;
/// The deepest level. With the production limits it could hold 64 TiB.
pub const LEVEL_MAX: u8 = 7;

/// Opens tables. The store gives one; tests give their own.
pub trait OpenTables: Send + Sync {
    /// A table of keyspace 0.
    fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>>;
    /// A table of keyspace 1.
    fn annotations(&self, info: &TableInfo) -> Result<Arc<dyn AnnotationSource>>;
}

/// A change of the tables: what a flush or a compaction hands to the manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableEdit {
    /// Tables that go, by keyspace and file.
    pub removed: Vec<(u16, FileId)>,
    /// Tables that change to another level as they are.
    pub moved: Vec<(u16, FileId, u8)>,
    /// Tables that come.
    pub added: Vec<TableInfo>,
}

/// All tables of the index.
#[derive(Clone, Default)]
pub struct Levels {
    /// Keyspace 0.
    pub revisions: Tree<dyn Source>,
    /// Keyspace 1.
    pub annotations: Tree<dyn AnnotationSource>,
}

impl Levels {
    /// Opens the tables of a manifest. Tables of views are passed over.
    ///
    /// # Errors
    /// Whatever opening them gives, or a broken invariant (see [`invariants::check_structure`]).
    pub fn open<'a>(tables: impl IntoIterator<Item = &'a TableInfo>, open: &dyn OpenTables) -> Result<Self> {
        let added = tables.into_iter().cloned().collect();
        Self::default().apply(&TableEdit { added, ..TableEdit::default() }, open)
    }

    /// The levels after an edit. Tables that stay are shared, not opened again.
    ///
    /// # Errors
    /// Whatever opening gives; `Invalid` if the edit removes or moves a table that is not there, adds one that is, or if the result breaks an
    /// invariant that can be seen without reading. Nothing is changed then.
    pub fn apply(&self, edit: &TableEdit, open: &dyn OpenTables) -> Result<Self> {
        let revisions = self.revisions.apply(KEYSPACE_REVISIONS, edit, |info| open.revisions(info))?;
        let annotations =
            self.annotations.apply(KEYSPACE_ANNOTATIONS, edit, |info| open.annotations(info))?;
        let levels = Self { revisions, annotations };
        invariants::check_structure(&levels)?;
        Ok(levels)
    }

    /// Infos of all tables, by keyspace and level.
    pub fn infos(&self) -> impl Iterator<Item = &TableInfo> {
        let revisions = self.revisions.tables().map(|table| &table.info);
        revisions.chain(self.annotations.tables().map(|table| &table.info))
    }

    /// How many tables.
    pub fn table_count(&self) -> usize {
        self.infos().count()
    }

    /// File lengths together.
    pub fn bytes(&self) -> u64 {
        tree::total(self.infos().map(|info| info.len))
    }
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.infos().map(|info| (info.keyspace, info.level, info.id.number))).finish()
    }
}

fn broken(what: String) -> Error {
    Error::invalid(format!("the tables of the index do not fit together: {what}"))
}

#[cfg(test)]
mod tests;
