//! Times as decimal seconds.

/// Parses the source of a JSON number as seconds; gives microseconds.
///
/// # Errors
/// Why it is not a time: an exponent, more than six decimals, or out of range.
pub fn parse(token: &str) -> Result<i64, &'static str> {
    if token.contains(['e', 'E']) {
        return Err("a time is written without an exponent");
    }
    let (negative, digits) = match token.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, token),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 6 {
        return Err("a time has at most six decimals");
    }
    let number = |text: &str| {
        text.bytes().try_fold(0i64, |n, digit| match digit {
            b'0'..=b'9' => n.checked_mul(10)?.checked_sub(i64::from(digit - b'0')),
            _ => None,
        })
    };
    // Built downwards, since the least value has no positive counterpart.
    let micros = number(whole)
        .and_then(|secs| secs.checked_mul(1_000_000))
        .and_then(|us| us.checked_add(number(&format!("{fraction:0<6}"))?))
        .and_then(|us| if negative { Some(us) } else { us.checked_neg() });
    micros.ok_or("a time out of range")
}

/// Microseconds as decimal seconds: an integer or at most six decimals without trailing zeros.
pub fn format(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (secs, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    match fraction {
        0 => format!("{sign}{secs}"),
        _ => format!("{sign}{secs}.{fraction:06}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_exact() {
        for (text, micros) in [
            ("0", 0),
            ("1700000000", 1_700_000_000_000_000),
            ("1.5", 1_500_000),
            ("0.000001", 1),
            ("-0.5", -500_000),
            ("-1.25", -1_250_000),
            ("1700000000.123456", 1_700_000_000_123_456),
        ] {
            assert_eq!(parse(text), Ok(micros), "{text}");
            assert_eq!(format(micros), text);
        }
        assert_eq!(parse("1.500000000"), Ok(1_500_000));
        assert_eq!(parse("-0"), Ok(0));
    }

    #[test]
    fn exponents_further_decimals_and_overflows_are_refused() {
        for text in ["1e9", "1E0", "0.0000001", "9223372036854.775808", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_comes_back(micros in any::<i64>()) {
            prop_assert_eq!(parse(&format(micros)), Ok(micros));
        }
    }
}
