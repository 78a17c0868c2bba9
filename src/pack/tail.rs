//! What stands behind the groups of a pack that is being made: directory, digests, locators, places, index, trailer.

use super::bits::{ROWS, put_rows};
use super::crew::Pieces;
use super::index::{DirectoryPlace, Index, LocatorPlace};
use super::layout::{DIGESTS, DIGESTS_ERASED, DIGESTS_PLAIN};
use super::merged::Merged;
use super::trailer::PackTrailer;
use super::write::{PackRequest, Writer};
use crate::Result;
use crate::codec::{FileKind, put_varint};
use crate::log::{Change, Lengths, LoggedChange, PackedBlock, seal_block};
use crate::manifest::ValueFileInfo;

/// A directory block ends at so many bytes of names and fields, however few records it has.
const DIRECTORY_BYTES: usize = 4 << 20;

impl Writer<'_> {
    /// Writes what stands behind the groups, and syncs.
    pub(super) fn finish(mut self, changes: Merged<'_>, request: &PackRequest) -> Result<ValueFileInfo> {
        let directory_at = self.out.at();
        self.out.start_tail();
        let mut index = Index { directory: self.directory(changes)?, ..Index::default() };
        let digests_at = self.out.at();
        let mut entries = std::mem::take(&mut self.contents.entries);
        // The group behind the last one: none.
        let gone = self.groups.len() as u32;
        entries.iter_mut().filter(|entry| entry.digest.is_erased()).for_each(|entry| entry.group = gone);
        for block in entries.chunks(DIGESTS) {
            let erased = block.iter().any(|entry| entry.digest.is_erased());
            let mut out = vec![if erased { DIGESTS_ERASED } else { DIGESTS_PLAIN }];
            block.iter().for_each(|entry| out.extend_from_slice(&entry.digest.0));
            self.put_block(out)?;
        }
        let locators_at = self.out.at();
        for block in entries.chunks(ROWS) {
            let rows: Vec<[u64; 4]> = block
                .iter()
                .map(|entry| {
                    let address = entry.address;
                    [
                        address.sequence,
                        u64::from(address.slot),
                        u64::from(entry.group),
                        u64::from(entry.member),
                    ]
                })
                .collect();
            let mut out = Vec::new();
            put_rows(&rows, &mut out);
            let offset = self.out.at();
            let len = self.put_block(out)?;
            let first = block.first().map(|entry| entry.address).ok_or_else(|| self.lost())?;
            index.locators.push(LocatorPlace { offset, len, first });
        }
        let places_at = self.out.at();
        let groups = std::mem::take(&mut self.groups);
        let ends = groups.iter().copied().skip(1).chain([directory_at]);
        let places: Vec<[u64; 1]> = groups.first().into_iter().copied().chain(ends).map(|at| [at]).collect();
        for first in (0..groups.len()).step_by(ROWS) {
            let mut out = Vec::new();
            put_rows(places.get(first..(first + ROWS + 1).min(places.len())).unwrap_or_default(), &mut out);
            let offset = self.out.at();
            let len = self.put_block(out)?;
            index.places.push((offset, len));
        }
        let index_at = self.out.at();
        let mut out = Vec::new();
        index.encode(&request.rectangle, &mut out);
        self.put_block(out)?;
        let rectangle = &request.rectangle;
        let trailer = PackTrailer {
            salt: self.salt,
            sequence_first: rectangle.sequence_first,
            sequence_last: rectangle.sequence_last,
            annotation_watermark: request.annotation_watermark,
            records: self.contents.records,
            contents: entries.len() as u64,
            groups: groups.len() as u64,
            raw_bytes: self.raw_bytes,
            stored_bytes: self.stored_bytes,
            directory_at,
            digests_at,
            locators_at,
            places_at,
            index_at,
            generation: request.generation,
            libzstd: zstd::zstd_safe::version_number(),
            last_checksum: request.last_checksum,
            level: self.options.level.unsigned_abs(),
            tail_checksum: self.out.tail_checksum(),
        };
        let at = self.out.at();
        self.out.put(&trailer.encode(at))?;
        let (len, blake3) = self.out.finish()?;
        Ok(ValueFileInfo {
            id: request.id,
            kind: FileKind::Pack,
            len,
            blake3,
            sequence_first: rectangle.sequence_first,
            sequence_last: rectangle.sequence_last,
            entity_first: rectangle.entity_first.clone(),
            entity_last: rectangle.entity_last.clone(),
            generation: request.generation,
            annotation_watermark: request.annotation_watermark,
            records: trailer.records,
            raw_bytes: trailer.raw_bytes,
            stored_bytes: trailer.stored_bytes,
            live_bytes: trailer.stored_bytes,
            last_checksum: request.last_checksum,
        })
    }

    /// Reads the changes once more and writes the directory.
    fn directory(&mut self, mut changes: Merged<'_>) -> Result<Vec<DirectoryPlace>> {
        let mut places = Vec::new();
        let mut pieces = Pieces::new(self.crew);
        let mut next = Records::default();
        let (mut contents, mut records) = (0_usize, 0);
        while let Some((_, change)) = changes.next()? {
            records += 1;
            let mut lengths = Lengths::new();
            match &change.change {
                Change::Revision { entity, row, digests } => {
                    next.bytes += entity.as_bytes().len() + row.cold.len();
                    for digest in digests {
                        match self.contents.entries.get(contents) {
                            Some(entry)
                                if entry.digest == *digest && entry.address.sequence == change.sequence =>
                            {
                                lengths.push(entry.len);
                            }
                            _ => return Err(self.lost()),
                        }
                        contents += 1;
                    }
                }
                Change::Annotation(note) => next.bytes += note.actor.len() + note.reason.len(),
                Change::Erased { .. } => {}
            }
            next.changes.push((change, lengths));
            if next.changes.len() >= self.options.directory_records() || next.bytes >= DIRECTORY_BYTES {
                let full = std::mem::take(&mut next);
                next.contents_before = contents as u64;
                self.hand_in(&mut pieces, full);
                while let Some(block) = pieces.next(false)? {
                    places.push(self.directory_block(block)?);
                }
            }
        }
        if !next.changes.is_empty() {
            self.hand_in(&mut pieces, next);
        }
        while let Some(block) = pieces.next(true)? {
            places.push(self.directory_block(block)?);
        }
        if contents != self.contents.entries.len() || records != self.contents.records {
            return Err(self.lost());
        }
        Ok(places)
    }

    fn hand_in(&self, pieces: &mut Pieces<'_, Block>, records: Records) {
        let level = self.options.directory_level;
        let bytes = records.bytes + records.changes.len() * size_of::<LoggedChange>();
        pieces.hand_in(bytes, move || records.packed(level));
    }

    fn directory_block(&mut self, block: Block) -> Result<DirectoryPlace> {
        let offset = self.out.at();
        let gaps_len = if block.gaps.is_empty() { 0 } else { self.put_block(block.gaps)? };
        let mut bytes = Vec::new();
        block.packed.put(self.out.at(), self.salt, &mut bytes);
        self.out.put(&bytes)?;
        let (len, contents_before) = (bytes.len() as u32, block.contents_before);
        let (first_sequence, records) = (block.packed.first_sequence, block.packed.records);
        Ok(DirectoryPlace { offset, gaps_len, len, first_sequence, records, contents_before })
    }

    /// Ends a block of the tail and writes it; answers its length.
    fn put_block(&mut self, mut block: Vec<u8>) -> Result<u32> {
        seal_block(&mut block, 0, self.out.at(), self.salt);
        self.out.put(&block)?;
        Ok(block.len() as u32)
    }
}

/// What becomes a block of the directory.
#[derive(Default)]
struct Records {
    changes: Vec<(LoggedChange, Lengths)>,
    /// Of names and fields.
    bytes: usize,
    /// Contents of the blocks before.
    contents_before: u64,
}

impl Records {
    fn packed(self, level: i32) -> Block {
        let packed = PackedBlock::of(&self.changes, level);
        Block { gaps: gaps(&self.changes), packed, contents_before: self.contents_before }
    }
}

/// A block of the directory without a place.
struct Block {
    gaps: Vec<u8>,
    packed: PackedBlock,
    contents_before: u64,
}

/// Runs of consecutive sequence numbers and the distances between them; nothing if there is but one run.
fn gaps(records: &[(LoggedChange, Lengths)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut run = 0;
    let mut runs = 0;
    let mut next = records.first().map_or(0, |(change, _)| change.sequence);
    for (change, _) in records {
        if change.sequence != next {
            put_varint(&mut out, run);
            put_varint(&mut out, change.sequence - next);
            (run, runs) = (0, runs + 1);
        }
        run += 1;
        next = change.sequence + 1;
    }
    put_varint(&mut out, run);
    put_varint(&mut out, 0);
    if runs == 0 { Vec::new() } else { out }
}
