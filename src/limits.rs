//! Every size limit in one place, with the arithmetic between them asserted at compile time.

/// Longest entity id, bytes.
pub const ENTITY_LEN_MAX: usize = 512;
/// Largest content, bytes. The format reserves staged contents for more.
pub const CONTENT_LEN_MAX: usize = 16 << 20;
/// Most contents (slots) of one revision.
pub const SLOTS_MAX: usize = 64;
/// All attributes of one revision together, encoded bytes.
pub const ATTRIBUTES_LEN_MAX: usize = 4 << 10;
/// All cold fields of one revision together, encoded bytes.
pub const FIELDS_LEN_MAX: usize = 32 << 10;
/// Largest revision number.
pub const REVISION_NUMBER_MAX: u64 = (1 << 63) - 1;
/// Largest frame: one commit with all its contents, bytes.
pub const FRAME_LEN_MAX: usize = (16 << 20) + (64 << 10);
/// Most bytes of a group in the log, uncompressed: whoever reads one of its contents may have to decode it all.
pub const LOG_GROUP_RAW_MAX: usize = 16 << 20;
/// Level of zstd for groups in the log: that of packs at seal, which copy them.
pub const LOG_GROUP_LEVEL: u8 = 3;
/// Most records of one frame.
pub const FRAME_RECORDS_MAX: usize = 16 << 10;
/// A request id is looked for among this many of an entity's newest revisions.
pub const REPLAY_REVISIONS: u64 = 16;
/// An authored time may be this far after the commit and still count as effective time, µs.
pub const AUTHORED_AHEAD_MAX_US: i64 = 24 * 3600 * 1_000_000;
/// A forward step of the wall clock against the monotonic one that is not believed at once, µs.
pub const CLOCK_STEP_MAX_US: i64 = 3600 * 1_000_000;

const _: () = {
    assert!(CONTENT_LEN_MAX + FIELDS_LEN_MAX + ENTITY_LEN_MAX + 4096 <= FRAME_LEN_MAX);
    assert!(ATTRIBUTES_LEN_MAX < FIELDS_LEN_MAX);
    assert!(SLOTS_MAX <= u16::MAX as usize);
    assert!(FRAME_LEN_MAX < u32::MAX as usize);
    assert!(CONTENT_LEN_MAX <= LOG_GROUP_RAW_MAX);
};

/// Sizes that decide when files are sealed, flushed, split and merged. Production uses [`Limits::PRODUCTION`]; the simulator
/// runs with [`Limits::TINY`], so that all of it happens in every seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A segment is sealed before a commit that would take it past this many bytes of frames.
    pub segment_bytes: u64,
    /// A segment is sealed before a commit that would take it past this many records.
    pub segment_records: u32,
    /// Log space is reserved in steps that start here and double up to `segment_bytes`.
    pub reserve_first: u64,
    /// Entries of a directory block.
    pub directory_block_records: u32,
    /// A memtable is rotated at this size in memory, bytes.
    pub memtable_bytes: u64,
    /// A memtable is rotated when this many log bytes were written since the last rotation (bounds replay).
    pub memtable_log_bytes: u64,
    /// Rows of a hot block in a table.
    pub block_rows: u32,
    /// Target of an entity block or plain block, uncompressed bytes.
    pub block_bytes: u32,
    /// A table is closed at the next entity boundary once it has this many bytes.
    pub table_bytes: u64,
    /// Level 0 is compacted at this many tables.
    pub level0_tables: u32,
    /// Target size of level 1, bytes; each further level holds `level_ratio` times as much.
    pub level1_bytes: u64,
    /// See `level1_bytes`.
    pub level_ratio: u32,
    /// Contents of a full group of a pack, and of the log.
    pub pack_group_contents: u8,
    /// So many contents of one entity in one commit or run are compressed together in the log.
    pub log_group_from: u8,
    /// Changes of a directory block of a pack.
    pub pack_directory_records: u32,
    /// So many neighbouring packs of about one size are merged.
    pub pack_fan_in: u32,
    /// Packs of up to this many bytes are of the lowest tier; each further tier takes `pack_fan_in` times as much.
    pub pack_tier_bytes: u64,
    /// A merge must be expected to save so much of what it reads, per cent.
    pub pack_gain_percent: u32,
    /// So many neighbouring runs of packs are merged although that does not pay; where there are more, merging comes before packing.
    pub pack_runs: u32,
    /// A part of a merge is ended behind an entity at about this many bytes,
    pub pack_part_bytes: u64,
    /// or this many changes: they bound its memory, about 70 bytes each.
    pub pack_part_records: u64,
    /// A manifest is rewritten as a snapshot when its edits pass this many bytes.
    pub manifest_bytes: u64,
}

impl Limits {
    /// What a store uses.
    pub const PRODUCTION: Self = Self {
        segment_bytes: 64 << 20,
        segment_records: 64 << 10,
        reserve_first: 256 << 10,
        directory_block_records: 512,
        memtable_bytes: 32 << 20,
        memtable_log_bytes: 256 << 20,
        block_rows: 512,
        block_bytes: 8 << 10,
        table_bytes: 32 << 20,
        level0_tables: 4,
        level1_bytes: 64 << 20,
        level_ratio: 10,
        pack_group_contents: 32,
        log_group_from: 4,
        pack_directory_records: 2048,
        pack_fan_in: 4,
        pack_tier_bytes: 8 << 20,
        pack_gain_percent: 5,
        pack_runs: 32,
        pack_part_bytes: 512 << 20,
        pack_part_records: 1 << 20,
        manifest_bytes: 1 << 20,
    };

    /// What the simulator uses: a few dozen commits reach every transition.
    pub const TINY: Self = Self {
        segment_bytes: 16 << 10,
        segment_records: 64,
        reserve_first: 4 << 10,
        directory_block_records: 8,
        memtable_bytes: 8 << 10,
        memtable_log_bytes: 24 << 10,
        block_rows: 8,
        block_bytes: 256,
        table_bytes: 2 << 10,
        level0_tables: 2,
        level1_bytes: 4 << 10,
        level_ratio: 4,
        pack_group_contents: 4,
        log_group_from: 2,
        pack_directory_records: 16,
        pack_fan_in: 2,
        pack_tier_bytes: 4 << 10,
        pack_gain_percent: 0,
        pack_runs: 4,
        pack_part_bytes: 6 << 10,
        pack_part_records: 100,
        manifest_bytes: 4 << 10,
    };
}
