//! Records to canonical lines.

use std::io::Write;

use super::{KEYS, body, fields, timestamp};
use crate::formats::json::{Scanner, quote};
use crate::formats::{Body, Record, Refusal, Slot, WriteError};

/// Writes canonical JSON lines.
pub struct Writer<W> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Onto an output, which should be buffered.
    pub fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }

    /// Writes one record and the line's end.
    ///
    /// # Errors
    /// The record cannot be a line (nothing of it was written), or the output failed.
    pub fn record(&mut self, record: &Record) -> Result<(), WriteError> {
        self.line.clear();
        line(record, &mut self.line).map_err(WriteError::Refused)?;
        self.line.push(b'\n');
        Ok(self.out.write_all(&self.line)?)
    }

    /// The output.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Appends the canonical line of a record, without an end.
///
/// # Errors
/// An attribute has the name of a key or is not a JSON value, a slot is deleted or a role stands twice. What was appended
/// by then is no line.
pub fn line(record: &Record, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let refuse = |what: String| Refusal { entity: record.entity.clone(), rev: record.rev, what };
    let mut attributes: Vec<(&str, &str)> =
        record.attributes.iter().map(|(n, v)| (n.as_str(), &**v)).collect();
    let types =
        take(&mut attributes, Record::SLOT_TYPES, |value| fields::parse_slot_types(value, &record.slots));
    let empty = |list: bool, sign: &'static str| move |value: &str| (list && value == sign).then_some(());
    let empty_tags = take(&mut attributes, "tags", empty(record.tags.is_empty(), "[]")).is_some();
    let empty_slots = take(&mut attributes, "slots", empty(record.slots.is_empty(), "{}")).is_some();
    let lifted = fields::lifted(record);
    check(record, &attributes, &lifted).map_err(refuse)?;
    attributes.extend(lifted.iter().map(|(name, value)| (*name, value.as_str())));
    attributes.sort_unstable();

    match std::str::from_utf8(&record.entity) {
        Ok(entity) => {
            out.extend_from_slice(b"{\"entity\":");
            quote(entity, out);
        }
        Err(_) => {
            out.extend_from_slice(b"{\"entity_base64\":");
            body::quote_base64(&record.entity, out);
        }
    }
    let mut plain = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            out.extend_from_slice(format!(",\"{key}\":{value}").as_bytes());
        }
    };
    plain("rev", record.rev.map(|n| n.to_string()));
    plain("parent", record.parent.map(|n| n.to_string()));
    plain("origin_id", record.origin_id.map(|n| n.to_string()));
    plain("ts", record.ts_us.map(timestamp::format));
    text("author", record.author.text(), out);
    if record.minor {
        out.extend_from_slice(b",\"minor\":true");
    }
    if record.bot {
        out.extend_from_slice(b",\"bot\":true");
    }
    if empty_tags || !record.tags.is_empty() {
        for (i, tag) in record.tags.iter().enumerate() {
            out.extend_from_slice(if i == 0 { b",\"tags\":[" } else { b"," });
            quote(tag, out);
        }
        out.extend_from_slice(if empty_tags { b",\"tags\":[]" } else { b"]" });
    }
    text("comment", record.comment.text(), out);
    text("type", record.content_type.as_deref(), out);
    for (name, value) in attributes {
        out.push(b',');
        quote(name, out);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
    }
    if empty_slots || !record.slots.is_empty() {
        let mut slots: Vec<&Slot> = record.slots.iter().collect();
        slots.sort_by(|a, b| a.role.cmp(&b.role));
        out.extend_from_slice(b",\"slots\":");
        fields::write_slots(&slots, types.as_deref().unwrap_or_default(), out);
    }
    out.push(b',');
    body::write(&record.body, out);
    out.push(b'}');
    Ok(())
}

fn text(key: &str, value: Option<&str>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        out.extend_from_slice(format!(",\"{key}\":").as_bytes());
        quote(value, out);
    }
}

/// Takes an attribute out of the list if its value is what it should be.
fn take<T>(attributes: &mut Vec<(&str, &str)>, name: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let at = attributes.iter().position(|(n, _)| *n == name)?;
    let (_, value) = attributes.get(at)?;
    let parsed = parse(value)?;
    attributes.remove(at);
    Some(parsed)
}

fn check(record: &Record, attributes: &[(&str, &str)], lifted: &[(&str, String)]) -> Result<(), String> {
    if record.entity.is_empty() {
        return Err("no entity is named".into());
    }
    let mut names: Vec<&str> = attributes.iter().map(|(name, _)| *name).collect();
    names.extend(lifted.iter().map(|(name, _)| *name));
    names.sort_unstable();
    if let Some([name, _]) = names.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(format!("the attribute {name:?} stands twice"));
    }
    for (name, value) in attributes {
        if KEYS.binary_search(name).is_ok() {
            return Err(format!(
                "JSON lines have a key {name:?} of their own, so no attribute can have this name"
            ));
        }
        let mut scanner = Scanner::new(value);
        match scanner.compact().and_then(|compact| scanner.end().map(|()| compact)) {
            Ok(compact) if *compact == **value => {}
            Ok(_) => return Err(format!("the attribute {name:?} is not compact JSON")),
            Err(error) => return Err(format!("the attribute {name:?} is not JSON: {error}")),
        }
        let told = matches!(*name, "author_withheld" | "author_hidden" | "author_forgotten")
            && record.author.text().is_some()
            || matches!(*name, "comment_withheld" | "comment_hidden" | "comment_forgotten")
                && record.comment.text().is_some();
        if told && *value == "true" {
            return Err(format!("the attribute {name:?} contradicts the text beside it"));
        }
    }
    let mut roles: Vec<&str> = record.slots.iter().map(|slot| slot.role.as_str()).collect();
    roles.sort_unstable();
    if roles.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
        || roles.iter().any(|role| matches!(*role, "" | "main"))
    {
        return Err("slots have roles of their own, each once, and none is main".into());
    }
    if record.slots.iter().any(|slot| slot.body == Body::Deleted) {
        return Err("only a whole revision can be deleted, not a slot".into());
    }
    Ok(())
}
