//! Reads of many records stream: what the process holds grows neither with a history nor with the number of entities.
//!
//! Alone in its file, since it measures the whole process: the most that is resident (`VmHWM`), which Linux can be told to forget.
#![cfg(target_os = "linux")]
#![allow(clippy::disallowed_methods, reason = "looks at the process")]

use recension::{AsOf, Batch, ByteSize, Compaction, Draft, Durability, EntityRange, Expect, Progress, Store};

const RECORDS: u64 = 100_000;
/// Of each record, in the index: all of them together are several times the bound.
const COMMENT: usize = 400;
/// What the process may hold more than before, for each way to read. The cache is full already.
const MORE_MAX_KIB: u64 = 8 << 10;

fn status(line: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = text.lines().find_map(|text| text.strip_prefix(line)).expect(line);
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

/// KiB that the process held at most while `work` ran, beyond what it held before.
fn most(work: &dyn Fn() -> u64) -> u64 {
    assert_eq!(work(), RECORDS, "once to fill the caches");
    std::fs::write("/proc/self/clear_refs", "5").expect("Linux forgets the peak");
    let before = status("VmRSS:");
    assert_eq!(work(), RECORDS);
    status("VmHWM:").saturating_sub(before)
}

fn count<T>(items: impl Iterator<Item = recension::Result<T>>) -> u64 {
    items.map(|item| item.map(|_| 1).unwrap()).sum()
}

fn load(store: &Store, name: impl Fn(u64) -> String) {
    let mut n = 0;
    while n < RECORDS {
        let mut batch = Batch::new().as_run();
        for _ in 0..1000 {
            // Words that differ, so that compression does not make them small.
            let mut word = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let comment: String = std::iter::repeat_with(|| {
                word = word.rotate_left(13).wrapping_mul(0xbf58_476d_1ce4_e5b9).wrapping_add(n);
                char::from(b'a' + (word >> 59) as u8 % 26)
            })
            .take(COMMENT)
            .collect();
            batch = batch.put(name(n), Expect::Any, Draft::new("x").comment(comment)).expect("a batch");
            n += 1;
        }
        store.commit_with(batch, Durability::Buffered).expect("committed");
    }
}

#[test]
fn reading_many_records_takes_no_more_memory_than_reading_few() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Store::builder(dir.path().join("s")).memory(ByteSize::mib(8)).open().unwrap();
    let store = open();
    load(&store, |n| format!("entity {n:08}"));
    load(&store, |_| "zz one long history".into());
    store.sync().unwrap();
    store.flush().unwrap();
    store.compact(Compaction::Due, &mut Progress::none()).unwrap();
    store.close().unwrap();
    drop(store);
    let store = open();
    let end = store.published();
    let names = || EntityRange::prefix(b"entity ");
    let long = || store.history("zz one long history").unwrap();
    let ways: [(&str, &dyn Fn() -> u64); 7] = [
        ("heads", &|| count(store.heads(names()))),
        ("heads backwards", &|| count(store.heads(names()).rev())),
        ("heads of the past", &|| count(store.heads_as_of(names(), AsOf::Sequence(end)))),
        ("history", &|| count(long())),
        ("history backwards", &|| count(long().rev())),
        ("history with contents", &|| count(long().map(|it| it.unwrap().content()))),
        ("changes", &|| count(store.changes(RECORDS).unwrap())),
    ];
    for (way, work) in ways {
        let more = most(work);
        println!("{way}: {more} KiB");
        assert!(more <= MORE_MAX_KIB, "{way}: {more} KiB more than before");
    }
}
