//! The index: an LSM over rows keyed (entity ascending, revision descending).

pub mod annotations;
pub mod compaction;
pub mod filter;
pub mod levels;
pub mod memtable;
pub mod merge;
pub mod plain;
mod source;
pub mod table;
#[cfg(test)]
mod testing;

pub use source::{EntityRange, Order, RowIter, RunCursor, RunInfo, Source, entity_hash};
