//! How much space histories take: as they are, in other programs, and in a store after an import and after `compact --full`.
//!
//! `cargo bench --bench space -- [FILE.jsonl[.zst]]…` (default: the bundled history). Then made-up corpora: one page of 10 000 revisions, a
//! blank-and-revert war, evenly edited pages, a million tiny contents, huge ones, bytes that do not compress. `RECENSION_SPACE=files` leaves
//! these out, another word takes only those that have it in their name. Sizes of made-up corpora are times `RECENSION_BENCH_SCALE`.
//!
//! Of a program that is not installed (`git`, `xz`, `7z`, `sqlite3`, RocksDB's `ldb`) the table says so. On Debian: `apt-get install 7zip
//! rocksdb-tools sqlite3 xz-utils zstd git`.
#![allow(clippy::disallowed_methods, reason = "a bench has clocks and runs other programs")]

#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use recension::limits::Limits;
use recension::{Batch, Compaction, Draft, Durability, Expect, Packing, Progress, Store};
use support::peers::PEERS;
use support::{Scratch, is_bench, on_disk, scaled, tiers};

/// Contents of a batch, at most.
const BATCH_REVISIONS: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

struct Revision {
    entity: String,
    content: Vec<u8>,
    author: String,
    comment: String,
}

fn main() {
    if !is_bench() {
        return;
    }
    let mut files: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from).collect();
    if files.is_empty() {
        files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/history.jsonl.zst"));
    }
    let wanted = std::env::var("RECENSION_SPACE").unwrap_or_default();
    println!(
        "{:<20} {:<40} {:>12} {:>7} {:>8} {:>9} {:>8}",
        "corpus", "kept as", "bytes", "raw /", "seconds", "MB/s", "written"
    );
    for path in files.iter().filter(|_| wanted.is_empty() || wanted == "files") {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        corpus(&name, &|| read(path), true);
    }
    for (name, small, revisions) in made_up() {
        if wanted.is_empty() || wanted != "files" && name.contains(&wanted) {
            corpus(name, &*revisions, small);
        }
    }
}

type Making = Box<dyn Fn() -> Box<dyn Iterator<Item = Revision>>>;

/// Name, whether there are few enough contents for programs that are slow, and the contents.
fn made_up() -> Vec<(&'static str, bool, Making)> {
    let n = |n: usize| scaled(n) as u64;
    let (revisions, wars, pages, items, blobs) = (n(10_000), n(5_000), n(500), n(250_000), n(4_000));
    vec![
        (
            "10 000 revisions",
            true,
            Box::new(move || Box::new((0..revisions).map(|n| made("Page", page(n, 120))))),
        ),
        ("blank and revert", true, Box::new(move || Box::new((0..wars).map(|n| made("Page", war(n)))))),
        (
            "evenly edited",
            true,
            Box::new(move || {
                let edits = (0..60_u64).flat_map(move |edit| (0..pages).map(move |entity| (edit, entity)));
                Box::new(
                    edits.map(|(edit, entity)| {
                        made(&format!("Page {entity}"), page(edit + entity * 1000, 60))
                    }),
                )
            }),
        ),
        (
            "tiny, 100-400 B",
            false,
            Box::new(move || {
                Box::new(
                    (0..4 * items)
                        .map(move |n| made(&format!("Item {}", n % items), item(n % items, n / items))),
                )
            }),
        ),
        (
            "random, 20 KB",
            true,
            Box::new(move || {
                Box::new((0..blobs).map(|n| made(&format!("Blob {}", n % 400), noise(n, 20_000))))
            }),
        ),
        ("huge, 16 MiB", true, Box::new(|| Box::new((0..12).map(|n| made("Huge", huge(n)))))),
    ]
}

/// 100 to 400 bytes of fields, one of which differs from edit to edit.
fn item(entity: u64, edit: u64) -> Vec<u8> {
    let mut state = entity.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut word = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 40
    };
    let mut text =
        format!("{{\"id\":\"Q{entity}\",\"edit\":{edit},\"changed\":{}", word() ^ edit.wrapping_mul(7919));
    let len = 100 + (entity % 301) as usize;
    while text.len() + 1 < len {
        text += &format!(",\"p{}\":\"{:x}\"", word() % 40, word());
    }
    text.truncate(len - 1);
    (text + "}").into_bytes()
}

fn made(entity: &str, content: Vec<u8>) -> Revision {
    Revision { entity: entity.into(), content, author: "A".into(), comment: "an edit".into() }
}

/// A page of so many lines, some of which differ from edit to edit.
fn page(edit: u64, lines: u64) -> Vec<u8> {
    let mut text = Vec::new();
    for line in 0..lines {
        let last = edit.saturating_sub(line.wrapping_mul(7) % lines) / lines;
        let word = line.wrapping_mul(0x9e37_79b9).wrapping_add(last.wrapping_mul(0x85eb_ca6b)) % 1_000_003;
        writeln!(text, "Line {line} speaks of {word} and was changed by edit {last} of its kind.").unwrap();
    }
    text
}

fn war(n: u64) -> Vec<u8> {
    if n.is_multiple_of(2) { page(n / 20, 120) } else { Vec::new() }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

/// Half noise that stays, half text.
fn huge(edit: u64) -> Vec<u8> {
    let mut content = noise(1, 8 << 20);
    content.extend(page(edit, 200).into_iter().cycle().take((8 << 20) - 100));
    content
}

fn read(path: &Path) -> Box<dyn Iterator<Item = Revision>> {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let input: Box<dyn Read> = match path.extension() {
        Some(end) if end == "zst" => Box::new(zstd::Decoder::new(file).unwrap()),
        _ => Box::new(file),
    };
    Box::new(BufReader::new(input).lines().filter_map(|line| {
        let value: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |key: &str| value.get(key).and_then(|it| it.as_str()).unwrap_or_default().to_owned();
        let content = value.get("content")?.as_str()?.as_bytes().to_vec();
        Some(Revision { entity: text("entity"), content, author: text("author"), comment: text("comment") })
    }))
}

type Revisions<'a> = &'a dyn Fn() -> Box<dyn Iterator<Item = Revision>>;

/// One line of the table.
struct Line<'a> {
    corpus: &'a str,
    raw: u64,
}

impl Line<'_> {
    fn print(&self, what: &str, bytes: u64, seconds: f64, written: Option<u64>) {
        let raw = self.raw as f64;
        let written = written.map_or(String::new(), |it| format!("{:.2}", it as f64 / raw));
        println!(
            "{:<20} {what:<40} {bytes:>12} {:>7.1} {seconds:>8.1} {:>9.1} {written:>8}",
            self.corpus,
            raw / bytes.max(1) as f64,
            raw / 1e6 / seconds
        );
    }
}

fn corpus(name: &str, revisions: Revisions<'_>, all_peers: bool) {
    let (count, raw) =
        revisions().fold((0_u64, 0_u64), |(n, raw), it| (n + 1, raw + it.content.len() as u64));
    let line = Line { corpus: name, raw };
    println!("{name:<20} {:<40} {raw:>12}", format!("{count} contents, raw"));
    let start = Instant::now();
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    let alone = revisions().map(|it| compressor.compress(&it.content).unwrap().len() as u64).sum();
    line.print("zstd -3, each revision alone", alone, start.elapsed().as_secs_f64(), None);
    let scratch = Scratch::new("space");
    let contents = || -> Box<dyn Iterator<Item = (String, u64, Vec<u8>)>> {
        let mut numbers: BTreeMap<String, u64> = BTreeMap::new();
        let all: Vec<u64> = revisions()
            .map(|it| {
                let number = numbers.entry(it.entity).or_default();
                *number += 1;
                *number
            })
            .collect();
        Box::new(revisions().zip(all).map(|(it, number)| (it.entity, number, it.content)))
    };
    for peer in PEERS.iter().filter(|peer| all_peers || !peer.slow) {
        let dir = scratch.path("peer");
        std::fs::create_dir_all(&dir).unwrap();
        match (peer.run)(&dir, &contents) {
            Ok((bytes, seconds)) => line.print(peer.what, bytes, seconds, None),
            Err(why) => println!("{name:<20} {:<40} {why:>12}", peer.what),
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
    for packing in [Packing::WhenAsked, Packing::InBackground] {
        let path = scratch.path(&format!("{packing:?}"));
        let before = written();
        let start = Instant::now();
        let store = Store::builder(&path).packing(packing).open().unwrap();
        load(&store, revisions());
        if packing == Packing::InBackground {
            store.pack(&mut Progress::none()).unwrap();
        }
        store.close().unwrap();
        let what = match packing {
            Packing::InBackground => "store, when the import has ended",
            _ => "store, not packed",
        };
        let seconds = start.elapsed().as_secs_f64();
        line.print(what, on_disk(&path), seconds, written().zip(before).map(|(a, b)| a - b));
        drop(store);
        if packing == Packing::WhenAsked {
            std::fs::remove_dir_all(&path).unwrap();
            continue;
        }
        parts(name, &path, count);
        let before = written();
        let start = Instant::now();
        let store = Store::open(&path).unwrap();
        store.compact(Compaction::Full, &mut Progress::none()).unwrap();
        store.close().unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let written = written().zip(before).map(|(a, b)| a - b);
        line.print("store, compact --full", on_disk(&path), seconds, written);
        parts(name, &path, count);
    }
}

/// Where the bytes of a store are: for each tier of packs how much smaller its contents became, and what the index takes.
fn parts(corpus: &str, path: &Path, count: u64) {
    for (tier, (raw, bytes)) in tiers(path, &Limits::PRODUCTION) {
        let each = (bytes as f64) / count as f64;
        let what = format!("  of which packs of tier {tier}");
        let ratio = raw as f64 / bytes.max(1) as f64;
        println!("{corpus:<20} {what:<40} {bytes:>12} {ratio:>7.1} {each:>10.1} B a revision");
    }
    let index: u64 = support::files(path)
        .filter(|(name, _)| name.ends_with(".tab") || name.ends_with(".kv"))
        .map(|(_, len)| len)
        .sum();
    let each = index as f64 / count as f64;
    println!("{corpus:<20} {:<40} {index:>12} {:>7} {each:>10.1} B a revision", "  of which index", "");
}

fn load(store: &Store, revisions: impl Iterator<Item = Revision>) {
    let (mut batch, mut count, mut bytes) = (Batch::new(), 0, 0);
    for revision in revisions {
        bytes += revision.content.len();
        if count == BATCH_REVISIONS || bytes > BATCH_BYTES && count > 0 {
            store.commit_with(std::mem::take(&mut batch), Durability::Buffered).unwrap();
            (count, bytes) = (0, revision.content.len());
        }
        count += 1;
        let draft = Draft::new(revision.content).author(revision.author).comment(revision.comment);
        batch = batch.put(revision.entity, Expect::Any, draft).unwrap();
    }
    store.commit_with(batch, Durability::Sync).unwrap();
}

/// Bytes that this process had written to the disk.
fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}
