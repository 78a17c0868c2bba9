//! Groups and what stands between them.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;

use super::{CHUNK, HEAD_LEN_MAX, PackItem, Walk};
use crate::Result;
use crate::codec::{Flip, Holds, Part, PartState, Reader, Sum, crc};
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::log::{Fault, FaultContext};
use crate::model::Address;
use crate::pack::Depth;
use crate::pack::bits::Rows;
use crate::pack::group::{GROUP_HEADER_LEN, GroupHeader};

/// The contents of the group that stands at a place, each if it is what was put in.
///
/// # Errors
/// `Corrupt` if there is no valid group; `Unsupported`, `Io`.
pub fn read_group(file: &dyn File, path: &Path, at: u64, salt: u64) -> Result<Vec<(Address, Option<Bytes>)>> {
    let mut head = vec![0; HEAD_LEN_MAX];
    let n = read_at_most(file, &mut head, at).context("read", path)?;
    let affected = || "the contents of a group".to_owned();
    let (header, head_len) =
        GroupHeader::decode(head.get(..n).unwrap_or_default(), at, salt).in_file(path, at, affected)?;
    let mut stored = vec![0; header.stored_len as usize];
    let n = read_at_most(file, &mut stored, at.saturating_add(head_len as u64)).context("read", path)?;
    stored.truncate(n);
    let stored = Bytes::from(stored);
    if stored.len() != header.stored_len as usize || crc(&stored) != header.stored_crc {
        return Err(Fault::malformed(head_len, "the checksum of the group").into_error(path, at, affected()));
    }
    let raw = header.open(&stored, header.raw_len as usize).in_file(path, at, affected)?;
    let members = header.members.iter().enumerate();
    Ok(members.map(|(index, member)| (member.address, header.member(&raw, index).ok())).collect())
}

impl Walk<'_> {
    /// All groups; answers where they end.
    pub(super) fn groups(&mut self, depth: Depth) -> Result<u64> {
        let end = self.groups_limit();
        let mut at = self.header_len;
        while at < end {
            let head = self.read(at, HEAD_LEN_MAX)?;
            let fault = match GroupHeader::decode(&head, at, self.salt) {
                Ok((header, head_len)) => {
                    at = self.group(at, header, head_len, depth)?;
                    continue;
                }
                Err(fault) => fault,
            };
            let next = self.next_group(at, end)?;
            // Without a trailer nothing says where the groups end: what follows is the tail, as far as it can be found.
            if next.is_none() && self.out.trailer.is_none() {
                return Ok(at);
            }
            let stop = next.unwrap_or(end);
            let mut part =
                Part { state: fault.into(), ..Part::sound("group", at, stop.saturating_sub(at), "") };
            part.holds = self.located(at, stop).unwrap_or_else(|| self.all());
            part.flip = self.head_flip(at, &head)?;
            self.part(part)?;
            at = stop;
        }
        Ok(at)
    }

    fn group(&mut self, at: u64, header: GroupHeader, head_len: usize, depth: Depth) -> Result<u64> {
        let stored_at = at.saturating_add(head_len as u64);
        let stored = self.read(stored_at, header.stored_len as usize)?;
        let len = (head_len as u64).saturating_add(u64::from(header.stored_len));
        let what = format!("{} contents, {} bytes", header.members.len(), header.raw_len);
        let mut part = Part::sound("group", at, len.min(self.out.len.saturating_sub(at)), what);
        part.holds = Holds::each(header.members.iter().map(|member| member.address.sequence));
        let end = part.end();
        let sound = stored.len() as u64 == u64::from(header.stored_len) && crc(&stored) == header.stored_crc;
        if !sound {
            part.state = PartState::Damaged("expected the checksum of the group".into());
            let ranges = vec![(stored_at, u64::from(header.stored_len))];
            part.flip = self.flip(&Sum { ranges, at: at.saturating_add(24), ..Sum::default() })?;
        }
        let raw = match (sound, depth) {
            (true, Depth::Contents) => match header.open(&stored, header.raw_len as usize) {
                Ok(raw) => Some(raw),
                Err(bad) => {
                    part.state = bad.into();
                    None
                }
            },
            _ => None,
        };
        self.part(part)?;
        if sound {
            self.out.groups = self.out.groups.saturating_add(1);
            (self.visit)(PackItem::Group(at, header.clone()))?;
        }
        if depth == Depth::Contents {
            for (index, member) in header.members.iter().enumerate() {
                let content = raw.as_ref().and_then(|raw| header.member(raw, index).ok());
                (self.visit)(PackItem::Content(member.address, content))?;
            }
        }
        Ok(end)
    }

    /// The contents whose groups start in a stretch of the file, by the locators. `None` if these cannot be read.
    pub(super) fn located(&self, from: u64, to: u64) -> Option<Holds> {
        let pack = self.pack.as_ref()?;
        let named = || "the contents of a group".to_owned();
        let mut groups = BTreeSet::new();
        for (block, (at, len)) in pack.index.places.iter().enumerate() {
            let rows = Rows::<1>::open(&pack.tail_block(*at, *len as usize, named).ok()?).ok()?;
            let starts = (0..rows.len()).filter_map(|row| Some((row, rows.row(row)?)));
            let first = block.saturating_mul(crate::pack::bits::ROWS);
            // The last row of a block says where its last group ends.
            let starts = starts.take(crate::pack::bits::ROWS);
            groups.extend(
                starts
                    .filter(|(_, [at])| (from..to).contains(at))
                    .map(|(row, _)| first.saturating_add(row) as u64),
            );
        }
        let mut sequences = Vec::new();
        for block in 0..pack.index.locators.len() {
            let rows = pack.locators(block, named).ok()?;
            let all = (0..rows.len()).filter_map(|row| rows.row(row));
            sequences
                .extend(all.filter(|[_, _, group, _]| groups.contains(group)).map(|[sequence, ..]| sequence));
        }
        (!sequences.is_empty()).then(|| Holds::each(sequences))
    }

    /// The next place where a group's head proves itself.
    pub(super) fn next_group(&self, at: u64, end: u64) -> Result<Option<u64>> {
        let mut from = at.saturating_add(1);
        while from < end {
            let bytes = self.read(from, CHUNK)?;
            if bytes.is_empty() {
                break;
            }
            for (index, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == 0xc6) {
                let place = from.saturating_add(index as u64);
                if place < end
                    && GroupHeader::decode(&self.read(place, HEAD_LEN_MAX)?, place, self.salt).is_ok()
                {
                    return Ok(Some(place));
                }
            }
            from = from.saturating_add(bytes.len() as u64);
        }
        Ok(None)
    }

    /// The bit that made a group's head invalid: those of the fixed part one by one (a length changes what is covered), then the table.
    fn head_flip(&self, at: u64, head: &Bytes) -> Result<Option<Flip>> {
        let mut copy = head.to_vec();
        for bit in 0..GROUP_HEADER_LEN.saturating_mul(8) {
            let mask = 1_u8.wrapping_shl((bit % 8) as u32);
            let turn =
                |copy: &mut Vec<u8>| copy.iter_mut().skip(bit / 8).take(1).for_each(|byte| *byte ^= mask);
            turn(&mut copy);
            if GroupHeader::decode(&copy, at, self.salt).is_ok() {
                return Ok(Some(Flip { offset: at.saturating_add((bit / 8) as u64), bit: (bit % 8) as u8 }));
            }
            turn(&mut copy);
        }
        let mut reader = Reader::new(head);
        let _ = reader.bytes(28, "a head");
        let table = reader.u16("a length").map_or(0, u64::from);
        let ranges = vec![(at, 32), (at.saturating_add(GROUP_HEADER_LEN as u64), table)];
        self.flip(&Sum { numbers: vec![self.salt, at], ranges, at: at.saturating_add(32) })
    }
}
