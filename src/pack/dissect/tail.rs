//! Everything behind the groups: directory, digests, locators, places, index, trailer.

use super::{CHUNK, PackItem, Walk};
use crate::Result;
use crate::codec::{Holds, Part, PartState, Sum};
use crate::log::{BLOCK_HEADER_LEN, DirectoryBlock, Fault, Sequences, checked_block, directory_block_len};
use crate::model::Digest;
use crate::pack::bits::Rows;
use crate::pack::directory::read_gaps;
use crate::pack::index::DirectoryPlace;
use crate::pack::layout::{DIGESTS, DIGESTS_ERASED, DIGESTS_PLAIN};
use crate::pack::trailer::{PACK_TRAILER_LEN, digests_len};

/// Bytes of a digest block that are no digests: its kind, a reserved number, its checksum.
const DIGESTS_FRAME: usize = 9;

/// Where digests are.
#[derive(Clone, Copy)]
struct Digests {
    at: u64,
    contents: u64,
}

impl Walk<'_> {
    /// The tail; the groups end at `from`.
    pub(super) fn tail(&mut self, from: u64) -> Result<()> {
        let end = match self.out.trailer {
            Some(_) => self.out.len.saturating_sub(PACK_TRAILER_LEN as u64),
            None => self.out.len,
        };
        match &self.pack {
            Some(pack) => {
                let digests = Digests { at: pack.trailer.digests_at, contents: pack.trailer.contents };
                for (block, place) in pack.index.directory.clone().into_iter().enumerate() {
                    self.directory_block(block, &place, digests)?;
                }
                self.digest_parts(digests)?;
                self.locators_and_places()?;
            }
            None => self.tail_without_index(from, end)?,
        }
        self.index_and_trailer(end)
    }

    fn index_and_trailer(&mut self, end: u64) -> Result<()> {
        let Some(trailer) = self.out.trailer else { return Ok(()) };
        let len = end.saturating_sub(trailer.index_at);
        let mut part =
            Part::sound("index", trailer.index_at, len, "where these blocks are").holding(Holds::derived());
        if let Some(fault) = self.index_fault.take() {
            part.state = fault.into();
            part.flip = self.flip(&Sum::block(self.salt, trailer.index_at, len))?;
        }
        self.part(part)?;
        let what =
            format!("{} changes, {} contents, {} groups", trailer.records, trailer.contents, trailer.groups);
        let mut part = Part::sound("trailer", end, PACK_TRAILER_LEN as u64, what).holding(Holds::derived());
        if let Some(flip) = self.trailer_flip {
            part.state = PartState::Damaged("expected the checksum of the trailer".into());
            part.flip = Some(flip);
        }
        self.part(part)
    }

    /// A directory block that the index names.
    fn directory_block(&mut self, block: usize, place: &DirectoryPlace, digests: Digests) -> Result<()> {
        let next = self.pack.as_ref().and_then(|pack| pack.index.directory.get(block.saturating_add(1)));
        let last = next.map(|next| next.first_sequence).or(self.last_sequence());
        let contents_end = next.map_or(digests.contents, |next| next.contents_before);
        let len = u64::from(place.gaps_len).saturating_add(u64::from(place.len));
        let what = format!("{} changes from {} on", place.records, place.first_sequence);
        let mut part = Part::sound("directory", place.offset, len, what);
        part.holds =
            Holds::sequences(place.first_sequence, last.map_or(u64::MAX, |last| last.saturating_sub(1)));
        part.holds.entities = self.entities();
        let at = place.offset.saturating_add(u64::from(place.gaps_len));
        let opened = self.sequences(place)?;
        if opened.is_err() {
            part.flip = self.flip(&Sum::block(self.salt, place.offset, u64::from(place.gaps_len)))?;
        }
        let bytes = self.read(at, place.len as usize)?;
        let own = self.digests(digests, place.contents_before, contents_end)?;
        let changes = opened.and_then(|gaps| {
            let opened = DirectoryBlock::open(&bytes, at, self.salt)?;
            let sequences = gaps.as_deref().map_or(Sequences::From(place.first_sequence), Sequences::Each);
            opened.changes(sequences, &own)
        });
        match changes {
            Ok(changes) if changes.len() == place.records as usize => {
                self.part(part)?;
                self.out.changes = self.out.changes.saturating_add(changes.len() as u64);
                (self.visit)(PackItem::Directory(changes))
            }
            Ok(_) => {
                part.state = PartState::Damaged("expected as many records as the index says".into());
                self.part(part)
            }
            Err(fault) => {
                part.state = fault.into();
                if part.flip.is_none() {
                    let body = u64::from(place.len).saturating_sub(BLOCK_HEADER_LEN as u64);
                    let ranges = vec![(at, 36), (at.saturating_add(BLOCK_HEADER_LEN as u64), body)];
                    let numbers = vec![self.salt, at];
                    part.flip = self.flip(&Sum { numbers, ranges, at: at.saturating_add(36) })?;
                }
                self.part(part)
            }
        }
    }

    /// One more than the last sequence number of the pack.
    fn last_sequence(&self) -> Option<u64> {
        let trailer = self.out.trailer.map(|trailer| trailer.sequence_last);
        let header = self.out.header.as_ref().map(|header| header.rectangle.sequence_last);
        trailer.or(header).map(|last| last.saturating_add(1))
    }

    /// The sequence numbers of a block, where they are not consecutive.
    fn sequences(&self, place: &DirectoryPlace) -> Result<Result<Option<Vec<u64>>, Fault>> {
        if place.gaps_len == 0 {
            return Ok(Ok(None));
        }
        let bytes = self.read(place.offset, place.gaps_len as usize)?;
        let runs = checked_block(&bytes, place.offset, self.salt);
        let read = runs.and_then(|runs| read_gaps(runs, place.first_sequence, place.records));
        Ok(read.map(Some).map_err(Fault::from))
    }

    /// Some digests; [`Digest::UNREADABLE`] where their block is damaged.
    fn digests(&self, digests: Digests, from: u64, to: u64) -> Result<Vec<Digest>> {
        let to = to.min(digests.contents).max(from);
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        let mut found = Vec::new();
        let mut block = from / DIGESTS as u64;
        while found.len() < count {
            let first = block.saturating_mul(DIGESTS as u64);
            let (at, entries) = digest_block(digests, block);
            let bytes = self.read(at, entries.saturating_mul(32).saturating_add(DIGESTS_FRAME))?;
            let body = checked_block(&bytes, at, self.salt).ok().and_then(|body| body.split_first());
            let known = |kind: u8| kind == DIGESTS_PLAIN || kind == DIGESTS_ERASED;
            let body = body.filter(|(kind, _)| known(**kind)).map(|(_, body)| body).unwrap_or_default();
            let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(0);
            for entry in skip..entries {
                let digest = body.chunks_exact(32).nth(entry).and_then(|entry| entry.try_into().ok());
                found.push(digest.map_or(Digest::UNREADABLE, Digest));
            }
            block = block.saturating_add(1);
            if entries == 0 {
                break;
            }
        }
        found.truncate(count);
        Ok(found)
    }

    fn digest_parts(&mut self, digests: Digests) -> Result<()> {
        for block in 0..digests.contents.div_ceil(DIGESTS as u64) {
            let (at, entries) = digest_block(digests, block);
            let len = entries.saturating_mul(32).saturating_add(DIGESTS_FRAME);
            self.block("digests", at, len as u64, format!("{entries} digests"))?;
        }
        Ok(())
    }

    fn locators_and_places(&mut self) -> Result<()> {
        let Some(pack) = &self.pack else { return Ok(()) };
        let (locators, places) = (pack.index.locators.clone(), pack.index.places.clone());
        for place in locators {
            let what = format!("from change {} on", place.first.sequence);
            self.block("locators", place.offset, u64::from(place.len), what)?;
        }
        places
            .into_iter()
            .try_for_each(|(at, len)| self.block("places", at, u64::from(len), "of groups".into()))
    }

    /// A block that can be made again from the rest.
    fn block(&mut self, kind: &'static str, at: u64, len: u64, what: String) -> Result<()> {
        let bytes = self.read(at, usize::try_from(len).unwrap_or(0))?;
        let mut part = Part::sound(kind, at, len, what).holding(Holds::derived());
        match checked_block(&bytes, at, self.salt) {
            Err(bad) => {
                part.state = bad.into();
                part.flip = self.flip(&Sum::block(self.salt, at, len))?;
            }
            Ok(entries) => {
                let entries = bytes.slice_ref(entries);
                let opened = match kind {
                    "places" => Rows::<1>::open(&entries).err(),
                    "locators" => Rows::<4>::open(&entries).err(),
                    _ => None,
                };
                if let Some(bad) = opened {
                    part.state = bad.into();
                }
            }
        }
        self.part(part)
    }

    /// Directory blocks one behind the other, and the digests behind them.
    fn tail_without_index(&mut self, from: u64, end: u64) -> Result<()> {
        let (stop, digests_at, known) = match self.out.trailer {
            Some(trailer) => (trailer.digests_at, Some(trailer.digests_at), Some(trailer.contents)),
            None => (end, None, None),
        };
        let blocks = self.find_directory(from, stop)?;
        let whole = blocks.iter().all(|block| block.contents_before.is_some());
        let counted: u64 = blocks.iter().map(|block| block.contents).sum();
        let directory_end = blocks.last().map_or(from, |block| block.end);
        let digests = Digests {
            at: digests_at.unwrap_or(directory_end),
            contents: known.or(whole.then_some(counted)).unwrap_or(0),
        };
        let mut at = from;
        for block in blocks {
            if block.at > at {
                self.hole(at, block.at)?;
            }
            at = block.end;
            self.found_block(block, digests)?;
        }
        let digests_end = digests.at.saturating_add(digests_len(digests.contents));
        if digests.contents > 0 && digests_end <= end {
            if digests.at > at {
                self.hole(at, digests.at)?;
            }
            self.digest_parts(digests)?;
            at = digests_end;
        }
        let rest = self.out.trailer.map_or(end, |trailer| trailer.index_at);
        if rest > at {
            let why = match self.out.trailer {
                Some(_) => "expected an index that says where its blocks are",
                None => "expected a trailer at the end of the file",
            };
            let part = Part::damaged("tail", at, rest.saturating_sub(at), why);
            // If the changes were found, what is missing says only where things are.
            let found = self.out.changes > 0 && whole;
            let holds = if found { Holds::derived() } else { self.all() };
            self.part(part.holding(holds))?;
        }
        Ok(())
    }

    fn hole(&mut self, from: u64, to: u64) -> Result<()> {
        let part = Part::damaged("directory", from, to.saturating_sub(from), "expected a directory block");
        let holds = self.all();
        self.part(part.holding(holds))
    }

    fn found_block(&mut self, found: FoundBlock, digests: Digests) -> Result<()> {
        let FoundBlock { at, end, gaps, block, contents, contents_before } = found;
        let own = match contents_before {
            Some(before) if digests.contents > 0 => {
                self.digests(digests, before, before.saturating_add(contents))?
            }
            _ => Vec::new(),
        };
        let known = own.len() as u64 == contents;
        let own = if known { own } else { vec![Digest::UNREADABLE; usize::try_from(contents).unwrap_or(0)] };
        let sequences = match &gaps {
            Some(gaps) => Sequences::Each(gaps),
            None => Sequences::From(block.first_sequence),
        };
        let what = format!("{} changes from {} on", block.records, block.first_sequence);
        let mut part = Part::sound("directory", at, end.saturating_sub(at), what);
        let changes = match block.changes(sequences, &own) {
            Ok(changes) => changes,
            Err(fault) => {
                part.state = fault.into();
                part.holds = self.all();
                return self.part(part);
            }
        };
        part.holds = Holds::each(changes.iter().map(|change| change.sequence));
        self.part(part)?;
        self.out.changes = self.out.changes.saturating_add(changes.len() as u64);
        (self.visit)(PackItem::Directory(changes))
    }

    /// Directory blocks that prove themselves.
    fn find_directory(&self, from: u64, stop: u64) -> Result<Vec<FoundBlock>> {
        let mut found: Vec<FoundBlock> = Vec::new();
        let mut at = from;
        let mut contents_before = Some(0_u64);
        while let Some((block_at, block, len)) = self.next_block(at, stop)? {
            let end = block_at.saturating_add(len as u64);
            let between = self.read(at, usize::try_from(block_at.saturating_sub(at)).unwrap_or(0))?;
            let runs = checked_block(&between, at, self.salt);
            let gaps = runs.and_then(|runs| read_gaps(runs, block.first_sequence, block.records)).ok();
            let contents = block.contents().unwrap_or(0);
            if gaps.is_none() && block_at > at {
                contents_before = None;
            }
            // A part by entities has sequence numbers with gaps: without these nobody knows whose the changes are.
            let whole = self.out.header.as_ref().is_some_and(|header| header.rectangle.is_whole());
            if gaps.is_some() || whole {
                let start = if gaps.is_some() { at } else { block_at };
                found.push(FoundBlock { at: start, end, gaps, block, contents, contents_before });
            }
            contents_before = contents_before.map(|before| before.saturating_add(contents));
            at = end;
        }
        Ok(found)
    }

    /// The next place where a directory block proves itself.
    fn next_block(&self, at: u64, stop: u64) -> Result<Option<(u64, DirectoryBlock, usize)>> {
        let mut from = at;
        while from < stop {
            let bytes = self.read(from, CHUNK.saturating_add(BLOCK_HEADER_LEN))?;
            for (index, head) in bytes.windows(BLOCK_HEADER_LEN).enumerate() {
                let place = from.saturating_add(index as u64);
                let Some(len) = directory_block_len(head) else { continue };
                if place.saturating_add(len as u64) > stop {
                    continue;
                }
                if let Ok(block) = DirectoryBlock::open(&self.read(place, len)?, place, self.salt) {
                    return Ok(Some((place, block, len)));
                }
            }
            if bytes.len() <= BLOCK_HEADER_LEN {
                break;
            }
            from = from.saturating_add((bytes.len().saturating_sub(BLOCK_HEADER_LEN)).max(1) as u64);
        }
        Ok(None)
    }
}

/// A directory block that was found without an index.
struct FoundBlock {
    /// Where its gaps start, else the block.
    at: u64,
    end: u64,
    gaps: Option<Vec<u64>>,
    block: DirectoryBlock,
    contents: u64,
    /// `None` behind a hole.
    contents_before: Option<u64>,
}

/// Where a block of digests stands, and how many it has.
fn digest_block(digests: Digests, block: u64) -> (u64, usize) {
    let before = block.saturating_mul(DIGESTS as u64);
    let entries = digests.contents.saturating_sub(before).min(DIGESTS as u64);
    let len = (DIGESTS as u64).saturating_mul(32).saturating_add(DIGESTS_FRAME as u64);
    (digests.at.saturating_add(block.saturating_mul(len)), entries as usize)
}
