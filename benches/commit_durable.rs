//! Durable commits of 8 KiB of wiki text.
//!
//! - One thread, as a ratio to a plain loop of append and `fdatasync` of the same texts into a file whose space is prepared as the log's is
//!   (docs/decisions/0001-log-space.md).
//! - 32 threads, as a ratio to one.
//!
//! Both with packing put off: it is a second job, for which the processors of a small machine are not enough beside 32 writers. What it costs
//! them is told as well, without a floor.
//!
//! All of them take turns in one run. Plain and store alternate every few commits: a disk and a processor that were just busy are faster, and
//! whoever came right after the 32 threads had that for himself.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench has threads, files and clocks"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use recension::env::{Access, File, Fs, OsFs, write_all_at};
use recension::{Draft, Expect, Packing, Store};
use support::{Floor, Scratch, median, scaled, texts, time, verdict};

const LEN: usize = 8 << 10;
const ROUNDS: usize = 12;
/// Commits until plain and store change places.
const TURN: usize = 20;
const WRITERS: usize = 32;
const ZERO_STEP: u64 = 256 << 10;

fn main() {
    if !support::is_bench() {
        return;
    }
    let scratch = Scratch::new("commit");
    let (each, each_writer) = (scaled(300), scaled(60));
    let texts = texts(LEN, 2048);
    let store = Store::builder(scratch.path("store")).packing(Packing::WhenAsked).open().unwrap();
    let mut plain = Plain::new(&scratch, ROUNDS * each * LEN);
    let (mut alone, mut plainly, mut together, mut beside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut ratios, mut gains) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (mut plain_time, mut one_time) = (Duration::ZERO, Duration::ZERO);
        for turn in (round * each..(round + 1) * each).step_by(TURN) {
            let range = turn..(turn + TURN).min((round + 1) * each);
            plain_time += time(|| range.clone().for_each(|i| plain.append(&texts[i % texts.len()]))).0;
            one_time += time(|| put(&store, &texts, "alone", range)).0;
        }
        let (many_time, ()) = time(|| many(&store, &texts, round, each_writer));
        // The first round warms up.
        if round == 0 {
            continue;
        }
        let (plain_each, one_each) = (per(plain_time, each), per(one_time, each));
        let many_each = per(many_time, each_writer * WRITERS);
        ratios.push(plain_each / one_each);
        gains.push(one_each / many_each);
        plainly.push(plain_each);
        alone.push(one_each);
        together.push(many_each);
    }
    // Behind the others, for what it leaves to be packed would go on beside them.
    let packing = Store::open(scratch.path("packing")).unwrap();
    for round in 0..ROUNDS {
        let (beside_time, ()) = time(|| many(&packing, &texts, round, each_writer));
        beside.push(per(beside_time, each_writer * WRITERS));
    }
    verdict("commit_durable: plain append + fdatasync", median(plainly), "µs", Floor::None);
    verdict("commit_durable: one writer", median(alone), "µs", Floor::None);
    verdict("commit_durable: 32 writers, a commit", median(together), "µs", Floor::None);
    verdict("commit_durable: 32 writers beside packing", median(beside), "µs", Floor::None);
    verdict("commit_durable/one_writer: commits against plain", median(ratios), "×", Floor::AtLeast(0.85));
    verdict("commit_durable/32_writers: commits against one writer", median(gains), "×", Floor::AtLeast(5.0));
}

fn per(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn put(store: &Store, texts: &[Bytes], name: &str, range: std::ops::Range<usize>) {
    for i in range {
        let draft = Draft::new(texts[i % texts.len()].clone()).author("ann").comment("edited");
        store.put(format!("{name} {i}"), Expect::Absent, draft).unwrap();
    }
}

fn many(store: &Store, texts: &[Bytes], round: usize, each: usize) {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let name = format!("writer {writer}");
            scope.spawn(move || put(store, texts, &name, round * each..(round + 1) * each));
        }
    });
}

/// A file whose zeros are written ahead in steps, synced with the record's own sync.
struct Plain {
    file: Arc<dyn File>,
    at: u64,
    zeroed: u64,
    buffer: Vec<u8>,
}

impl Plain {
    fn new(scratch: &Scratch, len: usize) -> Self {
        let file = OsFs::new().open(&scratch.path("plain"), Access::CreateNew).unwrap();
        file.allocate(0, 2 * len as u64).unwrap();
        file.sync_data().unwrap();
        Self { file, at: 0, zeroed: 0, buffer: Vec::new() }
    }

    fn append(&mut self, text: &[u8]) {
        let end = self.at + text.len() as u64;
        if end > self.zeroed {
            self.buffer.clear();
            self.buffer.extend_from_slice(text);
            self.buffer.resize(text.len() + ZERO_STEP as usize, 0);
            write_all_at(&*self.file, &self.buffer, self.at).unwrap();
            self.zeroed = end + ZERO_STEP;
        } else {
            write_all_at(&*self.file, text, self.at).unwrap();
        }
        self.file.sync_data().unwrap();
        self.at = end;
    }
}
