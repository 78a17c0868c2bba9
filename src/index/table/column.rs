//! A column of numbers, packed.
//!
//! ```text
//! smallest     varint
//! width        u8       bits 0..=6: bits per value, 0 to 64; bit 7: a scale follows
//! scale        varint   only with bit 7: every value is smallest + scale × something
//! exceptions   varint   how many values do not fit into `width` bits
//! packed       ⌈count × width / 8⌉ bytes: the low `width` bits of each value, little-endian bit order
//! exception*   varint positions skipped since the last one, varint what is above the low bits
//! ```
//!
//! Patched frame of reference: each width is tried and the one with the fewest bytes is taken, so a few outliers do not widen
//! the rest. The scale makes times in whole seconds, kept in microseconds, 20 bits shorter. A constant column is three bytes.
//! The count is not stored: whoever reads a column knows it.

use crate::codec::{Malformed, Reader, put_varint};

const SCALED: u8 = 0x80;

/// Appends a column.
pub(in crate::index) fn put_column(out: &mut Vec<u8>, values: &[u64]) {
    let base = values.iter().copied().min().unwrap_or(0);
    let scale = values.iter().fold(0, |scale, v| gcd(scale, v - base)).max(1);
    let reduced: Vec<u64> = values.iter().map(|v| (v - base) / scale).collect();
    let width = best_width(&reduced);
    let exceptions = reduced.iter().filter(|v| high(**v, width) != 0).count();
    put_varint(out, base);
    if scale > 1 {
        out.push(width as u8 | SCALED);
        put_varint(out, scale);
    } else {
        out.push(width as u8);
    }
    put_varint(out, exceptions as u64);
    pack(out, &reduced, width);
    let mut skipped = 0;
    for value in &reduced {
        match high(*value, width) {
            0 => skipped += 1,
            high => {
                put_varint(out, skipped);
                put_varint(out, high);
                skipped = 0;
            }
        }
    }
}

/// Reads a column of `count` numbers. The caller has bounded `count`.
pub(in crate::index) fn read_column(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u64>, Malformed> {
    let base = reader.varint("the smallest value of a column")?;
    let head = reader.u8("a column's width")?;
    let width = u32::from(head & !SCALED);
    let scale = if head & SCALED == 0 { 1 } else { reader.varint("a column's scale")? };
    if width > 64 || scale == 0 {
        return Err(reader.malformed("a column width of at most 64 bits and a scale above 0"));
    }
    let exceptions = reader.varint_max(count as u64, "how many exceptions a column has")?;
    let bits = (count as u64).saturating_mul(u64::from(width));
    let packed =
        usize::try_from(bits.div_ceil(8)).map_err(|_| reader.malformed("a column that fits in memory"))?;
    let mut values = unpack(reader.bytes(packed, "a column's packed values")?, count, width);
    let mut at = 0_u64;
    for _ in 0..exceptions {
        at = at.saturating_add(reader.varint_max(count as u64, "the place of an exception")?);
        let high = reader.varint("the high bits of an exception")?;
        let bad = reader.malformed("an exception inside its column, with high bits that fit");
        let slot = usize::try_from(at).ok().and_then(|at| values.get_mut(at)).ok_or(bad)?;
        if width > 63 || high == 0 || high.leading_zeros() < width {
            return Err(bad);
        }
        *slot |= high << width;
        at = at.saturating_add(1);
    }
    if base != 0 || scale != 1 {
        for value in &mut values {
            let whole = value.checked_mul(scale).and_then(|v| v.checked_add(base));
            *value = whole.ok_or(reader.malformed("column values below 2^64"))?;
        }
    }
    Ok(values)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    if a == 1 {
        return 1;
    }
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn high(value: u64, width: u32) -> u64 {
    value.checked_shr(width).unwrap_or(0)
}

/// The width with the fewest bytes, exceptions included. Only widths that some value has can be the best.
fn best_width(values: &[u64]) -> u32 {
    let mut by_bits = [0_usize; 65];
    for value in values {
        by_bits[64 - value.leading_zeros() as usize] += 1;
    }
    let cost = |width: usize| {
        let exceptions = by_bits.iter().enumerate().skip(width + 1).filter(|(_, n)| **n > 0);
        let patched: usize = exceptions.map(|(bits, n)| n * (1 + (bits - width).div_ceil(7))).sum();
        (values.len() * width).div_ceil(8) + patched
    };
    let used = (0..=64).filter(|width| by_bits[*width] > 0);
    used.min_by_key(|width| cost(*width)).unwrap_or(0) as u32
}

fn pack(out: &mut Vec<u8>, values: &[u64], width: u32) {
    if width == 0 {
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let mut held = 0_u128;
    let mut bits = 0;
    for value in values {
        held |= u128::from(value & mask) << bits;
        bits += width;
        while bits >= 8 {
            out.push(held as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(held as u8);
    }
}

fn unpack(packed: &[u8], count: usize, width: u32) -> Vec<u64> {
    if width == 0 {
        return vec![0; count];
    }
    let mask = u64::MAX >> (64 - width);
    let mut words = packed.chunks(8).map(|chunk| {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(word)
    });
    let mut held = 0_u128;
    let mut bits = 0;
    let mut next = || {
        if bits < width {
            held |= u128::from(words.next().unwrap_or(0)) << bits;
            bits += 64;
        }
        let value = held as u64 & mask;
        held >>= width;
        bits -= width;
        value
    };
    (0..count).map(|_| next()).collect()
}

/// A decoded column, no wider in memory than it needs to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// The same value everywhere.
    Constant(u64),
    /// A base and 32 bits each.
    Narrow(u64, Box<[u32]>),
    /// 64 bits each.
    Wide(Box<[u64]>),
}

impl Column {
    pub(super) fn new(values: Vec<u64>) -> Self {
        let min = values.iter().copied().min().unwrap_or(0);
        let max = values.iter().copied().max().unwrap_or(0);
        if min == max {
            Self::Constant(min)
        } else if max - min <= u64::from(u32::MAX) {
            Self::Narrow(min, values.iter().map(|v| (v - min) as u32).collect())
        } else {
            Self::Wide(values.into())
        }
    }

    /// The value in a row. The caller has checked the row against the block's count; behind it the answer is 0.
    pub(super) fn get(&self, row: usize) -> u64 {
        match self {
            Self::Constant(value) => *value,
            Self::Narrow(base, values) => values.get(row).map_or(0, |v| base.wrapping_add(u64::from(*v))),
            Self::Wide(values) => values.get(row).copied().unwrap_or(0),
        }
    }

    /// Bytes on the heap.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Narrow(_, values) => values.len() * 4,
            Self::Wide(values) => values.len() * 8,
        }
    }
}

/// Maps signed to unsigned numbers, order kept.
pub(super) fn biased(n: i64) -> u64 {
    n.cast_unsigned() ^ (1 << 63)
}

/// The inverse of [`biased`].
pub(super) fn unbiased(n: u64) -> i64 {
    (n ^ (1 << 63)).cast_signed()
}
