use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::formats::{Body, Input, Options, Place, ReadError, Record, RecordReader, Reject, Slot, Told};

fn parse(text: impl AsRef<[u8]>) -> Result<Record, Reject> {
    parse_line(text.as_ref(), Place::start(&Arc::from("x")), &Options::default())
}

fn written(record: &Record) -> String {
    let mut out = Vec::new();
    line(record, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What a line is written as.
fn canonical(text: &str) -> String {
    written(&parse(text).unwrap())
}

/// Byte (from 1) and reason.
fn fault(text: impl AsRef<[u8]>) -> (u64, String) {
    let reject = parse(text).expect_err("a fault");
    (reject.place.byte, reject.reason)
}

fn reader(text: impl Into<Vec<u8>>, options: Options) -> Reader {
    Reader::new(Input::from_bytes("some.jsonl", text).unwrap(), options)
}

fn with(rest: &str) -> String {
    format!("{{\"entity\":\"e\",\"rev\":1,{rest}}}")
}

#[test]
fn the_fixture_comes_back_byte_for_byte() {
    let text = include_str!("../../../../../tests/data/canonical.jsonl");
    let mut reader = reader(text, Options::default());
    let mut writer = Writer::new(Vec::new());
    let mut ordinal = 0;
    while let Some(record) = reader.next().unwrap() {
        assert_eq!((record.place.ordinal, record.place.line, record.place.byte), (ordinal, ordinal + 1, 1));
        assert!(text[record.place.offset as usize..].starts_with("{\"entity"));
        writer.record(&record).unwrap();
        ordinal += 1;
    }
    assert_eq!(reader.ordinal(), ordinal);
    assert_eq!(String::from_utf8(writer.into_inner()).unwrap(), text);
}

#[test]
fn every_field_is_read() {
    let text = r#"{"entity":"Q1","rev":2,"parent":1,"origin_id":77,"ts":1700000000.25,"author":"a","minor":true,"bot":true,"tags":["t","u"],"comment":"c","type":"ty","mass":true,"n":[1, 2],"schema_version":3,"slots":{"m":{"type":"mt","content":"sc"}},"content":"body"}"#;
    let record = parse(text).unwrap();
    let expected = Record {
        rev: Some(2),
        parent: Some(1),
        origin_id: Some(77),
        ts_us: Some(1_700_000_000_250_000),
        author: "a".into(),
        minor: true,
        bot: true,
        mass: true,
        tags: vec!["t".into(), "u".into()],
        comment: "c".into(),
        content_type: Some("ty".into()),
        schema_version: Some(3),
        attributes: vec![("n".into(), "[1,2]".into()), ("slot_types".into(), r#"{"m":"mt"}"#.into())],
        slots: vec![Slot { role: "m".into(), body: Body::Content(b"sc".to_vec()) }],
        ..Record::new("Q1", Body::Content(b"body".to_vec()), record.place.clone())
    };
    assert_eq!(record, expected);
}

#[test]
fn other_orders_white_space_and_escapes_are_accepted_and_written_canonically() {
    assert_eq!(
        canonical(
            " {\t\"content\" : \"\\u0041\\/\\u00e9\\u001F\\ud83d\\ude00\" , \"z\" : { \"b\" : 1 , \"a\" : [ ] } , \"comment\":\"\\u000a\", \"a\\u0062\" : 1.0 ,\"rev\":7, \"entity\" : \"\\u0051\" , \"bot\":false,\"minor\": false ,\"ts\":1.50, \"deleted\":false }\r"
        ),
        "{\"entity\":\"Q\",\"rev\":7,\"ts\":1.5,\"comment\":\"\\n\",\"ab\":1.0,\"z\":{\"b\":1,\"a\":[]},\"content\":\"A/é\\u001f😀\"}"
    );
    assert_eq!(canonical(&with(r#""content_base64":"YWJj""#)), with(r#""content":"abc""#));
    assert_eq!(canonical(&with(r#""content_base64":"/w""#)), with(r#""content_base64":"/w==""#));
    assert_eq!(
        canonical(r#"{"entity_base64":"UTE=","rev":1,"withheld":true}"#),
        r#"{"entity":"Q1","rev":1,"withheld":true}"#
    );
    assert_eq!(
        canonical(&with(r#""slots":{"b":{"content":"","type":"x"},"a":{"hidden":true}},"content":"""#)),
        with(r#""slots":{"a":{"hidden":true},"b":{"type":"x","content":""}},"content":"""#)
    );
    assert_eq!(canonical(&with(r#""ts":-0.0,"content":"""#)), with(r#""ts":0,"content":"""#));
}

#[test]
fn faults_are_refused_with_their_byte() {
    let head = "{\"entity\":\"e\",\"rev\":1,".len() as u64;
    let at = |rest: &str, byte: u64, reason: &str| {
        let (found, words) = fault(with(rest));
        assert_eq!(found, head + byte, "{rest}: {words}");
        assert!(words.contains(reason), "{rest}: {words}");
    };
    at(r#""content":"ab\ud800""#, 14, "lone surrogate");
    at(r#""content":"ab\udc00\ud800""#, 14, "lone surrogate");
    at(r#""content":"","x":"\ud800""#, 19, "lone surrogate");
    at(r#""content":"","x":[NaN]"#, 19, "NaN");
    at(r#""ts":NaN,"content":"""#, 6, "NaN");
    at(r#""ts":-Infinity,"content":"""#, 7, "found Infinity");
    at(r#""ts":1e9,"content":"""#, 6, "exponent");
    at(r#""ts":0.0000001,"content":"""#, 6, "six decimals");
    at(r#""ts":"2024-01-01","content":"""#, 6, "expected a number, found a string");
    at(r#""content":"","content":"""#, 14, "only one of");
    at(r#""content":"","deleted":true"#, 14, "only one of");
    at(r#""a":1,"content":"","a":2"#, 20, "\"a\" stands here twice");
    at(r#""a":{"b":1,"b":2},"content":"""#, 12, "\"b\" stands here twice");
    at(r#""rev":1,"content":"""#, 1, "\"rev\" stands here twice");
    at(r#""author":null,"content":"""#, 10, "expected a string, found null");
    at(r#""bot":1,"content":"""#, 7, "expected true or false");
    at(r#""tags":"t","content":"""#, 8, "expected '['");
    at(r#""tags":[1],"content":"""#, 9, "expected a string");
    at(r#""parent":-1,"content":"""#, 10, "not an integer");
    at(r#""parent":1.0,"content":"""#, 10, "not an integer");
    at(r#""origin_id":18446744073709551616,"content":"""#, 13, "not an integer");
    at(r#""author":"a","author_withheld":true,"content":"""#, 14, "either told");
    at(r#""content_base64":"a""#, 18, "not base64");
    at(r#""content_base64":"/x==""#, 18, "not base64");
    at(r#""slots":{"main":{"content":""}},"content":"""#, 10, "main is the line's own");
    at(r#""slots":{"m":{"deleted":true}},"content":"""#, 10, "not a slot");
    at(r#""slots":{"m":{}},"content":"""#, 10, "a slot needs a content");
    at(r#""slots":{"m":{"content":"","x":1}},"content":"""#, 28, "no key \"x\"");
    at(r#""slots":{"m":{"content":""},"m":{"content":""}},"content":"""#, 29, "\"m\" stands here twice");
    at("\"content\":\"a\tb\"", 13, "control character");
}

#[test]
fn what_a_whole_line_lacks_is_told_at_its_start() {
    for (text, reason) in [
        (r#"{"rev":1,"content":""}"#, "no entity"),
        (r#"{"entity":"e","content":""}"#, "no rev"),
        (r#"{"entity":"e","rev":1}"#, "no content"),
        (r#"{"entity":"e","rev":1,"content_base64":"","deleted":false,"hidden":false}"#, ""),
    ] {
        match parse(text) {
            Ok(_) => assert!(reason.is_empty()),
            Err(reject) => assert!(reject.reason.contains(reason) && reject.place.byte == 1, "{reject}"),
        }
    }
    assert_eq!(fault(r#"{"entity":"e","rev":0,"content":""}"#).0, 21);
    assert_eq!(fault(r#"{"entity":"e","rev":9223372036854775808,"content":""}"#).0, 21);
    assert_eq!(fault(r#"{"entity":"","rev":1,"content":""}"#).0, 2);
    assert_eq!(fault(format!("{{\"entity\":\"{}\",\"rev\":1,\"content\":\"\"}}", "x".repeat(513))).0, 2);
    assert_eq!(fault(b"{\"entity\":\"\xff\",\"rev\":1,\"content\":\"\"}").0, 12);
    assert_eq!(fault("[]").0, 1);
    assert_eq!(fault("{").0, 2);
    assert_eq!(fault(r#"{"entity":"e","rev":1,"content":""} x"#).0, 37);
    assert_eq!(parse(r#"{"entity":"e","rev":0}"#).unwrap_err().entity, Some(b"e".to_vec()));
}

#[test]
fn appended_lines_need_no_number() {
    let mut reader =
        reader(r#"{"entity":"e","content":"x"}"#, Options { append: true, ..Options::default() });
    let record = reader.next().unwrap().unwrap();
    assert_eq!((record.rev, record.parent), (None, None));
    assert_eq!(written(&record), r#"{"entity":"e","content":"x"}"#);
}

#[test]
fn a_bad_line_is_rejected_with_its_place_and_the_next_one_read() {
    let text = "\u{feff}{\"entity\":\"a\",\"rev\":1,\"content\":\"1\"}\r\n\n  \nno\n{\"entity\":\"b\",\"rev\":1,\"content\":\"\\ud800\"}\n{\"entity\":\"c\",\"rev\":1,\"content\":\"3\"}";
    let mut reader = reader(text, Options::default());
    assert_eq!(reader.next().unwrap().unwrap().entity, b"a");
    let places: Vec<String> = (0..2)
        .map(|_| match reader.next() {
            Err(ReadError::Reject(reject)) => {
                assert_eq!(
                    text.as_bytes()[reject.place.offset as usize],
                    if reject.entity.is_some() { b'\\' } else { b'n' }
                );
                reject.to_string()
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        places,
        [
            "some.jsonl: line 4, byte 1: expected '{', found no",
            "some.jsonl: line 5, byte 34: b: a lone surrogate is not a character"
        ]
    );
    let last = reader.next().unwrap().unwrap();
    assert_eq!((last.entity.as_slice(), last.place.line, last.place.ordinal), (&b"c"[..], 6, 3));
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.ordinal(), 4);
}

#[test]
fn a_line_too_long_is_passed_over_in_bounded_memory() {
    let long = format!("{{\"entity\":\"e\",\"rev\":1,\"content\":\"{}\"}}\n", "x".repeat(100_000));
    let good = "{\"entity\":\"e\",\"rev\":2,\"content\":\"x\"}";
    let options = Options { line_len_max: 1000, ..Options::default() };
    let mut reader = reader(format!("{long}{long}{good}"), options);
    for line in 1..=2 {
        match reader.next() {
            Err(ReadError::Reject(reject)) => {
                assert_eq!(
                    (reject.place.line, reject.reason.as_str()),
                    (line, "a line of more than 1000 bytes")
                );
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(reader.next().unwrap().unwrap().rev, Some(2));
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn contents_beyond_the_limit_are_rejected_one_by_one_and_together() {
    let options = Options { content_len_max: 10, ..Options::default() };
    let parse = |text: String| parse_line(text.as_bytes(), Place::start(&Arc::from("x")), &options);
    assert!(parse(with(r#""content":"0123456789""#)).is_ok());
    assert!(parse(with(r#""content":"0123456789a""#)).is_err());
    assert!(parse(with(r#""slots":{"a":{"content":"01234"}},"content":"01234""#)).is_ok());
    assert!(parse(with(r#""slots":{"a":{"content":"01234"}},"content":"012345""#)).is_err());
}

#[test]
fn skipping_goes_on_where_reading_stopped() {
    let text: String =
        (1..=9).map(|n| format!("{{\"entity\":\"e\",\"rev\":{n},\"content\":\"\"}}\n\n")).collect();
    let mut reader = reader(text, Options::default());
    assert_eq!(reader.skip(4).unwrap(), 4);
    let record = reader.next().unwrap().unwrap();
    assert_eq!((record.rev, record.place.ordinal, reader.ordinal()), (Some(5), 4, 5));
    assert_eq!(reader.skip(10).unwrap(), 4);
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn a_cut_off_compressed_file_is_fatal_after_its_whole_lines_and_stays_so() {
    let text: String = (1..=20_000)
        .map(|n| format!("{{\"entity\":\"e\",\"rev\":{n},\"content\":\"{}\"}}\n", n * n))
        .collect();
    let bytes = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let mut reader = reader(&bytes[..bytes.len() / 2], Options::default());
    let mut count = 0;
    let fatal = loop {
        match reader.next() {
            Ok(Some(record)) => {
                count += 1;
                assert_eq!(record.rev, Some(count));
            }
            Err(ReadError::Fatal(fatal)) => break fatal,
            other => panic!("{other:?}"),
        }
    };
    assert!(count > 0 && fatal.reason.contains("ends early"), "{fatal}");
    assert_eq!(fatal.place.line, count + 1);
    assert!(matches!(reader.next(), Err(ReadError::Fatal(_))));
}

#[test]
fn what_a_line_cannot_hold_is_refused_by_name() {
    let base = || parse(with(r#""content":"x""#)).unwrap();
    let refused = |record: Record| line(&record, &mut Vec::new()).unwrap_err().what;
    let with_attribute =
        |name: &str, value: &str| Record { attributes: vec![(name.into(), value.into())], ..base() };
    assert!(refused(with_attribute("rev", "1")).contains("\"rev\""));
    assert!(refused(with_attribute("tags", "[1]")).contains("\"tags\""));
    assert!(refused(with_attribute("x", "plain text")).contains("not JSON"));
    assert!(refused(with_attribute("x", "[1, 2]")).contains("not compact"));
    assert!(refused(with_attribute("x", "1,\"rev\":2")).contains("not JSON"));
    assert!(refused(Record { mass: true, ..with_attribute("mass", "true") }).contains("twice"));
    assert!(
        refused(Record { author: "a".into(), ..with_attribute("author_hidden", "true") })
            .contains("contradicts")
    );
    let slot = |role: &str, body| Slot { role: role.into(), body };
    assert!(refused(Record { slots: vec![slot("a", Body::Deleted)], ..base() }).contains("slot"));
    assert!(
        refused(Record { slots: vec![slot("a", Body::Hidden), slot("a", Body::Hidden)], ..base() })
            .contains("roles")
    );
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        Just(Told::Absent),
        any::<String>().prop_map(Told::Text),
        Just(Told::Withheld),
        Just(Told::Hidden),
        Just(Told::Forgotten)
    ]
}

fn slot_body() -> impl Strategy<Value = Body> {
    prop_oneof![
        any::<String>().prop_map(|text| Body::Content(text.into_bytes())),
        any::<Vec<u8>>().prop_map(Body::Content),
        Just(Body::Hidden),
        Just(Body::Forgotten),
        Just(Body::Withheld)
    ]
}

prop_compose! {
    fn record()(
        entity in prop_oneof![proptest::collection::vec(any::<u8>(), 1..20), "\\PC{1,20}".prop_map(String::into_bytes)],
        numbers in (1..=i64::MAX as u64, any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<i64>>(), any::<Option<u64>>()),
        author in told(),
        comment in told(),
        flags in any::<(bool, bool, bool)>(),
        tags in proptest::collection::vec(any::<String>(), 0..3),
        content_type in any::<Option<String>>(),
        attributes in proptest::collection::btree_map("x.{0,4}", prop_oneof![Just("1.50e3"), Just("{\"a\":[null,\"\\u00e9\"]}"), Just("true")], 0..4),
        slots in proptest::collection::btree_map("r.{0,3}", slot_body(), 0..3),
        body in prop_oneof![slot_body(), Just(Body::Deleted)],
    ) -> Record {
        Record {
            rev: Some(numbers.0),
            parent: numbers.1,
            origin_id: numbers.2,
            ts_us: numbers.3,
            schema_version: numbers.4,
            author, comment,
            minor: flags.0, bot: flags.1, mass: flags.2,
            tags, content_type,
            attributes: attributes.into_iter().map(|(name, value)| (name, value.into())).collect(),
            slots: slots.into_iter().map(|(role, body)| Slot { role, body }).collect(),
            ..Record::new(entity, body, Place::start(&Arc::from("x")))
        }
    }
}

proptest! {
    #[test]
    fn any_record_comes_back_and_its_line_is_stable(record in record()) {
        let text = written(&record);
        prop_assert!(!text.contains('\n'));
        prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
        let again = parse(&text).unwrap();
        prop_assert_eq!(&again, &record);
        prop_assert_eq!(written(&again), text);
    }

    #[test]
    fn any_bytes_give_a_record_or_a_reject_inside_the_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Err(reject) = parse(&bytes) {
            prop_assert!(reject.place.byte <= bytes.len() as u64 + 1);
        }
    }

    #[test]
    fn a_damaged_line_never_panics_and_what_is_accepted_is_stable(at in 0usize..300, byte in any::<u8>(), which in 0usize..29) {
        let text = include_str!("../../../../../tests/data/canonical.jsonl");
        let mut line = text.lines().nth(which).unwrap().as_bytes().to_vec();
        let at = at % line.len();
        line[at] = byte;
        if let Ok(record) = parse(&line) {
            let text = written(&record);
            prop_assert_eq!(written(&parse(&text).unwrap()), text);
        }
        let _ = parse(&line[..at]);
    }
}
