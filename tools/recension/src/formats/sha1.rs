//! SHA-1 as MediaWiki writes it: in base 36, lower case, padded with zeros to 31 digits.

use sha1::{Digest, Sha1};

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Length of a base-36 SHA-1.
pub const LEN: usize = 31;

/// The SHA-1 of some bytes in base 36.
pub fn base36(bytes: &[u8]) -> String {
    to_base36(Sha1::digest(bytes).into())
}

/// Whether this is written like a base-36 SHA-1; old and hand-made dumps have other things in its place.
pub fn is_base36(text: &str) -> bool {
    text.len() == LEN && text.bytes().all(|byte| DIGITS.contains(&byte))
}

/// The hash that MediaWiki gives a revision of several slots: the hashes of the slots, by role, folded from the left as
/// `base36(so far ++ next)`; that of a single slot is its own.
pub fn of_slots<'a>(hashes_by_role: impl IntoIterator<Item = &'a str>) -> Option<String> {
    hashes_by_role.into_iter().map(str::to_owned).reduce(|so_far, next| base36((so_far + &next).as_bytes()))
}

fn to_base36(digest: [u8; 20]) -> String {
    let mut limbs = [0u32; 5];
    for (limb, bytes) in limbs.iter_mut().zip(digest.as_chunks::<4>().0) {
        *limb = u32::from_be_bytes(*bytes);
    }
    let mut text = [b'0'; LEN];
    for digit in text.iter_mut().rev() {
        let mut rest = 0u64;
        for limb in &mut limbs {
            let n = rest << 32 | u64::from(*limb);
            *limb = (n / 36) as u32;
            rest = n % 36;
        }
        *digit = DIGITS.get(rest as usize).copied().unwrap_or(b'0');
    }
    text.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_real_dumps_come_out() {
        assert_eq!(base36(b"{{babel|en}}"), "61o9wqbehiqpmke7163b1675fic2cri");
        assert_eq!(base36(b""), "phoiac9h4m842xq45sp7s6u21eteeq1");
    }

    #[test]
    fn small_numbers_are_padded() {
        assert_eq!(to_base36([0; 20]), "0".repeat(31));
        let mut one = [0; 20];
        one[19] = 37;
        assert_eq!(to_base36(one), "0".repeat(29) + "11");
    }

    #[test]
    fn one_slot_keeps_its_hash_and_two_are_folded() {
        let (a, b) = (base36(b"a"), base36(b"b"));
        assert_eq!(of_slots([a.as_str()]), Some(a.clone()));
        assert_eq!(of_slots([a.as_str(), b.as_str()]), Some(base36(format!("{a}{b}").as_bytes())));
        assert_eq!(of_slots([]), None);
    }
}
