use super::mem_fs::MemFs;
use super::recovery_support::*;
use super::support::*;
use crate::env::Fs;
use crate::log::*;
use crate::{Error, ErrorKind};

#[test]
fn a_log_that_was_not_closed_is_sealed_and_replayed() {
    for reserve in [0, 4096, 300_000] {
        let fs = MemFs::new();
        let log = mixed(&fs);
        let all = log.changes();
        let end = log.segment.end();
        log.segment.file().set_len(end + reserve).unwrap();
        let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
        assert_eq!(changes, all);
        assert_eq!((recovered.sealed.len(), recovered.cuts.len()), (1, 0));
        assert!(recovered.append.is_none());
        assert_eq!(recovered.end.sequence, 9);
        assert_eq!((recovered.end.checksum, recovered.end.commit_time), (log.checksum, log.time));
        assert_eq!(recovered.promise, Position::new(1, end));
        assert_eq!(all_changes(open(&fs, &recovered.sealed[0])), all);
    }
}

#[test]
fn an_empty_directory_is_an_empty_log() {
    let (recovered, changes) = Known::default().recover(&MemFs::new(), WRITE).unwrap();
    assert!(changes.is_empty() && recovered.sealed.is_empty() && recovered.leftovers.is_empty());
    assert_eq!((recovered.end.sequence, recovered.end.checksum, recovered.file_number_max), (0, 0, 0));
}

#[test]
fn the_promise_of_the_manifest_and_the_index_are_authorities() {
    let make = || {
        let fs = MemFs::new();
        let log = unpromised(&fs);
        let mut bytes = fs.get(&log.path());
        bytes[log.frames[2].0 as usize] = 0;
        fs.put(&log.path(), &bytes);
        (fs, log)
    };
    let (fs, log) = make();
    let x = log.frames[2];
    for (offset, flushed, good) in [(0, 0, true), (x.0, x.1 - 1, true), (x.0 + 8, 0, false), (0, x.1, false)]
    {
        let (fs, _) = make();
        let known = Known { promise: Position::new(1, offset), flushed, ..Known::default() };
        let result = recover_twice(&fs, &known);
        if good {
            let (recovered, changes) = result.unwrap();
            assert_eq!(recovered.end.sequence, x.1 - 1);
            assert_eq!(changes.len() as u64, x.1 - 1 - flushed);
        } else {
            assert_eq!(corrupt(result).offset, x.0);
        }
    }
    drop(fs);
}

#[test]
fn a_segment_that_was_promised_and_is_not_there_is_corruption() {
    let fs = MemFs::new();
    let known = Known { promise: Position::new(1, 200), ..Known::default() };
    let corruption = corrupt(recover_twice(&fs, &known));
    assert_eq!(corruption.path, std::path::Path::new(DIR));
}

#[test]
fn a_chain_of_three_segments_is_sealed_in_order() {
    for promise in [true, false] {
        let fs = MemFs::new();
        let (_, all, ends) = three(&fs, promise);
        let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
        assert_eq!(changes, all);
        assert_eq!(recovered.sealed.iter().map(|i| i.id.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(recovered.promise, Position::new(3, ends[2]));
        for flushed in 0..=9 {
            let known = Known { sealed: recovered.sealed.clone(), flushed, ..Known::default() };
            let (_, changes) = known.recover(&fs, WRITE).unwrap();
            assert_eq!(changes, all[flushed as usize..]);
        }
    }
}

#[test]
fn damage_in_an_earlier_segment_is_told_by_a_later_ones_promise() {
    for (promise, which) in [(true, 1), (true, 2), (false, 1), (false, 2)] {
        let fs = MemFs::new();
        let (_, all, _) = three(&fs, promise);
        let path = path_of(file_id(which));
        let mut bytes = fs.get(&path);
        let second = 144 + u32::from_le_bytes(bytes[148..152].try_into().unwrap()) as usize;
        bytes[second + 70] ^= 1;
        fs.put(&path, &bytes);
        let result = recover_twice(&fs, &Known::default());
        if promise {
            let corruption = corrupt(result);
            assert_eq!((corruption.path, corruption.offset), (path, second as u64));
        } else {
            let (recovered, changes) = result.unwrap();
            assert_eq!(changes, all[..(which as usize - 1) * 3 + 2]);
            let later: Vec<_> = (which + 1..=3).map(file_id).collect();
            assert_eq!(recovered.leftovers.iter().map(|l| l.id).collect::<Vec<_>>(), later);
            assert!(recovered.leftovers.iter().all(|l| l.why == LeftoverKind::Cut));
            assert_eq!(recovered.cuts.len(), 1 + later.len());
            assert!(recovered.cuts[1..].iter().all(|cut| cut.frames == 2));
            assert_eq!(recovered.file_number_max, 3);
        }
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_told_by_a_later_ones_promise() {
    for promise in [true, false] {
        let fs = MemFs::new();
        let (_, all, _) = three(&fs, promise);
        fs.remove_file(&path_of(file_id(2))).unwrap();
        let result = recover_twice(&fs, &Known::default());
        if promise {
            corrupt(result);
        } else {
            assert_eq!(result.unwrap().1, all[..3]);
        }
    }
}

#[test]
fn damage_of_the_newest_header_is_corruption_only_if_something_was_promised_behind_it() {
    for promised in [true, false] {
        for byte in [0, 70, 100, 143] {
            let fs = MemFs::new();
            let (mut log, all, _) = three(&fs, true);
            if promised {
                log.promise();
            }
            let mut bytes = fs.get(&log.path());
            bytes[byte] ^= 0x40;
            fs.put(&log.path(), &bytes);
            let result = recover_twice(&fs, &Known::default());
            if promised {
                let corruption = corrupt(result);
                assert_eq!((corruption.path, corruption.offset), (log.path(), 0));
            } else {
                let (recovered, changes) = result.unwrap();
                assert_eq!(changes, all[..6]);
                assert_eq!(recovered.leftovers, [Leftover { id: file_id(3), why: LeftoverKind::Cut }]);
                assert_eq!((recovered.cuts[0].offset, recovered.cuts[0].frames), (0, 2));
            }
        }
    }
}

#[test]
fn spares_of_zeros_and_old_files_are_left_over() {
    let fs = MemFs::new();
    let (_, all, _) = three(&fs, true);
    fs.put(&path_of(file_id(4)), &[0; 5000]);
    fs.put(&path_of(file_id(5)), &[]);
    let (recovered, _) = Known::default().recover(&fs, WRITE).unwrap();
    let blank = |n| Leftover { id: file_id(n), why: LeftoverKind::Blank };
    assert_eq!(recovered.leftovers, [blank(4), blank(5)]);
    assert_eq!(recovered.file_number_max, 5);
    // A merge replaced the first segment; its file was not removed in time.
    let known = Known { sealed: recovered.sealed[1..].to_vec(), flushed: 3, ..Known::default() };
    let (recovered, changes) = known.recover(&fs, WRITE).unwrap();
    assert_eq!(recovered.leftovers[0], Leftover { id: file_id(1), why: LeftoverKind::Obsolete });
    assert_eq!(changes, all[3..]);
}

#[test]
fn of_two_files_that_follow_the_same_segment_the_newer_one_is_the_log() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    log.commit(vec![put("Q1", "one")]);
    log.synced();
    let header_of = |log: &Writer, number| SegmentHeader {
        predecessor: log.id(),
        predecessor_sequence: log.next_sequence - 1,
        predecessor_checksum: log.checksum,
        promise: log.promise,
        ..header(number)
    };
    // Segment 2 was made and never written; after a crash segment 3 took its place before segment 2 was removed.
    let two = header_of(&log, 2);
    let three = header_of(&log, 3);
    Writer::with_header(&fs, two);
    let mut newer = Writer::with_header(&fs, three);
    newer.next_sequence = log.next_sequence;
    newer.commit(vec![put("Q2", "two")]);
    newer.promise();
    let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(recovered.leftovers, [Leftover { id: file_id(2), why: LeftoverKind::Obsolete }]);
}

#[test]
fn a_cleanly_closed_segment_is_appended_to_again() {
    let fs = MemFs::new();
    let mut log = mixed(&fs);
    log.synced();
    log.frame(FrameKind::CleanClose, Vec::new());
    let all = log.changes();
    let (recovered, changes) = Known::default().recover(&fs, WRITE).unwrap();
    assert_eq!(changes, all);
    assert!(recovered.sealed.is_empty());
    assert!(recovered.closed_cleanly);
    let append = recovered.append.unwrap();
    assert_eq!((append.end, append.checksum), (log.segment.end(), log.checksum));
    assert_eq!((recovered.end.id, recovered.end.sequence), (log.id(), 9));

    // It is written to, and the process dies.
    log.segment = append.segment;
    log.commit(vec![put("Q1", "after the close")]);
    let all = log.changes();
    assert_eq!(all.len(), 10);
    let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
    assert_eq!(changes, all);
    assert!(recovered.append.is_none() && !recovered.closed_cleanly && recovered.sealed.len() == 1);
}

#[test]
fn a_clean_close_with_anything_behind_it_is_not_appended_to() {
    for garbage in [&[0; 8][..], &[1; 8]] {
        let fs = MemFs::new();
        let mut log = mixed(&fs);
        log.frame(FrameKind::CleanClose, Vec::new());
        let mut bytes = fs.get(&log.path());
        bytes.extend_from_slice(garbage);
        fs.put(&log.path(), &bytes);
        let (recovered, _) = recover_twice(&fs, &Known::default()).unwrap();
        assert!(recovered.append.is_none() && !recovered.closed_cleanly && recovered.sealed.len() == 1);
    }
}

#[test]
fn a_segment_of_another_store_is_an_error_not_a_leftover() {
    let fs = MemFs::new();
    let header = SegmentHeader { store: [1; 16], ..header(1) };
    fs.put(&path_of(file_id(1)), &header.encode());
    assert_eq!(corrupt(recover_twice(&fs, &Known::default())).path, path_of(file_id(1)));
}

#[test]
fn an_empty_segment_is_left_over_and_its_promise_with_it() {
    let fs = MemFs::new();
    let log = Writer::new(&fs);
    let known = Known { promise: log.position(), ..Known::default() };
    let (recovered, changes) = recover_twice(&fs, &known).unwrap();
    assert!(changes.is_empty());
    assert_eq!(recovered.leftovers, [Leftover { id: file_id(1), why: LeftoverKind::Empty }]);
    assert_eq!(recovered.promise, Position::NONE);
}

#[test]
fn replay_stops_at_the_first_error_of_the_index() {
    let fs = MemFs::new();
    mixed(&fs);
    let listing = fs.read_dir(std::path::Path::new(DIR)).unwrap();
    let input = RecoveryInput {
        fs: &*fs,
        dir: std::path::Path::new(DIR),
        listing: &listing,
        store: &STORE,
        sealed: &[],
        packed_end: None,
        changes: &|_| Box::new(std::iter::empty()),
        promise: Position::NONE,
        flushed: 0,
        limits: &crate::limits::Limits::TINY,
        mode: READ,
    };
    let mut seen = 0;
    let result = recover(&input, &mut |_| {
        seen += 1;
        if seen == 3 { Err(Error::Cancelled) } else { Ok(()) }
    });
    assert_eq!((result.unwrap_err().kind(), seen), (ErrorKind::Cancelled, 3));
}
