//! A revision as it is read, element by element, and the record it becomes.

use std::collections::BTreeSet;

use super::attributes::{self as attr, Attributes};
use super::tags::Name;
use super::{Key, SiteInfo, time};
use crate::formats::jsonl::slot_types;
use crate::formats::{Body, Options, Place, Record, Reject, Slot, Told, sha1};
use recension::limits;

/// Line, byte and offset.
pub(super) type At = (u64, u64, u64);

/// A page as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub title: Option<String>,
    pub ns: Option<String>,
    pub id: Option<String>,
    pub redirect: Option<Option<String>>,
    pub restrictions: Option<String>,
    /// What makes every revision of it a reject.
    pub fault: Option<String>,
}

/// A revision as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub start: At,
    /// The first thing that is wrong with it.
    pub fault: Option<(At, String)>,
    pub id: Option<String>,
    pub parent_id: Option<String>,
    pub timestamp: Option<String>,
    pub sha1: Option<String>,
    pub username: Option<String>,
    pub ip: Option<String>,
    pub user_id: Option<String>,
    pub author_withheld: bool,
    pub minor: bool,
    pub comment: Option<String>,
    pub comment_withheld: bool,
    pub main: SlotDraft,
    pub slots: Vec<SlotDraft>,
    /// Bytes of all texts so far.
    pub text_len: usize,
}

/// A slot as far as it was read.
#[derive(Debug, Default)]
pub(super) struct SlotDraft {
    pub role: Option<String>,
    pub origin: Option<String>,
    pub model: Option<String>,
    pub format: Option<String>,
    pub text: Option<TextDraft>,
}

/// A `text` element.
#[derive(Debug, Default)]
pub(super) struct TextDraft {
    pub bytes: Option<String>,
    pub sha1: Option<String>,
    pub id: Option<String>,
    pub location: Option<String>,
    pub deleted: bool,
    pub body: String,
    /// The same before line ends were made line feeds, if that changed anything.
    pub raw: Option<String>,
}

impl Draft {
    /// Notes what is wrong; the first fault counts.
    pub fn fail(&mut self, at: At, reason: impl Into<String>) {
        self.fault.get_or_insert_with(|| (at, reason.into()));
    }

    /// Keeps the text of an element of the revision itself.
    pub fn set(&mut self, name: Name, text: String, at: At) {
        let field = match name {
            Name::Id => &mut self.id,
            Name::ParentId => &mut self.parent_id,
            Name::Timestamp => &mut self.timestamp,
            Name::Comment => &mut self.comment,
            Name::Sha1 => &mut self.sha1,
            Name::Username => &mut self.username,
            Name::Ip => &mut self.ip,
            Name::UserId => &mut self.user_id,
            Name::Origin => &mut self.main.origin,
            Name::Model => &mut self.main.model,
            Name::Format => &mut self.main.format,
            _ => return,
        };
        if field.replace(text).is_some() {
            self.fail(at, format!("{} stands twice in this revision", name.as_str()));
        }
    }

    /// Keeps the text of an element of the slot that is being read.
    pub fn set_in_slot(&mut self, name: Name, text: String, at: At) {
        let Some(slot) = self.slots.last_mut() else { return };
        let field = match name {
            Name::Role => &mut slot.role,
            Name::Origin => &mut slot.origin,
            Name::Model => &mut slot.model,
            Name::Format => &mut slot.format,
            _ => return,
        };
        if field.replace(text).is_some() {
            self.fail(at, format!("{} stands twice in this slot", name.as_str()));
        }
    }

    /// The record, or what is wrong.
    pub fn finish(
        self,
        page: &Page,
        site: Option<&SiteInfo>,
        options: &Options,
        mut place: Place,
    ) -> Result<Record, Reject> {
        let start = self.start;
        let fault = self.fault.clone();
        let entity = page.entity(options.key);
        let record = match (fault, &page.fault) {
            (Some((at, reason)), _) => Err((at, reason)),
            (None, Some(reason)) => Err((start, reason.clone())),
            (None, None) => match &entity {
                Ok(entity) => {
                    self.record(entity, page, site, options, &place).map_err(|reason| (start, reason))
                }
                Err(reason) => Err((start, reason.clone())),
            },
        };
        record.map_err(|((line, byte, offset), reason)| {
            (place.line, place.byte, place.offset) = (line, byte, offset);
            Reject { place, entity: entity.ok(), reason }
        })
    }

    fn record(
        mut self,
        entity: &[u8],
        page: &Page,
        site: Option<&SiteInfo>,
        options: &Options,
        place: &Place,
    ) -> Result<Record, String> {
        let mut attributes = Attributes::default();
        page.attributes(site, options.key, &mut attributes);
        let mut record = Record::new(entity, Body::Withheld, place.clone());
        record.origin_id = self.id.as_deref().map(|id| positive(id, "revision id")).transpose()?;
        record.origin_parent = self.parent_id.as_deref().map(|id| unsigned(id, "parentid")).transpose()?;
        record.ts_us = self.timestamp.as_deref().map(time::parse).transpose()?;
        record.minor = self.minor;
        record.comment = match self.comment.take() {
            _ if self.comment_withheld => Told::Withheld,
            Some(comment) => Told::Text(comment),
            None => Told::Absent,
        };
        record.author = self.author(&mut attributes)?;
        record.content_type = self.main.model.clone().filter(|model| !model.is_empty());

        let hash = self.sha1.take().filter(|hash| !hash.is_empty());
        let single = self.slots.is_empty();
        let id = self.id.as_deref();
        let main = self.main.body(hash.as_deref().filter(|_| single))?;
        self.main.kept(id, &mut attributes);
        let mut info = Attributes::default();
        let mut main_info = Attributes::default();
        if let Some(bytes) = main.bytes {
            attributes.number_or_text(attr::BYTES, &bytes);
        }
        if let Some(stub) = main.stub {
            attributes.raw(attr::STUB, stub);
        }
        // The hash of a revision of one text is that of the text.
        let hash = hash.or_else(|| main.sha1.clone().filter(|_| single));
        // The text's own hash needs keeping only where the revision's does not say it.
        if let Some(text_hash) = main.sha1.filter(|text_hash| Some(text_hash) != hash.as_ref()) {
            main_info.text(attr::SHA1, &text_hash);
            info.raw("main", main_info.to_object());
        }
        let derivable = single && main.verified;
        if let Some(hash) = hash.filter(|_| !derivable) {
            attributes.text(attr::SHA1, &hash);
        }
        record.body = main.body;
        self.further_slots(&mut record, &mut info, &mut attributes)?;
        if !info.0.is_empty() {
            info.0.sort();
            attributes.raw(attr::SLOT_INFO, info.to_object());
        }
        attributes.0.sort();
        record.attributes = attributes.0;
        Ok(record)
    }

    fn author(&self, attributes: &mut Attributes) -> Result<Told, String> {
        if let Some(id) = &self.user_id {
            attributes.number_or_text(attr::AUTHOR_ID, id);
        }
        let (name, is_ip) = match (&self.username, &self.ip) {
            _ if self.author_withheld => return Ok(Told::Withheld),
            (Some(_), Some(_)) => return Err("a contributor with a username and an ip".into()),
            (Some(name), None) => (name, false),
            (None, Some(ip)) => (ip, true),
            (None, None) => return Ok(Told::Absent),
        };
        if attr::looks_like_ip(name, self.user_id.is_some()) != is_ip {
            attributes.raw(attr::AUTHOR_IP, is_ip.to_string());
        }
        Ok(Told::Text(name.clone()))
    }

    fn further_slots(
        &mut self,
        record: &mut Record,
        info: &mut Attributes,
        attributes: &mut Attributes,
    ) -> Result<(), String> {
        if self.slots.len() >= limits::SLOTS_MAX {
            return Err(format!("more than {} slots", limits::SLOTS_MAX));
        }
        let mut types = Vec::new();
        let mut roles = BTreeSet::new();
        for mut slot in std::mem::take(&mut self.slots) {
            let role = slot.role.take().filter(|role| !role.is_empty()).ok_or("a slot without a role")?;
            if role == "main" || !roles.insert(role.clone()) {
                return Err(format!("two contents for the slot {role:?}"));
            }
            let read = slot.body(None).map_err(|reason| format!("slot {role:?}: {reason}"))?;
            let mut kept = Attributes::default();
            slot.kept(self.id.as_deref(), &mut kept);
            if let Some(bytes) = read.bytes {
                kept.number_or_text(attr::BYTES, &bytes);
            }
            if let Some(hash) = read.sha1 {
                kept.text(attr::SHA1, &hash);
            }
            if let Some(stub) = read.stub {
                kept.raw(attr::STUB, stub);
            }
            if !kept.0.is_empty() {
                kept.0.sort();
                info.raw(&role, kept.to_object());
            }
            types.extend(slot.model.filter(|model| !model.is_empty()).map(|model| (role.clone(), model)));
            record.slots.push(Slot { role, body: read.body });
        }
        record.slots.sort_by(|a, b| a.role.cmp(&b.role));
        if let Some(types) = slot_types(types) {
            attributes.raw(Record::SLOT_TYPES, types);
        }
        Ok(())
    }
}

/// What a `text` element turned out to be.
struct ReadText {
    body: Body,
    /// The text is there and has the hash that was given, or none was given that is a hash.
    verified: bool,
    bytes: Option<String>,
    sha1: Option<String>,
    stub: Option<String>,
}

impl SlotDraft {
    /// The content. `revision_hash` is given if it is that of this text alone.
    fn body(&mut self, revision_hash: Option<&str>) -> Result<ReadText, String> {
        let withheld = |stub: Option<String>, bytes, sha1| ReadText {
            body: Body::Withheld,
            verified: false,
            bytes,
            sha1,
            stub,
        };
        let Some(mut text) = self.text.take() else { return Ok(withheld(Some("true".into()), None, None)) };
        let own_hash = text.sha1.take().filter(|hash| !hash.is_empty());
        let bytes = text.bytes.take().filter(|bytes| !bytes.is_empty());
        if text.deleted {
            return match text.body.is_empty() {
                true => Ok(withheld(None, bytes, own_hash)),
                false => Err("a text that is marked as deleted, and is there".into()),
            };
        }
        let hash = own_hash.as_deref().or(revision_hash).filter(|hash| sha1::is_base36(hash));
        let empty_hash = || hash == Some(sha1::base36(b"").as_str());
        let elsewhere = match &bytes {
            Some(bytes) => bytes.parse::<i64>().is_ok_and(|bytes| bytes > 0),
            None => text.id.is_some() || text.location.is_some(),
        };
        if text.body.is_empty() && elsewhere && !empty_hash() {
            let mut stub = Attributes::default();
            match (&text.location, &text.id) {
                (Some(location), _) => stub.text(attr::STUB, location),
                (None, Some(id)) => stub.number_or_text(attr::STUB, id),
                (None, None) => stub.raw(attr::STUB, "true"),
            }
            return Ok(withheld(stub.0.pop().map(|(_, stub)| stub.into()), bytes, own_hash));
        }
        let found = sha1::base36(text.body.as_bytes());
        let mut body = text.body;
        let mut verified = hash.is_none_or(|hash| hash == found);
        if let (false, Some(raw), Some(hash)) = (verified, text.raw, hash)
            && sha1::base36(raw.as_bytes()) == hash
        {
            (body, verified) = (raw, true);
        }
        let converted = self.model.as_deref().is_some_and(|model| model.starts_with("wikibase-"));
        if let (false, false, Some(hash)) = (verified, converted, hash) {
            return Err(format!("the text has the sha1 {found}, not {hash} as the dump says"));
        }
        let sha1 = own_hash.filter(|_| !verified);
        Ok(ReadText { body: Body::Content(body.into_bytes()), verified, bytes: None, sha1, stub: None })
    }

    /// What cannot be derived of format and origin.
    fn kept(&self, revision_id: Option<&str>, attributes: &mut Attributes) {
        if let Some(format) = &self.format
            && format != attr::usual_format(self.model.as_deref())
        {
            attributes.text(attr::FORMAT, format);
        }
        if let Some(origin) = &self.origin
            && Some(origin.as_str()) != revision_id
        {
            attributes.number_or_text(attr::ORIGIN, origin);
        }
    }
}

impl Page {
    /// Keeps the text of an element.
    pub fn set(&mut self, name: Name, text: String) {
        let field = match name {
            Name::Title => &mut self.title,
            Name::Ns => &mut self.ns,
            Name::Id => &mut self.id,
            Name::Restrictions => &mut self.restrictions,
            _ => return,
        };
        if field.replace(text).is_some() {
            self.fault = Some(format!("{} stands twice in this page", name.as_str()));
        }
    }

    fn entity(&self, key: Key) -> Result<Vec<u8>, String> {
        let name = match key {
            Key::Title => self
                .title
                .clone()
                .filter(|title| !title.is_empty())
                .ok_or("a revision before its page's title")?,
            Key::PageId => {
                let id = self.id.as_deref().ok_or("a revision before its page's id")?;
                positive(id, "page id")?.to_string()
            }
        };
        if name.len() > limits::ENTITY_LEN_MAX {
            return Err(format!("a title has at most {} bytes, not {}", limits::ENTITY_LEN_MAX, name.len()));
        }
        Ok(name.into_bytes())
    }

    fn attributes(&self, site: Option<&SiteInfo>, key: Key, attributes: &mut Attributes) {
        let title = self.title.as_deref().unwrap_or_default();
        match self.ns.as_deref() {
            Some("0") => {}
            Some(ns) => attributes.number_or_text(attr::NS, ns),
            None => match site.map_or(0, |site| site.namespace_of(title)) {
                0 => {}
                ns => attributes.number(attr::NS, ns),
            },
        }
        if let Some(id) = &self.id {
            attributes.number_or_text(attr::PAGE_ID, id);
        }
        match &self.redirect {
            None => {}
            Some(None) => attributes.raw(attr::REDIRECT, "true"),
            Some(Some(target)) => attributes.text(attr::REDIRECT, target),
        }
        if let Some(restrictions) = &self.restrictions {
            attributes.text(attr::RESTRICTIONS, restrictions);
        }
        if key == Key::PageId && self.title.is_some() {
            attributes.text(attr::TITLE, title);
        }
    }
}

fn unsigned(text: &str, what: &str) -> Result<u64, String> {
    text.trim_ascii().parse().map_err(|_| format!("{what} {text:?} is not a number"))
}

fn positive(text: &str, what: &str) -> Result<u64, String> {
    match unsigned(text, what)? {
        0 => Err(format!("{what} 0")),
        n => Ok(n),
    }
}
