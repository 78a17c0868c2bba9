//! What the engine must not do although a real disk would let it.

use std::fmt;
use std::sync::Arc;

/// A broken rule of the contracts in [`crate::env`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ViolationKind {
    /// A file was written, cut, extended or allocated while a map of it was alive: undefined behaviour with a real map.
    ChangedUnderMap,
    /// The same after the last map of it was dropped: mapped files are never changed again.
    ChangedAfterMap,
    /// A file with unsynced changes was mapped: only finished files are.
    MappedUnsynced,
    /// A sync after a failed one, through a handle from before the failure; for a directory, without the lock having been
    /// taken anew since. A failed sync is never retried.
    SyncRetried,
    /// A write through a handle that was opened for reading.
    WroteReadOnly,
}

/// One broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub kind: ViolationKind,
    /// The number of the call.
    pub n: u64,
    /// The file or directory.
    pub path: Arc<str>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at call {} on {}", self.kind, self.n, self.path)
    }
}
