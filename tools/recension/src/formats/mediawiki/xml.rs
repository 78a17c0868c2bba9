//! Elements of a dump, as text.

use super::attributes::{self as attr, plain};
use super::{PageHead, escape, time};
use crate::formats::jsonl::parse_slot_types;
use crate::formats::{Body, Record, Refusal, Told, WriteError, sha1};

/// XML in the making.
#[derive(Default)]
pub(super) struct Xml(pub Vec<u8>);

/// Of whom a refusal speaks is filled in by the caller.
fn refusal(what: String) -> Refusal {
    Refusal { entity: Vec::new(), rev: None, what }
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Xml {
    pub fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn checked<'a>(&self, what: &str, text: &'a str) -> Result<&'a str, Refusal> {
        match escape::forbidden(text) {
            None => Ok(text),
            Some((at, c)) => Err(refusal(format!(
                "XML cannot hold U+{:04X}, which the {what} has at byte {at}",
                u32::from(c)
            ))),
        }
    }

    fn indent(&mut self, width: usize) {
        self.0.resize(self.0.len() + width, b' ');
    }

    pub fn element(&mut self, width: usize, name: &str, text: &str) -> Result<(), Refusal> {
        self.indent(width);
        self.raw("<");
        self.raw(name);
        self.close_with_text(name, text)
    }

    pub fn close_with_text(&mut self, name: &str, text: &str) -> Result<(), Refusal> {
        if text.is_empty() {
            self.raw(" />\n");
            return Ok(());
        }
        let text = self.checked(name, text)?;
        self.raw(">");
        escape::text(text, &mut self.0);
        self.raw(&format!("</{name}>\n"));
        Ok(())
    }

    pub fn attribute(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        let value = self.checked(name, value)?;
        self.raw(&format!(" {name}=\""));
        escape::attribute(value, &mut self.0);
        self.raw("\"");
        Ok(())
    }

    pub fn page(&mut self, head: &PageHead, ordinal: u64) -> Result<(), Refusal> {
        self.raw("  <page>\n");
        self.element(4, "title", &head.title)?;
        self.element(4, "ns", &head.ns.to_string())?;
        self.element(4, "id", &head.id.unwrap_or(ordinal).to_string())?;
        if let Some(target) = &head.redirect {
            self.raw("    <redirect");
            if let Some(target) = target {
                self.attribute("title", target)?;
            }
            self.raw(" />\n");
        }
        if let Some(restrictions) = &head.restrictions {
            self.element(4, "restrictions", restrictions)?;
        }
        Ok(())
    }

    pub fn revision(&mut self, record: &Record, losses: &mut Vec<String>) -> Result<(), Refusal> {
        if record.body == Body::Deleted {
            return Err(refusal("MediaWiki XML has no revision that says deleted".into()));
        }
        let id =
            record.origin_id.or(record.rev).ok_or_else(|| refusal("a revision in XML needs an id".into()))?;
        let id = id.to_string();
        self.raw("    <revision>\n");
        self.element(6, "id", &id)?;
        let parent = record.attribute(attr::PARENT_ID).and_then(plain);
        let parent = parent.or_else(|| record.origin_parent.or(record.parent).map(|n| n.to_string()));
        if let Some(parent) = parent.filter(|parent| parent != "0") {
            self.element(6, "parentid", &parent)?;
        }
        self.timestamp(record, losses)?;
        self.contributor(record, losses)?;
        if record.minor {
            self.raw("      <minor />\n");
        }
        match &record.comment {
            Told::Absent => {}
            Told::Text(text) => self.element(6, "comment", text)?,
            told => {
                unlike_withheld("comments", told, losses);
                self.raw("      <comment deleted=\"deleted\" />\n");
            }
        }
        self.contents(record, &id, losses)?;
        self.raw("    </revision>\n");
        other_losses(record, losses);
        Ok(())
    }

    fn timestamp(&mut self, record: &Record, losses: &mut Vec<String>) -> Result<(), Refusal> {
        let micros = match (record.ts_us, record.commit_us) {
            (Some(micros), _) => micros,
            (None, Some(micros)) => {
                losses.push("that there was no authored time (the commit time is written)".into());
                micros
            }
            (None, None) => return Err(refusal("a revision in XML needs a time".into())),
        };
        if micros % 1_000_000 != 0 {
            losses.push("fractions of seconds".into());
        }
        let text = time::format(micros)
            .ok_or_else(|| refusal("a time in XML is between the years 0 and 9999".into()))?;
        self.element(6, "timestamp", &text)
    }

    fn contributor(&mut self, record: &Record, losses: &mut Vec<String>) -> Result<(), Refusal> {
        let id = record.attribute(attr::AUTHOR_ID).and_then(plain);
        let name = match &record.author {
            Told::Absent => None,
            Told::Text(name) => Some(name),
            told => {
                unlike_withheld("authors", told, losses);
                self.raw("      <contributor deleted=\"deleted\" />\n");
                return Ok(());
            }
        };
        if name.is_none() && id.is_none() {
            self.raw("      <contributor />\n");
            return Ok(());
        }
        self.raw("      <contributor>\n");
        if let Some(name) = name {
            let is_ip = match record.attribute(attr::AUTHOR_IP) {
                Some("true") => true,
                Some("false") => false,
                _ => attr::looks_like_ip(name, id.is_some()),
            };
            self.element(8, if is_ip { "ip" } else { "username" }, name)?;
        }
        if let Some(id) = id {
            self.element(8, "id", &id)?;
        }
        self.raw("      </contributor>\n");
        Ok(())
    }

    fn contents(&mut self, record: &Record, id: &str, losses: &mut Vec<String>) -> Result<(), Refusal> {
        let model = record.content_type.as_deref().unwrap_or("wikitext");
        let types =
            record.attribute(Record::SLOT_TYPES).and_then(|types| parse_slot_types(types, &record.slots));
        let types = types.unwrap_or_default();
        let info = record.attribute(attr::SLOT_INFO).map(attr::members).unwrap_or_default();
        let info_of = |role: &str| {
            let found = info.iter().find(|(r, _)| r == role);
            found.map(|(_, members)| attr::members(members)).unwrap_or_default()
        };

        let main = Text {
            what: "content",
            model,
            body: &record.body,
            attributes: &record.attributes,
            own_sha1: if record.slots.is_empty() { attr::SHA1 } else { "" },
            more: &info_of("main"),
        };
        let mut hashes = vec![("main", main.sha1())];
        self.slot(6, id, &main, losses)?;
        let mut slots: Vec<_> = record.slots.iter().collect();
        slots.sort_by(|a, b| a.role.cmp(&b.role));
        for slot in slots {
            let slot_type = types.iter().find(|(role, _)| *role == slot.role);
            let attributes = info_of(&slot.role);
            let text = Text {
                what: &format!("content of the slot {}", slot.role),
                model: slot_type.map_or("unknown", |(_, t)| t),
                body: &slot.body,
                attributes: &attributes,
                own_sha1: attr::SHA1,
                more: &[],
            };
            hashes.push((&slot.role, text.sha1()));
            self.raw("      <content>\n");
            self.element(8, "role", &slot.role)?;
            self.slot(8, id, &text, losses)?;
            self.raw("      </content>\n");
        }

        hashes.sort_by(|a, b| a.0.cmp(b.0));
        let kept = record.attribute(attr::SHA1).and_then(plain);
        let hash = match (&hashes[..], &record.body) {
            // The hash of one text that is there is never taken on trust.
            ([(_, hash)], Body::Content(_)) => hash.clone(),
            _ => kept.or_else(|| {
                let all: Option<Vec<&str>> = hashes.iter().map(|(_, hash)| hash.as_deref()).collect();
                sha1::of_slots(all?)
            }),
        };
        self.element(6, "sha1", &hash.unwrap_or_default())
    }

    /// Origin, model, format and text of a slot.
    fn slot(
        &mut self,
        width: usize,
        id: &str,
        text: &Text<'_>,
        losses: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        self.element(width, "origin", &text.get(attr::ORIGIN).unwrap_or_else(|| id.to_owned()))?;
        self.element(width, "model", text.model)?;
        let format = text.get(attr::FORMAT);
        self.element(width, "format", format.as_deref().unwrap_or(attr::usual_format(Some(text.model))))?;
        if *text.body != Body::Deleted
            && text.raw(attr::STUB) == Some("true")
            && text.raw(attr::BYTES).is_none()
        {
            // There was no element; an empty one would be an empty text.
            return Ok(());
        }
        self.indent(width);
        self.raw("<text");
        match text.body {
            Body::Content(bytes) => {
                let body = std::str::from_utf8(bytes).map_err(|error| {
                    refusal(format!(
                        "XML holds text, and the {} is not UTF-8 at byte {}",
                        text.what,
                        error.valid_up_to()
                    ))
                })?;
                self.attribute("bytes", &bytes.len().to_string())?;
                self.attribute("sha1", &text.sha1().unwrap_or_default())?;
                self.attribute("xml:space", "preserve")?;
                let body = self.checked(text.what, body)?;
                return self.close_with_text("text", body);
            }
            Body::Withheld => {}
            Body::Hidden => losses.push("that contents are hidden, not withheld".into()),
            Body::Forgotten => losses.push("that contents are forgotten, not withheld".into()),
            Body::Deleted => return Err(refusal("a slot cannot be deleted".into())),
        }
        if let Some(bytes) = text.get(attr::BYTES) {
            self.attribute("bytes", &bytes)?;
        }
        if let Some(hash) = text.sha1() {
            self.attribute("sha1", &hash)?;
        }
        match text.raw(attr::STUB) {
            None => self.attribute("deleted", "deleted")?,
            Some("true") => {}
            Some(address) => match plain(address) {
                Some(id) if !address.starts_with('"') => self.attribute("id", &id)?,
                Some(location) => self.attribute("location", &location)?,
                None => {}
            },
        }
        self.raw(" />\n");
        Ok(())
    }
}

/// A slot's text and what is known of it.
struct Text<'a> {
    what: &'a str,
    model: &'a str,
    body: &'a Body,
    attributes: &'a [(String, Box<str>)],
    /// Name of the attribute that holds the text's own hash, where there is no content to make it from.
    own_sha1: &'a str,
    more: &'a [(String, Box<str>)],
}

impl Text<'_> {
    fn raw(&self, name: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(n, _)| n == name)?;
        Some(value)
    }

    fn get(&self, name: &str) -> Option<String> {
        self.raw(name).and_then(plain)
    }

    fn sha1(&self) -> Option<String> {
        match self.body {
            Body::Content(bytes) => Some(sha1::base36(bytes)),
            _ => {
                let own =
                    self.more.iter().find(|(name, _)| name == attr::SHA1).and_then(|(_, hash)| plain(hash));
                own.or_else(|| self.get(self.own_sha1))
            }
        }
    }
}

fn unlike_withheld(what: &str, told: &Told, losses: &mut Vec<String>) {
    match told {
        Told::Hidden => losses.push(format!("that {what} are hidden, not withheld")),
        Told::Forgotten => losses.push(format!("that {what} are forgotten, not withheld")),
        _ => {}
    }
}

fn other_losses(record: &Record, losses: &mut Vec<String>) {
    let marks = [
        (record.bot, "bot flags"),
        (record.mass, "mass edit flags"),
        (!record.tags.is_empty(), "tags"),
        (record.schema_version.is_some(), "schema versions"),
    ];
    losses.extend(marks.into_iter().filter(|(lost, _)| *lost).map(|(_, what)| what.to_owned()));
    for (name, _) in &record.attributes {
        if attr::ALL.binary_search(&name.as_str()).is_err() {
            losses.push(format!("the attribute {name:?}"));
        }
    }
}
