//! How much space histories take: as they are, in other programs, and in a store after an import and after `compact --full`.
//!
//! `cargo bench --bench space -- [FILE.jsonl[.zst]]…` (default: the bundled history). Then made-up corpora: one page of 10 000 revisions, a
//! blank-and-revert war, evenly edited pages, tiny and huge contents, bytes that do not compress. `RECENSION_SPACE=files` leaves these out.
//!
//! Programs that are not installed are left out of the table: `git`, `xz`, `7z`.
#![allow(clippy::disallowed_methods, reason = "a bench has clocks and runs other programs")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use recension::{Batch, Compaction, Draft, Durability, Expect, Packing, Progress, Store};

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
    let mut files: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).map(PathBuf::from).collect();
    if files.is_empty() {
        files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/history.jsonl.zst"));
    }
    println!(
        "{:<20} {:<36} {:>12} {:>7} {:>8} {:>9} {:>8}",
        "corpus", "kept as", "bytes", "raw /", "seconds", "MB/s", "written"
    );
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let revisions = || read(&path);
        corpus(&name, &revisions, true);
    }
    if std::env::var_os("RECENSION_SPACE").is_some_and(|what| what == "files") {
        return;
    }
    corpus("10 000 revisions", &|| Box::new((0..10_000).map(|n| made("Page", page(n, 120)))), false);
    corpus("blank and revert", &|| Box::new((0..5_000).map(|n| made("Page", war(n)))), false);
    corpus(
        "evenly edited",
        &|| {
            let edits = (0..60_u64).flat_map(|edit| (0..500_u64).map(move |entity| (edit, entity)));
            Box::new(
                edits.map(|(edit, entity)| made(&format!("Page {entity}"), page(edit + entity * 1000, 60))),
            )
        },
        false,
    );
    corpus(
        "tiny, 100-400 B",
        &|| {
            Box::new((0..300_000_u64).map(|n| {
                let len = 100 + (n % 301) as usize;
                made(&format!("Item {}", n / 3), page(n, 6).into_iter().cycle().take(len).collect())
            }))
        },
        false,
    );
    corpus(
        "random bytes, 20 KB",
        &|| Box::new((0..4_000).map(|n| made(&format!("Blob {}", n % 400), noise(n, 20_000)))),
        false,
    );
    corpus("huge, 16 MiB", &|| Box::new((0..12).map(|n| made("Huge", huge(n)))), false);
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

fn corpus(name: &str, revisions: Revisions<'_>, others: bool) {
    let (count, raw) =
        revisions().fold((0_u64, 0_u64), |(n, raw), it| (n + 1, raw + it.content.len() as u64));
    let line = |what: &str, bytes: u64, seconds: f64, written: Option<u64>| {
        let written = written.map_or(String::new(), |it| format!("{:.2}", it as f64 / raw as f64));
        println!(
            "{name:<20} {what:<36} {bytes:>12} {:>7.1} {seconds:>8.1} {:>9.1} {written:>8}",
            raw as f64 / bytes as f64,
            raw as f64 / 1e6 / seconds
        );
    };
    println!("{name:<20} {:<36} {raw:>12}", format!("{count} contents, raw"));
    let start = Instant::now();
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    let alone = revisions().map(|it| compressor.compress(&it.content).unwrap().len() as u64).sum();
    line("zstd -3, each revision alone", alone, start.elapsed().as_secs_f64(), None);
    let dir = tempfile::tempdir().unwrap();
    if others {
        let tar = dir.path().join("contents");
        let mut file = std::io::BufWriter::new(std::fs::File::create(&tar).unwrap());
        revisions().for_each(|it| file.write_all(&it.content).unwrap());
        drop(file);
        for (what, program, args) in [
            ("contents in order, zstd -19 --long", "zstd", &["-19", "--long=27", "-q", "-k", "-c"][..]),
            ("contents in order, xz -9", "xz", &["-9", "-k", "-c"]),
        ] {
            let start = Instant::now();
            if let Ok(output) = Command::new(program).args(args).arg(&tar).stderr(Stdio::null()).output()
                && output.status.success()
            {
                line(what, output.stdout.len() as u64, start.elapsed().as_secs_f64(), None);
            }
        }
        let archive = dir.path().join("contents.7z");
        let start = Instant::now();
        let seven = Command::new("7z").args(["a", "-mx=9"]).arg(&archive).arg(&tar).output();
        if seven.is_ok_and(|it| it.status.success()) {
            let len = std::fs::metadata(&archive).unwrap().len();
            line("contents in order, 7z -mx=9", len, start.elapsed().as_secs_f64(), None);
        }
        std::fs::remove_file(&tar).unwrap();
        if let Some((bytes, seconds)) = git(&dir.path().join("git"), revisions()) {
            line("git, a commit each, gc --aggressive", bytes, seconds, None);
        }
    }
    for packing in [Packing::WhenAsked, Packing::InBackground] {
        let path = dir.path().join(format!("{packing:?}"));
        let before = written();
        let start = Instant::now();
        let store = Store::builder(&path).packing(packing).open().unwrap();
        load(&store, revisions());
        if packing == Packing::InBackground {
            store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
        }
        store.close().unwrap();
        let what = match packing {
            Packing::InBackground => "store, when the import has ended",
            _ => "store, not packed",
        };
        line(what, on_disk(&path), start.elapsed().as_secs_f64(), written().zip(before).map(|(a, b)| a - b));
        drop(store);
        if packing == Packing::InBackground {
            let before = written();
            let start = Instant::now();
            let store = Store::open(&path).unwrap();
            store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
            store.close().unwrap();
            let seconds = start.elapsed().as_secs_f64();
            line("store, compact --full", on_disk(&path), seconds, written().zip(before).map(|(a, b)| a - b));
        }
    }
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

fn on_disk(path: &Path) -> u64 {
    let files = std::fs::read_dir(path).unwrap();
    files.map(|entry| entry.unwrap().metadata().unwrap()).filter(|it| it.is_file()).map(|it| it.len()).sum()
}

/// Bytes that this process had written to the disk.
fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
}

/// The size of a bare repository with every revision as a commit, and how long that took.
fn git(dir: &Path, revisions: impl Iterator<Item = Revision>) -> Option<(u64, f64)> {
    let start = Instant::now();
    let run = |args: &[&str]| {
        let done = Command::new("git")
            .args(args)
            .current_dir(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        done.is_ok_and(|it| it.success()).then_some(())
    };
    std::fs::create_dir_all(dir).ok()?;
    run(&["init", "--bare", "-q", "."])?;
    let mut import = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = std::io::BufWriter::new(import.stdin.take()?);
    for (n, revision) in revisions.enumerate() {
        let name = revision.entity.replace(['/', '"', '\n'], "_");
        writeln!(input, "commit refs/heads/main\ncommitter A <a> {n} +0000\ndata 0").ok()?;
        writeln!(input, "M 644 inline {name}\ndata {}", revision.content.len()).ok()?;
        input.write_all(&revision.content).ok()?;
        writeln!(input).ok()?;
    }
    drop(input);
    import.wait().ok()?.success().then_some(())?;
    run(&["gc", "--aggressive", "--prune=now", "-q"])?;
    let packs = on_disk(&dir.join("objects/pack"));
    Some((packs, start.elapsed().as_secs_f64()))
}
