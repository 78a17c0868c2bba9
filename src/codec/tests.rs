use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn every_number_comes_back_from_its_varint(n: u64, m: i64) {
        let mut out = Vec::new();
        put_varint(&mut out, n);
        prop_assert_eq!(out.len(), varint_len(n));
        put_zigzag(&mut out, m);
        let mut reader = Reader::new(&out);
        prop_assert_eq!(reader.varint("n"), Ok(n));
        prop_assert_eq!(reader.zigzag("m"), Ok(m));
        prop_assert!(reader.is_empty());
    }

    #[test]
    fn a_varint_reader_never_panics_and_accepts_one_form_only(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
        let mut reader = Reader::new(&bytes);
        if let Ok(n) = reader.varint("n") {
            let mut again = Vec::new();
            put_varint(&mut again, n);
            prop_assert_eq!(&bytes[..reader.position()], &again[..]);
        }
    }

    #[test]
    fn every_codec_gives_back_what_it_was_given(raw in proptest::collection::vec(0_u8..4, 0..2000)) {
        for codec in [Codec::Raw, Codec::Lz4, Codec::Zstd] {
            let packed = compress(codec, 3, &raw);
            prop_assert_eq!(decompress(codec, &packed, raw.len()).unwrap(), raw.clone());
            prop_assert!(decompress(codec, &packed, raw.len() + 1).is_err());
        }
    }

    #[test]
    fn garbage_does_not_decompress_into_a_panic(stored in proptest::collection::vec(any::<u8>(), 0..200), len in 0_usize..5000) {
        for codec in [Codec::Lz4, Codec::Zstd] {
            if let Ok(raw) = decompress(codec, &stored, len) {
                prop_assert_eq!(raw.len(), len);
            }
        }
    }
}

#[test]
fn a_checksum_of_nothing_or_of_zeros_is_not_zero() {
    assert_ne!(crc(&[]), 0);
    assert_ne!(crc(&[0; 16]), 0);
    assert_eq!(crc_parts(&[b"ab", b"c"]), crc(b"abc"));
}

#[test]
fn a_varint_of_eleven_bytes_or_with_a_zero_tail_is_refused() {
    assert!(Reader::new(&[0x80, 0x00]).varint("n").is_err());
    assert!(Reader::new(&[0xff; 11]).varint("n").is_err());
    assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint("n").is_err());
}

#[test]
fn a_file_header_comes_back_and_every_flipped_bit_is_noticed() {
    let id = FileId { epoch: 1, number: 42 };
    let header = FileHeader { kind: FileKind::Segment, version: 1, header_len: 64, store: [9; 16], id };
    let path = std::path::Path::new("f");
    let bytes = header.encode();
    assert_eq!(bytes.len(), FILE_HEADER_LEN);
    assert_eq!(FileHeader::decode(path, &bytes).unwrap(), header);
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(FileHeader::decode(path, &bad).is_err(), "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert!(FileHeader::decode(path, &bytes[..cut]).is_err());
    }
}

#[test]
fn file_names_are_read_back_and_others_are_not_taken_for_ours() {
    let id = FileId { epoch: 1, number: 42 };
    assert_eq!(id.file_name(FileKind::Segment), "00000001-0000002a.seg");
    assert_eq!(FileId::parse("00000001-0000002a.seg"), Some((id, FileKind::Segment)));
    for other in
        ["LOCK", "00000001-0000002A.seg", "1-2.seg", "00000001-0000002a.tmp", "00000001-0000002a.seg.x"]
    {
        assert_eq!(FileId::parse(other), None, "{other}");
    }
}

#[test]
fn what_a_decoder_did_before_does_not_show() {
    use super::compress::zstd_front;

    let text = |n: usize| (0..n).map(|i| (i * i % 251) as u8 ^ (i / 97) as u8).collect::<Vec<_>>();
    // Small ones, and one whose window is too large for its decoder to be kept.
    let raws: Vec<Vec<u8>> = [0, 1, 900, 40_000, 3 << 20].into_iter().map(text).collect();
    let stored: Vec<Vec<u8>> = raws.iter().map(|raw| compress(Codec::Zstd, 3, raw)).collect();
    for round in 0..60_usize {
        let at = round * 7 % raws.len();
        let (raw, packed) = (&raws[at], &stored[at]);
        match round % 4 {
            0 => assert_eq!(&decompress(Codec::Zstd, packed, raw.len()).unwrap(), raw),
            // Left in the middle.
            1 => {
                let len = raw.len() / 3;
                assert_eq!(zstd_front(packed, len, 26).unwrap(), raw[..len]);
                assert!(zstd_front(packed, raw.len() + 1, 26).is_none());
            }
            2 => {
                assert!(decompress(Codec::Zstd, &packed[..packed.len() - 1], raw.len()).is_err());
                assert!(zstd_front(&packed[..packed.len() / 2], raw.len() + 1, 26).is_none());
            }
            // A window that was not promised; the next one has its own bound.
            _ => assert!(at != 4 || zstd_front(packed, 10, 10).is_none()),
        }
        assert_eq!(&decompress(Codec::Zstd, packed, raw.len()).unwrap(), raw);
    }
}
