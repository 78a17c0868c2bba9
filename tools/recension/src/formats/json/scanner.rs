//! The scanner: tokens of one JSON text, in order.

use std::borrow::Cow;
use std::fmt;

use super::DEPTH_MAX;

/// A text is not JSON, or not what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The byte where it goes wrong, from 0.
    pub at: usize,
    /// What is wrong, for people.
    pub reason: Cow<'static, str>,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.at + 1, self.reason)
    }
}

impl std::error::Error for JsonError {}

/// Reads tokens off the front of a text.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

type Result<T> = std::result::Result<T, JsonError>;

impl<'a> Scanner<'a> {
    /// From the start of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// From bytes, if they are UTF-8.
    ///
    /// # Errors
    /// The first byte that is not.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self::new(text)),
            Err(error) => Err(JsonError { at: error.valid_up_to(), reason: "not UTF-8".into() }),
        }
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next byte, white space skipped, without reading it.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Reads a byte of punctuation if it is the next token.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Reads a byte of punctuation.
    ///
    /// # Errors
    /// Another token is next.
    pub fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(&format!("'{}'", char::from(byte)))) }
    }

    /// Nothing but white space is left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_none() { Ok(()) } else { Err(self.unexpected("the end of the line")) }
    }

    /// Reads the next key of an object with its colon, or the end of the object. `first` is true before the first key and is
    /// set to false. Gives the key and the byte where it starts.
    ///
    /// # Errors
    /// Something else is next.
    pub fn next_key(&mut self, first: &mut bool) -> Result<Option<(Cow<'a, str>, usize)>> {
        if self.take(b'}') {
            return Ok(None);
        }
        if !std::mem::take(first) && !self.take(b',') {
            return Err(self.unexpected("',' or '}'"));
        }
        let next = self.peek();
        let start = self.at;
        if next != Some(b'"') {
            return Err(self.unexpected("a key in double quotes"));
        }
        let key = self.string()?;
        self.expect(b':')?;
        Ok(Some((key, start)))
    }

    /// Reads whether a further element of an array follows. `first` as in [`Scanner::next_key`].
    ///
    /// # Errors
    /// Something else is next.
    pub fn next_element(&mut self, first: &mut bool) -> Result<bool> {
        if self.take(b']') {
            return Ok(false);
        }
        if !std::mem::take(first) && !self.take(b',') {
            return Err(self.unexpected("',' or ']'"));
        }
        Ok(true)
    }

    /// Reads a string.
    ///
    /// # Errors
    /// Another token is next, or the string is malformed.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected("a string"));
        }
        let open = self.at;
        self.at += 1;
        let plain = self.run();
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = String::with_capacity(plain.len() * 2 + 16);
        text.push_str(plain);
        loop {
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.error("a control character must be escaped in a string")),
                None => return Err(JsonError { at: open, reason: "a string without end".into() }),
            }
            text.push_str(self.run());
        }
    }

    /// Reads a string without keeping it; gives its source with the quotes.
    pub(super) fn skip_string(&mut self) -> Result<&'a str> {
        let open = self.at;
        self.at += 1;
        loop {
            self.run();
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.text.get(open..self.at).unwrap_or_default());
                }
                Some(b'\\') => {
                    self.escape()?;
                }
                Some(_) => return Err(self.error("a control character must be escaped in a string")),
                None => return Err(JsonError { at: open, reason: "a string without end".into() }),
            }
        }
    }

    /// The source of the string that starts at a byte, with the quotes.
    pub(super) fn string_at(&self, at: usize) -> Result<&'a str> {
        Self { text: self.text, at }.skip_string()
    }

    /// Reads a number; gives its source.
    ///
    /// # Errors
    /// Another token is next, or it is not a JSON number.
    pub fn number(&mut self) -> Result<&'a str> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.unexpected("a number"));
        }
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        if self.byte() == Some(b'0') {
            self.at += 1;
            if matches!(self.byte(), Some(b'0'..=b'9')) {
                return Err(self.error("a number must not start with 0"));
            }
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    fn digits(&mut self) -> Result<()> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected("a digit")) } else { Ok(()) }
    }

    /// Reads a number that is written as an integer from 0.
    ///
    /// # Errors
    /// It is something else or too large.
    pub fn unsigned(&mut self) -> Result<u64> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.unexpected("an integer"));
        }
        let start = self.at;
        let token = self.number()?;
        token.parse().map_err(|_| JsonError {
            at: start,
            reason: format!("{token} is not an integer from 0 to {}", u64::MAX).into(),
        })
    }

    /// Reads `true` or `false`.
    ///
    /// # Errors
    /// Another token is next.
    pub fn boolean(&mut self) -> Result<bool> {
        match self.peek() {
            Some(b't') => self.word("true").map(|_| true),
            Some(b'f') => self.word("false").map(|_| false),
            _ => Err(self.unexpected("true or false")),
        }
    }

    pub(super) fn word(&mut self, word: &'static str) -> Result<&'static str> {
        if self.rest().starts_with(word) {
            self.at += word.len();
            return Ok(word);
        }
        Err(self.unexpected(word))
    }

    /// Reads any value without keeping it.
    ///
    /// # Errors
    /// It is not JSON or nested too deeply.
    pub fn skip(&mut self) -> Result<()> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: u32) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.too_deep());
        }
        match self.peek() {
            Some(b'"') => self.skip_string().map(drop),
            Some(b'{') => {
                self.at += 1;
                let mut first = true;
                while !self.take(b'}') {
                    if !std::mem::take(&mut first) && !self.take(b',') {
                        return Err(self.unexpected("',' or '}'"));
                    }
                    if self.peek() != Some(b'"') {
                        return Err(self.unexpected("a key in double quotes"));
                    }
                    self.skip_string()?;
                    self.expect(b':')?;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            Some(b'[') => {
                self.at += 1;
                let mut first = true;
                while self.next_element(&mut first)? {
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            _ => self.scalar().map(drop),
        }
    }

    /// Reads a number, `true`, `false` or `null`; gives its source.
    pub(super) fn scalar(&mut self) -> Result<&'a str> {
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn escape(&mut self) -> Result<char> {
        let start = self.at;
        self.at += 1;
        let char = match self.byte() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode(start);
            }
            _ => return Err(JsonError { at: start, reason: "an escape that JSON does not have".into() }),
        };
        self.at += 1;
        Ok(char)
    }

    fn unicode(&mut self, start: usize) -> Result<char> {
        let lone = || JsonError { at: start, reason: "a lone surrogate is not a character".into() };
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.rest().starts_with("\\u") {
                    return Err(lone());
                }
                self.at += 2;
                let second = self.hex()?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(lone());
                }
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(lone)
    }

    fn hex(&mut self) -> Result<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let Some(code) = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, &byte| Some(code << 4 | char::from(byte).to_digit(16)?))
        }) else {
            return Err(self.error("four hexadecimal digits must follow \\u"));
        };
        self.at += 4;
        Ok(code)
    }

    fn run(&mut self) -> &'a str {
        let start = self.at;
        let len = self.text.as_bytes().get(start..).map_or(0, plain_run);
        self.at += len;
        // Runs start and end beside ASCII bytes, so on character boundaries.
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn too_deep(&self) -> JsonError {
        self.error(format!("nested more than {DEPTH_MAX} deep"))
    }

    /// An error here.
    pub fn error(&self, reason: impl Into<Cow<'static, str>>) -> JsonError {
        JsonError { at: self.at, reason: reason.into() }
    }

    fn unexpected(&self, wanted: &str) -> JsonError {
        let found = match self.rest().chars().next() {
            None => "the end".to_owned(),
            Some('"') => "a string".to_owned(),
            Some('{') => "an object".to_owned(),
            Some('[') => "an array".to_owned(),
            Some(c) if c.is_alphanumeric() || c == '-' => {
                let word: String = self
                    .rest()
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || "+-.".contains(*c))
                    .take(20)
                    .collect();
                match word.as_str() {
                    "NaN" | "Infinity" | "-Infinity" | "-NaN" => format!("{word}, which is not JSON"),
                    _ => word,
                }
            }
            Some(c) => format!("{c:?}"),
        };
        self.error(format!("expected {wanted}, found {found}"))
    }
}

/// How many bytes at the front can stand in a JSON string as they are.
///
/// Eight bytes at a time: a byte below 0x20 or equal to a quote or a backslash leaves its highest bit set in `hits`. Borrows can
/// mark bytes *above* a hit falsely, never below one, so the lowest mark is right.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5c);
        let control = word.wrapping_sub(ONES * 0x20) & !word;
        let hits = (control | quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash)
            & (ONES * 0x80);
        if hits != 0 {
            return i * 8 + (hits.trailing_zeros() / 8) as usize;
        }
    }
    let in_tail =
        tail.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(tail.len());
    bytes.len() - tail.len() + in_tail
}
