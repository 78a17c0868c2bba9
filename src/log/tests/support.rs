//! Small logs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::mem_fs::MemFs;
use crate::codec::{FileId, FileKind};
use crate::env::{Access, Fs, write_all_at};
use crate::log::*;
use crate::manifest::{PackedEnd, ValueFileInfo};
use crate::model::*;

pub(crate) const STORE: [u8; 16] = *b"a store of tests";
pub(crate) const DIR: &str = "/store";

pub(crate) fn path_of(id: FileId) -> PathBuf {
    Path::new(DIR).join(id.file_name(FileKind::Segment))
}

pub(crate) fn file_id(number: u64) -> FileId {
    FileId { epoch: 1, number }
}

pub(crate) fn entity(name: &str) -> Entity {
    Entity::new(name).unwrap()
}

pub(crate) fn fields(author: &str, comment: &str) -> Bytes {
    let fields = Fields {
        author: Some(Bytes::copy_from_slice(author.as_bytes())),
        comment: Some(Bytes::copy_from_slice(comment.as_bytes())),
        ..Fields::default()
    };
    fields.encode().into()
}

/// A revision with one content.
pub(crate) fn put(name: &str, content: &str) -> RecordDraft {
    RecordDraft::Revision {
        entity: entity(name),
        kind: RevisionKind::Put,
        flags: Flags::MINOR,
        authored_time: Some(1_700_000_000_000_000),
        content: MainContent::Stored,
        units: vec![UnitDraft::new(Bytes::copy_from_slice(content.as_bytes()))],
        cold: fields("ann", "typo"),
    }
}

/// Revisions with one content each, the oldest first, whose contents are compressed together.
pub(crate) fn together(name: &str, contents: &[&str]) -> Vec<RecordDraft> {
    let raw = contents.iter().rev();
    let mut made: Vec<UnitDraft> =
        raw.map(|raw| UnitDraft::uncompressed(Bytes::copy_from_slice(raw.as_bytes()))).collect();
    assert!(group_units(&mut made, 3), "they do not gain anything together");
    let mut records: Vec<RecordDraft> = contents.iter().map(|content| put(name, content)).collect();
    for (record, unit) in records.iter_mut().zip(made.into_iter().rev()) {
        if let RecordDraft::Revision { units, .. } = record {
            *units = vec![unit];
        }
    }
    records
}

pub(crate) fn delete(name: &str) -> RecordDraft {
    RecordDraft::Revision {
        entity: entity(name),
        kind: RevisionKind::Delete,
        flags: Flags::default(),
        authored_time: None,
        content: MainContent::None,
        units: Vec::new(),
        cold: Bytes::new(),
    }
}

/// A revision that says again what change 1 said, with a further slot of its own.
pub(crate) fn reuse(name: &str, content: &str) -> RecordDraft {
    let digest = Digest::of(content.as_bytes());
    let slots = vec![(
        Bytes::from_static(b"media"),
        Some(ContentRef {
            address: Address { sequence: 0, slot: 0 },
            len: 4,
            tag: Digest::of(b"info").tag(),
        }),
    )];
    RecordDraft::Revision {
        entity: entity(name),
        kind: RevisionKind::Put,
        flags: Flags::BOT,
        authored_time: None,
        content: MainContent::Reused(
            ContentRef {
                address: Address { sequence: 1, slot: 0 },
                len: content.len() as u32,
                tag: digest.tag(),
            },
            digest,
        ),
        units: vec![UnitDraft::new(Bytes::from_static(b"info"))],
        cold: Fields { slots, ..Fields::default() }.encode().into(),
    }
}

pub(crate) fn hide(name: &str) -> RecordDraft {
    RecordDraft::Annotation(Annotation {
        entity: entity(name),
        first: 1,
        last: 2,
        kind: AnnotationKind::Hide,
        fields: FieldMask::COMMENT,
        actor: "oversight".into(),
        reason: "names a person".into(),
        erasure: None,
    })
}

/// A word of each kind that erases, by a number.
pub(crate) fn forget(name: &str, n: usize) -> RecordDraft {
    let kinds = [AnnotationKind::Forget, AnnotationKind::Purge, AnnotationKind::Retain];
    let entity = match kinds[n % 3] {
        AnnotationKind::Purge => crate::model::purged_name(&STORE, name.as_bytes()),
        _ => entity(name),
    };
    RecordDraft::Annotation(Annotation {
        entity,
        first: 1,
        last: 2,
        kind: kinds[n % 3],
        fields: FieldMask::CONTENT.with(FieldMask::AUTHOR),
        actor: "oversight".into(),
        reason: "request 7".into(),
        erasure: Some(Erasure { job: 77 << 32, more: n.is_multiple_of(2), time: -3 - n as i64 }),
    })
}

pub(crate) fn header(number: u64) -> SegmentHeader {
    SegmentHeader {
        store: STORE,
        id: file_id(number),
        predecessor: FileId { epoch: 0, number: 0 },
        predecessor_sequence: 0,
        predecessor_checksum: 0,
        salt: 0x5a17_5a17_0000_0000 + number,
        incarnation: 3,
        created: 1_700_000_000_000_000,
        promise: Position::NONE,
    }
}

/// Writes segments as the commit pipeline would.
pub(crate) struct Writer {
    pub fs: Arc<MemFs>,
    pub segment: Arc<ActiveSegment>,
    pub checksum: u32,
    pub next_sequence: u64,
    pub time: i64,
    /// What the next frames promise.
    pub promise: Position,
    /// Where each frame starts, and its first sequence number.
    pub frames: Vec<(u64, u64)>,
    number: u64,
}

impl Writer {
    pub fn new(fs: &Arc<MemFs>) -> Self {
        Self::with_header(fs, header(1))
    }

    pub fn with_header(fs: &Arc<MemFs>, header: SegmentHeader) -> Self {
        Self {
            fs: Arc::clone(fs),
            segment: create(fs, header),
            checksum: header.predecessor_checksum,
            next_sequence: header.first_sequence(),
            time: 1_700_000_000_000_000,
            promise: header.promise,
            frames: Vec::new(),
            number: 0,
        }
    }

    pub fn id(&self) -> FileId {
        self.segment.header().id
    }

    pub fn path(&self) -> PathBuf {
        path_of(self.id())
    }

    pub fn position(&self) -> Position {
        Position::new(self.id().number, self.segment.end())
    }

    /// Everything so far was synced, and later frames say so.
    pub fn synced(&mut self) {
        self.promise = self.position();
    }

    pub fn frame(&mut self, kind: FrameKind, records: Vec<RecordDraft>) -> FrameDraft {
        let mut frame = FrameDraft::new(kind, records).unwrap();
        self.time += 1_000_000;
        for record in 0..frame.records().len() {
            self.number += 1;
            let numbers = Numbers { number: self.number, parent: self.number - 1, effective_time: self.time };
            frame.set_numbers(record, numbers);
        }
        let place = FramePlace {
            salt: self.segment.header().salt,
            offset: self.segment.end(),
            prev_checksum: self.checksum,
            first_sequence: self.next_sequence,
            commit_time: self.time,
            promise: self.promise,
        };
        self.frames.push((place.offset, place.first_sequence));
        self.checksum = frame.finish(&place);
        self.next_sequence += frame.records().len() as u64;
        write_all_at(&**self.segment.file(), frame.bytes(), place.offset).unwrap();
        self.segment.push(&frame);
        frame
    }

    pub fn commit(&mut self, records: Vec<RecordDraft>) -> FrameDraft {
        self.frame(FrameKind::Commit, records)
    }

    pub fn promise(&mut self) {
        self.synced();
        self.frame(FrameKind::Promise, Vec::new());
    }

    /// Goes on in a new segment.
    pub fn roll(&mut self) {
        let header = SegmentHeader {
            predecessor: self.id(),
            predecessor_sequence: self.next_sequence - 1,
            predecessor_checksum: self.checksum,
            promise: self.promise,
            ..header(self.id().number + 1)
        };
        self.segment = create(&self.fs, header);
        self.frames.clear();
    }

    pub fn changes(&self) -> Vec<LoggedChange> {
        all_changes(self.segment.clone())
    }
}

fn create(fs: &Arc<MemFs>, header: SegmentHeader) -> Arc<ActiveSegment> {
    let path = path_of(header.id);
    let file = fs.open(&path, Access::CreateNew).unwrap();
    write_all_at(&*file, &header.encode(), 0).unwrap();
    Arc::new(ActiveSegment::new(path, file, header))
}

pub(crate) fn all_changes(file: Arc<dyn ValueFile>) -> Vec<LoggedChange> {
    file.changes(0, u64::MAX).map(Result::unwrap).collect()
}

/// A segment with one of everything but erasures: 9 changes in 6 frames.
pub(crate) fn mixed(fs: &Arc<MemFs>) -> Writer {
    let mut log = Writer::new(fs);
    log.commit(vec![put("Main Page", "Hello, world")]);
    log.synced();
    log.commit(vec![put("Q1", &"many words ".repeat(40)), put("Q2", ""), hide("Q1")]);
    log.frame(FrameKind::Run, vec![put("Q1", "one"), put("Q1", "two"), reuse("Main Page", "Hello, world")]);
    log.promise();
    log.commit(vec![delete("Q2")]);
    log.commit(vec![put("Q2", "back again")]);
    log
}

/// A segment with contents in groups and by themselves: two groups whose revisions alternate, one of them with further slots, and a
/// commit that is a group. 15 changes in 5 frames.
pub(crate) fn grouped(fs: &Arc<MemFs>) -> Writer {
    fn of(texts: &[String]) -> Vec<&str> {
        texts.iter().map(String::as_str).collect()
    }
    let mut log = Writer::new(fs);
    let page = |n: usize| format!("again and again, {n}; ").repeat(4 + n % 3);
    log.commit(vec![put("Main Page", "Hello, world")]);
    log.synced();
    let first: Vec<String> = (0..4).map(page).collect();
    let second: Vec<String> = (4..8).map(page).collect();
    let mut slotted = together("Q2", &of(&second));
    let pair = slotted.split_off(2);
    // The last two contents of the second group are slots of one revision.
    if let [RecordDraft::Revision { units: older, .. }, RecordDraft::Revision { units: newer, .. }] =
        &pair[..]
        && let [_, RecordDraft::Revision { units, .. }] = &mut slotted[..]
    {
        units.extend(older.iter().chain(newer).cloned());
        // Newest first, then by slot: what is made again is in that order.
        let raw = |n: usize| UnitDraft::uncompressed(Bytes::copy_from_slice(second[n].as_bytes()));
        let mut made = [raw(1), raw(2), raw(3), raw(0)];
        assert!(group_units(&mut made, 3));
        let [one, two, three, zero] = made;
        *units = vec![one, two, three];
        if let RecordDraft::Revision { units, .. } = &mut slotted[0] {
            *units = vec![zero];
        }
    }
    let mut run = Vec::new();
    let mut slotted = slotted.into_iter();
    for record in together("Q1", &of(&first)) {
        run.push(record);
        run.extend(slotted.next());
    }
    run.extend([put("Q3", "alone"), hide("Q1")]);
    log.frame(FrameKind::Run, run);
    log.promise();
    log.commit([vec![delete("Q1")], together("Q3", &of(&second))].concat());
    log.commit(vec![put("Q2", "by itself")]);
    log
}

pub(crate) fn try_seal(log: &Writer, block_records: u32) -> crate::Result<ValueFileInfo> {
    let frames_end = log.segment.end();
    let request = SealRequest { store: &STORE, id: log.id(), frames_end, block_records };
    seal(&*log.fs, &log.path(), &request)
}

pub(crate) fn seal_all(log: &Writer, block_records: u32) -> ValueFileInfo {
    try_seal(log, block_records).unwrap()
}

pub(crate) fn open(fs: &Arc<MemFs>, info: &ValueFileInfo) -> Arc<SealedSegment> {
    Arc::new(SealedSegment::open(&**fs, &path_of(info.id), info, &STORE, None).unwrap())
}

/// What a store knows when it opens its log.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub sealed: Vec<ValueFileInfo>,
    pub promise: Position,
    pub flushed: u64,
    pub packed_end: Option<PackedEnd>,
}

/// The changes of sealed segments behind `after`.
fn changes_of(fs: &MemFs, sealed: &[ValueFileInfo], after: u64) -> ChangeIter {
    let mut sealed: Vec<_> = sealed.iter().filter(|info| info.sequence_last > after).collect();
    sealed.sort_by_key(|info| info.sequence_first);
    let mut all: Vec<crate::Result<LoggedChange>> = Vec::new();
    for info in sealed {
        match SealedSegment::open(fs, &path_of(info.id), info, &STORE, None) {
            Ok(segment) => all.extend(Arc::new(segment).changes(after, u64::MAX)),
            Err(error) => all.push(Err(error)),
        }
    }
    Box::new(all.into_iter())
}

impl Known {
    pub fn recover(
        &self,
        fs: &Arc<MemFs>,
        mode: RecoveryMode,
    ) -> crate::Result<(Recovered, Vec<LoggedChange>)> {
        let dir = Path::new(DIR);
        let listing = fs.read_dir(dir).unwrap();
        let fs_of = fs.clone();
        let sealed = self.sealed.clone();
        let changes = move |after| -> ChangeIter { changes_of(&fs_of, &sealed, after) };
        let input = RecoveryInput {
            fs: &**fs,
            dir,
            listing: &listing,
            store: &STORE,
            sealed: &self.sealed,
            packed_end: self.packed_end,
            changes: &changes,
            promise: self.promise,
            flushed: self.flushed,
            limits: &crate::limits::Limits::TINY,
            mode,
        };
        let mut changes = Vec::new();
        let recovered = recover(&input, &mut |change| {
            changes.push(change);
            Ok(())
        })?;
        Ok((recovered, changes))
    }

    /// What the store knows after it installed what was recovered and removed what was left over.
    pub fn install(&self, fs: &Arc<MemFs>, recovered: &Recovered) -> Self {
        let mut sealed = self.sealed.clone();
        sealed.extend(recovered.sealed.iter().cloned());
        for leftover in &recovered.leftovers {
            fs.remove_file(&path_of(leftover.id)).unwrap();
        }
        Self { sealed, promise: recovered.promise, ..self.clone() }
    }
}
