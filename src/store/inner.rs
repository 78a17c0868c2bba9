//! What all handles of an open store share.

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::sync::{Condvar, Mutex};
use arc_swap::ArcSwap;

use super::append::LogState;
use super::background::Background;
use super::head_cache::HeadCache;
use super::memory::Budget;
use super::options::Options;
use super::pipeline::Pipeline;
use super::values::ValueMap;
use super::watch::Watch;
use crate::cache::Cache;
use crate::env::Env;
use crate::index::levels::IndexView;
use crate::manifest::{Manifest, StoreLock};
use crate::{Error, Result};

/// Buckets of [`Inner::last_sequence`].
pub(crate) const BUCKETS: usize = if cfg!(shuttle) { 1 << 4 } else { 1 << 16 };

/// An open store.
///
/// Locks are taken in this order: `closing`, `reclaiming`, `compacting`, `packing`, `flushing`, `sealing` → `install_lock` → `log` → `view_lock`, and
/// `space` → `pipeline`. No I/O happens under `pipeline` and `view_lock`.
pub(crate) struct Inner {
    pub(crate) env: Env,
    pub(crate) path: PathBuf,
    /// The store's id.
    pub(crate) store: [u8; 16],
    pub(crate) options: Options,
    pub(crate) budget: Budget,
    pub(crate) read_only: bool,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) heads: HeadCache,
    /// What readers look at: memtables and tables.
    pub(crate) view: ArcSwap<IndexView>,
    /// Whether there is any annotation: without one, reads need not ask the view.
    pub(crate) annotated: AtomicBool,
    /// Which value file holds which content.
    pub(crate) values: ArcSwap<ValueMap>,
    /// Held while tables or sealed segments are put into the manifest and shown.
    pub(crate) install_lock: Mutex<()>,
    /// Held while the store is being closed.
    pub(crate) closing: Mutex<()>,
    /// Held while `view` or `values` is exchanged. No I/O happens under it.
    pub(crate) view_lock: Mutex<()>,
    /// By entity hash: the last sequence number given out to an entity of the bucket. What was looked up at S still holds if this
    /// is not above S.
    pub(crate) last_sequence: Box<[AtomicU64]>,
    /// The critical section of a commit.
    pub(crate) pipeline: Mutex<Pipeline>,
    /// Held while log space is reserved; no two callers prepare a segment at once.
    pub(crate) space: Mutex<()>,
    /// The end of the log, for the leader of a group.
    pub(crate) log: Mutex<LogState>,
    /// Reads and CAS go up to here.
    pub(crate) published: AtomicU64,
    /// Feed, flush and backup go up to here.
    pub(crate) durable: AtomicU64,
    /// Wakes who waits for a watermark.
    pub(crate) watch: Watch,
    /// The first failure; from then on no more writes.
    pub(crate) latch: OnceLock<Arc<str>>,
    /// The first failed sync of the directories above a checkpoint: names in them may be lost, and a second sync would not say so.
    pub(crate) checkpoint_failed: OnceLock<Error>,
    pub(crate) closed: AtomicBool,
    pub(crate) background: Background,
    /// Waiters for background work (a full queue of memtables).
    pub(crate) background_done: (Mutex<u64>, Condvar),
    pub(crate) reserve: super::reserve::Reserve,
    pub(crate) counters: super::stats::Counters,
    /// Given up last.
    pub(crate) lock: Mutex<Option<StoreLock>>,
}

impl Inner {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn view(&self) -> Arc<IndexView> {
        self.view.load_full()
    }

    pub(crate) fn values(&self) -> Arc<ValueMap> {
        self.values.load_full()
    }

    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// The bucket of a hash.
    pub(crate) fn bucket(&self, hash: u64) -> &AtomicU64 {
        // The array has exactly `BUCKETS` entries, and the mask stays below that.
        &self.last_sequence[(hash as usize) & (BUCKETS - 1)]
    }

    /// Stops all writing. The first cause stays.
    pub(crate) fn latch(&self, cause: &Error) -> Error {
        let cause = self.latch.get_or_init(|| {
            probe!("store: latched");
            tracing::error!(%cause, "the store takes no more writes");
            match cause {
                // The manifest's own.
                Error::Latched { cause } => cause.clone(),
                cause => Arc::from(cause.to_string()),
            }
        });
        self.watch.notify();
        self.wake_background();
        Error::Latched { cause: cause.clone() }
    }

    /// An error if the store takes no writes.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if let Some(cause) = self.latch.get() {
            return Err(Error::Latched { cause: cause.clone() });
        }
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::invalid("the store was closed"));
        }
        if self.read_only {
            return Err(Error::invalid("the store was opened for reading only"));
        }
        Ok(())
    }

    pub(crate) fn wake_background(&self) {
        *self.background_done.0.lock() += 1;
        self.background_done.1.notify_all();
    }
}
