mod apply;
mod classify;
mod commit;
mod crash;
mod disk;
mod files;
mod format;
mod invariants;
mod lock;
mod model;
mod open;

pub(in crate::manifest) use self::format::all_edits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use self::disk::Disk;
use super::*;
use crate::codec::{FileId, FileKind};
use crate::env::{Env, OsClock, Rng, ThreadJobs};
use crate::limits::Limits;
use crate::{Error, ErrorKind, Result};

const STORE: [u8; 16] = [7; 16];

/// Always the same numbers.
struct FixedRng;

impl Rng for FixedRng {
    fn fill(&self, buf: &mut [u8]) {
        for (at, byte) in buf.iter_mut().enumerate() {
            *byte = 0x11 * (at as u8 % 15 + 1);
        }
    }
}

fn env(disk: &Disk) -> Env {
    Env {
        fs: Arc::new(disk.clone()),
        clock: Arc::new(OsClock::new()),
        rng: Arc::new(FixedRng),
        jobs: Arc::new(ThreadJobs::new(1)),
    }
}

fn dir() -> &'static Path {
    Path::new("/store")
}

fn open(disk: &Disk, mode: OpenMode) -> Result<(Manifest, Opened)> {
    Manifest::open(&env(disk), dir(), mode, &Limits::TINY)
}

fn create(disk: &Disk) -> Manifest {
    open(disk, OpenMode::Create { store: STORE }).unwrap().0
}

fn reopen(disk: &Disk) -> Manifest {
    open(disk, OpenMode::ReadWrite).unwrap().0
}

fn id(number: u64) -> FileId {
    FileId { epoch: 1, number }
}

/// A table of keyspace 0 with `last - first + 1` rows of as many entities.
fn table(number: u64, level: u8, keys: [&str; 2], sequences: [u64; 2]) -> TableInfo {
    TableInfo {
        keyspace: 0,
        level,
        id: id(number),
        len: 1000 + number,
        blake3: [number as u8; 32],
        first: Bytes::copy_from_slice(keys[0].as_bytes()),
        last: Bytes::copy_from_slice(keys[1].as_bytes()),
        sequence_first: sequences[0],
        sequence_last: sequences[1],
        rows: sequences[1] - sequences[0] + 1,
        entities: 1,
        erased_up_to: 0,
    }
}

fn segment(number: u64, sequences: [u64; 2]) -> ValueFileInfo {
    ValueFileInfo {
        id: id(number),
        kind: FileKind::Segment,
        len: 5000 + number,
        blake3: [number as u8; 32],
        sequence_first: sequences[0],
        sequence_last: sequences[1],
        entity_first: Bytes::new(),
        entity_last: Bytes::new(),
        generation: 0,
        annotation_watermark: 0,
        records: (sequences[1] + 1).saturating_sub(sequences[0]),
        raw_bytes: 9000,
        stored_bytes: 4000,
        live_bytes: 4000,
        last_checksum: 0xdead_beef,
    }
}

fn pack(number: u64, sequences: [u64; 2], entities: [&[u8]; 2]) -> ValueFileInfo {
    ValueFileInfo {
        kind: FileKind::Pack,
        entity_first: Bytes::copy_from_slice(entities[0]),
        entity_last: Bytes::copy_from_slice(entities[1]),
        generation: 1,
        records: 1,
        ..segment(number, sequences)
    }
}

fn flushed(sequence: u64) -> Edit {
    Edit::SetFlushed { keyspace: 0, sequence }
}

/// The state without what changes when nothing was committed: new manifest files take numbers.
fn essence(state: &State) -> State {
    State { next_file: 0, ..state.clone() }
}

fn manifest_path(disk: &Disk) -> PathBuf {
    let mut names = disk.names(dir()).into_iter().filter(|name| name.ends_with(".manifest"));
    dir().join(names.next_back().unwrap())
}

fn rule_of(error: &Error) -> String {
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    let text = error.to_string();
    let rule = text.split("manifest rule ").nth(1).unwrap_or_else(|| panic!("no rule in {text:?}"));
    rule.split(':').next().unwrap().to_string()
}
