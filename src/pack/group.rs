//! A group frame: contents of one entity compressed together, newest first.
//!
//! ```text
//!  0 magic          u8   c6              20 raw length       u32  all members together
//!  1 kind           u8   1               24 stored checksum  u32  masked CRC of the stored bytes
//!  2 codec          u8   0 raw, 2 zstd   28 table length     u16
//!  3 crypt          u8   reserved: 0     30 members          u8   1 to 255
//!  4 key id         u16  reserved: 0     31 level            u8   of the compressor
//!  6 flags          u16                  32 checksum         u32  masked CRC of salt (u64), own offset (u64), bytes 0..32, table
//!  8 entity hash    u64                  36 table
//! 16 stored length  u32                     stored bytes     (if encrypted, the nonce first)
//!
//! table: sequence varint                of the first member; of each further one its distance from the member before, downwards, as a
//!                                       varint (zigzag if mixed)
//!        slot varint                    behind each sequence, if flags say so; else all are 0
//!        length                         zigzag varint per member, against the one before
//!        raw checksum u32               per member: masked CRC of its uncompressed bytes
//! flags: bit 0 full: it is copied as it is when packs are merged
//!        bit 1 mixed: small contents of several entities; the entity hash is 0
//!        bit 2 slots: some slot is not 0
//! ```
//!
//! 1. A group describes itself: with the salt of its file it can be verified and read without locators, directory or index.
//! 2. Member `m` is the bytes from the sum of the lengths before it: the front of the frame can be decoded and the rest left.
//! 3. The head and the stored bytes have a checksum each, the first over the second: scrubbing needs no key, and a group that is copied
//!    keeps the second.
//! 4. A frame is never larger than [`GROUP_RAW_MAX`] uncompressed and its window never larger than [`crate::codec::WINDOW_LOG_MAX`], so a decoder's
//!    memory is bounded whatever the bytes say.

use bytes::Bytes;

use crate::codec::{
    Codec, Crc, GROUP_RAW_MAX, Malformed, Reader, decompress_front, put_u16, put_u32, put_u64, put_varint,
};
use crate::limits;
use crate::log::{Fault, Member, TableShape, member_of, put_members, read_members, start_of};
use crate::model::Entity;

/// Bytes of a group before its table.
pub const GROUP_HEADER_LEN: usize = 36;
/// Most members.
pub const GROUP_MEMBERS_MAX: usize = 255;
const MAGIC: u8 = 0xc6;
const KIND: u8 = 1;
const FULL: u16 = 1;
const MIXED: u16 = 2;
const SLOTS: u16 = 4;

const _: () = {
    assert!(limits::CONTENT_LEN_MAX <= GROUP_RAW_MAX);
    // Sequence (10), slot (3), length (5), checksum (4).
    assert!(GROUP_MEMBERS_MAX * 22 <= u16::MAX as usize);
};

/// What a group says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupHeader {
    /// How it is compressed.
    pub codec: Codec,
    /// Copied as it is when packs are merged.
    pub full: bool,
    /// Holds contents of several entities.
    pub mixed: bool,
    /// XXH3 of the entity's name; 0 if mixed.
    pub entity_hash: u64,
    /// Length of the stored bytes.
    pub stored_len: u32,
    /// Length of all members together.
    pub raw_len: u32,
    /// Masked CRC of the stored bytes.
    pub stored_crc: u32,
    /// Level of the compressor.
    pub level: u8,
    /// The contents, in the order in which they stand.
    pub members: Vec<Member>,
}

/// The hash by which a group names its entity.
pub fn entity_hash(entity: &Entity) -> u64 {
    xxhash_rust::xxh3::xxh3_64(entity.as_bytes())
}

impl GroupHeader {
    /// Header and table of the group that will stand at `at`.
    pub(super) fn encode(&self, at: u64, salt: u64) -> Vec<u8> {
        let mut table = Vec::new();
        let shape = TableShape::of(&self.members, self.mixed);
        if let Some(first) = self.members.first() {
            put_varint(&mut table, first.address.sequence);
        }
        put_members(&mut table, &self.members, shape);
        let mut out = vec![MAGIC, KIND, self.codec as u8, 0, 0, 0];
        let flags = [(self.full, FULL), (self.mixed, MIXED), (shape.slots, SLOTS)];
        put_u16(&mut out, flags.into_iter().filter(|(set, _)| *set).fold(0, |all, (_, bit)| all | bit));
        put_u64(&mut out, self.entity_hash);
        put_u32(&mut out, self.stored_len);
        put_u32(&mut out, self.raw_len);
        put_u32(&mut out, self.stored_crc);
        put_u16(&mut out, table.len() as u16);
        out.push(self.members.len() as u8);
        out.push(self.level);
        let checksum = Crc::new().number(salt).number(at).bytes(&out).bytes(&table).finish();
        put_u32(&mut out, checksum);
        out.extend_from_slice(&table);
        out
    }

    /// Reads the header of the group that stands at `at`; answers it and how many bytes it takes.
    pub(super) fn decode(bytes: &[u8], at: u64, salt: u64) -> Result<(Self, usize), Fault> {
        let mut reader = Reader::new(bytes);
        let head = reader.bytes(GROUP_HEADER_LEN - 4, "a group header")?;
        let checksum = reader.u32("a checksum")?;
        let mut fields = Reader::new(head);
        if fields.u8("a magic")? != MAGIC {
            return Err(Fault::malformed(0, "the magic of a group"));
        }
        let kind = fields.u8("a kind")?;
        let codec = fields.u8("a codec")?;
        let crypt = fields.u8("crypt")?;
        let key = fields.u16("a key id")?;
        let flags = fields.u16("flags")?;
        let entity_hash = fields.u64("an entity hash")?;
        let stored_len = fields.u32("a length")?;
        let raw_len = fields.u32("a length")?;
        let stored_crc = fields.u32("a checksum")?;
        let table = reader.bytes(usize::from(fields.u16("a length")?), "a group's table")?;
        let count = usize::from(fields.u8("a number of members")?);
        let level = fields.u8("a level")?;
        if Crc::new().number(salt).number(at).bytes(head).bytes(table).finish() != checksum {
            return Err(Fault::malformed(GROUP_HEADER_LEN - 4, "the checksum of the group's head"));
        }
        if kind != KIND || flags & !(FULL | MIXED | SLOTS) != 0 {
            return Err(Fault::Unsupported(format!("groups of kind {kind}, flags {flags:#x}")));
        }
        if crypt != 0 || key != 0 {
            return Err(Fault::Unsupported("encryption".into()));
        }
        let codec = match Codec::from_u8(codec) {
            Some(known @ (Codec::Raw | Codec::Zstd)) => known,
            _ => return Err(Fault::Unsupported(format!("group codec {codec}"))),
        };
        let mut entries = Reader::new(table);
        let first = entries.varint("a sequence number")?;
        let shape = TableShape { mixed: flags & MIXED != 0, slots: flags & SLOTS != 0 };
        let members = read_members(&mut entries, first, count, shape)?;
        let sum: u64 = members.iter().map(|member| u64::from(member.raw_len)).sum();
        if members.is_empty() || sum != u64::from(raw_len) || raw_len as usize > GROUP_RAW_MAX {
            return Err(Fault::malformed(20, "lengths that agree"));
        }
        let (full, mixed) = (flags & FULL != 0, flags & MIXED != 0);
        let header =
            Self { codec, full, mixed, entity_hash, stored_len, raw_len, stored_crc, level, members };
        Ok((header, reader.position()))
    }

    /// Where a member starts in the uncompressed group.
    pub fn start(&self, member: usize) -> usize {
        start_of(&self.members, member)
    }

    /// The first `len` bytes of the group, uncompressed. The checksum of `stored` was verified.
    pub(super) fn open(&self, stored: &Bytes, len: usize) -> Result<Bytes, Malformed> {
        decompress_front(self.codec, stored, self.raw_len as usize, len)
    }

    /// A member of the uncompressed group (or of its front), if it is what was put in.
    pub(super) fn member(&self, raw: &Bytes, index: usize) -> Result<Bytes, Malformed> {
        member_of(&self.members, raw, index)
    }
}
