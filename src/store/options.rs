//! The options of a store: few, typed, each with its default in this file and nowhere else.

use std::time::Duration;

use crate::limits::Limits;

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// That many MiB.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

/// How tables are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TableReads {
    /// With `pread` into the cache. An I/O error is an error.
    #[default]
    Read,
    /// Through memory maps. An I/O error is a signal that ends the process: for trusted disks.
    Map,
}

/// When sealed segments are rewritten as packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Packing {
    /// In the background, as soon as they are sealed.
    #[default]
    InBackground,
    /// Only when [`super::Store::pack`] or a full compaction asks for it.
    WhenAsked,
}

/// What a store can be told. Made with [`super::StoreBuilder`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Memory for memtables, caches and buffers together. `None`: 25 % of what the machine or its cgroup allows, at most 1 GiB.
    pub memory: Option<ByteSize>,
    /// Threads for flushing, sealing and compaction. Default 2.
    pub background_threads: usize,
    /// How tables are read. Default: `Read`.
    pub table_reads: TableReads,
    /// When sealed segments are rewritten as packs. Default: `InBackground`.
    pub packing: Packing,
    /// Within what time of its forgetting a thing's bytes are gone from the store's own files, as long as it is open for writing. Background
    /// work begins when half of it has passed, so that several forgettings share it. Default 24 h; zero: at once.
    pub erase_within: Duration,
    /// After how long without a write the last group's promise is written. Default 50 ms.
    pub promise_delay: Duration,
    /// Whether a clock that stepped forward by more than an hour is believed at once. Default: no, writes answer `Busy` until two readings
    /// agree.
    pub accept_clock_steps: bool,
    /// Sizes of files and buffers; not for tuning but for the simulator.
    pub(crate) limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory: None,
            background_threads: 2,
            table_reads: TableReads::Read,
            packing: Packing::InBackground,
            erase_within: Duration::from_secs(24 * 3600),
            promise_delay: Duration::from_millis(50),
            accept_clock_steps: false,
            limits: Limits::PRODUCTION,
        }
    }
}
