//! Limits small enough that everything happens all the time.

use recension::limits::Limits;

/// See [`crate::script::Options::size`].
pub fn limits_of(size: u8) -> Limits {
    match size {
        0 => Limits::TINY,
        3 => Limits { memtable_bytes: 64 << 10, memtable_log_bytes: 256 << 10, ..limits_of(2) },
        2 => Limits {
            segment_bytes: 4 << 10,
            segment_records: 12,
            reserve_first: 1 << 10,
            directory_block_records: 3,
            memtable_bytes: 3 << 10,
            memtable_log_bytes: 6 << 10,
            block_rows: 3,
            block_bytes: 128,
            table_bytes: 512,
            level1_bytes: 1 << 10,
            level_ratio: 2,
            manifest_bytes: 512,
            ..Limits::TINY
        },
        _ => Limits {
            segment_bytes: 64 << 10,
            segment_records: 200,
            memtable_bytes: 32 << 10,
            table_bytes: 8 << 10,
            ..Limits::TINY
        },
    }
}
