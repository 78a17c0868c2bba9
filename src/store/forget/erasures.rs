//! What the jobs that write files anew leave out, as the index says it at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Result;
use crate::env::HashMap;
use crate::index::Order;
use crate::index::annotations::{Erasures, Gate, StoredAnnotation, decode};
use crate::index::levels::IndexView;
use crate::limits::ENTITY_LEN_MAX;
use crate::model::{Address, AnnotationKind, Bound, Entity, FieldMask, Fields, Row, purged_name};
use crate::store::inner::Inner;
use crate::sync::Mutex;

/// So many answers are kept: neighbours in a file are mostly of a few entities.
const KEPT: usize = 4096;

/// The erasures of a view of the index.
pub(crate) struct ViewErasures {
    store: [u8; 16],
    view: Arc<IndexView>,
    up_to: u64,
    gates: Mutex<HashMap<Entity, Arc<Gate>>>,
    reused: Mutex<HashMap<Entity, Arc<BTreeSet<Address>>>>,
}

impl ViewErasures {
    /// All annotations of `view` up to `durable`: what a power cut cannot take back.
    pub(crate) fn new(store: [u8; 16], view: Arc<IndexView>, durable: u64) -> Self {
        let up_to = view.last_annotation(durable);
        Self { store, view, up_to, gates: Mutex::default(), reused: Mutex::default() }
    }
}

impl ViewErasures {
    /// The annotations that make something of an entity forgotten.
    pub(crate) fn causes(&self, entity: &Entity) -> Result<Vec<StoredAnnotation>> {
        let mut causes = self.view.annotations(entity)?;
        causes.extend(self.view.annotations(&purged_name(&self.store, entity.as_bytes()))?);
        causes.retain(|stored| stored.sequence <= self.up_to && stored.annotation.kind.erases());
        Ok(causes)
    }

    /// The entity that a bound of a file names, if it was purged and there is none of that name now. A bound may be the name, or the key
    /// right behind it.
    pub(crate) fn purged_bound(&self, bound: &[u8]) -> Result<Option<Entity>> {
        let bare = bound.strip_suffix(&[0]).unwrap_or(bound);
        let mut names = vec![bound.to_vec(), bare.to_vec()];
        if bare.len() == ENTITY_LEN_MAX - 1 {
            // The longest names are told without their last byte.
            names.extend((0..=u8::MAX).map(|last| [bare, &[last]].concat()));
        }
        for name in names {
            if let Some(entity) = self.purged_name(&name)? {
                return Ok(Some(entity));
            }
        }
        Ok(None)
    }

    /// The entity of this name, if it was purged and there is none of that name now.
    pub(crate) fn purged_name(&self, name: &[u8]) -> Result<Option<Entity>> {
        let Ok(entity) = Entity::new(name) else { return Ok(None) };
        let Some(purge) = self.gate(&entity)?.purge() else { return Ok(None) };
        let head = self.view.find(entity.as_bytes(), &Bound::ALL)?;
        Ok(head.is_none_or(|head| head.number <= purge.last).then_some(entity))
    }

    /// The rows of an entity, those that are forgotten included.
    pub(crate) fn rows(
        &self,
        entity: &Entity,
        bound: &Bound,
        order: Order,
    ) -> impl Iterator<Item = Result<Row>> + use<> {
        self.view.rows(entity, bound, order)
    }

    /// What erases, of all entities, with `after < sequence <= up_to`, entry by entry.
    pub(crate) fn erasing(
        &self,
        after: u64,
        each: &mut dyn FnMut(StoredAnnotation) -> Result<()>,
    ) -> Result<()> {
        let mut take = |stored: StoredAnnotation| match stored.annotation.kind.erases() {
            true if stored.sequence > after && stored.sequence <= self.up_to => each(stored),
            _ => Ok(()),
        };
        for memtable in self.view.memtables().iter().filter(|memtable| memtable.annotation_count() > 0) {
            memtable.annotations().try_for_each(&mut take)?;
        }
        for table in self.view.levels().annotations.tables().filter(|it| it.info.sequence_last > after) {
            for entry in table.source.clone().entries() {
                let (key, value) = entry?;
                let stored = decode(&key, &value)
                    .map_err(|bad| crate::Error::malformed(&table.name, 0, bad, "what is forgotten"))?;
                take(stored)?;
            }
        }
        Ok(())
    }

    /// Whether a checkpoint that was made when changes up to `sequence` were there has anything that an annotation made forgotten.
    pub(crate) fn concerns(&self, stored: &StoredAnnotation, sequence: u64) -> Result<bool> {
        let note = &stored.annotation;
        if note.kind == AnnotationKind::Purge {
            // What it was called nobody knows any more.
            return Ok(true);
        }
        let bound = Bound { number: note.last, sequence, ..Bound::ALL };
        let row = self.view.find(note.entity.as_bytes(), &bound)?;
        Ok(row.is_some_and(|row| row.number >= note.first))
    }
}

impl Inner {
    /// What is to be left out of files that are written from now on.
    pub(crate) fn erasures(&self) -> ViewErasures {
        // First the mark, then the view: so everything up to the mark is in the view.
        let durable = self.durable();
        ViewErasures::new(self.store, self.view(), durable)
    }
}

impl Erasures for ViewErasures {
    fn up_to(&self) -> u64 {
        self.up_to
    }

    fn gate(&self, entity: &Entity) -> Result<Arc<Gate>> {
        if self.up_to == 0 {
            return Ok(Arc::default());
        }
        kept(&self.gates, entity, || self.view.erasing_gate(&self.store, entity, self.up_to))
    }

    fn reused(&self, entity: &Entity) -> Result<Arc<BTreeSet<Address>>> {
        let gate = self.gate(entity)?;
        kept(&self.reused, entity, || {
            let mut reused = BTreeSet::new();
            for row in self.view.rows(entity, &Bound::ALL, Order::Descending) {
                let row = row?;
                let seen = gate.visibility(row.number);
                if seen.purged {
                    break;
                }
                if seen.forgotten.contains(FieldMask::CONTENT) {
                    continue;
                }
                // Fields that cannot be read name nothing that can be told: better an error than a content too few.
                let mut fields = Fields::decode(&row.cold).map_err(|bad| {
                    let whose = format!("revision {} of {entity}", row.number);
                    crate::Error::malformed(std::path::Path::new("index"), 0, bad, whose)
                })?;
                fields.resolve(row.sequence);
                let slots = fields.slots.iter().filter_map(|(_, content)| *content);
                let others = row.content.into_iter().chain(slots).map(|content| content.address);
                reused.extend(others.filter(|address| address.sequence != row.sequence));
            }
            Ok(reused)
        })
    }
}

fn kept<T>(
    answers: &Mutex<HashMap<Entity, Arc<T>>>,
    entity: &Entity,
    find: impl FnOnce() -> Result<T>,
) -> Result<Arc<T>> {
    if let Some(known) = answers.lock().get(entity) {
        return Ok(known.clone());
    }
    let found = Arc::new(find()?);
    let mut answers = answers.lock();
    if answers.len() >= KEPT {
        answers.clear();
    }
    answers.insert(entity.clone(), found.clone());
    Ok(found)
}
