//! Tickets and the feed on an executor: the smallest one there is, for the library asks for none.
#![allow(clippy::disallowed_methods, reason = "threads")]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use recension::{Batch, Draft, Durability, ErrorKind, Expect, Outcome, Store};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn one(entity: &str) -> Batch {
    Batch::new().put(entity, Expect::Any, Draft::new("x")).unwrap()
}

#[test]
fn many_commits_in_flight_are_awaited_from_one_thread() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    let tickets: Vec<_> = (0..50).map(|_| store.submit(one("e"), Durability::Sync).unwrap()).collect();
    for (n, ticket) in (1_u64..).zip(tickets) {
        let committed = block_on(ticket).unwrap();
        assert_eq!(committed.outcome(), Outcome::Written { revision: n, sequence: n });
        assert!(store.durable() >= n, "a ticket is done when its commit is durable");
    }
    let stale =
        store.submit(Batch::new().put("e", Expect::Head(1), Draft::new("y")).unwrap(), Durability::Sync);
    let refused = match stale {
        Ok(ticket) => block_on(ticket).unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused.kind(), ErrorKind::Conflict);
}

#[test]
fn the_feed_is_awaited_and_ends_when_the_store_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("s")).unwrap();
    store.commit(one("first")).unwrap();
    let mut feed = store.changes(0).unwrap();
    assert_eq!(block_on(feed.next_async()).unwrap().unwrap().sequence, 1);
    let writer = {
        let store = store.clone();
        std::thread::spawn(move || {
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(2));
                store.commit(one("e")).unwrap();
            }
            store.close().unwrap();
        })
    };
    let mut seen = Vec::new();
    while let Some(change) = block_on(feed.next_async()).unwrap() {
        seen.push(change.sequence);
    }
    writer.join().unwrap();
    assert_eq!(seen, (2..=21).collect::<Vec<_>>());
    assert!(block_on(feed.next_async()).unwrap().is_none(), "it stays at its end");
}
