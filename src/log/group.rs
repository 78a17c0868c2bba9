//! The members of a group frame, in a unit of the log as in a pack.
//!
//! ```text
//! slot         varint      of the first member, if some slot is not 0
//! distance     varint      of each further member: of its sequence number from the member before, downwards (zigzag if the group is mixed);
//!   slot       varint        behind it its slot, if some slot is not 0
//! length       zigzag      per member, against the one before
//! raw checksum u32         per member: masked CRC of its uncompressed bytes
//! ```

use crate::codec::{Malformed, Reader, put_u32, put_varint, put_zigzag};
use crate::limits;
use crate::model::Address;

/// A content of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which content.
    pub address: Address,
    /// Its length.
    pub raw_len: u32,
    /// Masked CRC of it.
    pub raw_crc: u32,
}

/// What decides how a table of members is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TableShape {
    /// Members of several entities: their sequence numbers are in no order.
    pub mixed: bool,
    /// Some slot is not 0.
    pub slots: bool,
}

impl TableShape {
    pub fn of(members: &[Member], mixed: bool) -> Self {
        Self { mixed, slots: members.iter().any(|member| member.address.slot != 0) }
    }
}

/// Writes the table, but for the sequence number of the first member.
pub(crate) fn put_members(out: &mut Vec<u8>, members: &[Member], shape: TableShape) {
    let mut before: Option<u64> = None;
    for member in members {
        let sequence = member.address.sequence;
        match before {
            None => {}
            Some(before) if shape.mixed => put_zigzag(out, before.wrapping_sub(sequence).cast_signed()),
            Some(before) => put_varint(out, before.saturating_sub(sequence)),
        }
        before = Some(sequence);
        if shape.slots {
            put_varint(out, u64::from(member.address.slot));
        }
    }
    let mut len = 0;
    for member in members {
        put_zigzag(out, i64::from(member.raw_len) - len);
        len = i64::from(member.raw_len);
    }
    members.iter().for_each(|member| put_u32(out, member.raw_crc));
}

/// Reads the rest of a table of `count` members whose first one has sequence number `first`.
pub(crate) fn read_members(
    reader: &mut Reader<'_>,
    first: u64,
    count: usize,
    shape: TableShape,
) -> Result<Vec<Member>, Malformed> {
    let mut members: Vec<Member> = Vec::with_capacity(count.min(usize::from(u8::MAX)));
    for _ in 0..count {
        let bad = reader.malformed("a distance to an older change");
        let sequence = match members.last() {
            None => first,
            Some(last) if shape.mixed => {
                last.address.sequence.wrapping_sub(reader.zigzag("a distance")?.cast_unsigned())
            }
            Some(last) => last.address.sequence.checked_sub(reader.varint("a distance")?).ok_or(bad)?,
        };
        let slot = match shape.slots {
            false => 0,
            true => reader.varint_max(u64::from(u16::MAX), "a slot")? as u16,
        };
        members.push(Member { address: Address { sequence, slot }, raw_len: 0, raw_crc: 0 });
    }
    let mut len = 0_i64;
    for member in &mut members {
        let bad = reader.malformed("a content length");
        len = len.checked_add(reader.zigzag("a content length")?).ok_or(bad)?;
        member.raw_len =
            u32::try_from(len).ok().filter(|len| *len as usize <= limits::CONTENT_LEN_MAX).ok_or(bad)?;
    }
    for member in &mut members {
        member.raw_crc = reader.u32("a checksum")?;
    }
    reader.end("the end of the table")?;
    Ok(members)
}

/// Where a member starts in the uncompressed group.
pub(crate) fn start_of(members: &[Member], member: usize) -> usize {
    members.iter().take(member).map(|member| member.raw_len as usize).sum()
}

/// A member of the uncompressed group (or of its front), if it is what was put in.
pub(crate) fn member_of(
    members: &[Member],
    raw: &bytes::Bytes,
    index: usize,
) -> Result<bytes::Bytes, Malformed> {
    let bad = Malformed { at: 0, expected: "the checksum of the uncompressed content" };
    let member = members.get(index).ok_or(bad)?;
    let start = start_of(members, index);
    let end = start.saturating_add(member.raw_len as usize);
    let content = raw.get(start..end).ok_or(bad)?;
    if crate::codec::crc(content) != member.raw_crc {
        return Err(bad);
    }
    Ok(raw.slice(start..end))
}
