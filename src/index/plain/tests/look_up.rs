use proptest::prelude::*;

use super::*;
use crate::ErrorKind;

fn check(model: &Model, limits: Limits, hashes: Hashes, access: TableAccess) {
    let (file, info) = build(model, limits, hashes);
    let table = open(file, &info, access).unwrap();
    read_all(&table, model).unwrap();
    verify(&table, VerifyHash::Compare).unwrap();
    let mut places: Vec<Vec<u8>> = model.keys().cloned().collect();
    places.extend(model.keys().map(|key| [&key[..], b"!"].concat()));
    places.push(vec![]);
    for place in &places {
        assert_eq!(table.get(place, None).unwrap().as_deref(), model.get(place).map(|value| &value[..]));
        assert_eq!(
            table.get(place, Some(entity_hash(place))).unwrap().as_deref(),
            model.get(place).map(|value| &value[..])
        );
    }
    for from in places.iter().step_by(3) {
        for to in places.iter().step_by(4).map(|to| Some(Bytes::from(to.clone()))).chain([None]) {
            let range = EntityRange { from: Bytes::from(from.clone()), to };
            let inside = model.clone().into_iter().filter(|(key, _)| range.contains(key));
            let mut expected: Vec<_> = inside.collect();
            assert_eq!(scan(&table, &range, Order::Ascending).unwrap(), expected);
            expected.reverse();
            assert_eq!(scan(&table, &range, Order::Descending).unwrap(), expected);
        }
    }
}

#[test]
fn keys_and_ranges_are_found_in_blocks_of_any_size() {
    let model = model(2, 40);
    for limits in [Limits { block_bytes: 1, ..Limits::TINY }, Limits::TINY, Limits::PRODUCTION] {
        for (hashes, access) in [(Hashes::All, TableAccess::Read), (Hashes::None, TableAccess::Map)] {
            check(&model, limits, hashes, access);
        }
    }
    check(&Model::from([(vec![], vec![])]), Limits::TINY, Hashes::All, TableAccess::Read);
}

#[test]
fn a_value_larger_than_a_block_comes_back() {
    let model =
        Model::from([(b"a".to_vec(), vec![1; 5000]), (b"b".to_vec(), vec![]), (b"c".to_vec(), vec![2; 700])]);
    check(&model, Limits::TINY, Hashes::All, TableAccess::Read);
}

#[test]
fn keys_out_of_order_and_hashes_for_some_are_refused() {
    let new = || {
        let options = TableOptions::for_level(1, 0);
        let head = header(FileKind::PlainTable);
        PlainTableBuilder::new(MemFile::with(&[]), Path::new("k"), head, Limits::TINY, options).unwrap()
    };
    let invalid = |result: Result<()>| assert_eq!(result.unwrap_err().kind(), ErrorKind::Invalid);
    let mut builder = new();
    builder.add(b"b", b"", Some(1)).unwrap();
    invalid(builder.add(b"b", b"", Some(1)));
    invalid(builder.add(b"a", b"", Some(1)));
    invalid(builder.add(b"c", b"", None));
    let mut builder = new();
    builder.add(b"b", b"", None).unwrap();
    invalid(builder.add(b"c", b"", Some(1)));
    invalid(builder.add(&[b'x'; PLAIN_KEY_LEN_MAX + 1], b"", None));
    invalid(new().finish(1..=1).map(|_| ()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_table_reads_like_its_model(
        model in proptest::collection::btree_map(
            proptest::collection::vec(0_u8..3, 0..6), proptest::collection::vec(any::<u8>(), 0..30), 1..40),
        block_bytes in 1_u32..200,
    ) {
        check(&model, Limits { block_bytes, ..Limits::TINY }, Hashes::All, TableAccess::Map);
    }
}
