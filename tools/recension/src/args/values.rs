//! Values that can be typed.

use std::time::Duration;

use clap::ValueEnum;
use recension::{Digest, Expect, FieldMask, Sharing};

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

impl Part {
    /// All of these parts.
    pub fn mask(parts: &[Self]) -> FieldMask {
        parts.iter().fold(FieldMask::default(), |mask, part| {
            mask.with(match part {
                Self::Content => FieldMask::CONTENT,
                Self::Comment => FieldMask::COMMENT,
                Self::Author => FieldMask::AUTHOR,
                Self::Attributes => FieldMask::ATTRIBUTES,
                Self::All => FieldMask::ALL,
            })
        })
    }
}

/// What becomes of a content that further revisions have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SharedChoice {
    /// Forget nothing and name them
    Refuse,
    /// Forget it for them, too
    Include,
    /// Let them keep it: its bytes stay
    Leave,
}

impl From<SharedChoice> for Sharing {
    fn from(choice: SharedChoice) -> Self {
        match choice {
            SharedChoice::Refuse => Self::Refuse,
            SharedChoice::Include => Self::Include,
            SharedChoice::Leave => Self::Leave,
        }
    }
}

pub(super) fn parse_digest(text: &str) -> Result<Digest, String> {
    let mut digest = [0; 32];
    let well_formed = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    for (byte, digits) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).unwrap_or_default();
    }
    if well_formed { Ok(Digest(digest)) } else { Err("write 64 hexadecimal digits".into()) }
}

pub(super) fn parse_job(text: &str) -> Result<u64, String> {
    let well_formed = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
    match u64::from_str_radix(text, 16) {
        Ok(job) if well_formed => Ok(job),
        _ => Err("write the job's hexadecimal number, as `erasure-report` and `changes` show it".into()),
    }
}

pub(super) fn parse_age(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        "y" => 365 * 24 * 3600,
        _ => return Err("write a number with s, m, h, d, w or y, such as 90d".into()),
    };
    let number = digits.parse::<u64>().map_err(|_| "write a number with s, m, h, d, w or y, such as 90d")?;
    number.checked_mul(unit).map(Duration::from_secs).ok_or_else(|| "that is too long".into())
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
