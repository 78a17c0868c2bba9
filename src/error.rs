//! The one error type. [`Error::kind`] says what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Malformed;
use crate::model::{Entity, Expect, HeadState};

/// A result with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The head is not what was expected: read it again, decide again.
    Conflict,
    /// The call is wrong: fix it. Trying again does not help.
    Invalid,
    /// Not now: wait as long as the error says and try again.
    Busy,
    /// Another process (or another handle in this one) has the store open: close it there first.
    Locked,
    /// The store takes no more writes: reopen it. What was in flight may or may not be there.
    Latched,
    /// Bytes on disk are not what was written: run `check`; then restore, rebuild (index and manifest) or repair.
    Corrupt,
    /// The operating system refused something.
    Io,
    /// No room on the disk: nothing was written; make room and try again.
    OutOfSpace,
    /// A feed cursor points to what this store does not have: resume from the cursor in the error.
    CursorLost,
    /// A format or feature that this version does not know: use a newer version.
    Unsupported,
    /// The caller cancelled a long operation.
    Cancelled,
}

/// Bytes on disk that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The file.
    pub path: PathBuf,
    /// Where in the file.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Which data cannot be read because of it, as far as can be told.
    pub affected: String,
}

/// Everything that can go wrong. Cheap to clone: several callers may wait for the same commit.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// See [`ErrorKind::Conflict`].
    #[error("conflict on {entity}: expected {expected}, but the head is {actual}")]
    Conflict {
        /// The entity whose head is different.
        entity: Entity,
        /// What the writer expected.
        expected: Expect,
        /// What is there.
        actual: HeadState,
    },
    /// See [`ErrorKind::Invalid`].
    #[error("{what}")]
    Invalid {
        /// What is wrong and what would be right.
        what: String,
    },
    /// See [`ErrorKind::Busy`].
    #[error("busy ({reason}): try again in {retry_after:?}")]
    Busy {
        /// What is being waited for.
        reason: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// See [`ErrorKind::Locked`].
    #[error("the store {path:?} is in use by {owner}; close it there, or read a checkpoint of it")]
    Locked {
        /// The store.
        path: PathBuf,
        /// Who has it, as far as can be told.
        owner: String,
    },
    /// See [`ErrorKind::Latched`].
    #[error(
        "the store takes no more writes since {cause}; reopen it (the outcome of writes in flight is unknown: read them back)"
    )]
    Latched {
        /// The first failure.
        cause: Arc<str>,
    },
    /// See [`ErrorKind::Corrupt`].
    #[error("damage in {} at byte {}: expected {}, found {}; affected: {}; run `recension check`", .0.path.display(), .0.offset, .0.expected, .0.found, .0.affected)]
    Corrupt(Box<Corruption>),
    /// See [`ErrorKind::Io`].
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// See [`ErrorKind::OutOfSpace`].
    #[error(
        "no room on the disk of {path:?} (cannot {action}); nothing was written; free some space and try again"
    )]
    OutOfSpace {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
    },
    /// See [`ErrorKind::CursorLost`].
    #[error("the cursor {cursor} stands behind a change that this store does not have; resume from {last}")]
    CursorLost {
        /// The cursor that was given.
        cursor: u64,
        /// Where to go on: the last sequence number that there is; 0, the start, if the store was restored and went another way.
        last: u64,
    },
    /// See [`ErrorKind::Unsupported`].
    #[error("{} uses {what}, which this version does not know; use a newer version of Recension", .path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not known.
        what: String,
    },
    /// A content that is to be forgotten is that of further revisions: say what is meant (`Sharing`). An `Invalid`.
    #[error(
        "{count} further revisions of {entity} have a content that is to be forgotten ({}{}): forget them as well (include), or leave it to them \
         (leave)",
        list(.revisions), if *.count > .revisions.len() as u64 { ", …" } else { "" }
    )]
    Shared {
        /// Whose.
        entity: Entity,
        /// How many.
        count: u64,
        /// Some of them.
        revisions: Vec<u64>,
    },
    /// See [`ErrorKind::Cancelled`].
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Invalid { .. } | Self::Shared { .. } => ErrorKind::Invalid,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Locked { .. } => ErrorKind::Locked,
            Self::Latched { .. } => ErrorKind::Latched,
            Self::Corrupt(_) => ErrorKind::Corrupt,
            Self::Io { .. } => ErrorKind::Io,
            Self::OutOfSpace { .. } => ErrorKind::OutOfSpace,
            Self::CursorLost { .. } => ErrorKind::CursorLost,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// An operating system error with its context. A full disk becomes [`Error::OutOfSpace`].
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::OutOfSpace { action, path: path.to_path_buf() }
            }
            _ => Self::Io { action, path: path.to_path_buf(), source: Arc::new(source) },
        }
    }

    pub(crate) fn corrupt(
        path: &Path,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
        affected: impl Into<String>,
    ) -> Self {
        Self::Corrupt(Box::new(Corruption {
            path: path.to_path_buf(),
            offset,
            expected: expected.into(),
            found: found.into(),
            affected: affected.into(),
        }))
    }

    /// Decoding failed inside a block that starts at `base` of a file.
    pub(crate) fn malformed(path: &Path, base: u64, bad: Malformed, affected: impl Into<String>) -> Self {
        let offset = base.saturating_add(bad.at as u64);
        Self::corrupt(path, offset, bad.expected, "other bytes", affected)
    }
}

fn list(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Adds the action and the path to an `io::Result`.
pub(crate) trait IoContext<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::io(action, path, source))
    }
}
