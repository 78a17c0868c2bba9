//! Attributes that mean something, and slots.

use super::body;
use crate::formats::json::{JsonError, Scanner, duplicate, quote, quoted};
use crate::formats::{Body, Record, Slot, Told};

/// Takes an attribute as a field of the record if its name and value say so.
pub(super) fn lift(record: &mut Record, name: &str, value: &str) -> Result<bool, &'static str> {
    let told = |told: &mut Told, state: Told| match std::mem::replace(told, state) {
        Told::Absent => Ok(true),
        _ => Err("an author or comment is either told, withheld, hidden or forgotten"),
    };
    match (name, value) {
        ("mass", "true") => record.mass = true,
        ("schema_version", _) => match value.parse() {
            Ok(version) if format!("{version}") == value => record.schema_version = Some(version),
            _ => return Ok(false),
        },
        ("author_withheld", "true") => return told(&mut record.author, Told::Withheld),
        ("author_hidden", "true") => return told(&mut record.author, Told::Hidden),
        ("author_forgotten", "true") => return told(&mut record.author, Told::Forgotten),
        ("comment_withheld", "true") => return told(&mut record.comment, Told::Withheld),
        ("comment_hidden", "true") => return told(&mut record.comment, Told::Hidden),
        ("comment_forgotten", "true") => return told(&mut record.comment, Told::Forgotten),
        _ => return Ok(false),
    }
    Ok(true)
}

/// The fields that are written as attributes.
pub(super) fn lifted(record: &Record) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let mut mark = |told: &Told, names: [&'static str; 3]| {
        let [withheld, hidden, forgotten] = names;
        let name = match told {
            Told::Absent | Told::Text(_) => return,
            Told::Withheld => withheld,
            Told::Hidden => hidden,
            Told::Forgotten => forgotten,
        };
        out.push((name, "true".to_owned()));
    };
    mark(&record.author, ["author_withheld", "author_hidden", "author_forgotten"]);
    mark(&record.comment, ["comment_withheld", "comment_hidden", "comment_forgotten"]);
    if record.mass {
        out.push(("mass", "true".to_owned()));
    }
    if let Some(version) = record.schema_version {
        out.push(("schema_version", version.to_string()));
    }
    out
}

/// Reads the value of `slots`: the slots by role, and their types as the value of [`Record::SLOT_TYPES`].
pub(super) fn read_slots(
    scanner: &mut Scanner<'_>,
    len_max: usize,
) -> Result<(Vec<Slot>, Option<Box<str>>), JsonError> {
    scanner.expect(b'{')?;
    let mut slots = Vec::new();
    let mut types = Vec::new();
    let mut roles = Vec::new();
    let mut first = true;
    while let Some((role, at)) = scanner.next_key(&mut first)? {
        if role.is_empty() || role == "main" {
            return Err(JsonError {
                at,
                reason: "a slot has a role of its own; main is the line's own content".into(),
            });
        }
        let (slot_type, body) = read_slot(scanner, at, len_max)?;
        if let Some(slot_type) = slot_type {
            types.push((role.clone().into_owned(), slot_type));
        }
        slots.push(Slot { role: role.clone().into_owned(), body });
        roles.push((role, at));
    }
    if let Some((role, at)) = duplicate(&mut roles) {
        return Err(JsonError { at, reason: format!("the key {role:?} stands here twice").into() });
    }
    slots.sort_by(|a, b| a.role.cmp(&b.role));
    Ok((slots, slot_types(types)))
}

fn read_slot(
    scanner: &mut Scanner<'_>,
    at: usize,
    len_max: usize,
) -> Result<(Option<String>, Body), JsonError> {
    scanner.expect(b'{')?;
    let mut slot_type = None;
    let mut body = None;
    let mut keys = Vec::new();
    let mut first = true;
    while let Some((key, key_at)) = scanner.next_key(&mut first)? {
        if key == "type" {
            slot_type = Some(scanner.string()?.into_owned());
        } else if !body::read(&key, key_at, scanner, &mut body, len_max)? {
            return Err(JsonError { at: key_at, reason: format!("a slot has no key {key:?}").into() });
        }
        keys.push((key, key_at));
    }
    if let Some((key, at)) = duplicate(&mut keys) {
        return Err(JsonError { at, reason: format!("the key {key:?} stands here twice").into() });
    }
    match body {
        None => {
            Err(JsonError { at, reason: "a slot needs a content, or hidden, forgotten or withheld".into() })
        }
        Some(Body::Deleted) => {
            Err(JsonError { at, reason: "only a whole revision can be deleted, not a slot".into() })
        }
        Some(body) => Ok((slot_type, body)),
    }
}

/// Types of slots as an attribute's value; `None` if there are none.
pub(in crate::formats) fn slot_types(mut types: Vec<(String, String)>) -> Option<Box<str>> {
    if types.is_empty() {
        return None;
    }
    types.sort();
    let members: Vec<String> =
        types.iter().map(|(role, t)| format!("{}:{}", quoted(role), quoted(t))).collect();
    Some(format!("{{{}}}", members.join(",")).into_boxed_str())
}

/// Types of slots from an attribute's value. `None` if it is something else, or speaks of slots that the record does not have.
pub(in crate::formats) fn parse_slot_types(value: &str, slots: &[Slot]) -> Option<Vec<(String, String)>> {
    let mut scanner = Scanner::new(value);
    scanner.expect(b'{').ok()?;
    let mut types: Vec<(String, String)> = Vec::new();
    let mut first = true;
    while let Some((role, _)) = scanner.next_key(&mut first).ok()? {
        if !slots.iter().any(|slot| slot.role == *role) || types.iter().any(|(seen, _)| *seen == *role) {
            return None;
        }
        types.push((role.into_owned(), scanner.string().ok()?.into_owned()));
    }
    scanner.end().ok()?;
    Some(types).filter(|types| !types.is_empty())
}

/// Writes the value of `slots`.
pub(super) fn write_slots(slots: &[&Slot], types: &[(String, String)], out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, slot) in slots.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        quote(&slot.role, out);
        out.extend_from_slice(b":{");
        if let Some((_, slot_type)) = types.iter().find(|(role, _)| *role == slot.role) {
            out.extend_from_slice(b"\"type\":");
            quote(slot_type, out);
            out.push(b',');
        }
        body::write(&slot.body, out);
        out.push(b'}');
    }
    out.push(b'}');
}
