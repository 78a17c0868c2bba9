//! Reading several sources as one.
//!
//! All of it rests on the level order (design §7): for every entity, all rows in a newer place are newer than all rows in an
//! older one. So a merge of rows is a *concatenation*, a search can stop at the first hit, and only entities are merged
//! by key. Every merge checks the order where it sees two places of one entity: a violation is `Corrupt`, not a wrong answer.

mod concat;
mod rows;
mod runs;

pub use concat::ConcatRuns;
pub use rows::ChainRows;
pub use runs::{MergeRuns, NamedRuns};

use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::model::Entity;

use super::Source;

/// A source with a name for error messages.
#[derive(Clone)]
pub struct Place {
    /// File name, or `memtable`.
    pub name: Arc<Path>,
    /// The rows.
    pub source: Arc<dyn Source>,
}

/// Two places hold rows of an entity in the wrong order.
pub(super) fn order_violated(place: &Path, entity: &Entity, newer: (u64, u64), older: (u64, u64)) -> Error {
    Error::corrupt(
        place,
        0,
        format!("rows of {entity} older than revision {} (sequence {})", newer.0, newer.1),
        format!("revision {} (sequence {})", older.0, older.1),
        format!("the history of {entity}"),
    )
}

#[cfg(test)]
mod tests;
