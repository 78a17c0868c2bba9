//! Changes that are not revisions.

use super::Entity;

/// Which parts of a revision an annotation is about, a bit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldMask(pub u8);

impl FieldMask {
    /// The contents of all slots.
    pub const CONTENT: Self = Self(1);
    /// The comment.
    pub const COMMENT: Self = Self(2);
    /// The author.
    pub const AUTHOR: Self = Self(4);
    /// The attributes.
    pub const ATTRIBUTES: Self = Self(8);
    /// All four.
    pub const ALL: Self = Self(15);

    /// Whether all bits of `other` are set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether no bit is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What an annotation does. Numbers are on disk; 3 to 5 (forget, purge, retention) are reserved for the pack format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum AnnotationKind {
    /// Keep the masked fields from ordinary reads.
    Hide = 1,
    /// Undo `Hide`.
    Show = 2,
}

impl AnnotationKind {
    /// From its number on disk.
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::Hide),
            2 => Some(Self::Show),
            _ => None,
        }
    }
}

/// A change that is not a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Whose revisions.
    pub entity: Entity,
    /// First revision number, inclusive.
    pub first: u64,
    /// Last revision number, inclusive.
    pub last: u64,
    /// What it does.
    pub kind: AnnotationKind,
    /// To which parts.
    pub fields: FieldMask,
    /// Who did it; may be empty.
    pub actor: String,
    /// Why; may be empty.
    pub reason: String,
}

impl Annotation {
    /// A hash of all of it and of the change that it is. For comparing; it is not on disk.
    pub fn fingerprint(&self, sequence: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64(format!("{sequence} {self:?}").as_bytes())
    }
}
