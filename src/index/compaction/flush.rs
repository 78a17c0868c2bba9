//! A memtable becomes tables of level 0.

use std::sync::Arc;

use super::output::{BuildTables, PlainOutput, Splitter};
use crate::Result;
use crate::index::annotations::{Erasures, encode_key, encode_value, is_purged};
use crate::index::levels::{KEYSPACE_ANNOTATIONS, TableEdit};
use crate::index::memtable::Memtable;
use crate::index::{EntityRange, Order, Source, entity_hash};
use crate::limits::Limits;

/// What a flush wrote. All of it goes into one manifest edit: with revisions here and annotations later, a crash between could show
/// a hidden text again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushOutcome {
    /// The tables of all keyspaces.
    pub edit: TableEdit,
    /// Every keyspace is flushed up to here; `None` if the memtable was empty.
    pub sequence: Option<u64>,
}

/// Writes a memtable that is not written to any more. The caller has made the log durable up to its last sequence, and flushes
/// memtables oldest first.
///
/// # Errors
/// Whatever writing gives; nothing is installed then.
pub fn flush(
    memtable: &Arc<Memtable>,
    limits: &Limits,
    build: &dyn BuildTables,
    erasures: &dyn Erasures,
) -> Result<FlushOutcome> {
    let mut splitter = Splitter::new(build, erasures, 0, limits.table_bytes);
    let mut runs = memtable.clone().runs(&EntityRange::default(), Order::Ascending);
    while let Some(info) = runs.next_run()? {
        let mut run = splitter.start(info)?;
        while let Some(row) = runs.next_row()? {
            splitter.add(&mut run, &row)?;
        }
        splitter.end(run)?;
    }
    let mut added = splitter.finish()?;

    let mut output: Option<Box<dyn PlainOutput>> = None;
    for stored in memtable.annotations() {
        if planted!("annotations not flushed") {
            break;
        }
        if is_purged(&stored.annotation.entity, stored.sequence, erasures)? {
            continue;
        }
        let output = match &mut output {
            Some(output) => output,
            none => none.insert(build.plain(KEYSPACE_ANNOTATIONS, 0, erasures.up_to())?),
        };
        let hash = entity_hash(stored.annotation.entity.as_bytes());
        output.add(&encode_key(&stored), &encode_value(&stored.annotation), hash, stored.sequence)?;
    }
    if let Some(output) = output {
        probe!("flush: annotations");
        added.push(output.finish()?);
    }
    let sequence = memtable.sequences().map(|(_, last)| last);
    Ok(FlushOutcome { edit: TableEdit { added, ..TableEdit::default() }, sequence })
}
