//! What a write expects, and what it found.

use std::fmt;

/// What the head of an entity must be for a write to go through. There is no default: every write says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Expect {
    /// The entity has never had a revision. (A deleted entity has a head: the tombstone; name its number.)
    Absent,
    /// The head is this revision, live or a tombstone. The last revision of an entity that was purged is no head any more.
    Head(u64),
    /// Whatever is there: the engine reads the head and writes behind it, in one step.
    Any,
}

/// The head of an entity as a conflict reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeadState {
    /// No revision.
    Absent,
    /// A live revision.
    Live(u64),
    /// A tombstone.
    Deleted(u64),
    /// Purged: gone for ever; the number is the last one used.
    Purged(u64),
}

impl HeadState {
    /// The number of the newest revision; 0 if there is none.
    pub fn number(self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Live(n) | Self::Deleted(n) | Self::Purged(n) => n,
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no revision"),
            Self::Head(n) => write!(f, "revision {n}"),
            Self::Any => f.write_str("any revision"),
        }
    }
}

impl fmt::Display for HeadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("absent"),
            Self::Live(n) => write!(f, "revision {n}"),
            Self::Deleted(n) => write!(f, "revision {n} (deleted)"),
            Self::Purged(n) => write!(f, "purged (last revision {n})"),
        }
    }
}
