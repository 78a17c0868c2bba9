//! Opening: after `kill -9` in proportion to what was not flushed, not to the store; after a clean close at once.
//!
//! The program starts itself as a child, which loads a store and kills itself.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench has processes and clocks")]

mod support;

use std::path::Path;
use std::process::Command;

use recension::{Batch, Draft, Durability, Expect, Store};
use support::{Floor, Scratch, median, scaled, texts, time, verdict};

const LEN: usize = 8 << 10;
const CHILD: &str = "RECENSION_BENCH_REOPEN";
const ROUNDS: usize = 3;
/// Log bytes that the child leaves unflushed, MiB.
const UNFLUSHED: u64 = 64;

fn main() {
    if let Ok(job) = std::env::var(CHILD) {
        let [path, flushed, unflushed] = job.split('|').collect::<Vec<_>>()[..] else { panic!("{job}") };
        load_and_die(Path::new(path), flushed.parse().unwrap(), unflushed.parse().unwrap());
    }
    if !support::is_bench() {
        return;
    }
    let bigger = scaled(512) as u64;
    let [mut small, mut large, mut quarter] = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        small.push(killed(&format!("small-{round}"), 0, UNFLUSHED));
        large.push(killed(&format!("large-{round}"), bigger, UNFLUSHED));
        quarter.push(killed(&format!("quarter-{round}"), bigger, UNFLUSHED / 4));
    }
    let (small, large, quarter) = (median(small), median(large), median(quarter));
    verdict("reopen: killed with 64 MiB of log not flushed", small, "ms", Floor::None);
    verdict(&format!("reopen: the same behind {bigger} MiB flushed"), large, "ms", Floor::None);
    verdict("reopen: killed with 16 MiB not flushed, same store", quarter, "ms", Floor::None);
    verdict("reopen/killed: large store against small", large / small, "×", Floor::AtMost(1.3));
    verdict("reopen/killed: a quarter not flushed against all", quarter / large, "×", Floor::AtMost(0.5));

    let scratch = Scratch::new("reopen-clean");
    let path = scratch.path("store");
    let revisions = scaled(1_000_000);
    let (loading, ()) = time(|| million(&path, revisions));
    println!("{revisions} small revisions loaded and closed in {:.1} s", loading.as_secs_f64());
    let mut clean = Vec::new();
    for _ in 0..5 {
        let (elapsed, store) = time(|| Store::open(&path).unwrap());
        assert!(store.open_report().clean && store.published() == revisions as u64);
        clean.push(elapsed.as_secs_f64() * 1e3);
        store.close().unwrap();
    }
    verdict("reopen/clean: a store of a million revisions", median(clean), "ms", Floor::AtMost(50.0));
}

/// Milliseconds to open a store whose writer was killed.
fn killed(name: &str, flushed: u64, unflushed: u64) -> f64 {
    let scratch = Scratch::new(name);
    let path = scratch.path("store");
    let job = format!("{}|{flushed}|{unflushed}", path.display());
    let status = Command::new(std::env::current_exe().unwrap()).env(CHILD, job).status().unwrap();
    assert!(!status.success(), "the child ends by a signal");
    let (elapsed, store) = time(|| Store::open(&path).unwrap());
    let report = store.open_report();
    println!(
        "{name}: {:.0} ms, {} changes replayed, cut: {:?}",
        elapsed.as_secs_f64() * 1e3,
        report.replayed,
        report.cuts
    );
    elapsed.as_secs_f64() * 1e3
}

fn load_and_die(path: &Path, flushed: u64, unflushed: u64) -> ! {
    let store = Store::open(path).unwrap();
    let texts = texts(LEN, 2048);
    let written = || store.stats().unwrap().written.0 >> 20;
    let mut page = 0;
    let mut load = |up_to: u64| {
        while written() < up_to {
            let mut batch = Batch::new().as_run();
            for text in texts.iter().cycle().skip(page % texts.len()).take(16) {
                batch = batch
                    .put(format!("Page {page}"), Expect::Any, Draft::new(text.clone()).author("ann"))
                    .unwrap();
                page += 1;
            }
            store.commit_with(batch, Durability::Buffered).unwrap();
        }
    };
    load(flushed);
    store.flush().unwrap();
    let more = written() + unflushed;
    load(more);
    store.sync().unwrap();
    let _ = Command::new("kill").arg("-9").arg(std::process::id().to_string()).status();
    std::process::abort()
}

fn million(path: &Path, revisions: usize) {
    let store = Store::open(path).unwrap();
    let mut made = 0;
    while made < revisions {
        let mut batch = Batch::new().as_run();
        for _ in 0..(revisions - made).min(1000) {
            let draft = Draft::new(format!("revision {made}")).author("ann").comment("edited");
            batch = batch.put(format!("Q{}", made % 100_000), Expect::Any, draft).unwrap();
            made += 1;
        }
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    store.close().unwrap();
}
