use bytes::Bytes;
use proptest::prelude::*;

use crate::pack::bits::{Rows, put_rows};

proptest! {
    #[test]
    fn every_row_comes_back(
        rows in proptest::collection::vec((any::<u64>(), 0_u64..3, 5_u64..6, 1_000_u64..9_000), 0..300),
        shift in 0_u32..64,
    ) {
        let rows: Vec<[u64; 4]> = rows.into_iter().map(|(a, b, c, d)| [a >> shift, b, c, d]).collect();
        let mut out = Vec::new();
        put_rows(&rows, &mut out);
        let block = Rows::<4>::open(&Bytes::from(out)).unwrap();
        prop_assert_eq!(block.len(), rows.len());
        for (index, row) in rows.iter().enumerate() {
            prop_assert_eq!(block.row(index), Some(*row));
        }
        prop_assert_eq!(block.row(rows.len()), None);
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(block) = Rows::<4>::open(&Bytes::from(bytes)) {
            (0..block.len().min(300)).for_each(|index| { block.row(index); });
        }
    }
}

#[test]
fn columns_that_do_not_vary_take_no_bits() {
    let mut out = Vec::new();
    put_rows(&[[7, 1 << 40]; 256], &mut out);
    assert_eq!(out.len(), 2 + 2 + 7);
}
