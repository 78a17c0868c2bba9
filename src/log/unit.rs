//! A unit: a stored content, or several of one entity compressed together.
//!
//! A unit describes itself, so that it can be read with one `pread`, checked without decompressing, and moved to another value
//! file as it is:
//!
//! ```text
//!  0  magic         u8   c5
//!  1  kind          u8   1 one content; 2 a group frame: contents of several revisions of one entity in one zstd frame
//!  2  codec         u8   0 raw, 1 lz4, 2 zstd; of a group 0 or 2
//!  3  crypt         u8   reserved: 0 = not encrypted (else the stored bytes start with the nonce)
//!  4  key id        u16  reserved: 0
//!  6  slot          u16
//!  8  sequence      u64  of the change that wrote it; with the slot: its address. Of a group: those of the newest content
//! 16  stored length u32  of all that stands behind the header
//! 20  raw length    u32  of a group: of all contents together
//! 24  raw checksum  u32  masked CRC of the uncompressed bytes. Of a group instead: table length u16, contents u8 (2 to 255), level u8 of zstd
//! 28  checksum      u32  masked CRC of the stored bytes, then of bytes 0..28
//! 32  stored bytes       of a group: table │ one zstd frame (or the contents as they are): newest content, the one before, …
//!
//! table: flags u8 (bit 0: some slot is not 0) │ the members, as in a group of a pack: see `group`
//! ```
//!
//! 1. The checksum covers what is stored, so scrubbing needs neither codec nor key; the raw checksum catches a decoder that goes
//!    wrong. The stored bytes come first in the checksum: they are summed when a write is prepared, the 28 bytes when the sequence
//!    number is known. So the table says how far members are apart, and only the header where they are.
//! 2. Sequence and slot are compared with what was asked for: a block that a disk put in the wrong place is never served.
//! 3. All contents of a group are stored by changes of the frame that it stands in. The newest one needs only its front.

use std::path::Path;

use bytes::Bytes;

use super::fault::Fault;
use super::group::{Member, TableShape, member_of, put_members, read_members, start_of};
use crate::codec::{
    self, Codec, Crc, GROUP_RAW_MAX, Malformed, Reader, decompress_front, put_u16, put_u32, put_u64,
};
use crate::limits;
use crate::model::Address;
use crate::{Error, Result};

/// Length of what stands before the stored bytes.
pub const UNIT_HEADER_LEN: usize = 32;

const MAGIC: u8 = 0xc5;
const KIND_CONTENT: u8 = 1;
const KIND_GROUP: u8 = 2;
/// Flag of a table: some slot is not 0.
const SLOTS: u8 = 1;

/// What a unit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// One content.
    Content {
        /// Masked CRC of the content.
        raw_crc: u32,
    },
    /// Contents of several revisions.
    Group {
        /// Length of the table before the frame.
        table_len: u16,
        /// How many contents.
        members: u8,
        /// Level of the compressor.
        level: u8,
    },
}

/// What a unit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitHeader {
    /// What it holds.
    pub kind: UnitKind,
    /// How the stored bytes are compressed.
    pub codec: Codec,
    /// Whose content it is; of a group, whose the newest one is.
    pub address: Address,
    /// Length of the stored bytes.
    pub stored_len: u32,
    /// Length of the content, or of all contents together.
    pub raw_len: u32,
}

impl UnitHeader {
    /// The 32 bytes; `stored` is the running checksum of the stored bytes.
    pub(super) fn encode(&self, stored: Crc) -> Vec<u8> {
        let mut out = Vec::with_capacity(UNIT_HEADER_LEN);
        let kind = match self.kind {
            UnitKind::Content { .. } => KIND_CONTENT,
            UnitKind::Group { .. } => KIND_GROUP,
        };
        out.extend_from_slice(&[MAGIC, kind, self.codec as u8, 0]);
        put_u16(&mut out, 0);
        put_u16(&mut out, self.address.slot);
        put_u64(&mut out, self.address.sequence);
        put_u32(&mut out, self.stored_len);
        put_u32(&mut out, self.raw_len);
        match self.kind {
            UnitKind::Content { raw_crc } => put_u32(&mut out, raw_crc),
            UnitKind::Group { table_len, members, level } => {
                put_u16(&mut out, table_len);
                out.extend_from_slice(&[members, level]);
            }
        }
        let checksum = stored.bytes(&out).finish();
        put_u32(&mut out, checksum);
        out
    }

    /// Verifies the checksum of a whole unit and reads its header.
    pub fn verify(unit: &[u8]) -> Result<Self, Fault> {
        Self::read(unit, true)
    }

    fn read(unit: &[u8], verify: bool) -> Result<Self, Fault> {
        let (head, stored) =
            unit.split_at_checked(UNIT_HEADER_LEN).ok_or(Fault::malformed(0, "a content unit"))?;
        let mut reader = Reader::new(head);
        if reader.u8("a unit's magic")? != MAGIC {
            return Err(Fault::malformed(0, "the magic of a content unit"));
        }
        let kind = reader.u8("a unit kind")?;
        let codec = reader.u8("a codec")?;
        let crypt = reader.u8("crypt")?;
        let key = reader.u16("a key id")?;
        let slot = reader.u16("a slot")?;
        let sequence = reader.u64("a sequence number")?;
        let stored_len = reader.u32("a stored length")?;
        let raw_len = reader.u32("a raw length")?;
        let mut shape = reader.clone();
        let raw_crc = reader.u32("a raw checksum")?;
        let checksum = reader.u32("a checksum")?;
        if verify {
            if stored.len() as u64 != u64::from(stored_len) {
                return Err(Fault::malformed(16, "the length that the locator names"));
            }
            let fields = head.get(..UNIT_HEADER_LEN - 4).unwrap_or_default();
            if codec::crc_parts(&[stored, fields]) != checksum && !planted!("content checksum not compared") {
                return Err(Fault::malformed(28, "the checksum of the content unit"));
            }
        }
        let (kind, raw_max) = match kind {
            KIND_CONTENT => (UnitKind::Content { raw_crc }, limits::CONTENT_LEN_MAX),
            KIND_GROUP => {
                let table_len = shape.u16("the length of a table")?;
                let [members, level] = shape.array("a number of contents")?;
                (UnitKind::Group { table_len, members, level }, GROUP_RAW_MAX)
            }
            _ => return Err(Fault::Unsupported(format!("content units of kind {kind}"))),
        };
        if crypt != 0 || key != 0 {
            return Err(Fault::Unsupported("encryption".into()));
        }
        let codec = match (Codec::from_u8(codec), kind) {
            (Some(codec), UnitKind::Content { .. }) => codec,
            (Some(codec @ (Codec::Raw | Codec::Zstd)), _) => codec,
            _ => return Err(Fault::Unsupported(format!("content codec {codec}"))),
        };
        if raw_len as usize > raw_max {
            return Err(Fault::malformed(20, "a content length within the limit"));
        }
        Ok(Self { kind, codec, address: Address { sequence, slot }, stored_len, raw_len })
    }

    /// Verifies a whole unit and gives one of its contents. Uncompressed contents are a slice of `unit`, not a copy.
    pub fn open(unit: &Bytes, address: Address) -> Result<Bytes, Fault> {
        let unit = Unit::open(unit)?;
        let member = unit.find(address)?;
        Ok(unit.member(&unit.decode(unit.front(member))?, member)?)
    }
}

/// The table of a group whose members' addresses are only known against each other.
pub(super) fn put_table(members: &[Member]) -> Vec<u8> {
    let shape = TableShape::of(members, false);
    let mut out = vec![if shape.slots { SLOTS } else { 0 }];
    put_members(&mut out, members, shape);
    out
}

/// A verified unit: whatever it holds, several contents or one.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it says of itself.
    pub header: UnitHeader,
    /// Its contents, the newest first.
    pub members: Vec<Member>,
    /// What is compressed, without any table.
    pub stored: Bytes,
    /// Length of what stands before that.
    head_len: usize,
}

impl Unit {
    /// Verifies a whole unit.
    pub fn open(unit: &Bytes) -> Result<Self, Fault> {
        Self::parse(unit, UnitHeader::verify(unit)?)
    }

    /// Header and table of a unit that was verified before; nothing is stored in it.
    pub(super) fn of_head(head: &Bytes) -> Result<Self, Fault> {
        Self::parse(head, UnitHeader::read(head, false)?)
    }

    fn parse(unit: &Bytes, header: UnitHeader) -> Result<Self, Fault> {
        let behind = unit.slice(UNIT_HEADER_LEN.min(unit.len())..);
        let (table_len, count) = match header.kind {
            UnitKind::Content { raw_crc } => {
                let members = vec![Member { address: header.address, raw_len: header.raw_len, raw_crc }];
                return Ok(Self { header, members, stored: behind, head_len: UNIT_HEADER_LEN });
            }
            UnitKind::Group { table_len, members, .. } => (usize::from(table_len), usize::from(members)),
        };
        let table = behind.get(..table_len).ok_or(Fault::malformed(24, "a table inside the unit"))?;
        let stored = behind.slice(table_len..);
        let mut entries = Reader::new(table);
        let flags = entries.u8("flags")?;
        if flags & !SLOTS != 0 {
            return Err(Fault::Unsupported(format!("groups with flags {flags:#x}")));
        }
        let shape = TableShape { mixed: false, slots: flags & SLOTS != 0 };
        let members = read_members(&mut entries, header.address.sequence, count, shape)?;
        let sum: u64 = members.iter().map(|member| u64::from(member.raw_len)).sum();
        if members.first().map(|member| member.address) != Some(header.address)
            || sum != u64::from(header.raw_len)
        {
            return Err(Fault::malformed(20, "contents that agree with the header"));
        }
        Ok(Self { header, members, stored, head_len: UNIT_HEADER_LEN.saturating_add(table_len) })
    }

    /// Length of header and table.
    pub(super) fn head_len(&self) -> usize {
        self.head_len
    }

    /// Which member a content is.
    pub(super) fn find(&self, address: Address) -> Result<usize, Fault> {
        let member = self.members.iter().position(|member| match planted!("group member without slot") {
            true => member.address.sequence == address.sequence,
            false => member.address == address,
        });
        member.ok_or(Fault::malformed(6, "the content that was asked for"))
    }

    /// How much must be uncompressed to read a member.
    pub(super) fn front(&self, member: usize) -> usize {
        start_of(&self.members, member.saturating_add(1))
    }

    /// The first `len` bytes, uncompressed.
    ///
    /// # Errors
    /// If they cannot be decompressed.
    pub fn decode(&self, len: usize) -> Result<Bytes, Malformed> {
        let raw_len = self.header.raw_len as usize;
        decompress_front(self.header.codec, &self.stored, raw_len, len)
    }

    /// A member of what [`Unit::decode`] gave, compared with its checksum.
    ///
    /// # Errors
    /// If it is not what was stored.
    pub fn member(&self, raw: &Bytes, member: usize) -> Result<Bytes, Malformed> {
        if planted!("content checksum not compared") {
            let start = start_of(&self.members, member);
            return Ok(raw.slice(start.min(raw.len())..self.front(member).min(raw.len())));
        }
        member_of(&self.members, raw, member)
    }
}

/// The unit that `bytes` start with, if it is valid, and its length: for finding contents where nothing says that there are any.
pub(super) fn peek(bytes: &Bytes) -> Option<(usize, Unit)> {
    let mut reader = Reader::new(bytes.get(..UNIT_HEADER_LEN)?);
    let [magic, kind, codec] = reader.array("a unit").ok()?;
    if magic != MAGIC || !matches!(kind, KIND_CONTENT | KIND_GROUP) || codec > Codec::Zstd as u8 {
        return None;
    }
    reader.bytes(13, "a unit").ok()?;
    let len = UNIT_HEADER_LEN.checked_add(reader.u32("a length").ok()? as usize)?;
    if len > bytes.len() {
        return None;
    }
    Some((len, Unit::open(&bytes.slice(..len)).ok()?))
}

/// How a damaged content is called.
pub(crate) fn affected(address: Address) -> String {
    format!("the content of change {} slot {}", address.sequence, address.slot)
}

/// No value file has such a content, although an index row says so.
pub(crate) fn no_such_content(path: &Path, address: Address) -> Error {
    Error::corrupt(path, 0, affected(address), "no locator for it", affected(address))
}
