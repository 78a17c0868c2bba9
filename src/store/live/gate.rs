//! What is hidden, as far as tables say it.

use std::path::Path;
use std::sync::Arc;

use crate::cache::Cache;
use crate::env::Env;
use crate::index::levels::{IndexView, KEYSPACE_REVISIONS, Levels};
use crate::index::memtable::Memtable;
use crate::limits::Limits;
use crate::manifest::{Manifest, OpenMode, State};
use crate::store::options::TableReads;
use crate::store::tables::Tables;
use crate::{Error, Result};

/// A compaction may remove a table between reading the manifest and opening the table; then the manifest is read again.
const TRIES: u32 = 10;
const CACHE_BYTES: u64 = 4 << 20;
const MEMTABLE_BYTES: u64 = 4 << 20;

/// The manifest's state, and a view that knows the annotations that are in tables.
pub(super) fn read_gate(env: &Env, dir: &Path) -> Result<(Arc<State>, IndexView)> {
    let mut tries = 0;
    loop {
        let (manifest, _) = Manifest::open(env, dir, OpenMode::ReadOnly, &Limits::PRODUCTION)?;
        let manifest = Arc::new(manifest);
        let state = manifest.state();
        let cache = Arc::new(Cache::new(CACHE_BYTES));
        let tables = Tables::new(env, &manifest, &cache, TableReads::Read, &Limits::PRODUCTION);
        let annotations = state.tables.values().filter(|table| table.keyspace != KEYSPACE_REVISIONS);
        match Levels::open(annotations, &tables) {
            Ok(levels) => {
                let memtable = Arc::new(Memtable::new(MEMTABLE_BYTES));
                return Ok((state, IndexView::new(memtable, Arc::new(levels))));
            }
            Err(Error::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound && tries < TRIES =>
            {
                tries += 1;
            }
            Err(error) => return Err(error),
        }
    }
}
