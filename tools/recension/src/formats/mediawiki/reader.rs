//! The reader: events of the XML parser to revisions.

use std::borrow::Cow;
use std::io::BufRead;
use std::sync::Arc;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesRef, BytesStart, Event};

use super::draft::{Draft, Page, SlotDraft, TextDraft};
use super::tags::{Name, Owner, Tag, child};
use super::tap::Tap;
use super::{Namespace, SiteInfo};
use crate::formats::{Fatal, Input, Options, Place, ReadError, Record, RecordReader};

/// Elements of a dump nest 6 deep; unknown ones may be deeper.
const DEPTH_MAX: usize = 128;
/// Longest text of an element that is no content, bytes.
const LEAF_LEN_MAX: usize = 64 << 10;
/// A dump from elsewhere may have any number of namespaces, but not any number.
const NAMESPACES_MAX: usize = 10_000;

/// Reads revisions.
pub struct Reader {
    xml: quick_xml::Reader<Tap<Box<dyn BufRead + Send>>>,
    buf: Vec<u8>,
    file: Arc<str>,
    options: Options,
    site: Option<SiteInfo>,
    stack: Vec<Tag>,
    page: Page,
    draft: Option<Draft>,
    leaf: Option<Leaf>,
    ordinal: u64,
    log_items: u64,
    uploads: u64,
    ended: bool,
    broken: bool,
}

/// The text of an element that is being read.
struct Leaf {
    text: String,
    /// As it stands, once that is something else.
    raw: Option<String>,
    len_max: usize,
    too_long: bool,
}

impl Leaf {
    fn push(&mut self, raw: &str) {
        if self.too_long || self.text.len() + raw.len() > self.len_max {
            self.too_long = true;
            (self.text, self.raw) = (String::new(), None);
            return;
        }
        let text = if raw.contains('\r') {
            Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n"))
        } else {
            raw.into()
        };
        if self.raw.is_none() && matches!(text, Cow::Owned(_)) {
            self.raw = Some(self.text.clone());
        }
        if let Some(so_far) = &mut self.raw {
            so_far.push_str(raw);
        }
        self.text.push_str(&text);
    }

    /// A character that was written as a reference: it is what it is, even a carriage return.
    fn push_char(&mut self, c: char) {
        if self.text.len() + c.len_utf8() > self.len_max {
            self.too_long = true;
        }
        if !self.too_long {
            self.text.push(c);
            if let Some(raw) = &mut self.raw {
                raw.push(c);
            }
        }
    }
}

impl Reader {
    /// Over an input, whatever its detected format.
    pub fn new(input: Input, options: Options) -> Self {
        let tap = Tap::new(input.reader, options.content_len_max as u64 + LEAF_LEN_MAX as u64);
        Self {
            xml: quick_xml::Reader::from_reader(tap),
            buf: Vec::new(),
            file: input.name,
            options,
            site: None,
            stack: Vec::new(),
            page: Page::default(),
            draft: None,
            leaf: None,
            ordinal: 0,
            log_items: 0,
            uploads: 0,
            ended: false,
            broken: false,
        }
    }

    /// Bytes of text that are held between records: what must not grow with the input.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        let leaf = self.leaf.as_ref().map_or(0, |leaf| leaf.text.capacity());
        self.buf.capacity() + leaf + self.stack.capacity() + self.xml.get_ref().memory()
    }

    fn place(&self, (line, byte, offset): (u64, u64, u64)) -> Place {
        Place { file: self.file.clone(), line, byte, offset, ordinal: self.ordinal }
    }

    fn fatal(&self, reason: impl Into<String>) -> Fatal {
        Fatal::new(self.place(self.xml.get_ref().event_start()), reason)
    }

    fn revision(&mut self) -> Result<Option<Record>, ReadError> {
        loop {
            let mut buf = std::mem::take(&mut self.buf);
            buf.clear();
            let done = self.step(&mut buf);
            self.buf = buf;
            if let Some(done) = done? {
                return Ok(Some(done));
            }
            if self.ended {
                return Ok(None);
            }
        }
    }

    /// Reads one event; gives a record if it ended one.
    fn step(&mut self, buf: &mut Vec<u8>) -> Result<Option<Record>, ReadError> {
        if let Err(error) = self.xml.get_mut().begin_event() {
            return Err(Fatal::io(self.place(self.xml.get_ref().here()), error).into());
        }
        let event = match self.xml.read_event_into(buf) {
            Ok(event) => event,
            Err(quick_xml::Error::Io(error)) => {
                let place = self.place(self.xml.get_ref().here());
                return Err(Fatal::io(place, std::io::Error::new(error.kind(), error.to_string())).into());
            }
            Err(error) => return Err(self.fatal(format!("this is not well-formed XML: {error}")).into()),
        };
        if let Some(offset) = self.xml.get_mut().bad_byte() {
            self.not_utf8(offset);
        }
        match event {
            Event::Start(element) => self.open(&element)?,
            Event::Empty(element) => {
                self.open(&element)?;
                return self.close();
            }
            Event::End(_) => return self.close(),
            Event::Text(text) => {
                if self.stack.is_empty() && !text.trim_ascii().is_empty() {
                    return Err(self.fatal("text outside of any element").into());
                }
                self.text(&text);
            }
            Event::CData(text) => self.text(&text.into_inner()),
            Event::GeneralRef(reference) => self.reference(&reference)?,
            Event::Decl(declaration) => match declaration.encoding() {
                Some(Ok(encoding))
                    if !matches!(&*encoding.to_ascii_lowercase(), "utf-8" | "utf8" | "us-ascii") =>
                {
                    return Err(self
                        .fatal(format!("the encoding {encoding} is not read, only UTF-8 is"))
                        .into());
                }
                _ => {}
            },
            Event::Eof => {
                self.ended = true;
                if let Some(tag) = self.stack.last() {
                    let place = self.place(self.xml.get_ref().here());
                    let around = match tag {
                        Tag::Leaf(_, name) => name.as_str().to_owned(),
                        tag => format!("{tag:?}").to_lowercase(),
                    };
                    let reason = format!("the dump ends inside <{around}>: the file is cut off");
                    return Err(Fatal::new(place, reason).into());
                }
            }
            Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {}
        }
        Ok(None)
    }

    fn not_utf8(&mut self, offset: u64) {
        let at = self.xml.get_ref().event_start();
        let reason = format!("not UTF-8 at offset {offset}");
        match &mut self.draft {
            Some(draft) => draft.fail(at, reason),
            None => self.page.fault = Some(reason),
        }
    }

    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Fatal> {
        let parent = self.stack.last().copied();
        let name = element.local_name();
        let name = name.as_ref();
        let at = self.xml.get_ref().event_start();
        if self.stack.len() >= DEPTH_MAX {
            return Err(self.fatal("elements are nested too deeply"));
        }
        let mut tag = child(parent, name);
        if parent.is_none() && tag == Tag::Unknown {
            return Err(self.fatal(format!("the outermost element is <{name}>, not <mediawiki>")));
        }
        if let Some(Tag::Leaf(..)) = parent {
            if let Some(draft) = &mut self.draft {
                draft.fail(at, format!("markup inside the text of an element: <{name}>"));
            }
            tag = Tag::Unknown;
        }
        self.stack.push(tag);
        match tag {
            Tag::MediaWiki => {
                let site = self.site.get_or_insert_default();
                site.version = attribute(element, "version").or(site.version.take());
                site.lang = attribute(element, "xml:lang").or(site.lang.take());
            }
            Tag::Page => self.page = Page::default(),
            Tag::Revision => self.draft = Some(Draft { start: at, ..Draft::default() }),
            Tag::Contributor | Tag::Content | Tag::Leaf(..) => self.open_inner(tag, element),
            Tag::Unknown if parent == Some(Tag::MediaWiki) && name == "logitem" => self.log_items += 1,
            Tag::Unknown if parent == Some(Tag::Page) && name == "upload" => self.uploads += 1,
            Tag::SiteInfo | Tag::Namespaces | Tag::Unknown => {}
        }
        Ok(())
    }

    fn open_inner(&mut self, tag: Tag, element: &BytesStart<'_>) {
        let at = self.xml.get_ref().event_start();
        let deleted = || attribute(element, "deleted").is_some();
        let mut len_max = LEAF_LEN_MAX;
        match (tag, &mut self.draft) {
            (Tag::Contributor, Some(draft)) => {
                draft.author_withheld |= deleted();
                return;
            }
            (Tag::Content, Some(draft)) => {
                draft.slots.push(SlotDraft::default());
                if draft.slots.len() > recension::limits::SLOTS_MAX {
                    draft.slots.pop();
                    draft.fail(at, "too many slots");
                }
                return;
            }
            (Tag::Leaf(Owner::Page, Name::Redirect), _) => {
                self.page.redirect = Some(attribute(element, "title"))
            }
            (Tag::Leaf(_, Name::Namespace), _) => {
                let site = self.site.get_or_insert_default();
                if site.namespaces.len() < NAMESPACES_MAX {
                    let text = |name| attribute(element, name).unwrap_or_default();
                    site.namespaces.push(Namespace {
                        key: text("key"),
                        case: text("case"),
                        name: String::new(),
                    });
                }
            }
            (Tag::Leaf(_, Name::Comment), Some(draft)) => draft.comment_withheld |= deleted(),
            (Tag::Leaf(_, Name::Minor), Some(draft)) => draft.minor = true,
            (Tag::Leaf(owner, Name::Text), Some(draft)) => {
                len_max = self.options.content_len_max.saturating_sub(draft.text_len);
                let text = TextDraft {
                    bytes: attribute(element, "bytes"),
                    sha1: attribute(element, "sha1"),
                    id: attribute(element, "id"),
                    location: attribute(element, "location"),
                    deleted: deleted(),
                    ..TextDraft::default()
                };
                let slot = if owner == Owner::Slot { draft.slots.last_mut() } else { Some(&mut draft.main) };
                if slot.is_some_and(|slot| slot.text.replace(text).is_some()) {
                    draft.fail(at, "text stands twice");
                }
            }
            _ => {}
        }
        self.leaf = Some(Leaf { text: String::new(), raw: None, len_max, too_long: false });
    }

    fn text(&mut self, text: &str) {
        if let (Some(leaf), Some(Tag::Leaf(..))) = (&mut self.leaf, self.stack.last()) {
            leaf.push(text);
            leaf.too_long |= self.xml.get_ref().was_clamped();
        }
    }

    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), Fatal> {
        let c = match &**reference {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            name => match reference.resolve_char_ref() {
                Ok(Some(c)) => c,
                _ => {
                    let name: String = name.chars().take(40).collect();
                    return Err(self.fatal(format!(
                        "this is not well-formed XML: &{name}; is no character that XML knows"
                    )));
                }
            },
        };
        if let (Some(leaf), Some(Tag::Leaf(..))) = (&mut self.leaf, self.stack.last()) {
            leaf.push_char(c);
        }
        Ok(())
    }

    /// An element ends; gives a record if that was one.
    fn close(&mut self) -> Result<Option<Record>, ReadError> {
        let at = self.xml.get_ref().event_start();
        match self.stack.pop() {
            Some(Tag::Leaf(owner, name)) => self.close_leaf(owner, name, at),
            Some(Tag::Revision) => {
                let Some(draft) = self.draft.take() else { return Ok(None) };
                let place = self.place(draft.start);
                self.ordinal += 1;
                return Ok(Some(draft.finish(&self.page, self.site.as_ref(), &self.options, place)?));
            }
            Some(Tag::Page) => self.page = Page::default(),
            _ => {}
        }
        Ok(None)
    }

    fn close_leaf(&mut self, owner: Owner, name: Name, at: (u64, u64, u64)) {
        let Some(leaf) = self.leaf.take() else { return };
        let too_long = || match name {
            Name::Text => format!("texts of more than {} bytes", self.options.content_len_max),
            name => format!("{} has more than {} bytes", name.as_str(), leaf.len_max),
        };
        match (owner, &mut self.draft) {
            (Owner::Revision | Owner::Slot, Some(draft)) => match name {
                _ if leaf.too_long => draft.fail(at, too_long()),
                Name::Text => {
                    draft.text_len += leaf.text.len();
                    let slot =
                        if owner == Owner::Slot { draft.slots.last_mut() } else { Some(&mut draft.main) };
                    if let Some(text) = slot.and_then(|slot| slot.text.as_mut()) {
                        (text.body, text.raw) = (leaf.text, leaf.raw);
                    }
                }
                _ if owner == Owner::Slot => draft.set_in_slot(name, leaf.text, at),
                _ => draft.set(name, leaf.text, at),
            },
            (Owner::Page, _) if leaf.too_long => self.page.fault = Some(too_long()),
            (Owner::Page, _) => self.page.set(name, leaf.text),
            (Owner::SiteInfo, _) if !leaf.too_long => {
                let site = self.site.get_or_insert_default();
                if name == Name::Namespace {
                    if let Some(namespace) = site.namespaces.last_mut() {
                        namespace.name = leaf.text;
                    }
                } else if let Some(field) = site.element_mut(name.as_str()) {
                    *field = Some(leaf.text);
                }
            }
            _ => {}
        }
    }
}

/// The value of an attribute, by its name with prefix.
fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = element.try_get_attribute(name).ok()??;
    attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(Cow::into_owned)
}

impl RecordReader for Reader {
    fn next(&mut self) -> Result<Option<Record>, ReadError> {
        if self.broken {
            return Err(self.fatal("reading stopped at an earlier error").into());
        }
        if self.ended {
            return Ok(None);
        }
        let record = self.revision();
        self.broken = matches!(record, Err(ReadError::Fatal(_)));
        record
    }

    fn ordinal(&self) -> u64 {
        self.ordinal
    }

    fn site_info(&self) -> Option<&SiteInfo> {
        self.site.as_ref()
    }

    fn passed_over(&self) -> Vec<(&'static str, u64)> {
        [("log items", self.log_items), ("uploads", self.uploads)]
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
