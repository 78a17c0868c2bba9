//! Times: from arguments, for people and for programs.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use recension::{AsOf, Timestamp};

use crate::args::Global;

/// A point in a store's past: an integer is a sequence number, `@SECS` or RFC 3339 a time, a bare date its first instant in UTC.
///
/// # Errors
/// Why it is none of these.
pub fn parse_as_of(text: &str) -> Result<AsOf, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let sequence = text.parse().map_err(|_| format!("{text} is too large for a sequence number"))?;
        return Ok(AsOf::Sequence(sequence));
    }
    parse_time(text).map(AsOf::EffectiveTime)
}

/// A time: `@SECS`, RFC 3339 with an offset, or a date (its first instant in UTC).
///
/// # Errors
/// Why it is none of these.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    if let Some(secs) = text.strip_prefix('@') {
        let well_formed = secs.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit());
        let parsed =
            if well_formed { crate::formats::jsonl::timestamp::parse(secs) } else { Err("not a number") };
        return parsed.map(Timestamp).map_err(|why| format!("{text} is not a time in seconds: {why}"));
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == "2024-01-31".len()
    {
        let start = date
            .to_zoned(TimeZone::UTC)
            .map_err(|_| format!("{text} is out of range: the last date is 9999-12-30"))?;
        return Ok(Timestamp(start.timestamp().as_microsecond()));
    }
    match text.parse::<jiff::Timestamp>() {
        Ok(time) => Ok(Timestamp(time.as_microsecond())),
        Err(_) => Err(format!(
            "{text:?} is not a time: write @SECONDS, a date such as 2024-01-31, or a date and time with its offset, such as \
             2024-01-31T12:00:00Z"
        )),
    }
}

/// A time for people: local, or UTC with a `Z`.
pub fn shown(time: Timestamp, global: &Global) -> String {
    let Ok(at) = jiff::Timestamp::from_microsecond(time.as_micros()) else { return seconds(time) };
    let zone = if global.utc { TimeZone::UTC } else { TimeZone::system() };
    let text = at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S").to_string();
    if global.utc { text + "Z" } else { text }
}

/// A time for programs: RFC 3339 in UTC; beyond the year 9999 `@SECS`, which is read back as well.
pub fn rfc3339(time: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(time.as_micros()) {
        Ok(at) => at.to_string(),
        Err(_) => seconds(time),
    }
}

fn seconds(time: Timestamp) -> String {
    format!("@{}", crate::formats::jsonl::timestamp::format(time.as_micros()))
}
