//! All that can be decoded of a file, by the code of the inspection tool.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;

use bytes::Bytes;
use recension::codec::{FileId, FileKind};
use recension::env::{Access, File, Fs};
use recension::index::table::{TableItem, dissect_table};
use recension::log::{SegmentItem, UnitHeader, VerifyDepth, dissect_segment};
use recension::manifest::{ManifestItem, dissect_manifest};
use recension::pack::{PackItem, dissect_pack};

/// A file as it is, and all that can be decoded of it.
pub fn decoded(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    let file = fs.open(path, Access::Read).unwrap();
    let mut all = read(&*file, 0, file.len().unwrap() as usize);
    let name = path.file_name().unwrap().to_str().unwrap();
    let mut more = Vec::new();
    match FileId::parse(name).map(|(_, kind)| kind) {
        Some(FileKind::Segment) => {
            dissect_segment(&file, path, VerifyDepth::Contents, &mut |item| {
                match item {
                    SegmentItem::Frame(_, records) => {
                        for record in records {
                            more.extend_from_slice(format!("{:?}", record.change).as_bytes());
                            for content in record.contents {
                                let place = content.locator;
                                let unit = Bytes::from(read(&*file, place.offset, place.len as usize));
                                if let Ok(raw) = UnitHeader::open(&unit, place.address) {
                                    more.extend_from_slice(&raw);
                                }
                            }
                        }
                    }
                    SegmentItem::Directory(changes) => {
                        more.extend_from_slice(format!("{changes:?}").as_bytes())
                    }
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        Some(FileKind::Pack) => {
            dissect_pack(&file, path, VerifyDepth::Contents, &mut |item| {
                match item {
                    PackItem::Content(_, Some(raw)) => more.extend_from_slice(&raw),
                    PackItem::Directory(changes) => more.extend_from_slice(format!("{changes:?}").as_bytes()),
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        Some(FileKind::RevisionTable | FileKind::PlainTable) => {
            dissect_table(&file, path, &mut |item| {
                match item {
                    TableItem::Row(entity, row, _) => {
                        more.extend_from_slice(format!("{entity:?} {row:?}").as_bytes())
                    }
                    TableItem::Pair(key, value) => more.extend([key, value].concat()),
                    _ => {}
                }
                Ok(())
            })
            .unwrap();
        }
        Some(FileKind::Manifest) => {
            dissect_manifest(path, &all, &mut |item| {
                if let ManifestItem::Frame(frame) = item {
                    more.extend_from_slice(format!("{:?}", frame.edits).as_bytes());
                }
                Ok(())
            })
            .unwrap();
        }
        _ => {}
    }
    all.append(&mut more);
    all
}

pub fn read(file: &dyn File, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        match file.read_at(&mut bytes[done..], at + done as u64).unwrap() {
            0 => break,
            n => done += n,
        }
    }
    bytes.truncate(done);
    bytes
}
