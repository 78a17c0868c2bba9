//! The rows of a revision table that can be read, and the names of those that cannot.

use std::ops::Range;

use bytes::Bytes;

use super::{RowPlaces, TableItem, Walk};
use crate::Result;
use crate::codec::{Holds, Part};
use crate::index::entity_hash;
use crate::index::table::cold::{ColdBlock, decode_cold};
use crate::index::table::entities::{EntityBlock, decode_entities};
use crate::index::table::frame::{BlockAt, BlockKind};
use crate::index::table::hot_block::{HotBlock, decode_hot};
use crate::index::table::layout::Layout;
use crate::model::{Entity, Row};

impl Walk<'_> {
    /// All rows that can be read, and the names of those that cannot.
    pub(super) fn rows(&mut self, layout: &Layout, filter: Option<BlockAt>) -> Result<()> {
        let filter = self.load_filter(filter)?;
        let mut held = Held::default();
        for place in &layout.entities {
            let Some(block) = self.entities(place.at, place.entities, place.first_row, place.rows)? else {
                self.out.rows_lost = self.out.rows_lost.saturating_add(place.rows);
                continue;
            };
            for i in 0..block.keys.len() {
                let Ok(entity) = Entity::from_bytes(block.keys.share(i)) else { continue };
                self.out.entities = self.out.entities.saturating_add(1);
                if !self.probe(filter.as_ref(), entity_hash(entity.as_bytes())) {
                    let why = format!("expected {entity} in the filter");
                    let holds = Holds { entities: Some((entity.bytes().clone(), None)), ..Holds::derived() };
                    self.item(TableItem::Part(Part::damaged("filter", 0, 0, why).holding(holds).inside()))?;
                }
                let run = block.run(i);
                for at in run.first_row..run.end_row() {
                    let (hot_block, within) = layout.hot_of(at);
                    let cold_at = layout.cold_of(at);
                    let places = RowPlaces {
                        entities: place.at.offset,
                        hot: layout.hot.get(hot_block).map_or(0, |hot| hot.at.offset),
                        cold: cold_at.and_then(|(cold, _)| Some(layout.cold.get(cold)?.at.offset)),
                    };
                    let hot = held.hot(self, layout, hot_block)?.filter(|hot| within < hot.rows());
                    let row = hot.map(|hot| hot.row(within));
                    let cold = match cold_at {
                        Some((cold_block, cold_row)) => {
                            held.cold(self, layout, cold_block)?.map(|cold| cold.fields(cold_row))
                        }
                        None => None,
                    };
                    match (row, cold) {
                        (Some(row), Some(cold)) => {
                            self.out.rows = self.out.rows.saturating_add(1);
                            self.item(TableItem::Row(entity.clone(), Row { cold, ..row }, places))?;
                        }
                        (row, _) => {
                            self.out.rows_lost = self.out.rows_lost.saturating_add(1);
                            self.item(TableItem::Lost(entity.clone(), row.map(|row| row.number)))?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The entities that some rows belong to: the first one, and the first one behind them. `None` if the blocks that name them cannot be read.
    pub(super) fn entities_of(
        &self,
        layout: &Layout,
        rows: &Range<u64>,
    ) -> Result<Option<(Bytes, Option<Bytes>)>> {
        let last = rows.end.saturating_sub(1);
        let (Some((first, _)), Some((_, behind))) =
            (self.entity_of(layout, rows.start)?, self.entity_of(layout, last)?)
        else {
            return Ok(None);
        };
        Ok(Some((first, behind)))
    }

    /// The entity that a row belongs to, and the next one.
    fn entity_of(&self, layout: &Layout, row: u64) -> Result<Option<(Bytes, Option<Bytes>)>> {
        let at = layout.entities.partition_point(|place| place.first_row <= row).saturating_sub(1);
        let Some(place) = layout.entities.get(at) else { return Ok(None) };
        let Some(block) = self.entities(place.at, place.entities, place.first_row, place.rows)? else {
            return Ok(None);
        };
        let count = block.keys.len();
        let Some(found) = (0..count).find(|i| row < block.run(*i).end_row()) else { return Ok(None) };
        let next = found.saturating_add(1);
        let behind = match next < count {
            true => Some(block.keys.share(next)),
            false => {
                (at.saturating_add(1) < layout.keys.len()).then(|| layout.keys.share(at.saturating_add(1)))
            }
        };
        Ok(Some((block.keys.share(found), behind)))
    }

    fn entities(&self, at: BlockAt, count: u32, first_row: u64, rows: u64) -> Result<Option<EntityBlock>> {
        let raw = self.raw(BlockKind::Entities, at)?.ok();
        Ok(raw.and_then(|raw| decode_entities(&raw, count as usize, first_row, rows).ok()))
    }
}

/// The blocks that a walk is in; `None` inside for one that cannot be read.
#[derive(Default)]
struct Held {
    hot: Option<(usize, Option<HotBlock>)>,
    cold: Option<(usize, Option<ColdBlock>)>,
}

impl Held {
    fn hot(&mut self, walk: &Walk<'_>, layout: &Layout, block: usize) -> Result<Option<&HotBlock>> {
        if self.hot.as_ref().is_none_or(|(held, _)| *held != block) {
            let rows = layout.hot_rows(block);
            let count = rows.end.saturating_sub(rows.start) as usize;
            let raw = match layout.hot.get(block) {
                Some(place) => walk.raw(BlockKind::Hot, place.at)?.ok(),
                None => None,
            };
            self.hot = Some((block, raw.and_then(|raw| decode_hot(&raw, count).ok())));
        }
        Ok(self.hot.as_ref().and_then(|(_, hot)| hot.as_ref()))
    }

    fn cold(&mut self, walk: &Walk<'_>, layout: &Layout, block: usize) -> Result<Option<&ColdBlock>> {
        if self.cold.as_ref().is_none_or(|(held, _)| *held != block) {
            let place = layout.cold.get(block);
            let raw = match place {
                Some(place) => walk.raw(BlockKind::Cold, place.at)?.ok().map(|raw| (raw, place.rows)),
                None => None,
            };
            self.cold = Some((block, raw.and_then(|(raw, rows)| decode_cold(&raw, rows as usize).ok())));
        }
        Ok(self.cold.as_ref().and_then(|(_, cold)| cold.as_ref()))
    }
}
