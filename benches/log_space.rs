//! How log space is best prepared: the time of an 8 KiB append with `fdatasync` into space that was prepared in four ways, as a
//! ratio to the plainest (a growing file). The ways take turns in one run, so that a noisy disk hits all alike.
//!
//! `cargo bench --bench log_space [-- DIRECTORY]`
#![allow(clippy::disallowed_methods, reason = "a bench has clocks")]

use std::time::{Duration, Instant};

use recension::env::{Access, File, Fs, OsFs, write_all_at};

const RECORD: usize = 8 << 10;
const SEGMENT: u64 = 16 << 20;
const ROUNDS: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Growing,
    Allocated,
    /// `fallocate` the segment, then write zeros ahead of the tail in steps, synced with the next record's own sync.
    ZeroedInSteps(u64),
    /// The whole segment written with zeros and synced before the clock starts.
    ZeroedBefore,
}

fn main() {
    let dir = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let dir = dir
        .map_or_else(std::env::temp_dir, Into::into)
        .join(format!("recension-log-space-{}", std::process::id()));
    let fs = OsFs::new();
    fs.create_dir_all(&dir).unwrap();
    let ways = [
        Way::Growing,
        Way::Allocated,
        Way::ZeroedInSteps(256 << 10),
        Way::ZeroedInSteps(1 << 20),
        Way::ZeroedInSteps(4 << 20),
        Way::ZeroedBefore,
    ];
    let mut totals = vec![(Duration::ZERO, Vec::new()); ways.len()];
    for round in 0..ROUNDS {
        for (way, total) in ways.iter().zip(&mut totals) {
            let path = dir.join(format!("{round}-{way:?}").replace(['(', ')'], "-"));
            let file = fs.open(&path, Access::CreateNew).unwrap();
            let (elapsed, latencies) = append(&*file, *way);
            total.0 += elapsed;
            total.1.extend(latencies);
            fs.remove_file(&path).unwrap();
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
    let records = (SEGMENT as usize / RECORD - 1) * ROUNDS;
    println!("{records} appends of {RECORD} B each way");
    println!("{:<24} {:>10} {:>10} {:>10} {:>8}", "way", "mean µs", "p50 µs", "p99 µs", "ratio");
    let base = totals[0].0;
    for (way, (total, latencies)) in ways.iter().zip(&mut totals) {
        latencies.sort_unstable();
        let at = |q: f64| latencies[(latencies.len() as f64 * q) as usize].as_micros();
        println!(
            "{:<24} {:>10.1} {:>10} {:>10} {:>8.2}",
            format!("{way:?}"),
            total.as_secs_f64() * 1e6 / records as f64,
            at(0.5),
            at(0.99),
            total.as_secs_f64() / base.as_secs_f64(),
        );
    }
}

fn append(file: &dyn File, way: Way) -> (Duration, Vec<Duration>) {
    let zeros = vec![0; 4 << 20];
    let record: Vec<u8> = (0..RECORD).map(|i| (i * 31 % 251) as u8).collect();
    match way {
        Way::Growing => {}
        Way::Allocated | Way::ZeroedInSteps(_) => {
            file.allocate(0, SEGMENT).unwrap();
            file.sync_data().unwrap();
        }
        Way::ZeroedBefore => {
            for at in (0..SEGMENT).step_by(zeros.len()) {
                write_all_at(file, &zeros, at).unwrap();
            }
            file.sync_data().unwrap();
        }
    }
    let mut latencies = Vec::new();
    let mut zeroed = 0;
    let start = Instant::now();
    for at in (0..SEGMENT - RECORD as u64).step_by(RECORD) {
        let one = Instant::now();
        if let Way::ZeroedInSteps(step) = way
            && at + RECORD as u64 > zeroed
        {
            write_all_at(file, &zeros[..step as usize], zeroed).unwrap();
            zeroed += step;
        }
        write_all_at(file, &record, at).unwrap();
        file.sync_data().unwrap();
        latencies.push(one.elapsed());
    }
    (start.elapsed(), latencies)
}
