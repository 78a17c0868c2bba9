//! Times as MediaWiki and Wikibase write them: `2014-02-19T23:34:16Z`.

/// Parses; gives microseconds since 1970 UTC.
///
/// # Errors
/// It is not such a time, or finer than a microsecond.
pub fn parse(text: &str) -> Result<i64, String> {
    let time: jiff::Timestamp =
        text.trim_ascii().parse().map_err(|_| format!("{text:?} is not a time like 2014-02-19T23:34:16Z"))?;
    if time.subsec_nanosecond() % 1000 != 0 {
        return Err(format!("{text:?} is finer than a microsecond"));
    }
    Ok(time.as_microsecond())
}

/// Writes whole seconds; `None` for years that four digits cannot hold.
pub fn format(micros: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(micros.div_euclid(1_000_000)).ok()?;
    let text = time.to_string();
    (text.len() == 20).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2014-02-19T23:34:16Z", 1_392_852_856_000_000),
            ("1969-12-31T23:59:59Z", -1_000_000),
        ] {
            assert_eq!(parse(text), Ok(micros));
            assert_eq!(format(micros).as_deref(), Some(text));
        }
        assert_eq!(format(1_392_852_856_999_999).as_deref(), Some("2014-02-19T23:34:16Z"));
        assert_eq!(parse("2014-02-19T23:34:16.25Z"), Ok(1_392_852_856_250_000));
        assert_eq!(format(i64::MAX), None);
        assert_eq!(format(i64::MIN), None);
    }

    #[test]
    fn other_things_are_refused() {
        for text in [
            "",
            "2014-02-19",
            "2014-02-30T00:00:00Z",
            "2014-02-19T23:34:16",
            "2014-02-19T23:34:16.0000001Z",
            "x",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
