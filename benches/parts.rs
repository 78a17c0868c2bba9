//! The parts of a commit and of a read by themselves, under criterion: how long each takes, and whether that changed since the last run
//! (`cargo bench --bench parts`, a part: `cargo bench --bench parts -- head`).
//!
//! What is promised as a ratio stands in benches of its own, which measure side by side; this one is for whoever changes a part.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    reason = "a bench has files and clocks, and criterion's macros document nothing"
)]

mod support;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use recension::codec::{Codec, compress, decompress};
use recension::index::filter::{Filter, Fingerprint, encode_filter};
use recension::{AsOf, Batch, Compaction, Digest, Draft, Durability, Expect, Progress, Store};
use support::{Draws, Scratch, texts};

const LEN: usize = 8 << 10;

/// What a commit does with a content before anything else, and what a read undoes.
fn content(criterion: &mut Criterion) {
    let texts = texts(LEN, 256);
    let mut group = criterion.benchmark_group("content_8KiB");
    group.throughput(Throughput::Bytes(LEN as u64));
    let mut at = 0;
    let mut next = || {
        at = (at + 1) % texts.len();
        &texts[at]
    };
    group.bench_function("digest", |bencher| bencher.iter(|| Digest::of(black_box(next()))));
    for (name, codec) in [("lz4", Codec::Lz4), ("zstd_3", Codec::Zstd)] {
        group.bench_function(format!("compress/{name}"), |bencher| {
            bencher.iter(|| compress(codec, 3, black_box(next())));
        });
        let stored = compress(codec, 3, &texts[0]);
        group.bench_function(format!("decompress/{name}"), |bencher| {
            bencher.iter(|| decompress(codec, black_box(&stored), LEN).unwrap());
        });
    }
    group.finish();
}

/// Look-ups of what is not there, the usual case.
fn filter(criterion: &mut Criterion) {
    let mut draws = Draws::new(1);
    let hashes: Vec<u64> = (0..100_000).map(|_| draws.next()).collect();
    let mut group = criterion.benchmark_group("filter_100000_entities");
    for (name, width) in [("narrow", Fingerprint::Narrow), ("wide", Fingerprint::Wide)] {
        let filter = Filter::decode(&Bytes::from(encode_filter(hashes.clone(), width))).unwrap();
        group.bench_function(BenchmarkId::new("absent", name), |bencher| {
            bencher.iter(|| filter.contains(black_box(draws.next())));
        });
        group.bench_function(BenchmarkId::new("build", name), |bencher| {
            bencher.iter(|| encode_filter(hashes.clone(), width));
        });
    }
    group.finish();
}

/// The same reads of histories of 1 to 100 000 revisions: they should all take as long. `index` is the head cache left out: blocks warm, in a
/// table.
fn histories(criterion: &mut Criterion) {
    let scratch = Scratch::new("parts-histories");
    let store = Store::open(scratch.path("store")).unwrap();
    let lengths = [1, 10, 1_000, 100_000];
    for length in lengths {
        let name = format!("page with {length}");
        let mut left = length;
        while left > 0 {
            let mut batch = Batch::new().as_run();
            for _ in 0..left.min(1000) {
                let draft = Draft::new(format!("one of {length}")).author("ann").comment("edited");
                batch = batch.put(&name, Expect::Any, draft).unwrap();
            }
            left -= left.min(1000);
            store.commit_with(batch, Durability::Buffered).unwrap();
        }
    }
    store.flush().unwrap();
    store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    let now = AsOf::Sequence(store.published());
    let mut group = criterion.benchmark_group("head");
    for length in lengths {
        let name = format!("page with {length}");
        group.bench_function(BenchmarkId::new("cached", length), |bencher| {
            bencher.iter(|| store.head(black_box(&name)).unwrap());
        });
        group.bench_function(BenchmarkId::new("index", length), |bencher| {
            bencher.iter(|| store.as_of(black_box(&name), now).unwrap());
        });
        group.bench_function(BenchmarkId::new("oldest", length), |bencher| {
            bencher.iter(|| store.revision(black_box(&name), 1).unwrap());
        });
    }
    group.finish();
    store.close().unwrap();
}

/// Contents out of packs: an old one and a walk, with everything cached that the store caches.
fn packed(criterion: &mut Criterion) {
    let scratch = Scratch::new("parts-packed");
    let store = Store::open(scratch.path("store")).unwrap();
    let texts = texts(LEN, 64);
    // Each revision changes one line of the one before, as edits do.
    let mut text: Vec<u8> = texts.iter().take(2).flat_map(|text| text.to_vec()).collect();
    for number in 1..=1_000_usize {
        let at = number * 37 % (text.len() - 40);
        text[at..at + 20].copy_from_slice(format!("{number:020}").as_bytes());
        store.put("page", Expect::Any, Draft::new(text.clone())).unwrap();
    }
    store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    let mut group = criterion.benchmark_group("packed_16KiB");
    let mut number = 0;
    group.bench_function("old_revision", |bencher| {
        bencher.iter(|| {
            // Far apart, so that neighbours do not share a group.
            number = (number + 331) % 1_000;
            store.revision("page", number + 1).unwrap().unwrap().content().unwrap()
        });
    });
    group.sample_size(20);
    group.bench_function("walk_1000_revisions", |bencher| {
        bencher.iter(|| {
            let history = store.history("page").unwrap();
            history
                .map(|revision| revision.unwrap().content().unwrap().bytes().map_or(0, Bytes::len))
                .sum::<usize>()
        });
    });
    group.finish();
    store.close().unwrap();
}

criterion_group!(parts, content, filter, histories, packed);
criterion_main!(parts);
