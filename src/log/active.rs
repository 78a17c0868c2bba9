//! An unsealed segment, shared by the writer and readers.
//!
//! The writer appends frames to the file and tells the segment where their contents are ([`ActiveSegment::push`]) before it publishes
//! them. Readers look up a place under a lock that nobody holds during I/O, and read the file beside the writer: written bytes never
//! change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::sync::RwLock;
use bytes::Bytes;

use super::cache::BlockCache;
use super::change::{ChangeIter, LoggedChange, ValueFile};
use super::frame::FrameDraft;
use super::locator::{StoredContent, StoredIn};
use super::scan::{Found, Frame, FrameReader};
use super::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use super::unit;
use super::unit_read::UnitFile;
use crate::codec::FileId;
use crate::env::File;
use crate::model::{Address, Digest};
use crate::{Error, Result};

/// A frame is remembered as a place to start from at least this often.
const MARK_EVERY: u64 = 64 << 10;

/// An unsealed segment.
pub struct ActiveSegment {
    path: PathBuf,
    file: Arc<dyn File>,
    header: SegmentHeader,
    cache: OnceLock<Arc<dyn BlockCache>>,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// In address order.
    contents: Vec<StoredContent>,
    /// Some frames: first sequence number and offset.
    marks: Vec<(u64, u64)>,
    /// Behind the last frame.
    end: u64,
    next_sequence: u64,
}

impl ActiveSegment {
    /// A segment whose header is written and that has no frames yet.
    pub fn new(path: PathBuf, file: Arc<dyn File>, header: SegmentHeader) -> Self {
        let state = State {
            contents: Vec::new(),
            marks: Vec::new(),
            end: SEGMENT_HEADER_LEN as u64,
            next_sequence: header.first_sequence(),
        };
        Self { path, file, header, cache: OnceLock::new(), state: RwLock::new(state) }
    }

    /// Keeps decoded groups in this cache from now on.
    pub fn keep_in(&self, cache: Arc<dyn BlockCache>) {
        _ = self.cache.set(cache);
    }

    fn units(&self) -> UnitFile<'_> {
        let (file, path, id) = (&*self.file, &self.path, self.header.id);
        UnitFile { file, path, id, cache: self.cache.get() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Its header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// Behind the last frame that was pushed.
    pub fn end(&self) -> u64 {
        self.state.read().end
    }

    /// The last sequence number that was pushed; the one before the segment's first if there is none.
    pub fn last_sequence(&self) -> u64 {
        self.state.read().next_sequence.saturating_sub(1)
    }

    /// Makes a written frame's contents and changes readable. Frames are pushed in the order in which they stand in the file.
    pub fn push(&self, frame: &FrameDraft) {
        let place = frame.place();
        let next = place.first_sequence + frame.records().len() as u64;
        self.push_parts(place.offset, frame.len() as u64, place.first_sequence, next, frame.contents());
    }

    /// The same for a frame that was read.
    pub(super) fn push_frame(&self, frame: &Frame, contents: impl Iterator<Item = StoredContent>) {
        let head = &frame.head;
        self.push_parts(
            frame.offset,
            u64::from(head.len),
            head.first_sequence,
            head.next_sequence(),
            contents,
        );
    }

    fn push_parts(
        &self,
        offset: u64,
        len: u64,
        first: u64,
        next: u64,
        contents: impl Iterator<Item = StoredContent>,
    ) {
        let mut state = self.state.write();
        debug_assert_eq!(state.end, offset, "frames are pushed in order");
        debug_assert_eq!(state.next_sequence, first, "frames are pushed in order");
        if state.marks.last().is_none_or(|(_, last)| offset - last >= MARK_EVERY) {
            state.marks.push((first, offset));
        }
        state.contents.extend(contents);
        state.end = offset + len;
        state.next_sequence = next;
    }

    fn find(&self, address: Address) -> Result<StoredContent> {
        let state = self.state.read();
        state
            .contents
            .binary_search_by_key(&address, |content| content.locator.address)
            .ok()
            .and_then(|index| state.contents.get(index).copied())
            .ok_or_else(|| unit::no_such_content(&self.path, address))
    }

    /// A frame from which on all changes behind `after` are found.
    fn start_for(&self, after: u64) -> u64 {
        let state = self.state.read();
        let index = state.marks.partition_point(|(first, _)| *first <= after.saturating_add(1));
        // Promise frames share their sequence number with the frame behind them; the mark before is always early enough.
        index
            .checked_sub(1)
            .and_then(|index| state.marks.get(index))
            .map_or(SEGMENT_HEADER_LEN as u64, |m| m.1)
    }
}

impl std::fmt::Debug for ActiveSegment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ActiveSegment").field("path", &self.path).field("end", &self.end()).finish()
    }
}

impl ValueFile for ActiveSegment {
    fn id(&self) -> FileId {
        self.header.id
    }

    fn read_content(&self, address: Address) -> Result<Bytes> {
        self.units().read(&self.find(address)?.locator, true)
    }

    fn read_alone(&self, address: Address) -> Result<Bytes> {
        self.units().read(&self.find(address)?.locator, false)
    }

    fn stored_in(&self, address: Address) -> Result<Option<StoredIn>> {
        self.units().stored_in(&self.find(address)?.locator).map(Some)
    }

    fn digest(&self, address: Address) -> Result<Digest> {
        self.find(address).map(|content| content.digest)
    }

    fn changes(self: Arc<Self>, after: u64, up_to: u64) -> ChangeIter {
        Box::new(Changes {
            reader: FrameReader::new(Arc::clone(&self.file)),
            at: self.start_for(after),
            segment: self,
            after,
            up_to,
            pending: Vec::new().into_iter(),
            done: false,
        })
    }
}

/// Reads changes from the frames of an unsealed segment.
struct Changes {
    segment: Arc<ActiveSegment>,
    reader: FrameReader,
    at: u64,
    after: u64,
    up_to: u64,
    pending: std::vec::IntoIter<super::record_decode::DecodedRecord>,
    done: bool,
}

impl Changes {
    fn step(&mut self) -> Result<Option<LoggedChange>> {
        loop {
            for record in self.pending.by_ref() {
                if record.change.sequence > self.up_to {
                    return Ok(None);
                }
                if record.change.sequence > self.after {
                    return Ok(Some(record.change));
                }
            }
            let end = self.segment.end();
            if self.at >= end {
                return Ok(None);
            }
            let path = self.segment.path();
            let salt = Some(self.segment.header.salt);
            let frame = match self.reader.frame_at(path, self.at, end, salt)? {
                Found::Frame(frame) => frame,
                Found::Nothing(expected) => {
                    let affected = "the changes from here to the end of the segment";
                    return Err(Error::corrupt(path, self.at, expected, "other bytes", affected));
                }
            };
            if frame.head.first_sequence > self.up_to {
                return Ok(None);
            }
            self.at = frame.end();
            if frame.head.next_sequence().saturating_sub(1) > self.after {
                self.pending = frame.records(path)?.into_iter();
            }
        }
    }
}

impl Iterator for Changes {
    type Item = Result<LoggedChange>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step();
        self.done = !matches!(step, Ok(Some(_)));
        step.transpose()
    }
}
