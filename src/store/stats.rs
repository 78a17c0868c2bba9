//! Counters and the numbers that `stats` shows.

use crate::sync::atomic::{AtomicU64, Ordering};

use super::forget::NotErased;
use super::inner::Inner;
use super::options::Packing;
use super::put_off::PutOff;
use super::written::Written;
use crate::Result;
use crate::codec::{FileId, FileKind};

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
    pub(crate) pack_bytes: AtomicU64,
    pub(crate) raw_bytes: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) packs: AtomicU64,
    pub(crate) merges: AtomicU64,
}

/// What the store is made of and what it did since it was opened.
///
/// Counting costs a look at the manifest and at the directory; as long as something is forgotten and not erased, also one at each content of that, whenever
/// another file or annotation is there.
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
    /// The segment being written: bytes used. In a store that is open for reading only: all segments that are not sealed, as long as they are.
    pub active_segment_bytes: u64,
    /// Packs: files and bytes.
    pub packs: (u64, u64),
    /// The same by tier: runs of packs of about one size, the smallest first.
    pub pack_tiers: Vec<(u64, u64)>,
    /// Segments that are sealed and wait to be packed: files and bytes.
    pub packs_waiting: (u64, u64),
    /// Segments and packs that could not be read when they were to be packed or merged, and stay as they are: files and bytes. `check` says what
    /// is wrong with them. They are tried again after the next opening, and by a full compaction.
    pub unpackable: (u64, u64),
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
    /// Content bytes in sealed segments and packs: uncompressed and as stored. What a merge that is half done has in two files counts twice, as it
    /// does on the disk: the older one is dead.
    pub contents: (u64, u64),
    /// Of the contents as stored: bytes that something still refers to, and bytes that the next rewriting of their file leaves out: what a merge
    /// has taken elsewhere already, and what is forgotten.
    pub live_and_dead: (u64, u64),
    /// What is forgotten and not erased yet; in sealed segments and packs it is a part of the dead bytes.
    pub not_erased: NotErased,
    /// Bytes of sealed segments and packs that are not contents: directories, digests, locators, heads.
    pub value_metadata: u64,
    /// Files in `lost/`: number and bytes.
    pub lost: (u64, u64),
    /// Bytes of all files of the store.
    pub bytes_on_disk: u64,
    /// The same bytes by what they are.
    pub disk: DiskUse,
    /// Memory: the whole budget, bytes. Memtables, caches and what is in flight come out of it.
    pub memory_budget: u64,
    /// Memory: caches in use and their limit.
    pub cache: (u64, u64),
    /// Memory: bytes of the group of commits that is gathering.
    pub in_flight: u64,
    /// Since opening: log bytes written, syncs of the log, bytes written to tables.
    pub written: (u64, u64, u64),
    /// Since opening: groups of contents decoded for reads, whole or the front of one. One that is in the cache is not decoded again.
    pub groups_decoded: u64,
    /// Since opening: bytes written to packs.
    pub written_packs: u64,
    /// Since opening: bytes of contents committed, uncompressed.
    pub written_raw: u64,
    /// Over all openings that were closed, and this one: bytes written, for bytes of contents.
    pub written_ever: Written,
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
    /// Background work that failed because there was no room, or because something could not be read or a table is damaged, and is tried again.
    pub put_off: Vec<PutOff>,
    /// Why the store takes no more writes, if so.
    pub latched: Option<String>,
}

/// What the bytes on disk are. Together they are [`Stats::bytes_on_disk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskUse {
    /// Segments: sealed ones, the one being written with the space that it has reserved, a spare.
    pub log: u64,
    /// Packs, those included that were replaced and are still being read.
    pub packs: u64,
    /// Tables of revisions: hot and cold blocks, names, filters.
    pub index: u64,
    /// Of those, the blocks that only a look at single revisions reads: authors, comments, attributes. A table that cannot be read counts as having
    /// none.
    pub index_cold: u64,
    /// Tables of annotations.
    pub annotations: u64,
    /// The manifest.
    pub manifest: u64,
    /// Files in `lost/`.
    pub lost: u64,
    /// The lock, the emergency reserve, files that are not ours.
    pub other: u64,
}

impl DiskUse {
    fn count(&mut self, name: &str, len: u64) {
        let bytes = match FileId::parse(name).map(|(_, kind)| kind) {
            Some(FileKind::Segment) => &mut self.log,
            Some(FileKind::Pack) => &mut self.packs,
            Some(FileKind::RevisionTable) => &mut self.index,
            Some(FileKind::PlainTable) => &mut self.annotations,
            Some(FileKind::Manifest) => &mut self.manifest,
            _ => &mut self.other,
        };
        *bytes = bytes.saturating_add(len);
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        let all = [self.log, self.packs, self.index, self.annotations, self.manifest, self.lost, self.other];
        all.into_iter().fold(0, u64::saturating_add)
    }
}

impl Stats {
    /// Bytes of contents, uncompressed, for each byte on disk; contents of the segment that is being written are not counted, and of those that
    /// are partly dead the share that is live.
    pub fn ratio(&self) -> Option<f64> {
        let live = self.live_and_dead.0 as f64 / (self.contents.1 as f64).max(1.0);
        (self.bytes_on_disk > 0 && self.contents.0 > 0)
            .then(|| self.contents.0 as f64 * live / self.bytes_on_disk as f64)
    }

    /// Bytes written to log, tables and packs since opening for each byte of contents committed since opening.
    pub fn write_amplification(&self) -> Option<f64> {
        let to_files = self.written.0.saturating_add(self.written.2).saturating_add(self.written_packs);
        Written { to_files, raw: self.written_raw }.amplification()
    }
}

impl Inner {
    pub(crate) fn stats(&self) -> Result<Stats> {
        let (state, not_erased) = self.not_erased();
        let view = self.view();
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            published: self.published(),
            durable: self.durable(),
            incarnation: state.incarnation,
            active_segment_bytes: if self.read_only { 0 } else { self.log.lock().end },
            memtables_waiting: view.memtables().len().saturating_sub(1) as u64,
            memory_budget: self.budget.total,
            cache: (self.cache.used(), self.cache.capacity()),
            in_flight: self.pipeline.lock().gathering_bytes as u64,
            written: (
                load(&self.counters.log_bytes),
                load(&self.counters.syncs),
                load(&self.counters.table_bytes),
            ),
            groups_decoded: self.cache.groups_decoded(),
            written_packs: load(&self.counters.pack_bytes),
            written_raw: load(&self.counters.raw_bytes),
            written_ever: self.written_ever(&state),
            jobs: (
                load(&self.counters.flushes),
                load(&self.counters.compactions),
                load(&self.counters.seals),
            ),
            packed: load(&self.counters.packs),
            merged: load(&self.counters.merges),
            throttled: (load(&self.counters.delays), load(&self.counters.stops)),
            throttled_packing: load(&self.counters.delays_packing),
            put_off: self.background.put_off.list(),
            latched: self.latch.get().map(ToString::to_string),
            ..Stats::default()
        };
        let unpackable = self.background.unpackable.lock().clone();
        for file in state.value_files.values() {
            match file.kind {
                FileKind::Pack => add(&mut stats.packs, file.len),
                _ => add(&mut stats.segments, file.len),
            }
            if unpackable.contains(&file.id) {
                add(&mut stats.unpackable, file.len);
            } else if file.kind == FileKind::Segment && self.options.packing == Packing::InBackground {
                add(&mut stats.packs_waiting, file.len);
            }
            stats.contents.0 = stats.contents.0.saturating_add(file.raw_bytes);
            stats.contents.1 = stats.contents.1.saturating_add(file.stored_bytes);
            let dead = file.stored_bytes.saturating_sub(file.live_bytes);
            stats.live_and_dead.0 = stats.live_and_dead.0.saturating_add(file.live_bytes);
            stats.live_and_dead.1 = stats.live_and_dead.1.saturating_add(dead);
            let metadata = file.len.saturating_sub(file.stored_bytes);
            stats.value_metadata = stats.value_metadata.saturating_add(metadata);
        }
        let forgotten = not_erased.stored_bytes.min(stats.live_and_dead.0);
        stats.live_and_dead.0 = stats.live_and_dead.0.saturating_sub(forgotten);
        stats.live_and_dead.1 = stats.live_and_dead.1.saturating_add(forgotten);
        stats.not_erased = not_erased;
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
        for table in view.levels().revisions.tables() {
            let cold = table.source.cold_bytes().unwrap_or(0);
            stats.disk.index_cold = stats.disk.index_cold.saturating_add(cold);
        }
        for memtable in view.memtables() {
            stats.memtable.0 = stats.memtable.0.saturating_add(memtable.row_count());
            stats.memtable.1 = stats.memtable.1.saturating_add(memtable.bytes());
        }
        for run in self.runs().iter().filter(|run| run.is_packed()) {
            let tier = self.tier(run) as usize;
            if stats.pack_tiers.len() <= tier {
                stats.pack_tiers.resize(tier + 1, (0, 0));
            }
            if let Some(entry) = stats.pack_tiers.get_mut(tier) {
                run.files.iter().for_each(|file| add(entry, file.len));
            }
        }
        for entry in self.list_files(&self.path)? {
            stats.bytes_on_disk = stats.bytes_on_disk.saturating_add(entry.len);
            stats.disk.count(&entry.name, entry.len);
        }
        if self.read_only {
            // Nobody writes here: what there is of the log behind the sealed segments.
            stats.active_segment_bytes = stats.disk.log.saturating_sub(stats.segments.1);
        }
        for entry in self.list_files(&self.path.join(crate::manifest::LOST_DIR))? {
            add(&mut stats.lost, entry.len);
            stats.disk.lost = stats.disk.lost.saturating_add(entry.len);
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
