//! Going through a table of either kind without believing anything, and on behind damage.
//!
//! Footer → index → blocks, as a reader does. Where footer or index cannot be read, the blocks are found one behind the other: each says its
//! length, and its checksum proves it at its place. An index that is found so counts even if the footer that should name it does not.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::cold::{ColdBlock, decode_cold};
use super::entities::{EntityBlock, decode_entities};
use super::footer::{FOOTER_LEN, Footer};
use super::frame::{BlockAt, BlockKind, FRAME_LEN, decode_frame, frame_sum};
use super::hot_block::{HotBlock, decode_hot};
use super::layout::Layout;
use super::properties::Properties;
use crate::codec::{
    FILE_HEADER_LEN, FileHeader, FileId, FileKind, Flip, Holds, Malformed, Part, PartState, Reader, Sum,
    find_flip,
};
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::index::filter::Filter;
use crate::index::plain::dissect::PlainParts;
use crate::index::{annotations, entity_hash};
use crate::model::{Entity, Row};
use crate::{Error, Result};

/// What is met on the way through a table.
#[derive(Debug)]
pub enum TableItem {
    /// A part of the file.
    Part(Part),
    /// A row of a revision table, behind all parts.
    Row(Entity, Row),
    /// A row that cannot be read: whose, and its number where that is known.
    Lost(Entity, Option<u64>),
    /// A key and its value of a plain table, behind all parts.
    Pair(Bytes, Bytes),
}

/// What was found out about a filter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FilterSurvey {
    /// Distinct hashes it was built from.
    pub count: u32,
    /// Its length, bytes.
    pub bytes: u64,
    /// Entities (or keys) that are in the table.
    pub present: u64,
    /// Those of them that it says are not.
    pub false_negatives: u64,
    /// Hashes that are not in the table.
    pub absent: u64,
    /// Those of them that it says may be.
    pub false_positives: u64,
}

/// What is known of a table after it was gone through.
#[derive(Clone, Debug, Default)]
pub struct TableSurvey {
    /// Its header, if it is sound.
    pub common: Option<FileHeader>,
    /// Length of the file.
    pub len: u64,
    /// What it says of itself as a whole, if that can be read.
    pub properties: Option<Properties>,
    /// Its filter, if it has one that can be read.
    pub filter: Option<FilterSurvey>,
    /// Rows (or keys) that can be read.
    pub rows: u64,
    /// Rows that cannot be read, as far as the index knows of them.
    pub rows_lost: u64,
    /// Entities that can be read.
    pub entities: u64,
}

/// Probes of a filter with hashes of nobody.
const PROBES: u64 = 20_000;

/// A block that the index names.
pub(in crate::index) struct Planned {
    pub(in crate::index) at: BlockAt,
    pub(in crate::index) kind: BlockKind,
    pub(in crate::index) what: String,
    pub(in crate::index) holds: Holds,
}

/// A file that is gone through.
pub(in crate::index) struct Walk<'a> {
    file: &'a Arc<dyn File>,
    path: &'a Path,
    pub(in crate::index) id: FileId,
    pub(in crate::index) out: TableSurvey,
    visit: &'a mut dyn FnMut(TableItem) -> Result<()>,
}

/// Goes through a table of either kind.
///
/// # Errors
/// `Io`, and those of `visit`. Damage is no error here.
pub fn dissect_table(
    file: &Arc<dyn File>,
    path: &Path,
    visit: &mut dyn FnMut(TableItem) -> Result<()>,
) -> Result<TableSurvey> {
    let named = path.file_name().and_then(|name| FileId::parse(name.to_str()?));
    let len = file.len().context("read the length of", path)?;
    let out = TableSurvey { len, ..TableSurvey::default() };
    let id = named.map_or(FileId { epoch: 0, number: 0 }, |(id, _)| id);
    let mut walk = Walk { file, path, id, out, visit };
    let kind = walk.header()?.or(named.map(|(_, kind)| kind)).unwrap_or(FileKind::RevisionTable);
    let footer = walk.footer();
    let strays = if footer.is_ok() { Vec::new() } else { walk.strays()? };
    let stray = |kind: BlockKind| strays.iter().find(|(found, _)| *found == kind).map(|(_, at)| *at);
    let place = |pick: fn(&Footer) -> Option<BlockAt>, kind| match &footer {
        Ok(footer) => pick(footer),
        Err(_) => stray(kind),
    };
    let index_at = place(|footer| Some(footer.index), BlockKind::Index);
    let filter_at = place(|footer| footer.filter, BlockKind::Filter);
    let properties_at = place(|footer| Some(footer.properties), BlockKind::Properties);
    if let Some(at) = properties_at
        && let Ok(raw) = walk.raw(BlockKind::Properties, at)?
    {
        walk.out.properties = Properties::decode(&raw).ok();
    }
    let index = match index_at {
        Some(at) => walk.raw(BlockKind::Index, at)?.ok().map(|raw| (at, raw)),
        None => None,
    };
    let rows = walk.out.properties.as_ref().map_or(0, |properties| properties.rows);
    let mut parts = match (kind, index) {
        (FileKind::RevisionTable, Some((at, raw))) => Parts::Revisions(Layout::decode(&raw, at.offset).ok()),
        (FileKind::RevisionTable, None) => Parts::Revisions(None),
        (_, Some((at, raw))) => Parts::Plain(PlainParts::decode(&raw, at.offset, rows)),
        (_, None) => Parts::Plain(None),
    };
    let mut plan = parts.plan();
    let all = || {
        let properties = walk.out.properties.clone();
        let entities = properties.map(|all| (all.first, None));
        Holds { entities, ..Holds::derived() }
    };
    if plan.is_empty() {
        let strays = if strays.is_empty() { walk.strays()? } else { strays };
        let known = [BlockKind::Index, BlockKind::Filter, BlockKind::Properties];
        let strays = strays.into_iter().filter(|(kind, _)| footer.is_err() || !known.contains(kind));
        plan.extend(strays.map(|(kind, at)| Planned { at, kind, what: String::new(), holds: all() }));
        parts = match parts {
            Parts::Revisions(_) => Parts::Revisions(None),
            Parts::Plain(_) => Parts::Plain(None),
        };
    }
    let fixed = [
        (index_at, BlockKind::Index, "where the blocks are"),
        (filter_at, BlockKind::Filter, "which entities it may hold"),
        (properties_at, BlockKind::Properties, "what it is as a whole"),
    ];
    for (at, kind, what) in fixed {
        if let Some(at) = at.filter(|at| plan.iter().all(|planned| planned.at != *at)) {
            plan.push(Planned { at, kind, what: what.into(), holds: all() });
        }
    }
    plan.sort_by_key(|planned| planned.at);
    walk.blocks(plan, all())?;
    walk.footer_part(footer)?;
    walk.filter(filter_at)?;
    match parts {
        Parts::Revisions(Some(layout)) => walk.rows(&layout, filter_at)?,
        Parts::Plain(Some(index)) => index.pairs(&mut walk, filter_at)?,
        _ => {}
    }
    Ok(walk.out)
}

/// What the index of either kind of table says.
enum Parts {
    Revisions(Option<Layout>),
    Plain(Option<PlainParts>),
}

impl Parts {
    fn plan(&self) -> Vec<Planned> {
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
        plan.push(Planned { at: hot.at, kind: BlockKind::Hot, what, holds: holds(rows.start, rows.end) });
    }
    for cold in &layout.cold {
        let end = cold.first_row.saturating_add(u64::from(cold.rows));
        let what = format!("fields of the rows {} to {}", cold.first_row, end.saturating_sub(1));
        plan.push(Planned { at: cold.at, kind: BlockKind::Cold, what, holds: holds(cold.first_row, end) });
    }
    for entities in &layout.entities {
        let end = entities.first_row.saturating_add(entities.rows);
        let what = format!("{} entities, {} rows", entities.entities, entities.rows);
        let holds = holds(entities.first_row, end);
        plan.push(Planned { at: entities.at, kind: BlockKind::Entities, what, holds });
    }
    plan
}

/// The state that an error of a decoder means.
pub(in crate::index) fn state_of(error: Error) -> Result<PartState> {
    match error {
        Error::Corrupt(damage) => {
            Ok(PartState::Damaged(format!("expected {}, found {}", damage.expected, damage.found)))
        }
        Error::Unsupported { what, .. } => Ok(PartState::Unsupported(what)),
        other => Err(other),
    }
}

impl Walk<'_> {
    pub(in crate::index) fn item(&mut self, item: TableItem) -> Result<()> {
        (self.visit)(item)
    }

    fn read(&self, at: u64, len: usize) -> Result<Bytes> {
        let mut bytes = vec![0; len];
        let n = read_at_most(&**self.file, &mut bytes, at).context("read", self.path)?;
        bytes.truncate(n);
        Ok(Bytes::from(bytes))
    }

    fn flip(&self, sum: &Sum) -> Result<Option<Flip>> {
        find_flip(sum, &mut |at, len| self.read(at, len))
    }

    fn footer_at(&self) -> u64 {
        self.out.len.saturating_sub(FOOTER_LEN as u64)
    }

    /// A block, checked and decompressed, or what is wrong with it.
    pub(in crate::index) fn raw(&self, kind: BlockKind, at: BlockAt) -> Result<Result<Bytes, PartState>> {
        if at.end() > self.footer_at() || (at.len as usize) < FRAME_LEN {
            return Ok(Err(PartState::Damaged("expected a block before the footer".into())));
        }
        let framed = self.read(at.offset, at.len as usize)?;
        match decode_frame(self.path, self.id, at.offset, kind, &framed, &String::new) {
            Ok(raw) => Ok(Ok(raw)),
            Err(error) => state_of(error).map(Err),
        }
    }

    fn header(&mut self) -> Result<Option<FileKind>> {
        let bytes = self.read(0, FILE_HEADER_LEN)?;
        let mut part = Part::sound("header", 0, bytes.len() as u64, "").holding(Holds::derived());
        match FileHeader::decode(self.path, &bytes) {
            Ok(header) => {
                part.what = format!("{:?} {}", header.kind, header.id.number);
                self.id = header.id;
                self.out.common = Some(header);
            }
            Err(error) => {
                part.state = state_of(error)?;
                part.flip = self.flip(&Sum { ranges: vec![(0, 60)], at: 60, ..Sum::default() })?;
            }
        }
        self.item(TableItem::Part(part))?;
        Ok(self.out.common.map(|header| header.kind))
    }

    fn footer(&self) -> Result<Footer, Error> {
        let at = self.footer_at();
        Footer::decode(self.path, self.id, at, &self.read(at, FOOTER_LEN)?)
    }

    fn footer_part(&mut self, footer: Result<Footer, Error>) -> Result<()> {
        let at = self.footer_at();
        let len = self.out.len.saturating_sub(at);
        let mut part = Part::sound("footer", at, len, "where index, filter and properties are")
            .holding(Holds::derived());
        if let Err(error) = footer {
            part.state = state_of(error)?;
            let numbers = vec![self.id.epoch, self.id.number, at];
            part.flip = self.flip(&Sum { numbers, ranges: vec![(at, 60)], at: at.saturating_add(60) })?;
        }
        self.item(TableItem::Part(part))
    }

    /// Blocks found without an index: those that prove themselves where they stand.
    fn strays(&self) -> Result<Vec<(BlockKind, BlockAt)>> {
        let end = self.footer_at();
        let mut found = Vec::new();
        let mut at = FILE_HEADER_LEN as u64;
        while at < end {
            match self.block_at(at)? {
                Some((kind, block)) => {
                    found.push((kind, block));
                    at = block.end();
                }
                None => at = at.saturating_add(1),
            }
        }
        Ok(found)
    }

    fn block_at(&self, at: u64) -> Result<Option<(BlockKind, BlockAt)>> {
        let head = self.read(at, FRAME_LEN)?;
        let mut reader = Reader::new(&head);
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
    fn blocks(&mut self, plan: Vec<Planned>, all: Holds) -> Result<()> {
        let mut end = FILE_HEADER_LEN as u64;
        for planned in plan {
            if planned.at.offset > end {
                self.hole(end, planned.at.offset, &all)?;
            }
            end = end.max(planned.at.end());
            let Planned { at, kind, what, holds } = planned;
            let mut part = Part::sound(kind.name(), at.offset, u64::from(at.len), what).holding(holds);
            if let Err(state) = self.raw(kind, at)? {
                part.state = state;
                part.flip = self.flip(&frame_sum(self.id, at))?;
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
            part.flip = self.flip(&frame_sum(self.id, BlockAt { offset: from, len }))?;
        }
        self.item(TableItem::Part(part))
    }

    fn filter(&mut self, at: Option<BlockAt>) -> Result<()> {
        let Some(at) = at else { return Ok(()) };
        let Some(filter) = self.load_filter(Some(at))? else { return Ok(()) };
        let mut survey =
            FilterSurvey { count: filter.count(), bytes: u64::from(at.len), ..FilterSurvey::default() };
        for n in 0..PROBES {
            let mut name = b"\0nobody has this name\0".to_vec();
            name.extend_from_slice(&n.to_le_bytes());
            survey.absent = survey.absent.saturating_add(1);
            survey.false_positives =
                survey.false_positives.saturating_add(u64::from(filter.contains(entity_hash(&name))));
        }
        self.out.filter = Some(survey);
        Ok(())
    }

    pub(in crate::index) fn load_filter(&self, at: Option<BlockAt>) -> Result<Option<Filter>> {
        let Some(at) = at else { return Ok(None) };
        Ok(self.raw(BlockKind::Filter, at)?.ok().and_then(|raw| Filter::decode(&raw).ok()))
    }

    /// Counts whether the filter knows an entity that is in the table; answers whether it does.
    pub(in crate::index) fn probe(&mut self, filter: Option<&Filter>, hash: u64) -> bool {
        let (Some(filter), Some(survey)) = (filter, &mut self.out.filter) else { return true };
        let known = filter.contains(hash);
        survey.present = survey.present.saturating_add(1);
        survey.false_negatives = survey.false_negatives.saturating_add(u64::from(!known));
        known
    }

    /// The hash that a key of a plain table has in its filter, where that is known.
    pub(in crate::index) fn key_hash(&self, key: &[u8]) -> Option<u64> {
        let keyspace = self.out.properties.as_ref()?.keyspace;
        if keyspace != crate::index::levels::KEYSPACE_ANNOTATIONS {
            return None;
        }
        annotations::decode_key(key).ok().map(|parts| entity_hash(parts.entity.as_bytes()))
    }

    /// All rows that can be read, and the names of those that cannot.
    fn rows(&mut self, layout: &Layout, filter: Option<BlockAt>) -> Result<()> {
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
                    let hot = held.hot(self, layout, hot_block)?.filter(|hot| within < hot.rows());
                    let row = hot.map(|hot| hot.row(within));
                    let cold = match layout.cold_of(at) {
                        Some((cold_block, cold_row)) => {
                            held.cold(self, layout, cold_block)?.map(|cold| cold.fields(cold_row))
                        }
                        None => None,
                    };
                    match (row, cold) {
                        (Some(row), Some(cold)) => {
                            self.out.rows = self.out.rows.saturating_add(1);
                            self.item(TableItem::Row(entity.clone(), Row { cold, ..row }))?;
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
