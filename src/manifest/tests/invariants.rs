//! Each rule about the state as a whole has a state that breaks it.

use super::super::invariants::{Rule, check};
use super::*;

fn with_tables(tables: Vec<TableInfo>) -> State {
    let flushed = (0..20).map(|keyspace| (keyspace, 1000)).collect();
    let tables = tables.into_iter().map(|table| ((table.keyspace, table.id), table)).collect();
    State { tables, flushed, next_file: 100, ..State::default() }
}

fn with_values(files: Vec<ValueFileInfo>) -> State {
    State { value_files: files.into_iter().map(|file| (file.id, file)).collect(), ..State::default() }
}

fn broken(state: &State) -> Rule {
    check(state).unwrap_err().rule
}

#[test]
fn tables_of_a_level_share_no_entity() {
    let touching = |level| {
        with_tables(vec![table(5, level, ["a", "m"], [1, 10]), table(6, level, ["m", "z"], [11, 20])])
    };
    assert_eq!(broken(&touching(1)), Rule::LevelsDisjoint);
    assert_eq!(broken(&touching(6)), Rule::LevelsDisjoint);
    check(&touching(0)).unwrap();
    let mut apart = touching(1);
    apart.tables.get_mut(&(0, id(6))).unwrap().first = Bytes::from_static(b"n");
    check(&apart).unwrap();
    let mut plain = touching(1);
    plain.tables =
        plain.tables.into_values().map(|t| ((16, t.id), TableInfo { keyspace: 16, ..t })).collect();
    assert_eq!(broken(&plain), Rule::LevelsDisjoint, "in every keyspace");
}

#[test]
fn one_wide_table_that_hides_behind_a_narrow_one_is_found() {
    let state = with_tables(vec![
        table(5, 1, ["a", "z"], [1, 10]),
        table(6, 1, ["b", "c"], [11, 20]),
        table(7, 1, ["x", "y"], [21, 30]),
    ]);
    assert_eq!(broken(&state), Rule::LevelsDisjoint);
}

#[test]
fn tables_of_level_zero_that_share_entities_do_not_share_sequence_numbers() {
    let pair =
        |keys, sequences| with_tables(vec![table(5, 0, ["a", "m"], [1, 10]), table(6, 0, keys, sequences)]);
    assert_eq!(broken(&pair(["c", "d"], [10, 12])), Rule::LevelOrder);
    check(&pair(["c", "d"], [11, 12])).unwrap();
    check(&pair(["n", "o"], [10, 12])).unwrap();
}

#[test]
fn a_newer_place_is_not_older_than_a_table_below_with_a_common_end() {
    let pair = |upper, sequences| {
        with_tables(vec![table(5, upper, ["c", "m"], sequences), table(6, upper + 1, ["m", "z"], [10, 20])])
    };
    assert_eq!(broken(&pair(0, [1, 9])), Rule::LevelOrder);
    assert_eq!(broken(&pair(1, [1, 9])), Rule::LevelOrder);
    check(&pair(1, [21, 30])).unwrap();
    // They may share more entities, and then nothing can be told from the ends.
    check(&pair(1, [1, 10])).unwrap();
}

#[test]
fn the_order_of_levels_is_a_rule_for_revisions_only() {
    let mut state = with_tables(vec![table(5, 0, ["a", "m"], [1, 10]), table(6, 0, ["a", "m"], [1, 10])]);
    state.tables = state.tables.into_values().map(|t| ((1, t.id), TableInfo { keyspace: 1, ..t })).collect();
    check(&state).unwrap();
}

#[test]
fn a_table_has_sane_sequence_numbers_and_counts() {
    let one = |change: fn(&mut TableInfo)| {
        let mut table = table(5, 0, ["a", "m"], [5, 10]);
        change(&mut table);
        with_tables(vec![table])
    };
    check(&one(|_| {})).unwrap();
    assert_eq!(broken(&one(|t| t.sequence_first = 0)), Rule::SequenceSane);
    assert_eq!(broken(&one(|t| t.sequence_last = 4)), Rule::SequenceSane);
    assert_eq!(broken(&one(|t| t.sequence_last = 1001)), Rule::SequenceSane, "beyond what was flushed");
    assert_eq!(broken(&one(|t| t.sequence_last = u64::MAX)), Rule::SequenceSane);
    assert_eq!(broken(&one(|t| t.last = Bytes::from_static(b"A"))), Rule::Counts);
    assert_eq!(broken(&one(|t| t.rows = 0)), Rule::Counts);
    assert_eq!(broken(&one(|t| t.rows = 7)), Rule::Counts, "more rows than sequence numbers");
    assert_eq!(broken(&one(|t| t.entities = 7)), Rule::Counts);
    assert_eq!(broken(&one(|t| t.entities = 0)), Rule::Counts);
    assert_eq!(broken(&one(|t| t.len = 63)), Rule::Counts);
}

#[test]
fn value_files_leave_no_gap_and_do_not_overlap() {
    let segments = |ranges: &[[u64; 2]]| {
        let files = ranges.iter().enumerate().map(|(at, range)| segment(at as u64 + 5, *range));
        with_values(files.collect())
    };
    check(&segments(&[])).unwrap();
    check(&segments(&[[1, 10], [11, 11], [12, 30]])).unwrap();
    assert_eq!(broken(&segments(&[[2, 10]])), Rule::ValueMapTiled, "1 is missing");
    assert_eq!(broken(&segments(&[[1, 10], [12, 20]])), Rule::ValueMapTiled, "11 is missing");
    assert_eq!(broken(&segments(&[[1, 10], [10, 20]])), Rule::ValueMapTiled, "10 is there twice");
    assert_eq!(broken(&segments(&[[1, 10], [1, 10]])), Rule::ValueMapTiled);
    assert_eq!(broken(&segments(&[[1, 10], [3, 4]])), Rule::ValueMapTiled);
}

#[test]
fn an_empty_segment_covers_nothing() {
    check(&with_values(vec![segment(5, [1, 10]), segment(6, [11, 10]), segment(7, [11, 12])])).unwrap();
    check(&with_values(vec![segment(5, [1, 0])])).unwrap();
    assert_eq!(
        broken(&with_values(vec![ValueFileInfo { records: 0, ..segment(5, [1, 10]) }])),
        Rule::SequenceSane
    );
    assert_eq!(
        broken(&with_values(vec![ValueFileInfo { records: 0, ..segment(5, [9, 3]) }])),
        Rule::SequenceSane
    );
}

#[test]
fn parts_by_entity_cover_all_entities_once() {
    let parts = |ranges: &[[&[u8]; 2]]| {
        let files = ranges.iter().enumerate().map(|(at, range)| pack(at as u64 + 10, [1, 20], *range));
        with_values(files.chain([segment(5, [21, 30])]).collect())
    };
    check(&parts(&[[b"", b""]])).unwrap();
    check(&parts(&[[b"", b"g"], [b"g\0", b"p"], [b"p\0", b""]])).unwrap();
    assert_eq!(broken(&parts(&[[b"", b"g"], [b"p\0", b""]])), Rule::ValueMapTiled, "a part is lost");
    assert_eq!(broken(&parts(&[[b"", b"g"], [b"g\0", b"p"]])), Rule::ValueMapTiled, "the last one");
    assert_eq!(broken(&parts(&[[b"g\0", b""]])), Rule::ValueMapTiled, "the first one");
    assert_eq!(broken(&parts(&[[b"", b"g"], [b"f\0", b""]])), Rule::ValueMapTiled, "they overlap");
    assert_eq!(broken(&parts(&[[b"", b""], [b"f\0", b""]])), Rule::ValueMapTiled);
    assert_eq!(broken(&parts(&[[b"", b"g"], [b"", b""]])), Rule::ValueMapTiled);
}

#[test]
fn a_merge_may_be_installed_part_by_part() {
    let rest =
        |number, range| ValueFileInfo { entity_first: Bytes::from_static(b"g\0"), ..segment(number, range) };
    let half = [pack(9, [1, 20], [b"", b"g"]), rest(5, [1, 10]), rest(6, [11, 20])];
    check(&with_values(half.to_vec())).unwrap();
    assert_eq!(broken(&with_values(half[..2].to_vec())), Rule::ValueMapTiled);
}

#[test]
fn the_end_of_the_log_is_known_where_its_newest_segment_became_a_pack() {
    let end = |sequence| PackedEnd { id: id(5), len: 4096, sequence, checksum: 7, commit_time: 1 };
    let packed = |files: &[ValueFileInfo], end| State { packed_end: end, ..with_values(files.to_vec()) };
    let (first, second) = (pack(9, [1, 10], [b"", b""]), segment(6, [11, 20]));
    check(&packed(std::slice::from_ref(&first), Some(end(10)))).unwrap();
    check(&packed(&[first.clone(), second.clone()], Some(end(10)))).unwrap();
    check(&packed(&[first.clone(), second], None)).unwrap();
    assert_eq!(broken(&packed(std::slice::from_ref(&first), None)), Rule::PackedEnd);
    assert_eq!(broken(&packed(std::slice::from_ref(&first), Some(end(9)))), Rule::PackedEnd);
    assert_eq!(broken(&packed(&[first], Some(end(11)))), Rule::PackedEnd, "what it names is in no file");
}

#[test]
fn a_value_file_has_sane_counts() {
    let one = |change: fn(&mut ValueFileInfo)| {
        let mut file = segment(5, [1, 10]);
        change(&mut file);
        with_values(vec![file])
    };
    check(&one(|_| {})).unwrap();
    assert_eq!(broken(&one(|f| f.sequence_first = 0)), Rule::SequenceSane);
    assert_eq!(broken(&one(|f| f.sequence_last = u64::MAX)), Rule::SequenceSane);
    assert_eq!(broken(&one(|f| f.records = 9)), Rule::Counts);
    assert_eq!(broken(&one(|f| f.live_bytes = 4001)), Rule::Counts);
    assert_eq!(broken(&one(|f| f.stored_bytes = 6000)), Rule::Counts);
    assert_eq!(broken(&one(|f| f.len = 10)), Rule::Counts);
    let turned = pack(5, [1, 10], [b"x", b"a"]);
    assert_eq!(broken(&with_values(vec![turned])), Rule::Counts);
}
