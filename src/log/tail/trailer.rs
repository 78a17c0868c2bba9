//! The index of the tail, and the last bytes of a sealed segment.
//!
//! ```text
//!   0 magic            8   "RCNSEAL\n"          80 frames end       u64  = where the tail starts
//!   8 version          u16 1                    88 directory at     u64
//!  10 reserved         u16 0                    96 locators at      u64
//!  12 trailer length   u32 144                 104 digests at       u64
//!  16 salt             u64 the segment's       112 index at         u64
//!  24 first sequence   u64                     120 block records    u32  of the directory
//!  32 last sequence    u64                     124 last checksum    u32  of the last frame
//!  40 records          u64                     128 features         u64  reserved: 0
//!  48 contents         u64 stored              136 tail checksum    u32  masked CRC of the file from frames end to here
//!  56 raw bytes        u64 of these            140 checksum         u32  masked CRC of the own offset (u64) and bytes 0..140
//!  64 stored bytes     u64 of these
//!  72 last commit time i64 µs
//! ```

use super::array::ArrayKind;
use super::directory::BLOCK_HEADER_LEN;
use crate::codec::{Crc, Malformed, Reader, put_u16, put_u32, put_u64};
use crate::log::Fault;

/// Length of a trailer.
pub const TRAILER_LEN: usize = 144;
/// Length of the mark that a tail starts with.
pub(in crate::log) const TAIL_MARK_LEN: usize = 16;
/// What a tail starts with.
pub(super) const TAIL_MARK: &[u8; 8] = b"RCNTAIL\n";

/// Whether some bytes are the mark of a tail that stands at `at`.
pub(in crate::log) fn is_tail_mark(bytes: &[u8], at: u64) -> bool {
    bytes.strip_prefix(TAIL_MARK).is_some_and(|rest| rest == at.to_le_bytes())
}

const MAGIC: &[u8; 8] = b"RCNSEAL\n";
const VERSION: u16 = 1;

/// What a sealed segment says at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The segment's salt.
    pub salt: u64,
    /// First sequence number.
    pub sequence_first: u64,
    /// Last sequence number; the one before the first if there are no records.
    pub sequence_last: u64,
    /// Changes.
    pub records: u64,
    /// Stored contents.
    pub contents: u64,
    /// Their bytes, uncompressed.
    pub raw_bytes: u64,
    /// Their bytes, as stored.
    pub stored_bytes: u64,
    /// Commit time of the last change, µs; 0 if there is none.
    pub last_commit_time: i64,
    /// Where the frames end and the tail starts.
    pub frames_end: u64,
    /// Where the directory starts.
    pub directory_at: u64,
    /// Where the locators start.
    pub locators_at: u64,
    /// Where the digests start.
    pub digests_at: u64,
    /// Where the index starts.
    pub index_at: u64,
    /// Records of a directory block.
    pub block_records: u32,
    /// Checksum of the last frame.
    pub last_checksum: u32,
    /// Checksum of the tail.
    pub tail_checksum: u32,
}

impl Trailer {
    /// The 144 bytes; `at` is where they stand.
    pub(super) fn encode(&self, at: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(TRAILER_LEN);
        out.extend_from_slice(MAGIC);
        put_u16(&mut out, VERSION);
        put_u16(&mut out, 0);
        put_u32(&mut out, TRAILER_LEN as u32);
        for n in [
            self.salt,
            self.sequence_first,
            self.sequence_last,
            self.records,
            self.contents,
            self.raw_bytes,
            self.stored_bytes,
            self.last_commit_time.cast_unsigned(),
            self.frames_end,
            self.directory_at,
            self.locators_at,
            self.digests_at,
            self.index_at,
        ] {
            put_u64(&mut out, n);
        }
        put_u32(&mut out, self.block_records);
        put_u32(&mut out, self.last_checksum);
        put_u64(&mut out, 0);
        put_u32(&mut out, self.tail_checksum);
        let checksum = Crc::new().number(at).bytes(&out).finish();
        put_u32(&mut out, checksum);
        out
    }

    /// Reads the trailer of the segment with this salt that stands at `at`, the last bytes of the file. Its places are in order and
    /// inside the file.
    pub fn decode(bytes: &[u8], at: u64, salt: u64) -> Result<Self, Fault> {
        let mut reader = Reader::new(bytes);
        let body = reader.bytes(TRAILER_LEN - 4, "a trailer")?;
        let stored = reader.u32("a checksum")?;
        let mut reader = Reader::new(body);
        if reader.bytes(8, "a trailer")? != MAGIC {
            return Err(Fault::malformed(0, "the magic of a trailer"));
        }
        if Crc::new().number(at).bytes(body).finish() != stored {
            return Err(Fault::malformed(140, "the checksum of the trailer"));
        }
        let version = reader.u16("a version")?;
        reader.u16("reserved")?;
        if version != VERSION || reader.u32("a trailer length")? as usize != TRAILER_LEN {
            return Err(Fault::Unsupported(format!("segment trailers of version {version}")));
        }
        let mut next = || reader.u64("a field of the trailer");
        if next()? != salt {
            return Err(Fault::malformed(16, "the segment's salt"));
        }
        let mut trailer = Self {
            salt,
            sequence_first: next()?,
            sequence_last: next()?,
            records: next()?,
            contents: next()?,
            raw_bytes: next()?,
            stored_bytes: next()?,
            last_commit_time: next()?.cast_signed(),
            frames_end: next()?,
            directory_at: next()?,
            locators_at: next()?,
            digests_at: next()?,
            index_at: next()?,
            block_records: 0,
            last_checksum: 0,
            tail_checksum: 0,
        };
        trailer.block_records = reader.u32("a number of records")?;
        trailer.last_checksum = reader.u32("a checksum")?;
        let features = reader.u64("features")?;
        trailer.tail_checksum = reader.u32("a checksum")?;
        if features != 0 {
            return Err(Fault::Unsupported(format!("segment trailers with features {features:#x}")));
        }
        if !trailer.is_consistent(at) {
            return Err(Fault::malformed(80, "places and counts that agree"));
        }
        Ok(trailer)
    }

    fn is_consistent(&self, at: u64) -> bool {
        let after = |start: u64, len: u64| start.checked_add(len);
        let indexed = self.index_at.checked_add(self.index_len());
        after(self.frames_end, TAIL_MARK_LEN as u64) == Some(self.directory_at)
            && self.directory_at <= self.locators_at
            && after(self.locators_at, ArrayKind::Locators.len(self.contents)) == Some(self.digests_at)
            && after(self.digests_at, ArrayKind::Digests.len(self.contents)) == Some(self.index_at)
            && indexed.and_then(|end| end.checked_next_multiple_of(8)) == Some(at)
            && self.block_records > 0
            && self.sequence_first > 0
            && self.sequence_last.checked_add(1).and_then(|next| next.checked_sub(self.sequence_first))
                == Some(self.records)
            && self.records <= u64::from(u32::MAX)
    }

    /// How many directory blocks there are.
    pub(in crate::log) fn directory_blocks(&self) -> u64 {
        self.records.div_ceil(u64::from(self.block_records.max(1)))
    }

    /// Length of the index.
    pub(in crate::log) fn index_len(&self) -> u64 {
        let locators = ArrayKind::Locators.blocks(self.contents).saturating_mul(8);
        locators.saturating_add(self.directory_blocks().saturating_mul(12)).saturating_add(8)
    }
}

/// A content as the index names it: sequence number relative to the file's first, and slot.
pub(in crate::log) type LocatorKey = (u32, u16);

/// Where a directory block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct DirectoryPlace {
    /// Offset in the file.
    pub offset: u64,
    pub len: u32,
    /// How many contents the blocks before it store.
    pub contents_before: u32,
}

/// The index of a tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::log) struct Index {
    /// The first key of each locator block.
    pub locators: Vec<LocatorKey>,
    pub directory: Vec<DirectoryPlace>,
}

impl Index {
    /// Without the end of an array block.
    pub(super) fn encode(&self, tail: u64, out: &mut Vec<u8>) {
        for (sequence, slot) in &self.locators {
            put_u32(out, *sequence);
            put_u16(out, *slot);
            put_u16(out, 0);
        }
        for place in &self.directory {
            put_u32(out, (place.offset - tail) as u32);
            put_u32(out, place.len);
            put_u32(out, place.contents_before);
        }
    }

    /// Reads the entries of a verified index.
    pub fn decode(entries: &[u8], trailer: &Trailer) -> Result<Self, Malformed> {
        let mut reader = Reader::new(entries);
        // Both counts are bounded: the caller read `index_len` bytes.
        let mut locators = Vec::new();
        for _ in 0..ArrayKind::Locators.blocks(trailer.contents) {
            locators.push((reader.u32("a sequence number")?, reader.u16("a slot")?));
            reader.u16("reserved")?;
        }
        let mut directory = Vec::new();
        let mut at = trailer.directory_at;
        let mut contents = 0;
        for _ in 0..trailer.directory_blocks() {
            let bad = reader.malformed("directory blocks one behind the other");
            let offset = trailer.frames_end.saturating_add(u64::from(reader.u32("an offset")?));
            let len = reader.u32("a length")?;
            let contents_before = reader.u32("a number of contents")?;
            if offset != at || (len as usize) < BLOCK_HEADER_LEN || contents_before < contents {
                return Err(bad);
            }
            at = at.saturating_add(u64::from(len));
            contents = contents_before;
            directory.push(DirectoryPlace { offset, len, contents_before });
        }
        if at != trailer.locators_at || u64::from(contents) > trailer.contents {
            return Err(reader.malformed("directory blocks up to the locators"));
        }
        reader.end("the end of the index")?;
        Ok(Self { locators, directory })
    }
}
