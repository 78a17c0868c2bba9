//! What is in a store's directory, compared with what the manifest says.
//!
//! ```text
//! LOCK                        who has the store open
//! 00000001-00000001.manifest  which files make up the store
//! 00000001-0000002a.seg       segments: sealed ones are in the manifest, the others belong to the log's recovery
//! 00000001-00000031.tab .kv   tables
//! 00000001-00000040.pack      packs
//! lost/                       files that nobody knows
//! ```
//!
//! Everything is flat: one directory to list, one to sync.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::lock::LOCK_FILE;
use super::lost::LOST_DIR;
use super::state::State;
use crate::codec::{FileId, FileKind};
use crate::env::DirEntry;
use crate::{Error, Result};

/// A file of the manifest that is not there as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// Its length, as the manifest says.
    pub len: u64,
    /// Its length in the directory; `None` if it is not there.
    pub found: Option<u64>,
    /// The sequence numbers it holds.
    pub sequences: (u64, u64),
}

/// The files of a store's directory by what is known of them. Names are sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// In the manifest, with the right length.
    pub known: Vec<FileId>,
    /// Manifest files.
    pub manifests: Vec<FileId>,
    /// Announced and never installed: to be removed.
    pub intents: Vec<(FileId, FileKind)>,
    /// Not part of the store any more: to be removed.
    pub obsolete: Vec<(FileId, FileKind)>,
    /// Segments that are not in the manifest: active, spare or cut ones, which the log's recovery judges.
    pub segments: Vec<FileId>,
    /// Named like our files, but known to nobody: (name, length).
    pub unknown: Vec<(String, u64)>,
    /// Not named like our files: (name, length). Ours only if they begin with our magic.
    pub foreign: Vec<(String, u64)>,
    /// In the manifest, but not in the directory or of another length.
    pub missing: Vec<Missing>,
}

impl Contents {
    /// An error if a file of the manifest is missing.
    ///
    /// # Errors
    /// `Corrupt`, naming the first such file and how many there are.
    pub fn require_complete(&self, dir: &Path) -> Result<()> {
        let Some(missing) = self.missing.first() else { return Ok(()) };
        let found = match missing.found {
            None => "no such file".to_string(),
            Some(len) => format!("{len} bytes"),
        };
        let (first, last) = missing.sequences;
        let more = match self.missing.len() {
            1 => String::new(),
            n => format!(", and {} more files that are missing or of a wrong length", n - 1),
        };
        Err(Error::corrupt(
            &dir.join(&missing.name),
            missing.found.unwrap_or(0).min(missing.len),
            format!("a file of {} bytes, as the manifest says", missing.len),
            found,
            format!("sequence numbers {first} to {last}{more}"),
        ))
    }
}

/// Sorts the entries of a store's directory by what the manifest says of them.
pub fn classify(entries: &[DirEntry], state: &State) -> Contents {
    let mut contents = Contents::default();
    let mut expected = expected_files(state);
    // A number is used for one file, so a segment with the number of a table is not the log's.
    let numbers: BTreeSet<u64> = expected.keys().map(|(id, _)| id.number).collect();
    for entry in entries {
        if entry.is_dir || entry.name == LOCK_FILE {
            if entry.is_dir && entry.name != LOST_DIR {
                contents.foreign.push((entry.name.clone(), 0));
            }
            continue;
        }
        let Some((id, kind)) = FileId::parse(&entry.name) else {
            contents.foreign.push((entry.name.clone(), entry.len));
            continue;
        };
        if let Some((len, sequences)) = expected.remove(&(id, kind)) {
            if len == entry.len {
                contents.known.push(id);
            } else {
                let (name, found) = (entry.name.clone(), Some(entry.len));
                contents.missing.push(Missing { name, len, found, sequences });
            }
        } else if kind == FileKind::Manifest {
            contents.manifests.push(id);
        } else if state.intents.get(&id) == Some(&kind) {
            contents.intents.push((id, kind));
        } else if state.obsolete.get(&id) == Some(&kind) {
            contents.obsolete.push((id, kind));
        } else if kind == FileKind::Segment && !numbers.contains(&id.number) {
            contents.segments.push(id);
        } else {
            contents.unknown.push((entry.name.clone(), entry.len));
        }
    }
    let absent = expected.into_iter().map(|((id, kind), (len, sequences))| Missing {
        name: id.file_name(kind),
        len,
        found: None,
        sequences,
    });
    contents.missing.extend(absent);
    contents.missing.sort_by(|a, b| a.name.cmp(&b.name));
    contents
}

/// Whether the state names a file.
pub(super) fn is_named(state: &State, name: &str) -> bool {
    FileId::parse(name).is_some_and(|file| expected_files(state).contains_key(&file))
}

type Expected = BTreeMap<(FileId, FileKind), (u64, (u64, u64))>;

/// Length and sequence numbers of every file that the state names.
fn expected_files(state: &State) -> Expected {
    let tables = state
        .tables
        .values()
        .map(|table| ((table.id, table.kind()), (table.len, (table.sequence_first, table.sequence_last))));
    let value_files = state
        .value_files
        .values()
        .map(|file| ((file.id, file.kind), (file.len, (file.sequence_first, file.sequence_last))));
    tables.chain(value_files).collect()
}
