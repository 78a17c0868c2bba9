//! Stores to look into, and ways to damage them.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each test file uses a part of this; tests may use files"
)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use recension::codec::{FileId, FileKind};
use recension::env::{Access, Fs, OsFs, read_vec_at};
use recension::limits::Limits;
use recension::log::SealedSegment;
use recension::manifest::{State, ValueFileInfo};
use recension::pack::{PackInput, PackOptions, PackRequest, Rectangle, pack};
use recension::{Batch, Draft, Durability, Expect, FieldMask, Packing, Progress, Store, StoreBuilder};
use serde_json::Value;

/// Limits that make several blocks and segments out of a few hundred revisions.
pub fn small() -> Limits {
    Limits {
        segment_bytes: 256 << 10,
        segment_records: 200,
        block_rows: 16,
        block_bytes: 512,
        directory_block_records: 32,
        ..Limits::PRODUCTION
    }
}

/// Opens a store, or makes one, with small files. It packs when it is asked to: a test that takes the files as they are would find a segment
/// now and then, and a pack the next time.
pub fn open(path: &Path) -> Store {
    builder(path).open().expect("a store")
}

/// The same, for other options beside.
pub fn builder(path: &Path) -> StoreBuilder {
    Store::builder(path).limits(small()).packing(Packing::WhenAsked)
}

/// The history of the repository's test data: entity, content; `None` for a tombstone.
pub fn history() -> Vec<(String, Option<String>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/canonical.jsonl");
    let text = std::fs::read_to_string(path).expect("the data");
    let value = |line: &str| -> Value { serde_json::from_str(line).expect("canonical JSON") };
    let name = |value: &Value| value["entity"].as_str().map(str::to_owned);
    text.lines()
        .map(value)
        .filter_map(|value| Some((name(&value)?, value["content"].as_str().map(str::to_owned))))
        .collect()
}

/// A store with `n` revisions of nine entities beside the test data, some of them deleted, reverted and hidden; not closed.
pub fn fill(store: &Store, n: usize) {
    for (entity, content) in history() {
        let draft = content.map_or_else(Draft::tombstone, Draft::new);
        put(store, &entity, draft);
    }
    for i in 0..n {
        let entity = format!("page {}", i % 9);
        let content = format!("edit {i} of {entity}. {}", "some words that repeat. ".repeat(i % 23));
        let draft = match i % 31 {
            30 => Draft::tombstone().author("a deleter"),
            _ => Draft::new(content).author(format!("author {}", i % 4)).comment(format!("comment {i}")),
        };
        put(store, &entity, draft);
    }
    let (actor, reason) = (String::from("test"), String::from("why not"));
    let entity = b"page 3".to_vec();
    store
        .hide(recension::Hiding { entity, first: 1, last: 2, fields: FieldMask::COMMENT, actor, reason })
        .expect("hidden");
}

/// Waiting for the disk each time would take the tests' time.
fn put(store: &Store, entity: &str, draft: Draft) {
    let batch = Batch::new().put(entity, Expect::Any, draft).expect("a batch");
    store.commit_with(batch, Durability::Buffered).expect("written");
}

/// A closed store of its own making: tables of both kinds, an active segment; from 600 revisions on also packs and, behind them, sealed
/// segments.
pub fn store(dir: &Path, n: usize) -> PathBuf {
    let path = dir.join("s");
    let store = open(&path);
    fill(&store, n);
    if n >= 600 {
        store.pack(&mut Progress::new(&mut |_, _, _| true)).expect("packed");
        fill(&store, n);
    }
    store.flush().expect("flushed");
    store.close().expect("closed");
    path
}

/// The files of a directory of some kind, by number.
pub fn files(dir: &Path, kind: FileKind) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            FileId::parse(&path.file_name().unwrap().to_string_lossy()).is_some_and(|(_, k)| k == kind)
        })
        .collect();
    found.sort();
    found
}

/// What the manifest says.
pub fn state(dir: &Path) -> State {
    let path = files(dir, FileKind::Manifest).pop().expect("a manifest");
    let bytes = std::fs::read(&path).expect("read");
    recension::manifest::dissect_manifest(&path, &bytes, &mut |_| Ok(())).expect("looked at").state
}

/// A pack made of the first sealed segment, beside the store.
pub fn packed(dir: &Path, store: &Path) -> PathBuf {
    packed_with(dir, store, 0)
}

/// The same, as if annotations up to a sequence number had been applied.
pub fn packed_with(dir: &Path, store: &Path, annotation_watermark: u64) -> PathBuf {
    let state = state(store);
    let info: ValueFileInfo = state
        .value_files
        .values()
        .find(|file| file.kind == FileKind::Segment)
        .expect("a sealed segment")
        .clone();
    let segment = store.join(info.id.file_name(FileKind::Segment));
    let fs = OsFs::new();
    let input = SealedSegment::open(&fs, &segment, &info, &state.store, None).expect("opened");
    let id = FileId { epoch: 1, number: 900 };
    let request = PackRequest {
        store: state.store,
        id,
        rectangle: Rectangle {
            sequence_first: info.sequence_first,
            sequence_last: info.sequence_last,
            entity_first: Default::default(),
            entity_last: Default::default(),
        },
        generation: 1,
        annotation_watermark,
        last_checksum: info.last_checksum,
        options: PackOptions { directory_records: 16, ..PackOptions::FAST },
    };
    let path = dir.join(id.file_name(FileKind::Pack));
    pack(&fs, &path, &[PackInput::Segment(std::sync::Arc::new(input))], &request, &|| false).expect("packed");
    path
}

/// All bytes of a file.
pub fn read(path: &Path) -> Vec<u8> {
    let file = OsFs::new().open(path, Access::Read).expect("opened");
    read_vec_at(&*file, file.len().expect("a length") as usize, 0).expect("read")
}

/// Copies a directory.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

/// Turns a bit over.
pub fn flip(path: &Path, offset: u64, bit: u8) {
    let mut bytes = std::fs::read(path).expect("read");
    bytes[offset as usize] ^= 1 << bit;
    std::fs::write(path, bytes).expect("written");
}

/// What a run of the program said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn damage(self) -> Self {
        assert_eq!(self.code, Some(5), "{}{}", self.out, self.err);
        self
    }
}

/// Runs the program.
pub fn dump<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Said {
    let output =
        Command::new(env!("CARGO_BIN_EXE_sst-dump")).args(args).env("TZ", "UTC").output().expect("a run");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
