//! The index as it must be, made from the value files, against the one on disk. Bounded memory: a window of sequence numbers at a time.

use std::collections::BTreeMap;

use crate::codec::FileKind;
use crate::env::Fs;
use crate::index::annotations;
use crate::log::{Change, LoggedChange};
use crate::model::Digest;
use crate::pack::Depth;
use bytes::Bytes;

use super::erased::Erased;
use super::files::StoreFiles;
use super::item::{Item, who};
use super::walk::walk_listed;
use crate::Result;

/// Changes of a window: about 100 bytes of memory each.
pub const WINDOW: u64 = 1 << 20;

/// How index and log differ about a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The log has it, the index does not.
    MissingInIndex,
    /// The index has it, no value file does.
    MissingInLog,
    /// Both have it and say something else.
    Differs,
    /// The index has it more than once.
    Twice,
}

impl Difference {
    /// A sentence.
    pub fn text(self) -> &'static str {
        match self {
            Self::MissingInIndex => "is in the value files but not in the index",
            Self::MissingInLog => "is in the index but in no value file",
            Self::Differs => "is not the same in index and value files",
            Self::Twice => "is in the index more than once",
        }
    }

    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingInIndex => "missing_in_index",
            Self::MissingInLog => "missing_in_log",
            Self::Differs => "differs",
            Self::Twice => "twice",
        }
    }
}

/// A change about which they differ.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its sequence number.
    pub sequence: u64,
    /// Whose it is.
    pub entity: Bytes,
    /// Its revision number; `None` for an annotation.
    pub rev: Option<u64>,
    /// How they differ.
    pub difference: Difference,
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Changes of the value files that the index must have.
    pub changes: u64,
    /// Rows and annotations of the index.
    pub rows: u64,
    /// Where they differ.
    pub differences: u64,
    /// Windows that it took.
    pub windows: u64,
    /// A writer replaced a file meanwhile: what differs may be an effect of that. Look again.
    pub vanished: bool,
}

/// What is known of a change in the window.
struct Known {
    /// `None` if a digest cannot be read: then nobody knows what the index should say, and what is damaged is told elsewhere.
    fingerprint: Option<u64>,
    seen: bool,
}

/// Compares. Only what was flushed is in the tables: changes behind that are not looked at.
///
/// # Errors
/// `Io`, and those of `found`.
pub fn diff(
    fs: &dyn Fs,
    files: &StoreFiles,
    window: u64,
    found: &mut dyn FnMut(Found) -> Result<()>,
) -> Result<Report> {
    let Some(state) = &files.state else { return Ok(Report::default()) };
    let flushed = |keyspace: u16| state.flushed.get(&keyspace).copied().unwrap_or(0);
    let end = flushed(0).max(flushed(1));
    let erased = Erased::gather(fs, files, state)?;
    let mut report = Report::default();
    let mut first = 1;
    while first <= end {
        let last = end.min(first.saturating_add(window.max(1)).saturating_sub(1));
        report.windows = report.windows.saturating_add(1);
        let inside = |from: u64, to: u64| from <= last && to >= first;
        let mut known: BTreeMap<u64, Known> = BTreeMap::new();
        for (id, kind, _) in &files.files {
            if !matches!(kind, FileKind::Segment | FileKind::Pack) {
                continue;
            }
            let listed = state.value_files.get(id);
            // What is announced and not whole yet says nothing: a pack that is being written has no digests so far.
            if listed.is_some_and(|info| !inside(info.sequence_first, info.sequence_last))
                || files.is_aside(*id, *kind)
            {
                continue;
            }
            let mut take = |change: &LoggedChange| {
                let sequence = change.sequence;
                let (keyspace, entity) = match &change.change {
                    Change::Revision { entity, .. } => (0, entity),
                    Change::Annotation(annotation) => (1, &annotation.entity),
                    Change::Erased { .. } => return,
                };
                let here = (first..=last).contains(&sequence) && sequence <= flushed(keyspace);
                if here && !erased.is_purged(entity, sequence) {
                    let fingerprint = match &change.change {
                        Change::Revision { digests, .. } if digests.contains(&Digest::UNREADABLE) => None,
                        Change::Revision { entity, row, .. } => Some(erased.fingerprint(entity, row)),
                        _ => Some(change.fingerprint()),
                    };
                    known.insert(sequence, Known { fingerprint, seen: false });
                }
            };
            let walked = walk_listed(fs, &files.dir.join(id.file_name(*kind)), Depth::Stored, &mut |item| {
                if let Item::Change(change, _) | Item::Listed(change) = &item {
                    take(change);
                }
                Ok(())
            })?;
            report.vanished |= walked.vanished;
        }
        report.changes = report.changes.saturating_add(known.len() as u64);
        for table in state.tables.values().filter(|table| inside(table.sequence_first, table.sequence_last)) {
            let path = files.dir.join(table.id.file_name(table.kind()));
            let walked = walk_listed(fs, &path, Depth::Stored, &mut |item| {
                let (sequence, fingerprint, entity, rev) = match &item {
                    Item::Row(entity, row, _) if erased.is_purged(entity, row.sequence) => return Ok(()),
                    Item::Row(entity, row, _) => (
                        row.sequence,
                        erased.fingerprint(entity, row),
                        entity.bytes().clone(),
                        Some(row.number),
                    ),
                    Item::Pair(key, value) => match annotations::decode(key, value) {
                        Ok(stored) if erased.is_purged(&stored.annotation.entity, stored.sequence) => {
                            return Ok(());
                        }
                        Ok(stored) => {
                            let entity = stored.annotation.entity.bytes().clone();
                            (stored.sequence, stored.annotation.fingerprint(stored.sequence), entity, None)
                        }
                        Err(_) => return Ok(()),
                    },
                    _ => return Ok(()),
                };
                if !(first..=last).contains(&sequence) {
                    return Ok(());
                }
                report.rows = report.rows.saturating_add(1);
                let difference = match known.get_mut(&sequence) {
                    None => Some(Difference::MissingInLog),
                    Some(known) if known.seen => Some(Difference::Twice),
                    Some(known) => {
                        known.seen = true;
                        let differs = known.fingerprint.is_some_and(|known| known != fingerprint);
                        differs.then_some(Difference::Differs)
                    }
                };
                let Some(difference) = difference else { return Ok(()) };
                report.differences = report.differences.saturating_add(1);
                found(Found { sequence, entity, rev, difference })
            })?;
            // One that was missing from the start is damage, not the work of a writer.
            let missed = || files.missing.contains(&table.id.file_name(table.kind()));
            report.vanished |= walked.vanished && !missed();
        }
        known.retain(|_, known| !known.seen);
        report.differences = report.differences.saturating_add(known.len() as u64);
        if !known.is_empty() {
            name_missing(fs, files, &known, found)?;
        }
        first = last.saturating_add(1);
    }
    Ok(report)
}

/// A second look at the value files, for the names of what the index lacks.
fn name_missing(
    fs: &dyn Fs,
    files: &StoreFiles,
    known: &BTreeMap<u64, Known>,
    found: &mut dyn FnMut(Found) -> Result<()>,
) -> Result<()> {
    let mut told = std::collections::BTreeSet::new();
    for path in files.value_files() {
        walk_listed(fs, &path, Depth::Stored, &mut |item| {
            let (Item::Change(change, _) | Item::Listed(change)) = &item else { return Ok(()) };
            if !known.contains_key(&change.sequence) || !told.insert(change.sequence) {
                return Ok(());
            }
            let Some((entity, rev)) = who(change) else { return Ok(()) };
            let entity = entity.bytes().clone();
            found(Found { sequence: change.sequence, entity, rev, difference: Difference::MissingInIndex })
        })?;
    }
    Ok(())
}
