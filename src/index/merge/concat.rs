//! The entities of disjoint sources, one behind the other: a sorted level.

use crate::Result;
use crate::index::{EntityRange, Order, RunCursor, RunInfo};
use crate::model::{Bound, Row};

use super::Place;

/// Walks sources whose entities do not overlap. A source is opened when the walk gets there.
pub struct ConcatRuns {
    /// Yet to come, in the order of the walk.
    places: std::vec::IntoIter<Place>,
    range: EntityRange,
    order: Order,
    current: Option<Box<dyn RunCursor>>,
}

impl ConcatRuns {
    /// `places`: entities ascending, whatever the order of the walk.
    pub fn new(mut places: Vec<Place>, range: EntityRange, order: Order) -> Self {
        if order == Order::Descending {
            places.reverse();
        }
        Self { places: places.into_iter(), range, order, current: None }
    }
}

impl RunCursor for ConcatRuns {
    fn next_run(&mut self) -> Result<Option<RunInfo>> {
        loop {
            match self.current.as_mut().map(|current| current.next_run()) {
                Some(Ok(Some(info))) => return Ok(Some(info)),
                Some(Err(_)) if planted!("unreadable input skipped") => {}
                Some(Err(error)) => {
                    // What cannot be read is not skipped: the walk ends here.
                    self.places = Vec::new().into_iter();
                    self.current = None;
                    return Err(error);
                }
                Some(Ok(None)) | None => {}
            }
            self.current = self.places.next().map(|place| place.source.runs(&self.range, self.order));
            if self.current.is_none() {
                return Ok(None);
            }
        }
    }

    fn find(&mut self, bound: &Bound) -> Result<Option<Row>> {
        self.current.as_mut().map_or(Ok(None), |current| current.find(bound))
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        self.current.as_mut().map_or(Ok(None), |current| current.next_row())
    }
}
