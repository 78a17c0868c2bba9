//! What an edit does to the state, and what it may not do.
//!
//! Rules that can be told from one edit and the state before it are here; rules about the state as a whole are in
//! [`super::invariants`]. Both run on every commit before anything is written, and again when a manifest is read.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::{
    Edit, KEY_LEN_MAX, MUST_UNDERSTAND, OPTION_KEY_LEN_MAX, OPTION_VALUE_LEN_MAX, PATH_LEN_MAX,
};
use super::invariants::{Rule, Violation};
use super::state::{State, ValueFileInfo, table_kind};
use crate::codec::{FileId, FileKind};

/// Which whole-state rules must be looked at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Keyspaces whose tables or watermark changed.
    pub(super) keyspaces: BTreeSet<u16>,
    /// Whether the value map changed.
    pub(super) value_files: bool,
}

/// What a list of edits did.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// What to check.
    pub(super) touched: Touched,
    /// File numbers that were not in use before.
    pub(super) fresh: BTreeSet<u64>,
}

/// Whether the edits are a commit or the contents of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Commit,
    Snapshot,
}

/// Applies the edits of one commit in order. `used` holds all file numbers that were ever seen. After a violation the state is
/// half changed: the caller throws it away.
pub(super) fn apply(
    state: &mut State,
    used: &BTreeSet<u64>,
    role: Role,
    edits: &[Edit],
) -> Result<Applied, Violation> {
    let mut applier = Applier { state, used, role, applied: Applied::default(), removed: BTreeMap::new() };
    for edit in edits {
        applier.edit(edit)?;
    }
    let Applier { state, applied, .. } = applier;
    match applied.fresh.last() {
        Some(number) if *number >= state.next_file => Violation::new(
            Rule::NumberReserved,
            format!("file number {number} is used, but only numbers below {} are reserved", state.next_file),
        ),
        _ => Ok(applied),
    }
}

struct Applier<'a> {
    state: &'a mut State,
    used: &'a BTreeSet<u64>,
    role: Role,
    applied: Applied,
    /// Value files removed by this commit: they may come back with another rectangle.
    removed: BTreeMap<FileId, ValueFileInfo>,
}

impl Applier<'_> {
    fn edit(&mut self, edit: &Edit) -> Result<(), Violation> {
        match edit {
            Edit::AddTable(table) => {
                self.install(table.id, table.kind())?;
                limit(table.first.len().max(table.last.len()), KEY_LEN_MAX, "the key of a table")?;
                self.state.tables.insert((table.keyspace, table.id), table.clone());
                self.applied.touched.keyspaces.insert(table.keyspace);
            }
            Edit::RemoveTable { keyspace, id } => {
                if self.state.tables.remove(&(*keyspace, *id)).is_none() {
                    return missing("table", *id, table_kind(*keyspace));
                }
                self.state.obsolete.insert(*id, table_kind(*keyspace));
                self.applied.touched.keyspaces.insert(*keyspace);
            }
            Edit::MoveTable { keyspace, id, level } => match self.state.tables.get_mut(&(*keyspace, *id)) {
                None => return missing("table", *id, table_kind(*keyspace)),
                Some(table) => {
                    table.level = *level;
                    self.applied.touched.keyspaces.insert(*keyspace);
                }
            },
            Edit::AddValueFile(file) => self.add_value_file(file)?,
            Edit::RemoveValueFile(id) => match self.state.value_files.remove(id) {
                None => return missing("value file", *id, FileKind::Segment),
                Some(file) => {
                    self.state.obsolete.insert(*id, file.kind);
                    self.removed.insert(*id, file);
                    self.applied.touched.value_files = true;
                }
            },
            Edit::SetLive { id, live_bytes } => match self.state.value_files.get_mut(id) {
                None => return missing("value file", *id, FileKind::Segment),
                Some(file) if *live_bytes > file.stored_bytes => {
                    let stored = file.stored_bytes;
                    return Violation::new(
                        Rule::Counts,
                        format!("{live_bytes} live bytes of {stored} stored ones"),
                    );
                }
                Some(file) => file.live_bytes = *live_bytes,
            },
            Edit::SetFlushed { keyspace, sequence } => {
                let flushed = self.state.flushed.entry(*keyspace).or_default();
                forward(Rule::FlushedForward, &format!("keyspace {keyspace} flushed"), *flushed, *sequence)?;
                *flushed = *sequence;
                self.applied.touched.keyspaces.insert(*keyspace);
            }
            Edit::SetPromise { file, offset, sequence } => {
                let (old_file, old_offset) = self.state.promise;
                forward(Rule::PromiseForward, "the promise's file", old_file, *file)?;
                if *file == old_file {
                    forward(Rule::PromiseForward, "the promise's offset", old_offset, *offset)?;
                }
                let old = self.state.promise_sequence;
                forward(Rule::PromiseForward, "the last change that is promised", old, *sequence)?;
                self.state.promise = (*file, *offset);
                self.state.promise_sequence = *sequence;
            }
            Edit::NextFile(number) => {
                forward(Rule::NumberForward, "the next file number", self.state.next_file, *number)?;
                self.state.next_file = *number;
            }
            Edit::Epoch(epoch) => {
                forward(Rule::NumberForward, "the epoch", self.state.epoch, *epoch)?;
                self.state.epoch = *epoch;
            }
            Edit::Incarnation(0) => {
                return Violation::new(Rule::NumberForward, "incarnation 0 means none".into());
            }
            Edit::Incarnation(incarnation) => self.state.incarnation = *incarnation,
            Edit::Intent { id, kind } => self.intent(*id, *kind)?,
            Edit::IntentDone(id) => {
                if self.state.intents.remove(id).is_none() {
                    return missing("intent", *id, FileKind::PlainTable);
                }
            }
            Edit::Obsolete { id, kind } => {
                if self.role == Role::Commit {
                    return Violation::new(
                        Rule::Exists,
                        "a file becomes obsolete by being removed, not by itself".into(),
                    );
                }
                self.fresh(*id)?;
                self.state.obsolete.insert(*id, *kind);
            }
            Edit::Deleted(id) => {
                if self.state.obsolete.remove(id).is_none() {
                    return missing("obsolete file", *id, FileKind::PlainTable);
                }
            }
            Edit::SetPackedEnd(end) => {
                let before = self.state.packed_end.map_or(0, |before| before.sequence);
                forward(Rule::PackedEnd, "the last change that was packed", before, end.sequence)?;
                self.state.packed_end = Some(*end);
                self.applied.touched.value_files = true;
            }
            Edit::AddHolder(holder) => {
                limit(holder.path.len(), PATH_LEN_MAX, "the path of a checkpoint")?;
                self.state.holders.retain(|other| other.path != holder.path);
                self.state.holders.push(holder.clone());
            }
            Edit::RemoveHolder { path } => {
                let before = self.state.holders.len();
                self.state.holders.retain(|holder| holder.path != *path);
                if self.state.holders.len() == before {
                    return Violation::new(Rule::Exists, format!("there is no checkpoint at {path:?}"));
                }
            }
            Edit::SetOption { key, value } => {
                limit(key.len(), OPTION_KEY_LEN_MAX, "the name of an option")?;
                limit(value.len(), OPTION_VALUE_LEN_MAX, "the value of an option")?;
                if value.is_empty() {
                    self.state.options.remove(key);
                } else {
                    self.state.options.insert(key.clone(), value.clone());
                }
            }
            Edit::Unknown { tag, .. } if *tag >= MUST_UNDERSTAND => {
                return Violation::new(Rule::Exists, format!("edit {tag:#x} must be understood"));
            }
            Edit::Unknown { tag, body } => self.state.kept.push((*tag, body.clone())),
        }
        Ok(())
    }

    fn add_value_file(&mut self, file: &ValueFileInfo) -> Result<(), Violation> {
        match self.removed.remove(&file.id) {
            Some(old) if (old.kind, old.len, old.blake3) == (file.kind, file.len, file.blake3) => {
                self.state.obsolete.remove(&file.id);
            }
            Some(_) => return taken(file.id),
            None => self.install(file.id, file.kind)?,
        }
        if !matches!(file.kind, FileKind::Segment | FileKind::Pack) {
            let kind = file.kind;
            return Violation::new(Rule::KindFits, format!("a {kind:?} is not a value file"));
        }
        limit(file.entity_first.len().max(file.entity_last.len()), KEY_LEN_MAX, "the bound of a value file")?;
        self.state.value_files.insert(file.id, file.clone());
        self.applied.touched.value_files = true;
        Ok(())
    }

    fn intent(&mut self, id: FileId, kind: FileKind) -> Result<(), Violation> {
        if matches!(kind, FileKind::Segment | FileKind::Manifest) {
            return Violation::new(
                Rule::KindFits,
                format!(
                    "a {kind:?} cannot be announced: what has not been installed is removed at the next open"
                ),
            );
        }
        self.fresh(id)?;
        self.state.intents.insert(id, kind);
        Ok(())
    }

    /// A file becomes part of the store: its intent is done, or its number is new.
    fn install(&mut self, id: FileId, kind: FileKind) -> Result<(), Violation> {
        match self.state.intents.get(&id) {
            None => self.fresh(id),
            Some(announced) if *announced != kind => Violation::new(
                Rule::KindFits,
                format!("file {} was announced as a {announced:?} and is a {kind:?}", id.number),
            ),
            Some(_) => {
                self.state.intents.remove(&id);
                Ok(())
            }
        }
    }

    fn fresh(&mut self, id: FileId) -> Result<(), Violation> {
        if id.number == 0 || self.used.contains(&id.number) || !self.applied.fresh.insert(id.number) {
            return taken(id);
        }
        Ok(())
    }
}

fn taken<T>(id: FileId) -> Result<T, Violation> {
    Violation::new(Rule::NumberFresh, format!("file number {} was used before", id.number))
}

fn missing<T>(what: &str, id: FileId, kind: FileKind) -> Result<T, Violation> {
    Violation::new(Rule::Exists, format!("there is no {what} {} in the store", id.file_name(kind)))
}

fn forward(rule: Rule, what: &str, from: u64, to: u64) -> Result<(), Violation> {
    if to < from {
        return Violation::new(rule, format!("{what} would go back from {from} to {to}"));
    }
    Ok(())
}

fn limit(len: usize, max: usize, what: &str) -> Result<(), Violation> {
    if len > max {
        return Violation::new(Rule::Counts, format!("{what} has {len} bytes, more than {max}"));
    }
    Ok(())
}
