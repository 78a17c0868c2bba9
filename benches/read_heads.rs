//! Head reads, content included, of entities drawn uniformly.
//!
//! - Decoded and cached, as a ratio to a warm `pread` of the same bytes, for contents of 1, 8 and 64 KiB. They take turns.
//! - With as little memory as a store can have: contents come from the page cache and are decoded each time. Then with blocks warm and
//!   contents not, through `pread` and through memory maps.
//! - Flat in the length of the history: 1, 10, 1 000 and 100 000 revisions, cached, and in a store that was just opened.
//!
//! `cargo bench --bench read_heads -- 8k-off` does the second part alone, for a profile.
//!
//! 100 000 entities; of 64 KiB by default only so many that content and plain file take 1.6 GB of memory together.
//! `RECENSION_BENCH_FULL=1` takes all of them (14 GB).
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench has files and clocks")]

mod support;

use std::path::Path;

use bytes::Bytes;
use recension::env::{Access, Fs, OsFs, read_exact_at, write_all_at};
use recension::limits::Limits;
use recension::{Batch, ByteSize, Compaction, Draft, Durability, Expect, Progress, Store, TableReads};
use support::{Draws, Floor, Scratch, counting::counting_env, median, scaled, texts, time, verdict};

const ROUNDS: usize = 7;
/// Contents held at once, bytes, unless all are wanted.
const HELD_MAX: usize = 820 << 20;

fn main() {
    if !support::is_bench() {
        return;
    }
    let only = support::path_argument();
    let wanted = |part: &str| only.as_ref().is_none_or(|only| only.to_str() == Some(part));
    for kib in [1, 8, 64] {
        if wanted(&format!("{kib}k")) {
            contents(kib << 10, Part::Both);
        }
        for (name, part) in [("cached", Part::Cached), ("off", Part::Off)] {
            if only.is_some() && wanted(&format!("{kib}k-{name}")) {
                contents(kib << 10, part);
            }
        }
    }
    if wanted("history") {
        histories();
    }
}

/// Tables small enough that 100 000 rows fill three levels.
fn limits() -> Limits {
    Limits { memtable_bytes: 2 << 20, table_bytes: 1 << 20, level1_bytes: 1 << 20, ..Limits::PRODUCTION }
}

fn name(i: usize) -> String {
    format!("Page:{:08}", i.wrapping_mul(7919) % 100_000_007)
}

/// For profiles.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Both,
    Cached,
    Off,
}

fn contents(len: usize, part: Part) {
    let scratch = Scratch::new("heads");
    let full = std::env::var_os("RECENSION_BENCH_FULL").is_some();
    let count = if full { scaled(100_000) } else { scaled(100_000).min(HELD_MAX / len) };
    let texts = texts(len, 2048.min(count));
    let path = scratch.path("store");
    let plain = scratch.path("plain");
    fill(&path, &plain, &texts, count);
    let label = format!("read_heads/{}KiB", len >> 10);
    let reads = scaled(if len > 16 << 10 { 20_000 } else { 100_000 });

    if part != Part::Off {
        cached(&label, &path, &plain, count, len, reads);
    }
    if part != Part::Cached {
        off(&label, &path, count, reads);
    }
}

/// (a) Everything fits.
fn cached(label: &str, path: &Path, plain: &Path, count: usize, len: usize, reads: usize) {
    let memory = ByteSize((count as u64 * (len as u64 + 600) * 2).max(256 << 20) + (256 << 20));
    let store = Store::builder(path).limits(limits()).memory(memory).open().unwrap();
    println!("{label}: {count} entities, tables by level {:?}", store.stats().unwrap().levels);
    (0..count).for_each(|i| _ = read(&store, &name(i)));
    let file = OsFs::new().open(plain, Access::Read).unwrap();
    let mut buffer = vec![0; len];
    let (mut ratios, mut cached, mut preads) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let mut draws = Draws::new(round as u64);
        let picks: Vec<usize> = (0..reads).map(|_| draws.below(count)).collect();
        let names: Vec<String> = picks.iter().map(|pick| name(*pick)).collect();
        let (plain_time, sum) = time(|| {
            let mut sum = 0;
            for pick in &picks {
                read_exact_at(&*file, &mut buffer, (pick * len) as u64).unwrap();
                sum += usize::from(buffer[0]);
            }
            sum
        });
        let (store_time, same) = time(|| names.iter().map(|name| read(&store, name)).sum::<usize>());
        assert_eq!(sum, same);
        if round > 0 {
            ratios.push(plain_time.as_secs_f64() / store_time.as_secs_f64());
            cached.push(store_time.as_secs_f64() * 1e9 / reads as f64);
            preads.push(plain_time.as_secs_f64() * 1e9 / reads as f64);
        }
    }
    verdict(&format!("{label}: warm pread"), median(preads), "ns", Floor::None);
    verdict(&format!("{label}: decoded and cached"), median(cached), "ns", Floor::None);
    verdict(&format!("{label}/cached: reads against warm pread"), median(ratios), "×", Floor::AtLeast(0.8));
    store.close().unwrap();
}

/// (b) As little memory as there can be; then blocks cached and contents not.
fn off(label: &str, path: &Path, count: usize, reads: usize) {
    use TableReads::{Map, Read};
    let ways = [
        ("cache off (8 MiB)", 8, Read),
        ("cache off (8 MiB), mapped", 8, Map),
        ("blocks warm (64 MiB)", 64, Read),
        ("blocks warm (64 MiB), mapped", 64, Map),
    ];
    for (what, memory, tables) in ways {
        let (env, counts) = counting_env();
        let builder = Store::builder(path).env(env).limits(limits()).table_reads(tables);
        let store = builder.memory(ByteSize::mib(memory)).open().unwrap();
        println!("{label}: {what}: tables by level {:?}", store.stats().unwrap().levels);
        let mut times = Vec::new();
        let mut before = (0, 0);
        for round in 0..=3 {
            if round == 1 {
                before = (counts.tables(), counts.segments());
            }
            let mut draws = Draws::new(100 + round);
            let names: Vec<String> = (0..reads / 4).map(|_| name(draws.below(count))).collect();
            let (elapsed, _) = time(|| names.iter().map(|name| read(&store, name)).sum::<usize>());
            if round > 0 {
                times.push(elapsed.as_secs_f64() * 1e6 / names.len() as f64);
            }
        }
        let each = |now: u64, before: u64| (now - before) as f64 / (3 * (reads / 4)) as f64;
        println!(
            "{label}: {what}: {:.2} reads of tables and {:.2} of segments each",
            each(counts.tables(), before.0),
            each(counts.segments(), before.1)
        );
        verdict(&format!("{label}/{what}: a read"), median(times), "µs", Floor::None);
        store.close().unwrap();
    }
}

fn read(store: &Store, name: &str) -> usize {
    let content = store.get(name).unwrap().unwrap().content().unwrap();
    usize::from(content.bytes().unwrap()[0])
}

/// The newest entities' rows in level 0, older ones below.
fn fill(path: &Path, plain: &Path, texts: &[Bytes], count: usize) {
    let store = Store::builder(path).limits(limits()).open().unwrap();
    let file = OsFs::new().open(plain, Access::CreateNew).unwrap();
    let mut at = 0;
    while at < count {
        let mut batch = Batch::new().as_run();
        let mut bytes = Vec::new();
        let first = at;
        while at < count && bytes.len() < 4 << 20 && batch.len() < 1000 {
            let text = &texts[at % texts.len()];
            batch = batch
                .put(name(at), Expect::Any, Draft::new(text.clone()).author("ann").comment("edited"))
                .unwrap();
            bytes.extend_from_slice(text);
            at += 1;
        }
        write_all_at(&*file, &bytes, (first * texts[0].len()) as u64).unwrap();
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    store.flush().unwrap();
    store.close().unwrap();
}

const LENGTHS: [usize; 4] = [1, 10, 1_000, 100_000];
/// Entities with a history of each length.
const EACH: usize = 8;

fn histories() {
    let scratch = Scratch::new("histories");
    let path = scratch.path("store");
    let store = Store::open(&path).unwrap();
    // Others around them, so that short histories share their blocks.
    for part in 0..50 {
        let mut batch = Batch::new().as_run();
        for i in 0..1000 {
            batch = batch
                .put(format!("E{:05}", part * 1000 + i), Expect::Any, Draft::new("another").author("ann"))
                .unwrap();
        }
        store.commit_with(batch, Durability::Buffered).unwrap();
    }
    // Rounds over all entities that still grow, so that their revisions lie apart in the log.
    let longest = *LENGTHS.iter().max().unwrap();
    let mut batch = Batch::new().as_run();
    for revision in 0..scaled(longest) {
        for length in LENGTHS.into_iter().filter(|length| revision < *length) {
            for i in 0..EACH {
                let draft =
                    Draft::new(format!("revision {revision} of one of {EACH} entities with {length}"));
                batch =
                    batch.put(entity(length, i), Expect::Any, draft.author("ann").comment("edited")).unwrap();
            }
        }
        if batch.len() > 1000 || revision + 1 == scaled(longest) {
            store
                .commit_with(std::mem::replace(&mut batch, Batch::new().as_run()), Durability::Buffered)
                .unwrap();
        }
    }
    store.compact(Compaction::Due, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    println!("read_heads/history: tables by level {:?}", store.stats().unwrap().levels);
    store.close().unwrap();

    let wide = Store::open(&path).unwrap();
    flat(&wide, "cached", scaled(200_000), 1.3);
    wide.close().unwrap();
    just_opened(&path, 1.3);
}

/// Nothing is in a cache: each read is of a store that was opened for it and has read something else far away (so that what each table has
/// once, filter and layout, is there).
fn just_opened(path: &Path, floor: f64) {
    let mut times = vec![Vec::new(); LENGTHS.len()];
    for round in 0..8 * ROUNDS {
        for at in 0..LENGTHS.len() {
            let which = (at + round) % LENGTHS.len();
            let store = Store::builder(path).memory(ByteSize::mib(8)).open().unwrap();
            ["E00000", "E25000", "E49999"].iter().for_each(|other| _ = read(&store, other));
            let name = entity(LENGTHS[which], round % EACH);
            let (elapsed, _) = time(|| read(&store, &name));
            times[which].push(elapsed.as_secs_f64() * 1e9);
            store.close().unwrap();
        }
    }
    told("just opened", times, floor);
}

fn entity(length: usize, i: usize) -> String {
    format!("E{:05}-{length}", 5000 * i + 777)
}

fn flat(store: &Store, what: &str, reads: usize, floor: f64) {
    let names: Vec<Vec<String>> =
        LENGTHS.iter().map(|length| (0..EACH).map(|i| entity(*length, i)).collect()).collect();
    let mut times = vec![Vec::new(); LENGTHS.len()];
    let mut draws = Draws::new(7);
    for round in 0..=ROUNDS {
        for (names, times) in names.iter().zip(&mut times) {
            let mut total = std::time::Duration::ZERO;
            for _ in 0..reads / 100 {
                let picks: Vec<&str> = (0..100).map(|_| names[draws.below(EACH)].as_str()).collect();
                let (elapsed, _) = time(|| picks.iter().map(|name| read(store, name)).sum::<usize>());
                total += elapsed;
            }
            if round > 0 {
                times.push(total.as_secs_f64() * 1e9 / (reads / 100 * 100) as f64);
            }
        }
    }
    told(what, times, floor);
}

fn told(what: &str, times: Vec<Vec<f64>>, floor: f64) {
    let each: Vec<f64> = times.into_iter().map(median).collect();
    for (length, time) in LENGTHS.iter().zip(&each) {
        verdict(&format!("read_heads/history, {what}: {length} revisions"), *time, "ns", Floor::None);
    }
    let (least, most) =
        each.iter().fold((f64::MAX, 0.0_f64), |(least, most), n| (least.min(*n), most.max(*n)));
    verdict(
        &format!("read_heads/history, {what}: slowest against fastest"),
        most / least,
        "×",
        Floor::AtMost(floor),
    );
}
