//! What is done to a copy of a store.

use std::fmt;
use std::path::{Path, PathBuf};

use recension::codec::{FileId, FileKind, Part, PartState};
use recension::env::OsFs;
use recension::pack::Depth;
use recension::sim::Prng;
use sst_dump::file::{Item, walk};

/// A way to damage a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// One bit.
    Flip,
    /// A bit each in three places.
    Flips,
    /// A sector of zeros.
    Zeros,
    /// A sector of noise.
    Noise,
    /// The tail is gone.
    Cut,
    /// Nothing is in it.
    Empty,
    /// It is gone.
    Missing,
    /// It stands where another one of its kind should, and that one in its place.
    Swapped,
    /// The same with one of another kind.
    Exchanged,
    /// Another file of the store stands in its place, of whatever kind.
    Replaced,
    /// The file of another store stands in its place.
    Foreign,
}

pub const WAYS: [Way; 11] = [
    Way::Flip,
    Way::Flips,
    Way::Zeros,
    Way::Noise,
    Way::Cut,
    Way::Empty,
    Way::Missing,
    Way::Swapped,
    Way::Exchanged,
    Way::Replaced,
    Way::Foreign,
];

/// What was done, to be told.
#[derive(Clone, Debug)]
pub struct Done {
    pub file: String,
    pub way: Way,
    /// Where, and in what.
    pub what: String,
    /// Nothing: noise that was there before, a file in its own place.
    pub nothing: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.way, self.file, self.what)
    }
}

/// The files of a directory that are named like ours, by number.
pub fn own(dir: &Path) -> Vec<(PathBuf, FileKind)> {
    let mut own: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some((path.clone(), FileId::parse(path.file_name()?.to_str()?)?)))
        .map(|(path, (id, kind))| (id, path, kind))
        .collect();
    own.sort();
    own.into_iter().map(|(_, path, kind)| (path, kind)).collect()
}

fn parts(path: &Path) -> Vec<Part> {
    let mut parts = Vec::new();
    walk(&OsFs::new(), path, Depth::Stored, &mut |item| {
        if let Item::Part(part) = item {
            parts.push(part);
        }
        Ok(())
    })
    .expect("a file that can be gone through");
    parts.retain(|part| part.len > 0 && part.state != PartState::Unused);
    parts
}

/// A place in a part of a kind that is drawn first, so that headers and indexes are met as often as contents.
fn place(parts: &[Part], rng: &mut Prng) -> (u64, String) {
    let mut kinds: Vec<&str> = parts.iter().map(|part| part.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kind = kinds[rng.below(kinds.len() as u64) as usize];
    let of_kind: Vec<&Part> = parts.iter().filter(|part| part.kind == kind).collect();
    let part = of_kind[rng.below(of_kind.len() as u64) as usize];
    let at = part.offset + rng.below(part.len);
    (at, format!("at {at:#x} in {kind} at {:#x}", part.offset))
}

/// Damages one file of `dir` in one way. `None` if that is not possible: no second file to swap it with.
pub fn damage(
    dir: &Path,
    path: &Path,
    kind: FileKind,
    way: Way,
    other: &Path,
    rng: &mut Prng,
) -> Option<Done> {
    let file = path.file_name()?.to_str()?.to_owned();
    let mut done = Done { file: file.clone(), way, what: String::new(), nothing: false };
    let mut bytes = std::fs::read(path).expect("read");
    let parts = parts(path);
    match way {
        Way::Flip | Way::Flips => {
            for _ in 0..if way == Way::Flip { 1 } else { 3 } {
                let (at, what) = place(&parts, rng);
                bytes[at as usize] ^= 1 << rng.below(8);
                done.what += &format!("{what} ");
            }
        }
        Way::Zeros | Way::Noise => {
            let (at, what) = place(&parts, rng);
            let sector = (at / 512 * 512) as usize;
            let end = (sector + 512).min(bytes.len());
            match way {
                Way::Zeros => bytes[sector..end].fill(0),
                _ => rng.fill(&mut bytes[sector..end]),
            }
            done.what = format!("sector {sector:#x}, {what}");
        }
        Way::Cut => {
            let (at, what) = place(&parts, rng);
            bytes.truncate(at as usize);
            done.what = what;
        }
        Way::Empty => bytes.clear(),
        Way::Missing => {
            std::fs::remove_file(path).expect("removed");
            return Some(done);
        }
        Way::Swapped | Way::Exchanged => {
            let alike = way == Way::Swapped;
            let same = own(dir).into_iter().filter(|(it, k)| it != path && (*k == kind) == alike);
            let same: Vec<_> = same.collect();
            let with = &same.get(rng.below(same.len().max(1) as u64) as usize)?.0;
            done.what = format!("with {}", with.file_name()?.to_str()?);
            let theirs = std::fs::read(with).expect("read");
            std::fs::write(with, &bytes).expect("written");
            bytes = theirs;
        }
        Way::Replaced => {
            let others: Vec<_> = own(dir).into_iter().filter(|(it, _)| it != path).collect();
            let by = &others.get(rng.below(others.len().max(1) as u64) as usize)?.0;
            done.what = format!("by a copy of {}", by.file_name()?.to_str()?);
            bytes = std::fs::read(by).expect("read");
        }
        Way::Foreign => {
            let theirs: Vec<_> = own(other).into_iter().filter(|(_, k)| *k == kind).collect();
            let by = &theirs.get(rng.below(theirs.len().max(1) as u64) as usize)?.0;
            done.what = format!("by {}", by.file_name()?.to_str()?);
            bytes = std::fs::read(by).expect("read");
        }
    }
    done.nothing = std::fs::read(path).expect("read") == bytes;
    std::fs::write(path, &bytes).expect("written");
    Some(done)
}
