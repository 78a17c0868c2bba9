//! The tail of a sealed segment, block by block.

use super::frames::Seen;
use super::{SegmentItem, Walk};
use crate::Result;
use crate::codec::{Holds, Part, PartState, Sum};
use crate::log::Locator;
use crate::log::seal::tail_is_whole;
use crate::log::tail::{
    ArrayKind, DigestEntry, Index, Sequences, TAIL_MARK_LEN, TRAILER_LEN, Trailer, checked_block,
    decode_block, is_tail_mark,
};
use crate::model::Digest;

impl Walk<'_> {
    /// Everything behind the frames.
    pub(super) fn tail(&mut self, seen: &Seen) -> Result<()> {
        let Some(trailer) = self.out.trailer else { return Ok(()) };
        let at = trailer.frames_end;
        let mark = self.read(at, TAIL_MARK_LEN)?;
        let mut part = Part::sound("tail mark", at, TAIL_MARK_LEN as u64, "").holding(Holds::derived());
        if !is_tail_mark(&mark, at) {
            part.state = PartState::Damaged("expected the mark of a tail".into());
        }
        self.part(part)?;
        let index_bytes = self.read(trailer.index_at, usize::try_from(trailer.index_len()).unwrap_or(0))?;
        let index = checked_block(&index_bytes, trailer.index_at, trailer.salt)
            .and_then(|entries| Index::decode(entries, &trailer));
        let (digests, digest_parts) = self.digests(&trailer)?;
        match &index {
            Ok(index) => self.directory(&trailer, index, &digests, seen)?,
            Err(_) => {
                let len = trailer.locators_at.saturating_sub(trailer.directory_at);
                let why = "expected an index that says where its blocks are";
                let part = Part::damaged("directory", trailer.directory_at, len, why);
                self.part(
                    part.holding(
                        Holds::sequences(trailer.sequence_first, trailer.sequence_last).and_derived(),
                    ),
                )?;
            }
        }
        self.locators(&trailer, seen)?;
        digest_parts.into_iter().try_for_each(|part| self.part(part))?;
        let mut part =
            Part::sound("index", trailer.index_at, index_bytes.len() as u64, "where these blocks are");
        part.holds = Holds::derived();
        if let Err(bad) = index {
            part.state = PartState::Damaged(format!("expected {}", bad.expected));
            part.flip = self.flip(&Sum::block(trailer.salt, trailer.index_at, index_bytes.len() as u64))?;
        }
        let end = part.end();
        self.part(part)?;
        let at = self.out.len.saturating_sub(TRAILER_LEN as u64);
        if at > end {
            self.part(Part::sound("padding", end, at.saturating_sub(end), ""))?;
        }
        let mut part = Part::sound("trailer", at, TRAILER_LEN as u64, "").holding(Holds::derived());
        part.what = format!(
            "changes {} to {}, {} contents",
            trailer.sequence_first, trailer.sequence_last, trailer.contents
        );
        if let Some(flip) = self.trailer_flip {
            part.state = PartState::Damaged("expected the checksum of the trailer".into());
            part.flip = Some(flip);
        } else if !tail_is_whole(&**self.file, self.path, &trailer)? {
            part.state = PartState::Damaged("expected the checksum of the tail".into());
        } else if seen.complete && seen.contents.len() as u64 != trailer.contents {
            let found = seen.contents.len();
            part.state = PartState::Damaged(format!("expected {} contents, found {found}", trailer.contents));
        }
        self.part(part)
    }

    /// All digests, [`Digest::UNREADABLE`] where a block is damaged, and the parts of the blocks.
    fn digests(&mut self, trailer: &Trailer) -> Result<(Vec<Digest>, Vec<Part>)> {
        let kind = ArrayKind::Digests;
        let (mut digests, mut parts) = (Vec::new(), Vec::new());
        for block in 0..kind.blocks(trailer.contents) {
            let (start, len) = kind.block(block, trailer.contents);
            let at = trailer.digests_at.saturating_add(start);
            let bytes = self.read(at, len)?;
            let mut part = Part::sound("digests", at, len as u64, "").holding(Holds::derived());
            let count = len.saturating_sub(8) / kind.width().max(1);
            part.what = format!("{count} digests");
            match checked_block(&bytes, at, trailer.salt) {
                Ok(entries) => {
                    for entry in entries.chunks(kind.width()).take(count) {
                        digests.push(match DigestEntry::decode(entry) {
                            Ok(digest) => digest,
                            Err(fault) => {
                                part.state = fault.into();
                                Digest::UNREADABLE
                            }
                        });
                    }
                }
                Err(bad) => {
                    digests.extend(std::iter::repeat_n(Digest::UNREADABLE, count));
                    part.state = PartState::Damaged(format!("expected {}", bad.expected));
                    part.flip = self.flip(&Sum::block(trailer.salt, at, len as u64))?;
                }
            }
            parts.push(part);
        }
        Ok((digests, parts))
    }

    fn directory(&mut self, trailer: &Trailer, index: &Index, digests: &[Digest], seen: &Seen) -> Result<()> {
        let records = u64::from(trailer.block_records);
        for (block, place) in index.directory.iter().enumerate() {
            let first = trailer.sequence_first.saturating_add((block as u64).saturating_mul(records));
            let last = first.saturating_add(records.saturating_sub(1)).min(trailer.sequence_last);
            let contents_end = match index.directory.get(block.saturating_add(1)) {
                Some(next) => next.contents_before as usize,
                None => digests.len(),
            };
            let bytes = self.read(place.offset, place.len as usize)?;
            let own = digests.get(place.contents_before as usize..contents_end).unwrap_or_default();
            let decoded = decode_block(&bytes, place.offset, trailer.salt, Sequences::From(first), own);
            let what = format!("changes {first} to {last}");
            let mut part = Part::sound("directory", place.offset, u64::from(place.len), what);
            part.holds = Holds::sequences(first, last).and_derived();
            match decoded {
                Ok(changes) => {
                    // A digest that cannot be read is no difference.
                    let known = !own.contains(&Digest::UNREADABLE);
                    let differs = changes.iter().filter(|_| known).find(|change| {
                        seen.changes.get(&change.sequence).is_some_and(|seen| *seen != change.fingerprint())
                    });
                    if let Some(change) = differs {
                        let sequence = change.sequence;
                        part.state =
                            PartState::Damaged(format!("expected change {sequence} as its frame has it"));
                    }
                    self.part(part)?;
                    (self.visit)(SegmentItem::Directory(changes))?;
                }
                Err(fault) => {
                    part.state = fault.into();
                    let len = u64::from(place.len).saturating_sub(40);
                    let ranges = vec![(place.offset, 36), (place.offset.saturating_add(40), len)];
                    let numbers = vec![trailer.salt, place.offset];
                    let at = place.offset.saturating_add(36);
                    part.flip = self.flip(&Sum { numbers, ranges, at })?;
                    self.part(part)?;
                }
            }
        }
        Ok(())
    }

    fn locators(&mut self, trailer: &Trailer, seen: &Seen) -> Result<()> {
        let kind = ArrayKind::Locators;
        for block in 0..kind.blocks(trailer.contents) {
            let (start, len) = kind.block(block, trailer.contents);
            let at = trailer.locators_at.saturating_add(start);
            let bytes = self.read(at, len)?;
            let count = len.saturating_sub(8) / kind.width().max(1);
            let mut part = Part::sound("locators", at, len as u64, format!("{count} contents"));
            part.holds = Holds::derived();
            match checked_block(&bytes, at, trailer.salt) {
                Ok(entries) => {
                    for entry in entries.chunks(kind.width()).take(count) {
                        match Locator::decode(entry, trailer.sequence_first) {
                            Ok(locator) => {
                                let place = seen.contents.get(&locator.address);
                                let wrong = place
                                    .map_or(seen.complete, |place| *place != (locator.offset, locator.len));
                                if wrong {
                                    let address = locator.address;
                                    part.state = PartState::Damaged(format!(
                                        "expected the place of the content of change {} slot {}",
                                        address.sequence, address.slot
                                    ));
                                }
                            }
                            Err(bad) => part.state = bad.into(),
                        }
                    }
                }
                Err(bad) => {
                    part.state = PartState::Damaged(format!("expected {}", bad.expected));
                    part.flip = self.flip(&Sum::block(trailer.salt, at, len as u64))?;
                }
            }
            self.part(part)?;
        }
        Ok(())
    }
}
