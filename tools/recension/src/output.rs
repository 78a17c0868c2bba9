//! Standard output: text for people, or one JSON object a line.

use std::io::{self, BufWriter, StdoutLock, Write};

use base64::Engine;

use crate::args::{ColorChoice, Global};
use crate::exit::{self, Outcome};
use crate::formats::json::quote;

/// Standard output. A reader that went away ends the command quietly.
pub struct Out {
    inner: BufWriter<StdoutLock<'static>>,
    color: bool,
}

impl Out {
    /// Buffered; colours as asked for.
    pub fn new(global: &Global) -> Self {
        let color = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            // Looks at NO_COLOR, CLICOLOR, TERM and whether this is a terminal.
            ColorChoice::Auto => anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
        };
        Self { inner: BufWriter::with_capacity(64 << 10, io::stdout().lock()), color }
    }

    /// Whether colours are wanted.
    pub fn color(&self) -> bool {
        self.color
    }

    /// A line.
    pub fn line(&mut self, text: &str) -> Outcome {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// An object as a line.
    pub fn object(&mut self, object: &Object) -> Outcome {
        self.line(&object.finish())
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.inner.write_all(bytes).map_err(exit::output)
    }

    /// Hands over what is buffered.
    pub fn flush(&mut self) -> Outcome {
        self.inner.flush().map_err(exit::output)
    }

    /// For writers of formats.
    pub fn writer(&mut self) -> &mut impl Write {
        &mut self.inner
    }
}

/// A JSON object in the making, keys in the order given.
#[derive(Clone, Debug, Default)]
pub struct Object(Vec<u8>);

impl Object {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        quote(key, &mut self.0);
        self.0.push(b':');
        &mut self.0
    }

    /// A text.
    pub fn text(&mut self, key: &str, value: &str) -> &mut Self {
        quote(value, self.key(key));
        self
    }

    /// Text, or `KEY_base64` if the bytes are not UTF-8.
    pub fn bytes(&mut self, key: &str, value: &[u8]) -> &mut Self {
        match std::str::from_utf8(value) {
            Ok(text) => self.text(key, text),
            Err(_) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(value);
                self.text(&format!("{key}_base64"), &encoded)
            }
        }
    }

    /// The name of an entity, as in JSON lines.
    pub fn entity(&mut self, entity: &[u8]) -> &mut Self {
        self.bytes("entity", entity)
    }

    /// A number.
    pub fn number(&mut self, key: &str, value: u64) -> &mut Self {
        self.raw(key, &value.to_string())
    }

    /// A number with two decimals; `null` if it is none.
    pub fn float(&mut self, key: &str, value: f64) -> &mut Self {
        match value.is_finite() {
            true => self.raw(key, &format!("{value:.2}")),
            false => self.raw(key, "null"),
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &str, value: bool) -> &mut Self {
        self.raw(key, if value { "true" } else { "false" })
    }

    /// `true`, or nothing.
    pub fn flag(&mut self, key: &str, value: bool) -> &mut Self {
        match value {
            true => self.boolean(key, true),
            false => self,
        }
    }

    /// An array of texts.
    pub fn texts<'a>(&mut self, key: &str, values: impl IntoIterator<Item = &'a str>) -> &mut Self {
        let out = self.key(key);
        out.push(b'[');
        for (i, value) in values.into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            quote(value, out);
        }
        out.push(b']');
        self
    }

    /// An object inside.
    pub fn object(&mut self, key: &str, value: &Object) -> &mut Self {
        let value = value.finish();
        self.raw(key, &value)
    }

    /// A value that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) -> &mut Self {
        self.key(key).extend_from_slice(json.as_bytes());
        self
    }

    /// The object's text.
    pub fn finish(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.0).into_owned();
        text.push_str(if text.is_empty() { "{}" } else { "}" });
        text
    }
}

/// Bytes with a unit: `0 B`, `1.5 KiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 1023.95 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A number with its digits in groups of three: `10 301`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// `1 revision`, `2 revisions`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(n), if n == 1 { one } else { many })
}
