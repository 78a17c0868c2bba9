//! What must hold between tables, and who checks it when.
//!
//! | check | reads | when |
//! |---|---|---|
//! | [`check_structure`]: levels sorted and disjoint; level 0 of disjoint sequences where it overlaps | nothing | every edit |
//! | [`check_boundaries`]: level order of the first and last entity of each new table | a few blocks | every edit, before it is written |
//! | level order of every entity | what is merged | every compaction ([`crate::index::merge`]) |
//! | [`check_level_order`]: level order, row order and counts of every entity | all | `check` |

use std::path::Path;

use bytes::Bytes;

use super::{IndexView, Levels, TableEdit, Tree, broken};
use crate::index::memtable::follows;
use crate::index::{EntityRange, Order, RunCursor, RunInfo};
use crate::manifest::TableInfo;
use crate::model::Bound;
use crate::{Error, Result};

/// What can be seen without reading any table.
///
/// # Errors
/// `Invalid` that says what is broken.
pub fn check_structure(levels: &Levels) -> Result<()> {
    check_tree(&levels.revisions)?;
    check_tree(&levels.annotations)?;
    // Only revisions: an annotation stands wherever it was flushed to, and no place hides another.
    let newest = levels.revisions.level(0);
    for (at, newer) in newest.iter().enumerate() {
        for older in newest.iter().skip(at + 1).filter(|older| older.overlaps(newer)) {
            if older.info.sequence_last >= newer.info.sequence_first {
                return Err(broken(format!(
                    "{} and {} of level 0 overlap in entities and in sequence numbers",
                    newer.name.display(),
                    older.name.display()
                )));
            }
        }
    }
    Ok(())
}

fn check_tree<T: ?Sized>(tree: &Tree<T>) -> Result<()> {
    let mut ids: Vec<_> = tree.tables().map(|table| table.info.id).collect();
    ids.sort_unstable();
    if let Some([id, _]) = ids.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        return Err(broken(format!("table {id:?} is there twice")));
    }
    for (level, tables) in tree.levels() {
        for (at, table) in tables.iter().enumerate() {
            let TableInfo { first, last, sequence_first, sequence_last, rows, .. } = &table.info;
            let name = table.name.display();
            if first > last || sequence_first > sequence_last || *rows == 0 {
                return Err(broken(format!("{name} is empty or upside down")));
            }
            let next = tables.get(at + 1).filter(|_| level > 0);
            if let Some(next) = next.filter(|next| next.info.first <= *last) {
                return Err(broken(format!("{name} and {} of level {level} overlap", next.name.display())));
            }
        }
    }
    Ok(())
}

/// The level order for the first and the last entity of each revision table that an edit added or moved. `levels` are those after the edit.
///
/// # Errors
/// `Corrupt` that names the tables and the entity, or whatever reading gives.
pub fn check_boundaries(levels: &Levels, edit: &TableEdit) -> Result<()> {
    let view = IndexView::of_tables(levels.clone());
    let moved = edit.moved.iter().map(|(keyspace, id, _)| (*keyspace, *id));
    let touched: Vec<_> = edit.added.iter().map(|info| (info.keyspace, info.id)).chain(moved).collect();
    let revisions = levels.revisions.tables().map(|table| &table.info);
    for info in revisions.filter(|info| touched.contains(&(info.keyspace, info.id))) {
        check_entity(&view, &info.first)?;
        if info.last != info.first {
            check_entity(&view, &info.last)?;
        }
    }
    Ok(())
}

fn check_entity(view: &IndexView, entity: &Bytes) -> Result<()> {
    let mut end = entity.to_vec();
    end.push(0);
    let range = EntityRange { from: entity.clone(), to: Some(end.into()) };
    // The merge compares the places as it passes.
    view.runs(&range, Order::Ascending).next_run()?;
    Ok(())
}

/// What [`check_level_order`] has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderReport {
    /// Entities with rows.
    pub entities: u64,
    /// Rows.
    pub rows: u64,
}

/// Reads every row of the view: order within entities, level order between places, and that each entity has the rows that its sources
/// announce. Streams.
///
/// # Errors
/// `Corrupt` for the first violation, `Cancelled` if `cancel` says so (asked for every entity and every 1000 rows), or whatever reading gives.
pub fn check_level_order(view: &IndexView, cancel: &dyn Fn() -> bool) -> Result<OrderReport> {
    let mut report = OrderReport::default();
    let mut runs = view.runs(&EntityRange::default(), Order::Ascending);
    while let Some(info) = runs.next_run()? {
        report.entities += 1;
        report.rows += check_run(&mut runs, &info, cancel)?;
    }
    Ok(report)
}

fn check_run(runs: &mut dyn RunCursor, info: &RunInfo, cancel: &dyn Fn() -> bool) -> Result<u64> {
    let wrong = |expected: String, found: String| {
        let affected = format!("the history of {}", info.entity);
        Err(Error::corrupt(Path::new("index"), 0, expected, found, affected))
    };
    let mut newer = None;
    let mut rows = 0_u64;
    while let Some(row) = runs.next_row()? {
        if rows.is_multiple_of(1000) && cancel() {
            return Err(Error::Cancelled);
        }
        if rows == 0 && (row.number, row.sequence) != (info.number_last, info.sequence_last) {
            return wrong(format!("revision {} first", info.number_last), format!("revision {}", row.number));
        }
        if let Some(newer) = &newer
            && !follows(&row, newer)
        {
            return wrong("rows newest first".into(), format!("revision {} out of order", row.number));
        }
        rows += 1;
        newer = Some(row);
    }
    let oldest = newer.map(|row| (row.number, row.sequence));
    if oldest != Some((info.number_first, info.sequence_first)) || rows != info.rows {
        return wrong(
            format!("{} rows down to revision {}", info.rows, info.number_first),
            format!("{rows} rows down to {oldest:?}"),
        );
    }
    // The bounded search must agree with the walk.
    match runs.find(&Bound::ALL)? {
        Some(row) if row.number == info.number_last => Ok(rows),
        other => wrong(
            format!("revision {} as the newest", info.number_last),
            format!("{:?}", other.map(|row| row.number)),
        ),
    }
}
