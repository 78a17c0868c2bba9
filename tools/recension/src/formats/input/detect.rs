//! What an input is, by its first bytes.

use std::io;

use super::{Compression, Format};
use crate::formats::json::Scanner;

/// The compression, by magic number. bzip2's has only three bytes and a digit, so that of its first block counts too.
pub(super) fn compression(head: &[u8]) -> io::Result<Compression> {
    let block = |head: &[u8]| {
        matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..]
            if rest.starts_with(&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59]) || rest.starts_with(&[0x17, 0x72, 0x45, 0x38, 0x50, 0x90]))
    };
    let archive = |what: &str| {
        let reason =
            format!("this is a {what} archive: unpack it and give its contents, or pipe them in with -");
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    };
    match head {
        [0x1f, 0x8b, 8, ..] => Ok(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Compression::Xz),
        _ if block(head) => Ok(Compression::Bzip2),
        [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => archive("7z"),
        [b'P', b'K', 3, 4, ..] => archive("zip"),
        _ => Ok(Compression::Plain),
    }
}

/// The format, by the first bytes of the text. An empty text is JSON lines without a line.
pub(super) fn format(head: &[u8]) -> Option<Format> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match text.first() {
        None => Some(Format::JsonLines),
        Some(b'<') => Some(Format::MediaWiki),
        Some(b'[') => Some(Format::Wikidata),
        Some(b'{') => Some(object(text)),
        _ => None,
    }
}

/// Objects without an array around them: JSON lines, unless the first one looks like a Wikibase entity (what filters of a dump
/// write). It does if it has an `id` and a part of entities, and no `entity`; a redirect has `entity` and `redirect`.
fn object(text: &[u8]) -> Format {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or(text);
    let whole = match std::str::from_utf8(line) {
        Ok(line) => line,
        Err(error) => {
            std::str::from_utf8(line.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
    };
    let mut scanner = Scanner::new(whole);
    let mut keys = Vec::new();
    let mut first = true;
    scanner.take(b'{');
    // The text may be cut off anywhere: what was seen till then decides.
    while let Ok(Some((key, _))) = scanner.next_key(&mut first) {
        keys.push(key);
        if scanner.skip().is_err() {
            break;
        }
    }
    let has = |name: &str| keys.iter().any(|key| key == name);
    if has("rev") || has("entity_base64") {
        return Format::JsonLines;
    }
    let parts = ["labels", "descriptions", "claims", "statements", "sitelinks", "lemmas", "lastrevid"];
    let entity = has("id") && !has("entity") && parts.into_iter().any(has);
    let redirect = has("entity") && has("redirect") && !has("content") && !has("content_base64");
    if entity || redirect { Format::Wikidata } else { Format::JsonLines }
}
