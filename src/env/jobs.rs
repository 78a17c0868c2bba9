//! Background work as a queue of jobs.

use std::time::Duration;

/// A piece of background work. It is short (one flush, one compaction step of bounded size) and owns what it needs.
pub type Job = Box<dyn FnOnce() + Send + 'static>;

/// Which jobs go first. Within a class, first in first out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobClass {
    /// Writers wait for it: preparing log space, driving tickets, promises.
    Urgent,
    /// Flushing memtables, sealing segments.
    Flush,
    /// Compaction, packing, verification.
    Compact,
}

/// Runs jobs, on threads or by hand.
///
/// Nothing here is allowed to be the only owner of something that must be finished: a job may never run (the process may end).
pub trait Jobs: Send + Sync + 'static {
    /// Queues a job.
    fn spawn(&self, class: JobClass, job: Job);
    /// Queues a job to run once `delay` has passed (not earlier; later is allowed).
    fn spawn_after(&self, delay: Duration, class: JobClass, job: Job);
    /// Called by a thread that waits for background work. Where jobs are stepped by hand, runs one queued job and answers
    /// `true` (`false` if none is ready: whoever waits then waits for ever, which is a bug in the engine). Where threads run
    /// them, answers `None`: wait on your condition variable.
    fn help(&self) -> Option<bool>;
    /// Whether jobs are stepped by hand. Runs nothing.
    fn is_stepped(&self) -> bool {
        false
    }
}
