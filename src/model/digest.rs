//! Content digests.

use std::fmt;

/// BLAKE3-256 over the bytes of a content and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Stands where a digest cannot be read. No content has it, as far as anybody will find out. Never on disk.
    pub const UNREADABLE: Self = Self([0xff; 32]);
    /// Stands where a digest was: its content is forgotten and erased. No content has it, as far as anybody will find out.
    pub const ERASED: Self = Self([0; 32]);

    /// Whether the digest was erased together with its content.
    pub fn is_erased(&self) -> bool {
        *self == Self::ERASED
    }

    /// The digest of some bytes.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// The first eight bytes, as the index keeps them.
    pub fn tag(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
