//! What is special about a plain table for whoever goes through it without believing it: see [`crate::index::table::dissect_table`].

use bytes::Bytes;

use super::block::{PlainBlock, PlainIndex};
use crate::Result;
use crate::codec::Holds;
use crate::index::table::dissect::{Planned, TableItem, Walk};
use crate::index::table::{BlockAt, BlockKind};

/// What the index of a plain table says.
pub(in crate::index) struct PlainParts(PlainIndex);

impl PlainParts {
    /// `None` if it is not an index of so many keys.
    pub(in crate::index) fn decode(raw: &Bytes, end_max: u64, rows: u64) -> Option<Self> {
        PlainIndex::decode(raw, end_max, rows).ok().map(Self)
    }

    pub(in crate::index) fn plan(&self) -> Vec<Planned> {
        let place = |(i, (at, keys)): (usize, &(BlockAt, u32))| {
            let next = i.saturating_add(1);
            let to = (next < self.0.keys.len()).then(|| self.0.keys.share(next));
            let holds = Holds { entities: Some((self.0.keys.share(i), to)), ..Holds::derived() };
            Planned::new(*at, BlockKind::Plain, format!("{keys} keys"), holds)
        };
        self.0.blocks.iter().enumerate().map(place).collect()
    }

    /// All pairs that can be read.
    pub(in crate::index) fn pairs(&self, walk: &mut Walk<'_>, filter: Option<BlockAt>) -> Result<()> {
        let filter = walk.load_filter(filter)?;
        for (i, (at, count)) in self.0.blocks.iter().enumerate() {
            let raw = walk.raw(BlockKind::Plain, *at)?.ok();
            let block =
                raw.and_then(|raw| PlainBlock::decode(&raw, *count as usize, self.0.keys.get(i)).ok());
            let Some(block) = block else {
                walk.out.rows_lost = walk.out.rows_lost.saturating_add(u64::from(*count));
                continue;
            };
            for key in 0..block.keys.len() {
                if let Some(hash) = walk.key_hash(block.keys.get(key)) {
                    walk.probe(filter.as_ref(), hash);
                }
                walk.out.rows = walk.out.rows.saturating_add(1);
                walk.item(TableItem::Pair(block.keys.share(key), block.value(key)))?;
            }
        }
        Ok(())
    }
}
