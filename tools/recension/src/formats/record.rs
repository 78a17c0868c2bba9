//! The neutral record: one revision, whatever format it came in.

use std::fmt;
use std::sync::Arc;

/// Where a record stands in its source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file's name as given, `-` for standard input.
    pub file: Arc<str>,
    /// Line in the uncompressed text, from 1.
    pub line: u64,
    /// Byte in that line, from 1.
    pub byte: u64,
    /// Byte in the uncompressed text, from 0.
    pub offset: u64,
    /// How many records (rejected ones included) stand before it in the file.
    pub ordinal: u64,
}

impl Place {
    /// The start of a file.
    pub fn start(file: &Arc<str>) -> Self {
        Self { file: file.clone(), line: 1, byte: 1, offset: 0, ordinal: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: line {}, byte {}", self.file, self.line, self.byte)
    }
}

/// What a record says of its author or comment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Nothing: there is none.
    #[default]
    Absent,
    /// This. Empty is not absent.
    Text(String),
    /// There is one, and the source did not give it.
    Withheld,
    /// There is one, hidden in the store it was exported from.
    Hidden,
    /// There was one; the store it was exported from has forgotten it.
    Forgotten,
}

impl Told {
    /// The text, if it was told.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl From<&str> for Told {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What a record says of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The bytes.
    Content(Vec<u8>),
    /// The revision is a tombstone (of the main content only, never of a further slot).
    Deleted,
    /// There is a content, hidden in the store it was exported from.
    Hidden,
    /// There was a content; the store it was exported from has forgotten it.
    Forgotten,
    /// There is a content, and the source did not give it.
    Withheld,
}

impl Body {
    /// The bytes, if there are any.
    pub fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Content(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A further content of a revision. Its type, if it has one, stands in the attribute [`Record::SLOT_TYPES`], so that a store
/// which keeps roles and contents only can keep it without knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is for; `main` is the record's own body and never stands here.
    pub role: String,
    /// Its content; never `Deleted`.
    pub body: Body,
}

/// One revision.
///
/// `rev` and `parent` are numbers of a Recension store; `origin_id` and `origin_parent` are ids of a foreign one. A reader of a
/// foreign format fills in only the latter, and the importer decides what number a foreign id becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The entity's name, 1 to 512 bytes.
    pub entity: Vec<u8>,
    /// Revision number. `None`: the importer gives one.
    pub rev: Option<u64>,
    /// Number of the revision it was made from; 0 for none. `None`: not told.
    pub parent: Option<u64>,
    /// The revision's id where it came from, if that is not the number.
    pub origin_id: Option<u64>,
    /// The parent's id where it came from; 0 for none. Never part of JSON lines: an importer that cannot turn it into `parent`
    /// keeps it as the attribute `parent_id`, which the MediaWiki writer reads.
    pub origin_parent: Option<u64>,
    /// Authored time, µs since 1970 UTC. `None`: the writer claimed none.
    pub ts_us: Option<i64>,
    /// Commit time, µs since 1970 UTC: for an export into formats that must have a time. Never part of JSON lines.
    pub commit_us: Option<i64>,
    /// Who made it.
    pub author: Told,
    /// A minor edit.
    pub minor: bool,
    /// Made by a bot.
    pub bot: bool,
    /// Part of a mass edit.
    pub mass: bool,
    /// Tags in the order given. An empty list that was written down is the attribute `tags` with the value `[]`.
    pub tags: Vec<String>,
    /// Why it was made.
    pub comment: Told,
    /// Media type or content model of the main content, where it is not the store's default.
    pub content_type: Option<String>,
    /// Version of the schema of the content.
    pub schema_version: Option<u64>,
    /// Everything else, by name bytewise; a value is compact JSON, as it was written in the source.
    pub attributes: Vec<(String, Box<str>)>,
    /// Further contents, by role bytewise. An empty map that was written down is the attribute `slots` with the value `{}`.
    pub slots: Vec<Slot>,
    /// The main content.
    pub body: Body,
    /// Where it stood.
    pub place: Place,
}

impl Record {
    /// The attribute that holds the types of slots: a JSON object from role to type.
    pub const SLOT_TYPES: &'static str = "slot_types";

    /// A record that says nothing but what it is a revision of.
    pub fn new(entity: impl Into<Vec<u8>>, body: Body, place: Place) -> Self {
        Self {
            entity: entity.into(),
            rev: None,
            parent: None,
            origin_id: None,
            origin_parent: None,
            ts_us: None,
            commit_us: None,
            author: Told::Absent,
            minor: false,
            bot: false,
            mass: false,
            tags: Vec::new(),
            comment: Told::Absent,
            content_type: None,
            schema_version: None,
            attributes: Vec::new(),
            slots: Vec::new(),
            body,
            place,
        }
    }

    /// The compact JSON value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let (_, value) = self.attributes.iter().find(|(n, _)| n == name)?;
        Some(value)
    }
}

/// An entity's name for people: text where it is UTF-8 without control characters, else `0x…`.
pub(crate) fn entity_shown(entity: &[u8]) -> String {
    match std::str::from_utf8(entity) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => entity.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}")),
    }
}
