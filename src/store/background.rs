//! Background work: rotating and flushing memtables, sealing segments, compaction, promises.
//!
//! Each is a queue of one: a flag says that a job is queued or running, the job takes the flag down and looks once more. Jobs hold
//! the store weakly: when the last handle is dropped they find nothing to do. A failed job latches the store, unless it failed for want of room
//! or because something could not be read: then the work waits and is tried again (`put_off.rs`), and writers hear of it when they would have to
//! wait for it.

use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::sync::Mutex;
use bytes::Bytes;

use super::append::Rolled;
use super::forget::remains::Known;
use super::inner::Inner;
use super::open::OpenReport;
use super::options::Packing;
use super::put_off::{PutOffs, Work, is_put_off};
use super::unpackable::{is_given_up, is_unreadable};
use crate::codec::FileId;
use crate::env::{JobClass, Jobs};
use crate::index::memtable::Memtable;
use crate::pack::Crew;
use crate::{Error, Result};

/// What is queued or running.
#[derive(Default)]
pub(crate) struct Background {
    spare: AtomicBool,
    flush: AtomicBool,
    compact: AtomicBool,
    compact_again: AtomicBool,
    pack: AtomicBool,
    reclaim: AtomicBool,
    seal: AtomicBool,
    promise: AtomicBool,
    lead: AtomicBool,
    /// Jobs that hold the store now.
    running: AtomicUsize,
    /// The store was closed or dropped and its log is ended: the directory may be given up when no job runs. (`closed` comes first,
    /// while the log is still being written.)
    pub(crate) log_ended: AtomicBool,
    /// Held by whoever flushes, seals or compacts: each is done by one thread at a time.
    pub(crate) flushing: Mutex<()>,
    pub(crate) sealing: Mutex<()>,
    pub(crate) compacting: Mutex<()>,
    /// Whose turn it is to pack or to merge; whoever waits for it helps.
    pub(crate) packing: Crew,
    /// Held by whoever erases what is forgotten; taken before the others.
    pub(crate) reclaiming: Mutex<()>,
    /// Segments that were rolled over and are to be sealed, oldest first.
    to_seal: Mutex<Vec<Rolled>>,
    /// Files that cannot be packed or merged, since they are damaged or cannot be read. They stay as they are, and are tried again after the next
    /// opening, or when a full compaction asks.
    pub(crate) unpackable: Mutex<BTreeSet<FileId>>,
    /// Segments that are sealed and wait to be packed, as of the last seal or pack.
    pub(crate) waiting_to_pack: AtomicU64,
    /// What failed and is tried again.
    pub(crate) put_off: PutOffs,
    /// Log bytes written when a writer was last slowed down for packing.
    pub(crate) throttled_at: AtomicU64,
    /// Ranges of sequence numbers whose merge would not pay.
    pub(crate) declined: Mutex<BTreeSet<(u64, u64)>>,
    /// By the range of a merge that is half done, the entities behind which its parts end.
    pub(crate) part_ends: Mutex<BTreeMap<(u64, u64), Vec<Bytes>>>,
    /// What `stats` counted last of what is forgotten and not erased.
    pub(crate) not_erased: Mutex<Option<Known>>,
    /// Files that could not be written anew without what is forgotten when that was tried last, and why.
    pub(crate) not_reclaimed: Mutex<Vec<(String, String)>>,
    /// How often in a row there were any.
    pub(crate) reclaimed_in_vain: AtomicU32,
    /// Somebody makes the best layout: meanwhile nothing is packed or merged in the background.
    pub(crate) packing_fully: AtomicBool,
    pub(crate) open_report: OpenReport,
}

impl Background {
    pub(crate) fn new(open_report: OpenReport, jobs: Arc<dyn Jobs>) -> Self {
        Self { open_report, packing: Crew::new(jobs), ..Self::default() }
    }

    pub(crate) fn begin_spare(&self) -> bool {
        !self.spare.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn begin_lead(&self) -> bool {
        !self.lead.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn end_lead(&self) {
        self.lead.store(false, Ordering::Release);
    }

    pub(crate) fn end_spare(&self) {
        self.spare.store(false, Ordering::Release);
    }

    /// Whether no job is running.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.load(Ordering::SeqCst) == 0
    }

    /// How many segments wait to be sealed.
    pub(crate) fn segments_to_seal(&self) -> usize {
        self.to_seal.lock().len()
    }
}

/// Counts a job; the last one of a dropped store gives up its lock.
struct Running<'a>(&'a Inner);

impl<'a> Running<'a> {
    fn start(inner: &'a Inner) -> Self {
        inner.background.running.fetch_add(1, Ordering::SeqCst);
        Self(inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Both orders are seen by one of the two: whoever ends the log looks at `running` after it.
        let last = self.0.background.running.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.0.background.log_ended.load(Ordering::SeqCst) {
            self.0.give_up();
        }
    }
}

pub(crate) type Step = fn(&Arc<Inner>) -> Result<()>;

impl Inner {
    /// Called by the leader under the log lock, when its group was applied and published.
    pub(crate) fn rotate_if_full(self: &Arc<Self>) {
        let view = self.view();
        let Some(active) = view.active() else { return };
        let limits = &self.options.limits;
        let full = active.bytes() >= self.budget.memtable || active.log_bytes() >= limits.memtable_log_bytes;
        if full && !active.is_empty() {
            self.rotate();
        }
    }

    /// Starts a fresh memtable. Under the log lock: the leader is the only one who writes to memtables.
    pub(crate) fn rotate(self: &Arc<Self>) {
        let _guard = self.view_lock.lock();
        let fresh = Arc::new(Memtable::new(self.budget.memtable));
        self.view.store(Arc::new(self.view.load().rotated(fresh)));
    }

    /// Called by the leader when it has handed on the lead.
    pub(crate) fn after_group(self: &Arc<Self>) {
        if self.view.load().flush_next().is_some() {
            self.flush_in_background();
        }
        self.prepare_spare();
        self.promise_in_background();
    }

    /// Queues a job unless it is queued or running.
    fn once(
        self: &Arc<Self>,
        class: JobClass,
        delay: Duration,
        work: Work,
        flag: fn(&Background) -> &AtomicBool,
        step: Step,
    ) {
        if flag(&self.background).swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(self);
        let job = Box::new(move || {
            let Some(inner) = weak.upgrade() else { return };
            let _running = Running::start(&inner);
            flag(&inner.background).store(false, Ordering::Release);
            if inner.check_writable().is_err() {
                inner.wake_background();
                return;
            }
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| step(&inner)))
                .unwrap_or_else(|_| Err(Error::invalid("internal: a background job panicked")));
            match result {
                Ok(()) => {
                    inner.background.put_off.done(work);
                }
                Err(Error::Cancelled) => {}
                Err(Error::Invalid { .. }) if inner.closed.load(Ordering::Acquire) => {}
                Err(error) if is_put_off(work, &error) => {
                    match class {
                        JobClass::Compact => probe!("background: tried again ever less often"),
                        _ if is_unreadable(&error) => probe!("background: failed read, tried again"),
                        _ => probe!("background: disk full, tried again"),
                    }
                    let delay = inner.background.put_off.again(work, &error);
                    tracing::warn!(%work, %error, ?delay, "background work is put off");
                    inner.once(class, delay, work, flag, step);
                }
                Err(error) => _ = inner.latch(&error),
            }
            inner.wake_background();
        });
        match delay.is_zero() {
            true => self.env.jobs.spawn(class, job),
            false => self.env.jobs.spawn_after(delay, class, job),
        }
    }

    pub(crate) fn flush_in_background(self: &Arc<Self>) {
        self.once(
            JobClass::Flush,
            Duration::ZERO,
            Work::Flush,
            |background| &background.flush,
            |inner| {
                while inner.flush_one()? {
                    inner.wake_background();
                }
                Ok(())
            },
        );
    }

    pub(crate) fn compact_in_background(self: &Arc<Self>) {
        if self.next_compaction().is_some() {
            self.once(
                JobClass::Compact,
                Duration::ZERO,
                Work::Compact,
                |background| &background.compact,
                |inner| {
                    match inner.compact_one(&|| inner.is_ending()) {
                        Ok(false) => return Ok(()),
                        Ok(true) => {}
                        // Others go on meanwhile.
                        Err(error) if is_unreadable(&error) => inner.compact_again(),
                        Err(error) => return Err(error),
                    }
                    inner.compact_in_background();
                    Ok(())
                },
            );
        }
    }

    /// Queues another try at the compactions whose tables could not be read.
    fn compact_again(self: &Arc<Self>) {
        self.once(
            JobClass::Compact,
            self.background.put_off.compaction_delay(),
            Work::CompactAgain,
            |background| &background.compact_again,
            |inner| {
                inner.background.put_off.release_compactions();
                inner.compact_in_background();
                Ok(())
            },
        );
    }

    /// Queues the packing of sealed segments and the merging of packs, a segment or a part at a time (`turns`).
    pub(crate) fn pack_in_background(self: &Arc<Self>) {
        if self.options.packing == Packing::InBackground {
            self.background.waiting_to_pack.store(self.segments_to_pack().0, Ordering::Relaxed);
            self.once(
                JobClass::Compact,
                Duration::ZERO,
                Work::Pack,
                |background| &background.pack,
                |inner| {
                    if inner.background.packing_fully.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    let cancel = || inner.is_ending();
                    if inner.pack_or_merge(&cancel)? {
                        inner.pack_in_background();
                    }
                    Ok(())
                },
            );
        }
    }

    /// Queues the erasing of what is forgotten, unless it is queued.
    pub(crate) fn reclaim_once(self: &Arc<Self>, delay: Duration, step: Step) {
        self.once(JobClass::Compact, delay, Work::Reclaim, |background| &background.reclaim, step);
    }

    /// Whether background work should stop where it is.
    pub(crate) fn is_ending(&self) -> bool {
        self.closed.load(Ordering::Acquire) || self.latch.get().is_some()
    }

    /// Queues the sealing of segments that get no more frames. Called when all their frames are applied.
    pub(crate) fn seal_in_background(self: &Arc<Self>, rolled: &mut Vec<Rolled>) {
        if rolled.is_empty() {
            return;
        }
        self.background.to_seal.lock().append(rolled);
        self.seal_soon();
    }

    /// Queues sealing unless it is queued.
    pub(crate) fn seal_soon(self: &Arc<Self>) {
        self.once(
            JobClass::Flush,
            Duration::ZERO,
            Work::Seal,
            |background| &background.seal,
            |inner| inner.seal_all(),
        );
    }

    /// A failure of work on files latches, whoever asked for the work: a sync may be what failed, and it is not to be tried again. What only
    /// could not be read is as it was.
    pub(crate) fn latching<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            Error::OutOfSpace { .. } | Error::Cancelled => error,
            error if is_given_up(&error) || is_unreadable(&error) => error,
            Error::Invalid { .. } if self.closed.load(Ordering::Acquire) => error,
            error => self.latch(&error),
        })
    }

    /// Seals what is to be sealed, oldest first.
    pub(crate) fn seal_all(self: &Arc<Self>) -> Result<()> {
        let _one_at_a_time = self.background.sealing.lock();
        self.check_writable()?;
        loop {
            let Some(rolled) = self.background.to_seal.lock().first().cloned() else { return Ok(()) };
            self.latching(self.seal_one(&rolled))?;
            self.background.to_seal.lock().remove(0);
            self.pack_in_background();
        }
    }

    fn promise_in_background(self: &Arc<Self>) {
        let delay = self.options.promise_delay;
        self.once(
            JobClass::Urgent,
            delay,
            Work::Promise,
            |background| &background.promise,
            |inner| inner.write_promise(),
        );
    }
}
