//! Walking the entities of a table.

use std::sync::Arc;

use super::entities::{EntityBlock, RunStats};
use super::layout::Layout;
use super::reader::{Held, RevisionTable};
use crate::index::{EntityRange, Order, RunCursor, RunInfo};
use crate::model::{Bound, Row};
use crate::{Error, Result};

/// Reads entity blocks for [`RunCursor::next_run`], and others only when rows are asked for. After an error every call gives
/// that error again: an end is never mistaken.
pub(super) struct TableCursor {
    table: Arc<RevisionTable>,
    range: EntityRange,
    order: Order,
    place: Place,
    /// The present entity's rows, and the next one to give.
    present: Option<(RunStats, u64)>,
    /// What `next_row` and what `find` read last: they may be far apart.
    walked: Held,
    found: Held,
    failed: Option<Error>,
}

enum Place {
    Before,
    /// In an entity block; `next` counts from its start and, going down, is one more than the entity to give.
    Inside {
        layout: Arc<Layout>,
        number: usize,
        block: Arc<EntityBlock>,
        next: usize,
    },
    After,
}

impl TableCursor {
    pub(super) fn new(table: Arc<RevisionTable>, range: &EntityRange, order: Order) -> Self {
        Self {
            table,
            range: range.clone(),
            order,
            place: Place::Before,
            present: None,
            walked: Held::default(),
            found: Held::default(),
            failed: None,
        }
    }

    fn guarded<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        step(self).inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn start(&self) -> Result<Place> {
        let info = self.table.info();
        let to = self.range.to.as_deref();
        if info.last < self.range.from || to.is_some_and(|to| &info.first[..] >= to) {
            return Ok(Place::After);
        }
        let layout = self.table.layout()?;
        let number = match (self.order, to) {
            (Order::Ascending, _) => layout.entities_of(&self.range.from).unwrap_or(0),
            (Order::Descending, Some(to)) => layout.keys.rank(to).saturating_sub(1),
            (Order::Descending, None) => layout.keys.len().saturating_sub(1),
        };
        let block = self.table.entity_block(&layout, number)?;
        let next = match (self.order, to) {
            (Order::Ascending, _) => block.keys.rank(&self.range.from),
            (Order::Descending, Some(to)) => block.keys.rank(to),
            (Order::Descending, None) => block.keys.len(),
        };
        Ok(Place::Inside { layout, number, block, next })
    }

    /// Which entity of which block comes next.
    fn advance(&mut self) -> Result<Option<(Arc<EntityBlock>, usize)>> {
        if matches!(self.place, Place::Before) {
            self.place = self.start()?;
        }
        let Place::Inside { layout, number, block, next } = &mut self.place else { return Ok(None) };
        let i = match self.order {
            Order::Ascending => {
                if *next >= block.keys.len() {
                    *number = number.saturating_add(1);
                    if *number >= layout.entities.len() {
                        return Ok(None);
                    }
                    *block = self.table.entity_block(layout, *number)?;
                    *next = 0;
                }
                let i = *next;
                *next = next.saturating_add(1);
                i
            }
            Order::Descending => {
                if *next == 0 {
                    let Some(before) = number.checked_sub(1) else { return Ok(None) };
                    *number = before;
                    *block = self.table.entity_block(layout, before)?;
                    *next = block.keys.len();
                }
                *next = next.saturating_sub(1);
                *next
            }
        };
        Ok(self.range.contains(block.keys.get(i)).then(|| (block.clone(), i)))
    }
}

impl RunCursor for TableCursor {
    fn next_run(&mut self) -> Result<Option<RunInfo>> {
        self.guarded(|cursor| {
            cursor.present = None;
            let Some((block, i)) = cursor.advance()? else {
                cursor.place = Place::After;
                return Ok(None);
            };
            let run = block.run(i);
            cursor.present = Some((run, run.first_row));
            block.info(i).map(Some)
        })
    }

    fn find(&mut self, bound: &Bound) -> Result<Option<Row>> {
        self.guarded(|cursor| {
            let (Some((run, _)), Place::Inside { layout, .. }) = (&cursor.present, &cursor.place) else {
                return Ok(None);
            };
            match cursor.table.search(layout, &mut cursor.found, run, bound)? {
                Some(row) => cursor.table.row(layout, &mut cursor.found, row).map(Some),
                None => Ok(None),
            }
        })
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        self.guarded(|cursor| {
            let (Some((run, next)), Place::Inside { layout, .. }) = (&mut cursor.present, &cursor.place)
            else {
                return Ok(None);
            };
            if *next >= run.end_row() {
                return Ok(None);
            }
            let row = cursor.table.row(layout, &mut cursor.walked, *next)?;
            *next = next.saturating_add(1);
            Ok(Some(row))
        })
    }
}
