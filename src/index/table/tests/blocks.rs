use proptest::prelude::*;

use super::super::cold::{decode_cold, encode_cold};
use super::super::entities::{decode_entities, encode_entities};
use super::super::hot::{HotRow, encode_hot};
use super::super::hot_block::decode_hot;
use super::*;

/// The rows of a model as one hot block takes them.
fn hot_rows(model: &Model) -> Vec<HotRow> {
    let runs = model.values().flat_map(|rows| rows.iter().enumerate());
    runs.map(|(i, row)| HotRow { starts_run: i == 0, row: Row { cold: Bytes::new(), ..row.clone() } })
        .collect()
}

#[test]
fn hot_rows_come_back_wherever_a_block_starts_and_ends() {
    let rows = hot_rows(&model(1, 6, 9));
    for from in 0..rows.len() {
        for to in from + 1..=rows.len() {
            let part = &rows[from..to];
            let block = decode_hot(&encode_hot(part), part.len()).unwrap();
            for (i, hot) in part.iter().enumerate() {
                assert_eq!(block.row(i), hot.row);
            }
        }
    }
}

#[test]
fn the_extremes_of_every_field_come_back() {
    let extreme = |number, sequence, time| Row {
        number,
        parent: u64::MAX,
        sequence,
        commit_rest: u32::MAX,
        commit_time: time,
        authored_time: Some(i64::MAX),
        effective_time: time,
        kind: RevisionKind::Put,
        flags: Flags(u16::MAX),
        content: Some(ContentRef {
            address: Address { sequence: u64::MAX, slot: u16::MAX },
            len: u32::MAX,
            tag: u64::MAX,
        }),
        cold: Bytes::new(),
    };
    let newest = extreme(u64::MAX >> 1, u64::MAX, i64::MAX);
    let oldest = Row { content: None, ..extreme(1, 1, i64::MIN) };
    let rows = [HotRow { starts_run: true, row: newest }, HotRow { starts_run: false, row: oldest }];
    let block = decode_hot(&encode_hot(&rows), 2).unwrap();
    assert_eq!((block.row(0), block.row(1)), (rows[0].row.clone(), rows[1].row.clone()));
}

proptest! {
    #[test]
    fn damaged_blocks_behind_a_good_checksum_are_refused_or_read_without_a_panic(
        at in 0_usize..400, byte: u8, seed in 0_u64..20
    ) {
        let model = model(seed, 4, 6);
        let rows = hot_rows(&model);
        let mut hot = encode_hot(&rows);
        let cut = at % hot.len();
        hot[cut] = byte;
        if let Ok(block) = decode_hot(&hot, rows.len()) {
            for i in 0..rows.len() {
                block.row(i);
            }
            block.search(0, rows.len(), &Bound::at(byte.into()));
        }
        prop_assert!(decode_hot(&encode_hot(&rows)[..cut], rows.len()).is_err());

        let mut cold = encode_cold(&[1, 0, 3], b"abcd");
        let place = at % cold.len();
        cold[place] = byte;
        if let Ok(block) = decode_cold(&Bytes::from(cold), 3) {
            (0..3).for_each(|i| drop(block.fields(i)));
        }

        let run = |first_row| RunStats { first_row, rows: 2, number_last: 9, number_first: 3, sequence_last: 80, sequence_first: 2, deleted: true };
        let entities = [(Bytes::from_static(b"a"), run(5)), (Bytes::from_static(b"ab"), run(7))];
        let mut block = encode_entities(&entities);
        let place = at % block.len();
        block[place] = byte;
        if let Ok(block) = decode_entities(&block, 2, 5, 4) {
            for i in 0..2 {
                block.info(i).unwrap();
            }
        }
    }
}
