//! Changes that are not revisions.

use super::Entity;
use crate::codec::{Malformed, Reader, put_u64, put_zigzag};

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
    /// Tags and attributes.
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

/// What an annotation does. Numbers are on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum AnnotationKind {
    /// Keep the masked fields from ordinary reads.
    Hide = 1,
    /// Undo `Hide`.
    Show = 2,
    /// Destroy the masked fields. Nothing undoes it.
    Forget = 3,
    /// Destroy the entity, its name included. It stands under [`purged_name`], not under the name; `last` is the last number used.
    Purge = 4,
    /// Destroy the masked fields of all revisions up to `last`: they were superseded before the time that the retention names.
    Retain = 5,
}

impl AnnotationKind {
    /// From its number on disk.
    pub fn from_u8(n: u8) -> Option<Self> {
        match n {
            1 => Some(Self::Hide),
            2 => Some(Self::Show),
            3 => Some(Self::Forget),
            4 => Some(Self::Purge),
            5 => Some(Self::Retain),
            _ => None,
        }
    }

    /// Whether it destroys something: then it has an [`Erasure`].
    pub fn erases(self) -> bool {
        matches!(self, Self::Forget | Self::Purge | Self::Retain)
    }
}

/// What an annotation that destroys something says besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erasure {
    /// The job that it belongs to: one call may take several commits.
    pub job: u64,
    /// Whether further changes of the same job follow. A job whose last change says so was interrupted: run it again.
    pub more: bool,
    /// Purge: the effective time of the last revision, so that times go on growing if the name is used again. Retention: what was
    /// superseded before this commit time is forgotten. Else 0. µs.
    pub time: i64,
}

impl Erasure {
    /// Appends it as it stands behind an annotation's reason.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.job);
        out.push(u8::from(self.more));
        put_zigzag(out, self.time);
    }

    /// The inverse.
    ///
    /// # Errors
    /// `Malformed` if the bytes are none.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let job = reader.u64("a job")?;
        let bad = reader.malformed("whether more of a job follows: 0 or 1");
        let more = match reader.u8("whether more of a job follows")? {
            0 => false,
            1 => true,
            _ => return Err(bad),
        };
        Ok(Self { job, more, time: reader.zigzag("the time of an erasure")? })
    }
}

/// A change that is not a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Whose revisions. For a purge, [`purged_name`] of the entity.
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
    /// `Some` if and only if the kind [erases](AnnotationKind::erases).
    pub erasure: Option<Erasure>,
}

/// What the names begin with under which purges are kept.
pub const PURGED_PREFIX: &[u8] = b"\0purged\0";

/// The name under which the purge of an entity is kept: [`PURGED_PREFIX`] and BLAKE3-256 of the name, keyed with the store's id. Whoever has
/// the store can test a guess of the name with it, and learns nothing else; in another store the same name has another hash.
pub fn purged_name(store: &[u8; 16], entity: &[u8]) -> Entity {
    let key = blake3::derive_key("purged entity of a recension store, 2026-11", store);
    let hash = blake3::keyed_hash(&key, entity);
    let mut name = Vec::with_capacity(PURGED_PREFIX.len() + 32);
    name.extend_from_slice(PURGED_PREFIX);
    name.extend_from_slice(hash.as_bytes());
    Entity::of_hash(name)
}

impl Annotation {
    /// A hash of all of it and of the change that it is. For comparing; it is not on disk.
    pub fn fingerprint(&self, sequence: u64) -> u64 {
        xxhash_rust::xxh3::xxh3_64(format!("{sequence} {self:?}").as_bytes())
    }
}
