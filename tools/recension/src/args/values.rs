//! Values that can be typed.

use clap::ValueEnum;
use recension::Expect;

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What names the entity of a wiki page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyChoice {
    /// Its title
    Title,
    /// Its number
    PageId,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatChoice {
    /// Canonical JSON lines, one revision a line
    Jsonl,
    /// MediaWiki XML, schema 0.11
    Mediawiki,
}

/// A part of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// All contents
    Content,
    /// The comment
    Comment,
    /// The author
    Author,
    /// Tags and attributes
    Attributes,
    /// All of them
    All,
}

pub(super) fn parse_expect(text: &str) -> Result<Expect, String> {
    match text {
        "absent" => Ok(Expect::Absent),
        "any" => Ok(Expect::Any),
        _ => match text.parse() {
            Ok(0) => Err("revisions are numbered from 1; for an entity without any write `absent`".into()),
            Ok(number) => Ok(Expect::Head(number)),
            Err(_) => Err("write a revision number, `absent` or `any`".into()),
        },
    }
}

pub(super) fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|n| *n > 0);
    let range = match text.split_once('-') {
        None => number(text).map(|n| (n, n)),
        Some((first, "")) => number(first).map(|n| (n, recension::limits::REVISION_NUMBER_MAX)),
        Some((first, last)) => number(first).zip(number(last)),
    };
    range.filter(|(first, last)| first <= last).ok_or_else(|| "write N, N-M or N-, from 1".into())
}

pub(super) fn parse_request_id(text: &str) -> Result<[u8; 16], String> {
    let mut id = [0; 16];
    let well_formed = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    if well_formed { Ok(id) } else { Err("write 32 hexadecimal digits".into()) }
}
