//! A revision as the index and the log hold it.

use bytes::Bytes;

use super::{ContentRef, Entity, HeadState};
use crate::codec::{put_bytes, put_u64};

/// What a revision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum RevisionKind {
    /// A state of the entity.
    Put = 1,
    /// A tombstone: the entity is deleted from here on, until a further revision.
    Delete = 2,
}

impl RevisionKind {
    /// From its number on disk.
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::Put),
            2 => Some(Self::Delete),
            _ => None,
        }
    }
}

/// Flags of a revision, a bit set. Bits that this version does not know are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// A minor edit.
    pub const MINOR: Self = Self(1);
    /// Made by a bot.
    pub const BOT: Self = Self(2);
    /// Part of a mass edit.
    pub const MASS: Self = Self(4);
    /// The source of an import had no main content to give.
    pub const CONTENT_WITHHELD: Self = Self(8);
    /// The source of an import had no comment to give, though there was one.
    pub const COMMENT_WITHHELD: Self = Self(16);
    /// The source of an import had no author to give.
    pub const AUTHOR_WITHHELD: Self = Self(32);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A revision without its entity and without its content: what an index row holds.
///
/// Within an entity `number`, `sequence`, `commit_time` and `effective_time` all grow together (never shrink): rows are kept
/// newest first and can be searched by any of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Revision number, from 1.
    pub number: u64,
    /// Number of the revision that this one was made from; 0 for none.
    pub parent: u64,
    /// Sequence number of the change.
    pub sequence: u64,
    /// How many further changes of the same commit follow this one. A point in the middle of a commit is rounded down: the row
    /// is visible at sequence `s` if `sequence + commit_rest <= s`.
    pub commit_rest: u32,
    /// When it was committed, µs. Never goes back within a store.
    pub commit_time: i64,
    /// When its author says it was made, µs; `None` if the writer claimed nothing.
    pub authored_time: Option<i64>,
    /// max(authored or commit time, effective time of the previous revision), µs.
    pub effective_time: i64,
    /// State or tombstone.
    pub kind: RevisionKind,
    /// Minor, bot, withheld…
    pub flags: Flags,
    /// The main content; `None` for tombstones and withheld contents. Further slots stand in the fields.
    pub content: Option<ContentRef>,
    /// Author, comment and everything else that is rarely read, encoded: see [`super::Fields`].
    pub cold: Bytes,
}

impl Row {
    /// What the entity's head is if this is its newest row.
    pub fn head_state(&self) -> HeadState {
        match self.kind {
            RevisionKind::Put => HeadState::Live(self.number),
            RevisionKind::Delete => HeadState::Deleted(self.number),
        }
    }

    /// A hash of the whole row and whose it is: two places that say the same revision have the same one. For comparing; it is not on disk.
    pub fn fingerprint(&self, entity: &Entity) -> u64 {
        let mut all =
            Vec::with_capacity(entity.as_bytes().len().saturating_add(self.cold.len()).saturating_add(120));
        put_bytes(&mut all, entity.as_bytes());
        let content = self.content.map_or([u64::MAX; 4], |content| {
            [content.address.sequence, u64::from(content.address.slot), u64::from(content.len), content.tag]
        });
        let numbers = [
            self.number,
            self.parent,
            self.sequence,
            u64::from(self.commit_rest),
            self.commit_time.cast_unsigned(),
            u64::from(self.authored_time.is_some()),
            self.authored_time.unwrap_or_default().cast_unsigned(),
            self.effective_time.cast_unsigned(),
            self.kind as u64,
            u64::from(self.flags.0),
        ];
        numbers.into_iter().chain(content).for_each(|n| put_u64(&mut all, n));
        put_bytes(&mut all, &self.cold);
        xxhash_rust::xxh3::xxh3_64(&all)
    }
}
