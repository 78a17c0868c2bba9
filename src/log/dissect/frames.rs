//! Frames and what stands between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{SegmentItem, Walk};
use crate::Result;
use crate::codec::{Holds, Part, PartState, Sum};
use crate::log::VerifyDepth as Depth;
use crate::log::change::Change;
use crate::log::fault::Fault;
use crate::log::frame_head::FrameKind;
use crate::log::group::Member;
use crate::log::locator::{Locator, StoredContent};
use crate::log::position::Position;
use crate::log::record_decode::DecodedRecord;
use crate::log::scan::{Found, Frame, FrameReader, by_unit, holds};
use crate::log::segment::SEGMENT_HEADER_LEN;
use crate::log::unit::{self, UNIT_HEADER_LEN, Unit, UnitKind};
use crate::model::{Address, Digest};

/// Where the contents of the sound frames are, and the hashes of their changes.
#[derive(Default)]
pub(super) struct Seen {
    pub contents: BTreeMap<Address, (u64, u32)>,
    pub changes: BTreeMap<u64, u64>,
    /// Nothing is missing between the first and the last frame.
    pub complete: bool,
}

impl Walk<'_> {
    /// Where frames can be at most.
    pub(super) fn limit(&self) -> u64 {
        self.out.trailer.map_or(self.out.len, |trailer| trailer.frames_end)
    }

    /// All frames; answers what they hold.
    pub(super) fn frames(&mut self) -> Result<Seen> {
        let mut seen = Seen { complete: true, ..Seen::default() };
        let mut reader = FrameReader::new(Arc::clone(self.file));
        let mut last_checksum = self.out.header.map(|header| header.predecessor_checksum);
        let mut at = SEGMENT_HEADER_LEN as u64;
        while at < self.limit() {
            let found = match reader.frame_at(self.path, at, self.limit(), self.out.salt) {
                Ok(found) => found,
                Err(error) => {
                    let state = error.try_into()?;
                    self.unsupported(at, state)?;
                    seen.complete = false;
                    return Ok(seen);
                }
            };
            let frame = match found {
                Found::Frame(frame) => frame,
                Found::Nothing(expected) => {
                    let next = self.gap(at, expected)?;
                    seen.complete &= next.harmless;
                    let Some(next) = next.frame else { return Ok(seen) };
                    at = next;
                    last_checksum = None;
                    reader = FrameReader::new(Arc::clone(self.file));
                    continue;
                }
            };
            self.frame(&frame, last_checksum, &mut seen)?;
            last_checksum = Some(frame.head.checksum);
            at = frame.end();
            self.out.frames_end = at;
        }
        Ok(seen)
    }

    fn unsupported(&mut self, at: u64, state: PartState) -> Result<()> {
        let holds = Holds::sequences(self.out.next_sequence, u64::MAX);
        let len = self.limit().saturating_sub(at);
        self.part(Part { state, ..Part::sound("frame", at, len, "").holding(holds) })
    }

    fn frame(&mut self, frame: &Frame, last_checksum: Option<u32>, seen: &mut Seen) -> Result<()> {
        let head = &frame.head;
        let (first, last) = (head.first_sequence, head.next_sequence().saturating_sub(1));
        let kind = match head.kind {
            FrameKind::Commit => "commit",
            FrameKind::Run => "run",
            FrameKind::Promise => "promise",
            FrameKind::CleanClose => "clean close",
        };
        let mut part = Part::sound(kind, frame.offset, u64::from(head.len), "");
        part.what = match first <= last {
            true if first == last => format!("change {first}"),
            true => format!("changes {first} to {last}"),
            false => format!("durable up to {}", head.promise),
        };
        part.holds = Holds::sequences(first, last);
        // What is missing in front of it, where nothing stands that would have been told.
        let mut missing = None;
        if last_checksum.is_some_and(|checksum| checksum != head.prev_checksum) {
            part.state = PartState::Damaged("expected a frame that names the one before it".into());
        } else if self.out.frames > 0 && first != self.out.next_sequence {
            let next = self.out.next_sequence;
            part.state = PartState::Damaged(format!("expected the change {next}, found {first}"));
            missing = first.checked_sub(1).filter(|last| next <= *last).map(|last| (next, last));
        }
        self.out.salt = Some(head.salt);
        self.out.frames = self.out.frames.saturating_add(1);
        self.out.changes = self.out.changes.saturating_add(u64::from(head.records));
        self.out.next_sequence = head.next_sequence();
        self.out.promise = self.out.promise.max(head.promise);
        if head.kind == FrameKind::CleanClose
            && let Some(number) = self.number()
        {
            self.out.promise = self.out.promise.max(Position::new(number, frame.end()));
        }
        let records = match frame.records(self.path) {
            Ok(records) => records,
            Err(error) => {
                part.state = error.try_into()?;
                seen.complete = false;
                return self.part(part);
            }
        };
        for record in &records {
            if let Change::Revision { entity, row, .. } = &record.change.change {
                part.holds.revisions.push((entity.bytes().clone(), row.number));
            }
            seen.changes.insert(record.change.sequence, record.change.fingerprint());
        }
        if let Some((first, last)) = missing {
            part.holds = Holds::sequences(first, last);
        }
        self.part(part)?;
        for contents in by_unit(&records) {
            for content in &contents {
                seen.contents.insert(content.locator.address, (content.locator.offset, content.locator.len));
            }
            self.unit(&records, &contents, frame)?;
        }
        (self.visit)(SegmentItem::Frame(frame.clone(), records))
    }

    /// A unit of a sound frame: one content, or a group of them.
    fn unit(&mut self, records: &[DecodedRecord], contents: &[StoredContent], frame: &Frame) -> Result<()> {
        let Some(place) = contents.first().map(|content| content.locator) else { return Ok(()) };
        let kind = if place.member == 0 { "content" } else { "group" };
        let mut part = Part::sound(kind, place.offset, u64::from(place.len), "").inside();
        let sequences = contents.iter().map(|content| content.locator.address.sequence);
        part.holds = Holds::each(sequences);
        for content in contents {
            let sequence = content.locator.address.sequence;
            let place = records.binary_search_by_key(&sequence, |record| record.change.sequence);
            let record = place.ok().and_then(|at| records.get(at));
            let Some(Change::Revision { entity, row, .. }) = record.map(|record| &record.change.change)
            else {
                continue;
            };
            part.holds.revisions.push((entity.bytes().clone(), row.number));
            if part.what.is_empty() {
                let bytes: u64 = contents.iter().map(|content| u64::from(content.raw_len)).sum();
                let more = contents.len().saturating_sub(1);
                part.what = match more {
                    0 => format!("{entity} revision {}, {bytes} bytes", row.number),
                    _ => format!("{entity} revision {} and {more} more, {bytes} bytes", row.number),
                };
            }
        }
        part.state = self.unit_state(contents)?;
        if part.state.is_damage() && !self.is_owed(frame)? {
            // A writer may be at it: a frame's head can be seen before all of its contents.
            part.state = match self.unit_state(contents)? {
                PartState::Damaged(why) => PartState::Torn(why),
                other => other,
            };
        }
        if matches!(part.state, PartState::Damaged(_) | PartState::Torn(_)) {
            part.flip = self.flip(&unit_sum(place.offset, u64::from(place.len)))?;
        }
        self.part(part)
    }

    /// Whether a unit is what its records say.
    fn unit_state(&self, contents: &[StoredContent]) -> Result<PartState> {
        let Some(place) = contents.first().map(|content| content.locator) else {
            return Ok(PartState::Sound);
        };
        let bytes = self.read(place.offset, place.len as usize)?;
        Ok(match Unit::open(&bytes) {
            Ok(unit) if !holds(&unit, contents) => {
                PartState::Damaged("expected the content that the record names".into())
            }
            Ok(unit) if self.depth == Depth::Contents => match is_digested(&unit, contents) {
                Ok(true) => PartState::Sound,
                Ok(false) => PartState::Damaged("expected the content of its digest".into()),
                Err(fault) => fault.into(),
            },
            Ok(_) => PartState::Sound,
            Err(fault) => fault.into(),
        })
    }

    /// Whether somebody was promised a frame: by a seal, or by any frame of the file.
    fn is_owed(&mut self, frame: &Frame) -> Result<bool> {
        let last = frame.end().saturating_sub(1);
        self.look_ahead(frame.end(), last)?;
        Ok(self.out.trailer.is_some() || self.is_promised(last))
    }

    /// Learns what later frames promise, also behind what is damaged, until one of them says that the log was durable beyond `last`. No frame is
    /// looked at twice, however much is damaged: what was learned is kept.
    pub(super) fn look_ahead(&mut self, from: u64, last: u64) -> Result<()> {
        let mut reader = FrameReader::new(Arc::clone(self.file));
        let mut at = from.max(self.looked_up_to);
        while self.out.trailer.is_none() && !self.is_promised(last) && at < self.limit() {
            let next = match reader.frame_at(self.path, at, self.limit(), self.out.salt) {
                Ok(Found::Frame(next)) => next,
                _ => match self.next_frame(at, self.limit())? {
                    Some(next) => next,
                    None => {
                        self.looked_up_to = self.limit();
                        break;
                    }
                },
            };
            self.out.promise = self.out.promise.max(next.head.promise);
            if next.head.kind == FrameKind::CleanClose
                && let Some(number) = self.number()
            {
                self.out.promise = self.out.promise.max(Position::new(number, next.end()));
            }
            at = next.end();
            self.looked_up_to = at;
        }
        Ok(())
    }

    /// The contents that prove themselves in a stretch without a valid frame.
    pub(super) fn stray_contents(&mut self, at: u64, bytes: &Bytes) -> Result<u64> {
        let mut found = 0_u64;
        let mut from = 0_usize;
        while let Some(rest) = bytes.get(from..).filter(|rest| rest.len() >= UNIT_HEADER_LEN) {
            let Some((len, unit)) = unit::peek(&bytes.slice_ref(rest)) else {
                from = from.saturating_add(1);
                continue;
            };
            let is_group = matches!(unit.header.kind, UnitKind::Group { .. });
            let offset = at.saturating_add(from as u64);
            let len_on_disk = u32::try_from(len).unwrap_or(u32::MAX);
            let (count, raw_len) = (unit.members.len() as u64, unit.header.raw_len);
            found = found.saturating_add(count);
            let newest = unit.header.address;
            let mut what = format!("change {} slot {}, {raw_len} bytes", newest.sequence, newest.slot);
            if is_group {
                what = format!("{what} with {} older contents", count.saturating_sub(1));
            }
            let holds = Holds::each(unit.members.iter().map(|member| member.address.sequence));
            let kind = if is_group { "group" } else { "content" };
            self.part(Part::sound(kind, offset, len as u64, what).holding(holds).inside())?;
            for (member, Member { address, .. }) in unit.members.iter().enumerate() {
                let member = if is_group { member as u16 + 1 } else { 0 };
                let locator = Locator { address: *address, member, offset, len: len_on_disk };
                (self.visit)(SegmentItem::Stray(locator))?;
            }
            from = from.saturating_add(len);
        }
        Ok(found)
    }
}

/// Whether contents are those of their digests. The unit was found to hold them.
fn is_digested(unit: &Unit, contents: &[StoredContent]) -> Result<bool, Fault> {
    let raw = unit.decode(unit.header.raw_len as usize)?;
    for content in contents {
        let member = unit.member(&raw, unit.find(content.locator.address)?)?;
        if Digest::of(&member) != content.digest {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the checksum of a unit covers.
fn unit_sum(at: u64, len: u64) -> Sum {
    let head = UNIT_HEADER_LEN as u64;
    let checksum = at.saturating_add(head.saturating_sub(4));
    let stored = (at.saturating_add(head), len.saturating_sub(head));
    Sum { ranges: vec![stored, (at, head.saturating_sub(4))], at: checksum, ..Sum::default() }
}
