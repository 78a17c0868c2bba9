//! Whether a revision that is there already is what a record says.
//!
//! A part that either side does not give (withheld, hidden, forgotten) agrees with anything: it says nothing that could be kept.
//! The one exception: a record that gives a part which the store's source had withheld is more than what is there, and a revision
//! never changes, so it does not agree.

use bytes::Bytes;
use recension::{Digest, FieldMask, Fields, Flags, Revision};

use crate::convert::MARK;
use crate::exit::Outcome;
use crate::formats::{Body, Record, Told};

/// The first part that differs; `None` if they agree.
pub fn difference(record: &Record, revision: &Revision) -> Outcome<Option<&'static str>> {
    // Neither can be compared: no answer may depend on them.
    let hidden = revision.hidden().with(revision.forgotten());
    let fields = revision.fields()?;
    let flags = revision.flags();
    if !content_agrees(&record.body, revision)? {
        return Ok(Some("content"));
    }
    if record.ts_us != revision.authored_time().map(|time| time.as_micros()) {
        return Ok(Some("time"));
    }
    if !hidden.contains(FieldMask::AUTHOR) && !told_agrees(&record.author, fields.author.as_ref()) {
        return Ok(Some("author"));
    }
    if !hidden.contains(FieldMask::COMMENT) && !told_agrees(&record.comment, fields.comment.as_ref()) {
        return Ok(Some("comment"));
    }
    for (told, flag) in [(record.minor, Flags::MINOR), (record.bot, Flags::BOT), (record.mass, Flags::MASS)] {
        if told != flags.contains(flag) {
            return Ok(Some("flags"));
        }
    }
    let text = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
    if text(&fields.content_type) != record.content_type.as_ref().map(|text| text.as_bytes().to_vec()) {
        return Ok(Some("content type"));
    }
    if fields.schema_version != record.schema_version {
        return Ok(Some("schema version"));
    }
    if !hidden.contains(FieldMask::ATTRIBUTES) && !attributes_agree(record, fields) {
        return Ok(Some("tags or attributes"));
    }
    Ok(if slots_agree(record, revision)? { None } else { Some("slots") })
}

fn content_agrees(body: &Body, revision: &Revision) -> Outcome<bool> {
    Ok(match body {
        Body::Deleted => revision.is_tombstone(),
        _ if revision.is_tombstone() => false,
        Body::Content(bytes) if revision.content_len() == u32::try_from(bytes.len()).ok() => {
            // Of what is forgotten only the length is left to compare: rather not written than written again.
            let forgotten = revision.forgotten().contains(FieldMask::CONTENT);
            forgotten || revision.digest()? == Some(Digest::of(bytes))
        }
        Body::Content(_) => false,
        Body::Hidden | Body::Forgotten | Body::Withheld => true,
    })
}

fn told_agrees(told: &Told, kept: Option<&Bytes>) -> bool {
    match told {
        Told::Text(text) => kept.is_some_and(|kept| *kept == text.as_bytes()),
        Told::Absent => kept.is_none(),
        Told::Withheld | Told::Hidden | Told::Forgotten => true,
    }
}

fn attributes_agree(record: &Record, fields: &Fields) -> bool {
    // Whether the parent could be given a number depends on what was there at the time.
    let is_told = |name: &[u8]| name != MARK && name != super::decide::PARENT_ID.as_bytes();
    let kept = fields.attributes.iter().filter(|(name, _)| is_told(name));
    let told = record.attributes.iter().filter(|(name, _)| is_told(name.as_bytes()));
    let tags = fields.tags.iter().map(|tag| &tag[..]);
    tags.eq(record.tags.iter().map(|tag| tag.as_bytes()))
        && kept
            .map(|(name, value)| (&name[..], &value[..]))
            .eq(told.map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

fn slots_agree(record: &Record, revision: &Revision) -> Outcome<bool> {
    let kept = &revision.fields()?.slots;
    if kept.len() != record.slots.len() {
        return Ok(false);
    }
    if kept.is_empty() || revision.hidden().with(revision.forgotten()).contains(FieldMask::CONTENT) {
        return Ok(true);
    }
    for slot in &record.slots {
        let Some((_, reference)) = kept.iter().find(|(role, _)| *role == slot.role.as_bytes()) else {
            return Ok(false);
        };
        let Body::Content(bytes) = &slot.body else { continue };
        let same = reference
            .is_some_and(|kept| kept.len as usize == bytes.len() && kept.tag == Digest::of(bytes).tag());
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}
