//! The bytes: golden file, torn files, flipped bits, unknown edits.

use proptest::prelude::*;

use super::super::edit::{BadEdit, Edit as E};
use super::super::frame::{self, FrameHeader, FrameKind};
use super::super::replay::{Found, HEADER_LEN, Replayed, decode, encode_header};
use super::super::snapshot;
use super::*;

/// A state with something of everything, and the commits that lead to it. The first is the snapshot.
fn history() -> Vec<Vec<Edit>> {
    let plain = TableInfo { keyspace: 1, entities: 0, ..table(12, 0, ["a", "b"], [3, 9]) };
    vec![
        vec![Edit::NextFile(65), Edit::Epoch(1), Edit::Incarnation(99)],
        vec![
            Edit::Intent { id: id(11), kind: FileKind::RevisionTable },
            Edit::Intent { id: id(12), kind: FileKind::PlainTable },
            Edit::Intent { id: id(13), kind: FileKind::Pack },
        ],
        vec![
            Edit::AddValueFile(segment(3, [1, 10])),
            Edit::AddTable(table(11, 0, ["Q1", "Q9"], [1, 9])),
            Edit::AddTable(plain),
            flushed(9),
            Edit::SetFlushed { keyspace: 1, sequence: 9 },
            Edit::SetPromise { file: 3, offset: 4096, sequence: 77 },
        ],
        vec![
            Edit::SetLive { id: id(3), live_bytes: 5 },
            Edit::AddHolder(Holder { path: "/backup/ä".into(), sequence: 9, erased_up_to: 4, made: -1 }),
            Edit::AddHolder(Holder { path: "/gone".into(), sequence: 2, erased_up_to: 0, made: 1 }),
            Edit::SetOption { key: "view.links".into(), value: Bytes::from_static(b"mark") },
            Edit::Unknown { tag: 0x3f, body: Bytes::from_static(b"later") },
        ],
        vec![
            Edit::MoveTable { keyspace: 0, id: id(11), level: 2 },
            Edit::RemoveTable { keyspace: 1, id: id(12) },
            Edit::IntentDone(id(13)),
            Edit::RemoveHolder { path: "/gone".into() },
            Edit::Epoch(2),
            Edit::Incarnation(100),
            Edit::NextFile(129),
        ],
        vec![
            Edit::AddValueFile(segment(14, [11, 20])),
            Edit::AddValueFile(segment(15, [21, 20])),
            Edit::Intent { id: FileId { epoch: 2, number: 16 }, kind: FileKind::ViewCheckpoint },
        ],
        vec![Edit::RemoveValueFile(id(15)), Edit::Deleted(id(12))],
        vec![Edit::SetPackedEnd(PackedEnd {
            id: id(3),
            len: 8192,
            sequence: 10,
            checksum: 0xdead_beef,
            commit_time: -7,
        })],
    ]
}

/// Every edit that there is.
pub(in crate::manifest) fn all_edits() -> Vec<Edit> {
    let obsolete = Edit::Obsolete { id: id(4), kind: FileKind::Segment };
    history().into_iter().flatten().chain([obsolete]).collect()
}

/// A manifest file as the writer makes it, and where each frame starts.
fn file() -> (Vec<u8>, Vec<usize>) {
    let salt = 0x0123_4567_89ab_cdef;
    let (mut bytes, mut chain) = encode_header(STORE, id(2), salt);
    let mut starts = Vec::new();
    for (at, edits) in history().iter().enumerate() {
        let kind = if at == 0 { FrameKind::Snapshot } else { FrameKind::Edits };
        let payload = snapshot::payload(edits);
        let number = at as u64 + 5;
        let before = if at == 0 { 0 } else { bytes.len() as u64 - 32 };
        let header = FrameHeader { kind, len: payload.len(), number, synced: before, predecessor: chain };
        starts.push(bytes.len());
        let (frame, checksum) = frame::encode(salt, bytes.len() as u64, header, &payload);
        bytes.extend_from_slice(&frame);
        let synced = bytes.len() as u64;
        let header = FrameHeader { kind: FrameKind::Promise, len: 0, number, synced, predecessor: checksum };
        starts.push(bytes.len());
        let (frame, checksum) = frame::encode(salt, synced, header, &[]);
        bytes.extend_from_slice(&frame);
        chain = checksum;
    }
    (bytes, starts)
}

fn read(bytes: &[u8]) -> Result<Found> {
    decode(Path::new("00000001-00000002.manifest"), id(2), bytes)
}

fn whole(bytes: &[u8]) -> Replayed {
    match read(bytes).unwrap() {
        Found::Whole(read) => *read,
        Found::Incomplete(error) => panic!("{error}"),
    }
}

/// The states after 0, 1, … commits.
fn states() -> Vec<State> {
    let (bytes, starts) = file();
    let ends = starts.iter().skip(1).step_by(2);
    ends.map(|end| whole(&bytes[..*end]).state).collect()
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a golden file")]
fn the_format_is_that_of_the_golden_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/manifest.bin");
    let (bytes, _) = file();
    if std::env::var_os("RECENSION_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(golden == bytes, "the bytes that are written have changed");
    let read = whole(&golden);
    assert!(read.clean);
    assert_eq!(read.number, 12);
    assert_eq!(read.state.packed_end.map(|end| (end.sequence, end.commit_time)), Some((10, -7)));
    let state = &read.state;
    assert_eq!((state.incarnation, state.epoch, state.next_file), (100, 2, 129));
    assert_eq!(state.tables.len(), 1);
    assert_eq!(state.tables[&(0, id(11))], table(11, 2, ["Q1", "Q9"], [1, 9]));
    let live = ValueFileInfo { live_bytes: 5, ..segment(3, [1, 10]) };
    assert_eq!(state.value_files.values().collect::<Vec<_>>(), [&live, &segment(14, [11, 20])]);
    assert_eq!(state.obsolete, [(id(15), FileKind::Segment)].into());
    assert_eq!(state.intents, [(FileId { epoch: 2, number: 16 }, FileKind::ViewCheckpoint)].into());
    assert_eq!(state.holders, [Holder { path: "/backup/ä".into(), sequence: 9, erased_up_to: 4, made: -1 }]);
    assert_eq!(state.options["view.links"], "mark");
    assert_eq!(state.kept, [(0x3f, Bytes::from_static(b"later"))]);
    assert_eq!((state.promise, state.promise_sequence), ((3, 4096), 77));
}

#[test]
fn a_file_torn_at_any_byte_gives_the_commits_before() {
    let (bytes, starts) = file();
    let states = states();
    for len in 0..bytes.len() {
        let frames = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= len).count();
        match read(&bytes[..len]).unwrap_or_else(|e| panic!("torn at {len}: {e}")) {
            Found::Incomplete(_) => assert_eq!(frames, 0, "torn at {len}"),
            Found::Whole(read) => {
                assert_eq!(read.state, states[(frames - 1) / 2], "torn at {len}");
                let at_an_end = starts.contains(&len);
                assert_eq!(read.clean, at_an_end && frames % 2 == 0, "torn at {len}");
            }
        }
    }
}

#[test]
fn a_torn_file_that_was_filled_up_with_zeros_gives_the_commits_before() {
    let (bytes, starts) = file();
    let states = states();
    for cut in HEADER_LEN..bytes.len() {
        let mut torn = bytes.clone();
        torn[cut..].fill(0);
        // Zeros that were there before do not count as torn.
        let ends = starts.iter().copied().skip(1).chain([bytes.len()]);
        let frames = ends.filter(|end| bytes[..*end] == torn[..*end]).count();
        match (read(&torn).unwrap_or_else(|e| panic!("cut at {cut}: {e}")), frames) {
            (Found::Incomplete(_), frames) => assert_eq!(frames, 0, "cut at {cut}"),
            (Found::Whole(read), frames) => assert_eq!(read.state, states[(frames - 1) / 2], "cut at {cut}"),
        }
    }
}

#[test]
fn no_flipped_bit_drops_a_commit_or_gives_a_wrong_state() {
    let (bytes, starts) = file();
    let states = states();
    let last_promise = *starts.last().unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match read(&bad) {
            Err(Error::Corrupt(damage)) => {
                assert!(bit / 8 >= HEADER_LEN && bit / 8 < last_promise, "bit {bit}: {damage:?}");
                let start = *starts.iter().rfind(|start| **start <= bit / 8).unwrap();
                assert_eq!(damage.offset, start as u64, "bit {bit}");
                assert!(damage.affected.contains("tables and value files"));
            }
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(Found::Incomplete(error)) => {
                assert!(bit / 8 < HEADER_LEN, "bit {bit}: {error}");
                assert_eq!(error.kind(), ErrorKind::Corrupt);
            }
            Ok(Found::Whole(read)) => {
                assert!(bit / 8 >= last_promise, "bit {bit}");
                assert_eq!(Some(&read.state), states.last());
                assert!(!read.clean && read.cut.is_some(), "bit {bit}");
            }
        }
    }
}

#[test]
fn without_its_promise_damage_to_the_last_commit_is_a_torn_tail_and_any_other_damage_is_found() {
    let (bytes, starts) = file();
    let states = states();
    let [.., before_last, last, promise] = starts[..] else { panic!() };
    for bit in HEADER_LEN * 8..promise * 8 {
        let mut bad = bytes[..promise].to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        match read(&bad) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}");
                // A length that has become smaller leaves bytes behind the frame.
                let is_length = (last..last + 4).contains(&(bit / 8));
                assert!(bit / 8 < before_last || is_length, "bit {bit}: {error}");
            }
            Ok(Found::Incomplete(error)) => panic!("bit {bit}: {error}"),
            // The promise before is not durable while the last commit is being written: the same as torn.
            Ok(Found::Whole(read)) => {
                assert!(bit / 8 >= before_last, "bit {bit}");
                assert_eq!(read.state, states[states.len() - 2]);
                let cut = read.cut.unwrap();
                assert_eq!(cut.offset, if bit / 8 < last { before_last } else { last } as u64);
                assert_eq!(cut.frames, u64::from(bit / 8 < last), "bit {bit}");
            }
        }
    }
}

#[test]
fn bytes_behind_a_damaged_commit_show_that_it_was_durable() {
    let (mut bytes, starts) = file();
    let [.., last, promise] = starts[..] else { panic!() };
    bytes[last + 33] ^= 1;
    // The promise is damaged too, but it is there.
    bytes[promise + 5] ^= 1;
    assert_eq!(read(&bytes).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn any_set_of_bytes_of_the_last_commit_is_a_torn_tail() {
    let (mut bytes, starts) = file();
    let states = states();
    let [.., last, promise] = starts[..] else { panic!() };
    bytes.truncate(promise);
    for seed in 0..20_000_u64 {
        // Whole but for one part, or by chance: both can leave a header that says less than is there.
        let keep = |i: usize| match seed {
            0..=1023 => i - last != seed as usize / 8 && i - last != 1 + seed as usize % 8,
            _ => !mix(seed, i as u64).is_multiple_of(1 + seed % 7),
        };
        let mut torn = bytes.clone();
        (last..promise).filter(|i| !keep(*i)).for_each(|i| torn[i] = 0);
        if torn != bytes {
            let read = whole(&torn);
            assert_eq!(read.state, states[states.len() - 2], "seed {seed}");
        }
    }
}

fn mix(seed: u64, n: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&n.to_le_bytes(), seed)
}

#[test]
fn a_frame_of_another_place_or_file_is_not_taken() {
    let (bytes, starts) = file();
    let salt = 0x0123_4567_89ab_cdef;
    let [.., last, _] = starts[..] else { panic!() };
    assert!(frame::read(&bytes, salt, last).is_some());
    assert!(frame::read(&bytes, salt + 1, last).is_none());
    let mut moved = vec![0; 8];
    moved.extend_from_slice(&bytes);
    assert!(frame::read(&moved, salt, last + 8).is_none());
}

#[test]
fn an_unknown_edit_below_the_line_is_kept_and_one_above_is_unsupported() {
    let mut payload = Vec::new();
    E::Unknown { tag: 0x20, body: Bytes::from_static(b"x") }.encode(&mut payload);
    assert_eq!(E::decode_all(&payload).unwrap(), [E::Unknown { tag: 0x20, body: Bytes::from_static(b"x") }]);
    for tag in [0x60, 0x61, 0x1000] {
        let mut payload = Vec::new();
        E::Unknown { tag, body: Bytes::new() }.encode(&mut payload);
        assert!(matches!(E::decode_all(&payload), Err(BadEdit::Unsupported(_))), "{tag:#x}");
    }
}

#[test]
fn more_fields_flags_or_kinds_than_are_known_are_unsupported() {
    // NextFile(5) with a byte behind it; AddTable with flag 1; Intent of kind 99.
    for payload in [&[0x48, 2, 5, 0][..], &[0x40, 1, 1], &[0x49, 3, 1, 9, 99]] {
        assert!(matches!(E::decode_all(payload), Err(BadEdit::Unsupported(_))), "{payload:?}");
    }
}

#[test]
fn a_newer_format_version_is_unsupported_and_not_an_unfinished_file() {
    let (mut bytes, _) = file();
    bytes[10] = 2;
    let checksum = crate::codec::crc(&bytes[..60]);
    bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(read(&bytes).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_snapshot_says_all_of_a_state() {
    for state in states() {
        let mut again = State { store: state.store, ..State::default() };
        let edits = snapshot::edits(&state);
        let edits = E::decode_all(&snapshot::payload(&edits)).unwrap();
        let role = super::super::apply::Role::Snapshot;
        super::super::apply::apply(&mut again, &Default::default(), role, &edits).unwrap();
        assert_eq!(again, state);
    }
}

proptest! {
    #[test]
    fn garbage_does_not_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = E::decode_all(&bytes);
        for tag in [0x01, 0x40, 0x43, 0x4f] {
            let mut payload = vec![tag];
            crate::codec::put_bytes(&mut payload, &bytes);
            let _ = E::decode_all(&payload);
        }
        let (mut file, starts) = file();
        file.truncate(starts[4]);
        file.extend_from_slice(&bytes);
        let _ = read(&file);
        let _ = read(&bytes);
    }
}
