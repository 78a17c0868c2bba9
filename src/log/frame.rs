//! Making frames: one commit, or a run of small ones, laid out completely before its place is known.
//!
//! [`FrameDraft::new`] runs on the caller's thread and does all the work: encoding, checksums of contents, limits. Afterwards only
//! fixed-width holes are filled: each revision's numbers ([`FrameDraft::set_numbers`]) and what depends on the place
//! ([`FrameDraft::finish`]). Both may be repeated with other values.

use bytes::Bytes;

use super::Position;
use super::frame_groups::FrameGroups;
use super::frame_head::{FRAME_GRID, FRAME_HEADER_LEN, FrameHead, FrameKind};
use super::locator::{Locator, StoredContent};
use super::record::{MainContent, Numbers, RecordDraft};
use super::unit::{UNIT_HEADER_LEN, UnitHeader, UnitKind};
use crate::codec::{Codec, Crc};
use crate::limits;
use crate::model::{Address, ContentRef, Entity, Row};
use crate::{Error, Result};

/// Where a frame goes, and what only that tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FramePlace {
    /// The segment's salt.
    pub salt: u64,
    /// Offset in the segment, a multiple of 8.
    pub offset: u64,
    /// Checksum of the frame before.
    pub prev_checksum: u32,
    /// Sequence number of the first record.
    pub first_sequence: u64,
    /// Commit time of all records, µs.
    pub commit_time: i64,
    /// The log is known to be durable up to here.
    pub promise: Position,
}

/// A frame in the making.
#[derive(Debug)]
pub struct FrameDraft {
    kind: FrameKind,
    records: Vec<RecordDraft>,
    bytes: Vec<u8>,
    metadata_len: usize,
    /// Per record: where its numbers go (annotations have none), and what was put there.
    numbers: Vec<(Option<usize>, Numbers)>,
    units: Vec<LaidUnit>,
    contents: Vec<LaidContent>,
    groups: bool,
    place: FramePlace,
}

/// A unit of the frame.
#[derive(Debug)]
struct LaidUnit {
    /// Of its content; of a group, of the newest one.
    record: usize,
    slot: u16,
    at: usize,
    kind: UnitKind,
    codec: Codec,
    raw_len: u32,
    stored_len: usize,
    stored: Crc,
}

/// A content of the frame.
#[derive(Debug)]
struct LaidContent {
    record: usize,
    slot: u16,
    /// Which of the units.
    unit: usize,
    member: u16,
}

impl FrameDraft {
    /// Lays out a frame, numbers zero. The drafts' stored bytes move into the frame: in [`FrameDraft::records`] they are empty.
    ///
    /// # Errors
    /// `Invalid` if a limit is passed, or if a promise has records or a commit has none.
    pub fn new(kind: FrameKind, mut records: Vec<RecordDraft>) -> Result<Self> {
        if kind.has_records() == records.is_empty() {
            return Err(Error::invalid(format!("a {kind:?} frame with {} records", records.len())));
        }
        if records.len() > limits::FRAME_RECORDS_MAX {
            return Err(Error::invalid(format!(
                "a commit has at most {} changes, this one has {}",
                limits::FRAME_RECORDS_MAX,
                records.len()
            )));
        }
        records.iter().try_for_each(RecordDraft::check)?;
        let mut groups = FrameGroups::gather(&records)?;
        let own = records.iter().flat_map(RecordDraft::units).filter(|unit| unit.group.is_none());
        let own: u64 = own.map(|unit| unit.disk_len() as u64).sum();
        let stored = own.saturating_add(groups.disk_len());
        let fields: u64 = records.iter().map(RecordDraft::fields_len).sum();
        check_len(stored.saturating_add(fields))?;

        // Enough for nearly all frames: what `encode` adds to the fields is some dozens of bytes a record.
        let room = stored.saturating_add(fields).saturating_add(128 * records.len() as u64);
        let mut bytes = Vec::with_capacity(FRAME_HEADER_LEN + room as usize + FRAME_GRID);
        bytes.resize(FRAME_HEADER_LEN, 0);
        let numbers = records.iter().map(|record| record.encode(&mut bytes, &mut groups));
        let numbers = numbers.map(|at| (at, Numbers::default())).collect();
        let metadata_len = bytes.len() - FRAME_HEADER_LEN;
        check_len(stored.saturating_add(bytes.len() as u64))?;
        bytes.reserve_exact(stored as usize + FRAME_GRID);
        let (mut units, mut contents) = (Vec::new(), Vec::new());
        let mut laid: Vec<Option<usize>> = vec![None; groups.groups.len()];
        for (record, draft) in records.iter_mut().enumerate() {
            for (slot, unit) in draft.units_mut().iter_mut().enumerate() {
                let slot = slot as u16;
                let number = unit.group.as_ref().and_then(|(group, _)| groups.number(group));
                let known = number.and_then(|number| laid.get(number).copied().flatten());
                let index = known.unwrap_or(units.len());
                let member = unit.group.as_ref().map_or(0, |(_, member)| u16::from(*member) + 1);
                contents.push(LaidContent { record, slot, unit: index, member });
                if known.is_some() {
                    continue;
                }
                let group = number.and_then(|number| groups.groups.get(number));
                let (kind, codec, raw_len, of) = match group {
                    Some(group) => {
                        let (draft, table_len) = (&group.draft, group.table.len() as u16);
                        let (members, level) = (draft.members, draft.level);
                        let kind = UnitKind::Group { table_len, members, level };
                        (kind, Codec::Zstd, draft.raw_len, group.newest)
                    }
                    None => {
                        let kind = UnitKind::Content { raw_crc: unit.raw_crc };
                        (kind, unit.codec, unit.raw_len, (record, slot))
                    }
                };
                let at = bytes.len();
                bytes.resize(at + UNIT_HEADER_LEN, 0);
                match group {
                    Some(group) => {
                        bytes.extend_from_slice(&group.table);
                        bytes.extend_from_slice(&group.draft.stored);
                    }
                    None => bytes.extend_from_slice(&unit.stored),
                }
                unit.stored = Bytes::new();
                let stored = bytes.get(at + UNIT_HEADER_LEN..).unwrap_or_default();
                let (stored_len, stored) = (stored.len(), Crc::new().bytes(stored));
                let (record, slot) = of;
                units.push(LaidUnit { record, slot, at, kind, codec, raw_len, stored_len, stored });
                if let Some(place) = number.and_then(|number| laid.get_mut(number)) {
                    *place = Some(index);
                }
            }
        }
        bytes.resize(bytes.len().next_multiple_of(FRAME_GRID), 0);
        check_len(bytes.len() as u64)?;
        let groups = !groups.groups.is_empty();
        let place = FramePlace::default();
        Ok(Self { kind, records, bytes, metadata_len, numbers, units, contents, groups, place })
    }

    /// What it is.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Its length on disk, a multiple of 8.
    #[allow(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Its records, without their stored bytes.
    pub fn records(&self) -> &[RecordDraft] {
        &self.records
    }

    /// Fills in the numbers of a revision. Annotations have none: nothing happens.
    pub fn set_numbers(&mut self, record: usize, numbers: Numbers) {
        if let Some((Some(at), kept)) = self.numbers.get_mut(record) {
            *kept = numbers;
            let encoded = numbers.encode();
            if let Some(hole) = self.bytes.get_mut(*at..*at + encoded.len()) {
                hole.copy_from_slice(&encoded);
            }
        }
    }

    /// Fills in everything that depends on the place; answers the frame's checksum, which the next frame names.
    pub fn finish(&mut self, place: &FramePlace) -> u32 {
        debug_assert!(place.offset.is_multiple_of(FRAME_GRID as u64), "frames stand on a grid");
        self.place = *place;
        let place = *place;
        for index in 0..self.units.len() {
            let Some((unit, header)) = self.unit_header(index) else { continue };
            let encoded = header.encode(unit.stored.clone());
            let at = unit.at;
            if let Some(hole) = self.bytes.get_mut(at..at + encoded.len()) {
                hole.copy_from_slice(&encoded);
            }
        }
        let mut head = FrameHead {
            kind: self.kind,
            groups: self.groups,
            len: self.bytes.len() as u32,
            metadata_len: self.metadata_len as u32,
            records: self.records.len() as u32,
            salt: place.salt,
            prev_checksum: place.prev_checksum,
            checksum: 0,
            first_sequence: place.first_sequence,
            commit_time: place.commit_time,
            promise: place.promise,
        };
        let (hole, behind) = self.bytes.split_at_mut(FRAME_HEADER_LEN);
        let metadata = behind.get(..self.metadata_len).unwrap_or_default();
        hole.copy_from_slice(&head.encode(metadata, place.offset));
        head.checksum
    }

    /// The frame's bytes; meaningful after [`FrameDraft::finish`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where it was placed.
    pub fn place(&self) -> &FramePlace {
        &self.place
    }

    /// The contents that it stores and where they stand in the file, in address order; after [`FrameDraft::finish`].
    pub fn contents(&self) -> impl Iterator<Item = StoredContent> + '_ {
        self.contents.iter().filter_map(|content| {
            let unit = self.units.get(content.unit)?;
            let draft = self.records.get(content.record)?.units().get(usize::from(content.slot))?;
            Some(StoredContent {
                locator: Locator {
                    address: Address { sequence: self.sequence(content.record), slot: content.slot },
                    member: content.member,
                    offset: self.place.offset + unit.at as u64,
                    len: (unit.stored_len + UNIT_HEADER_LEN) as u32,
                },
                raw_len: draft.raw_len,
                digest: draft.digest,
            })
        })
    }

    /// The sequence number of a record; after [`FrameDraft::finish`].
    pub fn sequence(&self, record: usize) -> u64 {
        self.place.first_sequence + record as u64
    }

    /// How many changes of the same commit follow a record.
    pub fn commit_rest(&self, record: usize) -> u32 {
        match self.kind {
            FrameKind::Run => 0,
            _ if planted!("commit boundary lost") => 0,
            _ => (self.records.len() - 1).saturating_sub(record) as u32,
        }
    }

    /// The index row of a revision; `None` for an annotation. After [`FrameDraft::finish`].
    pub fn row(&self, record: usize) -> Option<(Entity, Row)> {
        let RecordDraft::Revision { entity, kind, flags, authored_time, content, units, cold } =
            self.records.get(record)?
        else {
            return None;
        };
        let (_, numbers) = self.numbers.get(record)?;
        let sequence = self.sequence(record);
        let content = match content {
            MainContent::None => None,
            MainContent::Reused(content, _) => Some(*content),
            MainContent::Stored => units.first().map(|unit| ContentRef {
                address: Address { sequence, slot: 0 },
                len: unit.raw_len,
                tag: unit.digest.tag(),
            }),
        };
        let row = Row {
            number: numbers.number,
            parent: numbers.parent,
            sequence,
            commit_rest: self.commit_rest(record),
            commit_time: self.place.commit_time,
            authored_time: *authored_time,
            effective_time: numbers.effective_time,
            kind: *kind,
            flags: *flags,
            content,
            cold: cold.clone(),
        };
        Some((entity.clone(), row))
    }

    fn unit_header(&self, index: usize) -> Option<(&LaidUnit, UnitHeader)> {
        let unit = self.units.get(index)?;
        let header = UnitHeader {
            kind: unit.kind,
            codec: unit.codec,
            address: Address { sequence: self.sequence(unit.record), slot: unit.slot },
            stored_len: unit.stored_len as u32,
            raw_len: unit.raw_len,
        };
        Some((unit, header))
    }
}

fn check_len(len: u64) -> Result<()> {
    if len > limits::FRAME_LEN_MAX as u64 {
        return Err(Error::invalid(format!(
            "a commit takes at most {} bytes, this one takes {len}: split it",
            limits::FRAME_LEN_MAX
        )));
    }
    Ok(())
}
