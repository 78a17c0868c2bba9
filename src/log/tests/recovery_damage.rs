use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::*;

use super::mem_fs::MemFs;
use super::recovery_support::*;
use super::support::*;
use crate::ErrorKind;
use crate::log::*;

#[test]
fn a_log_torn_at_any_byte_ends_before_the_torn_frame() {
    for make in [mixed, unpromised, grouped] {
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
    for make in [mixed, unpromised, grouped] {
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
            let result = match bit % 8 {
                0 => recover_twice(&fs, &Known::default()),
                _ => Known::default().recover(&fs, WRITE),
            };
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
        assert_eq!(recovered.sealed[..], std::slice::from_ref(&info)[..], "byte {byte}");
        assert!(fs.get(&log.path()) == sealed, "byte {byte}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
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
        for (n, end) in ends.iter().enumerate() {
            let path = path_of(file_id(n as u64 + 1));
            let bytes = fs.get(&path);
            let first = 144 + u64::from(u32::from_le_bytes(bytes[148..152].try_into().unwrap()));
            places.push((Position::new(n as u64 + 1, first), n * 3 + 2));
            places.push((Position::new(n as u64 + 1, *end), n * 3 + 3));
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
