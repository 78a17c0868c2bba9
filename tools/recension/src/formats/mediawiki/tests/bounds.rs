use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

fn fatal(xml: impl Into<Vec<u8>>) -> Fatal {
    all(&mut reader(xml, Options::default())).1.expect("a fatal error")
}

fn page(revisions: &str) -> String {
    format!("<mediawiki><page><title>T</title><ns>0</ns><id>1</id>{revisions}</page></mediawiki>")
}

#[test]
fn xml_that_is_not_well_formed_is_fatal_with_line_and_byte() {
    let xml = "<mediawiki>\n  <page>\n    <title>a</title>\n  </pgae>\n</mediawiki>";
    let error = fatal(xml);
    assert_eq!(
        (error.place.line, error.place.byte, error.place.offset),
        (4, 3, xml.find("</pgae").unwrap() as u64)
    );
    assert!(error.reason.contains("not well-formed"), "{error}");
    for (xml, reason) in [
        ("<mediawiki><page><title>a & b</title>", "not well-formed"),
        ("<mediawiki><page><title>&nbsp;</title>", "&nbsp;"),
        ("<mediawiki><page><title>&#0;</title>", "&#0;"),
        ("<html></html>", "<html>, not <mediawiki>"),
        ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><mediawiki></mediawiki>", "ISO-8859-1"),
        ("<mediawiki></mediawiki> and more", "outside"),
        ("</mediawiki>", "not well-formed"),
    ] {
        assert!(fatal(xml).reason.contains(reason), "{xml}: {}", fatal(xml));
    }
    assert!(fatal(format!("<mediawiki>{}", "<a>".repeat(100_000))).reason.contains("deeply"));
    let mut reader = reader(xml, Options::default());
    assert!(matches!(reader.next(), Err(ReadError::Fatal(_))));
    assert!(matches!(reader.next(), Err(ReadError::Fatal(_))), "and it stays so");
}

#[test]
fn a_dump_cut_off_anywhere_is_fatal_after_its_whole_revisions() {
    let xml = &HOSTILE[..4000];
    let ends = |xml: &[u8]| xml.windows(11).filter(|window| window == b"</revision>").count();
    let whole: Vec<Record> = accepted();
    let start = xml.windows(10).position(|window| window == b"<mediawiki").unwrap() + 10;
    for len in start..xml.len() {
        let (read, error) = all(&mut reader(&xml[..len], Options::default()));
        let error = error.expect("fatal");
        assert!(error.place.offset <= len as u64);
        assert_eq!(read.len(), ends(&xml[..len]));
        for (read, whole) in read.into_iter().zip(&whole) {
            assert_eq!(&read.unwrap(), whole);
        }
    }
}

#[test]
fn texts_beyond_the_limit_are_rejects_and_the_next_revision_is_read() {
    let options = Options { content_len_max: 100, ..Options::default() };
    let revision = |id: u32, text: &str| format!("<revision><id>{id}</id><text>{text}</text></revision>");
    let long = "x".repeat(300_000);
    let xml = page(
        &[
            revision(1, &"y".repeat(100)),
            revision(2, &"y".repeat(101)),
            revision(3, &long),
            revision(4, &format!("{}&amp;{long}&lt;{long}", "y".repeat(50))),
            revision(5, "fine"),
        ]
        .concat(),
    );
    let mut reader = reader(xml, options);
    let (read, error) = all(&mut reader);
    assert!(error.is_none());
    let ok: Vec<bool> = read.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, false, true]);
    let reject = read[2].as_ref().unwrap_err();
    assert_eq!(
        (reject.reason.as_str(), reject.entity.as_deref()),
        ("texts of more than 100 bytes", Some(&b"T"[..]))
    );
    assert!(reader.memory() < 512 << 10, "{} bytes are held", reader.memory());
}

/// Text without end, made while it is read.
struct Endless {
    head: Vec<u8>,
    repeat: Vec<u8>,
    times: u64,
    tail: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.head.len() {
            self.at = 0;
            self.head = match self.times {
                0 => std::mem::take(&mut self.tail),
                _ => self.repeat.clone(),
            };
            if self.head.is_empty() {
                return Ok(0);
            }
            self.times = self.times.saturating_sub(1);
        }
        let len = (&self.head[self.at..]).read(buf)?;
        self.at += len;
        Ok(len)
    }
}

fn endless(head: &str, repeat: &str, times: u64, tail: &str) -> Reader {
    let raw = Endless { head: head.into(), repeat: repeat.into(), times, tail: tail.into(), at: 0 };
    let input = Input::from_reader("-", raw, None).unwrap();
    Reader::new(input, Options { content_len_max: 1 << 20, ..Options::default() })
}

#[test]
fn a_text_of_gigabytes_would_pass_in_bounded_memory() {
    // 64 MiB against a limit of one: in runs without markup, and in runs between references.
    for repeat in ["x".repeat(64 << 10), "&amp;".repeat(4 << 10) + &"y".repeat(44 << 10)] {
        let mut reader = endless(
            "<mediawiki><page><title>T</title><revision><id>1</id><text>",
            &repeat,
            1024,
            "</text></revision><revision><id>2</id><text>x</text></revision></page></mediawiki>",
        );
        assert!(matches!(reader.next(), Err(ReadError::Reject(_))));
        assert_eq!(reader.next().unwrap().unwrap().origin_id, Some(2));
        assert!(reader.memory() < 4 << 20, "{} bytes are held", reader.memory());
        assert!(reader.next().unwrap().is_none());
    }
}

#[test]
fn a_history_of_any_length_passes_in_constant_memory() {
    let revision =
        format!("<revision><id>1</id><comment>c</comment><text>{}</text></revision>\n", "x".repeat(1000));
    let mut reader = endless("<mediawiki><page><title>T</title>", &revision, 50_000, "</page></mediawiki>");
    let mut count = 0;
    while let Some(record) = reader.next().unwrap() {
        count += 1;
        assert_eq!(record.place.line, count);
        if count % 1000 == 0 {
            assert!(reader.memory() < 256 << 10, "{} bytes are held", reader.memory());
        }
    }
    assert_eq!(count, 50_000);
}

#[test]
fn every_revision_with_bytes_that_are_not_utf8_is_a_reject() {
    let revision = |id: u32, text: &[u8]| {
        [format!("<revision><id>{id}</id><text>").as_bytes(), text, b"</text></revision>"].concat()
    };
    // Also where a character is cut by the end of the buffer, and where there are very many.
    let shift = "x".repeat(131_000);
    let xml = [
        b"<mediawiki><page><title>T</title>".to_vec(),
        revision(1, &[0xff; 3000]),
        revision(2, shift.as_bytes()),
        revision(3, &"é😀".repeat(100_000).into_bytes()),
        revision(4, b"\xf0\x9f\x98"),
        revision(5, b"fine"),
        b"</page></mediawiki>".to_vec(),
    ]
    .concat();
    let (read, error) = all(&mut reader(xml, Options::default()));
    assert!(error.is_none());
    let ok: Vec<bool> = read.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [false, true, true, false, true]);
    assert_eq!(read[2].as_ref().unwrap().body.content(), Some("é😀".repeat(100_000).as_bytes()));
}

#[test]
fn markup_without_end_is_fatal() {
    let mut reader = endless("<mediawiki><page a='", &"x".repeat(64 << 10), 1024, "");
    match reader.next() {
        Err(ReadError::Fatal(fatal)) => assert!(fatal.reason.contains("markup of more than"), "{fatal}"),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn damaged_dumps_never_panic(at in 0usize..9000, bytes in proptest::collection::vec(any::<u8>(), 0..4), cut in 0usize..8) {
        let mut xml = HOSTILE.to_vec();
        let at = at.min(xml.len() - 8);
        xml.splice(at..at + cut, bytes);
        let mut reader = reader(xml, Options::default());
        let (read, _) = all(&mut reader);
        prop_assert_eq!(read.len() as u64, reader.ordinal());
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'<'), Just(b'>'), Just(b'/'), Just(b'&'), Just(b';'), any::<u8>()], 0..100)) {
        let _ = all(&mut reader(bytes, Options::default()));
    }
}
