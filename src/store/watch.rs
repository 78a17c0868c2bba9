//! Waiting for a watermark to move, by blocking or by waking a task.

use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::task::Waker;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

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
        let mut wakers = self.wakers.lock();
        let wakers = std::mem::take(&mut *wakers);
        self.waiters.fetch_sub(wakers.len(), Ordering::SeqCst);
        self.moved.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Sleeps until `ready` says so, or for `timeout` at most; answers whether it did.
    pub(crate) fn wait(&self, timeout: Option<Duration>, ready: impl Fn() -> bool) -> bool {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let mut guard = self.wakers.lock();
        let mut is_ready = ready();
        while !is_ready {
            match timeout {
                None => self.moved.wait(&mut guard),
                Some(timeout) => {
                    let timed_out = self.moved.wait_for(&mut guard, timeout).timed_out();
                    if timed_out {
                        is_ready = ready();
                        break;
                    }
                }
            }
            is_ready = ready();
        }
        drop(guard);
        self.waiters.fetch_sub(1, Ordering::SeqCst);
        is_ready
    }

    /// Wakes this task at the next move. The caller looks once more after calling this.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut wakers = self.wakers.lock();
        wakers.push(waker.clone());
        self.waiters.fetch_add(1, Ordering::SeqCst);
    }
}
