//! Reading frames from a file, headers and metadata only.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::fault::{Fault, FaultContext};
use super::frame_head::{Candidate, FRAME_HEADER_LEN, FrameHead};
use super::record_decode::{DecodedRecord, decode_records};
use super::unit::{self, UnitHeader};
use crate::Result;
use crate::env::{File, read_at_most};
use crate::error::IoContext;

/// Read ahead while frames follow each other closely.
const WINDOW: usize = 64 << 10;
/// Read this much behind a jump over contents.
const FIRST_READ: usize = 4 << 10;

/// A frame as it stands in a file: header and metadata, verified.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it starts.
    pub offset: u64,
    /// Its header.
    pub head: FrameHead,
    /// Its records, encoded.
    pub metadata: Bytes,
}

impl Frame {
    /// Where the next frame starts.
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.head.len))
    }

    /// Its records.
    pub fn records(&self, path: &Path) -> Result<Vec<DecodedRecord>> {
        let base = self.offset.saturating_add(FRAME_HEADER_LEN as u64);
        decode_records(&self.head, &self.metadata, self.offset).in_file(path, base, || {
            format!("changes {} to {}", self.head.first_sequence, self.head.next_sequence().saturating_sub(1))
        })
    }
}

/// What stands at a place where a frame should be.
#[derive(Clone, Debug)]
pub enum Found {
    /// A frame that is valid by itself; whether it follows its predecessor is the caller's to check.
    Frame(Frame),
    /// None; what would have been expected.
    Nothing(&'static str),
}

/// Reads frames of one file through a window.
pub struct FrameReader {
    file: Arc<dyn File>,
    window: Vec<u8>,
    window_at: u64,
}

impl FrameReader {
    /// Starts.
    pub fn new(file: Arc<dyn File>) -> Self {
        Self { file, window: Vec::new(), window_at: 0 }
    }

    /// The bytes from `offset`, at most `len`, fewer at the end of the file. Reads ahead, but never beyond `end`: behind the last frame
    /// of a live segment the bytes still change.
    fn read(&mut self, offset: u64, len: usize, end: u64) -> io::Result<&[u8]> {
        let window_end = self.window_at.saturating_add(self.window.len() as u64);
        let inside = offset >= self.window_at && offset.saturating_add(len as u64) <= window_end;
        if !inside {
            let near = offset >= self.window_at && offset <= window_end;
            let ahead = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
            let want = len.max(ahead.min(if near { WINDOW } else { FIRST_READ }));
            self.window.resize(want, 0);
            self.window_at = offset;
            match read_at_most(&*self.file, &mut self.window, offset) {
                Ok(n) => self.window.truncate(n),
                Err(e) => {
                    self.window.clear();
                    return Err(e);
                }
            }
        }
        let from = usize::try_from(offset.saturating_sub(self.window_at)).unwrap_or(usize::MAX);
        let tail = self.window.get(from..).unwrap_or_default();
        Ok(tail.get(..len).unwrap_or(tail))
    }

    /// The frame at `offset`, if there is a valid one that ends at or before `end`. With `salt`, only one of that segment.
    ///
    /// # Errors
    /// `Io`; `Unsupported` for a valid frame of a newer version.
    pub fn frame_at(&mut self, path: &Path, offset: u64, end: u64, salt: Option<u64>) -> Result<Found> {
        let header = self.read(offset, FRAME_HEADER_LEN, end).context("read", path)?;
        let Some(candidate) = Candidate::parse(header) else {
            return Ok(Found::Nothing("a frame"));
        };
        if salt.is_some_and(|salt| salt != candidate.salt) {
            return Ok(Found::Nothing("a frame of this segment"));
        }
        if offset.saturating_add(u64::from(candidate.len)) > end {
            return Ok(Found::Nothing("a frame that ends inside the file"));
        }
        let metadata_len = candidate.metadata_len as usize;
        let both =
            self.read(offset, FRAME_HEADER_LEN.saturating_add(metadata_len), end).context("read", path)?;
        let Some((header, metadata)) = both.split_at_checked(FRAME_HEADER_LEN) else {
            return Ok(Found::Nothing("a whole frame"));
        };
        match FrameHead::decode(header, metadata, offset) {
            Ok(head) => Ok(Found::Frame(Frame { offset, head, metadata: Bytes::copy_from_slice(metadata) })),
            Err(Fault::Malformed(bad)) => Ok(Found::Nothing(bad.expected)),
            Err(fault) => Err(fault.into_error(path, offset, "")),
        }
    }

    /// Verifies the contents of a frame that ends at `end`: whether they are there and are those that its records name.
    pub fn contents_are_whole(&mut self, path: &Path, records: &[DecodedRecord], end: u64) -> Result<bool> {
        for content in records.iter().flat_map(|record| &record.contents) {
            let locator = content.locator;
            let bytes = self.read(locator.offset, locator.len as usize, end).context("read", path)?;
            if bytes.len() != locator.len as usize {
                return Ok(false);
            }
            match UnitHeader::verify(bytes) {
                Ok(header) if header.address == locator.address && header.raw_len == content.raw_len => {}
                Ok(_) | Err(Fault::Malformed(_)) => return Ok(false),
                Err(fault) => {
                    return Err(fault.into_error(path, locator.offset, unit::affected(locator.address)));
                }
            }
        }
        Ok(true)
    }
}
