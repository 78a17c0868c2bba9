//! One change of the manifest, and how it is written.
//!
//! ```text
//! edit  tag varint | body length varint | body
//! ```
//!
//! Numbers are varints unless said otherwise; a *file* is epoch, number; *bytes* have a varint length in front.
//!
//! | tag  | edit            | body |
//! |------|-----------------|------|
//! | 0x01 | SetOption       | key bytes, value bytes (empty: remove) |
//! | 0x40 | AddTable        | flags (0), keyspace, level u8, file, length, blake3 32, first bytes, last bytes, first and last sequence, rows, entities, erased up to |
//! | 0x41 | RemoveTable     | keyspace, file |
//! | 0x42 | MoveTable       | keyspace, file, level u8 |
//! | 0x43 | AddValueFile    | flags (0), kind, file, length, blake3 32, first and last sequence, first and last entity bytes, generation, annotation watermark, records, raw, stored and live bytes, last checksum u32 |
//! | 0x44 | RemoveValueFile | file |
//! | 0x45 | SetLive         | file, live bytes |
//! | 0x46 | SetFlushed      | keyspace, sequence |
//! | 0x47 | SetPromise      | file number, offset, sequence |
//! | 0x48 | NextFile        | number |
//! | 0x49 | Intent          | file, kind |
//! | 0x4a | IntentDone      | file |
//! | 0x4b | Obsolete        | file, kind (only in snapshots) |
//! | 0x4c | Deleted         | file |
//! | 0x4d | Incarnation     | number |
//! | 0x4e | Epoch           | number |
//! | 0x4f | AddHolder       | path bytes (UTF-8), sequence, erased up to, made zigzag |
//! | 0x50 | RemoveHolder    | path bytes |
//! | 0x51 | SetPackedEnd    | file, length, sequence, checksum u32, commit time zigzag |
//! | 0x60 |                 | reserved: view checkpoint |
//! | 0x61 |                 | reserved: remote locations of a file |
//!
//! A tag below 0x40 that is not known may be skipped: it is kept and written again. Any other unknown tag, flag, kind, or field
//! behind the known ones is `Unsupported`: a store is never understood by half.

use bytes::Bytes;

use super::state::{Holder, PackedEnd, TableInfo, ValueFileInfo};
use crate::codec::{FileId, FileKind, Malformed, Reader, put_bytes, put_u32, put_varint, put_zigzag};

/// Tags from here on must be understood.
pub(super) const MUST_UNDERSTAND: u64 = 0x40;
/// Longest plain key in a [`TableInfo`], bytes.
pub(super) const KEY_LEN_MAX: usize = 64 << 10;
/// Longest path of a holder, bytes.
pub(super) const PATH_LEN_MAX: usize = 4 << 10;
/// Longest name of an option, bytes.
pub(super) const OPTION_KEY_LEN_MAX: usize = 256;
/// Longest value of an option, bytes.
pub(super) const OPTION_VALUE_LEN_MAX: usize = 64 << 10;

/// A change of the manifest. [`super::Manifest::commit`] takes a list of them, which becomes durable and visible as one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// A table is complete and synced. Its intent, if there is one, is done.
    AddTable(TableInfo),
    /// A table is not part of the store any more; its file becomes obsolete.
    RemoveTable {
        /// Of which keyspace.
        keyspace: u16,
        /// Which file.
        id: FileId,
    },
    /// A table changes its level without being written again.
    MoveTable {
        /// Of which keyspace.
        keyspace: u16,
        /// Which file.
        id: FileId,
        /// The new level.
        level: u8,
    },
    /// A value file is complete, sealed and synced. Its intent, if there is one, is done. Behind a `RemoveValueFile` of the same
    /// file in the same commit it changes the file's rectangle.
    AddValueFile(ValueFileInfo),
    /// A value file is not part of the store any more; it becomes obsolete.
    RemoveValueFile(FileId),
    /// How many stored bytes of a value file something still refers to.
    SetLive {
        /// Which file.
        id: FileId,
        /// Bytes.
        live_bytes: u64,
    },
    /// All changes up to this sequence number are in the keyspace's tables.
    SetFlushed {
        /// Which keyspace.
        keyspace: u16,
        /// Up to where.
        sequence: u64,
    },
    /// The log is known to be durable up to here.
    SetPromise {
        /// File number of the segment.
        file: u64,
        /// Offset in it.
        offset: u64,
        /// The last change in front of it: so nobody has to guess what is lost with the log's end.
        sequence: u64,
    },
    /// All file numbers below are reserved.
    NextFile(u64),
    /// A job is going to write this file. If it is never installed, it is removed at the next open.
    Intent {
        /// Which file.
        id: FileId,
        /// What it will be.
        kind: FileKind,
    },
    /// The job has given up and removed the file.
    IntentDone(FileId),
    /// The file is not part of the store but may still be in the directory. Only in snapshots: removing a file implies it.
    Obsolete {
        /// Which file.
        id: FileId,
        /// What it was.
        kind: FileKind,
    },
    /// An obsolete file's name is durably gone.
    Deleted(FileId),
    /// A new incarnation: sequence numbers may have been lost.
    Incarnation(u64),
    /// A new writer epoch: part of the names of new files.
    Epoch(u64),
    /// A checkpoint was made; replaces one at the same path.
    AddHolder(Holder),
    /// A checkpoint is known to be gone.
    RemoveHolder {
        /// Where it was.
        path: String,
    },
    /// The newest segment became a pack: the log's recovery starts behind its end, of which nothing else tells.
    SetPackedEnd(PackedEnd),
    /// Sets a small named value; an empty one removes it.
    SetOption {
        /// Its name.
        key: String,
        /// Its value.
        value: Bytes,
    },
    /// An edit of a newer version that may be skipped.
    Unknown {
        /// Below 0x40.
        tag: u64,
        /// As it was.
        body: Bytes,
    },
}

/// Why edits could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BadEdit {
    /// Not the encoding of an edit.
    Malformed(Malformed),
    /// Something that this version does not know.
    Unsupported(String),
}

impl From<Malformed> for BadEdit {
    fn from(bad: Malformed) -> Self {
        Self::Malformed(bad)
    }
}

impl Edit {
    fn tag(&self) -> u64 {
        match self {
            Self::SetOption { .. } => 0x01,
            Self::AddTable(_) => 0x40,
            Self::RemoveTable { .. } => 0x41,
            Self::MoveTable { .. } => 0x42,
            Self::AddValueFile(_) => 0x43,
            Self::RemoveValueFile(_) => 0x44,
            Self::SetLive { .. } => 0x45,
            Self::SetFlushed { .. } => 0x46,
            Self::SetPromise { .. } => 0x47,
            Self::NextFile(_) => 0x48,
            Self::Intent { .. } => 0x49,
            Self::IntentDone(_) => 0x4a,
            Self::Obsolete { .. } => 0x4b,
            Self::Deleted(_) => 0x4c,
            Self::Incarnation(_) => 0x4d,
            Self::Epoch(_) => 0x4e,
            Self::AddHolder(_) => 0x4f,
            Self::RemoveHolder { .. } => 0x50,
            Self::SetPackedEnd(_) => 0x51,
            Self::Unknown { tag, .. } => *tag,
        }
    }

    /// Appends tag, length and body.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        self.encode_body(&mut body);
        put_varint(out, self.tag());
        put_bytes(out, &body);
    }

    fn encode_body(&self, out: &mut Vec<u8>) {
        match self {
            Self::AddTable(table) => encode_table(out, table),
            Self::RemoveTable { keyspace, id } => {
                put_varint(out, u64::from(*keyspace));
                put_file(out, *id);
            }
            Self::MoveTable { keyspace, id, level } => {
                put_varint(out, u64::from(*keyspace));
                put_file(out, *id);
                out.push(*level);
            }
            Self::AddValueFile(file) => encode_value_file(out, file),
            Self::RemoveValueFile(id) | Self::IntentDone(id) | Self::Deleted(id) => put_file(out, *id),
            Self::SetLive { id, live_bytes } => {
                put_file(out, *id);
                put_varint(out, *live_bytes);
            }
            Self::SetFlushed { keyspace, sequence } => {
                put_varint(out, u64::from(*keyspace));
                put_varint(out, *sequence);
            }
            Self::SetPromise { file, offset, sequence } => {
                put_varint(out, *file);
                put_varint(out, *offset);
                put_varint(out, *sequence);
            }
            Self::NextFile(number) | Self::Incarnation(number) | Self::Epoch(number) => {
                put_varint(out, *number);
            }
            Self::Intent { id, kind } | Self::Obsolete { id, kind } => {
                put_file(out, *id);
                put_varint(out, *kind as u64);
            }
            Self::AddHolder(holder) => {
                put_bytes(out, holder.path.as_bytes());
                put_varint(out, holder.sequence);
                put_varint(out, holder.erased_up_to);
                put_zigzag(out, holder.made);
            }
            Self::RemoveHolder { path } => put_bytes(out, path.as_bytes()),
            Self::SetPackedEnd(end) => {
                put_file(out, end.id);
                put_varint(out, end.len);
                put_varint(out, end.sequence);
                put_u32(out, end.checksum);
                put_zigzag(out, end.commit_time);
            }
            Self::SetOption { key, value } => {
                put_bytes(out, key.as_bytes());
                put_bytes(out, value);
            }
            Self::Unknown { body, .. } => out.extend_from_slice(body),
        }
    }

    /// Reads the next edit.
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, BadEdit> {
        let tag = reader.varint("the tag of an edit")?;
        let body = reader.prefixed(usize::MAX, "the body of an edit")?;
        let start = reader.position().saturating_sub(body.len());
        let mut inner = Reader::new(body);
        let edit = match Self::decode_body(tag, &mut inner) {
            Err(BadEdit::Malformed(bad)) => {
                return Err(Malformed { at: start.saturating_add(bad.at), ..bad }.into());
            }
            other => other?,
        };
        if !inner.is_empty() {
            return Err(BadEdit::Unsupported(format!("more fields in manifest edit {tag:#x}")));
        }
        Ok(edit)
    }

    fn decode_body(tag: u64, r: &mut Reader<'_>) -> Result<Self, BadEdit> {
        Ok(match tag {
            0x01 => {
                let key = text(r, OPTION_KEY_LEN_MAX, "the name of an option")?;
                let value = r.prefixed(OPTION_VALUE_LEN_MAX, "the value of an option")?;
                Self::SetOption { key, value: Bytes::copy_from_slice(value) }
            }
            0x40 => Self::AddTable(decode_table(r)?),
            0x41 => Self::RemoveTable { keyspace: keyspace(r)?, id: file(r)? },
            0x42 => Self::MoveTable { keyspace: keyspace(r)?, id: file(r)?, level: r.u8("a level")? },
            0x43 => Self::AddValueFile(decode_value_file(r)?),
            0x44 => Self::RemoveValueFile(file(r)?),
            0x45 => Self::SetLive { id: file(r)?, live_bytes: r.varint("live bytes")? },
            0x46 => Self::SetFlushed { keyspace: keyspace(r)?, sequence: r.varint("a sequence number")? },
            0x47 => Self::SetPromise {
                file: r.varint("a file number")?,
                offset: r.varint("an offset")?,
                sequence: r.varint("a sequence number")?,
            },
            0x48 => Self::NextFile(r.varint("a file number")?),
            0x49 => Self::Intent { id: file(r)?, kind: kind(r)? },
            0x4a => Self::IntentDone(file(r)?),
            0x4b => Self::Obsolete { id: file(r)?, kind: kind(r)? },
            0x4c => Self::Deleted(file(r)?),
            0x4d => Self::Incarnation(r.varint("an incarnation")?),
            0x4e => Self::Epoch(r.varint("an epoch")?),
            0x4f => Self::AddHolder(Holder {
                path: text(r, PATH_LEN_MAX, "the path of a checkpoint")?,
                sequence: r.varint("a sequence number")?,
                erased_up_to: r.varint("a sequence number")?,
                made: r.zigzag("a time")?,
            }),
            0x50 => Self::RemoveHolder { path: text(r, PATH_LEN_MAX, "the path of a checkpoint")? },
            0x51 => Self::SetPackedEnd(PackedEnd {
                id: file(r)?,
                len: r.varint("a file length")?,
                sequence: r.varint("a sequence number")?,
                checksum: r.u32("a checksum")?,
                commit_time: r.zigzag("a time")?,
            }),
            tag if tag < MUST_UNDERSTAND => Self::Unknown { tag, body: Bytes::copy_from_slice(r.rest()) },
            tag => return Err(BadEdit::Unsupported(format!("manifest edit {tag:#x}"))),
        })
    }

    /// Reads a whole payload.
    pub(super) fn decode_all(payload: &[u8]) -> Result<Vec<Self>, BadEdit> {
        let mut reader = Reader::new(payload);
        let mut edits = Vec::new();
        while !reader.is_empty() {
            edits.push(Self::decode(&mut reader)?);
        }
        Ok(edits)
    }
}

fn encode_table(out: &mut Vec<u8>, table: &TableInfo) {
    put_varint(out, 0);
    put_varint(out, u64::from(table.keyspace));
    out.push(table.level);
    put_file(out, table.id);
    put_varint(out, table.len);
    out.extend_from_slice(&table.blake3);
    put_bytes(out, &table.first);
    put_bytes(out, &table.last);
    let TableInfo { sequence_first, sequence_last, rows, entities, erased_up_to, .. } = *table;
    for n in [sequence_first, sequence_last, rows, entities, erased_up_to] {
        put_varint(out, n);
    }
}

fn decode_table(r: &mut Reader<'_>) -> Result<TableInfo, BadEdit> {
    no_flags(r, "a table")?;
    Ok(TableInfo {
        keyspace: keyspace(r)?,
        level: r.u8("a level")?,
        id: file(r)?,
        len: r.varint("a file length")?,
        blake3: r.array("a BLAKE3 hash")?,
        first: Bytes::copy_from_slice(r.prefixed(KEY_LEN_MAX, "the first key of a table")?),
        last: Bytes::copy_from_slice(r.prefixed(KEY_LEN_MAX, "the last key of a table")?),
        sequence_first: r.varint("a sequence number")?,
        sequence_last: r.varint("a sequence number")?,
        rows: r.varint("a number of rows")?,
        entities: r.varint("a number of entities")?,
        erased_up_to: r.varint("a sequence number")?,
    })
}

fn encode_value_file(out: &mut Vec<u8>, file: &ValueFileInfo) {
    put_varint(out, 0);
    put_varint(out, file.kind as u64);
    put_file(out, file.id);
    put_varint(out, file.len);
    out.extend_from_slice(&file.blake3);
    put_varint(out, file.sequence_first);
    put_varint(out, file.sequence_last);
    put_bytes(out, &file.entity_first);
    put_bytes(out, &file.entity_last);
    put_varint(out, u64::from(file.generation));
    let numbers =
        [file.annotation_watermark, file.records, file.raw_bytes, file.stored_bytes, file.live_bytes];
    for n in numbers {
        put_varint(out, n);
    }
    put_u32(out, file.last_checksum);
}

fn decode_value_file(r: &mut Reader<'_>) -> Result<ValueFileInfo, BadEdit> {
    no_flags(r, "a value file")?;
    Ok(ValueFileInfo {
        kind: kind(r)?,
        id: file(r)?,
        len: r.varint("a file length")?,
        blake3: r.array("a BLAKE3 hash")?,
        sequence_first: r.varint("a sequence number")?,
        sequence_last: r.varint("a sequence number")?,
        entity_first: Bytes::copy_from_slice(r.prefixed(KEY_LEN_MAX, "the first entity of a value file")?),
        entity_last: Bytes::copy_from_slice(r.prefixed(KEY_LEN_MAX, "the last entity of a value file")?),
        generation: narrow(r, u32::MAX.into(), "a generation")?,
        annotation_watermark: r.varint("a sequence number")?,
        records: r.varint("a number of records")?,
        raw_bytes: r.varint("raw bytes")?,
        stored_bytes: r.varint("stored bytes")?,
        live_bytes: r.varint("live bytes")?,
        last_checksum: r.u32("a checksum")?,
    })
}

fn put_file(out: &mut Vec<u8>, id: FileId) {
    put_varint(out, id.epoch);
    put_varint(out, id.number);
}

fn file(r: &mut Reader<'_>) -> Result<FileId, Malformed> {
    Ok(FileId { epoch: r.varint("an epoch")?, number: r.varint("a file number")? })
}

fn keyspace(r: &mut Reader<'_>) -> Result<u16, Malformed> {
    narrow(r, u16::MAX.into(), "a keyspace")
}

fn narrow<T: TryFrom<u64>>(r: &mut Reader<'_>, max: u64, what: &'static str) -> Result<T, Malformed> {
    let bad = r.malformed(what);
    T::try_from(r.varint_max(max, what)?).map_err(|_| bad)
}

fn kind(r: &mut Reader<'_>) -> Result<FileKind, BadEdit> {
    let n = r.varint("a file kind")?;
    let known = u16::try_from(n).ok().and_then(FileKind::from_u16);
    known.ok_or_else(|| BadEdit::Unsupported(format!("file kind {n}")))
}

fn no_flags(r: &mut Reader<'_>, what: &str) -> Result<(), BadEdit> {
    match r.varint("flags")? {
        0 => Ok(()),
        flags => Err(BadEdit::Unsupported(format!("flags {flags:#x} of {what}"))),
    }
}

fn text(r: &mut Reader<'_>, max: usize, what: &'static str) -> Result<String, Malformed> {
    let bad = r.malformed(what);
    String::from_utf8(r.prefixed(max, what)?.to_vec()).map_err(|_| bad)
}
