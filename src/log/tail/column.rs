//! Columns of numbers and of repeated values.

use std::collections::hash_map::Entry;

use crate::codec::{Malformed, Reader, put_bytes, put_varint, put_zigzag};
use crate::env::HashMap;

/// Appends a column: its length and its bytes.
pub(super) fn put_column(out: &mut Vec<u8>, column: &[u8]) {
    put_bytes(out, column);
}

/// Reads a column.
pub(super) fn column<'a>(reader: &mut Reader<'a>) -> Result<Reader<'a>, Malformed> {
    let max = reader.remaining();
    Ok(Reader::new(reader.prefixed(max, "a column")?))
}

const SCALES: [i64; 3] = [1_000_000, 1_000, 1];

/// A column of signed numbers that may all be multiples of a thousand or a million (times in µs usually are whole seconds): which,
/// then each in zigzag form.
pub(super) fn put_scaled(out: &mut Vec<u8>, values: &[i64]) {
    let index = SCALES.iter().position(|scale| values.iter().all(|value| value % scale == 0)).unwrap_or(2);
    let scale = SCALES.get(index).copied().unwrap_or(1);
    let mut column = vec![index as u8];
    values.iter().for_each(|value| put_zigzag(&mut column, value / scale));
    put_column(out, &column);
}

/// Reads a column of [`put_scaled`] number by number.
pub(super) struct Scaled<'a> {
    reader: Reader<'a>,
    scale: i64,
}

impl<'a> Scaled<'a> {
    pub fn new(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut reader = column(from)?;
        let bad = reader.malformed("a scale");
        let scale = *SCALES.get(usize::from(reader.u8("a scale")?)).ok_or(bad)?;
        Ok(Self { reader, scale })
    }

    pub fn next(&mut self) -> Result<i64, Malformed> {
        Ok(self.reader.zigzag("a number of a column")?.wrapping_mul(self.scale))
    }

    pub fn end(&self) -> Result<(), Malformed> {
        self.reader.end("the end of a column")
    }
}

/// A column of byte strings, many of which repeat: per value 0 if it is new, else 1 + how many new values came after it; then
/// the new values, lengths apart from bytes.
#[derive(Default)]
pub(super) struct ValuesWriter<'a> {
    ids: HashMap<&'a [u8], usize>,
    references: Vec<u8>,
    lengths: Vec<u8>,
    bytes: Vec<u8>,
}

impl<'a> ValuesWriter<'a> {
    /// Adds a value; answers its place among the distinct ones.
    pub fn push(&mut self, value: &'a [u8]) -> usize {
        let count = self.ids.len();
        match self.ids.entry(value) {
            Entry::Occupied(known) => {
                put_varint(&mut self.references, (count - known.get()) as u64);
                *known.get()
            }
            Entry::Vacant(new) => {
                new.insert(count);
                put_varint(&mut self.references, 0);
                put_varint(&mut self.lengths, value.len() as u64);
                self.bytes.extend_from_slice(value);
                count
            }
        }
    }

    pub fn finish(self, out: &mut Vec<u8>) {
        put_column(out, &self.references);
        put_column(out, &self.lengths);
        put_column(out, &self.bytes);
    }
}

/// Reads a column of [`ValuesWriter`].
pub(super) struct Values<'a> {
    references: Reader<'a>,
    lengths: Reader<'a>,
    bytes: Reader<'a>,
    known: Vec<&'a [u8]>,
}

impl<'a> Values<'a> {
    pub fn new(from: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(Self {
            references: column(from)?,
            lengths: column(from)?,
            bytes: column(from)?,
            known: Vec::new(),
        })
    }

    /// The next value and its place among the distinct ones.
    pub fn next(&mut self) -> Result<(usize, &'a [u8]), Malformed> {
        let bad = self.references.malformed("a reference to a value");
        let back = self.references.varint("a reference to a value")?;
        if back == 0 {
            let len = self.lengths.varint_max(self.bytes.remaining() as u64, "the length of a value")?;
            let value = self.bytes.bytes(len as usize, "a value")?;
            self.known.push(value);
            return Ok((self.known.len() - 1, value));
        }
        let index =
            usize::try_from(back).ok().and_then(|back| self.known.len().checked_sub(back)).ok_or(bad)?;
        Ok((index, self.known.get(index).copied().ok_or(bad)?))
    }

    pub fn end(&self) -> Result<(), Malformed> {
        self.references.end("the end of a column")?;
        self.lengths.end("the end of a column")?;
        self.bytes.end("the end of a column")
    }
}
