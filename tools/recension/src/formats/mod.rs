//! Interchange formats: bytes to a neutral [`Record`] and back.
//!
//! Nothing here knows the store. A [`RecordReader`] turns an [`Input`] into records, a [`jsonl::Writer`] or a
//! [`mediawiki::Writer`] turns records into bytes; what a foreign id becomes, what is skipped and what is kept beside a
//! revision is the importer's business.
//!
//! ```text
//!  file or stdin -> Input (decompress, detect, count) -> RecordReader (jsonl | mediawiki | wikidata) -> Record
//!                                                                                                         |
//!                                                            jsonl::Writer | mediawiki::Writer  <---------+
//! ```
//!
//! Invariants:
//! 1. A reader yields every record of its source once, as a record or as a [`Reject`]; [`RecordReader::ordinal`] counts both,
//!    so that a reading can be taken up again at the same place.
//! 2. Memory is bounded by the largest record accepted, never by the length of a history, a line or a file.
//! 3. Bytes never cause a panic: they give a record, a reject (reading goes on) or a fatal error (the stream is broken), and
//!    both errors name file, line and byte.
//! 4. What a format cannot hold is refused or counted by name, never dropped in silence.

mod error;
pub mod input;
pub mod json;
pub mod jsonl;
mod lines;
pub mod mediawiki;
mod reader;
mod record;
pub mod sha1;
pub mod wikidata;

pub use error::{Fatal, ReadError, Refusal, Reject, WriteError};
pub use input::{Compression, Format, Input, Progress};
pub use reader::{Options, RecordReader, open};
pub use record::{Body, Place, Record, Slot, Told};
