//! What the jobs that write files anew leave out, as the index says it at one moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::Result;
use crate::env::HashMap;
use crate::index::Order;
use crate::index::annotations::{Erasures, Gate};
use crate::index::levels::IndexView;
use crate::model::{Address, Bound, Entity, FieldMask, Fields};
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
