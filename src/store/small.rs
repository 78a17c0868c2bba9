//! Small byte strings with their reference count in front of them.
//!
//! A [`Bytes`] made of a vector keeps its count in an allocation of its own, so cloning one and reading its first byte are two cache misses,
//! one behind the other. Made of an owner that holds the bytes by value, it is one. Owners have a few sizes; at most a third of one is empty.

use bytes::Bytes;

/// Longest string that is made small, bytes.
const SMALL_MAX: usize = 4096;

struct Owner<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> AsRef<[u8]> for Owner<N> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// A copy of `bytes`; of more than [`SMALL_MAX`], another handle.
pub(crate) fn small(bytes: &Bytes) -> Bytes {
    match bytes.len() {
        ..=128 => copy::<128>(bytes),
        ..=256 => copy::<256>(bytes),
        ..=512 => copy::<512>(bytes),
        ..=768 => copy::<768>(bytes),
        ..=1024 => copy::<1024>(bytes),
        ..=1536 => copy::<1536>(bytes),
        ..=2048 => copy::<2048>(bytes),
        ..=3072 => copy::<3072>(bytes),
        ..=SMALL_MAX => copy::<SMALL_MAX>(bytes),
        _ => bytes.clone(),
    }
}

/// Bytes of memory that what [`small`] gives holds.
pub(crate) fn weight(bytes: &Bytes) -> usize {
    // On average a fifth of an owner is empty.
    if bytes.len() <= SMALL_MAX { bytes.len().max(64) / 4 * 5 } else { bytes.len() }
}

fn copy<const N: usize>(from: &Bytes) -> Bytes {
    let mut bytes = [0; N];
    let len = from.len().min(N);
    if let (Some(to), Some(from)) = (bytes.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
    Bytes::from_owner(Owner { bytes, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_copy_has_the_same_bytes_at_every_length() {
        for len in (0..=SMALL_MAX + 2).step_by(7).chain([127, 128, 129, 1024, 1025, SMALL_MAX]) {
            let bytes: Bytes = (0..len).map(|i| i as u8).collect();
            assert_eq!(small(&bytes), bytes);
        }
    }
}
