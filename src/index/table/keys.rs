//! A list of ascending byte strings, prefix-compressed on disk, whole in memory.
//!
//! ```text
//! (shared: varint, rest length: varint, rest)*     shared: leading bytes in common with the one before; the first has none
//! ```
//!
//! There are no restart points: a block is checksummed as a whole, so it is read as a whole, and it is decoded once into the
//! cache, where any key can be compared directly. Restarts would save decoding what a single look-up does not need, at 4 bytes
//! per 16 keys and a slower search afterwards.

use bytes::Bytes;

use crate::codec::{Malformed, Reader, put_bytes, put_varint};

/// Appends keys, ascending.
pub(in crate::index) fn put_keys<'a>(out: &mut Vec<u8>, keys: impl Iterator<Item = &'a [u8]>) {
    let mut last: &[u8] = &[];
    for key in keys {
        let shared = shared_len(last, key);
        put_varint(out, shared as u64);
        put_bytes(out, key.get(shared..).unwrap_or_default());
        last = key;
    }
}

fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Decoded keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::index) struct Keys {
    bytes: Bytes,
    ends: Box<[u32]>,
}

impl Keys {
    /// Reads `count` keys of at most `key_max` bytes each and `total_max` together, strictly ascending.
    pub(in crate::index) fn read(
        reader: &mut Reader<'_>,
        count: usize,
        key_max: usize,
        total_max: usize,
    ) -> Result<Self, Malformed> {
        // Each key takes at least two bytes on disk.
        if count > reader.remaining() / 2 {
            return Err(reader.malformed("as many keys as are stated"));
        }
        let mut bytes: Vec<u8> = Vec::with_capacity(reader.remaining().min(total_max));
        let mut ends = Vec::with_capacity(count);
        let mut last: std::ops::Range<usize> = 0..0;
        for i in 0..count {
            let bad = reader.malformed("keys in ascending order, of bounded length");
            let shared = reader.varint_max(last.len() as u64, "how much two keys share")? as usize;
            let rest = reader.prefixed(key_max.saturating_sub(shared), "the rest of a key")?;
            let start = bytes.len();
            if start.saturating_add(shared).saturating_add(rest.len()) > total_max {
                return Err(bad);
            }
            let prefix = last.start..last.start.saturating_add(shared);
            bytes.extend_from_within(prefix);
            bytes.extend_from_slice(rest);
            let (before, key) = bytes.split_at(start);
            if i > 0 && before.get(last.clone()).is_none_or(|last| last >= key) {
                return Err(bad);
            }
            last = start..bytes.len();
            ends.push(u32::try_from(bytes.len()).map_err(|_| bad)?);
        }
        bytes.shrink_to_fit();
        Ok(Self { bytes: Bytes::from(bytes), ends: ends.into() })
    }

    pub(in crate::index) fn len(&self) -> usize {
        self.ends.len()
    }

    fn range(&self, i: usize) -> std::ops::Range<usize> {
        let end = |i: usize| self.ends.get(i).map_or(0, |end| *end as usize);
        if i == 0 { 0..end(0) } else { end(i.saturating_sub(1))..end(i) }
    }

    /// The key, or nothing behind the last one.
    pub(in crate::index) fn get(&self, i: usize) -> &[u8] {
        self.bytes.get(self.range(i)).unwrap_or_default()
    }

    /// The key, sharing the memory of the list.
    pub(in crate::index) fn share(&self, i: usize) -> Bytes {
        self.bytes.slice_ref(self.get(i))
    }

    /// How many keys are smaller than `key`.
    pub(in crate::index) fn rank(&self, key: &[u8]) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle) < key { low = middle.saturating_add(1) } else { high = middle }
        }
        low
    }

    /// Where `key` is.
    pub(in crate::index) fn find(&self, key: &[u8]) -> Option<usize> {
        let rank = self.rank(key);
        (rank < self.len() && self.get(rank) == key).then_some(rank)
    }

    /// How many keys are smaller than or equal to `key`.
    pub(in crate::index) fn rank_through(&self, key: &[u8]) -> usize {
        let rank = self.rank(key);
        if rank < self.len() && self.get(rank) == key { rank.saturating_add(1) } else { rank }
    }

    /// Bytes on the heap.
    pub(in crate::index) fn weight(&self) -> usize {
        self.bytes.len().saturating_add(self.ends.len().saturating_mul(4))
    }
}
