use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::mem_fs::MemFs;
use super::support::*;
use crate::env::Fs;
use crate::log::*;
use crate::{Error, ErrorKind};

const WRITE: RecoveryMode = RecoveryMode::Write;
const READ: RecoveryMode = RecoveryMode::ReadOnly;

/// Recovers, recovers again with what the first time left behind, and checks that both agree.
fn recover_twice(fs: &Arc<MemFs>, known: &Known) -> crate::Result<(Recovered, Vec<LoggedChange>)> {
    let before = fs.copy();
    let read_only = known.recover(&before, READ);
    let (recovered, changes) = match known.recover(fs, WRITE) {
        Ok(result) => result,
        Err(error) => {
            assert_eq!(read_only.unwrap_err().to_string(), error.to_string());
            return Err(error);
        }
    };
    let (readable, read_changes) = read_only.unwrap();
    assert_eq!(read_changes, changes);
    assert_eq!((readable.end, &readable.cuts), (recovered.end, &recovered.cuts));
    assert_eq!(readable.leftovers, recovered.leftovers);

    // The manifest edit was lost.
    let (again, changes_again) = known.recover(fs, WRITE).unwrap();
    assert_eq!((again.end, &again.sealed, &changes_again), (recovered.end, &recovered.sealed, &changes));
    // It was not.
    let installed = known.install(fs, &recovered);
    let (again, changes_again) = installed.recover(fs, WRITE).unwrap();
    assert!(again.sealed.is_empty() && again.leftovers.is_empty() && again.cuts.is_empty());
    assert_eq!((again.end, &changes_again), (recovered.end, &changes));
    Ok((recovered, changes))
}

fn corrupt(result: crate::Result<(Recovered, Vec<LoggedChange>)>) -> crate::Corruption {
    match result {
        Err(Error::Corrupt(corruption)) => *corruption,
        other => panic!("{other:?}"),
    }
}

/// The changes up to a frame of a log of one segment.
fn up_to(log: &Writer, all: &[LoggedChange], offset: u64) -> Vec<LoggedChange> {
    let first =
        log.frames.iter().find(|(at, _)| *at >= offset).map_or(log.next_sequence, |(_, first)| *first);
    all.iter().filter(|change| change.sequence < first).cloned().collect()
}

/// The log of [`mixed`], with no promise in it.
fn unpromised(fs: &Arc<MemFs>) -> Writer {
    let mut log = Writer::new(fs);
    log.commit(vec![put("Main Page", "Hello, world")]);
    log.commit(vec![put("Q1", &"many words ".repeat(40)), put("Q2", ""), hide("Q1")]);
    log.frame(FrameKind::Run, vec![put("Q1", "one"), reuse("Main Page", "Hello, world")]);
    log.commit(vec![delete("Q2")]);
    log.commit(vec![put("Q2", "back again")]);
    log
}

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
fn a_log_torn_at_any_byte_ends_before_the_torn_frame() {
    for make in [mixed, unpromised] {
        let origin = MemFs::new();
        let log = make(&origin);
        let all = log.changes();
        let bytes = origin.get(&log.path());
        for cut in 0..=bytes.len() {
            for reserve in [0, 600] {
                let mut torn = bytes[..cut].to_vec();
                torn.resize(cut + reserve, 0);
                let fs = MemFs::new();
                fs.put(&log.path(), &torn);
                let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
                if cut < SEGMENT_HEADER_LEN {
                    let blank = Leftover { id: log.id(), why: LeftoverKind::Blank };
                    assert_eq!((recovered.leftovers, changes.len()), (vec![blank], 0));
                    continue;
                }
                // Zeros behind the last frame stand for its padding.
                let padding = bytes[..cut].len().next_multiple_of(8).min(bytes.len());
                let whole =
                    if reserve > 0 && bytes[cut..padding].iter().all(|b| *b == 0) { padding } else { cut };
                let mut ends: Vec<_> = log.frames.iter().map(|(at, _)| *at).collect();
                ends.push(bytes.len() as u64);
                let end = *ends.iter().filter(|end| **end <= whole as u64).max().unwrap();
                let expected = up_to(&log, &all, end);
                assert_eq!(changes, expected, "cut {cut} reserve {reserve}");
                let nonzero = torn[end as usize..].iter().rposition(|b| *b != 0).map_or(0, |n| n as u64 + 1);
                let cuts: Vec<_> = recovered.cuts.iter().map(|c| (c.offset, c.bytes, c.frames)).collect();
                let expected_cuts: Vec<_> = (nonzero > 0).then_some((end, nonzero, 0)).into_iter().collect();
                assert_eq!(cuts, expected_cuts, "cut {cut} reserve {reserve}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_corruption_before_a_promise_and_a_torn_tail_behind_it() {
    for make in [mixed, unpromised] {
        let origin = MemFs::new();
        let log = make(&origin);
        let all = log.changes();
        let bytes = origin.get(&log.path());
        let mut reader = FrameReader::new(Arc::clone(log.segment.file()));
        let mut frames = Vec::new();
        for (at, _) in &log.frames {
            let Found::Frame(frame) = reader.frame_at(&log.path(), *at, u64::MAX, None).unwrap() else {
                panic!("frame at {at}")
            };
            frames.push(frame);
        }
        for bit in 0..bytes.len() * 8 {
            let byte = bit as u64 / 8;
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let fs = MemFs::new();
            fs.put(&log.path(), &bad);
            let result = recover_twice(&fs, &Known::default());
            let hit = frames.iter().position(|frame| frame.offset <= byte && byte < frame.end());
            let promise = |without: Option<usize>| {
                let others = frames.iter().enumerate().filter(|(index, _)| Some(*index) != without);
                others.map(|(_, frame)| frame.head.promise).max().unwrap()
            };
            let Some(hit) = hit else {
                // The header: its frames prove themselves, and tell whether anything was promised.
                if promise(None) > Position::NONE {
                    assert_eq!(corrupt(result).offset, 0, "bit {bit}");
                } else {
                    let (recovered, changes) = result.unwrap();
                    assert_eq!((changes.len(), recovered.leftovers.len()), (0, 1), "bit {bit}");
                }
                continue;
            };
            let frame = &frames[hit];
            let in_metadata = byte < frame.offset + frame.head.units_at() as u64;
            let records = frame.records(&log.path()).unwrap();
            let units = records.iter().flat_map(|r| &r.contents);
            let in_unit = units
                .map(|content| content.locator)
                .any(|l| l.offset <= byte && byte < l.offset + u64::from(l.len));
            let at = Position::new(1, frame.offset);
            let frame_end = Position::new(1, frame.end());
            let damaged = in_metadata || in_unit && frame_end > promise(None);
            if !damaged {
                let (recovered, changes) = result.unwrap();
                assert_eq!((changes, recovered.cuts.len()), (all.clone(), 0), "bit {bit}");
            } else if promise(in_metadata.then_some(hit)) > at {
                let corruption = corrupt(result);
                assert_eq!((corruption.offset, corruption.path), (frame.offset, log.path()), "bit {bit}");
            } else {
                let (recovered, changes) = result.unwrap();
                assert_eq!(changes, up_to(&log, &all, frame.offset), "bit {bit}");
                let [cut] = &recovered.cuts[..] else { panic!("bit {bit}: {:?}", recovered.cuts) };
                assert_eq!(cut.offset, frame.offset, "bit {bit}");
                let behind = (frames.len() - 1 - hit) as u64;
                assert_eq!(cut.frames, behind, "bit {bit}");
            }
        }
    }
}

#[test]
fn a_hole_of_zeros_is_corruption_if_a_frame_behind_it_promises_it() {
    for (promised, frame) in [(true, 1), (false, 1), (true, 4), (true, 5)] {
        let fs = MemFs::new();
        let log = if promised { mixed(&fs) } else { unpromised(&fs) };
        let all = log.changes();
        let mut bytes = fs.get(&log.path());
        let from = log.frames[frame].0 as usize;
        let to = log.frames.get(frame + 1).map_or(bytes.len(), |(at, _)| *at as usize);
        bytes[from..to].fill(0);
        fs.put(&log.path(), &bytes);
        let result = recover_twice(&fs, &Known::default());
        // In `mixed`, the last promise stands before frame 4.
        if promised && frame < 3 {
            assert_eq!(corrupt(result).offset, from as u64);
        } else {
            assert_eq!(result.unwrap().1, up_to(&log, &all, from as u64));
        }
    }
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

/// Three segments; the promises of each follow `promise`.
fn three(fs: &Arc<MemFs>, promise: bool) -> (Writer, Vec<LoggedChange>, Vec<u64>) {
    let mut log = Writer::new(fs);
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for n in 0..3 {
        log.commit(vec![put("Q1", &format!("one {n}")), hide("Q1")]);
        log.commit(vec![put("Q2", &format!("two {n}"))]);
        all.extend(log.changes());
        ends.push(log.segment.end());
        if n < 2 {
            if promise {
                log.synced();
            }
            log.roll();
        }
    }
    (log, all, ends)
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
                assert_eq!(recovered.leftovers, [Leftover { id: file_id(3), why: LeftoverKind::Blank }]);
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
    assert!(recovered.append.is_none() && recovered.sealed.len() == 1);
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
        assert!(recovered.append.is_none() && recovered.sealed.len() == 1);
    }
}

#[test]
fn bytes_of_another_segment_behind_the_tail_never_pass() {
    let fs = MemFs::new();
    let log = unpromised(&fs);
    let all = log.changes();
    let other = MemFs::new();
    let mut foreign = Writer::with_header(&other, SegmentHeader { salt: 99, ..header(1) });
    for _ in 0..9 {
        foreign.commit(vec![put("Q1", "from another life of this file"), put("Q2", "more")]);
        foreign.promise();
    }
    let stale = other.get(&path_of(file_id(1)));
    let mut bytes = fs.get(&log.path());
    bytes.extend_from_slice(&stale[bytes.len()..]);
    fs.put(&log.path(), &bytes);
    let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
    assert_eq!(changes, all);
    assert_eq!((recovered.cuts.len(), recovered.cuts[0].frames), (1, 0));
}

#[test]
fn a_frame_in_the_place_of_another_never_passes() {
    let origin = MemFs::new();
    let log = unpromised(&origin);
    let all = log.changes();
    let bytes = origin.get(&log.path());
    let range = |n: usize| {
        let end = log.frames.get(n + 1).map_or(bytes.len(), |(at, _)| *at as usize);
        log.frames[n].0 as usize..end
    };
    for from in 0..log.frames.len() {
        for to in (0..log.frames.len()).filter(|to| *to != from) {
            let frame = bytes[range(from)].to_vec();
            let at = log.frames[to].0;
            let mut bad = bytes.clone();
            let end = (at as usize + frame.len()).min(bad.len());
            bad[at as usize..end].copy_from_slice(&frame[..end - at as usize]);
            let fs = MemFs::new();
            fs.put(&log.path(), &bad);
            let (_, changes) = recover_twice(&fs, &Known::default()).unwrap();
            assert_eq!(changes, up_to(&log, &all, at), "{from} to {to}");
        }
    }
}

#[test]
fn recovery_survives_a_failure_at_every_one_of_its_own_steps() {
    let make = || {
        let fs = MemFs::new();
        let (mut log, _, _) = three(&fs, false);
        log.commit(vec![put("Q3", "torn")]);
        let len = log.segment.end();
        log.segment.file().set_len(len - 8).unwrap();
        fs
    };
    let (expected, changes) = Known::default().recover(&make(), WRITE).unwrap();
    let mut failures = 0;
    for step in 1.. {
        let fs = make();
        fs.fuse.store(step, Ordering::SeqCst);
        let first = Known::default().recover(&fs, WRITE);
        fs.fuse.store(0, Ordering::SeqCst);
        if first.is_ok() {
            break;
        }
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Io);
        failures += 1;
        let (recovered, changes_now) = recover_twice(&fs, &Known::default()).unwrap();
        assert_eq!((recovered.end, recovered.sealed), (expected.end, expected.sealed.clone()), "step {step}");
        assert_eq!(changes_now, changes);
    }
    assert!(failures >= 9, "{failures} steps");
}

#[test]
fn a_crash_in_the_middle_of_sealing_cuts_nothing() {
    let origin = MemFs::new();
    let log = mixed(&origin);
    let all = log.changes();
    let unsealed = origin.get(&log.path());
    let info = seal_all(&log, crate::limits::Limits::TINY.directory_block_records);
    let sealed = origin.get(&log.path());
    for cut in unsealed.len()..=sealed.len() {
        for len in [cut, sealed.len(), sealed.len() + 4096] {
            let mut torn = sealed[..cut].to_vec();
            torn.resize(len, 0);
            let fs = MemFs::new();
            fs.put(&log.path(), &torn);
            let (recovered, changes) = recover_twice(&fs, &Known::default()).unwrap();
            assert_eq!((changes.len(), &recovered.sealed[0]), (all.len(), &info), "cut {cut} len {len}");
            assert!(fs.get(&log.path()) == sealed);
            if cut >= unsealed.len() + 16 {
                assert!(recovered.cuts.is_empty(), "cut {cut} len {len}: {:?}", recovered.cuts);
            }
        }
    }
}

#[test]
fn a_damaged_frame_under_a_seal_that_the_manifest_does_not_know_is_corruption() {
    let fs = MemFs::new();
    let log = unpromised(&fs);
    seal_all(&log, 8);
    let mut bytes = fs.get(&log.path());
    bytes[log.frames[3].0 as usize + 40] ^= 1;
    fs.put(&log.path(), &bytes);
    assert_eq!(corrupt(recover_twice(&fs, &Known::default())).offset, log.frames[3].0);
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

#[test]
fn a_damaged_tail_that_the_manifest_does_not_know_is_made_again() {
    let origin = MemFs::new();
    let log = mixed(&origin);
    let end = log.segment.end() as usize;
    let info = seal_all(&log, crate::limits::Limits::TINY.directory_block_records);
    let sealed = origin.get(&log.path());
    for byte in end..sealed.len() {
        let mut bad = sealed.clone();
        bad[byte] ^= 1 << (byte % 8);
        let fs = MemFs::new();
        fs.put(&log.path(), &bad);
        let (recovered, _) = recover_twice(&fs, &Known::default()).unwrap();
        assert_eq!(recovered.sealed, [info.clone()], "byte {byte}");
        assert!(fs.get(&log.path()) == sealed, "byte {byte}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn whatever_is_damaged_the_outcome_is_a_prefix_with_all_that_was_promised_or_an_error(
        promise_frames in any::<bool>(),
        damage in proptest::collection::vec((1_u64..4, any::<prop::sample::Index>(), 1_usize..40, any::<u8>()), 1..4),
        truncate in proptest::option::of((1_u64..4, any::<prop::sample::Index>())),
        promised in any::<prop::sample::Index>(),
    ) {
        let fs = MemFs::new();
        let (_, all, ends) = three(&fs, promise_frames);
        // Positions behind each frame, with the number of changes before them.
        let mut places = vec![(Position::NONE, 0)];
        for n in 0..3_usize {
            let path = path_of(file_id(n as u64 + 1));
            let bytes = fs.get(&path);
            let first = 144 + u64::from(u32::from_le_bytes(bytes[148..152].try_into().unwrap()));
            places.push((Position::new(n as u64 + 1, first), n * 3 + 2));
            places.push((Position::new(n as u64 + 1, ends[n]), n * 3 + 3));
        }
        let (promise, at_least) = places[promised.index(places.len())];
        for (file, at, len, value) in &damage {
            let path = path_of(file_id(*file));
            let mut bytes = fs.get(&path);
            let at = at.index(bytes.len());
            let end = (at + len).min(bytes.len());
            bytes[at..end].fill(*value);
            fs.put(&path, &bytes);
        }
        if let Some((file, at)) = truncate {
            let path = path_of(file_id(file));
            let bytes = fs.get(&path);
            fs.put(&path, &bytes[..at.index(bytes.len())]);
        }
        let known = Known { promise, ..Known::default() };
        match recover_twice(&fs, &known) {
            Ok((_, changes)) => {
                prop_assert!(changes.len() >= at_least);
                prop_assert_eq!(&changes[..], &all[..changes.len()]);
            }
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Corrupt),
        }
    }
}
