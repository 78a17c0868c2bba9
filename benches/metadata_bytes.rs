//! What the metadata of a revision takes on disk: tables and directories, digests aside, on a real history.
//!
//! `cargo bench --bench metadata_bytes [-- HISTORY.jsonl.zst]`
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a bench has files")]

mod support;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use recension::cache::Cache;
use recension::codec::{FileId, FileKind};
use recension::env::{Access, Env, Fs, OsFs, read_vec_at};
use recension::index::table::{RevisionTable, TableAccess, TableStats, describe_table};
use recension::log::{TRAILER_LEN, Trailer};
use recension::{Batch, Compaction, Draft, Durability, Expect, Flags, Progress, Store, Timestamp};
use support::{Floor, Scratch, verdict};

fn main() {
    if !support::is_bench() {
        return;
    }
    let scratch = Scratch::new("metadata");
    let store = Store::open(scratch.path("store")).unwrap();
    let (mut revisions, mut raw) = (0_u64, 0_u64);
    let mut batch = Batch::new().as_run();
    for line in support::history(support::path_argument()) {
        let draft = draft(&line);
        raw += line["content"].as_str().unwrap_or_default().len() as u64;
        revisions += 1;
        batch = batch.put(line["entity"].as_str().unwrap(), Expect::Any, draft).unwrap();
        if batch.len() == 200 {
            let full = std::mem::replace(&mut batch, Batch::new().as_run());
            store.commit_with(full, Durability::Buffered).unwrap();
        }
    }
    if !batch.is_empty() {
        store.commit(batch).unwrap();
    }
    store.compact(Compaction::Full, &mut Progress::new(&mut |_, _, _| true)).unwrap();
    // A checkpoint seals the last segment: only then has it a directory.
    store.checkpoint(scratch.path("copy")).unwrap();
    store.close().unwrap();

    let tables = tables(&scratch.path("copy"));
    let log = Directories::of(&scratch.path("copy"));
    let per = |bytes: u64| bytes as f64 / revisions as f64;
    println!("{revisions} revisions of {} entities, {raw} bytes of content", tables.entities);
    for (what, bytes) in [
        ("tables", tables.file_bytes),
        ("  hot", tables.hot_bytes),
        ("  cold", tables.cold_bytes),
        ("  entities", tables.entity_bytes),
        ("  index and filter", tables.index_bytes + tables.filter_bytes),
        ("directories", log.directory),
        ("locators", log.locators),
        ("digests (aside)", log.digests),
        ("index and trailer of the log", log.rest),
    ] {
        println!("{what:<32} {:>8.1} bytes a revision", per(bytes));
    }
    let metadata = tables.file_bytes + log.directory + log.locators + log.rest;
    verdict("metadata_bytes: index and directory a revision", per(metadata), "bytes", Floor::AtMost(60.0));
    verdict("metadata_bytes: hot part a revision", per(tables.hot_bytes), "bytes", Floor::AtMost(16.0));
}

fn draft(line: &serde_json::Value) -> Draft {
    let text = |key: &str| line[key].as_str().map(|text| Bytes::copy_from_slice(text.as_bytes()));
    let mut draft = match text("content") {
        Some(content) => Draft::new(content),
        None if line["deleted"] == true => Draft::tombstone(),
        None => Draft::withheld(),
    };
    draft = draft.number(line["rev"].as_u64().unwrap());
    if let Some(parent) = line["parent"].as_u64() {
        draft = draft.parent(parent);
    }
    if let Some(time) = line["ts"].as_i64() {
        draft = draft.authored(Timestamp::from_secs(time));
    }
    if let Some(author) = text("author") {
        draft = draft.author(author);
    }
    if let Some(comment) = text("comment") {
        draft = draft.comment(comment);
    }
    for tag in line["tags"].as_array().into_iter().flatten() {
        draft = draft.tag(tag.as_str().unwrap().to_owned());
    }
    if line["bot"] == true {
        draft = draft.flags(Flags::BOT);
    }
    if line["minor"] == true {
        draft = draft.flags(Flags::MINOR);
    }
    draft
}

fn files(dir: &Path, kind: FileKind) -> Vec<std::path::PathBuf> {
    let entries = OsFs::new().read_dir(dir).unwrap();
    let wanted = entries.iter().filter(|entry| FileId::parse(&entry.name).is_some_and(|(_, of)| of == kind));
    wanted.map(|entry| dir.join(&entry.name)).collect()
}

fn tables(dir: &Path) -> TableStats {
    let env = Env::os(2);
    let mut sum = TableStats::default();
    for path in files(dir, FileKind::RevisionTable) {
        let file = env.fs.open(&path, Access::Read).unwrap();
        let (header, info) = describe_table(file.clone(), &path).unwrap();
        let cache = Arc::new(Cache::new(1 << 20));
        let table = RevisionTable::open(file, &path, &info, &header.store, cache, TableAccess::Read).unwrap();
        let stats = table.stats().unwrap();
        sum.entities += stats.entities;
        sum.hot_bytes += stats.hot_bytes;
        sum.cold_bytes += stats.cold_bytes;
        sum.entity_bytes += stats.entity_bytes;
        sum.index_bytes += stats.index_bytes;
        sum.filter_bytes += stats.filter_bytes;
        sum.file_bytes += stats.file_bytes;
    }
    sum
}

/// What stands behind the frames of sealed segments.
#[derive(Default)]
struct Directories {
    directory: u64,
    locators: u64,
    digests: u64,
    rest: u64,
}

impl Directories {
    fn of(dir: &Path) -> Self {
        let fs = OsFs::new();
        let mut sum = Self::default();
        for path in files(dir, FileKind::Segment) {
            let file = fs.open(&path, Access::Read).unwrap();
            let at = file.len().unwrap() - TRAILER_LEN as u64;
            let bytes = read_vec_at(&*file, TRAILER_LEN, at).unwrap();
            let salt = u64::from_le_bytes(*bytes[16..].first_chunk().unwrap());
            let trailer = Trailer::decode(&bytes, at, salt).unwrap();
            sum.directory += trailer.locators_at - trailer.directory_at;
            sum.locators += trailer.digests_at - trailer.locators_at;
            sum.digests += trailer.index_at - trailer.digests_at;
            sum.rest += at + TRAILER_LEN as u64 - trailer.index_at;
        }
        sum
    }
}
