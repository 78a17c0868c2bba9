//! What is met on the way through a file, and what the file says of itself.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::codec::{FileHeader, FileId, FileKind, Part, PartState};
use crate::index::table::{FilterSurvey, RowPlaces};
use crate::log::{Change, Frame, LoggedChange, StoredContent};
use crate::manifest::{Edit, State};
use crate::model::{Address, Entity, Row};
use crate::pack::GroupHeader;

/// What is met on the way through a file.
#[derive(Debug)]
pub enum Item {
    /// A part, in file order.
    Part(Part),
    /// A change, and the contents that stand beside it in the file.
    Change(LoggedChange, Vec<StoredContent>),
    /// A change as a directory has it: behind the frames in a segment, the only place in a pack.
    Listed(LoggedChange),
    /// A frame of a log, in front of its changes.
    Frame(Frame),
    /// A group of a pack.
    Group(u64, GroupHeader),
    /// A content of a pack; `None` if it cannot be read. Only at [`crate::pack::Depth::Contents`].
    Content(Address, Option<Bytes>),
    /// A row of a revision table, and where it stands.
    Row(Entity, Row, RowPlaces),
    /// A row that cannot be read.
    Lost(Entity, Option<u64>),
    /// A pair of a plain table.
    Pair(Bytes, Bytes),
    /// What a frame of a manifest says.
    Edits {
        /// Number of the commit.
        number: u64,
        /// `snapshot`, `edits` or `promise`.
        kind: &'static str,
        /// Where it starts.
        offset: u64,
        /// The edits.
        edits: Vec<Edit>,
        /// The rule that they break.
        broken: Option<String>,
        /// The state behind them.
        state: Box<State>,
    },
}

/// Something that a file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Number(u64),
    /// Bytes: with a unit for people.
    Size(u64),
    /// Words.
    Text(String),
    /// A name.
    Name(Bytes),
    /// Microseconds.
    Time(i64),
    /// A share of one.
    Share(f64),
}

/// What a file turned out to be.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where it is.
    pub path: PathBuf,
    /// What it is by its header, else by its name.
    pub kind: Option<FileKind>,
    /// What it is by its name.
    pub named: Option<(FileId, FileKind)>,
    /// The header that all files have, if it is sound.
    pub common: Option<FileHeader>,
    /// Length.
    pub len: u64,
    /// What it says of itself.
    pub facts: Vec<(&'static str, Fact)>,
    /// The filter of a table.
    pub filter: Option<FilterSurvey>,
    /// First and last sequence number, as far as it says.
    pub sequences: Option<(u64, u64)>,
    /// Whether it ends in a valid trailer or footer, and will not change any more.
    pub finished: bool,
    /// It was listed and is gone: a store that is being written to replaced it.
    pub vanished: bool,
}

impl Summary {
    /// Of a file of which nothing is known.
    pub(super) fn nothing(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            kind: None,
            named: None,
            common: None,
            len: 0,
            facts: Vec::new(),
            filter: None,
            sequences: None,
            finished: false,
            vanished: false,
        }
    }

    /// The name of the file, without its directory.
    pub fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }
}

/// The file kind's one word.
pub fn kind_name(kind: Option<FileKind>) -> &'static str {
    match kind {
        Some(FileKind::Segment) => "segment",
        Some(FileKind::RevisionTable) => "revision table",
        Some(FileKind::PlainTable) => "plain table",
        Some(FileKind::Manifest) => "manifest",
        Some(FileKind::Pack) => "pack",
        Some(FileKind::ViewCheckpoint) => "view checkpoint",
        _ => "unknown",
    }
}

/// Whose change it is, and its revision number; `None` if the entity was purged and its name erased.
pub fn who(change: &LoggedChange) -> Option<(&Entity, Option<u64>)> {
    match &change.change {
        Change::Revision { entity, row, .. } => Some((entity, Some(row.number))),
        Change::Annotation(annotation) => Some((&annotation.entity, None)),
        Change::Erased { .. } => None,
    }
}

/// Whether a state of a part is to be told.
pub fn is_finding(state: &PartState) -> bool {
    matches!(state, PartState::Damaged(_) | PartState::Unsupported(_))
}
