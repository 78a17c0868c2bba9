//! Small packs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::codec::{FileId, FileKind};
pub(super) use crate::log::tests::mem_fs::MemFs;
pub(super) use crate::log::tests::support::{
    STORE, Writer, file_id, grouped, hide, mixed, put, reuse, seal_all, together,
};
use crate::log::{BlockCache, Change, LoggedChange, RecordDraft, SealedSegment, UnitDraft, ValueFile};
use crate::manifest::ValueFileInfo;
use crate::model::{Address, Digest};
pub(super) use crate::pack::*;

pub(super) const TEST: PackOptions = PackOptions { directory_records: 7, ..PackOptions::FAST };

pub(super) fn path_of(id: FileId) -> PathBuf {
    Path::new("/store").join(id.file_name(FileKind::Pack))
}

/// The segment that `log` is at, sealed.
pub(super) fn sealed(log: &Writer) -> PackInput {
    let info = seal_all(log, 4);
    PackInput::Segment(Arc::new(SealedSegment::open(&*log.fs, &log.path(), &info, &STORE, None).unwrap()))
}

pub(super) fn request(number: u64, first: u64, last: u64, options: PackOptions) -> PackRequest {
    PackRequest {
        store: STORE,
        id: file_id(number),
        rectangle: Rectangle {
            sequence_first: first,
            sequence_last: last,
            entity_first: Bytes::new(),
            entity_last: Bytes::new(),
        },
        generation: 1,
        annotation_watermark: 0,
        last_checksum: 77,
        options,
    }
}

pub(super) fn try_make(
    fs: &MemFs,
    inputs: &[PackInput],
    request: &PackRequest,
) -> crate::Result<ValueFileInfo> {
    pack(fs, &path_of(request.id), inputs, request, &|| false)
}

pub(super) fn make(fs: &MemFs, inputs: &[PackInput], request: &PackRequest) -> (ValueFileInfo, Arc<Pack>) {
    let info = try_make(fs, inputs, request).unwrap();
    let bytes = fs.get(&path_of(request.id));
    assert_eq!((info.len, &info.blake3), (bytes.len() as u64, blake3::hash(&bytes).as_bytes()));
    let pack = open(fs, &info);
    pack.verify(Depth::Contents, &|| false).unwrap();
    (info, pack)
}

pub(super) fn open(fs: &MemFs, info: &ValueFileInfo) -> Arc<Pack> {
    Arc::new(Pack::open(fs, &path_of(info.id), info, &STORE, None).unwrap())
}

/// Everything a value file has to say.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    pub changes: Vec<LoggedChange>,
    pub contents: Vec<(Address, Bytes, Digest)>,
}

pub(super) fn said(file: &Arc<dyn ValueFile>) -> Said {
    let mut said = Said::default();
    for change in file.clone().changes(0, u64::MAX) {
        let change = change.unwrap();
        if let Change::Revision { digests, .. } = &change.change {
            for slot in 0..digests.len() as u16 {
                let address = Address { sequence: change.sequence, slot };
                let content = file.read_content(address).unwrap();
                assert_eq!(Digest::of(&content), digests[usize::from(slot)]);
                said.contents.push((address, content, file.digest(address).unwrap()));
            }
        }
        said.changes.push(change);
    }
    said
}

pub(super) fn said_by(inputs: &[PackInput]) -> Said {
    let mut all = Said::default();
    for input in inputs {
        let one = said(&input.file());
        all.changes.extend(one.changes);
        all.contents.extend(one.contents);
    }
    all
}

pub(super) fn said_by_pack(pack: &Arc<Pack>) -> Said {
    said(&(Arc::clone(pack) as Arc<dyn ValueFile>))
}

/// Bytes behind the header.
pub(super) fn behind_header(fs: &MemFs, pack: &Pack) -> Vec<u8> {
    fs.get(pack.path()).split_off(pack.header_len)
}

/// Bytes that do not compress.
pub(super) fn noise(seed: u64, len: usize) -> Bytes {
    let mut out = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out.into()
}

pub(super) fn put_bytes(name: &str, content: Bytes) -> RecordDraft {
    let mut draft = put(name, "");
    if let RecordDraft::Revision { units, .. } = &mut draft {
        *units = vec![UnitDraft::new(content)];
    }
    draft
}

/// A page as it is after `edit` edits, each of which changes a line or two.
pub(super) fn page(edit: usize, lines: usize) -> String {
    (0..lines)
        .map(|line| format!("line {line} was last changed by edit {}\n", (edit + line) / lines * lines))
        .collect()
}

/// Keeps everything, and counts.
#[derive(Default)]
pub(super) struct MapCache {
    pub blocks: Mutex<std::collections::BTreeMap<u64, Bytes>>,
    pub puts: AtomicUsize,
}

impl BlockCache for MapCache {
    fn get(&self, _: FileId, offset: u64) -> Option<Bytes> {
        self.blocks.lock().get(&offset).cloned()
    }

    fn put(&self, _: FileId, offset: u64, block: Bytes) {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.blocks.lock().insert(offset, block);
    }
}
