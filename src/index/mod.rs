//! The index: an LSM over rows keyed (entity ascending, revision descending).

mod source;

pub use source::{EntityRange, Order, RowIter, RunCursor, RunInfo, Source, entity_hash};
