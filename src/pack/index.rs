//! Where everything in the tail of a pack is.
//!
//! ```text
//! first entity, last entity                                        length varint and bytes each, as the header has them
//! number of directory blocks, each: gaps length, length, first sequence less the one before, records, contents since the block before
//! number of locator blocks, each:   length, first sequence less the one before, its slot
//! number of blocks of places, each: length                         all varints; then the end of a block, see `log::tail`
//! ```

use bytes::Bytes;

use super::layout::{PackHeader, Rectangle};
use super::trailer::PackTrailer;
use crate::codec::{Malformed, Reader, put_bytes, put_varint};
use crate::limits;
use crate::model::Address;

/// A directory block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DirectoryPlace {
    /// Where its gaps stand, or if it has none, the block.
    pub offset: u64,
    /// Of the gaps; 0 if its sequence numbers are consecutive.
    pub gaps_len: u32,
    pub len: u32,
    pub first_sequence: u64,
    pub records: u32,
    /// Contents of the blocks before it.
    pub contents_before: u64,
}

/// A block of locators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocatorPlace {
    pub offset: u64,
    pub len: u32,
    pub first: Address,
}

/// Where everything in the tail is. Kept in memory while the pack is open: 48 bytes per directory block, 32 per 256 contents, 16 per
/// 256 groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub directory: Vec<DirectoryPlace>,
    pub locators: Vec<LocatorPlace>,
    /// Offset and length of the blocks of group places.
    pub places: Vec<(u64, u32)>,
}

impl Index {
    /// Varints, without the end of a block.
    pub fn encode(&self, rectangle: &Rectangle, out: &mut Vec<u8>) {
        put_bytes(out, &rectangle.entity_first);
        put_bytes(out, &rectangle.entity_last);
        let mut sequence = rectangle.sequence_first;
        let mut contents = 0;
        put_varint(out, self.directory.len() as u64);
        for place in &self.directory {
            put_varint(out, u64::from(place.gaps_len));
            put_varint(out, u64::from(place.len));
            put_varint(out, place.first_sequence - sequence);
            put_varint(out, u64::from(place.records));
            put_varint(out, place.contents_before - contents);
            sequence = place.first_sequence;
            contents = place.contents_before;
        }
        let mut sequence = rectangle.sequence_first;
        put_varint(out, self.locators.len() as u64);
        for place in &self.locators {
            put_varint(out, u64::from(place.len));
            put_varint(out, place.first.sequence - sequence);
            put_varint(out, u64::from(place.first.slot));
            sequence = place.first.sequence;
        }
        put_varint(out, self.places.len() as u64);
        self.places.iter().for_each(|(_, len)| put_varint(out, u64::from(*len)));
    }

    /// The entities that a verified index names: those of the pack's rectangle.
    pub fn entities(bytes: &[u8]) -> Result<(Bytes, Bytes), Malformed> {
        let mut reader = Reader::new(bytes);
        let mut entity = || reader.prefixed(limits::ENTITY_LEN_MAX, "an entity").map(Bytes::copy_from_slice);
        Ok((entity()?, entity()?))
    }

    /// Reads a verified index. All places are in the parts of the file that the trailer names.
    pub fn decode(bytes: &[u8], header: &PackHeader, trailer: &PackTrailer) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let entities = [
            reader.prefixed(limits::ENTITY_LEN_MAX, "an entity")?,
            reader.prefixed(limits::ENTITY_LEN_MAX, "an entity")?,
        ];
        let rectangle = &header.rectangle;
        if entities != [&rectangle.entity_first[..], &rectangle.entity_last[..]] {
            return Err(reader.malformed("the rectangle that the header names"));
        }
        let max = u64::from(u32::MAX);
        let mut index = Self::default();
        let mut at = trailer.directory_at;
        let (mut sequence, mut contents, mut records) = (rectangle.sequence_first, 0_u64, 0_u64);
        // Counts are bounded by the bytes that are there: every entry takes some.
        for _ in 0..reader.varint_max(bytes.len() as u64, "a number of blocks")? {
            let gaps_len = reader.varint_max(max, "a length")? as u32;
            let len = reader.varint_max(max, "a length")? as u32;
            let bad = reader.malformed("directory blocks in order");
            sequence = sequence.checked_add(reader.varint("a sequence number")?).ok_or(bad)?;
            let count = reader.varint_max(max, "a number of records")? as u32;
            contents = contents.checked_add(reader.varint("a number of contents")?).ok_or(bad)?;
            records = records.saturating_add(u64::from(count));
            index.directory.push(DirectoryPlace {
                offset: at,
                gaps_len,
                len,
                first_sequence: sequence,
                records: count,
                contents_before: contents,
            });
            at =
                at.checked_add(u64::from(gaps_len)).and_then(|n| n.checked_add(u64::from(len))).ok_or(bad)?;
        }
        if at != trailer.digests_at || records != trailer.records || contents > trailer.contents {
            return Err(reader.malformed("directory blocks up to the digests"));
        }
        let mut at = trailer.locators_at;
        let mut sequence = rectangle.sequence_first;
        for _ in 0..reader.varint_max(bytes.len() as u64, "a number of blocks")? {
            let len = reader.varint_max(max, "a length")? as u32;
            let bad = reader.malformed("locator blocks in order");
            sequence = sequence.checked_add(reader.varint("a sequence number")?).ok_or(bad)?;
            let slot = reader.varint_max(u64::from(u16::MAX), "a slot")? as u16;
            index.locators.push(LocatorPlace { offset: at, len, first: Address { sequence, slot } });
            at = at.checked_add(u64::from(len)).ok_or(bad)?;
        }
        if at != trailer.places_at
            || index.locators.len() as u64 != trailer.contents.div_ceil(super::bits::ROWS as u64)
        {
            return Err(reader.malformed("locators up to the places of the groups"));
        }
        let mut at = trailer.places_at;
        for _ in 0..reader.varint_max(bytes.len() as u64, "a number of blocks")? {
            let len = reader.varint_max(max, "a length")? as u32;
            index.places.push((at, len));
            at = at.checked_add(u64::from(len)).ok_or(reader.malformed("blocks in order"))?;
        }
        if at != trailer.index_at
            || index.places.len() as u64 != trailer.groups.div_ceil(super::bits::ROWS as u64)
        {
            return Err(reader.malformed("places of groups up to the index"));
        }
        reader.end("the end of the index")?;
        Ok(index)
    }
}
