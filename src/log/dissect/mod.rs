//! Going through a segment without believing anything, and on behind damage.
//!
//! ```text
//!  header │ frame │ frame │ ░░ damaged ░░ │ frame │ … │ zeros          frames are found again on the grid of 8: each proves itself
//!                             └ contents in it prove themselves as well
//!  … │ mark │ directory │ locators │ digests │ index │ trailer         each block by itself, places from index and trailer
//! ```
//! Nothing is needed but the bytes: the salt comes from the header or, if that is damaged, from the first frame that proves itself with its own.
//! A segment that is being written may be read beside the writer: the end of what is promised is told from damage as recovery does it.

mod frames;
mod gap;
mod tail;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::change::LoggedChange;
use super::locator::Locator;
use super::position::Position;
use super::record_decode::DecodedRecord;
use super::scan::Frame;
use super::seal::info;
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::tail::{TRAILER_LEN, Trailer};
use crate::Result;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, Flip, Holds, Part, PartState, Reader, Sum};
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::log::VerifyDepth as Depth;
use crate::manifest::ValueFileInfo;
use crate::suspect::Suspect;

/// What is met on the way through a segment.
#[derive(Debug)]
pub enum SegmentItem {
    /// A part of the file, in file order; contents lie inside their frames.
    Part(Part),
    /// A sound frame's records, behind its part and those of its contents.
    Frame(Frame, Vec<DecodedRecord>),
    /// The changes of a sound directory block, behind its part. Where a digest cannot be read it is [`Digest::UNREADABLE`](crate::model::Digest::UNREADABLE).
    Directory(Vec<LoggedChange>),
    /// A content that proves itself in a stretch without a valid frame, behind its part.
    Stray(Locator),
}

/// What is known of a segment after it was gone through.
#[derive(Clone, Debug, Default)]
pub struct SegmentSurvey {
    /// What all files have in front, if it is sound.
    pub common: Option<FileHeader>,
    /// Its header, if it is sound.
    pub header: Option<SegmentHeader>,
    /// Its trailer, if there is a sound one, or one that a single bit mends.
    pub trailer: Option<Trailer>,
    /// Under every checksum, as far as it was found.
    pub salt: Option<u64>,
    /// Length of the file when it was opened.
    pub len: u64,
    /// Sound frames.
    pub frames: u64,
    /// Changes in them.
    pub changes: u64,
    /// Where the last sound frame ends.
    pub frames_end: u64,
    /// First sequence number behind the last sound frame.
    pub next_sequence: u64,
    /// The largest promise of header and frames: the log was durable up to there.
    pub promise: Position,
}

/// What every `dissect` of a file keeps at hand.
struct Walk<'a> {
    file: &'a Arc<dyn File>,
    path: &'a Path,
    depth: Depth,
    visit: &'a mut dyn FnMut(SegmentItem) -> Result<()>,
    out: SegmentSurvey,
    /// The bit that was turned back to read the trailer.
    trailer_flip: Option<Flip>,
    /// What the frames in front of this place promise is known, whether it was their turn or not.
    looked_up_to: u64,
}

/// Goes through a segment, sealed or not.
///
/// # Errors
/// `Io`, and those of `visit`. Damage is no error here.
pub fn dissect_segment(
    file: &Arc<dyn File>,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(SegmentItem) -> Result<()>,
) -> Result<SegmentSurvey> {
    let len = file.len().context("read the length of", path)?;
    let out = SegmentSurvey { len, ..SegmentSurvey::default() };
    let mut walk = Walk { file, path, depth, visit, out, trailer_flip: None, looked_up_to: 0 };
    walk.header()?;
    walk.trailer()?;
    let contents = walk.frames()?;
    walk.tail(&contents)?;
    Ok(walk.out)
}

/// What a manifest would say of a sealed segment: for rebuilding and repairing. `None` if it has no valid trailer, or one that stands
/// behind something else than what was to be sealed: a crash in the middle of sealing may leave the trailer without all of the tail in
/// front of it. Then the frames are the segment, and it is sealed again.
///
/// # Errors
/// `Corrupt` if the header is damaged; `Unsupported`, `Io`.
pub fn describe_segment(file: &dyn File, path: &Path) -> Result<(SegmentHeader, Option<ValueFileInfo>)> {
    let mut start = vec![0; SEGMENT_HEADER_LEN];
    let n = read_at_most(file, &mut start, 0).context("read", path)?;
    let start = start.get(..n).unwrap_or_default();
    let common = FileHeader::decode(path, start)?;
    let header = SegmentHeader::decode(path, start, &common.store, common.id)?;
    let trailer = super::seal::read_trailer(file, path, &header)?;
    match trailer {
        Some(trailer) if super::seal::tail_is_whole(file, path, &trailer)? => {
            Ok((header, Some(info(file, path, common.id, &trailer)?)))
        }
        _ => Ok((header, None)),
    }
}

impl Walk<'_> {
    fn part(&mut self, part: Part) -> Result<()> {
        (self.visit)(SegmentItem::Part(part))
    }

    fn read(&self, at: u64, len: usize) -> Result<Bytes> {
        Suspect { file: self.file, path: self.path }.read(at, len)
    }

    /// The file's number: from its header or, if that is damaged, from its name.
    fn number(&self) -> Option<u64> {
        let named = || self.path.file_name()?.to_str().and_then(FileId::parse).map(|(id, _)| id.number);
        self.out.common.map(|common| common.id.number).or_else(named)
    }

    fn flip(&self, sum: &Sum) -> Result<Option<Flip>> {
        Suspect { file: self.file, path: self.path }.flip(sum)
    }

    fn header(&mut self) -> Result<()> {
        let bytes = self.read(0, SEGMENT_HEADER_LEN)?;
        let mut part = Part::sound("header", 0, bytes.len() as u64, "");
        match FileHeader::decode(self.path, &bytes) {
            Ok(common) => {
                self.out.common = Some(common);
                match SegmentHeader::decode(self.path, &bytes, &common.store, common.id) {
                    Ok(header) => {
                        part.what = format!(
                            "segment {}, behind change {} of {}",
                            header.id.number, header.predecessor_sequence, header.predecessor.number
                        );
                        self.out.salt = Some(header.salt);
                        self.out.next_sequence = header.first_sequence();
                        self.out.promise = header.promise;
                        self.out.header = Some(header);
                    }
                    Err(error) => part.state = error.try_into()?,
                }
            }
            Err(error) => part.state = error.try_into()?,
        }
        self.out.frames_end = SEGMENT_HEADER_LEN as u64;
        if part.state.is_damage() && bytes.len() == SEGMENT_HEADER_LEN {
            if bytes.iter().all(|byte| *byte == 0) {
                part.state = PartState::Unused;
            } else {
                let all = SEGMENT_HEADER_LEN as u64 - 4;
                let whole = Sum { ranges: vec![(0, all)], at: all, ..Sum::default() };
                part.flip = self.flip(&whole)?;
                // A flip in the common part is under its checksum as well, and the outer one may hide the inner.
                if part.flip.is_none() {
                    let inner = FILE_HEADER_LEN as u64 - 4;
                    part.flip = self.flip(&Sum { ranges: vec![(0, inner)], at: inner, ..Sum::default() })?;
                }
            }
            // Frames name their salt: the header is needed only for what came before.
            part.holds = Holds::derived();
        }
        self.part(part)
    }

    fn trailer(&mut self) -> Result<()> {
        let at = self.out.len.checked_sub(TRAILER_LEN as u64);
        let Some(at) = at.filter(|at| *at >= SEGMENT_HEADER_LEN as u64) else { return Ok(()) };
        let mut bytes = self.read(at, TRAILER_LEN)?.to_vec();
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        for attempt in 0..2 {
            let mut reader = Reader::new(&bytes);
            let named = reader.bytes(16, "a trailer").and_then(|_| reader.u64("a salt"));
            let Ok(named) = named else { return Ok(()) };
            if let Ok(trailer) = Trailer::decode(&bytes, at, self.out.salt.unwrap_or(named)) {
                self.out.salt = Some(trailer.salt);
                self.out.next_sequence = trailer.sequence_first;
                self.out.trailer = Some(trailer);
                return Ok(());
            }
            if attempt > 0 {
                self.trailer_flip = None;
                return Ok(());
            }
            // With one bit turned back it says all that it said: the rest of the tail is found by it.
            let body = TRAILER_LEN as u64 - 4;
            let sum = Sum { numbers: vec![at], ranges: vec![(at, body)], at: at.saturating_add(body) };
            let Some(flip) = self.flip(&sum)? else { return Ok(()) };
            flip.mend(at, &mut bytes);
            self.trailer_flip = Some(flip);
        }
        Ok(())
    }
}
