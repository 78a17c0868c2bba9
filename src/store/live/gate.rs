//! What is sealed, and what is hidden as far as tables and sealed files say it.

use std::path::Path;
use std::sync::Arc;

use crate::cache::Cache;
use crate::env::Env;
use crate::index::levels::{IndexView, KEYSPACE_ANNOTATIONS, KEYSPACE_REVISIONS, Levels};
use crate::index::memtable::Memtable;
use crate::limits::Limits;
use crate::log::Change;
use crate::manifest::{Manifest, OpenMode, State};
use crate::store::options::TableReads;
use crate::store::tables::Tables;
use crate::store::values::ValueMap;
use crate::{Error, Result};

/// A compaction or a pack may remove a file between reading the manifest and opening the file; then the manifest is read again.
const TRIES: u32 = 10;
const CACHE_BYTES: u64 = 4 << 20;
const MEMTABLE_BYTES: u64 = 4 << 20;

/// What the manifest says, opened.
pub(super) struct Sealed {
    pub(super) state: Arc<State>,
    /// Knows the annotations that are in tables and in sealed files.
    pub(super) gate: IndexView,
    /// The sealed files that are wanted for changes behind the point that was asked for.
    pub(super) values: ValueMap,
}

/// Reads the manifest, and opens what is sealed for the changes behind `after`.
pub(super) fn read_sealed(env: &Env, dir: &Path, after: u64) -> Result<Sealed> {
    let mut tries = 0;
    loop {
        match try_read(env, dir, after) {
            // A file that is not there: `Io` where it was opened by name, `Corrupt` where the manifest's word was trusted.
            Err(Error::Io { .. } | Error::Corrupt(_)) if tries < TRIES => tries += 1,
            other => return other,
        }
    }
}

fn try_read(env: &Env, dir: &Path, after: u64) -> Result<Sealed> {
    let (manifest, _) = Manifest::open(env, dir, OpenMode::ReadOnly, &Limits::PRODUCTION)?;
    let manifest = Arc::new(manifest);
    let state = manifest.state();
    let cache = Arc::new(Cache::new(CACHE_BYTES));
    let tables = Tables::new(env, &manifest, &cache, TableReads::Read, &Limits::PRODUCTION);
    let annotations = state.tables.values().filter(|table| table.keyspace != KEYSPACE_REVISIONS);
    let levels = Levels::open(annotations, &tables)?;
    let memtable = Arc::new(Memtable::new(MEMTABLE_BYTES));
    let flushed = state.flushed.get(&KEYSPACE_ANNOTATIONS).copied().unwrap_or(0);
    let wanted = state.value_files.values().filter(|info| info.sequence_last > after.min(flushed));
    let values = ValueMap::open(&manifest, wanted, Some(&cache))?;
    for change in values.changes(flushed) {
        let change = change?;
        if let Change::Annotation(annotation) = &change.change {
            memtable.insert_annotation(change.sequence, annotation)?;
        }
    }
    Ok(Sealed { gate: IndexView::new(memtable, Arc::new(levels)), values, state })
}
