//! CRC-32 (IEEE), masked.
//!
//! The CRC of nothing is 0 and the CRC of data that ends in its own CRC is a constant; both would let zeros or nested frames
//! pass. A stored checksum is therefore never the plain CRC but a rotation of it plus a constant.

const MASK_DELTA: u32 = 0xa282_ead8;

/// A running masked CRC-32.
#[derive(Clone, Debug, Default)]
pub struct Crc(crc32fast::Hasher);

impl Crc {
    /// Starts anew.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(bytes);
        self
    }

    /// Adds a number, as 8 little-endian bytes.
    #[must_use]
    pub fn number(self, n: u64) -> Self {
        self.bytes(&n.to_le_bytes())
    }

    /// The masked checksum, as it is stored. For the fuzzer all are the same, so that it gets past them (see `fuzz/`).
    pub fn finish(self) -> u32 {
        #[cfg(fuzzing)]
        return MASK_DELTA;
        #[cfg(not(fuzzing))]
        self.0.finalize().rotate_right(15).wrapping_add(MASK_DELTA)
    }

    /// The plain CRC behind a masked one.
    pub(super) fn unmask(masked: u32) -> u32 {
        masked.wrapping_sub(MASK_DELTA).rotate_left(15)
    }
}

/// The masked checksum of some bytes.
pub fn crc(bytes: &[u8]) -> u32 {
    Crc::new().bytes(bytes).finish()
}

/// The masked checksum of several pieces, one after the other.
pub fn crc_parts(parts: &[&[u8]]) -> u32 {
    parts.iter().fold(Crc::new(), |crc, part| crc.bytes(part)).finish()
}
