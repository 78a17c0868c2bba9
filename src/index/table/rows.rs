//! The rows of one entity, one at a time.

use std::ops::Range;
use std::sync::Arc;

use super::layout::Layout;
use super::reader::{Held, RevisionTable};
use crate::Result;
use crate::index::{Order, Source, entity_hash};
use crate::model::{Bound, Row};

/// Holds one hot and one cold block at a time, however long the history. Fused: after an error it ends.
pub(super) struct TableRows {
    table: Arc<RevisionTable>,
    order: Order,
    state: State,
}

enum State {
    /// Nothing was read yet.
    Before {
        entity: Box<[u8]>,
        bound: Bound,
        /// Rows with numbers up to this one were given before; 0 for none.
        above: u64,
    },
    /// Rows still to be given, counted through the table.
    Inside {
        layout: Arc<Layout>,
        held: Held,
        rows: Range<u64>,
    },
    After,
}

impl TableRows {
    pub(super) fn new(table: Arc<RevisionTable>, entity: &[u8], bound: &Bound, order: Order) -> Self {
        Self { table, order, state: State::Before { entity: entity.into(), bound: *bound, above: 0 } }
    }

    /// Oldest first, from the first number above one.
    pub(super) fn above(table: Arc<RevisionTable>, entity: &[u8], above: u64, bound: &Bound) -> Self {
        let state = State::Before { entity: entity.into(), bound: *bound, above };
        Self { table, order: Order::Ascending, state }
    }

    fn start(table: &RevisionTable, entity: &[u8], bound: &Bound, above: u64) -> Result<State> {
        if !table.may_contain(entity, entity_hash(entity))? {
            return Ok(State::After);
        }
        let layout = table.layout()?;
        let Some(run) = table.locate(&layout, entity)? else { return Ok(State::After) };
        let mut held = Held::default();
        let Some(from) = table.search(&layout, &mut held, &run, bound)? else { return Ok(State::After) };
        let given = match above {
            0 => None,
            number => table.search(&layout, &mut held, &run, &Bound { number, ..Bound::ALL })?,
        };
        Ok(State::Inside { layout, held, rows: from..given.unwrap_or(run.end_row()) })
    }

    fn step(&mut self) -> Result<Option<Row>> {
        if let State::Before { entity, bound, above } = &self.state {
            self.state = Self::start(&self.table, entity, bound, *above)?;
        }
        let State::Inside { layout, held, rows } = &mut self.state else { return Ok(None) };
        let row = match self.order {
            Order::Ascending => rows.next_back(),
            Order::Descending => rows.next(),
        };
        row.map(|row| self.table.row(layout, held, row)).transpose()
    }
}

impl Iterator for TableRows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.state = State::After;
        }
        item
    }
}
