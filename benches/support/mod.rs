//! What the benches share: where they write, real text, verdicts, a file system that counts.
//!
//! | variable | what | default |
//! |---|---|---|
//! | `RECENSION_BENCH_DIR` | where stores are made: the disk that is measured | the system's temporary directory |
//! | `RECENSION_BENCH_HISTORY` | a history as JSON lines, `.zst`: text and metadata come from it | `tests/data/history.jsonl.zst` |
//! | `RECENSION_BENCH_SCALE` | factor for sizes; 1 takes seconds per bench | 1 |
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench has files and clocks, and each uses a part of this"
)]

pub mod counting;
pub mod peers;

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use recension::codec::FileKind;
use recension::env::Env;
use recension::limits::Limits;
use recension::manifest::read_state;

/// Whether `cargo bench` called: `cargo test --benches` only wants to see that it starts.
pub fn is_bench() -> bool {
    let bench = std::env::args().any(|arg| arg == "--bench");
    if !bench {
        println!("nothing measured: run it with `cargo bench`");
    }
    bench
}

/// `n`, times `RECENSION_BENCH_SCALE`.
pub fn scaled(n: usize) -> usize {
    let scale = std::env::var("RECENSION_BENCH_SCALE").ok().and_then(|text| text.parse::<f64>().ok());
    ((n as f64 * scale.unwrap_or(1.0)) as usize).max(1)
}

/// A directory that is removed at the end.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let root = std::env::var_os("RECENSION_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let dir = root.join(format!("recension-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is promised of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Floor {
    AtLeast(f64),
    AtMost(f64),
    /// Only told.
    None,
}

/// Prints one figure and its floor.
pub fn verdict(line: &str, figure: f64, unit: &str, floor: Floor) {
    let figure_text = match figure {
        f if f.abs() >= 1000.0 => format!("{f:.0} {unit}"),
        f => format!("{f:.2} {unit}"),
    };
    let (floor, met) = match floor {
        Floor::AtLeast(n) => (format!("at least {n}"), Some(figure >= n)),
        Floor::AtMost(n) => (format!("at most {n}"), Some(figure <= n)),
        Floor::None => (String::new(), None),
    };
    let met = match met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => "",
    };
    println!("{line:<64} {figure_text:>16}   {floor:<16} {met}");
}

/// The lines of the history.
pub fn history(path: Option<PathBuf>) -> impl Iterator<Item = serde_json::Value> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/history.jsonl.zst");
    let from_env = std::env::var_os("RECENSION_BENCH_HISTORY").map(PathBuf::from);
    let path = path.or(from_env).unwrap_or_else(default);
    let packed = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = std::io::BufReader::new(zstd::Decoder::new(packed).unwrap()).lines();
    lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap())
}

/// The argument that is not an option, if any.
pub fn path_argument() -> Option<PathBuf> {
    std::env::args().skip(1).find(|arg| !arg.starts_with("--")).map(PathBuf::from)
}

/// Real wiki text in pieces of exactly `len` bytes.
pub fn texts(len: usize, count: usize) -> Vec<Bytes> {
    let mut texts = Vec::with_capacity(count);
    let mut piece: Vec<u8> = Vec::new();
    for line in history(None) {
        if !line["entity"].as_str().unwrap_or_default().starts_with("webplatform") {
            continue;
        }
        piece.extend_from_slice(line["content"].as_str().unwrap_or_default().as_bytes());
        while piece.len() >= len && texts.len() < count {
            let rest = piece.split_off(len);
            texts.push(Bytes::from(std::mem::replace(&mut piece, rest)));
        }
        if texts.len() == count {
            break;
        }
    }
    assert!(!texts.is_empty(), "the history has too little wiki text");
    let distinct = texts.len();
    for i in distinct..count {
        texts.push(texts[i % distinct].clone());
    }
    texts
}

/// A generator of numbers that is the same on every run.
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }
}

/// How long something takes.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let value = work();
    (start.elapsed(), value)
}

/// CPU time of the calling thread: on a busy machine it says more than the clock.
pub fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split_whitespace().next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// The middle of some figures.
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// The files of a directory: names and lengths.
pub fn files(path: &Path) -> impl Iterator<Item = (String, u64)> {
    let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    files.filter_map(|entry| {
        let metadata = entry.metadata().unwrap();
        metadata.is_file().then(|| (entry.file_name().to_string_lossy().into_owned(), metadata.len()))
    })
}

/// The bytes of a directory's files.
pub fn on_disk(path: &Path) -> u64 {
    files(path).map(|(_, len)| len).sum()
}

/// For each tier of packs the bytes of its contents as they were, and those of its files with everything that stands in them.
pub fn tiers(path: &Path, limits: &Limits) -> BTreeMap<u32, (u64, u64)> {
    let state = read_state(&Env::os(2), path).unwrap();
    let mut runs: BTreeMap<(u64, u64), (u64, u64)> = BTreeMap::new();
    for file in state.value_files.values().filter(|file| file.kind == FileKind::Pack) {
        let (raw, len) = runs.entry((file.sequence_first, file.sequence_last)).or_default();
        *raw += file.raw_bytes;
        *len += file.len;
    }
    let mut tiers: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    for (raw, len) in runs.into_values() {
        let (mut tier, mut most) = (0, limits.pack_tier_bytes);
        while len > most {
            (tier, most) = (tier + 1, most * u64::from(limits.pack_fan_in));
        }
        let sum = tiers.entry(tier).or_default();
        *sum = (sum.0 + raw, sum.1 + len);
    }
    tiers
}
