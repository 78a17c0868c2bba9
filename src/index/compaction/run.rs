//! Carrying out a compaction.

use std::path::Path;

use bytes::Bytes;

use super::job::{CompactionJob, Groups, Inputs};
use super::output::{BuildTables, PlainOutput, Splitter};
use crate::index::annotations::{AnnotationSource, Erasures, decode_key, is_purged};
use crate::index::levels::{KEYSPACE_ANNOTATIONS, TableEdit, total};
use crate::index::merge::{ConcatRuns, MergeRuns, NamedRuns, Place};
use crate::index::{EntityRange, Order, RunCursor, Source, entity_hash};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::{Error, Result};

/// After so many rows a job asks whether it is to stop, and reports.
const SLICE_ROWS: u64 = 256;

/// How far a compaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Rows (or entries) written.
    pub rows: u64,
    /// Rows of all inputs.
    pub rows_total: u64,
}

/// How a compaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum CompactionOutcome {
    /// Outputs are complete and durable: install the edit.
    Done(TableEdit),
    /// It was told to stop: there is nothing to install, and the inputs are what they were.
    Interrupted,
}

/// Runs a job. `progress` is called every few hundred rows and may wait, so that readers get their share; `cancel` is asked as often.
///
/// # Errors
/// Whatever reading an input or writing gives, or `Corrupt` if the inputs break the level order. The job is void then: nothing is
/// to be installed, no input to be removed.
pub fn run(
    job: &CompactionJob,
    limits: &Limits,
    build: &dyn BuildTables,
    erasures: &dyn Erasures,
    cancel: &dyn Fn() -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<CompactionOutcome> {
    let keyspace = job.claim.keyspace;
    if job.is_move {
        probe!("compaction: moved");
        let moved = job.inputs().map(|info| (keyspace, info.id, job.target)).collect();
        return Ok(CompactionOutcome::Done(TableEdit { moved, ..TableEdit::default() }));
    }
    let rows_total = total(job.inputs().map(|info| info.rows));
    let mut slice = |rows: u64| {
        if !rows.is_multiple_of(SLICE_ROWS) {
            return true;
        }
        progress(Progress { rows, rows_total });
        !cancel()
    };
    match (&job.inputs, job.target) {
        (Inputs::Annotations(_), _) => probe!("compaction: annotations"),
        (_, 1) => probe!("compaction: into level 1"),
        _ => probe!("compaction: into level 2 or below"),
    }
    let added = match &job.inputs {
        Inputs::Revisions(groups) => {
            merge_revisions(groups, job.target, limits, build, erasures, &mut slice)?
        }
        Inputs::Annotations(groups) => {
            merge_entries(groups, job.target, limits, build, erasures, &mut slice)?
        }
    };
    let Some((added, erased)) = added else { return Ok(CompactionOutcome::Interrupted) };
    let rows = total(added.iter().map(|info| info.rows)).saturating_add(erased);
    if rows != rows_total
        && !planted!("interrupted compaction installed")
        && !planted!("unreadable input skipped")
    {
        return Err(Error::corrupt(
            Path::new("index"),
            0,
            format!("{rows_total} rows in the tables to be merged"),
            format!("{rows}"),
            "the tables stay as they are",
        ));
    }
    progress(Progress { rows, rows_total });
    let removed = job.inputs().map(|info| (keyspace, info.id)).collect();
    Ok(CompactionOutcome::Done(TableEdit { removed, added, ..TableEdit::default() }))
}

/// Tables, and how many rows were left out with their entities; `None`: told to stop.
fn merge_revisions(
    groups: &Groups<dyn Source>,
    level: u8,
    limits: &Limits,
    build: &dyn BuildTables,
    erasures: &dyn Erasures,
    slice: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<(Vec<TableInfo>, u64)>> {
    let order = Order::Ascending;
    let places = groups.iter().filter_map(|group| {
        let name = group.first()?.name.clone();
        let tables = group.iter().map(|table| Place {
            name: table.name.clone(),
            source: table.source.for_scan().unwrap_or_else(|| table.source.clone()),
        });
        let runs = Box::new(ConcatRuns::new(tables.collect(), EntityRange::default(), order));
        Some(NamedRuns { name, runs })
    });
    let mut runs = MergeRuns::new(places.collect(), order);
    let mut splitter = Splitter::new(build, erasures, level, limits.table_bytes);
    while let Some(info) = runs.next_run()? {
        let mut run = splitter.start(info)?;
        while let Some(row) = runs.next_row()? {
            if !slice(splitter.rows()) {
                if planted!("interrupted compaction installed") {
                    return splitter.finish().map(|added| Some((added, 0)));
                }
                return Ok(None);
            }
            splitter.add(&mut run, &row)?;
        }
        splitter.end(run)?;
    }
    let erased = splitter.erased();
    splitter.finish().map(|added| Some((added, erased)))
}

/// Annotations keep their bytes; only their keys are read. Those of purged entities are left out, and counted. `None`: told to stop.
fn merge_entries(
    groups: &Groups<dyn AnnotationSource>,
    level: u8,
    limits: &Limits,
    build: &dyn BuildTables,
    erasures: &dyn Erasures,
    slice: &mut dyn FnMut(u64) -> bool,
) -> Result<Option<(Vec<TableInfo>, u64)>> {
    let mut inputs: Vec<_> = groups
        .iter()
        .flatten()
        .map(|table| (table.name.clone(), table.source.clone().entries(), None))
        .collect();
    let mut added = Vec::new();
    let mut output: Option<Box<dyn PlainOutput>> = None;
    let mut last: Option<Bytes> = None;
    let (mut rows, mut erased) = (0, 0);
    loop {
        let mut smallest: Option<(usize, Bytes)> = None;
        for (at, (_, entries, head)) in inputs.iter_mut().enumerate() {
            if head.is_none() {
                *head = entries.next().transpose()?;
            }
            if let Some((key, _)) = head
                && smallest.as_ref().is_none_or(|(_, smallest)| *key < *smallest)
            {
                smallest = Some((at, key.clone()));
            }
        }
        let Some((name, _, head)) = smallest.and_then(|(at, _)| inputs.get_mut(at)) else { break };
        let Some((key, value)) = head.take() else { break };
        if !slice(rows + erased) {
            return Ok(None);
        }
        if last.as_ref().is_some_and(|last| *last >= key) {
            return Err(Error::corrupt(
                name,
                0,
                "keys in ascending order, each once",
                "another key",
                "annotations",
            ));
        }
        let parts = decode_key(&key).map_err(|bad| Error::malformed(name, 0, bad, "an annotation"))?;
        if is_purged(&parts.entity, parts.sequence, erasures)? {
            erased += 1;
            last = Some(key);
            continue;
        }
        if output.as_ref().is_some_and(|output| output.bytes() >= limits.table_bytes)
            && let Some(full) = output.take()
        {
            added.push(full.finish()?);
        }
        let output = match &mut output {
            Some(output) => output,
            none => none.insert(build.plain(KEYSPACE_ANNOTATIONS, level, erasures.up_to())?),
        };
        output.add(&key, &value, entity_hash(parts.entity.as_bytes()), parts.sequence)?;
        rows += 1;
        last = Some(key);
    }
    if let Some(output) = output {
        added.push(output.finish()?);
    }
    Ok(Some((added, erased)))
}
