//! A place in the chain of frames.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::{FileId, FileKind};
use crate::env::{Access, File, Fs, read_vec_at};
use crate::error::IoContext;
use crate::log::{
    DecodedRecord, FRAME_GRID, Found, Frame, FrameReader, Position, SEGMENT_HEADER_LEN, SegmentHeader,
};
use crate::{Error, Result};

/// What a segment's header says of its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) id: FileId,
    pub(super) sequence: u64,
    pub(super) checksum: u32,
}

/// A place in the chain of frames.
pub(super) struct Cursor {
    pub(super) path: PathBuf,
    file: Arc<dyn File>,
    reader: FrameReader,
    /// Length of the file when it was last looked at.
    len: u64,
    pub(super) id: FileId,
    salt: u64,
    pub(super) at: u64,
    pub(super) last_sequence: u64,
    last_checksum: u32,
    /// What stands behind a place without a valid frame was looked at.
    looked: bool,
    pub(super) pending: std::collections::VecDeque<DecodedRecord>,
}

impl Clone for Cursor {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            file: self.file.clone(),
            reader: FrameReader::new(self.file.clone()),
            len: self.len,
            id: self.id,
            salt: self.salt,
            at: self.at,
            last_sequence: self.last_sequence,
            last_checksum: self.last_checksum,
            looked: self.looked,
            pending: self.pending.clone(),
        }
    }
}

impl Cursor {
    /// The start of a segment; `None` for a file that is not one (yet): a spare has no header before it is used.
    pub(super) fn open(
        fs: &dyn Fs,
        dir: &Path,
        store: &[u8; 16],
        id: FileId,
    ) -> Result<Option<(Self, SegmentHeader)>> {
        let path = dir.join(id.file_name(FileKind::Segment));
        let file = match fs.open(&path, Access::Read) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other.context("open", &path)?,
        };
        let bytes = match read_vec_at(&*file, SEGMENT_HEADER_LEN, 0) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.context("read", &path)?,
        };
        let header = match SegmentHeader::decode(&path, &bytes, store, id) {
            Ok(header) => header,
            Err(Error::Corrupt(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let cursor = Self {
            path,
            reader: FrameReader::new(file.clone()),
            len: 0,
            file,
            id,
            salt: header.salt,
            at: SEGMENT_HEADER_LEN as u64,
            last_sequence: header.predecessor_sequence,
            last_checksum: header.predecessor_checksum,
            looked: false,
            pending: Default::default(),
        };
        Ok(Some((cursor, header)))
    }

    /// The frame at the cursor, if it is there and follows the one before.
    pub(super) fn read(&mut self) -> Result<Option<Frame>> {
        if let Some(frame) = self.read_once()? {
            return Ok(Some(frame));
        }
        // What was read ahead, and the file's length, may be of an earlier moment.
        self.reader = FrameReader::new(self.file.clone());
        self.len = self.file.len().context("read the length of", &self.path)?;
        self.read_once()
    }

    fn read_once(&mut self) -> Result<Option<Frame>> {
        Ok(match self.reader.frame_at(&self.path, self.at, self.len, Some(self.salt))? {
            Found::Frame(frame)
                if frame.head.prev_checksum == self.last_checksum
                    && frame.head.first_sequence == self.last_sequence.saturating_add(1) =>
            {
                Some(frame)
            }
            _ => None,
        })
    }

    /// The largest promise of the frames behind a place where none is valid: what they promise must be readable. Looks once, since a
    /// log that is being written ends in a long stretch of zeros.
    pub(super) fn promise_behind(&mut self) -> Result<Position> {
        let mut promise = Position::NONE;
        if std::mem::replace(&mut self.looked, true) {
            return Ok(promise);
        }
        let mut at = self.at;
        while at < self.len {
            at = match self.reader.frame_at(&self.path, at, self.len, Some(self.salt))? {
                Found::Frame(frame) => {
                    promise = promise.max(frame.head.promise);
                    frame.end()
                }
                _ => at.saturating_add(FRAME_GRID as u64),
            };
        }
        Ok(promise)
    }

    /// Moves behind a frame that was read here.
    pub(super) fn pass(&mut self, frame: &Frame) {
        self.at = frame.end();
        self.last_checksum = frame.head.checksum;
        self.last_sequence = frame.head.next_sequence().saturating_sub(1);
    }

    pub(super) fn link(&self) -> Link {
        Link { id: self.id, sequence: self.last_sequence, checksum: self.last_checksum }
    }
}
