//! Bytes that every later version must write (while the format version stays) and read.

use super::mem_fs::MemFs;
use super::support::*;

/// Compares with `tests/golden/NAME`; with `RECENSION_BLESS=1`, writes it if it is not there.
#[allow(clippy::disallowed_methods, reason = "tests may read files")]
pub(crate) fn check(name: &str, bytes: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("RECENSION_BLESS").is_some() && !path.exists() {
        std::fs::write(&path, bytes).unwrap();
    }
    assert!(std::fs::read(&path).unwrap() == bytes, "{name} is not what is written now");
}

#[test]
fn an_unsealed_segment_is_written_as_it_always_was() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    check("segment-1-open.bin", &fs.get(&log.path()));
}

#[test]
fn a_sealed_segment_is_written_as_it_always_was_and_reads_back() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let info = seal_all(&log, 4);
    check("segment-1-sealed.bin", &fs.get(&log.path()));
    assert_eq!(all_changes(open(&fs, &info)), log.changes());
}

#[test]
fn groups_are_written_as_they_always_were_and_read_back() {
    let fs = MemFs::new();
    let log = grouped(&fs);
    let open_bytes = fs.get(&log.path());
    let info = seal_all(&log, 4);
    check("segment-1-groups.bin", &[open_bytes, fs.get(&log.path())].concat());
    assert_eq!(all_changes(open(&fs, &info)), log.changes());
}

#[test]
fn the_words_that_erase_are_written_as_they_always_were_and_read_back() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    log.commit(vec![put("Q1", "text"), forget("Q1", 0), forget("Q1", 1), forget("Q1", 2)]);
    log.synced();
    let open_bytes = fs.get(&log.path());
    let info = seal_all(&log, 4);
    check("segment-1-erasures.bin", &[open_bytes, fs.get(&log.path())].concat());
    assert_eq!(all_changes(open(&fs, &info)), log.changes());
}
