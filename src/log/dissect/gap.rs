//! What stands where no frame is valid.

use std::sync::Arc;

use super::Walk;
use crate::Result;
use crate::codec::{Flip, Holds, Part, PartState, Sum};
use crate::limits;
use crate::log::frame_head::{Candidate, FRAME_GRID, FRAME_HEADER_LEN, FRAME_MAGIC, FrameHead};
use crate::log::position::Position;
use crate::log::scan::{Found, Frame, FrameReader};
use crate::log::tail::{TAIL_MARK_LEN, is_tail_mark};

const CHUNK: usize = 64 << 10;
/// A stretch is searched for contents up to this length: the longest frame and then some.
const STRAY_LEN_MAX: u64 = 2 * limits::FRAME_LEN_MAX as u64;

/// What a stretch without a valid frame comes to.
pub(super) struct Gap {
    /// Where the next valid frame is.
    pub frame: Option<u64>,
    /// Nothing that was written is missing.
    pub harmless: bool,
}

impl Walk<'_> {
    /// There is no valid frame at `at`: says what is there, and where frames go on.
    pub(super) fn gap(&mut self, at: u64, expected: &str) -> Result<Gap> {
        let limit = self.limit();
        let mut next = self.next_frame(at, limit)?;
        if next.is_some() || self.is_promised(at) {
            // A writer may have put it there a moment ago: what was read behind it is newer than what was read here.
            let mut again = FrameReader::new(Arc::clone(self.file));
            if let Ok(Found::Frame(_)) = again.frame_at(self.path, at, limit, self.out.salt) {
                return Ok(Gap { frame: Some(at), harmless: true });
            }
        }
        if let Some(frame) = &next {
            self.look_ahead(frame.offset, at)?;
        }
        let end = next.as_ref().map_or(limit, |frame| frame.offset);
        let used = self.last_used(at, end)?;
        if next.is_none() && self.out.trailer.is_none() && !self.is_promised(at) {
            return self.harmless_end(at, used, end);
        }
        // Frames that nobody was promised may survive behind one that did not.
        let promised = self.out.trailer.is_some() || self.is_promised(at);
        let why = format!("expected {expected}");
        let state = if promised { PartState::Damaged(why) } else { PartState::Torn(why) };
        let first = self.out.next_sequence;
        let last = match (&next, &self.out.trailer) {
            (Some(frame), _) => frame.head.first_sequence.saturating_sub(1),
            (None, Some(trailer)) => trailer.sequence_last,
            (None, None) => u64::MAX,
        };
        let mut part = Part { state, ..Part::sound("frame", at, end.saturating_sub(at), "") };
        part.holds = Holds::sequences(first, last);
        part.what = match part.holds.sequences {
            Some((first, u64::MAX)) => format!("changes from {first} on"),
            Some((first, last)) if first == last => format!("change {first}"),
            Some((first, last)) => format!("changes {first} to {last}"),
            None => "no change is missing".into(),
        };
        if part.holds.sequences.is_none() {
            part.holds = Holds::derived();
        }
        part.flip = self.frame_flip(at, end)?;
        self.part(part)?;
        let stretch = end.saturating_sub(at).min(STRAY_LEN_MAX);
        let bytes = self.read(at, usize::try_from(stretch).unwrap_or(0))?;
        self.stray_contents(at, &bytes)?;
        let harmless = first > last;
        if let Some(frame) = &next {
            // It was told here.
            self.out.next_sequence = self.out.next_sequence.max(frame.head.first_sequence);
        }
        Ok(Gap { frame: next.take().map(|frame| frame.offset), harmless })
    }

    /// The log ends here.
    fn harmless_end(&mut self, at: u64, used: u64, end: u64) -> Result<Gap> {
        let mark = self.read(at, TAIL_MARK_LEN)?;
        let len = end.saturating_sub(at);
        let mut part = match used > at {
            false => Part {
                state: PartState::Unused,
                ..Part::sound("space", at, len, "reserved, not written yet")
            },
            true if is_tail_mark(&mark, at) => {
                let state = PartState::Torn("expected a valid trailer at the end of the file".into());
                let what =
                    "a seal that was not finished, or whose trailer is damaged; the frames say all of it";
                Part { state, ..Part::sound("tail", at, len, what) }
            }
            true => {
                let state = PartState::Torn("expected a frame".into());
                Part {
                    state,
                    ..Part::sound(
                        "frame",
                        at,
                        len,
                        "a write that was cut off; nobody was told that it was done",
                    )
                }
            }
        };
        part.holds = Holds::derived();
        if part.kind == "frame" {
            // Only somebody else may know that it was promised.
            part.flip = self.frame_flip(at, end)?;
        }
        self.part(part)?;
        Ok(Gap { frame: None, harmless: true })
    }

    /// Whether the log was known to be durable beyond a place of this file.
    pub(super) fn is_promised(&self, at: u64) -> bool {
        self.number().is_some_and(|number| self.out.promise > Position::new(number, at))
    }

    /// The first valid frame behind `at`.
    pub(super) fn next_frame(&self, at: u64, limit: u64) -> Result<Option<Frame>> {
        let mut frames = FrameReader::new(Arc::clone(self.file));
        let mut from = at.saturating_add(FRAME_GRID as u64).next_multiple_of(FRAME_GRID as u64);
        while from < limit {
            let bytes = self.read(from, CHUNK)?;
            if bytes.is_empty() {
                break;
            }
            let magics =
                bytes.iter().enumerate().step_by(FRAME_GRID).filter(|(_, byte)| **byte == FRAME_MAGIC);
            for (index, _) in magics {
                let place = from.saturating_add(index as u64);
                if let Ok(Found::Frame(frame)) = frames.frame_at(self.path, place, limit, self.out.salt) {
                    return Ok(Some(frame));
                }
            }
            from = from.saturating_add(bytes.len() as u64).next_multiple_of(FRAME_GRID as u64);
        }
        Ok(None)
    }

    /// Behind the last byte that is not zero.
    fn last_used(&self, from: u64, to: u64) -> Result<u64> {
        let (mut at, mut used) = (from, from);
        while at < to {
            let len = to.saturating_sub(at).min(CHUNK as u64);
            let bytes = self.read(at, len as usize)?;
            if bytes.is_empty() {
                break;
            }
            if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
                used = at.saturating_add(last as u64).saturating_add(1);
            }
            at = at.saturating_add(bytes.len() as u64);
        }
        Ok(used)
    }

    /// The bit that made a frame's head invalid. A flip in a length changes what the checksum covers, so the bits of the header are tried one by
    /// one; behind it the checksum tells.
    fn frame_flip(&self, at: u64, end: u64) -> Result<Option<Flip>> {
        let header = self.read(at, FRAME_HEADER_LEN)?;
        if let Some(candidate) = Candidate::parse(&header)
            && at.saturating_add((FRAME_HEADER_LEN as u64).saturating_add(u64::from(candidate.metadata_len)))
                <= end
        {
            let metadata = (at.saturating_add(64), u64::from(candidate.metadata_len));
            let ranges = vec![(at, 28), (at.saturating_add(32), 32), metadata];
            let flip = self.flip(&Sum { numbers: vec![at], ranges, at: at.saturating_add(28) })?;
            if flip.is_some() {
                return Ok(flip);
            }
        }
        let mut header = header.to_vec();
        for bit in 0..header.len().saturating_mul(8) {
            let mask = 1_u8.wrapping_shl((bit % 8) as u32);
            let flip =
                |header: &mut Vec<u8>| header.iter_mut().skip(bit / 8).take(1).for_each(|byte| *byte ^= mask);
            flip(&mut header);
            let candidate = Candidate::parse(&header).filter(|candidate| {
                at.saturating_add(u64::from(candidate.len)) <= end
                    && self.out.salt.is_none_or(|salt| salt == candidate.salt)
            });
            if let Some(candidate) = candidate {
                let metadata =
                    self.read(at.saturating_add(FRAME_HEADER_LEN as u64), candidate.metadata_len as usize)?;
                if FrameHead::decode(&header, &metadata, at).is_ok() {
                    let offset = at.saturating_add((bit / 8) as u64);
                    return Ok(Some(Flip { offset, bit: (bit % 8) as u8 }));
                }
            }
            flip(&mut header);
        }
        Ok(None)
    }
}
