//! A place in the log.

use std::fmt;

/// A place in the log: everything before it, in this segment and in all earlier ones. File numbers are never reused and grow, so
/// positions are ordered as they were written.
///
/// As a *promise* it says: the log is known to be durable up to here. A promise always stands at the end of a frame or of a
/// segment's header, never beyond what was written; [`Position::NONE`] promises nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Number of the segment.
    pub file: u64,
    /// Byte in it.
    pub offset: u64,
}

impl Position {
    /// Before everything.
    pub const NONE: Self = Self { file: 0, offset: 0 };

    /// A place in a segment.
    pub const fn new(file: u64, offset: u64) -> Self {
        Self { file, offset }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file {:08x} byte {}", self.file, self.offset)
    }
}
