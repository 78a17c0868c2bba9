//! The directory: every change of the segment without contents, column by column.
//!
//! ```text
//! block:  0 first sequence   u64      24 fields, raw length       u32
//!         8 records          u32      28 codec u8 (2 zstd), crypt u8, key id u16 (reserved: 0)
//!        12 skeleton, stored u32      32 features u32 (reserved: leaf hashes of an audit chain; 0)
//!        16 skeleton, raw    u32      36 checksum u32, masked CRC of salt (u64), own offset (u64), bytes 0..36, skeleton, fields
//!        20 fields, stored   u32      40 skeleton, fields: each a zstd frame
//! ```
//! A column is a varint length and that many bytes. *Skeleton*, which is kept whatever is forgotten:
//!
//! ```text
//! shapes        per record: bits 0-1 kind (0 annotation, 1 put, 2 delete, 3 erased: nothing else of it is left), 2-3 main content (0 none, 1 stored, 2 reused), 4 authored time
//! commit rest   zigzag, against one less than the record before
//! commit times  scaled deltas against the record before
//! — for revisions only —
//! number mode   u8: numbers are deltas against 0 the entity's last number in the block (0 if none), 1 the revision before
//! numbers       zigzag
//! parents       zigzag, against the entity's last number in the block (else number − 1)
//! authored      scaled deltas against the authored time before
//! effective     scaled, against the authored time, else the commit time
//! flags         varint
//! contents      varint: how many are stored
//! lengths       zigzag, uncompressed, against the last length of the entity in the block (else 0)
//! reused        sequence distance, slot, length: varints; tag: 8 bytes
//! ```
//! *Fields*, each of which can be removed:
//!
//! ```text
//! entities      repeated values (see `column`): the entity of every revision
//! annotations   column: as in a frame's metadata, without the type
//! cold counts   column: how many fields every revision has
//! cold tags     column: their tags
//! per distinct tag, ascending: repeated values
//! ```
//! The cold fields come back byte for byte.

use std::collections::BTreeMap;

use super::column::{ValuesWriter, put_column, put_scaled};
use crate::codec::{Codec, Crc, Reader, compress, put_u16, put_u32, put_u64, put_varint, put_zigzag};
use crate::limits::{self, Limits};
use crate::log::record::{NoGroups, RecordDraft};
use crate::log::{Change, LoggedChange};
use crate::model::RevisionKind;

/// Bytes before a block's two compressed parts.
pub(crate) const BLOCK_HEADER_LEN: usize = 40;
/// Most bytes that one part of a block may decompress to (records of the largest fields).
pub(super) const PART_LEN_MAX: usize = 64 << 20;
/// At which level a segment's directory is compressed: a seal should not take long.
pub(super) const SEGMENT_LEVEL: i32 = 9;

const _: () = {
    let record = limits::FIELDS_LEN_MAX + limits::ENTITY_LEN_MAX + 1024;
    assert!(Limits::PRODUCTION.directory_block_records as usize * record <= PART_LEN_MAX);
};

/// The shape of a change whose entity was purged.
pub(super) const ERASED: u8 = 3;

/// What was said last of an entity in a block.
#[derive(Clone, Copy, Default)]
pub(super) struct Last {
    pub number: u64,
    pub len: u32,
}

/// Lengths of the contents that each record stores.
pub(crate) type Lengths = Vec<u32>;

/// A block without a place: what of its making takes long.
pub(crate) struct PackedBlock {
    pub(crate) first_sequence: u64,
    pub(crate) records: u32,
    /// Compressed, and the length before.
    skeleton: (Vec<u8>, u32),
    fields: (Vec<u8>, u32),
}

impl PackedBlock {
    /// Columns, compressed.
    pub(crate) fn of(records: &[(LoggedChange, Lengths)], level: i32) -> Self {
        let (skeleton, fields) = columns(records);
        let packed = |part: Vec<u8>| (compress(Codec::Zstd, level, &part), part.len() as u32);
        Self {
            first_sequence: records.first().map_or(0, |(change, _)| change.sequence),
            records: records.len() as u32,
            skeleton: packed(skeleton),
            fields: packed(fields),
        }
    }

    /// Encodes it at the end of `out`, whose first byte stands in the file at `base`.
    pub(crate) fn put(&self, base: u64, salt: u64, out: &mut Vec<u8>) {
        let at = base + out.len() as u64;
        let mut header = Vec::with_capacity(BLOCK_HEADER_LEN);
        put_u64(&mut header, self.first_sequence);
        put_u32(&mut header, self.records);
        for (stored, raw_len) in [&self.skeleton, &self.fields] {
            put_u32(&mut header, stored.len() as u32);
            put_u32(&mut header, *raw_len);
        }
        header.extend_from_slice(&[Codec::Zstd as u8, 0]);
        put_u16(&mut header, 0);
        put_u32(&mut header, 0);
        let checksum = Crc::new().number(salt).number(at).bytes(&header);
        put_u32(&mut header, checksum.bytes(&self.skeleton.0).bytes(&self.fields.0).finish());
        for part in [&header, &self.skeleton.0, &self.fields.0] {
            out.extend_from_slice(part);
        }
    }
}

#[derive(Default)]
struct Skeleton {
    shapes: Vec<u8>,
    rest: Vec<u8>,
    commit_times: Vec<i64>,
    numbers: [Vec<u8>; 2],
    parents: Vec<u8>,
    authored: Vec<i64>,
    effective: Vec<i64>,
    flags: Vec<u8>,
    contents: Vec<u8>,
    lengths: Vec<u8>,
    reused: Vec<u8>,
}

/// The two parts of a block, uncompressed.
fn columns(records: &[(LoggedChange, Lengths)]) -> (Vec<u8>, Vec<u8>) {
    let mut skeleton = Skeleton::default();
    let mut entities = ValuesWriter::default();
    let mut annotations = Vec::new();
    let mut cold = Cold::default();
    let mut last: Vec<Option<Last>> = Vec::new();
    let (mut rest, mut commit_time, mut number, mut authored) = (0_u32, 0_i64, 0_u64, 0_i64);
    for (change, lengths) in records {
        let predicted = i64::from(rest.saturating_sub(1));
        put_zigzag(&mut skeleton.rest, i64::from(change.commit_rest) - predicted);
        rest = change.commit_rest;
        skeleton.commit_times.push(change.commit_time.wrapping_sub(commit_time));
        commit_time = change.commit_time;
        let (entity, row) = match &change.change {
            Change::Revision { entity, row, .. } => (entity, row),
            Change::Annotation(note) => {
                skeleton.shapes.push(0);
                let mut record = Vec::new();
                RecordDraft::Annotation(note.clone()).encode(&mut record, &mut NoGroups);
                annotations.extend_from_slice(record.get(1..).unwrap_or_default());
                continue;
            }
            Change::Erased { .. } => {
                skeleton.shapes.push(ERASED);
                continue;
            }
        };
        let main = match row.content {
            None => 0,
            Some(content) if content.address.sequence == change.sequence => 1,
            Some(content) => {
                put_varint(&mut skeleton.reused, change.sequence - content.address.sequence);
                put_varint(&mut skeleton.reused, u64::from(content.address.slot));
                put_varint(&mut skeleton.reused, u64::from(content.len));
                put_u64(&mut skeleton.reused, content.tag);
                2
            }
        };
        let kind = match row.kind {
            RevisionKind::Put => 1,
            RevisionKind::Delete => 2,
        };
        skeleton.shapes.push(kind | main << 2 | u8::from(row.authored_time.is_some()) << 4);
        let index = entities.push(entity.as_bytes());
        if index == last.len() {
            last.push(None);
        }
        let Some(seen) = last.get_mut(index) else { continue };
        let known = seen.unwrap_or_default();
        let [by_entity, by_record] = &mut skeleton.numbers;
        put_zigzag(by_entity, row.number.wrapping_sub(known.number).cast_signed());
        put_zigzag(by_record, row.number.wrapping_sub(number).cast_signed());
        number = row.number;
        let predicted = seen.map_or(row.number.wrapping_sub(1), |last| last.number);
        put_zigzag(&mut skeleton.parents, predicted.wrapping_sub(row.parent).cast_signed());
        if let Some(time) = row.authored_time {
            skeleton.authored.push(time.wrapping_sub(authored));
            authored = time;
        }
        let base = row.authored_time.unwrap_or(row.commit_time);
        skeleton.effective.push(row.effective_time.wrapping_sub(base));
        put_varint(&mut skeleton.flags, u64::from(row.flags.0));
        put_varint(&mut skeleton.contents, lengths.len() as u64);
        let mut len = known.len;
        for now in lengths {
            put_zigzag(&mut skeleton.lengths, i64::from(*now) - i64::from(len));
            len = *now;
        }
        *seen = Some(Last { number: row.number, len });
        cold.push(&row.cold);
    }
    let mut fields = Vec::new();
    entities.finish(&mut fields);
    put_column(&mut fields, &annotations);
    cold.finish(&mut fields);
    (skeleton.finish(), fields)
}

impl Skeleton {
    fn finish(self) -> Vec<u8> {
        let mut out = Vec::new();
        put_column(&mut out, &self.shapes);
        put_column(&mut out, &self.rest);
        put_scaled(&mut out, &self.commit_times);
        let [by_entity, by_record] = self.numbers;
        let mode = u8::from(by_record.len() < by_entity.len());
        out.push(mode);
        put_column(&mut out, if mode == 0 { &by_entity } else { &by_record });
        put_column(&mut out, &self.parents);
        put_scaled(&mut out, &self.authored);
        put_scaled(&mut out, &self.effective);
        for column in [&self.flags, &self.contents, &self.lengths, &self.reused] {
            put_column(&mut out, column);
        }
        out
    }
}

/// The cold fields, taken apart by tag.
#[derive(Default)]
struct Cold<'a> {
    counts: Vec<u8>,
    tags: Vec<u8>,
    values: BTreeMap<u64, ValuesWriter<'a>>,
}

impl<'a> Cold<'a> {
    /// Adds the fields of a revision; they were checked to be (tag, length, value)* when the frame was made or read.
    fn push(&mut self, cold: &'a [u8]) {
        let mut reader = Reader::new(cold);
        let mut count = 0;
        while let Ok(tag) = reader.varint("a tag") {
            let Ok(value) = reader.prefixed(cold.len(), "a value") else { break };
            put_varint(&mut self.tags, tag);
            self.values.entry(tag).or_default().push(value);
            count += 1;
        }
        put_varint(&mut self.counts, count);
    }

    fn finish(self, out: &mut Vec<u8>) {
        put_column(out, &self.counts);
        put_column(out, &self.tags);
        for values in self.values.into_values() {
            values.finish(out);
        }
    }
}
