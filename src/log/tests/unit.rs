use bytes::Bytes;

use super::mem_fs::MemFs;
use super::support::*;
use crate::codec::Codec;
use crate::log::*;
use crate::model::{Address, Digest};

/// The contents of a group, the newest first.
fn contents() -> Vec<String> {
    (0..5).map(|n| format!("{} in version {n}", "what all of them say; ".repeat(4 + n))).collect()
}

/// A group of five contents of changes 4 to 8, each of a change of its own.
fn group() -> (Bytes, Vec<Address>) {
    let mut log = Writer::new(&MemFs::new());
    (1..4).for_each(|n| drop(log.commit(vec![put("Q0", &n.to_string())])));
    let contents = contents();
    let oldest_first: Vec<&str> = contents.iter().rev().map(String::as_str).collect();
    let frame = log.frame(FrameKind::Run, together("Q1", &oldest_first));
    let mut places: Vec<Locator> = frame.contents().map(|content| content.locator).collect();
    places.reverse();
    assert_eq!(places.iter().map(|place| place.member).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert!(places.iter().all(|place| (place.offset, place.len) == (places[0].offset, places[0].len)));
    let from = (places[0].offset - frame.place().offset) as usize;
    let bytes = Bytes::copy_from_slice(&frame.bytes()[from..from + places[0].len as usize]);
    (bytes, places.iter().map(|place| place.address).collect())
}

#[test]
fn every_content_comes_back_from_a_group() {
    let (bytes, addresses) = group();
    let header = UnitHeader::verify(&bytes).unwrap();
    assert_eq!((header.codec, header.address), (Codec::Zstd, Address { sequence: 8, slot: 0 }));
    for (address, content) in addresses.iter().zip(contents()) {
        assert_eq!(UnitHeader::open(&bytes, *address).unwrap(), content.as_bytes());
    }
    let missing = [Address { sequence: 3, slot: 0 }, Address { sequence: 9, slot: 0 }];
    for address in missing.into_iter().chain([Address { sequence: 8, slot: 1 }]) {
        assert!(UnitHeader::open(&bytes, address).is_err());
    }
}

#[test]
fn a_group_cut_or_flipped_anywhere_is_refused() {
    let (bytes, addresses) = group();
    for cut in 0..bytes.len() {
        assert!(UnitHeader::open(&bytes.slice(..cut), addresses[0]).is_err(), "cut {cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(UnitHeader::open(&Bytes::from(bad), addresses[4]).is_err(), "bit {bit}");
    }
}

#[test]
fn a_group_that_says_what_it_is_not_is_refused_though_its_checksum_is_right() {
    let (bytes, addresses) = group();
    let (table, distances) = (32, 33..37);
    // Whose contents they are, nothing else in the unit says again.
    let all = (1..8).chain(16..28).chain(table..table + 1).chain(distances.end..distances.end + 30);
    for at in all {
        for bit in 0..8 {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << bit;
            let sum = crate::codec::crc_parts(&[&bad[32..], &bad[..28]]);
            bad[28..32].copy_from_slice(&sum.to_le_bytes());
            let bad = Bytes::from(bad);
            for (address, content) in addresses.iter().zip(contents()) {
                // The level of the compressor decides nothing here.
                let opened = UnitHeader::open(&bad, *address);
                assert!(opened.is_err() || opened.unwrap() == content.as_bytes(), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn contents_that_gain_nothing_together_stay_by_themselves() {
    let random = |seed: u64| {
        let mut out = vec![0; 5_000];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        UnitDraft::uncompressed(out.into())
    };
    let mut units: Vec<UnitDraft> = (0..4).map(random).collect();
    let before = units.clone();
    assert!(!group_units(&mut units, 3));
    assert_eq!(units, before);
    let mut one = [UnitDraft::uncompressed(Bytes::from(vec![b'a'; 1000]))];
    assert!(!group_units(&mut one, 3), "a group of one is no group");
    let mut empty = vec![UnitDraft::uncompressed(Bytes::new()); 3];
    assert!(!group_units(&mut empty, 3));
    let mut packed = vec![UnitDraft::new(Bytes::from(vec![b'a'; 1000])); 3];
    assert!(!group_units(&mut packed, 3), "they are compressed already");
}

fn unit() -> (Bytes, Address, String) {
    let content = "a content of some length; ".repeat(8);
    let mut log = Writer::new(&MemFs::new());
    let frame = log.commit(vec![put("Q1", &content)]);
    let locator = frame.contents().next().unwrap().locator;
    let from = (locator.offset - frame.place().offset) as usize;
    let bytes = Bytes::copy_from_slice(&frame.bytes()[from..from + locator.len as usize]);
    (bytes, locator.address, content)
}

#[test]
fn a_content_comes_back_from_its_unit() {
    let (bytes, address, content) = unit();
    assert_eq!(UnitHeader::verify(&bytes).unwrap().codec, Codec::Lz4);
    assert_eq!(UnitHeader::open(&bytes, address).unwrap(), content.as_bytes());
}

#[test]
fn a_unit_cut_or_flipped_anywhere_is_refused() {
    let (bytes, address, _) = unit();
    for cut in 0..bytes.len() {
        assert!(UnitHeader::open(&bytes.slice(..cut), address).is_err(), "cut {cut}");
    }
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(UnitHeader::open(&Bytes::from(bad), address).is_err(), "bit {bit}");
    }
}

#[test]
fn a_unit_in_the_place_of_another_is_refused() {
    let (bytes, address, _) = unit();
    for other in [Address { sequence: 2, ..address }, Address { slot: 1, ..address }] {
        assert!(UnitHeader::open(&bytes, other).is_err());
    }
}

#[test]
fn large_contents_that_do_not_shrink_are_not_compressed() {
    let mut noise = vec![0_u8; 300 << 10];
    let mut state = 1_u64;
    for byte in &mut noise {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    let draft = UnitDraft::new(Bytes::from(noise.clone()));
    assert_eq!((draft.codec, draft.stored.len()), (Codec::Raw, noise.len()));
    assert_eq!(draft.digest, Digest::of(&noise));
    noise[150 << 10..].fill(b'x');
    assert_eq!(UnitDraft::new(Bytes::from(noise)).codec, Codec::Lz4);
}

#[test]
fn an_empty_content_is_a_content() {
    let draft = UnitDraft::new(Bytes::new());
    assert_eq!((draft.codec, draft.raw_len, draft.digest), (Codec::Raw, 0, Digest::of(b"")));
}
