//! What becomes of packing and merging when a file cannot be read, a pack cannot be written, or there is no room.
//!
//! | what failed | what becomes of it |
//! |---|---|
//! | an input is damaged or cannot be read | it stays as it is, others go on; tried again after the next opening, and when a full compaction asks |
//! | the new pack cannot be written or read back | it is given up, the inputs stay; tried again later, ever less often |
//! | there is no room | nothing is written; tried again later, ever less often |
//! | a sync, or the manifest | the store latches: a failed sync is never tried again |
//!
//! Nothing is lost by a pack that is not made. So nothing here is worth a store that takes no more writes, but what says that bytes that
//! others count on may not be on the disk.

use super::inner::Inner;
use super::merging::Merge;
use crate::codec::{FileId, FileKind};
use crate::{Error, Result};

impl Inner {
    /// What was made of a file, or `None` if it cannot be read: then it stays as it is.
    pub(super) fn packable<T>(&self, id: FileId, result: Result<T>) -> Result<Option<T>> {
        self.readable(&[id], result)
    }

    /// What was made of all inputs together, or `None` if one of them cannot be read.
    pub(super) fn inputs_packable<T>(&self, merge: &Merge, result: Result<T>) -> Result<Option<T>> {
        let inputs: Vec<FileId> = merge.inputs.iter().map(|info| info.id).collect();
        self.readable(&inputs, result)
    }

    fn readable<T>(&self, inputs: &[FileId], result: Result<T>) -> Result<Option<T>> {
        let error = match result {
            Ok(made) => return Ok(Some(made)),
            Err(error) => error,
        };
        let at_fault = file_of(&error).map(|(id, _)| id).filter(|id| inputs.contains(id));
        let left_out: Vec<FileId> = match (&error, at_fault) {
            (Error::Corrupt(_) | Error::Unsupported { .. } | Error::Io { .. }, Some(id)) => vec![id],
            // It is not told which.
            (Error::Corrupt(_) | Error::Unsupported { .. }, None) => inputs.to_vec(),
            _ => return Err(error),
        };
        probe!("pack: damaged file left as it is");
        tracing::error!(%error, "a value file cannot be packed or merged and stays as it is: run check");
        self.background.unpackable.lock().extend(left_out);
        Ok(None)
    }

    /// Refuses work that will find no room, before it writes anything.
    pub(super) fn require_space(&self, action: &'static str, bytes: u64) -> Result<()> {
        // Where it cannot be told, writing tells.
        match self.env.fs.free_space(&self.path) {
            Ok(free) if free < bytes => {
                probe!("pack: no room, nothing tried");
                Err(Error::OutOfSpace { action, path: self.path.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Whether bytes or names that others count on may not be on the disk.
pub(super) fn is_failed_sync(error: &Error) -> bool {
    matches!(error, Error::Io { action: "sync" | "sync the directory", .. })
}

/// Whether something only could not be read (opened, measured): then everything is as it was. The manifest is not meant: it speaks for itself.
pub(super) fn is_failed_read(error: &Error) -> bool {
    matches!(error, Error::Io { action: "open" | "read" | "read the length of" | "map", .. })
        && file_of(error).is_some_and(|(_, kind)| kind != FileKind::Manifest)
}

/// Whether a file could not be read, or a table is damaged, which is a view of the log and no more. Rows in the wrong order are none of these (they
/// are told for the whole table, at 0): that is a mistake of ours, or worse.
pub(super) fn is_unreadable(error: &Error) -> bool {
    let is_table = |kind| matches!(kind, FileKind::RevisionTable | FileKind::PlainTable);
    is_failed_read(error)
        || matches!(error, Error::Corrupt(corruption) if corruption.offset > 0)
            && file_of(error).is_some_and(|(_, kind)| is_table(kind))
}

/// Whether a pack could not be written or read back, and was given up.
pub(super) fn is_given_up(error: &Error) -> bool {
    matches!(error, Error::Io { .. })
        && !is_failed_sync(error)
        && file_of(error).is_some_and(|(_, kind)| kind == FileKind::Pack)
}

/// The file that an error is about.
fn file_of(error: &Error) -> Option<(FileId, FileKind)> {
    let path = match error {
        Error::Io { path, .. } | Error::Unsupported { path, .. } => path,
        Error::Corrupt(corruption) => &corruption.path,
        _ => return None,
    };
    path.file_name().and_then(|name| name.to_str()).and_then(FileId::parse)
}
