use std::path::Path;

use super::support::*;
use crate::ErrorKind;
use crate::log::*;

#[test]
fn a_segment_header_comes_back_and_every_flipped_bit_or_cut_is_noticed() {
    let header = header(7);
    let path = Path::new("s");
    let bytes = header.encode();
    assert_eq!(bytes.len(), SEGMENT_HEADER_LEN);
    assert_eq!(SegmentHeader::decode(path, &bytes, &STORE, header.id).unwrap(), header);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let result = SegmentHeader::decode(path, &bad, &STORE, header.id);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt, "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert!(SegmentHeader::decode(path, &bytes[..cut], &STORE, header.id).is_err());
    }
}

#[test]
fn a_header_of_another_store_or_file_is_refused() {
    let header = header(7);
    let bytes = header.encode();
    assert!(SegmentHeader::decode(Path::new("s"), &bytes, &[0; 16], header.id).is_err());
    assert!(SegmentHeader::decode(Path::new("s"), &bytes, &STORE, file_id(8)).is_err());
}
