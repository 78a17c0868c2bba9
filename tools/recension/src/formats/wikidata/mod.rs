//! Wikidata JSON dumps: the current state of each entity, without history.
//!
//! ```text
//!  [                                                     also: objects without brackets, one a line (what filters of
//!  {"type":"item","id":"Q1",…,"lastrevid":7,…},                dumps write); the whole array on one line; a pretty-
//!  {"type":"item","id":"Q2",…}                                 printed array
//!  ]
//! ```
//! The content is the entity exactly as it stands in the source, without the comma behind it: PHP writes empty maps as `[]` and
//! key order is not fixed, so serialising it again would change it. `id` names the entity, `lastrevid` is the foreign revision
//! id, `modified` the authored time; dumps from before 2016 have neither, and then the importer numbers. A redirect
//! (`{"entity":"Q1","redirect":"Q2"}`) is a content of `Q1` like any other.
//!
//! Invariants:
//! 1. A file that is cut off inside an entity of an array is a fatal error, after its whole entities were given. An array that only
//!    lacks its `]` (parts of dumps are passed around like that) is read, with a warning.
//! 2. A line that is not an entity is a reject, and the next line is read. In an array that is not one entity a line, the
//!    damage ends where a line starts with `{`, or with the text.

mod entity;
mod objects;
mod reader;
#[cfg(test)]
mod tests;

pub use reader::Reader;
