//! Reading frames from a file, headers and metadata only.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::fault::{Fault, FaultContext};
use super::frame_head::{Candidate, FRAME_HEADER_LEN, FrameHead};
use super::locator::StoredContent;
use super::record_decode::{DecodedRecord, decode_records};
use super::unit::{self, Unit, UnitKind};
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

/// The contents of records, those of one unit together, in the order of their units.
pub(super) fn by_unit(records: &[DecodedRecord]) -> Vec<Vec<StoredContent>> {
    let mut units: BTreeMap<u64, Vec<StoredContent>> = BTreeMap::new();
    for content in records.iter().flat_map(|record| &record.contents) {
        units.entry(content.locator.offset).or_default().push(*content);
    }
    units.into_values().collect()
}

/// Whether a unit holds what the records say that stands there, and nothing else.
pub(super) fn holds(unit: &Unit, contents: &[StoredContent]) -> bool {
    contents.len() == unit.members.len()
        && contents.iter().all(|content| {
            let locator = content.locator;
            let member = usize::from(locator.member.max(1)) - 1;
            matches!(unit.header.kind, UnitKind::Group { .. }) == (locator.member != 0)
                && unit.members.get(member).is_some_and(|member| {
                    (member.address, member.raw_len) == (locator.address, content.raw_len)
                })
        })
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
        for contents in by_unit(records) {
            let Some(first) = contents.first().map(|content| content.locator) else { continue };
            let bytes = self.read(first.offset, first.len as usize, end).context("read", path)?;
            if bytes.len() != first.len as usize {
                return Ok(false);
            }
            match Unit::open(&Bytes::copy_from_slice(bytes)) {
                Ok(unit) if holds(&unit, &contents) => {}
                Ok(_) | Err(Fault::Malformed(_)) => return Ok(false),
                Err(fault) => {
                    return Err(fault.into_error(path, first.offset, unit::affected(first.address)));
                }
            }
        }
        Ok(true)
    }
}
