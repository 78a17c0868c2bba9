//! Blocks of rows of small numbers: where contents are, where groups are.
//!
//! ```text
//! block:  rows u16 │ per column: smallest value varint, width in bits u8 │ rows, bit by bit, lowest first │ zeros up to a byte
//!         │ reserved u32 │ checksum u32   (as every block of a tail, see `log::tail`)
//! ```
//!
//! Each column takes as many bits as the spread of its values in the block needs, none if they are all equal; any row can be read
//! without the others, so a block is searched as it stands. Rejected: varints (must be decoded to be searched), one width for the
//! whole file (a single far value would widen every row).

use bytes::Bytes;

use crate::codec::{Malformed, Reader, put_u16, put_varint};

/// Rows of a full block.
pub(super) const ROWS: usize = 256;

/// Appends a block, without its checksum.
pub(super) fn put_rows<const N: usize>(rows: &[[u64; N]], out: &mut Vec<u8>) {
    put_u16(out, rows.len() as u16);
    let mut base = [0; N];
    let mut widths = [0; N];
    for column in 0..N {
        let values = || rows.iter().filter_map(|row| row.get(column).copied());
        let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
        let width = 64 - (high - low).leading_zeros();
        put_varint(out, low);
        out.push(width as u8);
        base[column] = low;
        widths[column] = width;
    }
    let (mut pending, mut filled) = (0_u128, 0_u32);
    for row in rows {
        for ((value, low), width) in row.iter().zip(base).zip(widths) {
            pending |= u128::from(value - low) << filled;
            filled += width;
            while filled >= 8 {
                out.push(pending as u8);
                pending >>= 8;
                filled -= 8;
            }
        }
    }
    if filled > 0 {
        out.push(pending as u8);
    }
}

/// A block, verified and ready to be searched.
#[derive(Clone, Debug)]
pub(super) struct Rows<const N: usize> {
    rows: usize,
    base: [u64; N],
    widths: [u32; N],
    bits: Bytes,
}

impl<const N: usize> Rows<N> {
    /// Reads the head of a block whose checksum was verified.
    pub fn open(block: &Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(block);
        let rows = usize::from(reader.u16("a number of rows")?);
        let mut base = [0; N];
        let mut widths = [0; N];
        for (low, width) in base.iter_mut().zip(&mut widths) {
            *low = reader.varint("the smallest value of a column")?;
            let bad = reader.malformed("a width of at most 64 bits");
            *width = u32::from(reader.u8("a width")?);
            if *width > 64 {
                return Err(bad);
            }
        }
        let row_bits: usize = widths.iter().map(|width| *width as usize).sum();
        let len = (rows * row_bits).div_ceil(8);
        let bits = reader.bytes(len, "the rows of a block")?;
        reader.end("the end of a block")?;
        Ok(Self { rows, base, widths, bits: block.slice_ref(bits) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// One of them.
    pub fn row(&self, index: usize) -> Option<[u64; N]> {
        self.front(index)
    }

    /// Its first columns.
    pub fn front<const M: usize>(&self, index: usize) -> Option<[u64; M]> {
        if index >= self.rows {
            return None;
        }
        let row_bits: usize = self.widths.iter().map(|width| *width as usize).sum();
        let mut at = index.checked_mul(row_bits)?;
        let mut row = [0_u64; M];
        for ((value, low), width) in row.iter_mut().zip(self.base).zip(self.widths) {
            *value = low.wrapping_add(self.number(at, width));
            at += width as usize;
        }
        Some(row)
    }

    fn number(&self, at: usize, width: u32) -> u64 {
        let bytes = self.bits.get(at / 8..).unwrap_or_default();
        let shift = (at % 8) as u32;
        let wide = match bytes.first_chunk() {
            Some(chunk) => u128::from_le_bytes(*chunk),
            // Less than 16 bytes are left.
            None => bytes.iter().rev().fold(0_u128, |wide, byte| wide << 8 | u128::from(*byte)),
        };
        (wide >> shift) as u64 & (((1_u128 << width) - 1) as u64)
    }
}
