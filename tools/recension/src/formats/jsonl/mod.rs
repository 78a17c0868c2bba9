//! Canonical JSON lines: one revision a line, for import and export alike.
//!
//! ```text
//! {"entity":"Q1","rev":2,"parent":1,"ts":1700000000,"author":"a","bot":true,"comment":"c","content":"…"}
//!
//!  entity | entity_base64   string        the name; base64 if it is not UTF-8
//!  rev                      1..=2^63-1    left out only by data to be appended
//!  parent                   integer       0 for the first
//!  origin_id                integer
//!  ts                       number        seconds, at most six decimals, no trailing zeros, no exponent
//!  author                   string
//!  minor, bot               true
//!  tags                     [string…]
//!  comment                  string
//!  type                     string
//!  …                        any           other attributes, by name bytewise; compact source tokens
//!  slots                    {role:{"type":string?, one of content … withheld}…}   by role bytewise
//!  content | content_base64 string        or "deleted", "hidden", "forgotten", "withheld": true. Exactly one
//! ```
//! Among the other attributes these have a meaning; with any other value they are attributes like all others:
//!
//! ```text
//!  author_withheld, author_hidden, author_forgotten: true     in place of an author     comment_…: the same
//!  mass: true                                                 part of a mass edit
//!  schema_version: an integer from 0                          of the content
//! ```
//!
//! Invariants:
//! 1. Reading a canonical line and writing it gives the same bytes.
//! 2. Any JSON object with these keys is accepted in any order, with any white space and escapes; writing it gives the canonical
//!    line. `false` for a flag is the same as leaving it out.
//! 3. Refused, with line and byte: what is not JSON, lone surrogates, NaN, a key that stands twice at any depth, wrong types, a
//!    missing or zero `rev`, a line or content that is too long, and a line with no body or with several.
//!
//! `type` of a slot is read into the attribute `slot_types` and taken from it when writing, and `"tags":[]` and `"slots":{}` are
//! read as attributes of these names: so a store that keeps attributes, roles and contents gives every line back without knowing
//! of them. Rejected: serde_json with `RawValue` (see [`super::json`]).

mod body;
mod fields;
mod reader;
#[cfg(test)]
mod tests;
pub mod timestamp;
mod writer;

pub(super) use fields::{parse_slot_types, slot_types};
pub(super) use reader::too_long;
pub use reader::{Reader, parse_line};
pub use writer::{Writer, line};

/// Keys with a place of their own in a line; an attribute cannot have such a name.
pub(super) const KEYS: [&str; 19] = [
    "author",
    "bot",
    "comment",
    "content",
    "content_base64",
    "deleted",
    "entity",
    "entity_base64",
    "forgotten",
    "hidden",
    "minor",
    "origin_id",
    "parent",
    "rev",
    "slots",
    "tags",
    "ts",
    "type",
    "withheld",
];
