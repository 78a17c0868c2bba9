//! Which compaction is due.
//!
//! Leveled: level 0 when it has too many tables, each further level when it is larger than its target. From level 0 all tables go
//! at once, so level 1 is rewritten once for all of them; from the others the one table that overlaps least of the next level for
//! its size. A table that overlaps nothing moves without being read.
//!
//! *Small* tables (an eighth of a table) are not moved if they can be merged, and a small neighbour in the target level is taken
//! along: a store that gets one revision a day would otherwise end up with a table for each.

use std::cmp::Reverse;
use std::sync::Arc;

use super::job::{Claim, CompactionJob, Groups, Inputs};
use crate::index::levels::{
    KEYSPACE_ANNOTATIONS, KEYSPACE_REVISIONS, LEVEL_MAX, Leveled, Levels, Tree, total,
};
use crate::limits::Limits;

/// A score of this much or more means that a level is due.
const DUE: u64 = 1000;

/// Target size of a level, bytes. Level 0 is counted in tables, the deepest has no limit.
pub fn level_target(limits: &Limits, level: u8) -> u64 {
    if level >= LEVEL_MAX {
        return u64::MAX;
    }
    let ratio = u64::from(limits.level_ratio).saturating_pow(u32::from(level.saturating_sub(1)));
    limits.level1_bytes.saturating_mul(ratio)
}

/// The most urgent compaction that does not get in the way of those running. Deterministic.
pub fn pick(levels: &Levels, limits: &Limits, running: &[Claim]) -> Option<CompactionJob> {
    let revisions =
        scores(&levels.revisions, limits).map(|(score, level)| (score, KEYSPACE_REVISIONS, level));
    let annotations =
        scores(&levels.annotations, limits).map(|(score, level)| (score, KEYSPACE_ANNOTATIONS, level));
    let mut due: Vec<_> = revisions.chain(annotations).filter(|(score, _, _)| *score >= DUE).collect();
    due.sort_by_key(|&(score, keyspace, level)| (Reverse(score), keyspace, level));
    due.into_iter().find_map(|(_, keyspace, level)| {
        if keyspace == KEYSPACE_REVISIONS {
            pick_level(&levels.revisions, level, limits, running, Inputs::Revisions)
        } else {
            pick_level(&levels.annotations, level, limits, running, Inputs::Annotations)
        }
    })
}

/// How far the index is behind its compactions, in thousandths: from 1000 on a compaction is due; what writers are slowed down by.
pub fn pressure(levels: &Levels, limits: &Limits) -> u64 {
    let revisions = scores(&levels.revisions, limits);
    revisions.chain(scores(&levels.annotations, limits)).map(|(score, _)| score).max().unwrap_or_default()
}

/// One job for each keyspace that brings all its tables into one level. For when no other job runs.
pub fn pick_full(levels: &Levels, limits: &Limits) -> Vec<CompactionJob> {
    let revisions = full(&levels.revisions, limits, Inputs::Revisions);
    revisions.into_iter().chain(full(&levels.annotations, limits, Inputs::Annotations)).collect()
}

fn scores<T: ?Sized>(tree: &Tree<T>, limits: &Limits) -> impl Iterator<Item = (u64, u8)> {
    tree.levels().filter(|(level, _)| *level < LEVEL_MAX).map(|(level, tables)| {
        let (have, want) = match level {
            0 => (tables.len() as u64, u64::from(limits.level0_tables)),
            _ => (tree.level_bytes(level), level_target(limits, level)),
        };
        // Exactly at its target a level other than 0 is not due.
        let have = if level == 0 { have } else { have.saturating_sub(1) };
        (have.saturating_mul(DUE) / want.max(1), level)
    })
}

fn small(limits: &Limits) -> u64 {
    limits.table_bytes / 8
}

fn pick_level<T: ?Sized>(
    tree: &Tree<T>,
    level: u8,
    limits: &Limits,
    running: &[Claim],
    wrap: impl Fn(Groups<T>) -> Inputs,
) -> Option<CompactionJob> {
    let free = |job: &CompactionJob| running.iter().all(|claim| !claim.conflicts(job.claim()));
    let job = |sources: &[Arc<Leveled<T>>]| {
        let job = merge(tree, sources, level, limits, &wrap, true).filter(free);
        job.or_else(|| merge(tree, sources, level, limits, &wrap, false).filter(free))
    };
    if level == 0 {
        // All of them, so none that is left is older than one that goes. While another job has some, this one conflicts.
        let newest = tree.level(0);
        if planted!("older table left behind") {
            return job(newest.get(..1).unwrap_or(newest));
        }
        return job(newest);
    }
    let mut tables: Vec<_> = tree.level(level).iter().collect();
    let overlap = |table: &Leveled<T>| -> u128 {
        let below = tree.level(level + 1).iter().filter(|below| below.overlaps(table));
        let bytes = total(below.map(|below| below.info.len));
        u128::from(bytes).saturating_mul(1 << 20) / u128::from(table.info.len.max(1))
    };
    tables.sort_by_cached_key(|table| (overlap(table), table.info.id));
    tables.into_iter().find_map(|table| job(std::slice::from_ref(table)))
}

/// The job that brings `sources` of a level into the next one; with or without small neighbours.
fn merge<T: ?Sized>(
    tree: &Tree<T>,
    sources: &[Arc<Leveled<T>>],
    level: u8,
    limits: &Limits,
    wrap: &impl Fn(Groups<T>) -> Inputs,
    neighbours: bool,
) -> Option<CompactionJob> {
    let target = level + 1;
    let first = sources.iter().map(|table| &table.info.first).min()?;
    let last = sources.iter().map(|table| &table.info.last).max()?;
    let below = tree.level(target);
    let mut start = below.partition_point(|table| table.info.last < first);
    let mut end = below.partition_point(|table| table.info.first <= last).max(start);
    let overlaps_nothing = below
        .get(start..end)
        .is_some_and(|below| below.iter().all(|below| sources.iter().all(|table| !table.overlaps(below))));

    let is_small = |at: usize| below.get(at).is_some_and(|table| table.info.len < small(limits));
    let before = neighbours && start.checked_sub(1).is_some_and(is_small);
    let behind = neighbours && is_small(end);
    let stay_apart = disjoint(sources) && overlaps_nothing;
    let worth_merging = before || behind || sources.len() > 1;
    if stay_apart && (!worth_merging || sources.iter().all(|table| table.info.len >= small(limits))) {
        return CompactionJob::new(wrap(groups(sources, level)), target, true);
    }
    start -= usize::from(before);
    end += usize::from(behind);
    let mut all = groups(sources, level);
    let below = below.get(start..end).unwrap_or_default();
    if !below.is_empty() {
        all.push(below.to_vec());
    }
    CompactionJob::new(wrap(all), target, false)
}

/// Tables of level 0 are a group each, newest first; those of another level are one.
fn groups<T: ?Sized>(sources: &[Arc<Leveled<T>>], level: u8) -> Groups<T> {
    match level {
        0 => sources.iter().map(|table| vec![table.clone()]).collect(),
        _ => vec![sources.to_vec()],
    }
}

fn disjoint<T: ?Sized>(tables: &[Arc<Leveled<T>>]) -> bool {
    tables.iter().enumerate().all(|(at, a)| tables.iter().skip(at + 1).all(|b| !a.overlaps(b)))
}

fn full<T: ?Sized>(
    tree: &Tree<T>,
    limits: &Limits,
    wrap: impl Fn(Groups<T>) -> Inputs,
) -> Option<CompactionJob> {
    let occupied: Vec<u8> =
        tree.levels().filter(|(_, tables)| !tables.is_empty()).map(|(level, _)| level).collect();
    let deepest = *occupied.last()?;
    if deepest > 0 && occupied.len() == 1 {
        return None;
    }
    let bytes = total(tree.tables().map(|table| table.info.len));
    // The first level that does not have to pass it on at once.
    let target =
        (deepest.max(1)..LEVEL_MAX).find(|level| level_target(limits, *level) >= bytes).unwrap_or(LEVEL_MAX);
    let all =
        tree.levels().flat_map(|(level, tables)| groups(tables, level)).filter(|group| !group.is_empty());
    CompactionJob::new(wrap(all.collect()), target, false)
}
