//! The keys that say what a content is, of a line and of a slot.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};

use crate::formats::Body;
use crate::formats::json::{JsonError, Scanner, quote};

/// Padding may be left out when reading; what is written has it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes in base64, from a string token.
pub(super) fn base64(scanner: &mut Scanner<'_>) -> Result<Vec<u8>, JsonError> {
    scanner.peek();
    let at = scanner.position();
    let text = scanner.string()?;
    LENIENT
        .decode(text.as_bytes())
        .map_err(|error| JsonError { at, reason: format!("not base64: {error}").into() })
}

pub(super) fn quote_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
    out.push(b'"');
}

/// Reads the value of a key that says what a content is; false if it is another key.
pub(super) fn read(
    key: &str,
    at: usize,
    scanner: &mut Scanner<'_>,
    body: &mut Option<Body>,
    len_max: usize,
) -> Result<bool, JsonError> {
    let marker = match key {
        "content" => Body::Content(scanner.string().map(Cow::into_owned)?.into_bytes()),
        "content_base64" => Body::Content(base64(scanner)?),
        "deleted" => Body::Deleted,
        "hidden" => Body::Hidden,
        "forgotten" => Body::Forgotten,
        "withheld" => Body::Withheld,
        _ => return Ok(false),
    };
    if !matches!(marker, Body::Content(_)) && !scanner.boolean()? {
        return Ok(true);
    }
    if let Body::Content(bytes) = &marker
        && bytes.len() > len_max
    {
        let reason = format!("a content of {} bytes; at most {len_max} are kept", bytes.len());
        return Err(JsonError { at, reason: reason.into() });
    }
    match body.replace(marker) {
        None => Ok(true),
        Some(_) => Err(JsonError {
            at,
            reason:
                "only one of content, content_base64, deleted, hidden, forgotten and withheld may be given"
                    .into(),
        }),
    }
}

/// Writes key and value.
pub(super) fn write(body: &Body, out: &mut Vec<u8>) {
    let marker: &[u8] = match body {
        Body::Content(bytes) => {
            match std::str::from_utf8(bytes) {
                Ok(text) => {
                    out.extend_from_slice(b"\"content\":");
                    quote(text, out);
                }
                Err(_) => {
                    out.extend_from_slice(b"\"content_base64\":");
                    quote_base64(bytes, out);
                }
            }
            return;
        }
        Body::Deleted => b"\"deleted\":true",
        Body::Hidden => b"\"hidden\":true",
        Body::Forgotten => b"\"forgotten\":true",
        Body::Withheld => b"\"withheld\":true",
    };
    out.extend_from_slice(marker);
}
