//! What a reader pins.

use std::path::Path;
use std::sync::Arc;

use super::{Leveled, Levels};
use crate::index::annotations::{Gate, Purge, StoredAnnotation, Visibility, name_prefix};
use crate::index::memtable::Memtable;
use crate::index::merge::{ChainRows, ConcatRuns, MergeRuns, NamedRuns, Place};
use crate::index::{EntityRange, Order, RunCursor, Source, entity_hash};
use crate::model::{Bound, Entity, PURGED_PREFIX, Row, purged_name};
use crate::{Error, Result};

/// The whole index at one moment: the active memtable, those being flushed, and the tables. Immutable but for what the publisher adds
/// to the active memtable.
///
/// **Load the published sequence first, then the view, and cap the bound by that sequence.** Every change up to it is in the
/// view; changes behind it may be or not. (The publisher installs a rotated view before it publishes anything that is in the new
/// memtable.)
#[derive(Clone, Debug)]
pub struct IndexView {
    /// Newest first; the first is the active one.
    memtables: Vec<Arc<Memtable>>,
    levels: Arc<Levels>,
}

impl IndexView {
    /// A view with one memtable.
    pub fn new(active: Arc<Memtable>, levels: Arc<Levels>) -> Self {
        Self { memtables: vec![active], levels }
    }

    /// The tables alone.
    pub fn of_tables(levels: Levels) -> Self {
        Self { memtables: Vec::new(), levels: levels.into() }
    }

    /// The same with an empty memtable as the active one; the former active one waits for its flush.
    #[must_use]
    pub fn rotated(&self, fresh: Arc<Memtable>) -> Self {
        let mut memtables = Vec::with_capacity(self.memtables.len() + 1);
        memtables.push(fresh);
        memtables.extend(self.memtables.iter().cloned());
        Self { memtables, levels: self.levels.clone() }
    }

    /// The same with other tables: after a compaction.
    #[must_use]
    pub fn with_levels(&self, levels: Arc<Levels>) -> Self {
        Self { memtables: self.memtables.clone(), levels }
    }

    /// After a flush: `levels` hold what was in `flushed`, which goes.
    ///
    /// # Errors
    /// `Invalid` if `flushed` is not the oldest memtable or is the active one: memtables are flushed oldest first, or the tables
    /// would be newer than a memtable above them.
    pub fn flushed(&self, flushed: &Arc<Memtable>, levels: Arc<Levels>) -> Result<Self> {
        match self.memtables.split_last() {
            Some((oldest, newer)) if !newer.is_empty() && Arc::ptr_eq(oldest, flushed) => {
                Ok(Self { memtables: newer.to_vec(), levels })
            }
            _ => Err(Error::invalid("memtables are flushed oldest first, and not while they are written to")),
        }
    }

    /// The memtable that is written to; `None` in a view of the tables alone.
    pub fn active(&self) -> Option<&Arc<Memtable>> {
        self.memtables.first()
    }

    /// All memtables, newest first, the active one included.
    pub fn memtables(&self) -> &[Arc<Memtable>] {
        &self.memtables
    }

    /// The memtable to flush next, if any waits.
    pub fn flush_next(&self) -> Option<&Arc<Memtable>> {
        self.memtables.split_last().filter(|(_, newer)| !newer.is_empty()).map(|(oldest, _)| oldest)
    }

    /// The tables.
    pub fn levels(&self) -> &Arc<Levels> {
        &self.levels
    }

    /// The newest row of an entity inside the bound. The first place that has one is the answer: see the level order.
    ///
    /// # Errors
    /// Whatever reading a table gives; a table that cannot be read is never skipped.
    pub fn find(&self, entity: &[u8], bound: &Bound) -> Result<Option<Row>> {
        let hash = entity_hash(entity);
        for memtable in &self.memtables {
            if let Some(row) = memtable.find(entity, hash, bound)? {
                return Ok(Some(row));
            }
        }
        for table in self.levels.revisions.covering(entity) {
            if let Some(row) = table.source.find(entity, hash, bound)? {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// [`IndexView::find`] for many entities, answers in the same order. Reads in entity order, so that neighbours share blocks.
    ///
    /// # Errors
    /// As [`IndexView::find`].
    pub fn find_many<E: AsRef<[u8]>>(&self, entities: &[E], bound: &Bound) -> Result<Vec<Option<Row>>> {
        let mut sorted: Vec<_> =
            entities.iter().enumerate().map(|(at, entity)| (entity.as_ref(), at)).collect();
        sorted.sort_unstable();
        let mut rows = vec![None; entities.len()];
        for (entity, at) in sorted {
            if let Some(row) = rows.get_mut(at) {
                *row = self.find(entity, bound)?;
            }
        }
        Ok(rows)
    }

    /// The rows of an entity inside the bound, streaming.
    pub fn rows(&self, entity: &Entity, bound: &Bound, order: Order) -> ChainRows {
        let tables = self.levels.revisions.covering(entity.as_bytes()).map(|table| place(table));
        ChainRows::new(self.memory().chain(tables).collect(), entity.clone(), bound, order)
    }

    /// Those whose number is above one, oldest first.
    pub fn rows_above(&self, entity: &Entity, above: u64, bound: &Bound) -> ChainRows {
        let tables = self.levels.revisions.covering(entity.as_bytes()).map(|table| place(table));
        ChainRows::above(self.memory().chain(tables).collect(), entity.clone(), above, bound)
    }

    /// The entities of a range over all places. Ascending or descending, streaming.
    pub fn runs(&self, range: &EntityRange, order: Order) -> MergeRuns {
        let tree = &self.levels.revisions;
        let mut places: Vec<_> = self.memory().map(|place| named(place, range, order)).collect();
        for (level, _) in tree.levels() {
            let inside = tree.meeting(level, range).map(|table| place(table));
            if level == 0 {
                places.extend(inside.map(|place| named(place, range, order)));
                continue;
            }
            let inside: Vec<_> = inside.collect();
            if !inside.is_empty() {
                let runs = Box::new(ConcatRuns::new(inside, range.clone(), order));
                places.push(NamedRuns { name: Path::new(&format!("level {level}")).into(), runs });
            }
        }
        MergeRuns::new(places, order)
    }

    /// The newest row inside the bound of each entity of a range that has one.
    pub fn heads(&self, range: &EntityRange, bound: &Bound, order: Order) -> Heads {
        Heads { runs: self.runs(range, order), bound: *bound, ended: false }
    }

    /// Whether there are no annotations at all: then nothing is hidden.
    pub fn has_no_annotations(&self) -> bool {
        self.levels.annotations.is_empty()
            && self.memtables.iter().all(|memtable| memtable.annotation_count() == 0)
    }

    /// What may be shown of a revision of the store with that id. Current, whatever bound it was found with.
    ///
    /// # Errors
    /// Whatever reading a table gives: what cannot be decided is not shown.
    pub fn visibility(&self, store: &[u8; 16], entity: &Entity, number: u64) -> Result<Visibility> {
        Ok(self.gate(store, entity)?.visibility(number))
    }

    /// What may be shown of all revisions of an entity.
    ///
    /// # Errors
    /// As [`IndexView::visibility`].
    pub fn gate(&self, store: &[u8; 16], entity: &Entity) -> Result<Gate> {
        if self.has_no_annotations() {
            return Ok(Gate::default());
        }
        Ok(Gate::new(&self.annotations(entity)?, self.purge(store, entity.as_bytes())?))
    }

    /// What is forgotten of the revisions of an entity by annotations up to a sequence number; nothing that is merely hidden.
    ///
    /// # Errors
    /// As [`IndexView::visibility`].
    pub fn erasing_gate(&self, store: &[u8; 16], entity: &Entity, up_to: u64) -> Result<Gate> {
        if self.has_no_annotations() {
            return Ok(Gate::default());
        }
        let purges = match self.may_have_purges() {
            true => self.annotations(&purged_name(store, entity.as_bytes()))?,
            false => Vec::new(),
        };
        Ok(Gate::erasing(&self.annotations(entity)?, &purges, up_to))
    }

    /// The sequence number of the newest annotation that is not behind `limit`; 0 if there is none.
    pub fn last_annotation(&self, limit: u64) -> u64 {
        let tables = self.levels.annotations.tables().map(|table| table.info.sequence_last);
        // Tables are never ahead of what is durable.
        let memory = self.memtables.iter().filter(|memtable| memtable.annotation_count() > 0);
        let memory = memory.flat_map(|memtable| memtable.annotations().map(|stored| stored.sequence));
        tables.chain(memory).filter(|sequence| *sequence <= limit).max().unwrap_or(0)
    }

    /// The purge of an entity, if there was one.
    ///
    /// # Errors
    /// As [`IndexView::visibility`].
    pub fn purge(&self, store: &[u8; 16], entity: &[u8]) -> Result<Option<Purge>> {
        if !self.may_have_purges() {
            return Ok(None);
        }
        Ok(Purge::newest(&self.annotations(&purged_name(store, entity))?))
    }

    /// Whether any entity may have been purged; told without reading.
    fn may_have_purges(&self) -> bool {
        let names = EntityRange::prefix(&name_prefix(PURGED_PREFIX));
        self.memtables.iter().any(|memtable| memtable.purge_count() > 0)
            || self.levels.annotations.tables().any(|table| {
                !planted!("purge only in memory")
                    && table.info.last >= names.from
                    && names.to.as_ref().is_none_or(|to| table.info.first < to)
            })
    }

    /// All annotations of an entity, from all places, in no particular order.
    ///
    /// # Errors
    /// As [`IndexView::visibility`].
    pub fn annotations(&self, entity: &Entity) -> Result<Vec<StoredAnnotation>> {
        let mut all = Vec::new();
        for memtable in &self.memtables {
            if memtable.annotation_count() > 0 {
                all.extend(memtable.annotations_of(entity));
            }
        }
        let hash = entity_hash(entity.as_bytes());
        for table in self.levels.annotations.tables().filter(|_| !planted!("hidden only in memory")) {
            table.source.collect(entity, hash, &mut all)?;
        }
        Ok(all)
    }

    fn memory(&self) -> impl Iterator<Item = Place> {
        let name: Arc<Path> = Path::new("memtable").into();
        self.memtables.iter().map(move |memtable| Place { name: name.clone(), source: memtable.clone() })
    }
}

fn place(table: &Leveled<dyn Source>) -> Place {
    Place { name: table.name.clone(), source: table.source.clone() }
}

fn named(place: Place, range: &EntityRange, order: Order) -> NamedRuns {
    NamedRuns { name: place.name, runs: place.source.runs(range, order) }
}

/// Entities and their newest rows inside a bound. Fused after an error.
pub struct Heads {
    runs: MergeRuns,
    bound: Bound,
    ended: bool,
}

impl Heads {
    fn read(&mut self) -> Result<Option<(Entity, Row)>> {
        while let Some(info) = self.runs.next_run()? {
            if let Some(row) = self.runs.find(&self.bound)? {
                return Ok(Some((info.entity, row)));
            }
        }
        Ok(None)
    }
}

impl Iterator for Heads {
    type Item = Result<(Entity, Row)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = matches!(next, None | Some(Err(_)));
        next
    }
}
