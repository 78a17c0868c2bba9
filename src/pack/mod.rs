//! Packs: sealed segments rewritten so that the revisions of one entity sit together (design §6).
//!
//! ```text
//! pack:   header │ group │ group │ … │ directory │ digests │ locators │ places │ index │ trailer
//! group:  head │ table of members │ one zstd frame: newest content, the one before, …
//! ```
//!
//! | part | order | holds |
//! |---|---|---|
//! | groups | by entity, then newest first | contents, `PackOptions::group_contents` together; see `group` |
//! | directory | by sequence | all changes without contents, in the blocks of a segment's directory; where numbers are missing (a part by entities), runs of numbers before the block |
//! | digests | by address | BLAKE3 of every content, once, 128 a block: kind u8 (0 plain; reserved: 1 keyed, 2 redacted), 32 bytes each |
//! | locators | by address | (sequence, slot, group, member) in as few bits as each block needs; see `bits` |
//! | places | by group | where each group starts; where the last one of the block ends |
//! | index | | entity bounds; where all these blocks are; see `index`, `trailer` |
//!
//! Invariants, each with its test in `tests`:
//!
//! 1. A pack answers like its inputs: same contents, digests and changes for its rectangle.
//! 2. Same inputs, same options, same libzstd: same bytes behind the header.
//! 3. No content that was compressed anew counts before it was decoded and compared with its digest.
//! 4. Full groups are copied by merges; a merge of packs answers like a pack of all.
//! 5. Every byte but the padding is under a checksum that also covers salt and place; a flipped bit is the right answer or a typed error.
//! 6. A decoder's memory is bounded before it decodes: 64 MiB raw, window 2^26.
//! 7. A content that is reused takes no bytes: only the change that stored it has an entry.
//!
//! A locator takes about 3 bytes (9 bits of sequence, the spread of the groups, 5 bits of member), a group 36 bytes and about 7 per member
//! for its head and table and 2 for its place.
//!
//! Rejected: locators by sequence number without keys (annotations, tombstones and reused contents have none, further slots need a second
//! table); entity names in the groups (a name would have to be erased in two places); deriving the member table from the directory (a
//! group could not be read without it, and not be told from another one after a misplaced write).

mod bits;
mod crew;
mod directory;
mod dissect;
mod encode;
mod group;
mod index;
mod layout;
mod merged;
mod output;
mod plan;
mod reader;
mod tail;
mod trailer;
mod verify;
mod write;

pub use crate::codec::{GROUP_RAW_MAX, compress_group};
pub use crate::log::Member;
pub use crate::log::VerifyDepth as Depth;
pub use crew::Crew;
pub use dissect::{PackItem, PackSurvey, describe_pack, dissect_pack, read_group};
pub use group::{GROUP_HEADER_LEN, GROUP_MEMBERS_MAX, GroupHeader, entity_hash};
pub use layout::{PACK_VERSION, PACKER, PackHeader, Rectangle};
pub use plan::PackInput;
pub use reader::Pack;
pub use trailer::{PACK_TRAILER_LEN, PackTrailer};
pub use write::{PackRequest, pack, pack_erasing};

/// How packs are made. Part of what decides the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackOptions {
    /// Level of zstd for the groups, 1 to 19.
    pub level: i32,
    /// Contents of a full group, 1 to 255.
    pub group_contents: u8,
    /// Bytes of a group at most, uncompressed; a larger content has a group of its own. No more than [`GROUP_RAW_MAX`].
    pub group_raw: u32,
    /// Level of zstd for the directory.
    pub directory_level: i32,
    /// Changes of a directory block.
    pub directory_records: u32,
    /// Compress groups anew that were compressed at a lower level, instead of copying them.
    pub improve: bool,
}

impl PackOptions {
    /// At seal, and for ordinary merges.
    pub const FAST: Self = Self {
        level: 3,
        group_contents: 32,
        group_raw: GROUP_RAW_MAX as u32,
        directory_level: 9,
        directory_records: 2048,
        improve: false,
    };
    /// For `compact --full`, and for merges of what is cold.
    pub const BEST: Self = Self { level: 19, directory_level: 19, improve: true, ..Self::FAST };

    const _SAME_LEVEL_AS_THE_LOG: () = assert!(Self::FAST.level == crate::limits::LOG_GROUP_LEVEL as i32);

    fn group_contents(&self) -> usize {
        usize::from(self.group_contents.max(1))
    }

    fn group_raw(&self) -> usize {
        (self.group_raw as usize).min(GROUP_RAW_MAX)
    }

    fn directory_records(&self) -> usize {
        self.directory_records.max(1) as usize
    }
}

#[cfg(test)]
mod tests;
