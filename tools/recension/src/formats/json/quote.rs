//! Strings written canonically: `\" \\ \b \f \n \r \t`, other control characters as `\u00xx` in lower case, the rest raw.

use super::scanner::plain_run;

/// Appends a string in quotes.
pub fn quote(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, behind) = rest.split_at(plain_run(rest));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = behind.split_first() else { break };
        rest = behind;
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.push(b'"');
}

/// A string in quotes.
pub fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    quote(text, &mut out);
    // Whole runs of `text` and ASCII were put together: this cannot lose anything.
    String::from_utf8(out).unwrap_or_default()
}
