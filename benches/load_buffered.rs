//! Loading 8 KiB wiki texts from one thread with `Durability::Buffered`, as a ratio to a plain append of the same raw bytes. Both end
//! with a sync; the store's index is flushed by its own background work as it goes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench has files and clocks")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use recension::env::{Access, Fs, OsFs, write_all_at};
use recension::{Batch, Draft, Durability, Expect, Store};
use support::{Floor, Scratch, median, scaled, texts, thread_cpu, time, verdict};

const LEN: usize = 8 << 10;
const ROUNDS: usize = 5;

fn main() {
    if !support::is_bench() {
        return;
    }
    let count = scaled(24_000);
    let texts = texts(LEN, 4096);
    let mib = (count * LEN) as f64 / f64::from(1 << 20);
    let (mut plain, mut store, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let scratch = Scratch::new("load");
        let start = thread_cpu();
        let (plain_time, ()) = time(|| append(&scratch, &texts, count));
        let between = thread_cpu();
        let (store_time, ()) = time(|| load(&scratch, &texts, count));
        let end = thread_cpu();
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / count as f64;
        println!(
            "round {round}: plain {:.0} MiB/s, {:.1} µs of CPU a text; store {:.0} MiB/s, {:.1} µs of CPU",
            mib / plain_time.as_secs_f64(),
            each(between - start),
            mib / store_time.as_secs_f64(),
            each(end - between)
        );
        plain.push(mib / plain_time.as_secs_f64());
        store.push(mib / store_time.as_secs_f64());
        ratios.push(plain_time.as_secs_f64() / store_time.as_secs_f64());
    }
    verdict("load_buffered: plain append", median(plain), "MiB/s", Floor::None);
    verdict("load_buffered: store", median(store), "MiB/s", Floor::None);
    verdict("load_buffered: raw bytes/s against plain append", median(ratios), "×", Floor::AtLeast(0.35));
}

fn append(scratch: &Scratch, texts: &[Bytes], count: usize) {
    let file = OsFs::new().open(&scratch.path("plain"), Access::CreateNew).unwrap();
    for i in 0..count {
        write_all_at(&*file, &texts[i % texts.len()], (i * LEN) as u64).unwrap();
    }
    file.sync_data().unwrap();
}

fn load(scratch: &Scratch, texts: &[Bytes], count: usize) {
    let store = Store::open(scratch.path("store")).unwrap();
    for i in 0..count {
        let draft = Draft::new(texts[i % texts.len()].clone()).author("ann").comment("edited");
        // 4 000 entities, each edited now and then.
        let batch = Batch::new().put(format!("Page {}", i % 4000), Expect::Any, draft).unwrap();
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    store.sync().unwrap();
}
