//! Reading directory blocks.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::column::{Scaled, Values, column};
use super::directory::{BLOCK_HEADER_LEN, ERASED, Last, PART_LEN_MAX};
use crate::codec::{Codec, Crc, Malformed, Reader, decompress, put_bytes, put_varint};
use crate::limits;
use crate::log::Fault;
use crate::log::record_decode;
use crate::log::{Change, LoggedChange};
use crate::model::{Address, ContentRef, Digest, Entity, Flags, RevisionKind, Row};

/// The sequence numbers of a block's records. They do not stand in the block.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sequences<'a> {
    /// This one and the following ones.
    From(u64),
    /// These: a file that holds some entities only has gaps.
    Each(&'a [u64]),
}

impl Sequences<'_> {
    fn get(self, index: usize) -> Option<u64> {
        match self {
            Self::From(first) => first.checked_add(index as u64),
            Self::Each(all) => all.get(index).copied(),
        }
    }
}

/// Decodes the block that stands at `at`. `digests` are those of the contents that its records store.
pub(crate) fn decode_block(
    block: &[u8],
    at: u64,
    salt: u64,
    sequences: Sequences<'_>,
    digests: &[Digest],
) -> Result<Vec<LoggedChange>, Fault> {
    DirectoryBlock::open(block, at, salt)?.changes(sequences, digests)
}

/// A block whose checksum was verified, uncompressed.
pub(crate) struct DirectoryBlock {
    /// The number of the first change.
    pub first_sequence: u64,
    /// How many changes.
    pub records: u32,
    skeleton: Vec<u8>,
    fields: Vec<u8>,
}

/// The length of the block that begins with these bytes, if one can.
pub(crate) fn directory_block_len(header: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(header);
    let mut read = || -> Result<Option<usize>, Malformed> {
        let first_sequence = reader.u64("a sequence number")?;
        let records = reader.u32("a number of records")?;
        let skeleton = reader.u32("a length")? as usize;
        let skeleton_raw = reader.u32("a length")? as usize;
        let fields = reader.u32("a length")? as usize;
        let fields_raw = reader.u32("a length")? as usize;
        let codec = Codec::from_u8(reader.u8("a codec")?);
        let reserved = reader.bytes(7, "reserved bytes")?;
        let possible = first_sequence > 0
            && records > 0
            && codec.is_some()
            && reserved.iter().all(|byte| *byte == 0)
            && skeleton_raw.max(fields_raw) <= PART_LEN_MAX
            && records as usize <= skeleton_raw;
        let len = skeleton.checked_add(fields).and_then(|len| len.checked_add(BLOCK_HEADER_LEN));
        Ok(len.filter(|_| possible))
    };
    read().ok().flatten()
}

impl DirectoryBlock {
    /// Opens the block that stands at `at`.
    pub(crate) fn open(block: &[u8], at: u64, salt: u64) -> Result<Self, Fault> {
        let bad = |at, expected| Fault::Malformed(Malformed { at, expected });
        let (header, parts) =
            block.split_at_checked(BLOCK_HEADER_LEN).ok_or(bad(0, "the header of a directory block"))?;
        let mut reader = Reader::new(header);
        let body = reader.bytes(BLOCK_HEADER_LEN - 4, "a header")?;
        let checksum = Crc::new().number(salt).number(at).bytes(body).bytes(parts).finish();
        if checksum != reader.u32("a checksum")? {
            return Err(bad(36, "the checksum of the directory block"));
        }
        let mut reader = Reader::new(body);
        let first_sequence = reader.u64("a sequence number")?;
        let records = reader.u32("a number of records")?;
        let skeleton_len = reader.u32("a length")? as usize;
        let skeleton_raw = reader.u32("a length")? as usize;
        reader.u32("a length")?;
        let fields_raw = reader.u32("a length")? as usize;
        let codec = reader.u8("a codec")?;
        let crypt = reader.u8("crypt")?;
        let key = reader.u16("a key id")?;
        let features = reader.u32("features")?;
        if crypt != 0 || key != 0 || features != 0 {
            return Err(Fault::Unsupported("encrypted or extended directory blocks".into()));
        }
        let codec =
            Codec::from_u8(codec).ok_or_else(|| Fault::Unsupported(format!("directory codec {codec}")))?;
        if skeleton_raw > PART_LEN_MAX || fields_raw > PART_LEN_MAX || records as usize > skeleton_raw {
            return Err(bad(8, "lengths within the limits"));
        }
        let (skeleton, fields) = parts.split_at_checked(skeleton_len).ok_or(bad(12, "a length"))?;
        let skeleton = decompress(codec, skeleton, skeleton_raw)?;
        let fields = decompress(codec, fields, fields_raw)?;
        Ok(Self { first_sequence, records, skeleton, fields })
    }

    /// How many contents its records store.
    pub(crate) fn contents(&self) -> Result<u64, Malformed> {
        let mut counts = Skeleton::new(&self.skeleton)?.contents;
        let mut contents = 0_u64;
        while !counts.is_empty() {
            contents =
                contents.saturating_add(counts.varint_max(limits::SLOTS_MAX as u64, "at most 64 contents")?);
        }
        Ok(contents)
    }

    /// Its changes. `digests` are those of the contents that its records store.
    pub(crate) fn changes(
        &self,
        sequences: Sequences<'_>,
        digests: &[Digest],
    ) -> Result<Vec<LoggedChange>, Fault> {
        if Some(self.first_sequence) != sequences.get(0) {
            return Err(Fault::malformed(0, "the first sequence number that the index names"));
        }
        decode_columns(&self.skeleton, &self.fields, self.records as usize, sequences, digests)
    }
}

/// The columns of the skeleton.
struct Skeleton<'a> {
    shapes: Reader<'a>,
    rest: Reader<'a>,
    commit_times: Scaled<'a>,
    by_record: bool,
    numbers: Reader<'a>,
    parents: Reader<'a>,
    authored: Scaled<'a>,
    effective: Scaled<'a>,
    flags: Reader<'a>,
    contents: Reader<'a>,
    lengths: Reader<'a>,
    reused: Reader<'a>,
}

impl<'a> Skeleton<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let from = &mut reader;
        let skeleton = Self {
            shapes: column(from)?,
            rest: column(from)?,
            commit_times: Scaled::new(from)?,
            by_record: from.u8("a number mode")? == 1,
            numbers: column(from)?,
            parents: column(from)?,
            authored: Scaled::new(from)?,
            effective: Scaled::new(from)?,
            flags: column(from)?,
            contents: column(from)?,
            lengths: column(from)?,
            reused: column(from)?,
        };
        reader.end("the end of the skeleton")?;
        Ok(skeleton)
    }

    fn end(&self) -> Result<(), Malformed> {
        [&self.shapes, &self.rest, &self.numbers, &self.parents, &self.flags, &self.contents, &self.lengths]
            .into_iter()
            .chain([&self.reused])
            .try_for_each(|column| column.end("the end of a column"))?;
        [&self.commit_times, &self.authored, &self.effective].into_iter().try_for_each(Scaled::end)
    }
}

/// What carries over from record to record.
#[derive(Default)]
struct Running {
    rest: u32,
    commit_time: i64,
    number: u64,
    authored: i64,
    /// By place of the entity.
    entities: Vec<(Entity, Option<Last>)>,
}

fn decode_columns(
    skeleton: &[u8],
    fields: &[u8],
    records: usize,
    sequences: Sequences<'_>,
    digests: &[Digest],
) -> Result<Vec<LoggedChange>, Fault> {
    let mut skeleton = Skeleton::new(skeleton)?;
    let mut reader = Reader::new(fields);
    let mut entities = Values::new(&mut reader)?;
    let annotations = Bytes::copy_from_slice(column(&mut reader)?.rest());
    let mut annotations_reader = Reader::new(&annotations);
    let mut cold = Cold::new(&mut reader)?;
    reader.end("the end of the fields")?;
    let mut digests = digests.iter();
    let mut running = Running::default();
    let mut changes = Vec::with_capacity(records.min(1024));
    for index in 0..records {
        let bad = skeleton.shapes.malformed("as many records as sequence numbers");
        let sequence = sequences.get(index).ok_or(bad)?;
        let shape = skeleton.shapes.u8("a record's shape")?;
        let predicted = i64::from(running.rest.saturating_sub(1));
        let rest = skeleton.rest.zigzag("a commit rest")?.wrapping_add(predicted);
        running.rest = u32::try_from(rest).map_err(|_| skeleton.rest.malformed("a commit rest"))?;
        running.commit_time = running.commit_time.wrapping_add(skeleton.commit_times.next()?);
        let change = match shape {
            0 => record_decode::annotation(&mut annotations_reader, &annotations)?,
            ERASED => Change::Erased { place: Bytes::new() },
            _ => revision(
                shape,
                sequence,
                &mut skeleton,
                &mut entities,
                &mut cold,
                &mut digests,
                &mut running,
            )?,
        };
        let (commit_rest, commit_time) = (running.rest, running.commit_time);
        changes.push(LoggedChange { sequence, commit_rest, commit_time, change });
    }
    skeleton.end()?;
    entities.end()?;
    cold.end()?;
    annotations_reader.end("the end of the annotations")?;
    if digests.next().is_some() {
        return Err(skeleton.contents.malformed("as many contents as digests").into());
    }
    Ok(changes)
}

#[allow(clippy::too_many_arguments, reason = "one record of eleven columns")]
fn revision(
    shape: u8,
    sequence: u64,
    skeleton: &mut Skeleton<'_>,
    entities: &mut Values<'_>,
    cold: &mut Cold<'_>,
    digests: &mut std::slice::Iter<'_, Digest>,
    running: &mut Running,
) -> Result<Change, Fault> {
    if shape >> 5 != 0 {
        return Err(Fault::Unsupported(format!("directory records of shape {shape:#x}")));
    }
    let kind = RevisionKind::from_u8(shape & 3)
        .ok_or_else(|| Fault::Unsupported(format!("directory records of shape {shape:#x}")))?;
    let (place, name) = entities.next()?;
    if place == running.entities.len() {
        let entity =
            Entity::new(name).map_err(|_| skeleton.shapes.malformed("an entity of 1 to 512 bytes"))?;
        running.entities.push((entity, None));
    }
    let (entity, seen) =
        running.entities.get_mut(place).ok_or_else(|| skeleton.shapes.malformed("a known entity"))?;
    let entity = entity.clone();
    let base = if skeleton.by_record { running.number } else { seen.unwrap_or_default().number };
    let number = base.wrapping_add(skeleton.numbers.zigzag("a revision number")?.cast_unsigned());
    if number == 0 || number > limits::REVISION_NUMBER_MAX {
        return Err(skeleton.numbers.malformed("a revision number from 1 to 2^63 - 1").into());
    }
    running.number = number;
    let base = seen.map_or(number.wrapping_sub(1), |last| last.number);
    let parent = base.wrapping_sub(skeleton.parents.zigzag("a parent number")?.cast_unsigned());
    let authored_time = if shape & 16 == 0 {
        None
    } else {
        running.authored = running.authored.wrapping_add(skeleton.authored.next()?);
        Some(running.authored)
    };
    let base = authored_time.unwrap_or(running.commit_time);
    let effective_time = base.wrapping_add(skeleton.effective.next()?);
    let flags = Flags(skeleton.flags.varint_max(u64::from(u16::MAX), "flags")? as u16);
    let stored = skeleton.contents.varint_max(limits::SLOTS_MAX as u64, "at most 64 contents")?;
    let mut len = seen.unwrap_or_default().len;
    let mut first = None;
    let mut own = Vec::with_capacity(stored as usize);
    for _ in 0..stored {
        let delta = skeleton.lengths.zigzag("a content length")?;
        len = u32::try_from(delta.wrapping_add(i64::from(len)))
            .map_err(|_| skeleton.lengths.malformed("a content length"))?;
        let digest = *digests.next().ok_or_else(|| skeleton.contents.malformed("a digest per content"))?;
        first.get_or_insert((len, digest.tag()));
        own.push(digest);
    }
    *seen = Some(Last { number, len });
    let content = match shape >> 2 & 3 {
        0 => None,
        1 => {
            let (len, tag) = first.ok_or_else(|| skeleton.contents.malformed("a stored content"))?;
            Some(ContentRef { address: Address { sequence, slot: 0 }, len, tag })
        }
        2 => {
            let bad = skeleton.reused.malformed("an earlier change");
            let distance = skeleton.reused.varint("the distance of a reused content")?;
            let slot = skeleton.reused.varint_max(u64::from(u16::MAX), "a slot")? as u16;
            let len = skeleton.reused.varint_max(limits::CONTENT_LEN_MAX as u64, "a content length")? as u32;
            let tag = skeleton.reused.u64("a digest tag")?;
            let origin = sequence.checked_sub(distance).filter(|n| *n > 0 && *n < sequence).ok_or(bad)?;
            Some(ContentRef { address: Address { sequence: origin, slot }, len, tag })
        }
        _ => return Err(Fault::Unsupported(format!("directory records of shape {shape:#x}"))),
    };
    let row = Row {
        number,
        parent,
        sequence,
        commit_rest: running.rest,
        commit_time: running.commit_time,
        authored_time,
        effective_time,
        kind,
        flags,
        content,
        cold: cold.next()?,
    };
    Ok(Change::Revision { entity, row, digests: own })
}

/// Puts the cold fields together again.
struct Cold<'a> {
    counts: Reader<'a>,
    tags: Reader<'a>,
    values: BTreeMap<u64, Values<'a>>,
}

impl<'a> Cold<'a> {
    fn new(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let counts = column(from)?;
        let tags = column(from)?;
        let mut distinct = tags.clone();
        let mut values = BTreeMap::new();
        let mut ordered = std::collections::BTreeSet::new();
        while !distinct.is_empty() {
            ordered.insert(distinct.varint("a tag")?);
        }
        for tag in ordered {
            values.insert(tag, Values::new(from)?);
        }
        Ok(Self { counts, tags, values })
    }

    fn next(&mut self) -> Result<Bytes, Malformed> {
        let count = self.counts.varint("a number of fields")?;
        let mut out = Vec::new();
        for _ in 0..count {
            let tag = self.tags.varint("a tag")?;
            let bad = self.tags.malformed("a known tag");
            let (_, value) = self.values.get_mut(&tag).ok_or(bad)?.next()?;
            put_varint(&mut out, tag);
            put_bytes(&mut out, value);
            if out.len() > limits::FIELDS_LEN_MAX {
                return Err(bad);
            }
        }
        Ok(out.into())
    }

    fn end(&self) -> Result<(), Malformed> {
        self.counts.end("the end of a column")?;
        self.tags.end("the end of a column")?;
        self.values.values().try_for_each(Values::end)
    }
}
