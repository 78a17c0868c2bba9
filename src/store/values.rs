//! The value map: which file holds the content of a sequence number and an entity.
//!
//! ```text
//! entities  ▲ ┌─────────┬──────┐
//!           │ │  pack   │      │
//!           │ ├─────────┤ seg- │ segment that is
//!           │ │  pack   │ ment │ being written …
//!           └─┴─────────┴──────┴───────────────► sequence numbers
//!              column     column   column
//! ```
//! Rectangles of (sequence range × entity range) map to value files. They tile the plane, as the manifest's rules see to. Here they are cut
//! into *columns*, in each of which the same files stand beside each other by entity; the last one is open: the segment that is being
//! written. A map never changes; who has one reads on from the files that it names, whatever replaced them.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::cache::{Cache, CacheKey, CacheKind};
use crate::codec::{FileId, FileKind};
use crate::env::File;
use crate::log::{BlockCache, ChangeIter, LoggedChange, SealedSegment, ValueFile};
use crate::manifest::{Manifest, ValueFileInfo};
use crate::model::{Address, Digest};
use crate::pack::Pack;
use crate::{Error, Result};

use super::tables::PinnedFile;

/// One file and its rectangle.
#[derive(Clone)]
pub(crate) struct ValueEntry {
    pub(crate) first: u64,
    /// Inclusive; `u64::MAX` while the file is being written.
    pub(crate) last: u64,
    /// Empty: no bound.
    pub(crate) entity_first: Bytes,
    /// Inclusive; empty: no bound.
    pub(crate) entity_last: Bytes,
    pub(crate) number: u64,
    pub(crate) file: Arc<dyn ValueFile>,
}

impl ValueEntry {
    /// A file that has all changes from `first` to `last`.
    pub(crate) fn whole(first: u64, last: u64, number: u64, file: Arc<dyn ValueFile>) -> Self {
        Self { first, last, entity_first: Bytes::new(), entity_last: Bytes::new(), number, file }
    }

    /// Opens a sealed segment or a pack of the manifest.
    pub(crate) fn open(
        manifest: &Manifest,
        info: &ValueFileInfo,
        cache: Option<&Arc<Cache>>,
    ) -> Result<Self> {
        let handle = manifest.files().open(info.id, info.kind)?;
        let path = handle.path().to_path_buf();
        let file: Arc<dyn File> = Arc::new(PinnedFile(handle));
        let store = manifest.state().store;
        let cache = cache.map(|cache| -> Arc<dyn BlockCache> { Arc::new(DirectoryCache(cache.clone())) });
        let file: Arc<dyn ValueFile> = match info.kind {
            FileKind::Pack => Arc::new(Pack::open_file(file, &path, info, &store, cache)?),
            _ => Arc::new(SealedSegment::open_file(file, &path, info, &store, cache)?),
        };
        Ok(Self {
            first: info.sequence_first,
            last: info.sequence_last,
            entity_first: info.entity_first.clone(),
            entity_last: info.entity_last.clone(),
            number: info.id.number,
            file,
        })
    }

    fn is_whole(&self) -> bool {
        self.entity_first.is_empty() && self.entity_last.is_empty()
    }

    pub(crate) fn has(&self, entity: &[u8]) -> bool {
        entity >= &self.entity_first[..] && (self.entity_last.is_empty() || entity <= &self.entity_last[..])
    }
}

/// A range of sequence numbers, and the files that hold it, by entity.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) first: u64,
    /// Inclusive; `u64::MAX` for the open one.
    pub(crate) last: u64,
    pub(crate) files: Vec<ValueEntry>,
}

impl Column {
    /// Its changes with `after < sequence <= up_to`, in order.
    pub(crate) fn changes(&self, after: u64, up_to: u64) -> ChangeIter {
        let after = after.max(self.first.saturating_sub(1));
        let up_to = up_to.min(self.last);
        if let [only] = &self.files[..]
            && only.is_whole()
        {
            return only.file.clone().changes(after, up_to);
        }
        let files = self.files.iter().map(|entry| Part {
            changes: entry.file.clone().changes(after, up_to).peekable(),
            entry: entry.clone(),
        });
        Box::new(Merged { files: files.collect(), done: false })
    }
}

/// A file of several that share a range of sequence numbers.
struct Part {
    changes: Peekable<ChangeIter>,
    entry: ValueEntry,
}

/// The changes of several files in sequence order, each as far as its rectangle goes.
struct Merged {
    files: Vec<Part>,
    done: bool,
}

impl Merged {
    fn step(&mut self) -> Option<Result<LoggedChange>> {
        loop {
            let mut first: Option<(u64, &mut Part)> = None;
            for part in &mut self.files {
                match part.changes.peek() {
                    // An error comes at once: what is behind it is not known.
                    Some(Err(error)) => return Some(Err(error.clone())),
                    Some(Ok(change))
                        if first.as_ref().is_none_or(|(lowest, _)| change.sequence < *lowest) =>
                    {
                        first = Some((change.sequence, part));
                    }
                    _ => {}
                }
            }
            let (_, part) = first?;
            let next = part.changes.next()?;
            let inside = next.as_ref().is_ok_and(|change| part.entry.has(change.change.place()));
            if inside {
                return Some(next);
            }
        }
    }
}

impl Iterator for Merged {
    type Item = Result<LoggedChange>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let step = self.step();
        self.done = !matches!(step, Some(Ok(_)));
        step
    }
}

/// All value files by sequence number and entity.
#[derive(Clone, Default)]
pub(crate) struct ValueMap {
    entries: Vec<ValueEntry>,
    columns: Arc<Vec<Column>>,
}

impl ValueMap {
    pub(crate) fn new(mut entries: Vec<ValueEntry>) -> Self {
        // A segment without records covers nothing.
        entries.retain(|entry| entry.first <= entry.last);
        entries.sort_by(|a, b| (a.first, &a.entity_first).cmp(&(b.first, &b.entity_first)));
        let columns = Arc::new(columns(&entries));
        Self { entries, columns }
    }

    /// The files that the manifest names, opened.
    pub(crate) fn open<'a>(
        manifest: &Manifest,
        infos: impl Iterator<Item = &'a ValueFileInfo>,
        cache: Option<&Arc<Cache>>,
    ) -> Result<Self> {
        let entries = infos.filter(|info| info.sequence_first <= info.sequence_last);
        Ok(Self::new(entries.map(|info| ValueEntry::open(manifest, info, cache)).collect::<Result<_>>()?))
    }

    pub(crate) fn entries(&self) -> &[ValueEntry] {
        &self.entries
    }

    pub(crate) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The same with the open file closed at the sequence number before the next one's first, and that behind it.
    pub(crate) fn rolled(&self, next: ValueEntry) -> Self {
        let mut entries = self.entries.clone();
        if let Some(open) = entries.last_mut() {
            open.last = next.first.saturating_sub(1);
        }
        entries.push(next);
        Self::new(entries)
    }

    /// The same without the files of these numbers, and with others.
    pub(crate) fn replaced(&self, without: &[u64], with: impl IntoIterator<Item = ValueEntry>) -> Self {
        let kept = self.entries.iter().filter(|entry| !without.contains(&entry.number)).cloned();
        Self::new(kept.chain(with).collect())
    }

    /// The files that hold a sequence number.
    pub(crate) fn find(&self, sequence: u64) -> Option<&Column> {
        let at = self.columns.partition_point(|column| column.first <= sequence).checked_sub(1)?;
        self.columns.get(at).filter(|column| sequence <= column.last)
    }

    /// All changes behind `after`, in order.
    pub(crate) fn changes(&self, after: u64) -> ChangeIter {
        let columns = Arc::clone(&self.columns);
        let from = columns.partition_point(|column| column.last <= after);
        let count = columns.len();
        let changes =
            (from..count).filter_map(move |at| columns.get(at).map(|column| column.changes(after, u64::MAX)));
        let mut failed = false;
        Box::new(changes.flatten().take_while(move |change| !std::mem::replace(&mut failed, change.is_err())))
    }

    /// The file that holds what an entity wrote at a sequence number.
    pub(crate) fn file(&self, entity: &[u8], address: Address) -> Result<&Arc<dyn ValueFile>> {
        let files = self.find(address.sequence).map(|column| &column.files[..]).unwrap_or_default();
        let at = files.partition_point(|entry| entry.entity_first[..] <= *entity).checked_sub(1);
        let entry = at.and_then(|at| files.get(at)).filter(|entry| entry.has(entity));
        entry.map(|entry| &entry.file).ok_or_else(|| {
            let entity = String::from_utf8_lossy(entity);
            Error::corrupt(
                Path::new("the value map"),
                0,
                format!("a value file for sequence {} of {entity}", address.sequence),
                "none",
                format!("the content written at sequence {}", address.sequence),
            )
        })
    }

    pub(crate) fn read(&self, entity: &[u8], address: Address) -> Result<Bytes> {
        self.file(entity, address)?.read_content(address)
    }

    pub(crate) fn digest(&self, entity: &[u8], address: Address) -> Result<Digest> {
        self.file(entity, address)?.digest(address)
    }
}

/// Cuts rectangles into columns. `entries` are in order.
fn columns(entries: &[ValueEntry]) -> Vec<Column> {
    let ends = entries.iter().filter_map(|entry| entry.last.checked_add(1));
    let cuts: BTreeSet<u64> = entries.iter().map(|entry| entry.first).chain(ends).collect();
    let cuts: Vec<u64> = cuts.into_iter().collect();
    let last_of = |at: usize| cuts.get(at + 1).map_or(u64::MAX, |next| next.saturating_sub(1));
    let column = |(at, first): (usize, &u64)| Column { first: *first, last: last_of(at), files: Vec::new() };
    let mut columns: Vec<Column> = cuts.iter().enumerate().map(column).collect();
    for entry in entries {
        let from = columns.partition_point(|column| column.first < entry.first);
        let inside = columns.iter_mut().skip(from).take_while(|column| column.first <= entry.last);
        inside.for_each(|column| column.files.push(entry.clone()));
    }
    columns.retain(|column| !column.files.is_empty());
    columns.iter_mut().for_each(|column| column.files.sort_by(|a, b| a.entity_first.cmp(&b.entity_first)));
    columns
}

/// The store's cache, as sealed files use it.
pub(crate) struct DirectoryCache(pub(crate) Arc<Cache>);

impl BlockCache for DirectoryCache {
    fn get(&self, file: FileId, offset: u64) -> Option<Bytes> {
        self.0.get::<Bytes>(key(file, offset)).map(|block| Bytes::clone(&block))
    }

    fn put(&self, file: FileId, offset: u64, block: Bytes) {
        self.0.insert(key(file, offset), &Arc::new(block));
    }

    fn decoded_group(&self) {
        self.0.count_group();
    }
}

fn key(file: FileId, offset: u64) -> CacheKey {
    CacheKey { file: file.number, at: offset, kind: CacheKind::Directory }
}
