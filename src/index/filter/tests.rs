use proptest::prelude::*;

use super::*;

const BOTH: [Fingerprint; 2] = [Fingerprint::Narrow, Fingerprint::Wide];

fn decode(bytes: &[u8]) -> Result<Filter, Malformed> {
    Filter::decode(&Bytes::copy_from_slice(bytes))
}

fn hashes(n: u64) -> Vec<u64> {
    (0..n).map(|i| xxhash_rust::xxh3::xxh3_64(&i.to_le_bytes())).collect()
}

#[test]
fn every_hash_is_found_whatever_the_number() {
    for (n, width) in (0..200).chain([1000, 11_515, 20_000]).flat_map(|n| BOTH.map(|width| (n, width))) {
        let filter = decode(&encode_filter(hashes(n), width)).unwrap();
        assert_eq!(u64::from(filter.count()), n);
        assert!(hashes(n).into_iter().all(|hash| filter.contains(hash)), "{n}");
    }
}

#[test]
fn few_others_are_found_and_a_hash_costs_about_nine_or_eighteen_bits() {
    for (width, bits, wrong_max) in [(Fingerprint::Narrow, 11, 200), (Fingerprint::Wide, 21, 4)] {
        let bytes = encode_filter(hashes(20_000), width);
        assert!(bytes.len() < 20_000 * bits / 8, "{}", bytes.len());
        let filter = decode(&bytes).unwrap();
        let others = (0..20_000_u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let wrong = others.filter(|hash| filter.contains(*hash)).count();
        assert!(wrong < wrong_max, "{wrong}");
    }
}

#[test]
fn a_wide_filter_is_read_at_any_address() {
    let whole = encode_filter(hashes(1000), Fingerprint::Wide);
    for shift in 0..4 {
        let mut moved = vec![0; shift];
        moved.extend_from_slice(&whole);
        let filter = Filter::decode(&Bytes::from(moved).slice(shift..)).unwrap();
        assert!(hashes(1000).into_iter().all(|hash| filter.contains(hash)), "{shift}");
    }
}

#[test]
fn the_same_hashes_in_any_order_and_with_repeats_give_the_same_bytes() {
    let mut shuffled = hashes(500);
    shuffled.reverse();
    shuffled.extend(hashes(100));
    for width in BOTH {
        assert_eq!(encode_filter(hashes(500), width), encode_filter(shuffled.clone(), width));
    }
}

#[test]
fn sorted_hashes_stand_in_where_no_filter_can_be_built() {
    let mut sorted = hashes(77);
    sorted.sort_unstable();
    let filter = decode(&encode_sorted(&sorted)).unwrap();
    assert!(sorted.iter().all(|hash| filter.contains(*hash)));
    assert!((0..1000).all(|n| !filter.contains(n)));
    assert!(!decode(&encode_sorted(&[])).unwrap().contains(0));
}

#[test]
fn a_cut_filter_is_refused_or_complete() {
    for whole in
        [encode_filter(hashes(50), BOTH[0]), encode_filter(hashes(50), BOTH[1]), encode_sorted(&[1, 2, 3])]
    {
        for cut in 0..whole.len() {
            assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn a_flipped_bit_never_makes_a_look_up_panic() {
    for whole in
        [encode_filter(hashes(50), BOTH[0]), encode_filter(hashes(50), BOTH[1]), encode_sorted(&hashes(5))]
    {
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(filter) = decode(&bad) {
                for hash in hashes(60) {
                    filter.contains(hash);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn garbage_is_refused_or_answers_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), hash: u64) {
        if let Ok(filter) = decode(&bytes) {
            filter.contains(hash);
        }
    }
}
