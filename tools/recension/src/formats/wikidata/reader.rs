//! The reader: one entity a line where the dump is so, else by braces.

use std::io::{self, BufRead};
use std::sync::Arc;

use super::super::lines::{Line, Lines};
use super::entity;
use super::objects::{Braces, Found};
use crate::formats::jsonl;
use crate::formats::{Fatal, Input, Options, Place, ReadError, Record, RecordReader, Reject};

/// Reads entities.
pub struct Reader {
    source: Source,
    options: Options,
    ordinal: u64,
    /// An array was opened and its end not seen yet.
    in_array: bool,
    broken: bool,
}

enum Source {
    Lines(Lines),
    Objects(Objects),
}

impl Reader {
    /// Over an input, whatever its detected format.
    pub fn new(mut input: Input, options: Options) -> Self {
        let line_len_max = options.content_len_max + 4096;
        let source = if one_a_line(&mut input.reader) {
            Source::Lines(Lines::new(input.reader, input.name, line_len_max))
        } else {
            Source::Objects(Objects { input: input.reader, file: input.name, line: 1, byte: 1, offset: 0 })
        };
        Self {
            source,
            options: Options { line_len_max, ..options },
            ordinal: 0,
            in_array: false,
            broken: false,
        }
    }

    fn here(&self) -> Place {
        match &self.source {
            Source::Lines(lines) => lines.place(0, self.ordinal),
            Source::Objects(objects) => objects.place(self.ordinal),
        }
    }

    fn next_line(&mut self) -> Result<Option<Record>, ReadError> {
        let Source::Lines(lines) = &mut self.source else { return Ok(None) };
        loop {
            let line = match lines.next() {
                Ok(None) => return Ok(None),
                Ok(Some(line)) => line,
                Err(error) => {
                    self.broken = true;
                    return Err(lines.fatal(error, self.ordinal).into());
                }
            };
            let ordinal = self.ordinal;
            if line == Line::TooLong {
                self.ordinal += 1;
                return Err(jsonl::too_long(lines.place(0, ordinal), &self.options).into());
            }
            let indent = lines.text().len() - lines.text().trim_ascii_start().len();
            let text = lines.text().trim_ascii();
            match text {
                b"" | b"," => continue,
                b"[" => {
                    self.in_array = true;
                    continue;
                }
                b"]" | b"[]" => {
                    self.in_array = false;
                    continue;
                }
                _ => {}
            }
            self.ordinal += 1;
            // The comma may also stand in front, and the brackets beside an entity.
            let mut text = text;
            let mut start = indent;
            if let [b'[', rest @ ..] = text {
                (self.in_array, text, start) = (true, rest, start + 1);
            }
            if let [b',', rest @ ..] = text {
                (text, start) = (rest, start + 1);
            }
            if let [rest @ .., b']'] = text {
                (self.in_array, text) = (false, rest.trim_ascii_end());
            }
            let text = text.strip_suffix(b",").unwrap_or(text).trim_ascii_end();
            let record = entity::parse(text, lines.place(start, ordinal), self.options.content_len_max);
            return match record {
                Err(reject) if !lines.is_ended() && self.in_array => {
                    self.broken = true;
                    Err(Fatal::new(
                        reject.place,
                        format!("the file is cut off inside an entity: {}", reject.reason),
                    )
                    .into())
                }
                record => Ok(Some(record?)),
            };
        }
    }

    fn next_object(&mut self) -> Result<Option<Record>, ReadError> {
        let Source::Objects(objects) = &mut self.source else { return Ok(None) };
        let broken = |objects: &Objects, error| Fatal::io(objects.place(self.ordinal), error);
        loop {
            let byte = match objects.peek() {
                Ok(byte) => byte,
                Err(error) => {
                    self.broken = true;
                    return Err(broken(objects, error).into());
                }
            };
            match byte {
                None => return Ok(None),
                Some(b'{') => break,
                Some(b'[') => self.in_array = true,
                Some(b']') => self.in_array = false,
                Some(b',' | b' ' | b'\t' | b'\r' | b'\n') => {}
                Some(0xef | 0xbb | 0xbf) if objects.offset < 3 => {}
                Some(_) => {
                    let place = objects.place(self.ordinal);
                    self.ordinal += 1;
                    if let Err(error) = objects.resume_at_line() {
                        self.broken = true;
                        return Err(Fatal::io(place, error).into());
                    }
                    return Err(Reject { place, entity: None, reason: "expected an entity".into() }.into());
                }
            }
            objects.consume(1);
        }
        let place = objects.place(self.ordinal);
        self.ordinal += 1;
        match objects.object(self.options.line_len_max) {
            Ok(Object::Whole(source)) => {
                Ok(Some(entity::parse(&source, place, self.options.content_len_max)?))
            }
            Ok(Object::Damaged(reason)) => Err(Reject { place, entity: None, reason: reason.into() }.into()),
            Err(error) => {
                self.broken = true;
                Err(Fatal::io(objects.place(self.ordinal - 1), error).into())
            }
        }
    }
}

impl RecordReader for Reader {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.broken {
            return Err(Fatal::new(self.here(), "reading stopped at an earlier error").into());
        }
        match self.source {
            Source::Lines(_) => self.next_line(),
            Source::Objects(_) => self.next_object(),
        }
    }

    fn ordinal(&self) -> u64 {
        self.ordinal
    }

    fn warnings(&self) -> Vec<String> {
        match self.in_array {
            true => vec![
                "the array has no ] at its end: if the dump was cut off there, entities are missing".into(),
            ],
            false => Vec::new(),
        }
    }
}

/// Whether the dump has one entity a line: `[` alone on the first line, or no `[` at all. Looks ahead without reading; an error
/// shows again when the first record is read.
fn one_a_line(input: &mut impl BufRead) -> bool {
    let head = input.fill_buf().unwrap_or_default();
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let Some((b'[', behind)) = text.split_first() else { return true };
    let line = behind.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if !line.trim_ascii().is_empty() {
        return false;
    }
    // A pretty-printed array has its entity over several lines: the first line of it cannot be closed.
    let first = behind.trim_ascii_start();
    let first = first.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii();
    first != b"{"
}

/// A stream with its place.
struct Objects {
    input: Box<dyn BufRead + Send>,
    file: Arc<str>,
    line: u64,
    byte: u64,
    offset: u64,
}

enum Object {
    Whole(Vec<u8>),
    Damaged(&'static str),
}

impl Objects {
    fn place(&self, ordinal: u64) -> Place {
        Place { file: self.file.clone(), line: self.line, byte: self.byte, offset: self.offset, ordinal }
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        Ok(self.input.fill_buf()?.first().copied())
    }

    fn consume(&mut self, len: usize) {
        // Called with bytes that are in the buffer: filling it again gives the same bytes.
        if let Ok(bytes) = self.input.fill_buf() {
            let bytes = bytes.get(..len).unwrap_or(bytes);
            self.offset += bytes.len() as u64;
            match bytes.iter().rposition(|&byte| byte == b'\n') {
                None => self.byte += bytes.len() as u64,
                Some(end) => {
                    self.line += bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    self.byte = (bytes.len() - end) as u64;
                }
            }
        }
        self.input.consume(len);
    }

    /// Reads the object that starts here.
    fn object(&mut self, len_max: usize) -> io::Result<Object> {
        let mut braces = Braces::default();
        let mut source = Vec::new();
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                let reason = "an entity is cut off at the end of the file";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
            }
            let found = braces.feed(bytes);
            let len = match found {
                Found::Open => bytes.len(),
                Found::End(len) | Found::Damaged(len) => len,
            };
            let keep = source.len() + len <= len_max && !matches!(found, Found::Damaged(_));
            if keep {
                source.extend_from_slice(bytes.get(..len).unwrap_or(bytes));
            }
            self.consume(len);
            match found {
                Found::End(_) if keep => return Ok(Object::Whole(source)),
                Found::End(_) => return Ok(Object::Damaged("an entity that is too long")),
                Found::Open if keep => {}
                Found::Open => {
                    self.resume_at_line()?;
                    return Ok(Object::Damaged("an entity that is too long"));
                }
                Found::Damaged(_) => {
                    self.resume_at_line()?;
                    return Ok(Object::Damaged("a line ends inside a string"));
                }
            }
        }
    }

    /// Goes on to the next line that starts with `{`, or to the end.
    fn resume_at_line(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.input.fill_buf()?;
            match bytes.iter().position(|&byte| byte == b'\n') {
                None if bytes.is_empty() => return Ok(()),
                None => {
                    let len = bytes.len();
                    self.consume(len);
                }
                Some(end) => {
                    self.consume(end + 1);
                    if self.peek()? == Some(b'{') {
                        return Ok(());
                    }
                }
            }
        }
    }
}
