//! Lines of bounded length, with their places.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use super::{Fatal, Place};

/// Memory kept from line to line, bytes.
const KEPT_LEN: usize = 4 << 20;

/// Reads lines and counts.
pub(super) struct Lines {
    input: Box<dyn BufRead + Send>,
    file: Arc<str>,
    len_max: usize,
    line: u64,
    offset: u64,
    next: u64,
    text: Vec<u8>,
    ended: bool,
}

/// A line, as far as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// It is in [`Lines::text`].
    Whole,
    /// It was longer than allowed and was passed over.
    TooLong,
}

impl Lines {
    pub fn new(input: Box<dyn BufRead + Send>, file: Arc<str>, len_max: usize) -> Self {
        Self { input, file, len_max, line: 0, offset: 0, next: 0, text: Vec::new(), ended: true }
    }

    /// Reads the next line; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        self.line += 1;
        self.offset = self.next;
        self.text.clear();
        // One huge line must not hold its memory for the rest of the file.
        self.text.shrink_to(KEPT_LEN);
        let mut limited = (&mut self.input).take(self.len_max as u64 + 1);
        let len = limited.read_until(b'\n', &mut self.text)?;
        self.next += len as u64;
        if len == 0 {
            return Ok(None);
        }
        self.ended = self.text.last() == Some(&b'\n');
        if self.ended {
            self.text.pop();
        } else if len > self.len_max {
            self.next += self.input.skip_until(b'\n')? as u64;
            self.text.clear();
            return Ok(Some(Line::TooLong));
        }
        if self.line == 1 && self.text.starts_with(b"\xef\xbb\xbf") {
            // A byte order mark is no part of the text; spaces keep the places right.
            self.text[..3].fill(b' ');
        }
        Ok(Some(Line::Whole))
    }

    /// The line, without its end.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether it had an end of its own, not that of the file.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether it holds anything but white space.
    pub fn is_blank(&self) -> bool {
        self.text.iter().all(u8::is_ascii_whitespace)
    }

    /// The place of a byte of it.
    pub fn place(&self, at: usize, ordinal: u64) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line.max(1),
            byte: at as u64 + 1,
            offset: self.offset + at as u64,
            ordinal,
        }
    }

    /// A failed read.
    pub fn fatal(&self, error: io::Error, ordinal: u64) -> Fatal {
        let mut place = self.place(0, ordinal);
        place.offset = self.next.max(place.offset);
        Fatal::io(place, error)
    }
}
