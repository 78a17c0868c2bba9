//! Background jobs on a few threads.
//!
//! Invariants:
//! 1. While a job is ready and fewer threads than allowed are started, no ready job waits behind a busy thread: whoever queues
//!    a job, and whoever takes one, starts another thread if more jobs are left than threads are waiting.
//! 2. Compactions never occupy all threads.
//! 3. A job that panics ends itself and nothing else: the thread goes on, the count of compactions is right.
//! 4. Nothing polls: a waiting thread wakes for a job, for the next delayed job, or because the pool was dropped.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is what stands behind env::Jobs"
)]

use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Job, JobClass, Jobs};

/// A small pool. Its threads start as jobs arrive and end when the pool is dropped; a job that is running then is not
/// waited for, and jobs still queued are dropped.
pub struct ThreadJobs {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    ready: Condvar,
    threads_max: usize,
}

#[derive(Default)]
struct Queue {
    heap: BinaryHeap<Entry>,
    later: Vec<(Instant, Entry)>,
    next: u64,
    started: usize,
    /// Threads that wait. One that was woken counts until it runs.
    idle: usize,
    running_heavy: usize,
    closed: bool,
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
        let threads_max = threads.max(2);
        Self { shared: Arc::new(Shared { queue: Mutex::default(), ready: Condvar::new(), threads_max }) }
    }

    fn push(&self, delay: Duration, class: JobClass, job: Job) {
        let now = Instant::now();
        // Further away than an instant can say: it never comes, and a job may never run.
        let Some(due) = now.checked_add(delay) else { return };
        let mut queue = self.shared.queue.lock();
        let order = queue.next;
        queue.next = order.wrapping_add(1);
        let entry = Entry { class, order, job };
        if due > now {
            queue.later.push((due, entry));
        } else {
            queue.heap.push(entry);
        }
        start_if_needed(&self.shared, &mut queue);
        drop(queue);
        self.shared.ready.notify_one();
    }
}

impl Drop for ThreadJobs {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.closed = true;
        let dropped = (std::mem::take(&mut queue.heap), std::mem::take(&mut queue.later));
        drop(queue);
        self.shared.ready.notify_all();
        // Outside the lock: what a job owns may do anything when it is dropped.
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

/// Starts a thread if more jobs are ready than threads wait, or if nobody waits for the delayed ones.
fn start_if_needed(shared: &Arc<Shared>, queue: &mut Queue) {
    let wanted = queue.heap.len().max(usize::from(!queue.later.is_empty()));
    if wanted <= queue.idle || queue.started >= shared.threads_max {
        return;
    }
    let for_thread = Arc::clone(shared);
    match std::thread::Builder::new().name("recension".into()).spawn(move || work(&for_thread)) {
        Ok(_) => queue.started += 1,
        // The job stays queued; the next one tries again.
        Err(e) => tracing::error!(error = %e, started = queue.started, "cannot start a background thread"),
    }
}

fn work(shared: &Arc<Shared>) {
    let mut queue = shared.queue.lock();
    while !queue.closed {
        let now = Instant::now();
        let mut i = 0;
        while let Some((due, _)) = queue.later.get(i) {
            if *due <= now {
                let (_, entry) = queue.later.swap_remove(i);
                queue.heap.push(entry);
            } else {
                i += 1;
            }
        }
        let heavy_allowed = queue.running_heavy + 1 < shared.threads_max;
        let runnable =
            queue.heap.peek().is_some_and(|entry| entry.class != JobClass::Compact || heavy_allowed);
        if runnable && let Some(entry) = queue.heap.pop() {
            let heavy = usize::from(entry.class == JobClass::Compact);
            queue.running_heavy += heavy;
            start_if_needed(shared, &mut queue);
            drop(queue);
            run(entry.job);
            queue = shared.queue.lock();
            queue.running_heavy -= heavy;
            continue;
        }
        let next_due = queue.later.iter().map(|(due, _)| *due).min();
        queue.idle += 1;
        match next_due {
            Some(due) => _ = shared.ready.wait_until(&mut queue, due),
            None => shared.ready.wait(&mut queue),
        }
        queue.idle -= 1;
    }
}

/// Runs a job to its end or its panic, and drops what it owns.
fn run(job: Job) {
    // Unwind safe: what the job owned is gone; shared state is behind locks whose owners latch the store when a job fails.
    if catch_unwind(AssertUnwindSafe(job)).is_err() {
        tracing::error!("a background job panicked; the others go on");
    }
}
