//! Lines to records.

use super::super::lines::{Line, Lines};
use super::{KEYS, body, fields, timestamp};
use crate::formats::json::{JsonError, Scanner, duplicate};
use crate::formats::{Body, Fatal, Input, Options, Place, ReadError, Record, RecordReader, Reject, Told};
use recension::limits;

/// Reads JSON lines. Blank lines are passed over; the last line needs no end.
pub struct Reader {
    lines: Lines,
    options: Options,
    ordinal: u64,
    broken: bool,
}

impl Reader {
    /// Over an input, whatever its detected format.
    pub fn new(input: Input, options: Options) -> Self {
        let lines = Lines::new(input.reader, input.name, options.line_len_max);
        Self { lines, options, ordinal: 0, broken: false }
    }

    /// The next line that is not blank.
    fn line(&mut self) -> Result<Option<Line>, Fatal> {
        if self.broken {
            return Err(Fatal::new(self.lines.place(0, self.ordinal), "reading stopped at an earlier error"));
        }
        loop {
            match self.lines.next() {
                Ok(None) => return Ok(None),
                Ok(Some(Line::Whole)) if self.lines.is_blank() => {}
                Ok(Some(line)) => {
                    self.ordinal += 1;
                    return Ok(Some(line));
                }
                Err(error) => {
                    self.broken = true;
                    return Err(self.lines.fatal(error, self.ordinal));
                }
            }
        }
    }
}

impl RecordReader for Reader {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        let Some(line) = self.line()? else { return Ok(None) };
        let ordinal = self.ordinal - 1;
        if line == Line::TooLong {
            return Err(too_long(self.lines.place(0, ordinal), &self.options).into());
        }
        let record = parse_line(self.lines.text(), self.lines.place(0, ordinal), &self.options)?;
        Ok(Some(record))
    }

    fn ordinal(&self) -> u64 {
        self.ordinal
    }

    fn skip(&mut self, count: u64) -> Result<u64, Fatal> {
        for skipped in 0..count {
            if self.line()?.is_none() {
                return Ok(skipped);
            }
        }
        Ok(count)
    }
}

/// The reject for a line that was passed over.
pub(in crate::formats) fn too_long(place: Place, options: &Options) -> Reject {
    Reject { place, entity: None, reason: format!("a line of more than {} bytes", options.line_len_max) }
}

/// Parses one line without its end. `place` is that of its first byte.
///
/// # Errors
/// The line is not a record; the reject's place is that of the fault.
pub fn parse_line(text: &[u8], place: Place, options: &Options) -> Result<Record, Reject> {
    let mut record = Record::new(Vec::new(), Body::Withheld, place);
    match parse(text, &mut record, options) {
        Ok(()) => Ok(record),
        Err(JsonError { at, reason }) => {
            let mut place = record.place;
            place.byte += at as u64;
            place.offset += at as u64;
            let entity = Some(record.entity).filter(|entity| !entity.is_empty());
            Err(Reject { place, entity, reason: reason.into_owned() })
        }
    }
}

fn parse(text: &[u8], record: &mut Record, options: &Options) -> Result<(), JsonError> {
    let mut scanner = Scanner::from_bytes(text)?;
    scanner.expect(b'{')?;
    let start = scanner.position() - 1;
    let mut seen = Vec::with_capacity(16);
    let mut body = None;
    let mut first = true;
    while let Some((key, at)) = scanner.next_key(&mut first)? {
        match &*key {
            "entity" => record.entity = entity(scanner.string()?.as_bytes(), at, &record.entity)?,
            "entity_base64" => record.entity = entity(&body::base64(&mut scanner)?, at, &record.entity)?,
            "rev" => record.rev = Some(revision_number(&mut scanner)?),
            "parent" => record.parent = Some(scanner.unsigned()?),
            "origin_id" => record.origin_id = Some(scanner.unsigned()?),
            "ts" => {
                scanner.peek();
                let at = scanner.position();
                let token = scanner.number()?;
                let micros = timestamp::parse(token);
                record.ts_us = Some(micros.map_err(|reason| JsonError { at, reason: reason.into() })?);
            }
            "author" => told(&mut record.author, &mut scanner, at)?,
            "comment" => told(&mut record.comment, &mut scanner, at)?,
            "minor" => record.minor = scanner.boolean()?,
            "bot" => record.bot = scanner.boolean()?,
            "tags" => {
                scanner.expect(b'[')?;
                let mut first = true;
                while scanner.next_element(&mut first)? {
                    record.tags.push(scanner.string()?.into_owned());
                }
                if record.tags.is_empty() {
                    record.attributes.push(("tags".into(), "[]".into()));
                }
            }
            "type" => record.content_type = Some(scanner.string()?.into_owned()),
            "slots" => {
                let (slots, types) = fields::read_slots(&mut scanner, options.content_len_max)?;
                if slots.is_empty() {
                    record.attributes.push(("slots".into(), "{}".into()));
                }
                record.slots = slots;
                record.attributes.extend(types.map(|types| (Record::SLOT_TYPES.to_owned(), types)));
            }
            key if body::read(key, at, &mut scanner, &mut body, options.content_len_max)? => {}
            name => {
                let value = scanner.compact()?;
                let lifted = fields::lift(record, name, &value);
                if !lifted.map_err(|reason| JsonError { at, reason: reason.into() })? {
                    record.attributes.push((name.to_owned(), value));
                }
            }
        }
        seen.push((key, at));
    }
    scanner.end()?;
    check(record, body, start, options)?;
    if let Some((key, at)) = duplicate(&mut seen) {
        return Err(JsonError { at, reason: format!("the key {key:?} stands here twice").into() });
    }
    record.attributes.sort();
    if record.attributes.windows(2).any(|pair| matches!(pair, [(a, _), (b, _)] if a == b)) {
        let reason = format!("types of slots are given both in slots and in {}", Record::SLOT_TYPES);
        return Err(JsonError { at: start, reason: reason.into() });
    }
    debug_assert!(record.attributes.iter().all(|(name, value)| {
        KEYS.binary_search(&name.as_str()).is_err() || matches!(&**value, "[]" | "{}")
    }));
    Ok(())
}

/// What a line as a whole must have.
fn check(record: &mut Record, body: Option<Body>, at: usize, options: &Options) -> Result<(), JsonError> {
    let missing = |what: &'static str| JsonError { at, reason: what.into() };
    if record.entity.is_empty() {
        return Err(missing("no entity is named"));
    }
    if record.rev.is_none() && !options.append {
        return Err(missing("no rev is given (to add revisions without numbers, append)"));
    }
    record.body =
        body.ok_or_else(|| missing("no content is given, nor deleted, hidden, forgotten or withheld"))?;
    if record.slots.len() >= limits::SLOTS_MAX {
        return Err(JsonError { at, reason: format!("more than {} slots", limits::SLOTS_MAX).into() });
    }
    let bodies = record.slots.iter().map(|slot| &slot.body).chain([&record.body]);
    let total: usize = bodies.filter_map(Body::content).map(<[u8]>::len).sum();
    if total > options.content_len_max {
        let reason = format!("contents of {total} bytes; at most {} are kept", options.content_len_max);
        return Err(JsonError { at, reason: reason.into() });
    }
    Ok(())
}

fn entity(name: &[u8], at: usize, before: &[u8]) -> Result<Vec<u8>, JsonError> {
    if !before.is_empty() {
        return Err(JsonError { at, reason: "the entity is named twice".into() });
    }
    if name.is_empty() || name.len() > limits::ENTITY_LEN_MAX {
        let reason =
            format!("an entity's name has 1 to {} bytes, not {}", limits::ENTITY_LEN_MAX, name.len());
        return Err(JsonError { at, reason: reason.into() });
    }
    Ok(name.to_vec())
}

fn revision_number(scanner: &mut Scanner<'_>) -> Result<u64, JsonError> {
    scanner.peek();
    let at = scanner.position();
    match scanner.unsigned()? {
        rev @ 1..=limits::REVISION_NUMBER_MAX => Ok(rev),
        rev => Err(JsonError { at, reason: format!("rev is from 1 to 2^63 - 1, not {rev}").into() }),
    }
}

fn told(told: &mut Told, scanner: &mut Scanner<'_>, at: usize) -> Result<(), JsonError> {
    let text = scanner.string()?.into_owned();
    match std::mem::replace(told, Told::Text(text)) {
        Told::Absent => Ok(()),
        Told::Text(_) => Err(JsonError { at, reason: "this key stands here twice".into() }),
        _ => Err(JsonError {
            at,
            reason: "an author or comment is either told, withheld, hidden or forgotten".into(),
        }),
    }
}
