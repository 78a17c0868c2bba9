//! Stores of real data, damaged in every way and every kind of file: the damage and whose it is is named, everything else is saved.
//!
//! Here a short form; `tools/damage-trials` goes on for as long as it is told, over all the data that there is. `RECENSION_TRIALS`: how many
//! seconds. `RECENSION_TRIALS_DATA`: files, separated by colons. `RECENSION_TRIALS_SEED`: what is drawn.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;
mod trials;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use recension::codec::FileKind;
use recension::sim::Prng;
use trials::harm::{WAYS, Way};
use trials::stores::{SHAPES, Shape, sample};
use trials::{Tally, trial};

const KINDS: [FileKind; 5] =
    [FileKind::Segment, FileKind::Pack, FileKind::RevisionTable, FileKind::PlainTable, FileKind::Manifest];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().expect("a number"))
}

fn every_kind_in_every_way(source: &Path, shape: Shape, until: Instant, seed: u64, tally: &mut Tally) {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = sample(dir.path(), source, shape);
    let mut rng = Prng::new(seed);
    let mut all: Vec<(Way, FileKind)> = WAYS.iter().flat_map(|way| KINDS.map(|kind| (*way, kind))).collect();
    // Where there is no time for all of them it is not always the same ones that are left out.
    for last in (1..all.len()).rev() {
        all.swap(last, rng.below(last as u64 + 1) as usize);
    }
    for (way, kind) in all {
        if Instant::now() >= until {
            break;
        }
        trial(&sample, kind, way, &mut rng, tally, dir.path());
    }
    if !tally.failed.is_empty() {
        // Somebody wants to look at it.
        std::mem::forget(dir);
    }
}

#[test]
fn what_is_damaged_is_named_and_everything_else_is_saved() {
    let seed = number("RECENSION_TRIALS_SEED").unwrap_or(1);
    let mut tally = Tally::default();
    match number("RECENSION_TRIALS") {
        None => {
            let long = Instant::now() + Duration::from_secs(3600);
            let source = data("canonical.jsonl");
            every_kind_in_every_way(&source, Shape::ManyFiles, long, seed, &mut tally);
        }
        Some(seconds) => {
            let until = Instant::now() + Duration::from_secs(seconds);
            let files = std::env::var("RECENSION_TRIALS_DATA").expect("which data");
            let files: Vec<PathBuf> = files.split(':').map(PathBuf::from).collect();
            let mut round = 0;
            while Instant::now() < until {
                let mut left = (SHAPES.len() * files.len()) as u32;
                for shape in SHAPES {
                    for file in &files {
                        let now = Instant::now();
                        if now >= until {
                            break;
                        }
                        round += 1;
                        // Large files leave time for the others.
                        let share = now + (until - now) / left;
                        left -= 1;
                        every_kind_in_every_way(file, shape, share, seed + round, &mut tally);
                        let name = file.file_name().unwrap_or_default().to_string_lossy();
                        println!("{name} {shape:?}: {} trials, {} failed", tally.trials, tally.failed.len());
                    }
                }
            }
        }
    }
    println!("{}", tally.told());
    assert!(tally.failed.is_empty(), "{} trials failed:\n{}", tally.failed.len(), tally.failed.join("\n"));
}
