use proptest::prelude::*;

use super::*;

/// Bounds just at, below and above every row of a run, by each condition and by several.
fn bounds(rows: &[Row]) -> Vec<Bound> {
    let mut bounds = vec![Bound::ALL, Bound { number: 0, ..Bound::ALL }, Bound::at(0)];
    for row in rows {
        let end = row.sequence + u64::from(row.commit_rest);
        bounds.extend([row.sequence - 1, row.sequence, end.saturating_sub(1), end].map(Bound::at));
        bounds.extend([row.number - 1, row.number].map(|number| Bound { number, ..Bound::ALL }));
        for delta in [-1, 0] {
            bounds.push(Bound { commit_time: row.commit_time + delta, ..Bound::ALL });
            bounds.push(Bound { effective_time: row.effective_time.saturating_add(delta), ..Bound::ALL });
        }
        bounds.push(Bound { number: row.number, ..Bound::at(rows[0].sequence) });
    }
    bounds
}

fn check(model: &Model, table: &Arc<RevisionTable>) {
    read_all(table, model).unwrap();
    for (entity, rows) in model {
        let hash = entity_hash(entity);
        assert!(table.may_contain(entity, hash).unwrap());
        for bound in bounds(rows) {
            let inside: Vec<_> = rows.iter().filter(|row| bound.admits(row)).cloned().collect();
            assert_eq!(table.find(entity, hash, &bound).unwrap().as_ref(), inside.first(), "{bound:?}");
            let down: Vec<_> =
                table.clone().rows(entity, &bound, Order::Descending).map(Result::unwrap).collect();
            assert_eq!(down, inside);
            let mut up: Vec<_> =
                table.clone().rows(entity, &bound, Order::Ascending).map(Result::unwrap).collect();
            up.reverse();
            assert_eq!(up, inside);
            for above in [0, 1, rows[rows.len() / 2].number, rows[0].number, rows[0].number + 1, u64::MAX] {
                let above_it: Vec<_> =
                    table.clone().rows_above(entity, above, &bound).map(Result::unwrap).collect();
                let expected: Vec<_> =
                    inside.iter().filter(|row| row.number > above).rev().cloned().collect();
                assert_eq!(above_it, expected, "{above} {bound:?}");
            }
        }
        let mut other = entity.clone();
        other.push(b'x');
        assert!(table.find(&other, entity_hash(&other), &Bound::ALL).unwrap().is_none());
        assert_eq!(table.clone().rows(&other, &Bound::ALL, Order::Ascending).count(), 0);
    }
}

#[test]
fn every_bound_gives_the_row_that_a_scan_gives() {
    for (seed, entities, rows) in [(1, 1, 1), (2, 1, 100), (3, 40, 1), (4, 12, 30)] {
        let model = model(seed, entities, rows);
        let (file, info) = build(&model, Limits::TINY);
        for access in [TableAccess::Read, TableAccess::Map] {
            check(&model, &open(file.clone(), &info, access).unwrap());
        }
    }
}

#[test]
fn blocks_of_one_row_and_blocks_larger_than_the_table_read_alike() {
    let model = model(5, 7, 9);
    let tiny = Limits { block_rows: 1, block_bytes: 1, ..Limits::TINY };
    for limits in [tiny, Limits::PRODUCTION] {
        let (file, info) = build(&model, limits);
        check(&model, &open(file, &info, TableAccess::Read).unwrap());
    }
}

#[test]
fn a_real_file_reads_the_same_by_read_and_by_map() {
    use crate::env::{Access, Fs, OsFs};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t");
    let model = model(6, 9, 20);
    let file = OsFs::new().open(&path, Access::CreateNew).unwrap();
    let head = header(FileKind::RevisionTable);
    let mut builder = RevisionTableBuilder::new(file, &path, head, Limits::TINY, options(0)).unwrap();
    for (entity, rows) in &model {
        builder.start_entity(entity).unwrap();
        rows.iter().for_each(|row| builder.add_row(row).unwrap());
    }
    let info = builder.finish().unwrap();
    for access in [TableAccess::Read, TableAccess::Map] {
        let file = OsFs::new().open(&path, Access::Read).unwrap();
        let table = RevisionTable::open(file, &path, &info, &STORE, Arc::new(Cache::new(0)), access).unwrap();
        read_all(&table, &model).unwrap();
        table.verify(VerifyHash::Compare, &mut |_| Ok(())).unwrap();
    }
}

#[test]
fn ranges_are_walked_both_ways_from_any_place() {
    let model = model(7, 40, 3);
    let (file, info) = build(&model, Limits::TINY);
    let table = open(file, &info, TableAccess::Read).unwrap();
    let mut places: Vec<Vec<u8>> = model.keys().cloned().collect();
    places.extend(model.keys().map(|key| [&key[..], b"!"].concat()));
    places.extend([vec![], b"A".to_vec(), b"zzz".to_vec()]);
    for from in places.iter().step_by(3) {
        for to in places.iter().step_by(5).map(Some).chain([None]) {
            let to = to.map(|to| Bytes::from(to.clone()));
            let range = EntityRange { from: Bytes::from(from.clone()), to };
            let inside = model.clone().into_iter().filter(|(entity, _)| range.contains(entity));
            let expected: Vec<_> = inside.collect();
            assert_eq!(walk(&table, &range, Order::Ascending).unwrap(), expected, "{range:?}");
            let mut down = walk(&table, &range, Order::Descending).unwrap();
            down.reverse();
            assert_eq!(down, expected, "{range:?}");
        }
    }
    let talk = walk(&table, &EntityRange::prefix(b"Talk:"), Order::Ascending).unwrap();
    assert_eq!(talk.len(), model.keys().filter(|key| key.starts_with(b"Talk:")).count());
}

#[test]
fn a_cursor_finds_by_any_bound_without_losing_its_place() {
    let model = model(8, 5, 40);
    let (file, info) = build(&model, Limits::TINY);
    let table = open(file, &info, TableAccess::Read).unwrap();
    let mut cursor = table.runs(&EntityRange::default(), Order::Descending);
    assert!(cursor.find(&Bound::ALL).unwrap().is_none());
    for (_, rows) in model.iter().rev() {
        cursor.next_run().unwrap().unwrap();
        for row in rows {
            let bound = Bound { number: rows[rows.len() / 2].number, ..Bound::ALL };
            assert_eq!(cursor.find(&bound).unwrap().as_ref(), rows.iter().find(|row| bound.admits(row)));
            assert!(cursor.find(&Bound::at(0)).unwrap().is_none());
            assert_eq!(cursor.next_row().unwrap().as_ref(), Some(row));
        }
        assert!(cursor.next_row().unwrap().is_none());
    }
}

#[test]
fn a_negative_look_up_reads_no_block_but_the_filter() {
    let model = model(9, 30, 3);
    let (file, info) = build(&model, Limits::TINY);
    let cache = Arc::new(Cache::new(1 << 20));
    let table =
        RevisionTable::open(file, Path::new("t"), &info, &STORE, cache.clone(), TableAccess::Read).unwrap();
    assert!(table.find(b"A", entity_hash(b"A"), &Bound::ALL).unwrap().is_none());
    assert_eq!(cache.stats().misses, 0, "outside the table's range not even the filter is read");
    let absent = (0..)
        .map(|i| format!("R{i}"))
        .find(|name| !table.may_contain(name.as_bytes(), entity_hash(name.as_bytes())).unwrap());
    let absent = absent.unwrap();
    assert!(table.find(absent.as_bytes(), entity_hash(absent.as_bytes()), &Bound::ALL).unwrap().is_none());
    assert_eq!(cache.stats().misses, 1);
}

#[test]
fn a_look_up_in_a_long_run_reads_one_block_of_each_kind() {
    let long = |model: &Model| model.values().any(|rows| rows.len() > 1000);
    let model = (0..).map(|seed| model(seed, 1, 3000)).find(long).unwrap();
    let (file, info) = build(&model, Limits::TINY);
    let (entity, rows) = model.first_key_value().unwrap();
    for row in rows.iter().step_by(97) {
        let cache = Arc::new(Cache::new(1 << 20));
        let table = RevisionTable::open(
            file.clone(),
            Path::new("t"),
            &info,
            &STORE,
            cache.clone(),
            TableAccess::Read,
        )
        .unwrap();
        let bound = Bound { number: row.number, ..Bound::ALL };
        assert_eq!(table.find(entity, entity_hash(entity), &bound).unwrap().as_ref(), Some(row));
        let misses = |kind| cache.counts(kind).1;
        use crate::cache::CacheKind::{Cold, Entities, Hot};
        assert!(misses(Hot) <= 2 && misses(Cold) == 1 && misses(Entities) == 1, "{cache:?}");
    }
}

#[test]
fn a_job_that_passes_the_cache_leaves_only_index_and_filter_in_it() {
    let model = model(11, 20, 20);
    let (file, info) = build(&model, Limits::TINY);
    let cache = Arc::new(Cache::new(1 << 20));
    let table =
        RevisionTable::open(file, Path::new("t"), &info, &STORE, cache.clone(), TableAccess::Read).unwrap();
    read_all(&table.without_cache_fill(), &model).unwrap();
    assert_eq!(cache.stats().entries, 2);
    read_all(&table, &model).unwrap();
    assert!(cache.stats().entries > 10);
    cache.remove_file(info.id.number);
    assert_eq!(cache.stats().entries, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_table_reads_like_its_model(
        seed: u64, entities in 1_u64..25, rows in 1_u64..25, block_rows in 1_u32..12, block_bytes in 1_u32..300, level in 0_u8..2
    ) {
        let model = model(seed, entities, rows);
        let limits = Limits { block_rows, block_bytes, ..Limits::TINY };
        let (file, info) = try_build(&model, limits, options(level)).unwrap();
        let table = open(file.clone(), &info, TableAccess::Map).unwrap();
        check(&model, &table);
        let stats = table.verify(VerifyHash::Compare, &mut |_| Ok(())).unwrap();
        prop_assert_eq!((stats.rows, stats.entities), (info.rows, info.entities));
        prop_assert_eq!(stats.file_bytes, file.len().unwrap());
        prop_assert_eq!(try_build(&model, limits, options(level)).unwrap().0.bytes(), file.bytes());
    }
}
