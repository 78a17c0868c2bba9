//! The first 64 bytes of a frame, and how a frame proves itself.
//!
//! ```text
//!  0  magic             u8   d7
//!  1  kind              u8   1 commit, 2 run, 3 promise, 4 clean close
//!  2  flags             u16  bit 0 some units are group frames; reserved: bit 1 a second (remote) promise follows the header
//!  4  frame length      u32  with header, units and padding; a multiple of 8
//!  8  metadata length   u32
//! 12  records           u32
//! 16  salt              u64  of the segment
//! 24  predecessor       u32  checksum of the frame before; of the last frame of the segment before, for the first one
//! 28  checksum          u32  masked CRC of the frame's own offset (u64), bytes 0..28, bytes 32..64, and the metadata
//! 32  first sequence    u64  of the first record; without records, of the next change
//! 40  commit time       i64  µs
//! 48  promise, file     u64  )
//! 56  promise, offset   u64  ) the log is known to be durable up to here
//! 64  metadata: records, then the units without gaps, then zeros up to a multiple of 8
//! ```
//!
//! 1. A frame passes only where it was written: offset, salt and predecessor are under the checksum. Zeros never pass (the magic), nor
//!    do the bytes of another segment (the salt), an older life of this file, or a block that was put in the wrong place.
//! 2. The salt is also a field, so that frames can be recognised even if the segment's header is damaged: else damage to one sector
//!    could make a segment of acknowledged commits look like an unused file.
//! 3. What has a valid checksum but cannot be understood comes from a newer version: `Unsupported`, never a torn tail.

use super::Position;
use super::fault::Fault;
use crate::codec::{Crc, Reader, put_u16, put_u32, put_u64};
use crate::limits;

/// Length of a frame's header, bytes.
pub const FRAME_HEADER_LEN: usize = 64;
/// Frames start at multiples of this.
pub const FRAME_GRID: usize = 8;

pub(super) const FRAME_MAGIC: u8 = 0xd7;
const CHECKSUM_AT: usize = 28;
/// Flag: some units are group frames.
const GROUPS: u16 = 1;

const _: () = assert!(FRAME_HEADER_LEN.is_multiple_of(FRAME_GRID));

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// One commit: all of its records or none.
    Commit = 1,
    /// Several commits of one record each, written together.
    Run = 2,
    /// No records: only the promise matters.
    Promise = 3,
    /// No records: the store was closed here, everything before is durable.
    CleanClose = 4,
}

impl FrameKind {
    fn from_u8(n: u8) -> Option<Self> {
        [Self::Commit, Self::Run, Self::Promise, Self::CleanClose].into_iter().find(|kind| *kind as u8 == n)
    }

    /// Whether frames of this kind hold records.
    pub fn has_records(self) -> bool {
        matches!(self, Self::Commit | Self::Run)
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What it is.
    pub kind: FrameKind,
    /// Some of its contents stand in group frames.
    pub groups: bool,
    /// Length of the whole frame.
    pub len: u32,
    /// Length of the metadata behind the header.
    pub metadata_len: u32,
    /// How many records.
    pub records: u32,
    /// The segment's salt.
    pub salt: u64,
    /// Checksum of the frame before.
    pub prev_checksum: u32,
    /// Its own checksum.
    pub checksum: u32,
    /// Sequence number of its first record, or of the next change.
    pub first_sequence: u64,
    /// Commit time of its records, µs.
    pub commit_time: i64,
    /// The log is known to be durable up to here.
    pub promise: Position,
}

/// A header that may be one, and the fields that only count once the checksum is verified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    kind: u8,
    flags: u16,
    pub len: u32,
    pub metadata_len: u32,
    pub salt: u64,
}

impl Candidate {
    /// A quick look: magic and lengths. `None`: there is no frame here.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(header.get(..FRAME_HEADER_LEN)?);
        if reader.u8("magic").ok()? != FRAME_MAGIC {
            return None;
        }
        let kind = reader.u8("kind").ok()?;
        let flags = reader.u16("flags").ok()?;
        let len = reader.u32("length").ok()?;
        let metadata_len = reader.u32("metadata length").ok()?;
        let records = reader.u32("records").ok()?;
        let salt = reader.u64("salt").ok()?;
        let fits = len as usize <= limits::FRAME_LEN_MAX
            && (len as usize).is_multiple_of(FRAME_GRID)
            && metadata_len as usize <= (len as usize).checked_sub(FRAME_HEADER_LEN)?
            && records as usize <= limits::FRAME_RECORDS_MAX;
        fits.then_some(Self { kind, flags, len, metadata_len, salt })
    }
}

impl FrameHead {
    /// The 64 bytes; the checksum is taken over them, `metadata` and the offset `at`.
    pub(super) fn encode(&mut self, metadata: &[u8], at: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRAME_HEADER_LEN);
        out.extend_from_slice(&[FRAME_MAGIC, self.kind as u8]);
        put_u16(&mut out, if self.groups { GROUPS } else { 0 });
        put_u32(&mut out, self.len);
        put_u32(&mut out, self.metadata_len);
        put_u32(&mut out, self.records);
        put_u64(&mut out, self.salt);
        put_u32(&mut out, self.prev_checksum);
        put_u32(&mut out, 0);
        put_u64(&mut out, self.first_sequence);
        put_u64(&mut out, self.commit_time.cast_unsigned());
        put_u64(&mut out, self.promise.file);
        put_u64(&mut out, self.promise.offset);
        self.checksum = checksum(&out, metadata, at);
        if let Some(field) = out.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4) {
            field.copy_from_slice(&self.checksum.to_le_bytes());
        }
        out
    }

    /// Verifies and reads a frame's header. `at` is where it stands.
    ///
    /// # Errors
    /// `Malformed` if there is no valid frame here; `Unsupported` if there is one, of a newer version.
    pub fn decode(header: &[u8], metadata: &[u8], at: u64) -> Result<Self, Fault> {
        let header = header.get(..FRAME_HEADER_LEN).ok_or(Fault::malformed(0, "a frame"))?;
        let found = Candidate::parse(header).ok_or(Fault::malformed(0, "a frame"))?;
        let mut reader = Reader::new(header);
        reader.bytes(12, "a frame")?;
        let records = reader.u32("records")?;
        reader.u64("a salt")?;
        let prev_checksum = reader.u32("a predecessor")?;
        let stored = reader.u32("a checksum")?;
        if metadata.len() as u64 != u64::from(found.metadata_len) || checksum(header, metadata, at) != stored
        {
            return Err(Fault::malformed(CHECKSUM_AT, "the checksum of the frame"));
        }
        if found.flags & !GROUPS != 0 {
            return Err(Fault::Unsupported(format!("log frames with flags {:#x}", found.flags)));
        }
        let kind = FrameKind::from_u8(found.kind)
            .ok_or_else(|| Fault::Unsupported(format!("log frames of kind {}", found.kind)))?;
        if (records > 0) != kind.has_records() {
            return Err(Fault::malformed(12, "a number of records that fits the kind of the frame"));
        }
        Ok(Self {
            kind,
            groups: found.flags & GROUPS != 0,
            len: found.len,
            metadata_len: found.metadata_len,
            records,
            salt: found.salt,
            prev_checksum,
            checksum: stored,
            first_sequence: reader.u64("a sequence number")?,
            commit_time: reader.u64("a commit time")?.cast_signed(),
            promise: Position { file: reader.u64("a promise")?, offset: reader.u64("a promise")? },
        })
    }

    /// Where the units start, from the start of the frame.
    pub fn units_at(&self) -> usize {
        FRAME_HEADER_LEN.saturating_add(self.metadata_len as usize)
    }

    /// The sequence number behind its last record.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence.saturating_add(u64::from(self.records))
    }
}

fn checksum(header: &[u8], metadata: &[u8], at: u64) -> u32 {
    let (front, back) = header.split_at(CHECKSUM_AT.min(header.len()));
    let back = back.get(4..).unwrap_or_default();
    Crc::new().number(at).bytes(front).bytes(back).bytes(metadata).finish()
}
