//! What is true of every state of the manifest.
//!
//! Checked before a commit is written and again when a manifest is read, in every build: a violation is an error that names
//! the rule, and nothing is written.
//!
//! | rule | what |
//! |---|---|
//! | number-fresh | a file number is used for one file, ever |
//! | number-reserved | a file number is below `next_file` |
//! | number-forward | `next_file` and the epoch never go back; an incarnation is not 0 |
//! | exists | what is removed, moved or finished is there |
//! | kind-fits | a file is installed as what it was announced; only segments and packs are value files |
//! | counts | lengths, counts and byte sums agree with each other |
//! | sequence-sane | sequence ranges start at 1 or later and do not end before they start; a table holds no more than was flushed |
//! | levels-disjoint | from level 1 on, no two tables of a level and keyspace share a key |
//! | level-order | keyspace 0: two tables of level 0 that overlap in entities do not overlap in sequence numbers; a table in a newer place is not older than a table below that surely shares an entity with it |
//! | value-map-tiled | the rectangles of the value files cover every (sequence, entity) from 1 on exactly once |
//! | packed-end | the newest change is in a segment, or the segment that it was in is remembered (`SetPackedEnd`); that never goes back |
//! | flushed-forward | a keyspace's flush mark never goes back |
//! | promise-forward | the log's promise never goes back |
//!
//! The level-order rule for every entity is asserted by compaction, which sees the rows; here only the ends of tables are known.
//!
//! Two neighbouring rectangles of one sequence range meet where the first key of the one is the immediate successor (`key 00`) of the
//! last key of the other: a part that was lost cannot hide in a gap between the keys that happened to be used.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;

use super::apply::Touched;
use super::state::{State, TableInfo, ValueFileInfo};
use crate::Error;
use crate::codec::{FILE_HEADER_LEN, FileId, FileKind};

/// A rule of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// A file number is used for one file, ever.
    NumberFresh,
    /// A file number is below `next_file`.
    NumberReserved,
    /// `next_file` and the epoch never go back.
    NumberForward,
    /// What is removed, moved or finished is there.
    Exists,
    /// A file is what it was announced as.
    KindFits,
    /// Lengths, counts and byte sums agree.
    Counts,
    /// Sequence ranges are ranges.
    SequenceSane,
    /// Tables of a level share no key.
    LevelsDisjoint,
    /// Newer places hold newer rows.
    LevelOrder,
    /// Value files cover everything exactly once.
    ValueMapTiled,
    /// The end of the log is known, also where its newest segment became a pack.
    PackedEnd,
    /// Flush marks never go back.
    FlushedForward,
    /// The promise never goes back.
    PromiseForward,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NumberFresh => "number-fresh",
            Self::NumberReserved => "number-reserved",
            Self::NumberForward => "number-forward",
            Self::Exists => "exists",
            Self::KindFits => "kind-fits",
            Self::Counts => "counts",
            Self::SequenceSane => "sequence-sane",
            Self::LevelsDisjoint => "levels-disjoint",
            Self::LevelOrder => "level-order",
            Self::ValueMapTiled => "value-map-tiled",
            Self::PackedEnd => "packed-end",
            Self::FlushedForward => "flushed-forward",
            Self::PromiseForward => "promise-forward",
        })
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What breaks it.
    pub what: String,
}

impl Violation {
    pub(super) fn new<T>(rule: Rule, what: String) -> Result<T, Self> {
        Err(Self { rule, what })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "manifest rule {}: {}", self.rule, self.what)
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::invalid(format!("refused by {violation}"))
    }
}

/// Checks every rule about the state as a whole.
///
/// # Errors
/// The first broken rule.
pub fn check(state: &State) -> Result<(), Violation> {
    let keyspaces = state.tables.keys().map(|(keyspace, _)| *keyspace).collect();
    check_touched(state, &Touched { keyspaces, value_files: true })
}

/// Checks what a commit may have broken.
pub(super) fn check_touched(state: &State, touched: &Touched) -> Result<(), Violation> {
    for keyspace in &touched.keyspaces {
        check_keyspace(state, *keyspace)?;
    }
    if touched.value_files {
        check_value_map(state)?;
        check_packed_end(state)?;
    }
    Ok(())
}

fn check_keyspace(state: &State, keyspace: u16) -> Result<(), Violation> {
    let first = FileId { epoch: 0, number: 0 };
    let last = FileId { epoch: u64::MAX, number: u64::MAX };
    let flushed = state.flushed.get(&keyspace).copied().unwrap_or_default();
    let mut levels: BTreeMap<u8, Vec<&TableInfo>> = BTreeMap::new();
    for table in state.tables.range((keyspace, first)..=(keyspace, last)).map(|(_, table)| table) {
        check_table(table, flushed)?;
        levels.entry(table.level).or_default().push(table);
    }
    for (level, tables) in &mut levels {
        tables.sort_by(|a, b| a.first.cmp(&b.first));
        for (left, right) in tables.iter().zip(tables.iter().skip(1)) {
            if *level > 0 && left.last >= right.first {
                return Violation::new(
                    Rule::LevelsDisjoint,
                    format!("{} and {} of level {level} share a key", name(left), name(right)),
                );
            }
        }
    }
    if keyspace == 0 {
        check_level_zero(levels.get(&0).map(Vec::as_slice).unwrap_or_default())?;
        check_ends(levels.values().flatten().copied())?;
    }
    Ok(())
}

fn check_table(table: &TableInfo, flushed: u64) -> Result<(), Violation> {
    let bad = |rule, what: String| Violation::new(rule, format!("{}: {what}", name(table)));
    let TableInfo { sequence_first, sequence_last, rows, entities, .. } = *table;
    if sequence_first == 0 || sequence_last < sequence_first {
        return bad(Rule::SequenceSane, format!("sequence numbers {sequence_first} to {sequence_last}"));
    }
    if sequence_last > flushed {
        return bad(
            Rule::SequenceSane,
            format!("it holds sequence number {sequence_last}, flushed is {flushed}"),
        );
    }
    if table.last < table.first {
        return bad(Rule::Counts, "its last key is before its first".into());
    }
    if rows == 0 || table.len < FILE_HEADER_LEN as u64 {
        return bad(Rule::Counts, format!("{rows} rows in {} bytes", table.len));
    }
    let span = sequence_last - sequence_first + 1;
    if table.keyspace == 0 && (entities == 0 || entities > rows || rows > span) {
        return bad(
            Rule::Counts,
            format!("{rows} rows of {entities} entities with {span} sequence numbers to share"),
        );
    }
    Ok(())
}

/// `tables` are sorted by their first key.
fn check_level_zero(tables: &[&TableInfo]) -> Result<(), Violation> {
    for (at, left) in tables.iter().enumerate() {
        let overlapping = tables.iter().skip(at + 1).take_while(|right| right.first <= left.last);
        for right in overlapping {
            if left.sequence_first <= right.sequence_last && right.sequence_first <= left.sequence_last {
                return Violation::new(
                    Rule::LevelOrder,
                    format!(
                        "{} and {} of level 0 overlap in entities and in sequence numbers",
                        name(left),
                        name(right)
                    ),
                );
            }
        }
    }
    Ok(())
}

/// A table's first and last entity are surely in it. Where two tables share one, the newer place must not be all older.
fn check_ends<'a>(tables: impl Iterator<Item = &'a TableInfo>) -> Result<(), Violation> {
    let mut ends: BTreeMap<&[u8], Vec<&TableInfo>> = BTreeMap::new();
    for table in tables {
        ends.entry(&table.first).or_default().push(table);
        if table.last != table.first {
            ends.entry(&table.last).or_default().push(table);
        }
    }
    for sharing in ends.values_mut() {
        sharing.sort_by_key(|table| table.level);
        for (at, upper) in sharing.iter().enumerate() {
            for lower in sharing.iter().skip(at + 1).filter(|lower| lower.level > upper.level) {
                if upper.sequence_last < lower.sequence_first {
                    return Violation::new(
                        Rule::LevelOrder,
                        format!(
                            "{} of level {} is older than {} of level {} and shares an entity with it",
                            name(upper),
                            upper.level,
                            name(lower),
                            lower.level
                        ),
                    );
                }
            }
        }
    }
    Ok(())
}

fn name(table: &TableInfo) -> String {
    table.id.file_name(table.kind())
}

fn check_value_map(state: &State) -> Result<(), Violation> {
    // At each sequence number: who starts there, and who ended just before it.
    let mut starts: BTreeMap<u64, Vec<&ValueFileInfo>> = BTreeMap::new();
    let mut ends: BTreeMap<u64, Vec<&ValueFileInfo>> = BTreeMap::new();
    for file in state.value_files.values() {
        check_value_file(file)?;
        if file.records > 0 || file.kind != FileKind::Segment {
            starts.entry(file.sequence_first).or_default().push(file);
            ends.entry(file.sequence_last.saturating_add(1)).or_default().push(file);
        }
    }
    let mut moments: Vec<u64> = starts.keys().chain(ends.keys()).copied().collect();
    moments.sort_unstable();
    moments.dedup();
    if let Some(first) = moments.first().filter(|first| **first != 1) {
        return untiled(1, format!("the first value file starts with sequence number {first}"));
    }
    let mut active: BTreeMap<Bytes, &ValueFileInfo> = BTreeMap::new();
    let end = moments.last().copied();
    for moment in moments {
        for file in ends.get(&moment).into_iter().flatten() {
            active.remove(&file.entity_first);
        }
        for file in starts.get(&moment).into_iter().flatten() {
            if let Some(other) = active.insert(file.entity_first.clone(), file) {
                return untiled(moment, format!("{} and {} overlap", value_name(other), value_name(file)));
            }
        }
        if Some(moment) != end {
            check_column(moment, &active)?;
        }
    }
    Ok(())
}

/// Recovery goes on behind the newest segment, or behind the newest one that became a pack.
fn check_packed_end(state: &State) -> Result<(), Violation> {
    let newest = |kind: Option<FileKind>| {
        let files = state.value_files.values().filter(|file| kind.is_none_or(|kind| file.kind == kind));
        files.map(|file| file.sequence_last).max().unwrap_or(0)
    };
    let packed = state.packed_end.map_or(0, |end| end.sequence);
    let (last, known) = (newest(None), newest(Some(FileKind::Segment)).max(packed));
    if last != known {
        return Violation::new(
            Rule::PackedEnd,
            format!("value files up to {last}, but the end of the log is known up to {known}"),
        );
    }
    Ok(())
}

/// The rectangles that hold one sequence number cover all entities once.
fn check_column(moment: u64, active: &BTreeMap<Bytes, &ValueFileInfo>) -> Result<(), Violation> {
    let mut files = active.values();
    let Some(mut file) = files.next().filter(|file| file.entity_first.is_empty()) else {
        return untiled(moment, "no value file covers the smallest entities".into());
    };
    for next in files {
        let meets = !file.entity_last.is_empty()
            && next.entity_first.split_last() == Some((&0, file.entity_last.as_ref()));
        if !meets {
            return untiled(
                moment,
                format!("{} does not end where {} begins", value_name(file), value_name(next)),
            );
        }
        file = next;
    }
    if !file.entity_last.is_empty() {
        return untiled(moment, "no value file covers the largest entities".into());
    }
    Ok(())
}

fn check_value_file(file: &ValueFileInfo) -> Result<(), Violation> {
    let bad = |rule, what: String| Violation::new(rule, format!("{}: {what}", value_name(file)));
    let ValueFileInfo { sequence_first, sequence_last, records, .. } = *file;
    let empty = file.kind == FileKind::Segment && records == 0;
    let span = sequence_last.saturating_add(1).saturating_sub(sequence_first);
    if sequence_first == 0 || sequence_last == u64::MAX || (span == 0) != empty {
        return bad(
            Rule::SequenceSane,
            format!("{records} records, sequence numbers {sequence_first} to {sequence_last}"),
        );
    }
    if empty && sequence_last.saturating_add(1) != sequence_first {
        return bad(Rule::SequenceSane, "an empty segment ends just before it starts".into());
    }
    // Every sequence number is one record of a segment; a pack may hold some entities only.
    if records > span || (file.kind == FileKind::Segment && records != span) {
        return bad(Rule::Counts, format!("{records} records for {span} sequence numbers"));
    }
    if !file.entity_last.is_empty() && file.entity_last < file.entity_first {
        return bad(Rule::Counts, "its last entity is before its first".into());
    }
    if file.live_bytes > file.stored_bytes
        || file.stored_bytes > file.len
        || file.len < FILE_HEADER_LEN as u64
    {
        return bad(
            Rule::Counts,
            format!("{} live bytes of {} stored in {}", file.live_bytes, file.stored_bytes, file.len),
        );
    }
    Ok(())
}

fn value_name(file: &ValueFileInfo) -> String {
    file.id.file_name(file.kind)
}

fn untiled<T>(sequence: u64, what: String) -> Result<T, Violation> {
    Violation::new(Rule::ValueMapTiled, format!("at sequence number {sequence}: {what}"))
}
