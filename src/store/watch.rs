//! Waiting for a watermark to move, by blocking or by waking a task.

use crate::sync::atomic::{AtomicUsize, Ordering, fence};
use std::task::Waker;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

use crate::env::Clock;

/// Wakes everybody when something moved. Costs one load when nobody waits.
#[derive(Default)]
pub(crate) struct Watch {
    waiters: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
    moved: Condvar,
}

impl Watch {
    /// Wakes all.
    pub(crate) fn notify(&self) {
        // Between storing what moved and looking for waiters; a waiter counts itself before it looks at what moved.
        fence(Ordering::SeqCst);
        if self.waiters.load(Ordering::SeqCst) == 0 {
            return;
        }
        let taken = {
            let mut wakers = self.wakers.lock();
            let taken = std::mem::take(&mut *wakers);
            self.waiters.fetch_sub(taken.len(), Ordering::SeqCst);
            self.moved.notify_all();
            taken
        };
        // Not under the lock: a waker may poll at once, and register again.
        taken.into_iter().for_each(Waker::wake);
    }

    /// Sleeps until `ready` says so, or for `timeout` at most; answers whether it did. A wake-up that finds nothing ready does not start
    /// the time anew: `clock` tells how much is left.
    pub(crate) fn wait(
        &self,
        clock: &dyn Clock,
        timeout: Option<Duration>,
        ready: impl Fn() -> bool,
    ) -> bool {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let start = clock.monotonic_us();
        let mut guard = self.wakers.lock();
        let is_ready = loop {
            if ready() {
                break true;
            }
            match timeout {
                None => self.moved.wait(&mut guard),
                Some(timeout) => {
                    let passed = Duration::from_micros(clock.monotonic_us().saturating_sub(start));
                    let left = timeout.saturating_sub(passed);
                    if left.is_zero() || self.moved.wait_for(&mut guard, left).timed_out() {
                        break ready();
                    }
                }
            }
        };
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        is_ready
    }

    /// Wakes this task at the next move. The caller looks once more after calling this.
    pub(crate) fn register(&self, waker: &Waker) {
        {
            let mut wakers = self.wakers.lock();
            if !wakers.iter().any(|other| other.will_wake(waker)) {
                wakers.push(waker.clone());
                self.waiters.fetch_add(1, Ordering::SeqCst);
            }
        }
        fence(Ordering::SeqCst);
    }
}
