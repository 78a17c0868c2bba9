use std::sync::Arc;

use super::mem_fs::MemFs;
use super::support::*;
use crate::ErrorKind;
use crate::log::*;
use crate::model::{Address, Digest};

#[test]
fn contents_and_digests_are_read_by_address() {
    let log = mixed(&MemFs::new());
    let read = |sequence, slot| log.segment.read_content(Address { sequence, slot });
    assert_eq!(read(1, 0).unwrap(), "Hello, world");
    assert_eq!(read(2, 0).unwrap(), "many words ".repeat(40));
    assert_eq!(read(3, 0).unwrap(), "");
    assert_eq!(read(7, 0).unwrap(), "info");
    assert_eq!(read(9, 0).unwrap(), "back again");
    assert_eq!(log.segment.digest(Address { sequence: 9, slot: 0 }).unwrap(), Digest::of(b"back again"));
    for (sequence, slot) in [(0, 0), (1, 1), (4, 0), (8, 0), (10, 0)] {
        assert_eq!(read(sequence, slot).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn changes_are_read_from_any_cursor_to_any_end() {
    let log = mixed(&MemFs::new());
    let all = log.changes();
    assert_eq!(all.iter().map(|c| c.sequence).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    assert_eq!(all.iter().map(|c| c.commit_rest).collect::<Vec<_>>(), [0, 2, 1, 0, 0, 0, 0, 0, 0]);
    for after in 0..=10 {
        for up_to in 0..=10 {
            let got: Vec<_> =
                Arc::clone(&log.segment).changes(after, up_to).map(Result::unwrap).collect::<Vec<_>>();
            let expected: Vec<_> =
                all.iter().filter(|c| c.sequence > after && c.sequence <= up_to).cloned().collect();
            assert_eq!(got, expected, "{after} {up_to}");
        }
    }
}

#[test]
fn changes_start_near_the_cursor_in_a_long_segment() {
    let mut log = Writer::new(&MemFs::new());
    for n in 0..300 {
        log.commit(vec![put("Q1", &format!("{n} ").repeat(n))]);
        log.promise();
    }
    for after in [0, 1, 77, 150, 298, 299, 300] {
        let got: Vec<_> = log.segment.clone().changes(after, 300).map(|c| c.unwrap().sequence).collect();
        assert_eq!(got, (after + 1..=300).collect::<Vec<_>>());
    }
}

#[test]
fn damage_in_a_content_or_a_frame_is_an_error_that_names_it() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let address = Address { sequence: 2, slot: 0 };
    let offset = log.frames[1].0;
    let good = fs.get(&log.path());
    for byte in offset..log.frames[2].0 {
        crate::env::write_all_at(&**log.segment.file(), &[good[byte as usize] ^ 0x10], byte).unwrap();
        let content = log.segment.read_content(address);
        let changes: Result<Vec<_>, _> = log.segment.clone().changes(0, u64::MAX).collect();
        for error in [content.as_ref().err(), changes.as_ref().err()].into_iter().flatten() {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        }
        if let Ok(content) = content {
            assert_eq!(content, "many words ".repeat(40));
        }
        let metadata_end =
            offset + 64 + u64::from(good[offset as usize + 8]) + (u64::from(good[offset as usize + 9]) << 8);
        assert_eq!(changes.is_err(), byte < metadata_end, "byte {byte}");
        crate::env::write_all_at(&**log.segment.file(), &good[byte as usize..=byte as usize], byte).unwrap();
    }
}

#[test]
fn an_iterator_ends_after_its_first_error() {
    let log = mixed(&MemFs::new());
    crate::env::write_all_at(&**log.segment.file(), &[0], log.frames[3].0).unwrap();
    let mut changes = log.segment.clone().changes(0, u64::MAX);
    assert_eq!(changes.by_ref().take_while(Result::is_ok).count(), 7);
    assert!(changes.next().is_none());
}

#[test]
fn an_open_iterator_sees_frames_that_are_pushed_later() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    // Reserved space: the iterator must not remember the zeros.
    log.segment.file().allocate(0, 100_000).unwrap();
    log.commit(vec![put("Q1", "one"), put("Q1", "two")]);
    log.commit(vec![put("Q1", "three")]);
    let mut changes = log.segment.clone().changes(0, u64::MAX);
    assert_eq!(changes.next().unwrap().unwrap().sequence, 1);
    for sequence in 4..40 {
        log.commit(vec![put("Q2", "later")]);
        assert_eq!(changes.next().unwrap().unwrap().sequence, sequence - 2);
    }
    assert_eq!(changes.count(), 2);
}
