use proptest::prelude::*;

use super::*;

fn compact(text: &str) -> Result<String, JsonError> {
    let mut scanner = Scanner::new(text);
    let token = scanner.compact()?;
    scanner.end()?;
    Ok(token.into())
}

fn fault(text: &str) -> (usize, String) {
    let error = compact(text).expect_err(text);
    (error.at, error.reason.into_owned())
}

#[test]
fn a_compact_token_keeps_numbers_and_strings_as_written() {
    let source = " { \"a\" : [ 1.50e+3 , -0 , \"\\u00e9\\/\" ] ,\t\"\\u0062\":{ } , \"c\" : [ ] , \"d\":[[],[true,false,null]] } ";
    assert_eq!(
        compact(source).unwrap(),
        r#"{"a":[1.50e+3,-0,"\u00e9\/"],"\u0062":{},"c":[],"d":[[],[true,false,null]]}"#
    );
}

#[test]
fn strings_are_unescaped() {
    let text = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 z""#;
    assert_eq!(Scanner::new(text).string().unwrap(), "a\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600} z");
    assert!(matches!(Scanner::new(r#""plain""#).string(), Ok(std::borrow::Cow::Borrowed("plain"))));
}

#[test]
fn faults_name_their_byte() {
    assert_eq!(fault(r#"["a\ud800b"]"#), (3, "a lone surrogate is not a character".into()));
    assert_eq!(fault(r#"["\ude00"]"#).0, 2);
    assert_eq!(fault(r#"["\ud800\u0041"]"#).0, 2);
    assert_eq!(fault("[1,NaN]"), (3, "expected a value, found NaN, which is not JSON".into()));
    assert_eq!(fault("[-Infinity]").0, 2);
    assert_eq!(fault(r#"{"a":1,"b":2,"\u0061":3}"#), (13, "the key \"a\" stands here twice".into()));
    assert_eq!(fault(r#"{"x":{"a":1,"a":2}}"#).0, 12);
    assert_eq!(fault("[01]").0, 2);
    assert_eq!(fault("[1.]").0, 3);
    assert_eq!(fault("[1e]").0, 3);
    assert_eq!(fault("[1,]").0, 3);
    assert_eq!(fault("{\"a\"}").0, 4);
    assert_eq!(fault("{\"a\":1,}").0, 7);
    assert_eq!(fault("\"a\nb\"").0, 2);
    assert_eq!(fault("\"abc").0, 0);
    assert_eq!(fault("[1] 2").0, 4);
    assert_eq!(fault("").0, 0);
    assert_eq!(fault(r#""\x""#).0, 1);
    assert_eq!(fault(r#""\u12g4""#).0, 3);
    assert_eq!(Scanner::from_bytes(b"\"\xff\"").unwrap_err().at, 1);
}

#[test]
fn nesting_is_bounded() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(compact(&nested(DEPTH_MAX as usize)).is_ok());
    assert!(compact(&nested(100_000)).is_err());
    assert!(Scanner::new(&nested(100_000)).skip().is_err());
}

#[test]
fn quoting_is_canonical() {
    assert_eq!(
        quoted("\u{8}\u{c}\n\r\t\"\\\0\u{1f}\u{7f}é/\u{1f600}"),
        "\"\\b\\f\\n\\r\\t\\\"\\\\\\u0000\\u001f\u{7f}é/\u{1f600}\""
    );
}

proptest! {
    #[test]
    fn quoted_text_comes_back(text in any::<String>()) {
        let quoted = quoted(&text);
        prop_assert_eq!(Scanner::new(&quoted).string().unwrap(), text.as_str());
        prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }

    #[test]
    fn plain_runs_end_where_a_plain_loop_says(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'\\'), any::<u8>(), Just(b'a'), Just(b'b'), Just(0x80)], 0..64)) {
        let slow = bytes.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').unwrap_or(bytes.len());
        prop_assert_eq!(super::scanner::plain_run(&bytes), slow);
    }

    #[test]
    fn what_the_scanner_accepts_serde_json_accepts(text in r#"([\[\]{},:"\\ 0-9.eE+-]|true|null|\\u[0-9a-f]{4}|é){0,24}"#) {
        let ours = compact(&text);
        let skipped = { let mut s = Scanner::new(&text); s.skip().and_then(|()| s.end()) };
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&text);
        if let Ok(token) = &ours {
            prop_assert!(theirs.is_ok(), "{}", text);
            prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(token).is_ok());
            prop_assert!(skipped.is_ok());
        } else if skipped.is_ok() {
            prop_assert!(ours.unwrap_err().reason.contains("twice"));
        }
    }
}
