//! The changes that a pack's directory holds.

use super::layout::{DIGESTS, DIGESTS_ERASED, DIGESTS_PLAIN};
use super::reader::Pack;
use crate::codec::{Malformed, Reader};
use crate::env::read_vec_at;
use crate::error::IoContext;
use crate::log::{
    Change, ChangeBlocks, Fault, FaultContext, LoggedChange, Sequences, checked_block, decode_block,
};
use crate::model::Digest;
use crate::{Error, Result};

impl Pack {
    /// The digests of contents `from..to`, counted through the file.
    pub(super) fn digests(&self, from: u64, to: u64, affected: impl Fn() -> String) -> Result<Vec<Digest>> {
        let per_block = DIGESTS as u64;
        let mut digests = Vec::new();
        let mut at = from;
        let to = to.min(self.trailer.contents);
        while at < to {
            let block = at / per_block;
            let entries = (self.trailer.contents - block * per_block).min(per_block) as usize;
            let offset = self.trailer.digests_at.saturating_add(block * (per_block * 32 + 9));
            let bytes = self.tail_block(offset, entries * 32 + 9, &affected)?;
            let mut reader = Reader::new(&bytes);
            let kind = reader.u8("a digest kind").in_file(&self.path, offset, &affected)?;
            if kind != DIGESTS_PLAIN && kind != DIGESTS_ERASED {
                let what = format!("digests of kind {kind}");
                return Err(Error::Unsupported { path: self.path.clone(), what });
            }
            let (first, end) = (at % per_block, (to - block * per_block).min(per_block));
            let wanted = reader.rest().chunks_exact(32).skip(first as usize).take((end - first) as usize);
            digests.extend(wanted.filter_map(|entry| entry.try_into().ok().map(Digest)));
            at = block.saturating_add(1).saturating_mul(per_block);
        }
        if digests.len() as u64 != to.saturating_sub(from) {
            let bad = Fault::malformed(0, "a digest per content");
            return Err(bad.into_error(&self.path, self.trailer.digests_at, affected()));
        }
        Ok(digests)
    }

    /// The sequence numbers of a block with gaps.
    fn gaps(&self, at: u64, len: usize, first: u64, records: u32) -> Result<Vec<u64>> {
        let affected = || format!("changes from {first} on");
        let bytes = read_vec_at(&*self.file, len, at).context("read", &self.path)?;
        let runs = checked_block(&bytes, at, self.salt).in_file(&self.path, at, affected)?;
        read_gaps(runs, first, records).in_file(&self.path, at, affected)
    }
}

/// (run varint, distance to the next run varint)*
pub(super) fn read_gaps(runs: &[u8], first: u64, records: u32) -> Result<Vec<u64>, Malformed> {
    let mut reader = Reader::new(runs);
    let mut sequences = Vec::new();
    let mut next = first;
    while sequences.len() < records as usize {
        let bad = reader.malformed("sequence numbers in order");
        let left = u64::from(records) - sequences.len() as u64;
        let run = reader.varint_max(left, "a run of sequence numbers")?;
        let end = next.checked_add(run).ok_or(bad)?;
        sequences.extend(next..end);
        next = end.checked_add(reader.varint("a gap")?).ok_or(bad)?;
        if run == 0 {
            return Err(bad);
        }
    }
    reader.end("the end of the gaps")?;
    Ok(sequences)
}

impl ChangeBlocks for Pack {
    fn first_sequence(&self, block: usize) -> Option<u64> {
        self.index.directory.get(block).map(|place| place.first_sequence)
    }

    fn read_block(&self, block: usize) -> Result<Vec<LoggedChange>> {
        let Some(place) = self.index.directory.get(block) else { return Ok(Vec::new()) };
        let first = place.first_sequence;
        let affected = || format!("{} changes from {first} on", place.records);
        let end = match self.index.directory.get(block.saturating_add(1)) {
            Some(next) => next.contents_before,
            None => self.trailer.contents,
        };
        let digests = self.digests(place.contents_before, end, affected)?;
        let gaps = match place.gaps_len {
            0 => None,
            len => Some(self.gaps(place.offset, len as usize, first, place.records)?),
        };
        let sequences = gaps.as_deref().map_or(Sequences::From(first), Sequences::Each);
        let at = place.offset.saturating_add(u64::from(place.gaps_len));
        let bytes = read_vec_at(&*self.file, place.len as usize, at).context("read", &self.path)?;
        let mut changes =
            decode_block(&bytes, at, self.salt, sequences, &digests).in_file(&self.path, at, affected)?;
        for change in &mut changes {
            if let Change::Erased { place } = &mut change.change {
                *place = self.header.rectangle.entity_first.clone();
            }
        }
        if changes.len() != place.records as usize {
            let bad = Fault::malformed(8, "as many records as the index says");
            return Err(bad.into_error(&self.path, at, affected()));
        }
        Ok(changes)
    }
}
