//! The index: an LSM over rows keyed (entity ascending, revision descending).

pub mod filter;
pub mod plain;
mod source;
pub mod table;

pub use source::{EntityRange, Order, RowIter, RunCursor, RunInfo, Source, entity_hash};
