//! Counters and the numbers that `stats` shows.

use crate::sync::atomic::{AtomicU64, Ordering};

use super::inner::Inner;
use super::options::Packing;
use crate::Result;
use crate::codec::FileKind;

/// Counted while the store runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) log_bytes: AtomicU64,
    pub(crate) syncs: AtomicU64,
    pub(crate) delays: AtomicU64,
    pub(crate) stops: AtomicU64,
    pub(crate) delays_packing: AtomicU64,
    pub(crate) flushes: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) table_bytes: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) packs: AtomicU64,
    pub(crate) merges: AtomicU64,
}

/// What the store is made of and what it did since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Everything up to here can be read.
    pub published: u64,
    /// Everything up to here survives a power cut.
    pub durable: u64,
    /// Changes of sequence numbers given out that may be lost start a new one.
    pub incarnation: u64,
    /// Sealed segments: files and bytes.
    pub segments: (u64, u64),
    /// The segment being written: bytes used.
    pub active_segment_bytes: u64,
    /// Packs: files and bytes.
    pub packs: (u64, u64),
    /// Segments that are sealed and wait to be packed: files and bytes. Damaged ones wait for ever: see `check`.
    pub packs_waiting: (u64, u64),
    /// Tables by level: files and bytes.
    pub levels: Vec<(u64, u64)>,
    /// Tables of annotations: files and bytes.
    pub annotation_tables: (u64, u64),
    /// Rows in tables.
    pub table_rows: u64,
    /// Rows in memtables, and their memory.
    pub memtable: (u64, u64),
    /// Memtables that wait for their flush.
    pub memtables_waiting: u64,
    /// Content bytes in sealed segments and packs: uncompressed and as stored.
    pub contents: (u64, u64),
    /// Files in `lost/`: number and bytes.
    pub lost: (u64, u64),
    /// Bytes of all files of the store.
    pub bytes_on_disk: u64,
    /// Memory: caches in use and their limit.
    pub cache: (u64, u64),
    /// Since opening: log bytes written, syncs of the log, bytes written to tables.
    pub written: (u64, u64, u64),
    /// Since opening: flushes, compactions, seals.
    pub jobs: (u64, u64, u64),
    /// Since opening: packs made.
    pub packed: u64,
    /// Since opening: parts of merges of packs.
    pub merged: u64,
    /// Since opening: commits delayed, and commits stopped, because background work fell behind.
    pub throttled: (u64, u64),
    /// Since opening: commits delayed because sealed segments wait to be packed.
    pub throttled_packing: u64,
    /// Why the store takes no more writes, if so.
    pub latched: Option<String>,
}

impl Inner {
    pub(crate) fn stats(&self) -> Result<Stats> {
        let state = self.manifest.state();
        let view = self.view();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            published: self.published(),
            durable: self.durable(),
            incarnation: state.incarnation,
            active_segment_bytes: if self.read_only { 0 } else { self.log.lock().end },
            memtables_waiting: view.memtables().len().saturating_sub(1) as u64,
            cache: (self.cache.used(), self.cache.capacity()),
            written: (
                load(&self.counters.log_bytes),
                load(&self.counters.syncs),
                load(&self.counters.table_bytes),
            ),
            jobs: (
                load(&self.counters.flushes),
                load(&self.counters.compactions),
                load(&self.counters.seals),
            ),
            packed: load(&self.counters.packs),
            merged: load(&self.counters.merges),
            throttled: (load(&self.counters.delays), load(&self.counters.stops)),
            throttled_packing: load(&self.counters.delays_packing),
            latched: self.latch.get().map(ToString::to_string),
            ..Stats::default()
        };
        for file in state.value_files.values() {
            match file.kind {
                FileKind::Pack => add(&mut stats.packs, file.len),
                _ => add(&mut stats.segments, file.len),
            }
            if file.kind == FileKind::Segment && self.options.packing == Packing::InBackground {
                add(&mut stats.packs_waiting, file.len);
            }
            stats.contents.0 = stats.contents.0.saturating_add(file.raw_bytes);
            stats.contents.1 = stats.contents.1.saturating_add(file.stored_bytes);
        }
        for table in state.tables.values() {
            if table.keyspace != 0 {
                add(&mut stats.annotation_tables, table.len);
                continue;
            }
            let level = usize::from(table.level);
            if stats.levels.len() <= level {
                stats.levels.resize(level + 1, (0, 0));
            }
            if let Some(entry) = stats.levels.get_mut(level) {
                add(entry, table.len);
            }
            stats.table_rows = stats.table_rows.saturating_add(table.rows);
        }
        for memtable in view.memtables() {
            stats.memtable.0 = stats.memtable.0.saturating_add(memtable.row_count());
            stats.memtable.1 = stats.memtable.1.saturating_add(memtable.bytes());
        }
        for entry in self.list_files(&self.path)? {
            stats.bytes_on_disk = stats.bytes_on_disk.saturating_add(entry.len);
        }
        for entry in self.list_files(&self.path.join(crate::manifest::LOST_DIR))? {
            add(&mut stats.lost, entry.len);
            stats.bytes_on_disk = stats.bytes_on_disk.saturating_add(entry.len);
        }
        Ok(stats)
    }

    fn list_files(&self, path: &std::path::Path) -> Result<Vec<crate::env::DirEntry>> {
        use crate::error::IoContext;
        if !self.env.fs.exists(path).context("look at", path)? {
            return Ok(Vec::new());
        }
        let entries = self.env.fs.read_dir(path).context("list", path)?;
        Ok(entries.into_iter().filter(|entry| !entry.is_dir).collect())
    }
}

fn add((files, bytes): &mut (u64, u64), len: u64) {
    *files += 1;
    *bytes = bytes.saturating_add(len);
}
