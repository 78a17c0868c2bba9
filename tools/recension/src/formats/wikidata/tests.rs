use proptest::prelude::*;

use super::*;
use crate::formats::{Body, Fatal, Input, Options, ReadError, Record, RecordReader, Reject};

const Q1: &str = r#"{"type":"item","id":"Q1","labels":[],"claims":{"P1":[{"a":"]}\" \u00e9"}]},"lastrevid":77,"modified":"2020-01-02T03:04:05Z"}"#;
const Q2: &str = r#"{"id": "Q2", "type": "item", "sitelinks": {}}"#;
const REDIRECT: &str = r#"{"entity":"Q3","redirect":"Q1"}"#;

fn all(text: impl Into<Vec<u8>>, options: Options) -> (Vec<Result<Record, Reject>>, Option<Fatal>) {
    let mut reader = Reader::new(Input::from_bytes("dump.json", text).unwrap(), options);
    let mut out = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => out.push(Ok(record)),
            Ok(None) => return (out, None),
            Err(ReadError::Reject(reject)) => out.push(Err(reject)),
            Err(ReadError::Fatal(fatal)) => return (out, Some(fatal)),
        }
        assert_eq!(out.len() as u64, reader.ordinal());
    }
}

fn entities(text: &str) -> Vec<(String, String)> {
    let (read, fatal) = all(text, Options::default());
    assert!(fatal.is_none(), "{}", fatal.unwrap());
    read.into_iter()
        .map(|record| {
            let record = record.unwrap_or_else(|reject| panic!("{reject}"));
            let source = String::from_utf8(record.body.content().unwrap().to_vec()).unwrap();
            assert!(text.as_bytes()[record.place.offset as usize..].starts_with(source.as_bytes()));
            (String::from_utf8(record.entity).unwrap(), source)
        })
        .collect()
}

fn three() -> Vec<(String, String)> {
    [("Q1", Q1), ("Q2", Q2), ("Q3", REDIRECT)].map(|(id, source)| (id.to_owned(), source.to_owned())).to_vec()
}

#[test]
fn every_shape_of_a_dump_gives_the_exact_bytes_of_its_entities() {
    for text in [
        format!("[\n{Q1},\n{Q2},\n{REDIRECT}\n]\n"),
        format!("[\r\n{Q1},\r\n{Q2}  ,\r\n\r\n {REDIRECT}\r\n]"),
        format!("[\n{Q1}\n,{Q2}\n,\n{REDIRECT}]"),
        format!("{Q1}\n{Q2}\n{REDIRECT}\n"),
        format!("[{Q1},{Q2},{REDIRECT}]"),
        format!("[{Q1}\n,{Q2},{REDIRECT}\n]\n"),
        format!("\u{feff}[\n{Q1},\n{Q2},\n{REDIRECT}\n]\n"),
    ] {
        assert_eq!(entities(&text), three(), "{text}");
    }
    assert_eq!(entities("[]"), []);
    assert_eq!(entities("[\n]\n"), []);
    assert_eq!(entities(""), []);
}

#[test]
fn a_pretty_printed_array_is_read() {
    let text = "[\n  {\n    \"id\": \"Q1\",\n    \"labels\": {}\n  },\n  {\n    \"id\": \"Q2\"\n  }\n]\n";
    let names: Vec<String> = entities(text).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Q1", "Q2"]);
}

#[test]
fn revision_id_and_time_are_taken_from_the_entity() {
    let (read, _) = all(format!("[\n{Q1},\n{Q2}\n]"), Options::default());
    let record = read[0].as_ref().unwrap();
    assert_eq!((record.origin_id, record.rev, record.ts_us), (Some(77), None, Some(1_577_934_245_000_000)));
    assert_eq!(record.content_type.as_deref(), Some("application/json"));
    assert_eq!((record.place.line, record.place.byte, record.place.ordinal), (2, 1, 0));
    let record = read[1].as_ref().unwrap();
    assert_eq!((record.origin_id, record.rev, record.ts_us), (None, None, None));
    assert_eq!(record.place.line, 3);
}

#[test]
fn a_bad_line_is_rejected_with_its_place_and_the_next_one_read() {
    let text = format!(
        "[\n{Q1},\n{{\"id\":\"Q9\",\"labels\":{{\n  {{\"type\":\"item\"}},\n{{\"id\":\"Q8\",\"modified\":\"now\"}},\n[1],\n{Q2}\n]\n"
    );
    let (read, fatal) = all(text, Options::default());
    assert!(fatal.is_none());
    let shown: Vec<String> =
        read.iter().filter_map(|read| read.as_ref().err()).map(Reject::to_string).collect();
    assert_eq!(
        shown,
        [
            "dump.json: line 3, byte 22: Q9: expected a key in double quotes, found the end",
            "dump.json: line 4, byte 3: an entity without an id",
            "dump.json: line 5, byte 12: Q8: \"now\" is not a time like 2014-02-19T23:34:16Z",
            "dump.json: line 6, byte 2: expected '{', found 1"
        ]
    );
    assert_eq!(read.iter().filter(|read| read.is_ok()).count(), 2);
}

#[test]
fn damage_in_an_array_on_few_lines_ends_at_the_next_line_of_an_object() {
    let text = format!("[{Q1},{{\"id\":\"Q9\",\"x\":\"cut\n{Q2},\n oops, {Q1}\n{REDIRECT}]");
    let (read, fatal) = all(text, Options::default());
    assert!(fatal.is_none());
    let shown: Vec<String> = read
        .iter()
        .map(|read| match read {
            Ok(record) => String::from_utf8_lossy(&record.entity).into_owned(),
            Err(reject) => reject.to_string(),
        })
        .collect();
    let byte = Q1.len() + 3;
    assert_eq!(
        shown,
        [
            "Q1",
            &format!("dump.json: line 1, byte {byte}: a line ends inside a string"),
            "Q2",
            "dump.json: line 3, byte 2: expected an entity",
            "Q3"
        ]
    );
}

#[test]
fn a_dump_cut_off_inside_an_entity_is_fatal_after_its_whole_entities() {
    for len in 1..Q2.len() {
        for text in [format!("[\n{Q1},\n{}", &Q2[..len]), format!("[{Q1},{}", &Q2[..len])] {
            let (read, fatal) = all(text.clone(), Options::default());
            assert!(fatal.unwrap().reason.contains("cut off"), "{text}");
            assert_eq!(read.len(), 1);
        }
    }
}

#[test]
fn an_array_without_its_end_is_read_with_a_warning() {
    for (text, warnings) in [
        (format!("[\n{Q1},\n{Q2},\n"), 1),
        (format!("[\n{Q1},\n{Q2}"), 1),
        (format!("[{Q1},{Q2},"), 1),
        (format!("[\n{Q1},\n{Q2}\n]"), 0),
        (format!("[{Q1},{Q2}]\n"), 0),
        (format!("{Q1}\n{Q2}\n"), 0),
    ] {
        let mut reader = Reader::new(Input::from_bytes("x", text.clone()).unwrap(), Options::default());
        assert!(reader.next().unwrap().is_some() && reader.next().unwrap().is_some());
        assert!(reader.next().unwrap().is_none());
        assert_eq!(reader.warnings().len(), warnings, "{text}");
    }
}

#[test]
fn entities_beyond_the_limit_are_rejects_in_bounded_memory() {
    let long = format!("{{\"id\":\"Q5\",\"x\":\"{}\"}}", "x".repeat(100_000));
    for text in [format!("[\n{Q1},\n{long},\n{Q2}\n]"), format!("[{Q1},\n{long},\n{Q2}]")] {
        let (read, fatal) = all(text, Options { content_len_max: 1000, ..Options::default() });
        assert!(fatal.is_none());
        let ok: Vec<bool> = read.iter().map(Result::is_ok).collect();
        assert_eq!(ok, [true, false, true]);
    }
}

proptest! {
    #[test]
    fn damaged_dumps_never_panic(at in 0usize..400, bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'"'), Just(b'{'), Just(b'}')], 0..4), cut in 0usize..6, lines in any::<bool>()) {
        let mut text = if lines { format!("[\n{Q1},\n{Q2},\n{REDIRECT}\n]\n") } else { format!("[{Q1},{Q2},{REDIRECT}]") }.into_bytes();
        let at = at.min(text.len() - 6);
        text.splice(at..at + cut, bytes);
        let (read, _) = all(text, Options::default());
        for record in read.into_iter().flatten() {
            prop_assert!(matches!(record.body, Body::Content(_)));
        }
    }
}
