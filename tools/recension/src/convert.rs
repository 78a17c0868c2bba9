//! Revisions of a store to records of a format, and back.
//!
//! What a format says that a store has no place for is kept in one attribute, [`MARK`], whose name is not UTF-8 and so can never be
//! that of an attribute of a record. It is a JSON object:
//!
//! ```text
//! {"author":S?,"comment":S?,"content":S?,"slots":{ROLE:S…}?}        S is "hidden" or "forgotten"
//! ```
//! It says that the source had the part and did not give it because *its* store had hidden or forgotten it. In this store such a
//! part is withheld; the mark makes an export say what the import was told, so that export after import is the identity.

use std::collections::BTreeMap;

use bytes::Bytes;
use recension::{Content, Draft, FieldMask, Fields, Flags, Revision, Timestamp};

use crate::exit::Outcome;
use crate::formats::json::{Scanner, quoted};
use crate::formats::{Body, Place, Record, Slot, Told};

/// The attribute with what the source said of parts that it did not give.
pub const MARK: &[u8] = b"\xffrecension";

/// Whether contents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    Read,
    /// The record's bodies say `Withheld` where there is a content.
    Skip,
}

/// What a record could not hold: what, and of how many revisions.
pub type Losses = BTreeMap<String, u64>;

/// A revision as a record.
pub fn record_of(revision: &Revision, contents: Contents, losses: &mut Losses) -> Outcome<Record> {
    let fields = revision.fields()?;
    let (hidden, forgotten) = (revision.hidden(), revision.forgotten());
    let flags = revision.flags();
    let mark = Mark::of(fields);
    let mut lose = |what: &str| *losses.entry(what.to_owned()).or_default() += 1;

    let body = match contents {
        Contents::Read => body_of(revision.content()?, mark.content),
        Contents::Skip if revision.is_tombstone() => Body::Deleted,
        Contents::Skip if forgotten.contains(FieldMask::CONTENT) => Body::Forgotten,
        Contents::Skip if hidden.contains(FieldMask::CONTENT) => Body::Hidden,
        Contents::Skip => mark.content.clone().unwrap_or(Body::Withheld),
    };
    let mut record = Record::new(revision.entity().as_bytes(), body, Place::start(&"".into()));
    record.rev = Some(revision.number());
    record.parent = Some(revision.parent());
    record.origin_id = fields.origin_id;
    record.ts_us = revision.authored_time().map(Timestamp::as_micros);
    record.commit_us = Some(revision.commit_time().as_micros());
    let told = |value: &Option<Bytes>, part: FieldMask, withheld: Flags, mark: Option<Told>| match value {
        _ if forgotten.contains(part) => Ok(Told::Forgotten),
        _ if hidden.contains(part) => Ok(Told::Hidden),
        Some(text) => std::str::from_utf8(text).map(Told::from).map_err(|_| ()),
        None if mark.is_some() => Ok(mark.unwrap_or_default()),
        None if flags.contains(withheld) => Ok(Told::Withheld),
        None => Ok(Told::Absent),
    };
    record.author = told(&fields.author, FieldMask::AUTHOR, Flags::AUTHOR_WITHHELD, mark.author)
        .unwrap_or_else(|()| Told::Absent.also(|| lose("authors that are not UTF-8")));
    record.comment = told(&fields.comment, FieldMask::COMMENT, Flags::COMMENT_WITHHELD, mark.comment)
        .unwrap_or_else(|()| Told::Absent.also(|| lose("comments that are not UTF-8")));
    record.minor = flags.contains(Flags::MINOR);
    record.bot = flags.contains(Flags::BOT);
    record.mass = flags.contains(Flags::MASS);
    record.schema_version = fields.schema_version;
    for tag in &fields.tags {
        match std::str::from_utf8(tag) {
            Ok(tag) => record.tags.push(tag.to_owned()),
            Err(_) => lose("tags that are not UTF-8"),
        }
    }
    record.content_type = match fields.content_type.as_deref().map(std::str::from_utf8) {
        Some(Err(_)) => None.also(|| lose("content types that are not UTF-8")),
        Some(Ok(text)) => Some(text.to_owned()),
        None => None,
    };
    for (name, value) in fields.attributes.iter().filter(|(name, _)| name != MARK) {
        match (std::str::from_utf8(name), compact(value)) {
            (Ok(name), Some(value)) => record.attributes.push((name.to_owned(), value)),
            _ => lose("attributes whose value is not compact JSON"),
        }
    }
    if !fields.slots.is_empty() {
        record.slots = slots_of(revision, fields, contents, &mark.slots, &mut lose)?;
    }
    if fields.request_id.is_some() {
        lose("request ids");
    }
    if !fields.unknown.is_empty() {
        lose("fields of a newer version");
    }
    if hidden.contains(FieldMask::ATTRIBUTES) {
        lose("tags and attributes that are hidden");
    }
    if forgotten.contains(FieldMask::ATTRIBUTES) {
        lose("tags and attributes that were forgotten");
    }
    Ok(record)
}

fn slots_of(
    revision: &Revision,
    fields: &Fields,
    contents: Contents,
    marks: &BTreeMap<String, Body>,
    lose: &mut dyn FnMut(&str),
) -> Outcome<Vec<Slot>> {
    let read = match contents {
        Contents::Read => revision.slots()?,
        Contents::Skip => fields.slots.iter().map(|(role, _)| (role.clone(), Content::Withheld)).collect(),
    };
    let mut slots = Vec::with_capacity(read.len());
    for (role, content) in read {
        match std::str::from_utf8(&role) {
            Ok(role) => {
                let body = body_of(content, marks.get(role).cloned());
                slots.push(Slot { role: role.to_owned(), body });
            }
            Err(_) => lose("slots whose role is not UTF-8"),
        }
    }
    slots.sort_by(|a, b| a.role.cmp(&b.role));
    Ok(slots)
}

fn body_of(content: Content, mark: Option<Body>) -> Body {
    match content {
        Content::Present(bytes) => Body::Content(bytes.into()),
        Content::Hidden => Body::Hidden,
        Content::Forgotten => Body::Forgotten,
        Content::Deleted => Body::Deleted,
        _ => mark.unwrap_or(Body::Withheld),
    }
}

/// The value of an attribute as a compact JSON token, if it is one.
pub fn compact(value: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(value).ok()?;
    let mut scanner = Scanner::new(text);
    let compact = scanner.compact().ok()?;
    scanner.end().ok()?;
    (*compact == *text).then_some(compact)
}

/// A draft of the record: everything but its number, parent and foreign id, which are the importer's to decide.
pub fn draft_of(record: Record) -> Draft {
    let mut mark = Mark { content: other_state(&record.body), ..Mark::default() };
    let mut draft = match record.body {
        Body::Content(bytes) => Draft::new(bytes),
        Body::Deleted => Draft::tombstone(),
        Body::Hidden | Body::Forgotten | Body::Withheld => Draft::withheld(),
    };
    draft = match record.author {
        Told::Text(author) => draft.author(author),
        Told::Absent => draft,
        told => {
            mark.author = Some(told).filter(|told| *told != Told::Withheld);
            draft.flags(Flags::AUTHOR_WITHHELD)
        }
    };
    draft = match record.comment {
        Told::Text(comment) => draft.comment(comment),
        Told::Absent => draft,
        told => {
            mark.comment = Some(told).filter(|told| *told != Told::Withheld);
            draft.flags(Flags::COMMENT_WITHHELD)
        }
    };
    for (set, flag) in [(record.minor, Flags::MINOR), (record.bot, Flags::BOT), (record.mass, Flags::MASS)] {
        if set {
            draft = draft.flags(flag);
        }
    }
    if let Some(micros) = record.ts_us {
        draft = draft.authored(Timestamp(micros));
    }
    if let Some(content_type) = record.content_type {
        draft = draft.content_type(content_type);
    }
    if let Some(version) = record.schema_version {
        draft = draft.schema_version(version);
    }
    for tag in record.tags {
        draft = draft.tag(tag);
    }
    for (name, value) in record.attributes {
        draft = draft.attribute(name, String::from(value));
    }
    for slot in record.slots {
        mark.slots.extend(other_state(&slot.body).map(|state| (slot.role.clone(), state)));
        let content = match slot.body {
            Body::Content(bytes) => Some(Bytes::from(bytes)),
            _ => None,
        };
        draft = draft.slot(slot.role, content);
    }
    match mark.to_json() {
        Some(json) => draft.attribute(MARK, json),
        None => draft,
    }
}

fn other_state(body: &Body) -> Option<Body> {
    matches!(body, Body::Hidden | Body::Forgotten).then(|| body.clone())
}

/// See the module's words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Mark {
    author: Option<Told>,
    comment: Option<Told>,
    content: Option<Body>,
    slots: BTreeMap<String, Body>,
}

impl Mark {
    fn of(fields: &Fields) -> Self {
        let mark = fields.attributes.iter().find(|(name, _)| name == MARK);
        mark.and_then(|(_, value)| Self::from_json(std::str::from_utf8(value).ok()?)).unwrap_or_default()
    }

    fn to_json(&self) -> Option<String> {
        let told = |told: &Option<Told>| match told {
            Some(Told::Forgotten) => Some("forgotten"),
            Some(_) => Some("hidden"),
            None => None,
        };
        let content = self.content.as_ref().map(state);
        let parts = [("author", told(&self.author)), ("comment", told(&self.comment)), ("content", content)];
        let parts = parts.into_iter().filter_map(|(name, state)| Some(format!("\"{name}\":\"{}\"", state?)));
        let mut members: Vec<String> = parts.collect();
        if !self.slots.is_empty() {
            let slots = self.slots.iter().map(|(role, body)| format!("{}:\"{}\"", quoted(role), state(body)));
            members.push(format!("\"slots\":{{{}}}", slots.collect::<Vec<_>>().join(",")));
        }
        (!members.is_empty()).then(|| format!("{{{}}}", members.join(",")))
    }

    fn from_json(json: &str) -> Option<Self> {
        let mut mark = Self::default();
        let mut scanner = Scanner::new(json);
        scanner.expect(b'{').ok()?;
        let mut first = true;
        while let Some((name, _)) = scanner.next_key(&mut first).ok()? {
            match &*name {
                "author" => mark.author = Some(told_state(&scanner.string().ok()?)?),
                "comment" => mark.comment = Some(told_state(&scanner.string().ok()?)?),
                "content" => mark.content = Some(body_state(&scanner.string().ok()?)?),
                "slots" => {
                    scanner.expect(b'{').ok()?;
                    let mut first = true;
                    while let Some((role, _)) = scanner.next_key(&mut first).ok()? {
                        let state = body_state(&scanner.string().ok()?)?;
                        mark.slots.insert(role.into_owned(), state);
                    }
                }
                _ => return None,
            }
        }
        scanner.end().ok()?;
        Some(mark)
    }
}

fn state(body: &Body) -> &'static str {
    if *body == Body::Forgotten { "forgotten" } else { "hidden" }
}

fn told_state(text: &str) -> Option<Told> {
    match text {
        "hidden" => Some(Told::Hidden),
        "forgotten" => Some(Told::Forgotten),
        _ => None,
    }
}

fn body_state(text: &str) -> Option<Body> {
    match text {
        "hidden" => Some(Body::Hidden),
        "forgotten" => Some(Body::Forgotten),
        _ => None,
    }
}

trait Also: Sized {
    fn also(self, act: impl FnOnce()) -> Self {
        act();
        self
    }
}

impl Also for Told {}
impl Also for Option<String> {}

#[cfg(test)]
mod tests;
