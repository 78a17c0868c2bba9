//! Which blocks a table has, by its index or by looking for them, and whether each is what was written.

use std::ops::Range;

use super::{TableItem, Walk};
use crate::Result;
use crate::codec::{FILE_HEADER_LEN, Holds, Malformed, Part, Reader};
use crate::index::plain::dissect::PlainParts;
use crate::index::table::frame::{BlockAt, BlockKind, FRAME_LEN, frame_sum};
use crate::index::table::layout::Layout;

/// Bytes that are searched at a time for a block.
const STRIDE: usize = 64 << 10;

/// A block that the index names.
pub(in crate::index) struct Planned {
    pub(in crate::index) at: BlockAt,
    pub(in crate::index) kind: BlockKind,
    pub(in crate::index) what: String,
    pub(in crate::index) holds: Holds,
    /// Of a revision table: the rows that it has a part of.
    rows: Option<Range<u64>>,
}

impl Planned {
    pub(in crate::index) fn new(at: BlockAt, kind: BlockKind, what: impl Into<String>, holds: Holds) -> Self {
        Self { at, kind, what: what.into(), holds, rows: None }
    }
}

/// What the index of either kind of table says.
pub(super) enum Parts {
    Revisions(Option<Layout>),
    Plain(Option<PlainParts>),
}

impl Parts {
    pub(super) fn plan(&self) -> Vec<Planned> {
        match self {
            Self::Revisions(Some(layout)) => plan_of(layout),
            Self::Plain(Some(index)) => index.plan(),
            _ => Vec::new(),
        }
    }
}

fn plan_of(layout: &Layout) -> Vec<Planned> {
    let holds = |from: u64, to: u64| {
        let first = layout.entities.partition_point(|block| block.first_row <= from).saturating_sub(1);
        let end = layout.entities.partition_point(|block| block.first_row < to);
        let to = (end < layout.keys.len()).then(|| layout.keys.share(end));
        Holds { entities: Some((layout.keys.share(first), to)), ..Holds::derived() }
    };
    let mut plan = Vec::new();
    for (i, hot) in layout.hot.iter().enumerate() {
        let rows = layout.hot_rows(i);
        let what = format!("rows {} to {}", rows.start, rows.end.saturating_sub(1));
        let holds = holds(rows.start, rows.end);
        plan.push(Planned { at: hot.at, kind: BlockKind::Hot, what, holds, rows: Some(rows) });
    }
    for cold in &layout.cold {
        let end = cold.first_row.saturating_add(u64::from(cold.rows));
        let what = format!("fields of the rows {} to {}", cold.first_row, end.saturating_sub(1));
        let (holds, rows) = (holds(cold.first_row, end), Some(cold.first_row..end));
        plan.push(Planned { at: cold.at, kind: BlockKind::Cold, what, holds, rows });
    }
    for entities in &layout.entities {
        let end = entities.first_row.saturating_add(entities.rows);
        let what = format!("{} entities, {} rows", entities.entities, entities.rows);
        let holds = holds(entities.first_row, end);
        plan.push(Planned { at: entities.at, kind: BlockKind::Entities, what, holds, rows: None });
    }
    plan
}

impl Walk<'_> {
    /// Blocks found without an index: those that prove themselves where they stand.
    pub(super) fn strays(&self) -> Result<Vec<(BlockKind, BlockAt)>> {
        let end = self.footer_at();
        let mut found = Vec::new();
        let mut at = FILE_HEADER_LEN as u64;
        while at < end {
            let chunk = self.suspect.read(at, STRIDE.saturating_add(FRAME_LEN))?;
            let from = at;
            at = from.saturating_add(STRIDE as u64);
            for (index, head) in chunk.windows(FRAME_LEN).enumerate().take(STRIDE) {
                let place = from.saturating_add(index as u64);
                if let Some((kind, block)) = self.block_at(place, head)? {
                    found.push((kind, block));
                    at = block.end();
                    break;
                }
            }
        }
        Ok(found)
    }

    fn block_at(&self, at: u64, head: &[u8]) -> Result<Option<(BlockKind, BlockAt)>> {
        let mut reader = Reader::new(head);
        let mut parse = || -> Result<_, Malformed> {
            reader.u32("a raw length")?;
            let stored = reader.u32("a stored length")?;
            let (kind, codec) = (reader.u8("a kind")?, reader.u8("a codec")?);
            let reserved: [u8; 6] = reader.array("reserved bytes")?;
            Ok((stored, BlockKind::from_u8(kind).filter(|_| codec <= 2 && reserved == [0; 6])))
        };
        let Ok((stored, Some(kind))) = parse() else { return Ok(None) };
        let Some(len) = stored.checked_add(FRAME_LEN as u32) else { return Ok(None) };
        let block = BlockAt { offset: at, len };
        if block.end() > self.footer_at() {
            return Ok(None);
        }
        Ok(self.raw(kind, block)?.is_ok().then_some((kind, block)))
    }

    /// The parts of all planned blocks, and of what lies between them.
    pub(super) fn blocks(&mut self, plan: Vec<Planned>, all: Holds, parts: &Parts) -> Result<()> {
        let mut end = FILE_HEADER_LEN as u64;
        for planned in plan {
            if planned.at.offset > end {
                self.hole(end, planned.at.offset, &all)?;
            }
            end = end.max(planned.at.end());
            let Planned { at, kind, what, holds, rows } = planned;
            let mut part = Part::sound(kind.name(), at.offset, u64::from(at.len), what).holding(holds);
            if let Err(state) = self.raw(kind, at)? {
                part.state = state;
                part.flip = self.suspect.flip(&frame_sum(self.id, at))?;
                if let (Some(rows), Parts::Revisions(Some(layout))) = (rows, parts)
                    && let Some(exact) = self.entities_of(layout, &rows)?
                {
                    part.holds.entities = Some(exact);
                }
            }
            self.item(TableItem::Part(part))?;
        }
        let footer = self.footer_at();
        if footer > end { self.hole(end, footer, &all) } else { Ok(()) }
    }

    fn hole(&mut self, from: u64, to: u64, all: &Holds) -> Result<()> {
        let len = to.saturating_sub(from);
        let mut part = Part::damaged("block", from, len, "expected a block").holding(all.clone());
        if let Ok(len) = u32::try_from(len) {
            part.flip = self.suspect.flip(&frame_sum(self.id, BlockAt { offset: from, len }))?;
        }
        self.item(TableItem::Part(part))
    }
}
