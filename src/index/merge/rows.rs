//! The rows of one entity from several places, one place behind the other.

use crate::Result;
use crate::index::{Order, RowIter, entity_hash};
use crate::model::{Bound, Entity, Row};

use super::{Place, order_violated};

/// The rows of one entity inside a bound. A place is read when the walk gets there. Fused after an error.
pub struct ChainRows {
    /// Yet to come, in the order of the walk.
    places: std::vec::IntoIter<Place>,
    entity: Entity,
    hash: u64,
    bound: Bound,
    order: Order,
    /// Numbers up to this one were given before; 0 for none.
    above: u64,
    current: Option<(Place, RowIter)>,
    /// Number and sequence of the last row.
    last: Option<(u64, u64)>,
    failed: bool,
}

impl ChainRows {
    /// `places`: newest first, whatever the order of the walk.
    pub fn new(mut places: Vec<Place>, entity: Entity, bound: &Bound, order: Order) -> Self {
        if order == Order::Ascending {
            places.reverse();
        }
        let hash = entity_hash(entity.as_bytes());
        let places = places.into_iter();
        Self {
            places,
            entity,
            hash,
            bound: *bound,
            order,
            above: 0,
            current: None,
            last: None,
            failed: false,
        }
    }

    /// Oldest first, from the first number above one. `places` as for [`ChainRows::new`].
    pub fn above(places: Vec<Place>, entity: Entity, above: u64, bound: &Bound) -> Self {
        Self { above, ..Self::new(places, entity, bound, Order::Ascending) }
    }

    fn read(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some((place, rows)) = &mut self.current
                && let Some(row) = rows.next()
            {
                let row = row?;
                let here = (row.number, row.sequence);
                if let Some(last) = self.last {
                    let (newer, older) = match self.order {
                        Order::Ascending => (here, last),
                        Order::Descending => (last, here),
                    };
                    if newer.0 <= older.0 || newer.1 <= older.1 {
                        return Err(order_violated(&place.name, &self.entity, newer, older));
                    }
                }
                self.last = Some(here);
                return Ok(Some(row));
            }
            let Some(place) = self.places.next() else {
                self.current = None;
                return Ok(None);
            };
            self.current = None;
            if place.source.may_contain(self.entity.as_bytes(), self.hash)? {
                let (source, entity) = (place.source.clone(), self.entity.as_bytes());
                let rows = match self.above {
                    0 => source.rows(entity, &self.bound, self.order),
                    above => source.rows_above(entity, above, &self.bound),
                };
                self.current = Some((place, rows));
            }
        }
    }
}

impl Iterator for ChainRows {
    type Item = Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = matches!(next, None | Some(Err(_)));
        next
    }
}
