use proptest::prelude::*;

use super::super::column::{Column, biased, put_column, read_column, unbiased};
use super::super::keys::{Keys, put_keys};
use crate::codec::Reader;

fn packed(values: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    put_column(&mut out, values);
    let mut reader = Reader::new(&out);
    assert_eq!(read_column(&mut reader, values.len()).unwrap(), values);
    assert!(reader.is_empty());
    let column = Column::new(values.to_vec());
    assert!(values.iter().enumerate().all(|(i, value)| column.get(i) == *value));
    out
}

#[test]
fn a_constant_column_takes_three_bytes_whatever_its_length() {
    assert_eq!(packed(&[]).len(), 3);
    assert_eq!(packed(&[7; 500]).len(), 3);
}

#[test]
fn an_outlier_does_not_widen_the_rest() {
    let mut values: Vec<u64> = (0..512).map(|i| i % 16).collect();
    values[100] = u64::MAX;
    assert!(packed(&values).len() < 512 / 2 + 20);
}

#[test]
fn whole_seconds_in_microseconds_cost_as_little_as_seconds() {
    let seconds: Vec<u64> = (0..512).map(|i| i * 37 % 256).collect();
    let micros: Vec<u64> = seconds.iter().map(|s| 1_700_000_000_000_000 + s * 1_000_000).collect();
    assert!(packed(&micros).len() <= packed(&seconds).len() + 10);
}

#[test]
fn extreme_values_come_back() {
    packed(&[0, u64::MAX]);
    packed(&[u64::MAX; 3]);
    packed(&[u64::MAX - 1, u64::MAX, 1]);
    let mut powers: Vec<u64> = (0..64).map(|i| 1 << i).collect();
    packed(&powers);
    powers.extend([0; 1000]);
    packed(&powers);
    for n in [i64::MIN, -1, 0, 1, i64::MAX] {
        assert_eq!(unbiased(biased(n)), n);
    }
}

proptest! {
    #[test]
    fn any_column_comes_back(shift in 0_u32..64, mut values in proptest::collection::vec(any::<u64>(), 0..200), outliers in 0_usize..4) {
        for (i, value) in values.iter_mut().enumerate() {
            if i >= outliers {
                *value >>= shift;
            }
        }
        packed(&values);
    }

    #[test]
    fn garbage_is_refused_or_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0_usize..300) {
        let _ = read_column(&mut Reader::new(&bytes), count);
        let _ = Keys::read(&mut Reader::new(&bytes), count, 512, 1 << 16);
    }

    #[test]
    fn keys_come_back_and_can_be_searched(
        keys in proptest::collection::btree_set(proptest::collection::vec(0_u8..4, 0..8), 0..50),
        probe in proptest::collection::vec(0_u8..4, 0..8),
    ) {
        let mut out = Vec::new();
        put_keys(&mut out, keys.iter().map(|key| &key[..]));
        let read = Keys::read(&mut Reader::new(&out), keys.len(), 512, 1 << 16).unwrap();
        let sorted: Vec<_> = keys.iter().collect();
        prop_assert!(sorted.iter().enumerate().all(|(i, key)| read.get(i) == &key[..] && read.share(i) == key[..]));
        prop_assert_eq!(read.rank(&probe), sorted.partition_point(|key| **key < probe));
        prop_assert_eq!(read.rank_through(&probe), sorted.partition_point(|key| **key <= probe));
        prop_assert_eq!(read.find(&probe), sorted.iter().position(|key| **key == probe));
    }
}
