//! Arrays of fixed-width entries in blocks of about 4 KiB.

use crate::codec::{Crc, Malformed, Reader, put_u16, put_u32};
use crate::log::locator::Locator;
use crate::log::{Fault, fault};
use crate::model::{Address, Digest};

/// Bytes of a block that are not entries.
const BLOCK_OVERHEAD: usize = 8;
const BLOCK_LEN: usize = 4096;

/// Which array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) enum ArrayKind {
    /// Where contents are.
    Locators,
    /// What their digests are.
    Digests,
}

impl ArrayKind {
    /// Bytes of an entry.
    pub fn width(self) -> usize {
        match self {
            Self::Locators => 16,
            Self::Digests => 33,
        }
    }

    /// Entries of a full block.
    pub fn per_block(self) -> usize {
        (BLOCK_LEN - BLOCK_OVERHEAD) / self.width()
    }

    /// How many blocks `entries` take.
    pub fn blocks(self, entries: u64) -> u64 {
        entries.div_ceil(self.per_block() as u64)
    }

    /// Length of the whole array.
    pub fn len(self, entries: u64) -> u64 {
        let overhead = self.blocks(entries).saturating_mul(BLOCK_OVERHEAD as u64);
        entries.saturating_mul(self.width() as u64).saturating_add(overhead)
    }

    /// Where a block starts in the array, and its length.
    pub fn block(self, index: u64, entries: u64) -> (u64, usize) {
        let full = self.per_block() as u64;
        let rest = entries.saturating_sub(index.saturating_mul(full)).min(full);
        let start = index.saturating_mul(full * self.width() as u64 + BLOCK_OVERHEAD as u64);
        (start, rest as usize * self.width() + BLOCK_OVERHEAD)
    }
}

/// Ends a block that starts in `out` at `from` and in the file at `base + from`.
pub(crate) fn seal_block(out: &mut Vec<u8>, from: usize, base: u64, salt: u64) {
    put_u32(out, 0);
    let body = out.get(from..).unwrap_or_default();
    let checksum = Crc::new().number(salt).number(base + from as u64).bytes(body).finish();
    put_u32(out, checksum);
}

/// The entries of a block that stands at `at`, if its checksum is right.
pub(crate) fn checked_block(block: &[u8], at: u64, salt: u64) -> Result<&[u8], Malformed> {
    let bad = Malformed { at: 0, expected: "a block with a valid checksum" };
    let (body, stored) = block.len().checked_sub(4).and_then(|end| block.split_at_checked(end)).ok_or(bad)?;
    let stored = Reader::new(stored).u32("a checksum")?;
    if Crc::new().number(salt).number(at).bytes(body).finish() != stored {
        return Err(bad);
    }
    body.len().checked_sub(4).and_then(|end| body.get(..end)).ok_or(bad)
}

impl Locator {
    pub(super) fn encode(&self, first_sequence: u64, out: &mut Vec<u8>) {
        put_u32(out, (self.address.sequence - first_sequence) as u32);
        put_u16(out, self.address.slot);
        put_u16(out, self.member);
        put_u32(out, self.offset as u32);
        put_u32(out, self.len);
    }

    pub(in crate::log) fn decode(entry: &[u8], first_sequence: u64) -> Result<Self, Malformed> {
        let mut reader = Reader::new(entry);
        let delta = reader.u32("a locator")?;
        let slot = reader.u16("a locator")?;
        Ok(Self {
            address: Address { sequence: first_sequence.saturating_add(u64::from(delta)), slot },
            member: reader.u16("a locator")?,
            offset: u64::from(reader.u32("a locator")?),
            len: reader.u32("a locator")?,
        })
    }
}

/// An entry of the digest array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::log) struct DigestEntry;

impl DigestEntry {
    pub(super) fn encode(digest: &Digest, out: &mut Vec<u8>) {
        out.push(0);
        out.extend_from_slice(&digest.0);
    }

    pub fn decode(entry: &[u8]) -> Result<Digest, fault::Fault> {
        let mut reader = Reader::new(entry);
        match reader.u8("a digest kind")? {
            0 => Ok(Digest(reader.array("a digest")?)),
            kind => Err(Fault::Unsupported(format!("digests of kind {kind}"))),
        }
    }
}
