//! How large a store's contents are as packs, part by part, for levels, group sizes and caps; how fast they are made; what a read costs.
//!
//! `recension import --no-pack STORE FILE… && cargo bench --bench pack_size -- STORE`
//!
//! Reads the segments of a closed store (it changes nothing there) and writes packs to a temporary directory. Without a store: pages of
//! 1 and of 4 MiB, for which the cap of a group's bytes matters. `RECENSION_LEVELS` (say `19`) and `RECENSION_GROUPS` (say `32,64`)
//! choose rows.
#![allow(clippy::disallowed_methods, reason = "a bench has clocks")]

#[path = "support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use recension::codec::{FileHeader, FileId, FileKind};
use recension::env::{Access, Fs, OsFs, read_at_most};
use recension::limits::Limits;
use recension::log::{Change, SealRequest, SealedSegment, SegmentHeader, ValueFile, seal};
use recension::model::Address;
use recension::pack::{Pack, PackInput, PackOptions, PackRequest, Rectangle, pack};
use recension::{Draft, Expect, Packing, Store};
use support::{Scratch, is_bench, path_argument};

fn main() {
    if !is_bench() {
        return;
    }
    let scratch = Scratch::new("pack-size");
    let numbers = |name: &str, default: &[i32]| -> Vec<i32> {
        let chosen = std::env::var(name).ok();
        chosen.map_or(default.to_vec(), |text| text.split(',').map(|n| n.parse().unwrap()).collect())
    };
    match path_argument() {
        Some(store) => {
            let mut rows = Vec::new();
            for level in numbers("RECENSION_LEVELS", &[3, 9, 19]) {
                for group in numbers("RECENSION_GROUPS", &[16, 32, 64]) {
                    rows.push(PackOptions { level, group_contents: group as u8, ..PackOptions::BEST });
                }
            }
            table(&store, &scratch, &rows);
        }
        None => {
            let caps = |level| {
                [4, 8, 16, 32, 64].map(|mib| PackOptions { level, group_raw: mib << 20, ..PackOptions::BEST })
            };
            for mib in [1, 4] {
                let path = scratch.path(&format!("pages of {mib} MiB"));
                large_pages(&path, mib);
                for level in numbers("RECENSION_LEVELS", &[3]) {
                    table(&path, &scratch, &caps(level));
                }
            }
        }
    }
}

/// Two pages of so many MiB, 48 revisions each: a line in a hundred differs from one to the next.
fn large_pages(path: &Path, mib: usize) {
    let store = Store::builder(path).packing(Packing::WhenAsked).open().unwrap();
    for edit in 0..48_u64 {
        for page in 0..2_u64 {
            let mut text = String::with_capacity((mib << 20) + 100);
            let mut line = 0_u64;
            while text.len() < mib << 20 {
                let last = edit.saturating_sub(line.wrapping_mul(7) % 100) / 100
                    + u64::from(line % 100 == edit % 100);
                let mix = (line << 8 ^ page << 60).wrapping_add(last).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                text += &format!("Line {line} of the page speaks of {:x} and {}.\n", mix >> 24, mix % 9973);
                line += 1;
            }
            store.put(format!("Page {page}"), Expect::Any, Draft::new(text)).unwrap();
        }
    }
    store.close().unwrap();
}

fn table(store: &Path, scratch: &Scratch, rows: &[PackOptions]) {
    let fs = OsFs::new();
    let dir = scratch.path("segments");
    fs.create_dir_all(&dir).unwrap();
    let (id, inputs, first, last) = segments(&fs, store, &dir);
    println!("{}: {} segments, changes {first} to {last}", store.display(), inputs.len());
    println!(
        "{:>5} {:>5} {:>4} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8} {:>8} {:>9} {:>9}",
        "level",
        "group",
        "MiB",
        "file",
        "frames",
        "heads",
        "directory",
        "digests",
        "locators",
        "groups",
        "raw/file",
        "MB/s",
        "head µs",
        "old µs"
    );
    for (number, options) in (1_000_000..).zip(rows) {
        let request = PackRequest {
            store: id,
            id: FileId { epoch: 1, number },
            rectangle: Rectangle {
                sequence_first: first,
                sequence_last: last,
                entity_first: Bytes::new(),
                entity_last: Bytes::new(),
            },
            generation: 1,
            annotation_watermark: 0,
            last_checksum: 0,
            options: *options,
        };
        let path = dir.join(request.id.file_name(FileKind::Pack));
        let start = Instant::now();
        let info = pack(&fs, &path, &inputs, &request, &|| false).unwrap();
        let elapsed = start.elapsed();
        let pack = Arc::new(Pack::open(&fs, &path, &info, &id, None).unwrap());
        let trailer = *pack.trailer();
        let (head, old) = reads(&pack);
        println!(
            "{:>5} {:>5} {:>4} {:>10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>7} {:>8.1} {:>8.1} {head:>9.1} {old:>9.1}",
            options.level,
            options.group_contents,
            options.group_raw >> 20,
            info.len,
            info.stored_bytes,
            trailer.directory_at - info.stored_bytes,
            trailer.digests_at - trailer.directory_at,
            trailer.locators_at - trailer.digests_at,
            info.len - trailer.locators_at,
            trailer.groups,
            info.raw_bytes as f64 / info.len as f64,
            info.raw_bytes as f64 / 1e6 / elapsed.as_secs_f64(),
        );
        fs.remove_file(&path).unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Mean µs of reading contents without a cache: those that stand in front of their group (newest of an entity), and all others.
fn reads(pack: &Arc<Pack>) -> (f64, f64) {
    let mut newest = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for change in Arc::clone(pack).changes(0, u64::MAX) {
        let change = change.unwrap();
        let Change::Revision { entity, digests, .. } = change.change else { continue };
        if !digests.is_empty() {
            let address = Address { sequence: change.sequence, slot: 0 };
            newest.insert(entity, address);
            all.push(address);
        }
    }
    let time = |addresses: &[Address]| {
        let start = Instant::now();
        addresses.iter().for_each(|address| drop(pack.read_content(*address).unwrap()));
        start.elapsed().as_secs_f64() * 1e6 / addresses.len().max(1) as f64
    };
    let newest: Vec<_> = newest.into_values().collect();
    let old: Vec<_> = all.into_iter().step_by(7).collect();
    (time(&newest), time(&old))
}

/// Copies of a store's segments, the last one sealed.
fn segments(fs: &OsFs, store: &Path, dir: &Path) -> ([u8; 16], Vec<PackInput>, u64, u64) {
    let mut inputs = Vec::new();
    let (mut id, mut first, mut last) = ([0; 16], u64::MAX, 0);
    for entry in fs.read_dir(store).unwrap() {
        let Some((file_id, FileKind::Segment)) = FileId::parse(&entry.name) else { continue };
        let path = dir.join(&entry.name);
        std::fs::copy(store.join(&entry.name), &path).unwrap();
        let file = fs.open(&path, Access::Read).unwrap();
        let mut start = vec![0; 4096];
        let n = read_at_most(&*file, &mut start, 0).unwrap();
        id = FileHeader::decode(&path, &start[..n]).unwrap().store;
        let header =
            SegmentHeader::decode(&path, &start[..recension::log::SEGMENT_HEADER_LEN], &id, file_id).unwrap();
        let frames_end = frames_end(&path, file, &header);
        let block_records = Limits::PRODUCTION.directory_block_records;
        let request = SealRequest { store: &id, id: file_id, frames_end, block_records };
        let Ok(info) = seal(fs, &path, &request) else { continue };
        first = first.min(info.sequence_first);
        last = last.max(info.sequence_last);
        let segment = SealedSegment::open(fs, &path, &info, &id, None).unwrap();
        inputs.push(PackInput::Segment(Arc::new(segment) as Arc<dyn ValueFile>));
    }
    (id, inputs, first, last)
}

fn frames_end(path: &Path, file: Arc<dyn recension::env::File>, header: &SegmentHeader) -> u64 {
    let end = file.len().unwrap();
    let mut reader = recension::log::FrameReader::new(file);
    let mut at = recension::log::SEGMENT_HEADER_LEN as u64;
    while let Ok(recension::log::Found::Frame(frame)) = reader.frame_at(path, at, end, Some(header.salt)) {
        at = frame.end();
    }
    at
}
