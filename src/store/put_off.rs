//! Background work that failed without harm and is tried again.
//!
//! | what failed | what becomes of it |
//! |---|---|
//! | there is no room | the work waits; flushing and sealing are tried every half second, the rest ever less often |
//! | something could not be read: a segment that is to be sealed, a table that is to be compacted | it stays as it is; tried again ever less often |
//! | a table is damaged | the same: it is only a view of the log, and `check` and `rebuild` are there for it |
//! | a segment that is to be sealed is damaged | the store latches: what was acknowledged is lost |
//! | a write, a sync, the manifest | the store latches: what is on the disk is not known |
//!
//! 1. A read that fails has changed nothing, so it is no reason to take no more writes: log, memtables and tables are what they were.
//! 2. Compactions whose tables cannot be read are put off by what they would touch (`Claim`), and the others go on.
//! 3. Nothing grows without bound meanwhile: writers stop where memtables wait for their flush, or segments for being sealed, and are told why.
//! 4. `stats` lists what is put off, why, and how often; a `tracing` event tells each time.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::unpackable::{is_given_up, is_unreadable};
use crate::Error;
use crate::index::compaction::Claim;
use crate::sync::Mutex;

/// How long to wait before trying again. Work that nobody waits for is tried ever less often, each time after twice as long,
const RETRY: Duration = Duration::from_millis(500);
/// and so many times at most: every 64 seconds.
const RETRY_DOUBLINGS: u32 = 7;
/// A compaction that fails has written in vain what it came to: it is tried every 17 minutes in the end.
const RETRY_DOUBLINGS_COMPACTION: u32 = 11;

/// Kinds of background work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    Flush,
    Seal,
    Compact,
    CompactAgain,
    Pack,
    Reclaim,
    Promise,
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flush => "flush",
            Self::Seal => "seal",
            Self::Compact | Self::CompactAgain => "compaction",
            Self::Pack => "packing",
            Self::Reclaim => "reclaim",
            Self::Promise => "promise",
        })
    }
}

/// Background work that failed and is tried again; nothing is lost by it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOff {
    /// What it is: `flush`, `seal`, `compaction`, `packing`, `reclaim`.
    pub work: String,
    /// Why it failed last.
    pub why: String,
    /// How often in a row it failed.
    pub times: u32,
}

/// Whether work that failed is tried again. All other failures latch.
pub(super) fn is_put_off(work: Work, error: &Error) -> bool {
    let nobody_waits = matches!(work, Work::Compact | Work::CompactAgain | Work::Pack | Work::Reclaim);
    matches!(error, Error::OutOfSpace { .. }) || is_unreadable(error) || nobody_waits && is_given_up(error)
}

/// What is put off now.
#[derive(Default)]
pub(crate) struct PutOffs(Mutex<All>);

#[derive(Default)]
struct All {
    works: BTreeMap<Work, (Error, u32)>,
    compactions: Vec<Compaction>,
}

/// A compaction of tables that could not be read.
struct Compaction {
    claim: Claim,
    error: Error,
    times: u32,
    /// It is not to be tried now.
    waits: bool,
}

impl PutOffs {
    /// Work failed once more; answers after how long it is to be tried again.
    pub(crate) fn again(&self, work: Work, error: &Error) -> Duration {
        let mut all = self.0.lock();
        let (last, times) = all.works.entry(work).or_insert_with(|| (error.clone(), 0));
        *last = error.clone();
        *times = times.saturating_add(1);
        let is_waited_for = matches!(work, Work::Flush | Work::Seal | Work::Promise);
        let ever_less = !(is_waited_for && matches!(error, Error::OutOfSpace { .. }));
        delay(if ever_less { *times } else { 1 }, RETRY_DOUBLINGS)
    }

    /// Work was done.
    pub(crate) fn done(&self, work: Work) {
        self.0.lock().works.remove(&work);
    }

    /// Why work failed last, if it is put off.
    pub(crate) fn error(&self, work: Work) -> Option<Error> {
        self.0.lock().works.get(&work).map(|(error, _)| error.clone())
    }

    /// A compaction failed, as a table could not be read.
    pub(crate) fn compaction(&self, claim: &Claim, error: &Error) {
        let mut all = self.0.lock();
        let (again, others) = std::mem::take(&mut all.compactions)
            .into_iter()
            .partition::<Vec<_>, _>(|before| before.claim.conflicts(claim));
        let times = again.iter().map(|before| before.times).max().unwrap_or(0).saturating_add(1);
        all.compactions = others;
        all.compactions.push(Compaction { claim: claim.clone(), error: error.clone(), times, waits: true });
    }

    /// A compaction was done.
    pub(crate) fn compacted(&self, claim: &Claim) {
        self.0.lock().compactions.retain(|before| before.waits || !before.claim.conflicts(claim));
    }

    /// What compactions are not to touch now.
    pub(crate) fn claims(&self) -> Vec<Claim> {
        let all = self.0.lock();
        all.compactions.iter().filter(|it| it.waits).map(|it| it.claim.clone()).collect()
    }

    /// After how long the compactions are tried again.
    pub(crate) fn compaction_delay(&self) -> Duration {
        let times = self.0.lock().compactions.iter().map(|it| it.times).max().unwrap_or(0);
        delay(times, RETRY_DOUBLINGS_COMPACTION)
    }

    /// They are tried again.
    pub(crate) fn release_compactions(&self) {
        self.0.lock().compactions.iter_mut().for_each(|it| it.waits = false);
    }

    /// For `stats`.
    pub(crate) fn list(&self) -> Vec<PutOff> {
        let all = self.0.lock();
        let one = |work: Work, error: &Error, times| PutOff {
            work: work.to_string(),
            why: error.to_string(),
            times,
        };
        let works = all.works.iter().map(|(work, (error, times))| one(*work, error, *times));
        works
            .chain(
                all.compactions
                    .iter()
                    .filter(|it| it.waits)
                    .map(|it| one(Work::Compact, &it.error, it.times)),
            )
            .collect()
    }
}

/// How long to wait after so many failures.
fn delay(times: u32, doublings: u32) -> Duration {
    RETRY.saturating_mul(2_u32.saturating_pow(times.saturating_sub(1).min(doublings)))
}
