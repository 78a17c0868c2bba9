use bytes::Bytes;

use super::*;

fn full() -> Fields {
    Fields {
        author: Some(Bytes::from_static(b"a")),
        comment: Some(Bytes::new()),
        content_type: Some(Bytes::from_static(b"text/plain")),
        schema_version: Some(300),
        tags: vec![Bytes::from_static(b"x"), Bytes::from_static(b"")],
        request_id: Some([7; 16]),
        origin_id: Some(u64::MAX),
        attributes: vec![
            (Bytes::from_static(b"k"), Bytes::from_static(b"v")),
            (Bytes::from_static(b"l"), Bytes::new()),
        ],
        slots: vec![
            (
                Bytes::from_static(b"mediainfo"),
                Some(ContentRef { address: Address { sequence: 0, slot: 1 }, len: 9, tag: 5 }),
            ),
            (Bytes::from_static(b"other"), None),
        ],
        unknown: vec![(77, Bytes::from_static(b"from the future"))],
    }
}

#[test]
fn all_fields_come_back_and_unknown_ones_survive() {
    let bytes = Bytes::from(full().encode());
    assert_eq!(Fields::decode(&bytes).unwrap(), full());
    assert_eq!(Fields::decode(&bytes).unwrap().encode(), bytes);
    assert!(Fields::default().encode().is_empty());
}

#[test]
fn fields_cut_or_flipped_anywhere_do_not_panic() {
    let bytes = full().encode();
    for cut in 0..bytes.len() {
        let _ = Fields::decode(&Bytes::copy_from_slice(&bytes[..cut]));
        for bit in 0..8 {
            let mut bad = bytes.clone();
            bad[cut] ^= 1 << bit;
            let _ = Fields::decode(&Bytes::from(bad));
        }
    }
}

#[test]
fn entities_are_shown_as_text_or_hex() {
    assert_eq!(Entity::new("Talk:Main Page").unwrap().to_string(), "Talk:Main Page");
    assert_eq!(Entity::new([0xff, 1]).unwrap().to_string(), "0xff01");
    assert!(Entity::new("").is_err());
    assert!(Entity::new([b'x'; 513]).is_err());
}
