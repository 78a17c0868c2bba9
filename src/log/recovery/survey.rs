//! What one segment file says.

use std::path::PathBuf;
use std::sync::Arc;

use super::RecoveryInput;
use crate::codec::{FileHeader, FileId, FileKind};
use crate::env::{Access, File, read_at_most};
use crate::error::IoContext;
use crate::log::active::ActiveSegment;
use crate::log::scan::{Found, FrameReader};
use crate::log::seal::{Chain, read_trailer, tail_is_whole};
use crate::log::segment::{SEGMENT_HEADER_LEN, SEGMENT_VERSION, SegmentHeader};
use crate::log::{FrameKind, Position, Trailer};
use crate::{Error, ErrorKind, Result};

/// A segment file that the manifest does not know.
pub(super) struct Candidate {
    pub id: FileId,
    pub path: PathBuf,
    pub file: Arc<dyn File>,
    pub len: u64,
    /// `None`: there is no valid one.
    pub header: Option<SegmentHeader>,
}

impl Candidate {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// A valid header of another store, file or version is an error: nothing is known of such a file.
    pub fn open(input: &RecoveryInput<'_>, id: FileId) -> Result<Self> {
        let path = input.dir.join(id.file_name(FileKind::Segment));
        let access = match input.mode {
            super::RecoveryMode::Write => Access::ReadWrite,
            super::RecoveryMode::ReadOnly => Access::Read,
        };
        let file = input.fs.open(&path, access).context("open", &path)?;
        file.drop_cache().context("drop the cached pages of", &path)?;
        let len = file.len().context("read the length of", &path)?;
        let mut bytes = vec![0; SEGMENT_HEADER_LEN];
        let n = read_at_most(&*file, &mut bytes, 0).context("read", &path)?;
        let bytes = bytes.get(..n).unwrap_or_default();
        let torn = |error: &Error| error.kind() == ErrorKind::Corrupt;
        let header = match FileHeader::decode(&path, bytes) {
            Err(error) if torn(&error) => None,
            Err(error) => return Err(error),
            Ok(common) => {
                common.require(&path, FileKind::Segment, SEGMENT_VERSION, input.store, id)?;
                match SegmentHeader::decode(&path, bytes, input.store, id) {
                    Ok(header) => Some(header),
                    Err(error) if torn(&error) => None,
                    Err(error) => return Err(error),
                }
            }
        };
        Ok(Self { id, path, file, len, header })
    }
}

/// A segment's frames from the first one on, as far as they are valid.
pub(super) struct Survey {
    pub active: ActiveSegment,
    /// Behind the last valid frame.
    pub chain: Chain,
    /// What is missing there.
    pub expected: &'static str,
    /// The largest promise of its header, frames and seal.
    pub promise: Position,
    /// Commit time of the last frame with changes.
    pub commit_time: i64,
    /// Its last frame is a clean-close mark at the very end of the file.
    pub closed_cleanly: bool,
    pub trailer: Option<Trailer>,
    /// The trailer's checksum over the tail is right.
    pub tail_is_whole: bool,
    pub len: u64,
}

impl Survey {
    /// Goes through the frames that end at or before `limit`. Contents are not looked at.
    pub fn of(candidate: &Candidate, header: SegmentHeader, limit: u64) -> Result<Self> {
        let path = &candidate.path;
        let file = &candidate.file;
        let trailer = match limit < candidate.len {
            true => None,
            false => read_trailer(&**file, path, &header)?,
        };
        let tail_is_whole = match &trailer {
            Some(trailer) => tail_is_whole(&**file, path, trailer)?,
            None => false,
        };
        let limit = trailer.map_or(limit, |trailer| trailer.frames_end);
        let mut survey = Self {
            active: ActiveSegment::new(path.clone(), Arc::clone(file), header),
            chain: Chain::new(&header),
            expected: "a frame",
            promise: header.promise,
            commit_time: 0,
            closed_cleanly: false,
            trailer,
            tail_is_whole,
            len: candidate.len,
        };
        if let Some(trailer) = &trailer {
            survey.promise = survey.promise.max(Position::new(header.id.number, trailer.frames_end));
        }
        let mut reader = FrameReader::new(Arc::clone(file));
        loop {
            let frame = match reader.frame_at(path, survey.chain.end, limit, Some(header.salt))? {
                Found::Frame(frame) => frame,
                Found::Nothing(expected) => {
                    survey.expected = expected;
                    break;
                }
            };
            if let Err(expected) = survey.chain.follow(&frame) {
                survey.expected = expected;
                break;
            }
            let records = frame.records(path)?;
            survey.active.push_frame(&frame, records.into_iter().flat_map(|record| record.contents));
            survey.promise = survey.promise.max(frame.head.promise);
            if frame.head.kind.has_records() {
                survey.commit_time = frame.head.commit_time;
            }
            survey.closed_cleanly = frame.head.kind == FrameKind::CleanClose && frame.end() == candidate.len;
        }
        Ok(survey)
    }

    /// Whether there is a change in it.
    pub fn has_changes(&self) -> bool {
        self.chain.next_sequence > self.active.header().first_sequence()
    }

    /// Whether a valid trailer ends exactly these frames.
    pub fn is_sealed(&self) -> bool {
        self.trailer.is_some_and(|trailer| {
            trailer.frames_end == self.chain.end
                && trailer.last_checksum == self.chain.checksum
                && trailer.sequence_last.saturating_add(1) == self.chain.next_sequence
        })
    }

    /// The first frame that ends beyond `promise` and whose contents are not whole.
    pub fn first_torn_content(&self, promise: Position) -> Result<Option<u64>> {
        let path = self.active.path();
        let header = self.active.header();
        if Position::new(header.id.number, self.chain.end) <= promise {
            return Ok(None);
        }
        let mut reader = FrameReader::new(Arc::clone(self.active.file()));
        let mut contents = FrameReader::new(Arc::clone(self.active.file()));
        let mut at = SEGMENT_HEADER_LEN as u64;
        while at < self.chain.end {
            let Found::Frame(frame) = reader.frame_at(path, at, self.chain.end, Some(header.salt))? else {
                // It was there a moment ago.
                return Ok(Some(at));
            };
            if Position::new(header.id.number, frame.end()) > promise {
                let records = frame.records(path)?;
                if !contents.contents_are_whole(path, &records, frame.end())? {
                    return Ok(Some(at));
                }
            }
            at = frame.end();
        }
        Ok(None)
    }
}
