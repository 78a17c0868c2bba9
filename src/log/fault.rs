//! What can be wrong with log bytes, before it is known in which file they stand.

use std::path::Path;

use crate::codec::{Malformed, PartState};
use crate::{Error, Result};

/// Bytes that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They are not what was written.
    Malformed(Malformed),
    /// They are what was written, but by a newer version.
    Unsupported(String),
}

impl From<Malformed> for Fault {
    fn from(bad: Malformed) -> Self {
        Self::Malformed(bad)
    }
}

impl From<Fault> for PartState {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(bad) => bad.into(),
            Fault::Unsupported(what) => Self::Unsupported(what),
        }
    }
}

impl Fault {
    pub(crate) fn malformed(at: usize, expected: &'static str) -> Self {
        Self::Malformed(Malformed { at, expected })
    }

    /// As an error of a file; `base` is where in the file the decoded bytes start.
    pub(crate) fn into_error(self, path: &Path, base: u64, affected: impl Into<String>) -> Error {
        match self {
            Self::Malformed(bad) => Error::malformed(path, base, bad, affected),
            Self::Unsupported(what) => Error::Unsupported { path: path.to_path_buf(), what },
        }
    }
}

/// Adds file, place and consequence to a decoder's result.
pub(crate) trait FaultContext<T> {
    fn in_file(self, path: &Path, base: u64, affected: impl FnOnce() -> String) -> Result<T>;
}

impl<T, F: Into<Fault>> FaultContext<T> for Result<T, F> {
    fn in_file(self, path: &Path, base: u64, affected: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|fault| fault.into().into_error(path, base, affected()))
    }
}
