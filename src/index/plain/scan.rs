//! Walking a plain table.

use std::sync::Arc;

use bytes::Bytes;

use super::block::{PlainBlock, PlainIndex};
use super::reader::PlainTable;
use crate::Result;
use crate::index::{EntityRange, Order};

/// The pairs of a range, in either direction. Holds one block. Fused: after an error it ends.
pub struct PlainScan {
    table: Arc<PlainTable>,
    range: EntityRange,
    order: Order,
    place: Place,
}

enum Place {
    Before,
    /// `next` counts from the block's start and, going down, is one more than the pair to give.
    Inside {
        index: Arc<PlainIndex>,
        number: usize,
        block: Arc<PlainBlock>,
        next: usize,
    },
    After,
}

impl PlainScan {
    pub(super) fn new(table: Arc<PlainTable>, range: &EntityRange, order: Order) -> Self {
        Self { table, range: range.clone(), order, place: Place::Before }
    }

    fn start(&self) -> Result<Place> {
        let info = self.table.info();
        let to = self.range.to.as_deref();
        if info.last < self.range.from || to.is_some_and(|to| &info.first[..] >= to) {
            return Ok(Place::After);
        }
        let index = self.table.index()?;
        let number = match (self.order, to) {
            (Order::Ascending, _) => index.block_of(&self.range.from).unwrap_or(0),
            (Order::Descending, Some(to)) => index.keys.rank(to).saturating_sub(1),
            (Order::Descending, None) => index.keys.len().saturating_sub(1),
        };
        let block = self.table.block(&index, number)?;
        let next = match (self.order, to) {
            (Order::Ascending, _) => block.keys.rank(&self.range.from),
            (Order::Descending, Some(to)) => block.keys.rank(to),
            (Order::Descending, None) => block.keys.len(),
        };
        Ok(Place::Inside { index, number, block, next })
    }

    fn step(&mut self) -> Result<Option<(Bytes, Bytes)>> {
        if matches!(self.place, Place::Before) {
            self.place = self.start()?;
        }
        let Place::Inside { index, number, block, next } = &mut self.place else { return Ok(None) };
        let i = match self.order {
            Order::Ascending => {
                if *next >= block.keys.len() {
                    *number = number.saturating_add(1);
                    if *number >= index.blocks.len() {
                        return Ok(None);
                    }
                    *block = self.table.block(index, *number)?;
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
                    *block = self.table.block(index, before)?;
                    *next = block.keys.len();
                }
                *next = next.saturating_sub(1);
                *next
            }
        };
        Ok(self.range.contains(block.keys.get(i)).then(|| (block.keys.share(i), block.value(i))))
    }
}

impl Iterator for PlainScan {
    type Item = Result<(Bytes, Bytes)>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.step().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.place = Place::After;
        }
        item
    }
}
