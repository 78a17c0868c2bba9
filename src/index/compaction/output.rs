//! Where rows go: tables, split between entities, every row checked as it passes.

use std::borrow::Cow;
use std::sync::Arc;

use crate::index::RunInfo;
use crate::index::annotations::{Erasures, Gate, erase_row};
use crate::manifest::TableInfo;
use crate::model::{Entity, Row};
use crate::{Error, Result};

/// Makes tables. A finished table's bytes are durable; that its *name* is, is up to whoever gave out the file, before the manifest
/// edit is written. It belongs to the store only once the manifest says so.
pub trait BuildTables: Send + Sync {
    /// A table of keyspace 0 for a level, from which is left out what was forgotten by annotations up to a sequence number.
    fn revisions(&self, level: u8, erased_up_to: u64) -> Result<Box<dyn RevisionOutput>>;
    /// A table of another keyspace for a level.
    fn plain(&self, keyspace: u16, level: u8, erased_up_to: u64) -> Result<Box<dyn PlainOutput>>;
}

/// A table of revisions in the making. Dropped without [`RevisionOutput::finish`], it is an unfinished file.
pub trait RevisionOutput {
    /// Adds a row: entities ascending, of each entity newest first.
    fn add(&mut self, entity: &Entity, row: &Row) -> Result<()>;
    /// About how large the file is so far, bytes.
    fn bytes(&self) -> u64;
    /// Completes the file and makes it durable.
    fn finish(self: Box<Self>) -> Result<TableInfo>;
}

/// A plain table in the making.
pub trait PlainOutput {
    /// Adds an entry: keys ascending, each once. `hash` goes into the filter; `sequence` is the change that it came with.
    fn add(&mut self, key: &[u8], value: &[u8], hash: u64, sequence: u64) -> Result<()>;
    /// About how large the file is so far, bytes.
    fn bytes(&self) -> u64;
    /// Completes the file and makes it durable.
    fn finish(self: Box<Self>) -> Result<TableInfo>;
}

/// What the job itself has counted of the table that it is writing, to hold against what the table says of itself.
struct Written {
    first: Entity,
    last: Entity,
    rows: u64,
    entities: u64,
    sequence_first: u64,
    sequence_last: u64,
}

/// Writes runs into tables of the given size, without what is forgotten.
pub(super) struct Splitter<'a> {
    build: &'a dyn BuildTables,
    erasures: &'a dyn Erasures,
    level: u8,
    table_bytes: u64,
    current: Option<(Box<dyn RevisionOutput>, Written)>,
    done: Vec<TableInfo>,
    rows: u64,
    erased: u64,
}

/// Where a run has got to.
pub(super) struct Run {
    info: RunInfo,
    gate: Arc<Gate>,
    rows: u64,
    /// Rows of a purged entity: the oldest ones, or all.
    erased: u64,
    /// Of the last row.
    newer: Option<Stamp>,
}

#[derive(Clone, Copy)]
struct Stamp {
    number: u64,
    sequence: u64,
    commit_time: i64,
    effective_time: i64,
}

impl<'a> Splitter<'a> {
    pub(super) fn new(
        build: &'a dyn BuildTables,
        erasures: &'a dyn Erasures,
        level: u8,
        table_bytes: u64,
    ) -> Self {
        Self { build, erasures, level, table_bytes, current: None, done: Vec::new(), rows: 0, erased: 0 }
    }

    /// Rows read so far: written, or left out with their entity.
    pub(super) fn rows(&self) -> u64 {
        self.rows.saturating_add(self.erased)
    }

    /// Rows left out so far, because their entity was purged.
    pub(super) fn erased(&self) -> u64 {
        self.erased
    }

    /// Starts the rows of an entity: the only place where a table ends.
    pub(super) fn start(&mut self, info: RunInfo) -> Result<Run> {
        if self.current.as_ref().is_some_and(|(output, _)| output.bytes() >= self.table_bytes) {
            self.close()?;
        }
        let last = self.current.as_ref().map(|(_, written)| &written.last);
        if last.is_some_and(|last| *last >= info.entity)
            || self.done.last().is_some_and(|done| done.last >= info.entity.bytes())
        {
            return Err(void(&info.entity, "entities are not in ascending order"));
        }
        let gate = self.erasures.gate(&info.entity)?;
        Ok(Run { info, gate, rows: 0, erased: 0, newer: None })
    }

    /// Adds the next row of a run.
    pub(super) fn add(&mut self, run: &mut Run, row: &Row) -> Result<()> {
        let entity = &run.info.entity;
        let stamp = Stamp {
            number: row.number,
            sequence: row.sequence,
            commit_time: row.commit_time,
            effective_time: row.effective_time,
        };
        let in_order = match run.newer {
            None => (row.number, row.sequence) == (run.info.number_last, run.info.sequence_last),
            Some(newer) => {
                row.number < newer.number
                    && row.sequence < newer.sequence
                    && row.commit_time <= newer.commit_time
                    && row.effective_time <= newer.effective_time
            }
        };
        if !in_order {
            return Err(void(entity, &format!("revision {} is out of order", row.number)));
        }
        let seen = run.gate.visibility(row.number);
        if seen.purged {
            run.newer = Some(stamp);
            run.erased += 1;
            self.erased += 1;
            return Ok(());
        }
        if run.erased > 0 {
            return Err(void(entity, "a revision that was purged is newer than one that was not"));
        }
        let mut row = Cow::Borrowed(row);
        if !seen.forgotten.is_empty() {
            let undecodable = |bad| void(entity, &format!("the fields of revision {}: {bad}", row.number));
            let mut without = row.clone().into_owned();
            if erase_row(&mut without, seen.forgotten).map_err(undecodable)? {
                row = Cow::Owned(without);
            }
        }
        let row = &*row;
        let (output, written) = match &mut self.current {
            Some(current) => current,
            none => {
                let output = self.build.revisions(self.level, self.erasures.up_to())?;
                none.insert((output, Written::new(entity, row)))
            }
        };
        output.add(entity, row)?;
        written.rows += 1;
        written.sequence_first = written.sequence_first.min(row.sequence);
        written.sequence_last = written.sequence_last.max(row.sequence);
        if run.newer.is_none() {
            written.entities += 1;
            written.last = entity.clone();
        }
        run.newer = Some(stamp);
        run.rows += 1;
        self.rows += 1;
        Ok(())
    }

    /// Ends a run: it must have had the rows that it announced.
    pub(super) fn end(&mut self, run: Run) -> Result<()> {
        let oldest = run.newer.map(|stamp| (stamp.number, stamp.sequence));
        if run.rows + run.erased == run.info.rows
            && oldest == Some((run.info.number_first, run.info.sequence_first))
        {
            return Ok(());
        }
        Err(void(
            &run.info.entity,
            &format!("{} rows announced, {} read", run.info.rows, run.rows + run.erased),
        ))
    }

    fn close(&mut self) -> Result<()> {
        let Some((output, written)) = self.current.take() else { return Ok(()) };
        let info = output.finish()?;
        let agrees = info.level == self.level
            && info.first == written.first.bytes()
            && info.last == written.last.bytes()
            && info.rows == written.rows
            && info.entities == written.entities
            && (info.sequence_first, info.sequence_last) == (written.sequence_first, written.sequence_last);
        if !agrees {
            return Err(void(&written.first, "the table that was written says something else of itself"));
        }
        self.done.push(info);
        Ok(())
    }

    /// Completes the last table.
    pub(super) fn finish(mut self) -> Result<Vec<TableInfo>> {
        self.close()?;
        Ok(self.done)
    }
}

impl Written {
    fn new(entity: &Entity, row: &Row) -> Self {
        Self {
            first: entity.clone(),
            last: entity.clone(),
            rows: 0,
            entities: 0,
            sequence_first: row.sequence,
            sequence_last: row.sequence,
        }
    }
}

/// The job is void: what it wrote would not say what its inputs say.
pub(super) fn void(entity: &Entity, what: &str) -> Error {
    Error::corrupt(
        std::path::Path::new("index"),
        0,
        "tables that can be merged",
        format!("at entity {entity}: {what}"),
        format!("the history of {entity}; the tables that were being merged stay as they are"),
    )
}
