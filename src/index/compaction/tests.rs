use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::Result;
use crate::index::annotations::NothingErased;
use crate::index::levels::{IndexView, Levels, TableEdit};
use crate::index::table::TableAccess;
use crate::index::testing::model::{World, ops};
use crate::index::testing::{FileTables, MemTables, VecSource, cases, row};
use crate::index::{EntityRange, Order, RowIter, RunCursor, RunInfo, Source};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::model::{Bound, Entity, Row};

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
    match run(job, &LIMITS, tables, &NothingErased, &|| false, &mut |_| ()).unwrap() {
        CompactionOutcome::Done(edit) => edit,
        CompactionOutcome::Interrupted => panic!("nobody interrupted it"),
    }
}

proptest! {
    #![proptest_config(cases(96))]

    #[test]
    fn an_index_under_any_work_reads_like_a_map(ops in ops(60)) {
        let mut world = World::new(MemTables::default());
        for op in &ops {
            world.apply(op);
        }
        world.check_reads(&Bound::ALL, &EntityRange::default());
    }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn an_index_in_files_reads_like_a_map(ops in ops(60), mapped in any::<bool>()) {
        let access = if mapped { TableAccess::Map } else { TableAccess::Read };
        let mut world = World::new(FileTables::new(access));
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
    let outcome = run(&job, &LIMITS, &tables, &NothingErased, &cancel, &mut |_| ()).unwrap();
    assert_eq!(outcome, CompactionOutcome::Interrupted);
    let mut seen = Vec::new();
    let finished =
        run(&job, &LIMITS, &tables, &NothingErased, &|| false, &mut |progress| seen.push(progress.rows))
            .unwrap();
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
    assert!(run(&job, &LIMITS, &tables, &NothingErased, &|| false, &mut |_| ()).is_err());
}

#[test]
fn inputs_that_break_the_level_order_are_refused_by_name() {
    // Level 1 has a newer row of `b` than level 0; neither end of a table shows it.
    let tables = MemTables::default();
    let mut all = vec![
        tables.table(0, VecSource::new(&[("a", &[(1, 20)]), ("b", &[(5, 21)]), ("c", &[(1, 22)])])),
        tables.table(0, VecSource::new(&[("a2", &[(1, 30)])])),
        tables.table(1, VecSource::new(&[("a", &[(1, 1)]), ("b", &[(6, 2)]), ("d", &[(1, 3)])])),
    ];
    all[2].first = "a1".into();
    let job = pick(&levels(&tables, all), &LIMITS, &[]).unwrap();
    let error = run(&job, &LIMITS, &tables, &NothingErased, &|| false, &mut |_| ()).unwrap_err();
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
    let error = run(&job, &LIMITS, &tables, &NothingErased, &|| false, &mut |_| ()).unwrap_err();
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
    let outcome = flush(&memtable, &LIMITS, &tables, &NothingErased).unwrap();
    assert_eq!(outcome, FlushOutcome { edit: TableEdit::default(), sequence: None });
    assert_eq!(tables.completed(), 0);
}

/// A table of one entity with a long history that nobody holds in memory, and how many of its rows are alive.
struct Endless {
    first: u64,
    last: u64,
    alive: Arc<AtomicUsize>,
}

struct Walk {
    of: Arc<Endless>,
    next: u64,
    started: bool,
}

struct Counted(Arc<AtomicUsize>);

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        b"cold"
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Source for Endless {
    fn may_contain(&self, _: &[u8], _: u64) -> Result<bool> {
        Ok(true)
    }

    fn find(&self, _: &[u8], _: u64, _: &Bound) -> Result<Option<Row>> {
        Ok(None)
    }

    fn rows(self: Arc<Self>, _: &[u8], _: &Bound, _: Order) -> RowIter {
        Box::new(std::iter::empty())
    }

    fn runs(self: Arc<Self>, _: &EntityRange, _: Order) -> Box<dyn RunCursor> {
        Box::new(Walk { next: self.last, of: self, started: false })
    }
}

impl RunCursor for Walk {
    fn next_run(&mut self) -> Result<Option<RunInfo>> {
        if std::mem::replace(&mut self.started, true) {
            return Ok(None);
        }
        let Endless { first, last, .. } = *self.of;
        Ok(Some(RunInfo {
            entity: Entity::new("e").unwrap(),
            rows: last - first + 1,
            number_last: last,
            sequence_last: last,
            number_first: first,
            sequence_first: first,
        }))
    }

    fn find(&mut self, _: &Bound) -> Result<Option<Row>> {
        Ok(None)
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        if self.next < self.of.first {
            return Ok(None);
        }
        let alive = self.of.alive.fetch_add(1, Ordering::Relaxed);
        assert!(alive < 4, "{alive} rows are held at once");
        let mut row = row(self.next, self.next);
        row.cold = bytes::Bytes::from_owner(Counted(self.of.alive.clone()));
        self.next -= 1;
        Ok(Some(row))
    }
}

/// Keeps nothing but what a table says of itself.
struct Sink(TableInfo);

impl RevisionOutput for Sink {
    fn add(&mut self, entity: &Entity, row: &Row) -> Result<()> {
        self.0.first = entity.bytes().clone();
        self.0.last = entity.bytes().clone();
        self.0.rows += 1;
        self.0.sequence_first = row.sequence;
        self.0.sequence_last = self.0.sequence_last.max(row.sequence);
        Ok(())
    }

    fn bytes(&self) -> u64 {
        u64::MAX
    }

    fn finish(self: Box<Self>) -> Result<TableInfo> {
        Ok(TableInfo { entities: 1, ..self.0 })
    }
}

struct Sinks(TableInfo);

impl BuildTables for Sinks {
    fn revisions(&self, level: u8, _: u64) -> Result<Box<dyn RevisionOutput>> {
        let info = TableInfo { level, rows: 0, sequence_last: 0, ..self.0.clone() };
        Ok(Box::new(Sink(info)))
    }

    fn plain(&self, _: u16, _: u8, _: u64) -> Result<Box<dyn PlainOutput>> {
        panic!("there are no annotations")
    }
}

#[test]
fn a_history_of_100_000_revisions_streams_into_one_table() {
    struct Opens(Arc<AtomicUsize>);
    impl crate::index::levels::OpenTables for Opens {
        fn revisions(&self, info: &TableInfo) -> Result<Arc<dyn Source>> {
            let TableInfo { sequence_first: first, sequence_last: last, .. } = *info;
            Ok(Arc::new(Endless { first, last, alive: self.0.clone() }))
        }
        fn annotations(&self, _: &TableInfo) -> Result<Arc<dyn crate::index::annotations::AnnotationSource>> {
            panic!("there are no annotations")
        }
    }
    let some = wide(&MemTables::default(), 0, &["e"], 1, 1);
    let part = |number, level, first, last| {
        let mut info = TableInfo {
            level,
            rows: last - first + 1,
            sequence_first: first,
            sequence_last: last,
            ..some.clone()
        };
        info.id.number = number;
        info
    };
    let added = vec![part(1, 1, 1, 60_000), part(2, 0, 60_001, 90_000), part(3, 0, 90_001, 100_000)];
    let alive = Arc::new(AtomicUsize::new(0));
    let edit = TableEdit { added, ..TableEdit::default() };
    let levels = Levels::default().apply(&edit, &Opens(alive.clone())).unwrap();
    let job = pick(&levels, &LIMITS, &[]).unwrap();
    let outcome =
        run(&job, &LIMITS, &Sinks(part(4, 1, 1, 1)), &NothingErased, &|| false, &mut |_| ()).unwrap();
    let CompactionOutcome::Done(edit) = outcome else { panic!("nobody interrupted it") };
    assert_eq!((edit.removed.len(), edit.added.len()), (3, 1));
    assert_eq!(
        (edit.added[0].rows, edit.added[0].sequence_first, edit.added[0].sequence_last),
        (100_000, 1, 100_000)
    );
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
