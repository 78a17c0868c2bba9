//! Revision tables: immutable, sorted files of rows.
//!
//! # The problem
//!
//! A store holds many revisions of each entity. Heads, prefixes and as-of scans should not walk histories; a look-up of one
//! revision should not depend on how long the history is; and a revision's row should take a few dozen bytes, not hundreds.
//!
//! # The picture
//!
//! ```text
//! header        64 bytes, see `codec::FileHeader`: kind 2, version 1
//! blocks        hot, cold and entity blocks, in the order in which they filled up
//! index         one block: where each of those is, and what their first rows and entities are    (`layout`)
//! filter        one block over the entities' hashes                                              (`index::filter`)
//! properties    one block: counts, first and last entity, sequence numbers                       (`properties`)
//! footer        64 bytes: where index, filter and properties are                                 (`footer`)
//! ```
//!
//! Each block stands in a frame of 24 bytes (`frame`): lengths, kind, codec, what is reserved for encryption, checksum. Block
//! follows block without a gap, and every byte of the file is under one of the checksums.
//!
//! Rows are counted through the table: entities ascending, newest first within an entity. *Entity blocks* say for each entity
//! how many rows it has, its newest and oldest numbers and whether it ends in a tombstone; where its run starts follows from
//! the counts. *Hot blocks* hold the same number of rows each, as packed columns, so a row's block is a division. *Cold blocks*
//! hold the rows' encoded fields, compressed. A look-up reads at most one block of each kind, besides index and filter.
//!
//! # Invariants
//!
//! 1. Entities ascend strictly; within one, number and sequence descend strictly, and the end of the commit and both times
//!    never rise. The builder refuses anything else; [`RevisionTable::verify`] checks it.
//! 2. Every entity is in the filter.
//! 3. The index repeats the first row of each hot block and the first entity of each entity block; readers compare.
//! 4. Properties say what the manifest says; opening compares.
//! 5. Cold fields come back byte for byte.
//! 6. The same rows, limits and options give the same bytes.
//!
//! Names and fields that readers give out share the memory of the block they came from: copy them to keep few of many.
//!
//! # Rejected
//!
//! - Rows with their key in sorted blocks, as in a general table: no answer about an entity without reading its rows, and
//!   nothing for the packing of columns to hold on to.
//! - Sections that follow each other (all hot blocks, then all cold ones): either two passes or buffers as large as the table.
//! - A block index per long run: with equal blocks the table's own index does it.
//! - zstd over hot columns: on `dev.jsonl` it makes 15.5 bytes a revision 15.0, and every block read would pay for it.

mod builder;
mod cold;
pub(in crate::index) mod column;
mod cursor;
mod describe;
pub(in crate::index) mod dissect;
mod entities;
pub(in crate::index) mod footer;
pub(in crate::index) mod frame;
mod hot;
mod hot_block;
pub(in crate::index) mod input;
pub(in crate::index) mod keys;
pub(in crate::index) mod layout;
pub(in crate::index) mod properties;
mod reader;
mod rows;
pub(in crate::index) mod sink;
mod verify;

#[cfg(test)]
pub(in crate::index) mod tests;

pub use builder::RevisionTableBuilder;
pub use describe::describe_table;
pub use dissect::{FilterSurvey, RowPlaces, TableItem, TableSurvey, dissect_table};
pub use entities::RunStats;
pub use footer::FOOTER_LEN;
pub use frame::{BLOCK_PACKED_RAW_MAX, BLOCK_RAW_MAX, BlockAt, BlockKind, FRAME_LEN};
pub use input::TableAccess;
pub use properties::Properties;
pub use reader::RevisionTable;
pub use verify::{TableStats, VerifyHash};

use crate::codec::Codec;
use crate::index::filter::Fingerprint;

/// The format that is written, and the newest that is read.
pub const REVISION_TABLE_VERSION: u16 = 1;

/// How a table is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Goes into the properties and the manifest.
    pub keyspace: u16,
    /// Goes into the manifest.
    pub level: u8,
    /// For cold, entity and plain blocks; a block that it does not make smaller by an eighth is kept as it is.
    pub codec: Codec,
    /// For [`Codec::Zstd`].
    pub zstd_level: i32,
    /// Of the filter.
    pub fingerprint: Fingerprint,
    /// Goes into the manifest, and not into the file, which is the same whenever the same rows are written: what annotations up to this sequence number had made forgotten is left out.
    pub erased_up_to: u64,
}

impl TableOptions {
    /// What a table of a level is made with: lz4 for level 0, which is soon rewritten, zstd 3 above. Wide fingerprints in levels 0 and 1:
    /// a look-up asks up to a dozen tables there, and one a level below, where nearly all entities are.
    pub fn for_level(keyspace: u16, level: u8) -> Self {
        let codec = if level == 0 { Codec::Lz4 } else { Codec::Zstd };
        let fingerprint = if level <= 1 { Fingerprint::Wide } else { Fingerprint::Narrow };
        Self { keyspace, level, codec, zstd_level: 3, fingerprint, erased_up_to: 0 }
    }

    /// The same for a table that leaves out what was forgotten.
    #[must_use]
    pub fn erased_up_to(self, erased_up_to: u64) -> Self {
        Self { erased_up_to, ..self }
    }
}
