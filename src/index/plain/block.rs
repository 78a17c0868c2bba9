//! Blocks of a plain table, and their index.

use bytes::Bytes;

use super::PLAIN_KEY_LEN_MAX;
use crate::cache::Cached;
use crate::codec::{Malformed, Reader, put_varint};
use crate::index::table::column::{put_column, read_column};
use crate::index::table::keys::{Keys, put_keys};
use crate::index::table::layout::{put_places, read_places};
use crate::index::table::{BlockAt, FRAME_LEN};

/// No block holds more bytes of keys than this, uncompressed.
const KEYS_BYTES_MAX: usize = 64 << 20;

pub(super) fn encode_block(pairs: &[(Bytes, Bytes)]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, pairs.len() as u64);
    put_keys(&mut out, pairs.iter().map(|(key, _)| &key[..]));
    put_column(&mut out, &pairs.iter().map(|(_, value)| value.len() as u64).collect::<Vec<_>>());
    pairs.iter().for_each(|(_, value)| out.extend_from_slice(value));
    out
}

/// A decoded block.
#[derive(Clone, Debug)]
pub(super) struct PlainBlock {
    pub(super) keys: Keys,
    ends: Box<[u32]>,
    values: Bytes,
}

impl PlainBlock {
    /// Decodes a block of exactly `count` pairs that starts with the key `first`.
    pub(super) fn decode(bytes: &Bytes, count: usize, first: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.varint("how many keys")? != count as u64 || count == 0 {
            return Err(reader.malformed("as many keys as the index says"));
        }
        let keys = Keys::read(&mut reader, count, PLAIN_KEY_LEN_MAX, KEYS_BYTES_MAX)?;
        if keys.get(0) != first {
            return Err(reader.malformed("the first key that the index names"));
        }
        let lengths = read_column(&mut reader, count)?;
        let values = bytes.slice_ref(reader.rest());
        let bad = reader.malformed("lengths that add up to the values");
        let mut end = 0_u64;
        let mut ends = Vec::with_capacity(count);
        for length in lengths {
            end = end.checked_add(length).filter(|end| *end <= values.len() as u64).ok_or(bad)?;
            ends.push(u32::try_from(end).map_err(|_| bad)?);
        }
        if end == values.len() as u64 { Ok(Self { keys, ends: ends.into(), values }) } else { Err(bad) }
    }

    /// A value, sharing the block's memory; nothing behind the last one.
    pub(super) fn value(&self, i: usize) -> Bytes {
        let end = |i: usize| self.ends.get(i).map_or(0, |end| *end as usize);
        let start = if i == 0 { 0 } else { end(i.saturating_sub(1)) };
        self.values.get(start..end(i)).map_or_else(Bytes::new, |slice| self.values.slice_ref(slice))
    }
}

impl Cached for PlainBlock {
    fn weight(&self) -> usize {
        self.keys.weight().saturating_add(self.values.len()).saturating_add(size_of_val(&*self.ends))
    }
}

/// Where the blocks are.
#[derive(Clone, Debug)]
pub(super) struct PlainIndex {
    /// Place and number of keys.
    pub(super) blocks: Vec<(BlockAt, u32)>,
    /// The first key of each block.
    pub(super) keys: Keys,
}

pub(super) fn encode_index(blocks: &[(BlockAt, u32)], firsts: &[Bytes]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, blocks.len() as u64);
    put_places(&mut out, blocks.iter().map(|(at, _)| *at));
    put_column(&mut out, &blocks.iter().map(|(_, count)| u64::from(*count)).collect::<Vec<_>>());
    put_keys(&mut out, firsts.iter().map(|key| &key[..]));
    out
}

impl PlainIndex {
    /// Decodes the index of a table of `rows` keys whose blocks end at or before `end_max`.
    pub(super) fn decode(bytes: &[u8], end_max: u64, rows: u64) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let count = reader.varint_max(end_max / FRAME_LEN as u64, "how many blocks")? as usize;
        let places = read_places(&mut reader, count, end_max)?;
        let counts = read_column(&mut reader, count)?;
        let bad = reader.malformed("blocks of at least one key");
        let block = |(at, count): (BlockAt, u64)| match u32::try_from(count) {
            Ok(count) if count > 0 => Ok((at, count)),
            _ => Err(bad),
        };
        let total = counts.iter().try_fold(0_u64, |sum, count| sum.checked_add(*count));
        let blocks = places.into_iter().zip(counts).map(block).collect::<Result<_, _>>()?;
        if total != Some(rows) {
            return Err(reader.malformed("as many keys as the manifest says"));
        }
        let total_max = count.saturating_mul(PLAIN_KEY_LEN_MAX);
        let keys = Keys::read(&mut reader, count, PLAIN_KEY_LEN_MAX, total_max)?;
        reader.end("nothing behind the index")?;
        Ok(Self { blocks, keys })
    }

    /// The block that holds the key if any does.
    pub(super) fn block_of(&self, key: &[u8]) -> Option<usize> {
        self.keys.rank_through(key).checked_sub(1)
    }

    /// The keys of a block, for people.
    pub(super) fn affected(&self, block: usize) -> String {
        let name = |i| self.keys.get(i).escape_ascii().to_string();
        let next = block.saturating_add(1);
        if next < self.keys.len() {
            format!("keys from {} up to {} (not included)", name(block), name(next))
        } else {
            format!("keys from {} to the end of the table", name(block))
        }
    }
}

impl Cached for PlainIndex {
    fn weight(&self) -> usize {
        size_of_val(&*self.blocks).saturating_add(self.keys.weight())
    }
}
