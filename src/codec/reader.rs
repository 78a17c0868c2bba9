//! Reading encoded values without ever panicking.

/// Bytes that are not what they should be: where in the buffer, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: expected {expected}")]
pub struct Malformed {
    /// Offset in the buffer that was decoded.
    pub at: usize,
    /// What should have been there.
    pub expected: &'static str,
}

/// A cursor over bytes that came from a file.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error that names the present place.
    pub fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(len).ok_or(self.malformed(expected))?;
        let slice = self.bytes.get(self.at..end).ok_or(self.malformed(expected))?;
        self.at = end;
        Ok(slice)
    }

    /// The next `N` bytes as an array.
    pub fn array<const N: usize>(&mut self, expected: &'static str) -> Result<[u8; N], Malformed> {
        let at = self.at;
        self.bytes(N, expected)?.try_into().map_err(|_| Malformed { at, expected })
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        let slice = self.bytes.get(self.at..).unwrap_or_default();
        self.at = self.bytes.len();
        slice
    }

    /// One byte.
    pub fn u8(&mut self, expected: &'static str) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.array(expected)?))
    }

    /// A fixed little-endian number.
    pub fn u16(&mut self, expected: &'static str) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array(expected)?))
    }

    /// A fixed little-endian number.
    pub fn u32(&mut self, expected: &'static str) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array(expected)?))
    }

    /// A fixed little-endian number.
    pub fn u64(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array(expected)?))
    }

    /// A LEB128 number. Overlong encodings are refused, so that every number has one form.
    pub fn varint(&mut self, expected: &'static str) -> Result<u64, Malformed> {
        let start = self.at;
        let bad = Malformed { at: start, expected };
        let mut value = 0_u64;
        let mut shift = 0_u32;
        loop {
            let byte = self.u8(expected).map_err(|_| bad)?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 || shift > 63 {
                return Err(bad);
            }
            value |= low.wrapping_shl(shift);
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(bad);
                }
                return Ok(value);
            }
            shift = shift.saturating_add(7);
        }
    }

    /// A varint that must not be above `max`.
    pub fn varint_max(&mut self, max: u64, expected: &'static str) -> Result<u64, Malformed> {
        let at = self.at;
        match self.varint(expected)? {
            n if n <= max => Ok(n),
            _ => Err(Malformed { at, expected }),
        }
    }

    /// A signed number in zigzag form.
    pub fn zigzag(&mut self, expected: &'static str) -> Result<i64, Malformed> {
        let n = self.varint(expected)?;
        Ok((n >> 1).cast_signed() ^ (n & 1).cast_signed().wrapping_neg())
    }

    /// A varint length, at most `max`, and that many bytes.
    pub fn prefixed(&mut self, max: usize, expected: &'static str) -> Result<&'a [u8], Malformed> {
        let len = self.varint_max(max as u64, expected)?;
        self.bytes(usize::try_from(len).map_err(|_| self.malformed(expected))?, expected)
    }

    /// An error unless everything was read.
    pub fn end(&self, expected: &'static str) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(self.malformed(expected)) }
    }
}
