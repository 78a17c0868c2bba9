//! Reading a frame's records back.

use bytes::Bytes;

use super::change::{Change, LoggedChange};
use super::fault::Fault;
use super::frame_head::{FrameHead, FrameKind};
use super::locator::{Locator, StoredContent};
use super::record::{
    IN_GROUP, SHAPE_AUTHORED, SHAPE_MAIN, SHAPE_REUSED, SHAPE_STORED, TYPE_ANNOTATION, TYPE_REVISION,
    is_tagged,
};
use super::unit::UNIT_HEADER_LEN;
use crate::codec::{Malformed, Reader};
use crate::limits;
use crate::model::{
    Address, Annotation, AnnotationKind, ContentRef, Digest, Entity, Erasure, FieldMask, Flags, RevisionKind,
    Row,
};

/// A record with the places of what it stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedRecord {
    /// The change.
    pub change: LoggedChange,
    /// Its stored contents, by slot.
    pub contents: Vec<StoredContent>,
}

/// Reads the records of a frame whose checksum was verified. `at` is where the frame starts in its file. Entities and fields are
/// slices of `metadata`.
pub fn decode_records(head: &FrameHead, metadata: &Bytes, at: u64) -> Result<Vec<DecodedRecord>, Fault> {
    let mut reader = Reader::new(metadata);
    let mut units = Units { head, at, next: head.units_at(), groups: Vec::new() };
    // A record takes at least seven bytes, so the count is bounded by what was read.
    let count = head.records.min(metadata.len() as u32);
    let mut records = Vec::with_capacity(count as usize);
    for index in 0..head.records {
        let sequence = head.first_sequence.saturating_add(u64::from(index));
        let commit_rest = match head.kind {
            FrameKind::Run => 0,
            _ => head.records - index - 1,
        };
        let mut contents = Vec::new();
        let change = match reader.u8("a record type")? {
            TYPE_REVISION => {
                let row = RowContext { sequence, commit_rest, commit_time: head.commit_time };
                revision(&mut reader, metadata, &row, &mut units, &mut contents)?
            }
            TYPE_ANNOTATION => annotation(&mut reader, metadata)?,
            other => return Err(Fault::Unsupported(format!("log records of type {other}"))),
        };
        let change = LoggedChange { sequence, commit_rest, commit_time: head.commit_time, change };
        records.push(DecodedRecord { change, contents });
    }
    reader.end("the end of the metadata")?;
    if (head.len as usize).saturating_sub(units.next) >= 8 {
        return Err(reader.malformed("contents up to the end of the frame").into());
    }
    Ok(records)
}

/// Where the units of a frame stand, as far as its records have named them.
struct Units<'a> {
    head: &'a FrameHead,
    /// Where the frame starts in its file.
    at: u64,
    /// Where the next unit starts in the frame.
    next: usize,
    /// Offset and length of each group's unit.
    groups: Vec<(u64, u32)>,
}

impl Units<'_> {
    /// The place of a content, which the reader stands before.
    fn locator(&mut self, reader: &mut Reader<'_>, address: Address) -> Result<Locator, Malformed> {
        let bad = reader.malformed("the length of a content unit");
        let unit = reader.varint_max(limits::FRAME_LEN_MAX as u64, "the length of a content unit")?;
        if unit != IN_GROUP {
            let (offset, len) = self.unit(reader, unit, bad)?;
            return Ok(Locator { address, member: 0, offset, len });
        }
        let bad = reader.malformed("a group of this frame");
        let group = reader.varint_max(self.groups.len() as u64, "a group of this frame")?;
        let member = reader.varint_max(u64::from(u8::MAX), "a place in a group")? as u16;
        if !self.head.groups {
            return Err(bad);
        }
        let (offset, len) = match self.groups.get(group as usize) {
            Some(known) => *known,
            None => {
                let bad = reader.malformed("the length of a group");
                let len = reader.varint_max(limits::FRAME_LEN_MAX as u64, "the length of a group")?;
                let place = self.unit(reader, len, bad)?;
                self.groups.push(place);
                place
            }
        };
        Ok(Locator { address, member: member.saturating_add(1), offset, len })
    }

    /// Goes over a unit of this length.
    fn unit(&mut self, reader: &Reader<'_>, len: u64, bad: Malformed) -> Result<(u64, u32), Malformed> {
        let len = len as u32;
        if (len as usize) < UNIT_HEADER_LEN {
            return Err(bad);
        }
        let offset = self.at.saturating_add(self.next as u64);
        self.next = self.next.saturating_add(len as usize);
        if self.next > self.head.len as usize {
            return Err(reader.malformed("contents that fit into the frame"));
        }
        Ok((offset, len))
    }
}

struct RowContext {
    sequence: u64,
    commit_rest: u32,
    commit_time: i64,
}

fn entity(reader: &mut Reader<'_>, metadata: &Bytes) -> Result<Entity, Malformed> {
    let bad = reader.malformed("an entity of 1 to 512 bytes");
    let id = reader.prefixed(limits::ENTITY_LEN_MAX, "an entity of 1 to 512 bytes")?;
    Entity::from_bytes(metadata.slice_ref(id)).map_err(|_| bad)
}

fn digest(reader: &mut Reader<'_>) -> Result<Digest, Malformed> {
    Ok(Digest(reader.array("a digest")?))
}

fn revision(
    reader: &mut Reader<'_>,
    metadata: &Bytes,
    context: &RowContext,
    places: &mut Units<'_>,
    contents: &mut Vec<StoredContent>,
) -> Result<Change, Fault> {
    let bad_number = reader.malformed("a revision number from 1 to 2^63 - 1");
    let number = reader.u64("a revision number")?;
    if number == 0 || number > limits::REVISION_NUMBER_MAX {
        return Err(bad_number.into());
    }
    let parent = reader.u64("a parent number")?;
    let effective_time = reader.u64("an effective time")?.cast_signed();
    let kind = reader.u8("a revision kind")?;
    let kind =
        RevisionKind::from_u8(kind).ok_or_else(|| Fault::Unsupported(format!("revisions of kind {kind}")))?;
    let shape = reader.u8("a record's shape")?;
    if shape & !(SHAPE_MAIN | SHAPE_AUTHORED) != 0 || shape & SHAPE_MAIN == SHAPE_MAIN {
        return Err(Fault::Unsupported(format!("log records of shape {shape:#x}")));
    }
    let flags = Flags(reader.u16("flags")?);
    let units = reader.u8("a number of contents")?;
    if usize::from(units) > limits::SLOTS_MAX {
        return Err(reader.malformed("at most 64 contents").into());
    }
    let entity = entity(reader, metadata)?;
    let authored_time = match shape & SHAPE_AUTHORED {
        0 => None,
        _ => Some(reader.zigzag("an authored time")?),
    };
    let mut content = None;
    if shape & SHAPE_MAIN == SHAPE_REUSED {
        let bad = reader.malformed("an earlier change");
        let sequence = reader.varint("the sequence of a reused content")?;
        if sequence == 0 || sequence >= context.sequence {
            return Err(bad.into());
        }
        let slot = reader.varint_max(u64::from(u16::MAX), "a slot")? as u16;
        let len = reader.varint_max(limits::CONTENT_LEN_MAX as u64, "a content length")? as u32;
        content = Some(ContentRef { address: Address { sequence, slot }, len, tag: digest(reader)?.tag() });
    }
    let mut digests = Vec::with_capacity(usize::from(units));
    for slot in 0..u16::from(units) {
        let digest = digest(reader)?;
        let raw_len = reader.varint_max(limits::CONTENT_LEN_MAX as u64, "a content length")? as u32;
        let address = Address { sequence: context.sequence, slot };
        let locator = places.locator(reader, address)?;
        contents.push(StoredContent { locator, raw_len, digest });
        digests.push(digest);
    }
    if shape & SHAPE_MAIN == SHAPE_STORED {
        let first = contents.first().ok_or_else(|| reader.malformed("a stored content"))?;
        let tag = first.digest.tag();
        content = Some(ContentRef { address: first.locator.address, len: first.raw_len, tag });
    }
    let bad = reader.malformed("tagged fields");
    let cold = reader.prefixed(limits::FIELDS_LEN_MAX, "fields")?;
    if !is_tagged(cold) {
        return Err(bad.into());
    }
    let row = Row {
        number,
        parent,
        sequence: context.sequence,
        commit_rest: context.commit_rest,
        commit_time: context.commit_time,
        authored_time,
        effective_time,
        kind,
        flags,
        content,
        cold: metadata.slice_ref(cold),
    };
    Ok(Change::Revision { entity, row, digests })
}

/// Reads an annotation behind its type byte. The directory keeps annotations in the same form.
pub(super) fn annotation(reader: &mut Reader<'_>, metadata: &Bytes) -> Result<Change, Fault> {
    let kind = reader.u8("an annotation kind")?;
    let kind = AnnotationKind::from_u8(kind)
        .ok_or_else(|| Fault::Unsupported(format!("annotations of kind {kind}")))?;
    let fields = FieldMask(reader.u8("a field mask")?);
    let entity = entity(reader, metadata)?;
    let first = reader.varint("a first revision")?;
    let last = reader.varint_max(limits::REVISION_NUMBER_MAX, "a last revision")?;
    if first == 0 || first > last {
        return Err(reader.malformed("a range of revisions").into());
    }
    let actor = text(reader)?;
    let reason = text(reader)?;
    let erasure = match kind.erases() {
        true => Some(Erasure::decode(reader)?),
        false => None,
    };
    Ok(Change::Annotation(Annotation { entity, first, last, kind, fields, actor, reason, erasure }))
}

fn text(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let bad = reader.malformed("UTF-8 text");
    let bytes = reader.prefixed(limits::FIELDS_LEN_MAX, "UTF-8 text")?;
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| bad)
}
