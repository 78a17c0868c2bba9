//! The names under which a record keeps what XML needs, and their values.

use crate::formats::Record;
use crate::formats::json::{Scanner, quoted};

pub(super) const AUTHOR_ID: &str = "author_id";
pub(super) const AUTHOR_IP: &str = "author_ip";
pub(super) const BYTES: &str = "bytes";
pub(super) const FORMAT: &str = "format";
pub(super) const NS: &str = "ns";
pub(super) const ORIGIN: &str = "origin";
pub(super) const PAGE_ID: &str = "page_id";
pub(super) const PARENT_ID: &str = "parent_id";
pub(super) const REDIRECT: &str = "redirect";
pub(super) const RESTRICTIONS: &str = "restrictions";
pub(super) const SHA1: &str = "sha1";
pub(super) const SLOT_INFO: &str = "slot_info";
pub(super) const STUB: &str = "stub";
pub(super) const TITLE: &str = "title";

/// All of them: those that the writer knows how to write.
pub(super) const ALL: [&str; 15] = [
    AUTHOR_ID,
    AUTHOR_IP,
    BYTES,
    FORMAT,
    NS,
    ORIGIN,
    PAGE_ID,
    PARENT_ID,
    REDIRECT,
    RESTRICTIONS,
    SHA1,
    SLOT_INFO,
    Record::SLOT_TYPES,
    STUB,
    TITLE,
];

/// The format that MediaWiki gives a model's texts if nothing else is said.
pub(super) fn usual_format(model: Option<&str>) -> &'static str {
    match model.unwrap_or("wikitext") {
        "wikitext" => "text/x-wiki",
        "css" | "sanitized-css" => "text/css",
        "javascript" | "vue" => "text/javascript",
        "json" => "application/json",
        model if model.starts_with("wikibase-") || model.ends_with(".JsonConfig") => "application/json",
        _ => "text/plain",
    }
}

/// Whether a name is taken for an address without further word: it looks like one and has no user id.
pub(super) fn looks_like_ip(name: &str, has_id: bool) -> bool {
    !has_id && name.parse::<std::net::IpAddr>().is_ok()
}

/// A list of attributes to be.
#[derive(Debug, Default)]
pub(super) struct Attributes(pub Vec<(String, Box<str>)>);

impl Attributes {
    pub fn raw(&mut self, name: &str, json: impl Into<Box<str>>) {
        self.0.push((name.to_owned(), json.into()));
    }

    pub fn text(&mut self, name: &str, text: &str) {
        self.raw(name, quoted(text));
    }

    pub fn number(&mut self, name: &str, number: i64) {
        self.raw(name, number.to_string());
    }

    /// A number if the text is one as JSON writes it, else a string.
    pub fn number_or_text(&mut self, name: &str, text: &str) {
        match text.parse::<i64>() {
            Ok(n) if n.to_string() == text => self.raw(name, text),
            _ => self.text(name, text),
        }
    }

    /// The list as a JSON object.
    pub fn to_object(&self) -> String {
        let members: Vec<String> =
            self.0.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// A JSON string's text, or the source of a number.
pub(super) fn plain(json: &str) -> Option<String> {
    let mut scanner = Scanner::new(json);
    let text = match scanner.peek()? {
        b'"' => scanner.string().ok()?.into_owned(),
        _ => scanner.number().ok()?.to_owned(),
    };
    scanner.end().ok()?;
    Some(text)
}

/// A whole number.
pub(super) fn number(json: &str) -> Option<i64> {
    json.parse().ok()
}

/// The members of a JSON object: names and compact values. Empty if it is none.
pub(super) fn members(json: &str) -> Vec<(String, Box<str>)> {
    let mut scanner = Scanner::new(json);
    let mut out = Vec::new();
    let mut first = true;
    if scanner.expect(b'{').is_err() {
        return out;
    }
    while let Ok(Some((name, _))) = scanner.next_key(&mut first) {
        let Ok(value) = scanner.compact() else { break };
        out.push((name.into_owned(), value));
    }
    out
}
