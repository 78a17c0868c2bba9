//! Packing and merging beside a writer who never pauses: neither segments nor packs gather for as long as he writes.

#[path = "common/simulated.rs"]
mod simulated;

use recension::limits::Limits;
use recension::sim::SimEnv;
use recension::{CheckDepth, Draft, Expect, Progress, Store};
use simulated::{all, builder, text};

const LIMITS: Limits = Limits {
    segment_records: 8,
    pack_fan_in: 4,
    pack_tier_bytes: 4 << 10,
    pack_gain_percent: 5,
    pack_runs: 8,
    pack_part_bytes: 64 << 10,
    pack_part_records: 4000,
    ..Limits::TINY
};
/// Twelve may wait before he is held to next to nothing, and some are sealed before he notices.
const SEGMENTS: u64 = 2 * 12;

/// Simulated time that a background job takes: so long that he outruns them all, were he let.
const JOB_US: u64 = 4000;

/// Writes as fast as he is let: while a background job takes its time, he goes on. Answers the most segments that waited, and the most packs that there were, in
/// the last quarter.
fn never_pauses(env: &SimEnv, store: &Store, edits: u64, content: impl Fn(u64) -> Vec<u8>) -> (u64, u64) {
    let mut most = (0, 0);
    let mut worked_until = env.clock.peek_us();
    for edit in 0..edits {
        store.put(format!("Page {:03}", edit % 97), Expect::Any, Draft::new(content(edit))).unwrap();
        while worked_until < env.clock.peek_us() {
            // What is not used of the time is gone.
            worked_until = if env.jobs.step() { worked_until + JOB_US } else { env.clock.peek_us() };
        }
        if edit % 8 == 0 && edit > edits / 4 * 3 {
            let stats = store.stats().unwrap();
            most = (most.0.max(stats.packs_waiting.0), most.1.max(stats.packs.0));
        }
    }
    most
}

/// Bytes that do not compress.
fn noise(edit: u64) -> Vec<u8> {
    let mut state = edit.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(300).collect()
}

#[test]
fn beside_a_writer_who_never_pauses_neither_segments_nor_packs_gather() {
    for seed in 0..2 {
        let env = SimEnv::new(seed);
        let store = builder(&env).limits(LIMITS).open().unwrap();
        let (waited, packs) = never_pauses(&env, &store, 4000, |edit| text(edit).into_bytes());
        let stats = store.stats().unwrap();
        assert!(stats.throttled_packing > 0 && stats.packed > 400, "he was never ahead: {stats:?}");
        assert!(waited <= SEGMENTS, "{waited} segments waited");
        assert!(packs <= 4 * u64::from(LIMITS.pack_runs), "{packs} packs of {} were left", stats.packed);
        let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut all)).unwrap();
        assert_eq!((report.findings, report.changes), (vec![], 4000));
    }
}

#[test]
fn what_does_not_compress_is_written_anew_once_for_each_tier_and_not_each_time_small_packs_have_gathered() {
    let written = |edits: u64| {
        let env = SimEnv::new(1);
        let store = builder(&env).limits(LIMITS).open().unwrap();
        never_pauses(&env, &store, edits, noise);
        env.jobs.run_until_idle(100_000);
        let stats = store.stats().unwrap();
        stats.written_packs as f64 / stats.written_raw as f64
    };
    let (few, many) = (written(1500), written(9_000));
    // Six times as much is a tier and a bit more.
    assert!(many - few < 3.0, "{few:.1} and {many:.1} times what was put");
}
