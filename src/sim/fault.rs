//! Which things go wrong, how often, and how often they did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::rng::Prng;
use super::trace::Op;

/// How often something happens: parts in a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(u32);

impl Rate {
    /// Not at all.
    pub const NEVER: Self = Self(0);
    /// Each time.
    pub const ALWAYS: Self = Self(1_000_000);

    /// So many times in a million.
    #[must_use]
    pub const fn per_million(parts: u32) -> Self {
        Self(if parts > 1_000_000 { 1_000_000 } else { parts })
    }

    /// Once in `n` times; never for 0.
    #[must_use]
    pub const fn one_in(n: u32) -> Self {
        match 1_000_000_u32.checked_div(n) {
            Some(0) => Self(1),
            Some(parts) => Self(parts),
            None => Self::NEVER,
        }
    }

    /// So many times in a hundred.
    #[must_use]
    pub const fn percent(n: u32) -> Self {
        Self(if n >= 100 { 1_000_000 } else { n * 10_000 })
    }

    /// Whether a uniformly drawn number means that it happens now.
    #[must_use]
    pub fn hits(self, draw: u64) -> bool {
        self.0 != 0 && draw % 1_000_000 < u64::from(self.0)
    }
}

macro_rules! fault_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What can go wrong. The kinds down to [`FaultKind::ClockBack`], and those from [`FaultKind::BufferFlip`] to
        /// [`FaultKind::Skew`], have a rate in [`Faults`]; the others are chosen by a crash policy, done by hand or a consequence, and
        /// stand here to be counted. (New kinds stand at the end: the place of a kind is part of every draw.)
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FaultKind { $($(#[$doc])* $name,)* }

        impl FaultKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// A short name in words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

fault_kinds! {
    /// The machine stops in the middle of a call.
    Kill = "kill",
    /// `EIO` from a read or a map.
    ReadError = "read error",
    /// `EIO` from a write, a change of length or an allocation; part of the write may have happened.
    WriteError = "write error",
    /// `EIO` from a sync of a file or directory. What was pending is lost or kept by chance, is clean from now on, and is
    /// still shown by reads until it is evicted.
    SyncError = "sync error",
    /// `EIO` from a call about names: open, rename, remove, link, list. It may have taken effect.
    NameError = "name error",
    /// `EIO` from a question: length, links, space, canonical path.
    MetaError = "metadata error",
    /// A read gives fewer bytes than asked for, and than there are.
    ShortRead = "short read",
    /// A write takes fewer bytes than it was given.
    ShortWrite = "short write",
    /// `EINTR` from a read or write, nothing done.
    Interrupted = "interrupted",
    /// `ENOSPC` although there was room a moment ago (quota, copy-on-write, snapshots); also inside allocated space.
    NoSpace = "no space",
    /// A read gives the bytes of another place.
    MisdirectedRead = "misdirected read",
    /// A write goes to another place when it goes to the disk; the page cache shows it in the right one until evicted.
    MisdirectedWrite = "misdirected write",
    /// A write never goes to the disk although the sync succeeds; the page cache shows it until evicted: then reads are stale.
    LostWrite = "lost write",
    /// A bit of what is being read has flipped on the disk, for good.
    BitRot = "bit rot",
    /// The page cache of the file is dropped; matters where it differs from the disk.
    Evict = "eviction",
    /// A call takes very long.
    Stall = "stall",
    /// The wall clock jumps forward.
    ClockJump = "clock jump",
    /// The wall clock goes back.
    ClockBack = "clock going back",
    /// A crash lost a whole unsynced write.
    WriteLost = "unsynced write lost",
    /// A crash kept a part of an unsynced write.
    WriteTorn = "write torn",
    /// A crash kept a write and lost an earlier one of the same file.
    WriteReordered = "writes reordered",
    /// A crash kept a write and lost a later one of the same bytes.
    IntermediateKept = "intermediate version kept",
    /// A crash left zeros or garbage where an unsynced write was to go.
    WriteGarbled = "write garbled",
    /// A crash lost a change of a file's length that came with, or without, data.
    LengthLost = "length lost",
    /// A crash kept a length without all the data that it was made for.
    LengthAhead = "length without data",
    /// A crash lost a new, renamed or removed name.
    NameLost = "name change lost",
    /// A crash kept one half of a rename.
    RenameSplit = "rename split",
    /// A bit was flipped at rest.
    BitFlipped = "bit flipped at rest",
    /// The end of a file was cut off.
    TailCut = "tail cut off",
    /// The end of a file was repeated behind itself.
    TailDuplicated = "tail duplicated",
    /// A file's name was taken away.
    FileMissing = "file missing",
    /// An older copy of a file was put in its place.
    OlderCopy = "older copy restored",
    /// Two blocks changed places.
    BlocksSwapped = "blocks swapped",
    /// A block was filled with zeros.
    BlockZeroed = "block zeroed",
    /// A bit of the buffer of a write flips on its way, after its checksum was made: page cache and disk agree on what is wrong.
    BufferFlip = "buffer flipped before write",
    /// Calls of one kind about one file are slow, always: a rate says how many of those pairs.
    Skew = "latency skew",
    /// A read gave what was there before a write that was acknowledged, synced and lost.
    StaleRead = "stale read",
}

impl FaultKind {
    /// The calls that a fault of this kind can meet; none for those without a rate of their own.
    #[must_use]
    pub fn meets(self) -> Vec<Op> {
        super::call::meeting(self)
    }

    /// Faults that correct work never notices, but for time.
    pub const HARMLESS: &[Self] =
        &[Self::ShortRead, Self::ShortWrite, Self::Interrupted, Self::Evict, Self::Stall, Self::Skew];
    /// Faults that say that they happened.
    pub const ERRORS: &[Self] = &[
        Self::ReadError,
        Self::WriteError,
        Self::SyncError,
        Self::NameError,
        Self::MetaError,
        Self::NoSpace,
    ];
    /// Faults that nobody is told of: bytes are not what was written. No engine owes recovery from them, only that it never
    /// takes them for the truth.
    pub const SILENT: &[Self] =
        &[Self::MisdirectedRead, Self::MisdirectedWrite, Self::LostWrite, Self::BitRot, Self::BufferFlip];
}

const KINDS: usize = FaultKind::ALL.len();

/// A rate for each kind of fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    rates: [Rate; KINDS],
    /// The longest stall, µs of simulated time.
    pub stall_us_max: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::NONE
    }
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self { rates: [Rate::NEVER; KINDS], stall_us_max: 30_000_000 };

    /// The same with another rate for `kind`.
    #[must_use]
    pub fn with(mut self, kind: FaultKind, rate: Rate) -> Self {
        self.set(kind, rate);
        self
    }

    /// Sets the rate of `kind`.
    pub fn set(&mut self, kind: FaultKind, rate: Rate) {
        if let Some(slot) = self.rates.get_mut(kind as usize) {
            *slot = rate;
        }
    }

    /// The rate of `kind`.
    #[must_use]
    pub fn rate(&self, kind: FaultKind) -> Rate {
        self.rates.get(kind as usize).copied().unwrap_or_default()
    }

    /// A swarm: each of `kinds` is off in half of the runs and has a rate between one in 20 and one in 2 000 in the others,
    /// so that rare combinations get a run of their own.
    #[must_use]
    pub fn swarm(kinds: &[FaultKind], rng: &mut Prng) -> Self {
        let mut faults = Self::NONE;
        for kind in kinds {
            let (on, n) = (rng.one_in(2), *rng.pick(&[20, 100, 500, 2_000]).unwrap_or(&500));
            if on {
                faults.set(*kind, Rate::one_in(n));
            }
        }
        faults
    }
}

/// How often each kind of fault took effect. A handle: clones count together.
#[derive(Clone, Debug, Default)]
pub struct FaultStats(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    kinds: [AtomicU64; KINDS],
    /// Calls that failed because of a fault, by kind of call.
    failed: Mutex<BTreeMap<(Op, FaultKind), u64>>,
}

impl Default for Counts {
    fn default() -> Self {
        Self { kinds: [const { AtomicU64::new(0) }; KINDS], failed: Mutex::default() }
    }
}

impl FaultStats {
    /// How often `kind` took effect.
    #[must_use]
    pub fn count(&self, kind: FaultKind) -> u64 {
        self.0.kinds.get(kind as usize).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Every kind that took effect, with how often.
    #[must_use]
    pub fn all(&self) -> Vec<(FaultKind, u64)> {
        FaultKind::ALL.iter().map(|kind| (*kind, self.count(*kind))).filter(|(_, n)| *n != 0).collect()
    }

    /// The calls that failed because of a fault, with how often.
    #[must_use]
    pub fn failed_calls(&self) -> Vec<((Op, FaultKind), u64)> {
        self.0.failed.lock().iter().map(|(pair, n)| (*pair, *n)).collect()
    }

    pub(super) fn hit(&self, kind: FaultKind) {
        if let Some(n) = self.0.kinds.get(kind as usize) {
            n.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn failed(&self, op: Op, kind: FaultKind) {
        *self.0.failed.lock().entry((op, kind)).or_default() += 1;
    }
}
