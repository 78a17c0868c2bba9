//! Going through a table of either kind without believing anything, and on behind damage.
//!
//! Footer → index → blocks, as a reader does. Where footer or index cannot be read, the blocks are found one behind the other: each says its
//! length, and its checksum proves it at its place. An index that is found so counts even if the footer that should name it does not.

mod filter;
mod plan;
mod rows;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub(in crate::index) use plan::Planned;

use super::footer::{FOOTER_LEN, Footer};
use super::frame::{BlockAt, BlockKind, FRAME_LEN, decode_frame};
use super::layout::Layout;
use super::properties::Properties;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind, Holds, Part, PartState, Sum};
use crate::env::File;
use crate::error::IoContext;
use crate::index::plain::dissect::PlainParts;
use crate::model::{Entity, Row};
use crate::suspect::Suspect;
use crate::{Error, Result};
use plan::Parts;

/// What is met on the way through a table.
#[derive(Debug)]
pub enum TableItem {
    /// A part of the file.
    Part(Part),
    /// A row of a revision table, behind all parts.
    Row(Entity, Row, RowPlaces),
    /// A row that cannot be read: whose, and its number where that is known.
    Lost(Entity, Option<u64>),
    /// A key and its value of a plain table, behind all parts.
    Pair(Bytes, Bytes),
}

/// Where in a revision table a row stands: the offsets of its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowPlaces {
    /// The block that names its entity.
    pub entities: u64,
    /// The block with its numbers, times and content.
    pub hot: u64,
    /// The block with its other fields.
    pub cold: Option<u64>,
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

/// A file that is gone through.
pub(in crate::index) struct Walk<'a> {
    suspect: Suspect<'a>,
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
    let mut walk = Walk { suspect: Suspect { file, path }, id, out, visit };
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
        plan.extend(strays.map(|(kind, at)| Planned::new(at, kind, "", all())));
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
            plan.push(Planned::new(at, kind, what, all()));
        }
    }
    plan.sort_by_key(|planned| planned.at);
    walk.blocks(plan, all(), &parts)?;
    walk.footer_part(footer)?;
    walk.filter(filter_at)?;
    match parts {
        Parts::Revisions(Some(layout)) => walk.rows(&layout, filter_at)?,
        Parts::Plain(Some(index)) => index.pairs(&mut walk, filter_at)?,
        _ => {}
    }
    Ok(walk.out)
}

impl Walk<'_> {
    pub(in crate::index) fn item(&mut self, item: TableItem) -> Result<()> {
        (self.visit)(item)
    }

    fn footer_at(&self) -> u64 {
        self.out.len.saturating_sub(FOOTER_LEN as u64)
    }

    /// A block, checked and decompressed, or what is wrong with it.
    pub(in crate::index) fn raw(&self, kind: BlockKind, at: BlockAt) -> Result<Result<Bytes, PartState>> {
        if at.end() > self.footer_at() || (at.len as usize) < FRAME_LEN {
            return Ok(Err(PartState::Damaged("expected a block before the footer".into())));
        }
        let framed = self.suspect.read(at.offset, at.len as usize)?;
        match decode_frame(self.suspect.path, self.id, at.offset, kind, &framed, &String::new) {
            Ok(raw) => Ok(Ok(raw)),
            Err(error) => PartState::try_from(error).map(Err),
        }
    }

    fn header(&mut self) -> Result<Option<FileKind>> {
        let bytes = self.suspect.read(0, FILE_HEADER_LEN)?;
        let mut part = Part::sound("header", 0, bytes.len() as u64, "").holding(Holds::derived());
        match FileHeader::decode(self.suspect.path, &bytes) {
            Ok(header) => {
                part.what = format!("{:?} {}", header.kind, header.id.number);
                self.id = header.id;
                self.out.common = Some(header);
            }
            Err(error) => {
                part.state = error.try_into()?;
                part.flip = self.suspect.flip(&Sum { ranges: vec![(0, 60)], at: 60, ..Sum::default() })?;
            }
        }
        self.item(TableItem::Part(part))?;
        Ok(self.out.common.map(|header| header.kind))
    }

    fn footer(&self) -> Result<Footer, Error> {
        let at = self.footer_at();
        Footer::decode(self.suspect.path, self.id, at, &self.suspect.read(at, FOOTER_LEN)?)
    }

    fn footer_part(&mut self, footer: Result<Footer, Error>) -> Result<()> {
        let at = self.footer_at();
        let len = self.out.len.saturating_sub(at);
        let mut part = Part::sound("footer", at, len, "where index, filter and properties are")
            .holding(Holds::derived());
        if let Err(error) = footer {
            part.state = error.try_into()?;
            let numbers = vec![self.id.epoch, self.id.number, at];
            part.flip =
                self.suspect.flip(&Sum { numbers, ranges: vec![(at, 60)], at: at.saturating_add(60) })?;
        }
        self.item(TableItem::Part(part))
    }
}
