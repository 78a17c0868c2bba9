//! Randomness.

/// Random numbers for salts, store ids and incarnations. Not for anything that the result of a read depends on.
pub trait Rng: Send + Sync + 'static {
    /// Fills the buffer.
    fn fill(&self, buf: &mut [u8]);

    /// A random number.
    fn next_u64(&self) -> u64 {
        let mut buf = [0; 8];
        self.fill(&mut buf);
        u64::from_le_bytes(buf)
    }
}
