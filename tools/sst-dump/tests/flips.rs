//! One flipped bit, in files of every kind: it is found, and the bit is named.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};

use recension::codec::{FileKind, Flip, Part, PartState};
use recension::env::OsFs;
use recension::pack::Depth;
use sst_dump::file::{Item, Summary, walk};

fn parts(path: &Path) -> (Summary, Vec<Part>) {
    let mut parts = Vec::new();
    let summary = walk(&OsFs::new(), path, Depth::Contents, &mut |item| {
        if let Item::Part(part) = item {
            parts.push(part);
        }
        Ok(())
    });
    (summary.expect("looked at"), parts)
}

/// A file of each kind, by name.
fn samples(dir: &Path) -> Vec<PathBuf> {
    let store = support::store(dir, 900);
    let state = support::state(&store);
    let segments = support::files(&store, FileKind::Segment);
    let mut samples = vec![segments[0].clone(), segments.last().unwrap().clone()];
    assert!(!state.value_files.is_empty(), "there are sealed segments");
    samples.push(support::files(&store, FileKind::RevisionTable)[0].clone());
    samples.push(support::files(&store, FileKind::PlainTable)[0].clone());
    samples.push(support::files(&store, FileKind::Manifest)[0].clone());
    samples.push(support::packed(dir, &store));
    samples
}

#[test]
fn parts_cover_every_file_without_gaps_and_are_sound() {
    let dir = tempfile::tempdir().unwrap();
    for path in samples(dir.path()) {
        let (summary, parts) = parts(&path);
        let mut end = 0;
        for part in parts.iter().filter(|part| !part.nested) {
            assert_eq!(part.offset, end, "{} {part:?}", path.display());
            end = part.end();
            assert!(
                matches!(part.state, PartState::Sound | PartState::Unused),
                "{} {part:?}",
                path.display()
            );
        }
        assert_eq!(end, summary.len, "{}", path.display());
    }
}

#[test]
fn a_flipped_bit_is_found_and_named_in_every_kind_of_file() {
    let dir = tempfile::tempdir().unwrap();
    for path in samples(dir.path()) {
        let whole = support::read(&path);
        let (_, sound) = parts(&path);
        let copy = dir.path().join(path.file_name().unwrap());
        let step = (whole.len() * 8 / 700).max(1) | 1;
        let (mut tried, mut named) = (0, 0);
        for at in (0..whole.len() * 8).step_by(step) {
            let (offset, bit) = (at / 8, (at % 8) as u8);
            let innermost = sound
                .iter()
                .rfind(|part| part.offset <= offset as u64 && (offset as u64) < part.end())
                .unwrap();
            if matches!(innermost.state, PartState::Unused) || innermost.kind == "padding" {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[offset] ^= 1 << bit;
            std::fs::write(&copy, &bytes).unwrap();
            let (_, parts) = parts(&copy);
            let bad: Vec<_> = parts
                .iter()
                .filter(|part| !matches!(part.state, PartState::Sound | PartState::Unused))
                .collect();
            let flip = Flip { offset: offset as u64, bit };
            // The padding of a frame is under no checksum and means nothing.
            let in_frame = !innermost.nested && ["commit", "run"].contains(&innermost.kind);
            let is_padding = in_frame && offset as u64 + 8 > innermost.end() && whole[offset] == 0;
            assert!(!bad.is_empty() || is_padding, "{} {flip:?} in {innermost:?}", path.display());
            tried += 1;
            if bad.iter().any(|part| part.flip == Some(flip)) {
                named += 1;
            }
            for part in &bad {
                assert!(part.flip.is_none_or(|found| found == flip), "{} {flip:?} {part:?}", path.display());
            }
        }
        assert!(tried > 50, "{}", path.display());
        assert!(named * 100 >= tried * 90, "{}: {named} of {tried} named", path.display());
    }
}

#[test]
fn a_file_cut_anywhere_is_looked_at_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    for path in samples(dir.path()) {
        let whole = support::read(&path);
        let copy = dir.path().join(path.file_name().unwrap());
        for len in (0..whole.len()).step_by((whole.len() / 60).max(1)) {
            std::fs::write(&copy, &whole[..len]).unwrap();
            let (summary, parts) = parts(&copy);
            let used = parts
                .iter()
                .filter(|part| !part.nested && part.kind != "footer")
                .map(Part::end)
                .max()
                .unwrap_or(0);
            assert!(used <= whole.len() as u64 && summary.len == len as u64);
            // A log that was cut between two frames looks like one that ends there: only others can tell.
            let log = matches!(summary.kind, Some(FileKind::Manifest | FileKind::Segment));
            let told = parts.iter().any(|part| part.state != PartState::Sound) || !summary.finished;
            assert!(told || log && used == len as u64, "{} cut at {len}", path.display());
        }
    }
}
