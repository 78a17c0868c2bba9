//! The one memory budget and its division.

use super::options::Options;

/// At most this much by default, bytes.
const DEFAULT_MAX: u64 = 1 << 30;
/// Where the machine does not say how much it has, bytes.
const DEFAULT_UNKNOWN: u64 = 256 << 20;
/// Less than this is not enough to work with, bytes.
const MIN: u64 = 8 << 20;

/// How the budget is divided, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// All of it.
    pub(crate) total: u64,
    /// One memtable. Up to five exist at once, so this is at most a twentieth.
    pub(crate) memtable: u64,
    /// Blocks, filters, contents, heads.
    pub(crate) cache: u64,
}

impl Budget {
    /// Divides the budget of the options; `machine` is what the machine or its cgroup allows.
    pub(crate) fn new(options: &Options, machine: Option<u64>) -> Self {
        let default = machine.map_or(DEFAULT_UNKNOWN, |bytes| (bytes / 4).min(DEFAULT_MAX));
        let total = options.memory.map_or(default, |bytes| bytes.0).max(MIN);
        let memtable =
            options.limits.memtable_bytes.min(total / 20).max(options.limits.memtable_bytes.min(1 << 20));
        // A quarter for memtables, an eighth for groups in flight and jobs.
        let cache = total / 8 * 5;
        Self { total, memtable, cache }
    }
}
