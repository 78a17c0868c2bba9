use std::io::{Read, Write};

use super::*;

fn stored(text: &[u8], how: Compression) -> Vec<u8> {
    match how {
        Compression::Plain => text.to_vec(),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut out = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(text, 1).unwrap(),
        Compression::Xz => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(text).unwrap();
            out.finish().unwrap()
        }
    }
}

const PACKED: [Compression; 4] = [Compression::Gzip, Compression::Bzip2, Compression::Zstd, Compression::Xz];

fn text() -> Vec<u8> {
    (0..200)
        .flat_map(|n| {
            format!("{{\"entity\":\"e{n}\",\"rev\":1,\"content\":\"{}\"}}\n", n * 7919).into_bytes()
        })
        .collect()
}

fn read(bytes: &[u8]) -> (Vec<u8>, io::Result<usize>) {
    let mut input = Input::from_bytes("x", bytes).unwrap();
    let mut out = Vec::new();
    let end = input.reader.read_to_end(&mut out);
    (out, end)
}

#[test]
fn every_compression_is_found_by_content_and_several_streams_are_read_as_one() {
    let text = text();
    let (front, back) = text.split_at(text.len() / 2);
    for how in PACKED.into_iter().chain([Compression::Plain]) {
        let bytes = [stored(front, how), stored(b"", how), stored(back, how)].concat();
        let input = Input::from_bytes("x", bytes.clone()).unwrap();
        assert_eq!((input.compression, input.format), (how, Some(Format::JsonLines)));
        let (out, end) = read(&bytes);
        end.unwrap();
        assert_eq!(out, text, "{how}");
    }
}

#[test]
fn progress_counts_stored_bytes() {
    let bytes = stored(&text(), Compression::Zstd);
    let mut input = Input::from_bytes("x", bytes.clone()).unwrap();
    io::copy(&mut input.reader, &mut io::sink()).unwrap();
    assert_eq!(input.progress.consumed(), bytes.len() as u64);
    assert_eq!(input.progress.total(), Some(bytes.len() as u64));
}

#[test]
fn a_stream_cut_off_anywhere_says_so_after_giving_what_was_there() {
    let text = text();
    for how in PACKED {
        let bytes = stored(&text, how);
        for len in 14..bytes.len() {
            let (out, end) = read(&bytes[..len]);
            let error = end.expect_err(&format!("{how} cut to {len} of {}", bytes.len()));
            assert!(error.to_string().contains("ends early"), "{how} cut to {len}: {error}");
            assert!(text.starts_with(&out));
        }
    }
}

#[test]
fn damage_inside_a_stream_is_an_error_and_never_other_text() {
    let text = text();
    for how in [Compression::Gzip, Compression::Bzip2, Compression::Xz] {
        let bytes = stored(&text, how);
        for at in (20..bytes.len()).step_by(13) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x10;
            if let (out, Ok(_)) = read(&bytes) {
                assert_eq!(out, text, "{how}, byte {at}");
            }
        }
    }
}

#[test]
fn windows_of_128_mib_are_read() {
    let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    out.long_distance_matching(true).unwrap();
    out.window_log(27).unwrap();
    let text = text();
    out.write_all(&text).unwrap();
    let bytes = out.finish().unwrap();
    assert_eq!(read(&bytes).0, text);
}

#[test]
fn windows_beyond_128_mib_are_refused() {
    // A frame of one byte whose header asks for 2^27 and 2^28 bytes of window.
    let frame = |log: u8| [&[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3], &[9, 0, 0, b'a'][..]].concat();
    assert_eq!(read(&frame(27)).0, b"a");
    let error = read(&frame(28)).1.unwrap_err().to_string();
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn archives_are_refused_by_name() {
    let error = Input::from_bytes("x", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec()).err().unwrap();
    assert!(error.to_string().contains("7z"));
    assert!(Input::from_bytes("x", b"PK\x03\x04".to_vec()).is_err());
}

#[test]
fn formats_are_found_by_content() {
    for (text, format) in [
        ("", Some(Format::JsonLines)),
        ("\n \n", Some(Format::JsonLines)),
        ("{\"entity\":\"a\",\"rev\":1", Some(Format::JsonLines)),
        ("{\"content\":\"x\",\"labels\":1,\"id\":2,\"rev\":1,\"entity\":\"a\"}", Some(Format::JsonLines)),
        ("{\"content\":\"x\",\"entity\":\"a\"}", Some(Format::JsonLines)),
        ("\u{feff}<mediawiki>", Some(Format::MediaWiki)),
        ("<?xml version=\"1.0\"?>", Some(Format::MediaWiki)),
        ("[\n{\"type\":\"item\"", Some(Format::Wikidata)),
        ("{\"type\":\"item\",\"id\":\"Q1\",\"labels\":{\"en\":", Some(Format::Wikidata)),
        ("{\"entity\":\"Q1\",\"redirect\":\"Q2\"}", Some(Format::Wikidata)),
        ("hello", None),
        ("\0\0", None),
    ] {
        assert_eq!(Input::from_bytes("x", text).unwrap().format, format, "{text}");
    }
}

#[test]
fn the_source_hash_tells_contents_and_lengths_apart_and_not_names() {
    let hash = |name: &str, bytes: &[u8]| Input::from_bytes(name, bytes).unwrap().source_hash;
    assert_eq!(hash("a", b"{}"), hash("b", b"{}"));
    assert_ne!(hash("a", b"{}"), hash("a", b"{} "));
    let long = vec![b' '; HEAD_LEN + 10];
    assert_ne!(hash("a", &long), hash("a", &long[1..]));
}

#[test]
fn a_file_and_a_missing_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jsonl.gz");
    #[allow(clippy::disallowed_methods)]
    std::fs::write(&path, stored(b"{}", Compression::Gzip)).unwrap();
    let mut input = Input::open(&path).unwrap();
    assert_eq!(input.compression, Compression::Gzip);
    let mut text = String::new();
    input.reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "{}");
    assert_eq!(Input::open(&dir.path().join("b")).err().unwrap().kind(), io::ErrorKind::NotFound);
    assert!(Input::open(dir.path()).is_err());
}
