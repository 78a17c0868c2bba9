use super::*;
use crate::ErrorKind;
use crate::index::testing::VecSource;
use crate::index::{EntityRange, Order, RunCursor};
use crate::model::{Bound, Row};

fn place(source: VecSource) -> Place {
    Place { name: Path::new("test").into(), source: Arc::new(source) }
}

fn places(sources: &[VecSource]) -> Vec<Place> {
    sources.iter().cloned().map(place).collect()
}

fn merged(sources: &[VecSource], order: Order) -> MergeRuns {
    let named = places(sources)
        .into_iter()
        .map(|place| NamedRuns { name: place.name, runs: place.source.runs(&EntityRange::default(), order) });
    MergeRuns::new(named.collect(), order)
}

fn entity(name: &str) -> Entity {
    Entity::new(name).unwrap()
}

fn three() -> [VecSource; 3] {
    [
        VecSource::new(&[("a", &[(9, 90)]), ("d", &[(1, 91)])]),
        VecSource::new(&[("a", &[(5, 50), (6, 51)]), ("b", &[(2, 52)])]),
        VecSource::new(&[("a", &[(1, 1)]), ("b", &[(1, 2)]), ("c", &[(1, 3)])]),
    ]
}

fn all_rows(runs: &mut MergeRuns) -> Vec<(String, Vec<u64>)> {
    let mut all = Vec::new();
    while let Some(info) = runs.next_run().unwrap() {
        let rows: Vec<Row> = std::iter::from_fn(|| runs.next_row().unwrap()).collect();
        assert_eq!(rows.len() as u64, info.rows);
        assert_eq!((rows[0].number, rows[0].sequence), (info.number_last, info.sequence_last));
        let oldest = rows.last().unwrap();
        assert_eq!((oldest.number, oldest.sequence), (info.number_first, info.sequence_first));
        all.push((info.entity.to_string(), rows.iter().map(|row| row.number).collect()));
    }
    all
}

#[test]
fn entities_come_merged_and_rows_newest_place_first_in_both_orders() {
    let mut expected = vec![
        ("a".to_owned(), vec![9, 6, 5, 1]),
        ("b".to_owned(), vec![2, 1]),
        ("c".to_owned(), vec![1]),
        ("d".to_owned(), vec![1]),
    ];
    assert_eq!(all_rows(&mut merged(&three(), Order::Ascending)), expected);
    expected.reverse();
    assert_eq!(all_rows(&mut merged(&three(), Order::Descending)), expected);
}

#[test]
fn a_bound_reaches_into_deeper_places() {
    let mut runs = merged(&three(), Order::Ascending);
    runs.next_run().unwrap();
    for (sequence, number) in [(100, Some(9)), (89, Some(6)), (50, Some(5)), (49, Some(1)), (0, None)] {
        assert_eq!(runs.find(&Bound::at(sequence)).unwrap().map(|row| row.number), number);
    }
    assert_eq!(runs.next_row().unwrap().unwrap().number, 9, "finding does not move the rows");
}

#[test]
fn places_in_the_wrong_order_are_corrupt_and_the_merge_ends_there() {
    let mut sources = three();
    sources.swap(0, 1);
    let mut runs = merged(&sources, Order::Ascending);
    assert_eq!(runs.next_run().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(runs.next_run().unwrap().is_none());

    for order in [Order::Ascending, Order::Descending] {
        let mut rows = ChainRows::new(places(&sources), entity("a"), &Bound::ALL, order);
        let first_error = rows.by_ref().find_map(Result::err).unwrap();
        assert_eq!(first_error.kind(), ErrorKind::Corrupt);
        assert!(rows.next().is_none());
    }
}

#[test]
fn a_place_that_cannot_be_read_ends_the_read_and_is_never_skipped() {
    let mut sources = three();
    sources[1].unreadable = Some(entity("a"));
    let mut rows = ChainRows::new(places(&sources), entity("a"), &Bound::ALL, Order::Descending);
    assert_eq!(rows.next().unwrap().unwrap().number, 9);
    assert!(rows.next().unwrap().is_err());
    assert!(rows.next().is_none());

    let mut runs = merged(&sources, Order::Ascending);
    runs.next_run().unwrap();
    assert!(runs.find(&Bound::at(60)).is_err());
    assert!(runs.next_run().unwrap().is_none());
}

/// Answers one entity, then an error, then more entities.
struct Failing(u32);

impl RunCursor for Failing {
    fn next_run(&mut self) -> crate::Result<Option<crate::index::RunInfo>> {
        self.0 += 1;
        if self.0 == 1 { Err(Error::Cancelled) } else { Ok(None) }
    }

    fn find(&mut self, _: &Bound) -> crate::Result<Option<Row>> {
        Ok(None)
    }

    fn next_row(&mut self) -> crate::Result<Option<Row>> {
        Ok(None)
    }
}

struct FailingSource;

impl Source for FailingSource {
    fn may_contain(&self, _: &[u8], _: u64) -> crate::Result<bool> {
        Err(Error::Cancelled)
    }

    fn find(&self, _: &[u8], _: u64, _: &Bound) -> crate::Result<Option<Row>> {
        Err(Error::Cancelled)
    }

    fn rows(self: Arc<Self>, _: &[u8], _: &Bound, _: Order) -> crate::index::RowIter {
        Box::new(std::iter::empty())
    }

    fn runs(self: Arc<Self>, _: &EntityRange, _: Order) -> Box<dyn RunCursor> {
        Box::new(Failing(0))
    }
}

#[test]
fn a_level_ends_at_a_table_that_cannot_be_read() {
    let failing = Place { name: Path::new("test").into(), source: Arc::new(FailingSource) };
    let behind = place(VecSource::new(&[("z", &[(1, 1)])]));
    let mut runs = ConcatRuns::new(vec![failing.clone(), behind], EntityRange::default(), Order::Ascending);
    assert!(runs.next_run().is_err());
    assert!(runs.next_run().unwrap().is_none());

    let mut rows = ChainRows::new(vec![failing], entity("a"), &Bound::ALL, Order::Descending);
    assert!(rows.next().unwrap().is_err(), "a filter that cannot be read is not a no");
    assert!(rows.next().is_none());
}

#[test]
fn a_cursor_that_repeats_an_entity_is_corrupt() {
    let split = [VecSource::new(&[("a", &[(2, 2)]), ("b", &[(9, 9)])]), VecSource::new(&[("b", &[(1, 1)])])];
    let level = ConcatRuns::new(places(&split), EntityRange::default(), Order::Ascending);
    let named = NamedRuns { name: Path::new("level 1").into(), runs: Box::new(level) };
    let mut runs = MergeRuns::new(vec![named], Order::Ascending);
    runs.next_run().unwrap();
    runs.next_run().unwrap();
    assert_eq!(runs.next_run().unwrap_err().kind(), ErrorKind::Corrupt);
}
