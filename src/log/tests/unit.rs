use bytes::Bytes;

use super::mem_fs::MemFs;
use super::support::*;
use crate::codec::Codec;
use crate::log::*;
use crate::model::{Address, Digest};

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
fn a_group_frame_is_unsupported_not_corrupt() {
    let (bytes, ..) = unit();
    let mut bytes = bytes.to_vec();
    bytes[1] = 2;
    let sum = crate::codec::crc_parts(&[&bytes[32..], &bytes[..28]]);
    bytes[28..32].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(UnitHeader::verify(&bytes), Err(Fault::Unsupported("group frames".into())));
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
