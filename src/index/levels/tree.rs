//! The tables of one keyspace.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{LEVEL_MAX, TableEdit, broken};
use crate::Result;
use crate::codec::{FileId, FileKind};
use crate::index::EntityRange;
use crate::manifest::TableInfo;

/// An open table and its place.
pub struct Leveled<T: ?Sized> {
    /// What the manifest says of it.
    pub info: TableInfo,
    /// Its file name, for error messages.
    pub name: Arc<Path>,
    /// The open table.
    pub source: Arc<T>,
}

impl<T: ?Sized> Leveled<T> {
    /// Whether a key is between its first and its last.
    pub fn covers(&self, key: &[u8]) -> bool {
        self.info.first <= key && key <= &self.info.last[..]
    }

    /// Whether some entity of the range may be in it.
    pub fn meets(&self, range: &EntityRange) -> bool {
        self.info.last >= range.from && range.to.as_ref().is_none_or(|to| self.info.first < to)
    }

    /// Whether its keys and another's overlap.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.info.first <= other.info.last && other.info.first <= self.info.last
    }
}

/// The tables of one keyspace, by level. Level 0 newest first, the others by first key.
pub struct Tree<T: ?Sized> {
    levels: Vec<Vec<Arc<Leveled<T>>>>,
}

impl<T: ?Sized> Tree<T> {
    /// The tables of a level; none if it is not there.
    pub fn level(&self, level: u8) -> &[Arc<Leveled<T>>] {
        self.levels.get(usize::from(level)).map_or(&[], |tables| tables)
    }

    /// All levels that may hold tables, from 0.
    pub fn levels(&self) -> impl Iterator<Item = (u8, &[Arc<Leveled<T>>])> {
        (0..=LEVEL_MAX).zip(self.levels.iter().map(|tables| &tables[..]))
    }

    /// All tables, newest level first.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<Leveled<T>>> {
        self.levels.iter().flatten()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.levels.iter().all(Vec::is_empty)
    }

    /// File lengths of a level together.
    pub fn level_bytes(&self, level: u8) -> u64 {
        total(self.level(level).iter().map(|table| table.info.len))
    }

    /// The tables of a level that some entity of the range may be in, in the level's order.
    pub fn meeting<'a>(
        &'a self,
        level: u8,
        range: &'a EntityRange,
    ) -> impl Iterator<Item = &'a Arc<Leveled<T>>> {
        let tables = self.level(level);
        let start = match level {
            0 => 0,
            _ => tables.partition_point(|table| table.info.last < range.from),
        };
        let from_there = tables.get(start..).unwrap_or_default();
        let end = match (level, &range.to) {
            (1.., Some(to)) => from_there.partition_point(|table| table.info.first < to),
            _ => from_there.len(),
        };
        from_there.iter().take(end).filter(|table| table.meets(range))
    }

    /// The tables that a key may be in, newest first: of level 0 all that cover it, of each further level at most one.
    pub fn covering<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = &'a Arc<Leveled<T>>> {
        let (newest, sorted) = match self.levels.split_first() {
            Some((newest, sorted)) => (&newest[..], sorted),
            None => (&[][..], &[][..]),
        };
        newest.iter().filter(move |table| table.covers(key)).chain(sorted.iter().filter_map(move |tables| {
            let at = tables.partition_point(|table| table.info.last < key);
            tables.get(at).filter(|table| table.covers(key))
        }))
    }

    /// The tree after the part of an edit that is about its keyspace.
    pub(super) fn apply(
        &self,
        keyspace: u16,
        edit: &TableEdit,
        open: impl Fn(&TableInfo) -> Result<Arc<T>>,
    ) -> Result<Self> {
        let mut levels = self.levels.clone();
        let gone = edit.removed.iter().map(|&(of, id)| (of, id, None));
        let moved = edit.moved.iter().map(|&(of, id, level)| (of, id, Some(level)));
        for (_, id, level) in gone.chain(moved).filter(|(of, _, _)| *of == keyspace) {
            let table = take(&mut levels, id)
                .ok_or_else(|| broken(format!("table {id:?} is to be removed or moved but is not there")))?;
            if let Some(level) = level {
                let info = TableInfo { level, ..table.info.clone() };
                put(&mut levels, Leveled { info, name: table.name.clone(), source: table.source.clone() })?;
            }
        }
        for info in edit.added.iter().filter(|info| info.keyspace == keyspace) {
            put(&mut levels, Leveled { info: info.clone(), name: name(info), source: open(info)? })?;
        }
        for (at, tables) in levels.iter_mut().enumerate() {
            if at == 0 && planted!("level 0 oldest first") {
                tables.sort_by_key(|table| (table.info.sequence_last, table.info.id));
            } else if at == 0 {
                tables.sort_by_key(|table| Reverse((table.info.sequence_last, table.info.id)));
            } else {
                tables.sort_by(|a, b| a.info.first.cmp(&b.info.first));
            }
        }
        while levels.last().is_some_and(Vec::is_empty) {
            levels.pop();
        }
        Ok(Self { levels })
    }
}

/// Lengths and counts of a manifest, added up.
pub(in crate::index) fn total(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn take<T: ?Sized>(levels: &mut [Vec<Arc<Leveled<T>>>], id: FileId) -> Option<Arc<Leveled<T>>> {
    levels.iter_mut().find_map(|tables| {
        let at = tables.iter().position(|table| table.info.id == id)?;
        Some(tables.remove(at))
    })
}

/// Order is restored when all are there.
fn put<T: ?Sized>(levels: &mut Vec<Vec<Arc<Leveled<T>>>>, table: Leveled<T>) -> Result<()> {
    let TableInfo { id, level, .. } = table.info;
    let at = usize::from(level);
    if level <= LEVEL_MAX && levels.len() <= at {
        levels.resize_with(at + 1, Vec::new);
    }
    match levels.get_mut(at) {
        Some(tables) => tables.push(Arc::new(table)),
        None => return Err(broken(format!("table {id:?} is on level {level}"))),
    }
    Ok(())
}

fn name(info: &TableInfo) -> Arc<Path> {
    let kind = if info.keyspace == super::KEYSPACE_REVISIONS {
        FileKind::RevisionTable
    } else {
        FileKind::PlainTable
    };
    PathBuf::from(info.id.file_name(kind)).into()
}

impl<T: ?Sized> Clone for Tree<T> {
    fn clone(&self) -> Self {
        Self { levels: self.levels.clone() }
    }
}

impl<T: ?Sized> Default for Tree<T> {
    fn default() -> Self {
        Self { levels: Vec::new() }
    }
}
