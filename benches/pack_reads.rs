//! What reads out of packs cost, against what zstd needs for the same bytes.
//!
//! `cargo bench --bench pack_reads`. Floors: the head of a 16 KiB page takes at most 3 times as long as zstd takes to decode the page compressed alone;
//! an old revision at most 3 times as long as its group; a walk through 1 000 revisions decodes each group once.
//!
//! Files are in the page cache, blocks of the index mostly in the store's; decoded contents and groups are in no cache, for there are more of them
//! than it holds. That it was so is counted, not assumed. Reads and zstd take turns, so that both see the same machine; what is told is the median
//! of rounds.

mod support;

use std::hint::black_box;

use recension::{ByteSize, Compaction, Draft, Durability, Expect, Progress, Store};
use support::{Draws, Floor, Scratch, median, texts, time, verdict};

const LEN: usize = 16 << 10;
const REVISIONS: usize = 96;
const GROUP: usize = 32;
const ROUNDS: usize = 15;

fn main() {
    if !support::is_bench() {
        return;
    }
    let (pages, many) = (support::scaled(64), support::scaled(640));
    println!(
        "pages of {LEN} bytes, one line changed in each revision: {many} of {GROUP} for heads, {pages} of {REVISIONS} for old ones"
    );
    for (layout, full) in [("packed", false), ("compact --full", true)] {
        let scratch = Scratch::new("pack-reads");
        // All together they are 10 MiB, more than the store has memory for caches.
        let (store, contents) = packed(&scratch, "heads", ByteSize::mib(8), (many, GROUP), full);
        heads(&store, layout, &contents);
        store.close().unwrap();
        // A cache of 16 MiB: of all groups 96 MiB are read.
        let (store, contents) = packed(&scratch, "old", ByteSize::mib(32), (pages, REVISIONS), full);
        old(&store, layout, &contents, full);
        walk(&store, layout);
        store.close().unwrap();
    }
}

/// A store, and the revisions of its pages, oldest first.
fn packed(
    scratch: &Scratch,
    name: &str,
    memory: ByteSize,
    (pages, revisions): (usize, usize),
    full: bool,
) -> (Store, Vec<Vec<Vec<u8>>>) {
    let store = Store::builder(scratch.path(name)).memory(memory).open().unwrap();
    let contents = load(&store, pages, revisions);
    store.pack(&mut Progress::none()).unwrap();
    if full {
        store.compact(Compaction::Full, &mut Progress::none()).unwrap();
    }
    store.flush().unwrap();
    (store, contents)
}

fn load(store: &Store, pages: usize, revisions: usize) -> Vec<Vec<Vec<u8>>> {
    let texts = texts(LEN, pages);
    let mut contents: Vec<Vec<Vec<u8>>> = texts.iter().map(|text| vec![text.to_vec()]).collect();
    for number in 1..revisions {
        for history in &mut contents {
            let mut text = history.last().cloned().unwrap();
            let at = number * 337 % (LEN - 40);
            text[at..at + 20].copy_from_slice(format!("{number:020}").as_bytes());
            history.push(text);
        }
    }
    // A page's history at once: so its groups are full, and an old revision is a whole group.
    for (page, history) in contents.iter().enumerate() {
        for text in history {
            let batch = recension::Batch::new()
                .put(format!("page {page}"), Expect::Any, Draft::new(text.clone()))
                .unwrap();
            store.commit_with(batch, Durability::Buffered).unwrap();
        }
    }
    // One of 1 000 revisions, for the walk.
    let mut text = contents[0][0].clone();
    for number in 1..=1_000_usize {
        let at = number * 37 % (LEN - 40);
        text[at..at + 20].copy_from_slice(format!("{number:020}").as_bytes());
        let batch = recension::Batch::new().put("long", Expect::Any, Draft::new(text.clone())).unwrap();
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    contents
}

/// Runs two kinds of work in turns; the medians of their times for one piece, µs.
fn in_turns(mut read: impl FnMut(usize), mut zstd: impl FnMut(usize), pieces: usize) -> (f64, f64) {
    let (mut reads, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (spent, ()) = time(|| (0..pieces).for_each(&mut read));
        reads.push(spent.as_secs_f64() * 1e6 / pieces as f64);
        let (spent, ()) = time(|| (0..pieces).for_each(&mut zstd));
        alone.push(spent.as_secs_f64() * 1e6 / pieces as f64);
    }
    (median(reads), median(alone))
}

fn heads(store: &Store, layout: &str, contents: &[Vec<Vec<u8>>]) {
    let alone: Vec<Vec<u8>> =
        contents.iter().map(|it| zstd::bulk::compress(it.last().unwrap(), 3).unwrap()).collect();
    let head = |page: usize| {
        let head = store.head(format!("page {page}")).unwrap();
        let content = head.revision().unwrap().content().unwrap().into_bytes().unwrap();
        assert_eq!(content.len(), LEN);
        black_box(content);
    };
    // One is gone from the cache before it is wanted again.
    let mut out = vec![0; LEN];
    let mut decoder = zstd::bulk::Decompressor::new().unwrap();
    let before = store.stats().unwrap().groups_decoded;
    let (read, zstd) = in_turns(
        head,
        |page| {
            black_box(decoder.decompress_to_buffer(&alone[page], &mut out).unwrap());
        },
        contents.len(),
    );
    let decoded = store.stats().unwrap().groups_decoded - before;
    let share = decoded as f64 / (ROUNDS * contents.len()) as f64;
    verdict(&format!("{layout}: head of a 16 KiB page"), read, "µs", Floor::None);
    verdict(&format!("{layout}: zstd of the page alone"), zstd, "µs", Floor::None);
    verdict(&format!("{layout}: groups decoded for a head"), share, "", Floor::None);
    verdict(&format!("{layout}: head against zstd"), read / zstd, "times", Floor::AtMost(3.0));
}

fn old(store: &Store, layout: &str, contents: &[Vec<Vec<u8>>], full: bool) {
    // As the packer cuts them: counted from the oldest.
    let level = if full { 19 } else { 3 };
    let mut groups = Vec::new();
    for (page, history) in contents.iter().enumerate() {
        for (at, members) in history.chunks(GROUP).enumerate() {
            let raw: Vec<u8> = members.iter().rev().flatten().copied().collect();
            let mut compressor = zstd::bulk::Compressor::new(level).unwrap();
            compressor.long_distance_matching(true).unwrap();
            groups.push((page, at, compressor.compress(&raw).unwrap()));
        }
    }
    let mut draws = Draws::new(7);
    for at in (1..groups.len()).rev() {
        groups.swap(at, draws.below(at + 1));
    }
    let read = |piece: usize| {
        let (page, group, _) = groups[piece];
        let number = (group * GROUP + piece % GROUP + 1) as u64;
        let revision = store.revision(format!("page {page}"), number).unwrap().unwrap();
        black_box(revision.content().unwrap());
    };
    let mut out = vec![0; LEN * GROUP];
    let mut decoder = zstd::bulk::Decompressor::new().unwrap();
    let before = store.stats().unwrap().groups_decoded;
    let (read, zstd) = in_turns(
        read,
        |piece| {
            black_box(decoder.decompress_to_buffer(&groups[piece].2, &mut out).unwrap());
        },
        groups.len(),
    );
    let decoded = store.stats().unwrap().groups_decoded - before;
    let share = decoded as f64 / (ROUNDS * groups.len()) as f64;
    verdict(&format!("{layout}: an old revision"), read, "µs", Floor::None);
    verdict(&format!("{layout}: zstd of a group of 32"), zstd, "µs", Floor::None);
    verdict(&format!("{layout}: groups decoded for an old revision"), share, "", Floor::None);
    verdict(&format!("{layout}: old revision against zstd"), read / zstd, "times", Floor::AtMost(3.0));
}

fn walk(store: &Store, layout: &str) {
    let before = store.stats().unwrap().groups_decoded;
    let (spent, bytes) = time(|| {
        let history = store.history("long").unwrap();
        let lengths = history
            .map(|revision| revision.unwrap().content().unwrap().bytes().map_or(0, bytes::Bytes::len) as u64);
        lengths.sum::<u64>()
    });
    assert_eq!(bytes, 1_000 * LEN as u64);
    let decoded = store.stats().unwrap().groups_decoded - before;
    verdict(
        &format!("{layout}: a walk through 1 000 revisions"),
        spent.as_secs_f64() * 1e3,
        "ms",
        Floor::None,
    );
    // Cut at packs as well, before they are merged.
    let (least, most) = (1_000_usize.div_ceil(GROUP), 1_000_usize.div_ceil(GROUP) + 3);
    verdict(
        &format!("{layout}: groups decoded by it ({least} if all are full)"),
        decoded as f64,
        "groups",
        Floor::AtMost(most as f64),
    );
}
