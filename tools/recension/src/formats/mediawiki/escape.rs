//! Text as XML holds it.

/// The first character of a text that XML 1.0 cannot hold in any way, with its byte.
pub(super) fn forbidden(text: &str) -> Option<(usize, char)> {
    let suspicious = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r') || byte == 0xef;
    if !text.bytes().any(suspicious) {
        return None;
    }
    text.char_indices().find(|(_, c)| {
        matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
    })
}

/// Appends a text between tags. A carriage return is written by number, since a parser makes a raw one a line feed.
pub(super) fn text(text: &str, out: &mut Vec<u8>) {
    escape(text, out, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'\r' => Some("&#13;"),
        _ => None,
    });
}

/// Appends the value of an attribute. A parser makes raw white space in it a space.
pub(super) fn attribute(text: &str, out: &mut Vec<u8>) {
    escape(text, out, |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\r' => Some("&#13;"),
        b'\n' => Some("&#10;"),
        b'\t' => Some("&#9;"),
        _ => None,
    });
}

fn escape(text: &str, out: &mut Vec<u8>, reference: impl Fn(u8) -> Option<&'static str>) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if let Some(reference) = reference(byte) {
            out.extend_from_slice(bytes.get(plain..i).unwrap_or_default());
            out.extend_from_slice(reference.as_bytes());
            plain = i + 1;
        }
    }
    out.extend_from_slice(bytes.get(plain..).unwrap_or_default());
}
