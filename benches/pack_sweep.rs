//! Group size, tier fan-in and the gain that a merge must bring: what each costs and saves, on a history and on an evenly edited store.
//!
//! `cargo bench --bench pack_sweep -- [FILE.jsonl.zst]` (default: the bundled history). The table stands in
//! `docs/decisions/0003-pack-layout.md`. `RECENSION_BENCH_SCALE` makes the made-up store larger. Levels of compression are compared by
//! `pack_size`; `RECENSION_SWEEP_FULL=1` adds `compact --full` for each size of a group, at level 19: minutes.
//!
//! Background jobs are stepped by hand between commits, as the simulator does it, so that sizes, merges and bytes written are the same on every
//! run, however busy the machine is. Seconds are of this machine.
//!
//! Segments are of 1 MiB and tiers begin at 64 KiB here, small parts of what a store uses, so that a corpus of some 40 MB has several tiers.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use recension::env::{Env, OsFs};
use recension::limits::Limits;
use recension::sim::SimEnv;
use recension::{Batch, ByteSize, Compaction, Draft, Durability, Expect, Progress, Store};
use support::{Scratch, history, path_argument, scaled, tiers, time};

/// Sizes for a small corpus.
const SMALL: Limits = Limits {
    segment_bytes: 1 << 20,
    memtable_bytes: 4 << 20,
    pack_tier_bytes: 64 << 10,
    pack_part_bytes: 32 << 20,
    ..Limits::PRODUCTION
};

fn main() {
    if !support::is_bench() {
        return;
    }
    println!(
        "{:<14} {:>5} {:>6} {:>5} | {:>10} {:>7} {:>6} {:>24} {:>7} {:>8} | {:>10} {:>7} {:>8}",
        "corpus",
        "group",
        "fan-in",
        "gain%",
        "import",
        "raw /",
        "packs",
        "raw / by tier",
        "merges",
        "written",
        "full",
        "raw /",
        "seconds"
    );
    let path = path_argument();
    let full = std::env::var_os("RECENSION_SWEEP_FULL").is_some();
    for group in [8, 16, 32, 64, 128] {
        let limits = Limits { pack_group_contents: group, ..SMALL };
        row("history", limits, full, &mut || from_file(path.clone()));
        row("evenly edited", limits, full, &mut || evenly());
    }
    for (fan_in, gain) in [(2, 5), (3, 5), (6, 5), (10, 5), (4, 0), (4, 2), (4, 10), (4, 20)] {
        let limits = Limits { pack_fan_in: fan_in, pack_gain_percent: gain, ..SMALL };
        row("history", limits, false, &mut || from_file(path.clone()));
        row("evenly edited", limits, false, &mut || evenly());
    }
}

type Edits = Box<dyn Iterator<Item = (String, Vec<u8>)>>;

fn from_file(path: Option<PathBuf>) -> Edits {
    Box::new(history(path).filter_map(|line| {
        let entity = line.get("entity")?.as_str()?.to_owned();
        Some((entity, line.get("content")?.as_str()?.as_bytes().to_vec()))
    }))
}

/// Every page is edited as often as every other, in turns.
fn evenly() -> Edits {
    let (pages, edits) = (scaled(200) as u64, 48_u64);
    Box::new(
        (0..edits).flat_map(move |edit| {
            (0..pages).map(move |page| (format!("Page {page}"), text(page * 1000 + edit)))
        }),
    )
}

fn text(edit: u64) -> Vec<u8> {
    let mut text = String::new();
    for line in 0..80_u64 {
        let last = (edit % 1000).saturating_sub(line * 7 % 80) / 80 + edit / 1000 * 31;
        let word = line
            .wrapping_mul(0x9e37_79b9)
            .wrapping_add((last + edit % 1000 / (line + 1)).wrapping_mul(0x85eb_ca6b));
        text += &format!("Line {line} speaks of {} and was changed by edit {last}.\n", word % 1_000_003);
    }
    text.into_bytes()
}

fn row(corpus: &str, limits: Limits, full: bool, edits: &mut dyn FnMut() -> Edits) {
    let scratch = Scratch::new("pack-sweep");
    let path = scratch.path("store");
    let sim = SimEnv::new(1);
    let env = Env { fs: Arc::new(OsFs::new()), ..sim.env() };
    let store = Store::builder(&path).limits(limits).memory(ByteSize::mib(256)).env(env).open().unwrap();
    let (mut batch, mut count, mut raw) = (Batch::new(), 0, 0_u64);
    for (entity, content) in edits() {
        raw += content.len() as u64;
        batch = batch.put(entity, Expect::Any, Draft::new(content)).unwrap();
        count += 1;
        if count % 64 == 0 {
            store.commit_with(std::mem::take(&mut batch), Durability::Buffered).unwrap();
            sim.jobs.run_until_idle(1_000_000);
        }
    }
    store.commit_with(batch, Durability::Sync).unwrap();
    store.pack(&mut Progress::none()).unwrap();
    sim.jobs.run_until_idle(1_000_000);
    let stats = store.stats().unwrap();
    let (files, merges, written, import) = (stats.packs.0, stats.merged, stats.written_packs, stats.packs.1);
    let tiers = ratios(&path, &limits);
    let full = full.then(|| {
        let (spent, ()) = time(|| store.compact(Compaction::Full, &mut Progress::none()).unwrap());
        (store.stats().unwrap().packs.1, spent.as_secs_f64())
    });
    store.close().unwrap();
    let ratio = |bytes: u64| raw as f64 / bytes.max(1) as f64;
    print!(
        "{corpus:<14} {:>5} {:>6} {:>5} | {import:>10} {:>7.1} {files:>6} {:>24} {merges:>7} {:>8.3} |",
        limits.pack_group_contents,
        limits.pack_fan_in,
        limits.pack_gain_percent,
        ratio(import),
        tiers,
        written as f64 / raw as f64,
    );
    match full {
        Some((bytes, seconds)) => println!(" {bytes:>10} {:>7.1} {seconds:>8.1}", ratio(bytes)),
        None => println!(),
    }
}

/// For each tier how many times smaller its contents are than they were, with everything that stands in its files.
fn ratios(path: &Path, limits: &Limits) -> String {
    let shown = tiers(path, limits).into_iter();
    let shown = shown.map(|(tier, (raw, len))| format!("{tier}:{:.1}", raw as f64 / len as f64));
    shown.collect::<Vec<_>>().join(" ")
}
