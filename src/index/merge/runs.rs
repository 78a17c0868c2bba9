//! The entities of several sources as one.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use super::order_violated;
use crate::index::{Order, RunCursor, RunInfo};
use crate::model::{Bound, Entity, Row};
use crate::{Error, Result};

/// A cursor with a name for error messages.
pub struct NamedRuns {
    /// File name, level, or `memtable`.
    pub name: Arc<Path>,
    /// The cursor; it walks in the order of the merge.
    pub runs: Box<dyn RunCursor>,
}

struct Head {
    runs: NamedRuns,
    /// Its present entity; `None` at its end.
    info: Option<RunInfo>,
}

/// Merges cursors by entity; of one entity, the rows of a newer place come before those of an older one.
///
/// The places are few (memtables, level 0, one for each further level), so the next entity is found by looking at all of them.
pub struct MergeRuns {
    heads: Vec<Head>,
    order: Order,
    started: bool,
    failed: bool,
    /// The heads that stand at the present entity, newest first, and which of them `next_row` reads.
    here: Vec<usize>,
    reading: usize,
    /// Number and sequence of the last row read.
    last: Option<(u64, u64)>,
}

impl MergeRuns {
    /// `places`: newest first. All walk in `order`.
    pub fn new(places: Vec<NamedRuns>, order: Order) -> Self {
        let heads: Vec<_> = places.into_iter().map(|runs| Head { runs, info: None }).collect();
        let here = Vec::with_capacity(heads.len());
        Self { heads, order, started: false, failed: false, here, reading: 0, last: None }
    }

    fn advance(&mut self) -> Result<Option<RunInfo>> {
        if self.started {
            for &at in &self.here {
                if let Some(head) = self.heads.get_mut(at) {
                    head.step(self.order)?;
                }
            }
        } else {
            for head in &mut self.heads {
                head.step(self.order)?;
            }
            self.started = true;
        }
        self.here.clear();
        self.reading = 0;
        self.last = None;
        let mut best: Option<&Entity> = None;
        for (at, head) in self.heads.iter().enumerate() {
            let Some(info) = &head.info else { continue };
            let order = best.map_or(Ordering::Less, |best| match self.order {
                Order::Ascending => info.entity.cmp(best),
                Order::Descending => best.cmp(&info.entity),
            });
            match order {
                Ordering::Less => {
                    self.here.clear();
                    self.here.push(at);
                    best = Some(&info.entity);
                }
                Ordering::Equal => self.here.push(at),
                Ordering::Greater => {}
            }
        }
        self.combine()
    }

    /// What the heads at the present entity say together; checks the level order.
    fn combine(&self) -> Result<Option<RunInfo>> {
        let mut all: Option<RunInfo> = None;
        for &at in &self.here {
            let Some(Head { runs, info: Some(info) }) = self.heads.get(at) else { continue };
            let Some(newer) = &mut all else {
                all = Some(info.clone());
                continue;
            };
            if newer.number_first <= info.number_last || newer.sequence_first <= info.sequence_last {
                let (newer, older) =
                    ((newer.number_first, newer.sequence_first), (info.number_last, info.sequence_last));
                return Err(order_violated(&runs.name, &info.entity, newer, older));
            }
            newer.rows = newer.rows.saturating_add(info.rows);
            newer.number_first = info.number_first;
            newer.sequence_first = info.sequence_first;
        }
        Ok(all)
    }

    fn find_here(&mut self, bound: &Bound) -> Result<Option<Row>> {
        for &at in &self.here {
            if let Some(head) = self.heads.get_mut(at)
                && let Some(row) = head.runs.runs.find(bound)?
            {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn read_row(&mut self) -> Result<Option<Row>> {
        while let Some(head) = self.here.get(self.reading).and_then(|&at| self.heads.get_mut(at)) {
            let Some(row) = head.runs.runs.next_row()? else {
                self.reading += 1;
                continue;
            };
            let here = (row.number, row.sequence);
            if let Some(last) = self.last
                && (here.0 >= last.0 || here.1 >= last.1)
                && let Some(info) = &head.info
            {
                return Err(order_violated(&head.runs.name, &info.entity, last, here));
            }
            self.last = Some(here);
            return Ok(Some(row));
        }
        Ok(None)
    }

    /// After an error there is nothing more.
    fn fuse<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<Option<T>>) -> Result<Option<T>> {
        if self.failed {
            return Ok(None);
        }
        let result = read(self);
        self.failed = result.is_err();
        result
    }
}

impl Head {
    fn step(&mut self, order: Order) -> Result<()> {
        let next = self.runs.runs.next_run()?;
        if let (Some(before), Some(next)) = (&self.info, &next) {
            let forward = match order {
                Order::Ascending => before.entity < next.entity,
                Order::Descending => before.entity > next.entity,
            };
            if !forward {
                return Err(Error::corrupt(
                    &self.runs.name,
                    0,
                    format!("entities in order behind {}", before.entity),
                    next.entity.to_string(),
                    format!("entities around {}", next.entity),
                ));
            }
        }
        self.info = next;
        Ok(())
    }
}

impl RunCursor for MergeRuns {
    fn next_run(&mut self) -> Result<Option<RunInfo>> {
        self.fuse(Self::advance)
    }

    fn find(&mut self, bound: &Bound) -> Result<Option<Row>> {
        self.fuse(|this| this.find_here(bound))
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        self.fuse(Self::read_row)
    }
}
