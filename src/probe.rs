//! Coverage probes: rare places that a long run of the crash harness must have been at.
//!
//! `probe!("recovery: …")` counts that the place was reached, in builds with the simulator; elsewhere it is nothing. A name must stand in
//! [`ALL`], which the compiler checks; a run of the harness reports which were never reached.

use std::cell::Cell;

/// Every probe.
pub const ALL: &[&str] = &[
    "seal: log synced first",
    "background: disk full, tried again",
    "background: failed read, tried again",
    "background: tried again ever less often",
    "background: writer slowed down for packing",
    "background: writer stopped for a flush",
    "checkpoint: refused after a failed sync",
    "compaction: annotations",
    "compaction: into level 1",
    "compaction: into level 2 or below",
    "compaction: moved",
    "compaction: put off, a table cannot be read",
    "flush: annotations",
    "flush: during replay",
    "flush: installed",
    "flush: log synced first",
    "forget: made out again",
    "forget: purged",
    "forget: several commits",
    "forget: shared contents included",
    "head cache: hit",
    "leader: group of several commits",
    "leader: group spans two segments",
    "live feed: goes on in what was sealed meanwhile",
    "log: content of a group from the cache",
    "manifest: obsolete file kept for a reader",
    "manifest: rewritten as a snapshot",
    "manifest: state taken to a new file",
    "manifest: torn tail cut",
    "manifest: unfinished file removed",
    "merge: a smaller one before one that is half done",
    "merge: before segments that wait",
    "merge: more parts to come",
    "merge: part installed",
    "open: clean log continued",
    "open: leftover removed",
    "open: unfinished file removed",
    "pack: damaged file left as it is",
    "pack: group of the log copied",
    "pack: groups handed in",
    "pack: installed",
    "pack: no room, nothing tried",
    "pipeline: head is pending",
    "pipeline: look up again",
    "pipeline: roll over to the spare",
    "pipeline: wait for a pending head",
    "prepare: contents grouped",
    "promise: written when idle",
    "reclaim: active segment ended",
    "reclaim: manifest written anew",
    "reclaim: table written anew",
    "reclaim: tried again later",
    "reclaim: value file written anew",
    "recovery: later segment is a leftover",
    "recovery: segment cut and sealed",
    "recovery: torn content cut",
    "recovery: torn tail cut",
    "seal: installed",
    "seal: sealed already",
    "space: emergency reserve used",
    "store: latched",
];

// Of the thread: a simulated machine runs on the thread that steps it, so that each run can be told what it met.
thread_local! {
    static COUNTS: [Cell<u64>; ALL.len()] = const { [const { Cell::new(0) }; ALL.len()] };
}

/// The place of a name in [`ALL`]; does not compile for another.
#[must_use]
pub const fn index(name: &str) -> usize {
    let mut i = 0;
    while i < ALL.len() {
        if same(ALL[i].as_bytes(), name.as_bytes()) {
            return i;
        }
        i += 1;
    }
    panic!("a probe that is not in the list")
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

/// Counts. Use `probe!`.
pub fn hit(index: usize) {
    // A thread that is ending counts nothing.
    let _ = COUNTS.try_with(|counts| {
        if let Some(count) = counts.get(index) {
            count.set(count.get().saturating_add(1));
        }
    });
}

/// How often each place was reached on this thread since this was last asked.
#[must_use]
pub fn take() -> Vec<(&'static str, u64)> {
    COUNTS.with(|counts| ALL.iter().zip(counts).map(|(name, count)| (*name, count.take())).collect())
}

/// Counts that this place was reached: see [`crate::probe`].
macro_rules! probe {
    ($name:literal) => {
        if cfg!(feature = "sim") {
            const INDEX: usize = $crate::probe::index($name);
            $crate::probe::hit(INDEX);
        }
    };
}
