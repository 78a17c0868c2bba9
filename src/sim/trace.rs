//! Every call, numbered; a running hash over all of them and the last few in full.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::fault::FaultKind;
use super::rng::mix;

/// A call of the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
#[non_exhaustive]
pub enum Op {
    Open,
    Create,
    Rename,
    Remove,
    Link,
    MakeDir,
    ReadDir,
    SyncDir,
    Exists,
    Lock,
    Canonical,
    FreeSpace,
    Read,
    Write,
    Sync,
    Len,
    SetLen,
    Allocate,
    Map,
    LinkCount,
}

impl Op {
    pub(super) const ALL: &[Self] = &[
        Self::Open,
        Self::Create,
        Self::Rename,
        Self::Remove,
        Self::Link,
        Self::MakeDir,
        Self::ReadDir,
        Self::SyncDir,
        Self::Exists,
        Self::Lock,
        Self::Canonical,
        Self::FreeSpace,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Len,
        Self::SetLen,
        Self::Allocate,
        Self::Map,
        Self::LinkCount,
    ];

    /// Whether it makes something durable: right before, most is pending.
    #[must_use]
    pub const fn syncs(self) -> bool {
        matches!(self, Self::Sync | Self::SyncDir)
    }

    /// Whether it changes, or fixes, what is on the disk. Only between such calls does a crash make a difference.
    #[must_use]
    pub const fn changes(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Rename
                | Self::Remove
                | Self::Link
                | Self::MakeDir
                | Self::SyncDir
                | Self::Lock
                | Self::Write
                | Self::Sync
                | Self::SetLen
                | Self::Allocate
        )
    }
}

/// One call.
#[derive(Clone, Debug)]
pub struct TraceEntry {
    /// Its number, from 1.
    pub n: u64,
    /// What was called.
    pub op: Op,
    /// With which file or directory.
    pub path: Arc<str>,
    /// Where, for reads, writes and allocations.
    pub offset: u64,
    /// How many bytes were asked for; the length for a change of length.
    pub len: u64,
    /// CRC-32 of the bytes read or written; of the new name for a rename or link.
    pub crc: u32,
    /// The fault that was drawn for it.
    pub fault: Option<FaultKind>,
    /// The kind of error it ended with.
    pub error: Option<std::io::ErrorKind>,
}

impl fmt::Display for TraceEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} {:<9} {}", self.n, format!("{:?}", self.op), self.path)?;
        if self.offset != 0 || self.len != 0 {
            write!(f, " at {} len {}", self.offset, self.len)?;
        }
        if self.crc != 0 {
            write!(f, " crc {:08x}", self.crc)?;
        }
        if let Some(fault) = self.fault {
            write!(f, " [{}]", fault.name())?;
        }
        if let Some(error) = self.error {
            write!(f, " -> {error}")?;
        }
        Ok(())
    }
}

/// The newest calls that are kept.
const KEPT: usize = 256;

#[derive(Clone, Default)]
pub(super) struct Trace {
    hash: u64,
    last: VecDeque<TraceEntry>,
}

impl Trace {
    pub(super) fn push(&mut self, entry: TraceEntry) {
        let path = u64::from(crc32fast::hash(entry.path.as_bytes()));
        let kinds = (entry.op as u64) << 16
            | entry.fault.map_or(0xff, |fault| fault as u64) << 8
            | entry.error.map_or(0xff, |error| error as u64);
        for word in [path << 32 | kinds, entry.offset, entry.len, u64::from(entry.crc)] {
            self.hash = mix(self.hash, word);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(entry);
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn last(&self) -> impl Iterator<Item = &TraceEntry> {
        self.last.iter()
    }
}
