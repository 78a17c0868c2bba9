//! Background jobs on a few threads.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is what stands behind env::Jobs"
)]

use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Job, JobClass, Jobs};

/// A small pool. Its threads start with the first job and end when the pool is dropped; a job that is running then is not
/// waited for, and jobs still queued are dropped.
pub struct ThreadJobs {
    shared: Arc<Shared>,
    threads: usize,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
}

#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Entry>,
    later: Vec<(Instant, Entry)>,
    next: u64,
    started: usize,
    idle: usize,
    running_heavy: usize,
}

struct Entry {
    class: JobClass,
    order: u64,
    job: Job,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}
impl Eq for Entry {}
impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Entry {
    /// The heap's greatest is the most urgent, then the oldest.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.class.cmp(&self.class).then(other.order.cmp(&self.order))
    }
}

impl ThreadJobs {
    /// A pool of up to `threads` threads (at least 2: one is kept free of compactions).
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new() });
        Self { shared, threads: threads.max(2) }
    }

    fn push(&self, delay: Duration, class: JobClass, job: Job) {
        let mut queue = self.shared.queue.lock();
        let order = queue.next;
        queue.next = order.wrapping_add(1);
        let entry = Entry { class, order, job };
        if delay.is_zero() {
            queue.heap.push(entry);
        } else {
            queue.later.push((Instant::now() + delay, entry));
        }
        if queue.idle == 0 && queue.started < self.threads {
            queue.started += 1;
            let weak = Arc::downgrade(&self.shared);
            let heavy_max = self.threads - 1;
            let spawned =
                std::thread::Builder::new().name("recension".into()).spawn(move || work(&weak, heavy_max));
            if spawned.is_err() {
                queue.started -= 1;
            }
        }
        drop(queue);
        self.shared.ready.notify_one();
    }
}

impl Drop for ThreadJobs {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        let dropped = (std::mem::take(&mut queue.heap), std::mem::take(&mut queue.later));
        queue.next = u64::MAX;
        drop(queue);
        self.shared.ready.notify_all();
        drop(dropped);
    }
}

impl Jobs for ThreadJobs {
    fn spawn(&self, class: JobClass, job: Job) {
        self.push(Duration::ZERO, class, job);
    }

    fn spawn_after(&self, delay: Duration, class: JobClass, job: Job) {
        self.push(delay, class, job);
    }

    fn help(&self) -> Option<bool> {
        None
    }
}

const CLOSED: u64 = u64::MAX;

fn work(weak: &Weak<Shared>, heavy_max: usize) {
    while let Some(shared) = weak.upgrade() {
        let mut queue = shared.queue.lock();
        if queue.next == CLOSED {
            return;
        }
        let now = Instant::now();
        let mut i = 0;
        while let Some((when, _)) = queue.later.get(i) {
            if *when <= now {
                let (_, entry) = queue.later.swap_remove(i);
                queue.heap.push(entry);
            } else {
                i += 1;
            }
        }
        let heavy_allowed = queue.running_heavy < heavy_max;
        let runnable =
            queue.heap.peek().is_some_and(|entry| entry.class != JobClass::Compact || heavy_allowed);
        if runnable && let Some(entry) = queue.heap.pop() {
            let heavy = entry.class == JobClass::Compact;
            queue.running_heavy += usize::from(heavy);
            drop(queue);
            (entry.job)();
            if heavy {
                shared.queue.lock().running_heavy -= 1;
                shared.ready.notify_one();
            }
            continue;
        }
        let wait = queue.later.iter().map(|(when, _)| when.saturating_duration_since(now)).min();
        queue.idle += 1;
        // Bounded, so that a pool that was dropped is noticed.
        let _ = shared.ready.wait_for(&mut queue, wait.unwrap_or(Duration::from_secs(1)));
        queue.idle -= 1;
    }
}
