//! What a manifest says.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use crate::codec::{FileId, FileKind};
use crate::env::File;
use crate::error::IoContext;
use crate::{Error, Result};

/// A table of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// 0 revisions, 1 annotations, 16 and up views.
    pub keyspace: u16,
    /// Its level; 0 is the newest.
    pub level: u8,
    /// Which file.
    pub id: FileId,
    /// File length, bytes.
    pub len: u64,
    /// BLAKE3 of the file.
    pub blake3: [u8; 32],
    /// Smallest entity (or plain key).
    pub first: Bytes,
    /// Largest entity (or plain key), inclusive.
    pub last: Bytes,
    /// Smallest sequence number of its rows.
    pub sequence_first: u64,
    /// Largest sequence number of its rows.
    pub sequence_last: u64,
    /// How many rows (or plain keys).
    pub rows: u64,
    /// How many entities; 0 for a plain table.
    pub entities: u64,
    /// What annotations up to this sequence number had made forgotten was left out when it was written.
    pub erased_up_to: u64,
}

impl TableInfo {
    /// What kind of file it is: the revisions have a format of their own, all other keyspaces share one.
    pub fn kind(&self) -> FileKind {
        table_kind(self.keyspace)
    }
}

/// The kind of file that holds the tables of a keyspace.
pub(super) fn table_kind(keyspace: u16) -> FileKind {
    if keyspace == 0 { FileKind::RevisionTable } else { FileKind::PlainTable }
}

/// A sealed value file: a segment, later a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueFileInfo {
    /// Which file.
    pub id: FileId,
    /// Segment or pack.
    pub kind: FileKind,
    /// File length, bytes.
    pub len: u64,
    /// BLAKE3 of the file; all zeros where it was not taken.
    pub blake3: [u8; 32],
    /// Its rectangle: first sequence number,
    pub sequence_first: u64,
    /// last sequence number (inclusive),
    pub sequence_last: u64,
    /// smallest entity (empty: no lower bound),
    pub entity_first: Bytes,
    /// and largest entity (inclusive; empty: no upper bound).
    pub entity_last: Bytes,
    /// How often the rectangle was rewritten; the highest wins.
    pub generation: u32,
    /// Changes up to this sequence number had their annotations applied when it was written.
    pub annotation_watermark: u64,
    /// Changes in it.
    pub records: u64,
    /// Content bytes in it, uncompressed.
    pub raw_bytes: u64,
    /// Content bytes in it, as stored.
    pub stored_bytes: u64,
    /// Of those, bytes that something still refers to.
    pub live_bytes: u64,
    /// Checksum of the last frame: the next segment's header repeats it.
    pub last_checksum: u32,
}

impl ValueFileInfo {
    /// The length of the file that this should be.
    ///
    /// # Errors
    /// `Corrupt` if it is another one; `Io`.
    pub fn checked_len(&self, file: &dyn File, path: &Path) -> Result<u64> {
        let len = file.len().context("read the length of", path)?;
        if len == self.len {
            return Ok(len);
        }
        let (expected, found) = (format!("a file of {} bytes", self.len), format!("{len} bytes"));
        let affected = format!("changes {} to {}", self.sequence_first, self.sequence_last);
        Err(Error::corrupt(path, 0, expected, found, affected))
    }
}

/// What the log's recovery needs of the newest segment that became a pack: the segment behind it names it as its predecessor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedEnd {
    /// The segment. Its file is gone.
    pub id: FileId,
    /// Its length when it was sealed, bytes.
    pub len: u64,
    /// The sequence number of its last change.
    pub sequence: u64,
    /// The checksum of its last frame.
    pub checksum: u32,
    /// The commit time of its last change, µs.
    pub commit_time: i64,
}

/// A checkpoint (a second set of links to this store's files) that was made and is not known to be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where it was put, from the root on.
    pub path: String,
    /// The last sequence number in it.
    pub sequence: u64,
    /// Of what annotations up to this sequence number had made forgotten, no file had any bytes left when it was made. What
    /// later ones, or those between here and `sequence`, made forgotten may be in it.
    pub erased_up_to: u64,
    /// When, µs.
    pub made: i64,
}

/// Everything a manifest says, edits applied.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct State {
    /// The store's id.
    pub store: [u8; 16],
    /// Changes whenever sequence numbers may have been lost: part of every feed cursor.
    pub incarnation: u64,
    /// Writer epoch.
    pub epoch: u64,
    /// All file numbers below are reserved: given out, or skipped for ever once the store is opened again.
    pub next_file: u64,
    /// All tables by (keyspace, file).
    pub tables: BTreeMap<(u16, FileId), TableInfo>,
    /// All sealed value files.
    pub value_files: BTreeMap<FileId, ValueFileInfo>,
    /// The newest segment that became a pack, if one did.
    pub packed_end: Option<PackedEnd>,
    /// Per keyspace: all changes up to this sequence number are in its tables. Replay starts behind the smallest.
    pub flushed: BTreeMap<u16, u64>,
    /// The log was known to be durable up to here when this was written: (file number, offset).
    pub promise: (u64, u64),
    /// The last change in front of that.
    pub promise_sequence: u64,
    /// Files that a job has announced and not yet installed: removed at the next open.
    pub intents: BTreeMap<FileId, FileKind>,
    /// Files that were removed from this store and may still be in the directory (a reader has them open, or the process ended
    /// before they were unlinked): deleted at the next open at the latest.
    pub obsolete: BTreeMap<FileId, FileKind>,
    /// Checkpoints of this store.
    pub holders: Vec<Holder>,
    /// Small named values: settings that must not change, marks of views.
    pub options: BTreeMap<String, Bytes>,
    /// Edits of a newer version that may be skipped, as (tag, body) in the order they came: kept when the manifest is rewritten.
    pub kept: Vec<(u64, Bytes)>,
}
