//! Look-ups of entities that are not there: memtable half full, tables that all cover every name asked for. How many look-ups read a block,
//! and how many a second and thread.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench has clocks")]

mod support;

use std::path::Path;

use recension::limits::Limits;
use recension::{Batch, ByteSize, Draft, Durability, Expect, Head, Store};
use support::{Draws, Floor, Scratch, counting::counting_env, median, scaled, time, verdict};

const TABLES: usize = 6;
const ROUNDS: usize = 7;

fn main() {
    if !support::is_bench() {
        return;
    }
    let scratch = Scratch::new("absent");
    let (env, reads) = counting_env();
    let limits = limits();
    let store = Store::builder(scratch.path("store"))
        .env(env)
        .memory(ByteSize::mib(1024))
        .limits(limits)
        .open()
        .unwrap();
    let each = scaled(40_000);
    for table in 0..TABLES {
        fill(&store, table, each);
        store.flush().unwrap();
    }
    let mut part = TABLES;
    while store.stats().unwrap().memtable.1 < limits.memtable_bytes / 2 {
        fill(&store, part, 5000);
        part += 1;
    }
    let stats = store.stats().unwrap();
    println!(
        "{} tables in level 0, memtable {} of {} bytes",
        stats.levels[0].0, stats.memtable.1, limits.memtable_bytes
    );
    assert!(stats.levels[0].0 >= 4 && stats.memtables_waiting == 0);

    let mut draws = Draws::new(1);
    let count = scaled(500_000);
    let names: Vec<String> = (0..count).map(|_| format!("Q{:016x}x", draws.next())).collect();
    let (mut rates, mut blocks) = (Vec::new(), 0);
    for round in 0..=ROUNDS {
        let before = reads.tables();
        let (elapsed, found) =
            time(|| names.iter().filter(|name| !matches!(store.head(name).unwrap(), Head::Absent)).count());
        assert_eq!(found, 0);
        // The first round reads filters and indexes.
        if round == 0 {
            println!("first round, caches cold: {} reads", reads.tables() - before);
            continue;
        }
        rates.push(count as f64 / elapsed.as_secs_f64());
        blocks += reads.tables() - before;
    }
    store.close().unwrap();
    let (fresh_reads, looked_up) = fresh(&scratch.path("store"), &names[..names.len().min(20_000)]);
    let without = 100.0 * (1.0 - fresh_reads as f64 / looked_up as f64);
    verdict(
        "read_absent: look-ups without a block read, blocks cached",
        100.0 - 100.0 * blocks as f64 / (count * ROUNDS) as f64,
        "%",
        Floor::AtLeast(99.0),
    );
    verdict("read_absent: look-ups without a block read, freshly opened", without, "%", Floor::AtLeast(99.0));
    verdict("read_absent: look-ups a second, one thread", median(rates), "/s", Floor::AtLeast(1e6));
}

/// No compaction: the tables stay in level 0 and overlap.
fn limits() -> Limits {
    Limits { level0_tables: 64, ..Limits::PRODUCTION }
}

/// A store that was just opened. Bringing in a filter or an index is not counted: it happens once a table.
fn fresh(path: &Path, names: &[String]) -> (u64, usize) {
    let (env, reads) = counting_env();
    let store = Store::builder(path).env(env).memory(ByteSize::mib(1024)).limits(limits()).open().unwrap();
    let (first, rest) = names.split_at(names.len() / 2);
    first.iter().for_each(|name| _ = store.head(name).unwrap());
    let before = reads.tables();
    rest.iter().for_each(|name| _ = store.head(name).unwrap());
    (reads.tables() - before, rest.len())
}

/// Spread over the whole range of names, so that every table covers every name.
fn fill(store: &Store, part: usize, count: usize) {
    let mut draws = Draws::new(1000 + part as u64);
    let mut left = count;
    while left > 0 {
        let mut batch = Batch::new().as_run();
        for _ in 0..left.min(500) {
            batch = batch
                .put(format!("Q{:016x}", draws.next()), Expect::Any, Draft::new("text").author("ann"))
                .unwrap();
        }
        left -= batch.len();
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
}
