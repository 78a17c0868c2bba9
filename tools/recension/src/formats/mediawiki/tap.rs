//! What stands between an input and the XML parser: it counts lines, keeps damaged UTF-8 and endless texts from the parser.
//!
//! The parser gives no lines, stops for good at a byte that is not UTF-8, and holds a whole run of text in memory. So:
//!
//! - bytes that are not UTF-8 are replaced by `?` before the parser sees them, and their places are told, so that the revision
//!   around them is a reject and the dump goes on;
//! - when a run of text is longer than the limit, its further bytes are passed over up to the next `<` or `&`. Nothing is
//!   lost by that which would be kept: the text is too long already. Markup that long is an error.

use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

/// See the module.
pub(super) struct Tap<R> {
    inner: R,
    buf: Vec<u8>,
    at: usize,
    /// Checked bytes; behind them there may be the start of a character.
    checked: usize,
    len: usize,
    ended: bool,
    line: u64,
    byte: u64,
    offset: u64,
    bad: VecDeque<u64>,
    event: Event,
    event_len_max: u64,
}

/// What the parser is reading.
#[derive(Clone, Copy, Debug, Default)]
struct Event {
    start: (u64, u64, u64),
    len: u64,
    in_text: bool,
    clamped: bool,
}

const BUFFER_LEN: usize = 128 << 10;

impl<R: Read> Tap<R> {
    /// Over an input; no event of the parser takes more than `event_len_max` bytes of memory.
    pub fn new(inner: R, event_len_max: u64) -> Self {
        Self {
            inner,
            buf: vec![0; BUFFER_LEN],
            at: 0,
            checked: 0,
            len: 0,
            ended: false,
            line: 1,
            byte: 1,
            offset: 0,
            bad: VecDeque::new(),
            event: Event::default(),
            event_len_max,
        }
    }

    /// Says that the parser is about to read an event.
    ///
    /// # Errors
    /// The input failed.
    pub fn begin_event(&mut self) -> io::Result<()> {
        self.fill()?;
        let first = self.buf.get(self.at..self.checked).unwrap_or_default().first();
        let in_text = !matches!(first, Some(b'<' | b'&'));
        self.event = Event { start: (self.line, self.byte, self.offset), len: 0, in_text, clamped: false };
        Ok(())
    }

    /// Line, byte and offset where the event began.
    pub fn event_start(&self) -> (u64, u64, u64) {
        self.event.start
    }

    /// Line, byte and offset of what comes next.
    pub fn here(&self) -> (u64, u64, u64) {
        (self.line, self.byte, self.offset)
    }

    /// Whether the event's text was longer than allowed, so that it is not whole.
    pub fn was_clamped(&self) -> bool {
        self.event.clamped
    }

    /// Offset of a byte among those read so far that was not UTF-8, if there is one that was not told yet.
    pub fn bad_byte(&mut self) -> Option<u64> {
        let first = *self.bad.front()?;
        if first >= self.offset {
            return None;
        }
        let read = self.bad.partition_point(|&offset| offset < self.offset);
        self.bad.drain(..read);
        Some(first)
    }

    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.buf.capacity() + self.bad.capacity() * 8
    }

    /// Makes sure that there are checked bytes, unless the input has ended.
    fn fill(&mut self) -> io::Result<()> {
        while self.at == self.checked && !(self.ended && self.checked == self.len) {
            self.buf.copy_within(self.checked..self.len, 0);
            self.len -= self.checked;
            (self.at, self.checked) = (0, 0);
            if !self.ended {
                let free = self.buf.get_mut(self.len..).unwrap_or_default();
                match self.inner.read(free) {
                    Ok(0) => self.ended = true,
                    Ok(len) => self.len += len,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(error),
                }
            }
            self.check();
        }
        Ok(())
    }

    /// Replaces what is not UTF-8, except for the start of a character at the end.
    fn check(&mut self) {
        loop {
            let rest = self.buf.get(self.checked..self.len).unwrap_or_default();
            let (valid, bad) = match std::str::from_utf8(rest) {
                Ok(_) => (rest.len(), 0),
                Err(error) => match error.error_len() {
                    Some(len) => (error.valid_up_to(), len),
                    None if self.ended => (error.valid_up_to(), rest.len() - error.valid_up_to()),
                    None => {
                        self.checked += error.valid_up_to();
                        return;
                    }
                },
            };
            self.checked += valid;
            if bad == 0 {
                return;
            }
            // `at` is 0 here: offsets of the buffer are relative to the stream's.
            self.bad.push_back(self.offset + self.checked as u64);
            self.buf.get_mut(self.checked..self.checked + bad).unwrap_or_default().fill(b'?');
            self.checked += bad;
        }
    }

    fn advance(&mut self, len: usize) {
        let bytes = self.buf.get(self.at..self.at + len).unwrap_or_default();
        self.offset += bytes.len() as u64;
        self.event.len += bytes.len() as u64;
        let lines = bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.line += lines;
        match lines {
            0 => self.byte += bytes.len() as u64,
            _ => self.byte = bytes.iter().rev().take_while(|&&byte| byte != b'\n').count() as u64 + 1,
        }
        self.at += len;
    }
}

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let len = self.fill_buf()?.read(out)?;
        self.consume(len);
        Ok(len)
    }
}

impl<R: Read> BufRead for Tap<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()?;
        while self.event.len > self.event_len_max {
            if !self.event.in_text {
                return Err(io::Error::other(format!("markup of more than {} bytes", self.event_len_max)));
            }
            self.event.clamped = true;
            let ahead = self.buf.get(self.at..self.checked).unwrap_or_default();
            match ahead.iter().position(|byte| matches!(byte, b'<' | b'&')) {
                Some(len) => {
                    self.advance(len);
                    break;
                }
                None if ahead.is_empty() => break,
                None => {
                    let len = ahead.len();
                    self.advance(len);
                    self.fill()?;
                }
            }
        }
        Ok(self.buf.get(self.at..self.checked).unwrap_or_default())
    }

    fn consume(&mut self, len: usize) {
        self.advance(len);
    }
}
