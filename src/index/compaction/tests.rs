use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::index::levels::{IndexView, Levels, TableEdit};
use crate::index::testing::model::{World, ops};
use crate::index::testing::{MemTables, VecSource, row};
use crate::index::{EntityRange, Order};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::model::{Bound, Entity};

const LIMITS: Limits = Limits { level0_tables: 2, table_bytes: 1000, level1_bytes: 3000, ..Limits::TINY };

fn levels(tables: &MemTables, added: Vec<TableInfo>) -> Levels {
    Levels::default().apply(&TableEdit { added, ..TableEdit::default() }, tables).unwrap()
}

fn inputs(job: &CompactionJob) -> Vec<u64> {
    job.inputs().map(|info| info.id.number).collect()
}

/// A table of entities that have `rows` rows each.
fn wide(tables: &MemTables, level: u8, names: &[&str], rows: u64, sequence: u64) -> TableInfo {
    let mut next = sequence;
    let mut runs = Vec::new();
    for name in names {
        let of = (0..rows).map(|n| row(sequence + n, next + n)).collect();
        next += rows;
        runs.push((Entity::new(name).unwrap(), of));
    }
    tables.table(level, VecSource { runs, unreadable: None })
}

fn done(job: &CompactionJob, tables: &MemTables) -> TableEdit {
    match run(job, &LIMITS, tables, &|| false, &mut |_| ()).unwrap() {
        CompactionOutcome::Done(edit) => edit,
        CompactionOutcome::Interrupted => panic!("nobody interrupted it"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_index_under_any_work_reads_like_a_map(ops in ops(60)) {
        let mut world = World::new(MemTables::default());
        for op in &ops {
            world.apply(op);
        }
        world.check_reads(&Bound::ALL, &EntityRange::default());
    }
}

#[test]
fn level_0_goes_down_as_a_whole_with_what_it_overlaps() {
    let tables = MemTables::default();
    let all = vec![
        wide(&tables, 1, &["a", "b"], 10, 1),
        wide(&tables, 1, &["x", "y"], 10, 50),
        wide(&tables, 0, &["b", "c"], 10, 100),
        wide(&tables, 0, &["c", "d"], 10, 200),
    ];
    let levels = levels(&tables, all);
    let job = pick(&levels, &LIMITS, &[]).unwrap();
    assert_eq!(inputs(&job), [4, 3, 1]);
    assert!(!job.is_move());
    assert_eq!((job.claim().from, job.claim().to), (0, 1));
    assert_eq!((&job.claim().first[..], &job.claim().last[..]), (&b"a"[..], &b"d"[..]));
    assert!(pick(&levels, &LIMITS, &[job.claim().clone()]).is_none());

    let edit = done(&job, &tables);
    assert_eq!(edit.added.iter().map(|info| info.rows).sum::<u64>(), 60);
    let after = levels.apply(&edit, &tables).unwrap();
    assert!(after.revisions.level(0).is_empty());
    assert!(pick(&after, &LIMITS, &[]).is_none_or(|job| job.claim().from == 1));
}

#[test]
fn a_table_that_overlaps_nothing_moves_unless_it_is_small_and_can_be_merged() {
    let tables = MemTables::default();
    let large = vec![wide(&tables, 0, &["a"], 20, 1), wide(&tables, 0, &["b"], 20, 100)];
    let job = pick(&levels(&tables, large), &LIMITS, &[]).unwrap();
    assert!(job.is_move());
    assert_eq!(done(&job, &tables).moved.len(), 2);

    // 100 + 40 * rows bytes; small is below 125.
    let tables = MemTables::default();
    let limits = Limits { table_bytes: 2000, ..LIMITS };
    let tiny = vec![
        wide(&tables, 0, &["a"], 1, 1),
        wide(&tables, 0, &["b"], 1, 100),
        wide(&tables, 1, &["c"], 2, 50),
    ];
    let job = pick(&levels(&tables, tiny), &limits, &[]).unwrap();
    assert!(!job.is_move());
    assert_eq!(inputs(&job), [2, 1, 3], "the small neighbour in level 1 comes along");
}

#[test]
fn a_level_above_its_target_hands_down_the_table_that_overlaps_least() {
    let tables = MemTables::default();
    let all = vec![
        wide(&tables, 1, &["a", "c"], 20, 1000),
        wide(&tables, 1, &["d", "f"], 20, 2000),
        wide(&tables, 2, &["a", "b"], 30, 1),
        wide(&tables, 2, &["e"], 4, 100),
    ];
    let levels = levels(&tables, all);
    let job = pick(&levels, &LIMITS, &[]).unwrap();
    assert_eq!(inputs(&job), [2, 4]);
    assert_eq!(job.target(), 2);
    // Where that one is taken, the other goes.
    let other = pick(&levels, &LIMITS, &[job.claim().clone()]).unwrap();
    assert_eq!(inputs(&other), [1, 3]);
    assert!(!other.claim().conflicts(job.claim()));
    assert!(pressure(&levels, &LIMITS) >= 1000);
}

#[test]
fn an_interrupted_compaction_has_nothing_to_install() {
    let tables = MemTables::default();
    let all = vec![wide(&tables, 0, &["a", "b"], 400, 1), wide(&tables, 0, &["a", "b"], 400, 1001)];
    let levels = levels(&tables, all);
    let job = pick(&levels, &LIMITS, &[]).unwrap();
    let asked = Cell::new(0);
    let cancel = || asked.replace(asked.get() + 1) == 2;
    let outcome = run(&job, &LIMITS, &tables, &cancel, &mut |_| ()).unwrap();
    assert_eq!(outcome, CompactionOutcome::Interrupted);
    let mut seen = Vec::new();
    let finished = run(&job, &LIMITS, &tables, &|| false, &mut |progress| seen.push(progress.rows)).unwrap();
    assert!(matches!(finished, CompactionOutcome::Done(_)));
    assert_eq!(seen.last(), Some(&1600));
    assert!(seen.is_sorted());
}

#[test]
fn an_input_that_cannot_be_read_aborts_the_job() {
    let tables = MemTables::default();
    let bad = VecSource {
        unreadable: Some(Entity::new("b").unwrap()),
        ..VecSource::new(&[("a", &[(1, 1)]), ("b", &[(1, 2)]), ("c", &[(1, 3)])])
    };
    let all = vec![tables.table(0, bad), wide(&tables, 0, &["a", "d"], 2, 10)];
    let job = pick(&levels(&tables, all), &LIMITS, &[]).unwrap();
    assert!(run(&job, &LIMITS, &tables, &|| false, &mut |_| ()).is_err());
}

#[test]
fn inputs_that_break_the_level_order_are_refused_by_name() {
    // Level 1 has a newer row of `b` than level 0; neither end of a table shows it.
    let tables = MemTables::default();
    let all = vec![
        tables.table(0, VecSource::new(&[("a", &[(1, 20)]), ("b", &[(5, 21)]), ("c", &[(1, 22)])])),
        tables.table(0, VecSource::new(&[("a2", &[(1, 30)])])),
        tables.table(1, VecSource::new(&[("a", &[(0 + 1, 1)]), ("b", &[(6, 2)]), ("d", &[(1, 3)])])),
    ];
    let mut all = all;
    all[2].first = "a1".into();
    let job = pick(&levels(&tables, all), &LIMITS, &[]).unwrap();
    let error = run(&job, &LIMITS, &tables, &|| false, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn an_entity_split_between_tables_of_a_level_is_refused() {
    let tables = MemTables::default();
    let mut all = vec![
        tables.table(1, VecSource::new(&[("a", &[(1, 1)]), ("b", &[(9, 9)])])),
        tables.table(1, VecSource::new(&[("b", &[(1, 2)]), ("c", &[(1, 3)])])),
    ];
    let error = Levels::default()
        .apply(&TableEdit { added: all.clone(), ..TableEdit::default() }, &tables)
        .unwrap_err();
    assert!(error.to_string().contains("overlap"), "{error}");

    // The same behind a manifest that tells another story.
    all[1].first = "b1".into();
    let mut levels = levels(&tables, all);
    for info in [wide(&tables, 0, &["a"], 1, 100), wide(&tables, 0, &["c"], 1, 101)] {
        levels = levels.apply(&TableEdit { added: vec![info], ..TableEdit::default() }, &tables).unwrap();
    }
    let job = pick(&levels, &LIMITS, &[]).unwrap();
    assert_eq!(inputs(&job), [4, 3, 1, 2]);
    let error = run(&job, &LIMITS, &tables, &|| false, &mut |_| ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_full_compaction_leaves_one_level_that_is_not_over_its_target() {
    let tables = MemTables::default();
    let all = vec![
        wide(&tables, 0, &["a", "m", "z"], 30, 1000),
        wide(&tables, 1, &["a", "b"], 30, 500),
        wide(&tables, 2, &["b", "m"], 30, 1),
    ];
    let levels = levels(&tables, all);
    let jobs = pick_full(&levels, &LIMITS);
    assert_eq!(jobs.len(), 1);
    let after = levels.apply(&done(&jobs[0], &tables), &tables).unwrap();
    assert!(pick_full(&after, &LIMITS).is_empty());
    assert!(pick(&after, &LIMITS, &[]).is_none());
    assert!(after.revisions.level(2).len() > 1, "split between entities: {after:?}");
    let view = IndexView::of_tables(after);
    assert_eq!(view.heads(&EntityRange::default(), &Bound::ALL, Order::Descending).count(), 4);
}

#[test]
fn the_pick_does_not_depend_on_how_the_levels_came_to_be() {
    let tables = MemTables::default();
    let mut all = vec![
        wide(&tables, 1, &["a", "c"], 30, 1000),
        wide(&tables, 1, &["d", "f"], 30, 2000),
        wide(&tables, 0, &["a"], 3, 3000),
        wide(&tables, 0, &["f"], 3, 4000),
        wide(&tables, 0, &["c"], 3, 5000),
    ];
    let first = format!("{:?}", pick(&levels(&tables, all.clone()), &LIMITS, &[]));
    all.reverse();
    assert_eq!(format!("{:?}", pick(&levels(&tables, all), &LIMITS, &[])), first);
}

#[test]
fn an_empty_memtable_flushes_to_nothing() {
    let memtable = Arc::new(crate::index::memtable::Memtable::new(1000));
    let tables = MemTables::default();
    let outcome = flush(&memtable, &LIMITS, &tables).unwrap();
    assert_eq!(outcome, FlushOutcome { edit: TableEdit::default(), sequence: None });
    assert_eq!(tables.completed(), 0);
}
