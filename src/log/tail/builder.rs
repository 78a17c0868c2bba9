//! Making a tail.

use super::array::{ArrayKind, DigestEntry, seal_block};
use super::directory::{Lengths, PackedBlock, SEGMENT_LEVEL};
use super::trailer::{DirectoryPlace, Index, TAIL_MARK, TAIL_MARK_LEN, Trailer};
use crate::codec::{crc, put_u64};
use crate::log::LoggedChange;
use crate::log::locator::StoredContent;
use crate::log::record_decode::DecodedRecord;
use crate::log::unit::UNIT_HEADER_LEN;

/// Gathers what the frames say. In memory: a block of records, the compressed directory and 64 bytes a content.
pub(in crate::log) struct TailBuilder {
    salt: u64,
    sequence_first: u64,
    frames_end: u64,
    block_records: u32,
    out: Vec<u8>,
    pending: Vec<(LoggedChange, Lengths)>,
    /// Contents of the records before the pending ones.
    contents_before: u32,
    places: Vec<DirectoryPlace>,
    contents: Vec<StoredContent>,
    records: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    last_commit_time: i64,
}

impl TailBuilder {
    /// A tail that will stand at `frames_end`.
    pub fn new(salt: u64, sequence_first: u64, frames_end: u64, block_records: u32) -> Self {
        let mut out = TAIL_MARK.to_vec();
        put_u64(&mut out, frames_end);
        Self {
            salt,
            sequence_first,
            frames_end,
            block_records: block_records.max(1),
            out,
            pending: Vec::new(),
            contents_before: 0,
            places: Vec::new(),
            contents: Vec::new(),
            records: 0,
            raw_bytes: 0,
            stored_bytes: 0,
            last_commit_time: 0,
        }
    }

    /// Adds the next record.
    pub fn push(&mut self, record: DecodedRecord) {
        self.records += 1;
        self.last_commit_time = record.change.commit_time;
        for content in &record.contents {
            self.raw_bytes += u64::from(content.raw_len);
            if content.locator.counts() {
                self.stored_bytes += u64::from(content.locator.len).saturating_sub(UNIT_HEADER_LEN as u64);
            }
        }
        let lengths = record.contents.iter().map(|content| content.raw_len).collect();
        self.contents.extend(record.contents);
        self.pending.push((record.change, lengths));
        if self.pending.len() >= self.block_records as usize {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let from = self.out.len();
        PackedBlock::of(&self.pending, SEGMENT_LEVEL).put(self.frames_end, self.salt, &mut self.out);
        self.places.push(DirectoryPlace {
            offset: self.frames_end + from as u64,
            len: (self.out.len() - from) as u32,
            contents_before: self.contents_before,
        });
        self.contents_before = self.contents.len() as u32;
        self.pending.clear();
    }

    /// The whole tail, trailer included.
    pub fn finish(mut self, last_checksum: u32) -> (Vec<u8>, Trailer) {
        self.end_block();
        let base = self.frames_end;
        let mut out = std::mem::take(&mut self.out);
        if planted!("last content not located") {
            self.contents.pop();
        }
        let locators_at = base + out.len() as u64;
        let mut index = Index { locators: Vec::new(), directory: std::mem::take(&mut self.places) };
        for block in self.contents.chunks(ArrayKind::Locators.per_block()) {
            let from = out.len();
            if let Some(first) = block.first() {
                let address = first.locator.address;
                index.locators.push(((address.sequence - self.sequence_first) as u32, address.slot));
            }
            block.iter().for_each(|content| content.locator.encode(self.sequence_first, &mut out));
            seal_block(&mut out, from, base, self.salt);
        }
        let digests_at = base + out.len() as u64;
        for block in self.contents.chunks(ArrayKind::Digests.per_block()) {
            let from = out.len();
            block.iter().for_each(|content| DigestEntry::encode(&content.digest, &mut out));
            seal_block(&mut out, from, base, self.salt);
        }
        let from = out.len();
        index.encode(base, &mut out);
        seal_block(&mut out, from, base, self.salt);
        out.resize(out.len().next_multiple_of(8), 0);
        let trailer = Trailer {
            salt: self.salt,
            sequence_first: self.sequence_first,
            sequence_last: self.sequence_first + self.records - 1,
            records: self.records,
            contents: self.contents.len() as u64,
            raw_bytes: self.raw_bytes,
            stored_bytes: self.stored_bytes,
            last_commit_time: self.last_commit_time,
            frames_end: base,
            directory_at: base + TAIL_MARK_LEN as u64,
            locators_at,
            digests_at,
            index_at: base + from as u64,
            block_records: self.block_records,
            last_checksum,
            tail_checksum: crc(&out),
        };
        let encoded = trailer.encode(base + out.len() as u64);
        out.extend_from_slice(&encoded);
        (out, trailer)
    }
}
