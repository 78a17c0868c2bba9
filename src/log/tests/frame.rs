use std::sync::Arc;

use bytes::Bytes;

use super::mem_fs::MemFs;
use super::support::*;
use crate::log::*;
use crate::model::*;
use crate::{ErrorKind, limits};

fn decode(bytes: &[u8], at: u64) -> Result<(FrameHead, Vec<DecodedRecord>), Fault> {
    let header = bytes.get(..FRAME_HEADER_LEN).ok_or(Fault::Unsupported("short".into()))?;
    let metadata_len = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
    let metadata = bytes[FRAME_HEADER_LEN..].get(..metadata_len).unwrap_or_default();
    let head = FrameHead::decode(header, metadata, at)?;
    let records = decode_records(&head, &Bytes::copy_from_slice(metadata), at)?;
    Ok((head, records))
}

#[test]
fn the_rows_of_a_draft_are_those_that_are_read_back() {
    let fs = MemFs::new();
    let mut log = mixed(&fs);
    let frame =
        log.commit(vec![put("Q9", "text"), delete("Q1"), reuse("Main Page", "Hello, world"), hide("Q9")]);
    let (head, records) = decode(frame.bytes(), frame.place().offset).unwrap();
    assert_eq!(head.len as usize, frame.len());
    assert_eq!(head.promise, frame.place().promise);
    for (index, record) in records.iter().enumerate() {
        assert_eq!(record.change.sequence, frame.sequence(index));
        assert_eq!(record.change.commit_rest, frame.commit_rest(index));
        match (&record.change.change, frame.row(index)) {
            (Change::Revision { entity, row, .. }, Some(expected)) => {
                assert_eq!((entity, row), (&expected.0, &expected.1));
            }
            (Change::Annotation(note), None) => {
                assert_eq!(frame.records()[index], RecordDraft::Annotation(note.clone()));
            }
            other => panic!("{other:?}"),
        }
    }
    let contents: Vec<_> = records.iter().flat_map(|r| r.contents.clone()).collect();
    assert_eq!(contents, frame.contents().collect::<Vec<_>>());
}

#[test]
fn the_records_of_a_run_are_commits_of_their_own() {
    let mut log = Writer::new(&MemFs::new());
    let frame = log.frame(FrameKind::Run, vec![put("Q1", "a"), put("Q1", "b")]);
    assert_eq!((frame.commit_rest(0), frame.commit_rest(1)), (0, 0));
    let frame = log.commit(vec![put("Q1", "a"), put("Q1", "b")]);
    assert_eq!((frame.commit_rest(0), frame.commit_rest(1)), (1, 0));
}

#[test]
fn a_frame_has_its_length_before_it_has_its_numbers() {
    for content in ["", "a", "seven b", "eight by", &"long ".repeat(1000)] {
        let mut frame = FrameDraft::new(FrameKind::Commit, vec![put("Q1", content)]).unwrap();
        let len = frame.len();
        assert!(len.is_multiple_of(FRAME_GRID));
        frame.set_numbers(0, Numbers { number: 1 << 60, parent: 7, effective_time: i64::MIN });
        frame.finish(&FramePlace { first_sequence: 1 << 50, ..FramePlace::default() });
        assert_eq!(frame.bytes().len(), len);
    }
}

#[test]
fn a_frame_can_be_finished_again_for_another_place() {
    let mut once = FrameDraft::new(FrameKind::Commit, vec![put("Q1", "a")]).unwrap();
    once.set_numbers(0, Numbers { number: 1, parent: 0, effective_time: 5 });
    let mut twice = FrameDraft::new(FrameKind::Commit, vec![put("Q1", "a")]).unwrap();
    twice.set_numbers(0, Numbers { number: 9, parent: 8, effective_time: 5 });
    twice.finish(&FramePlace { offset: 800, first_sequence: 3, salt: 1, ..FramePlace::default() });
    twice.set_numbers(0, Numbers { number: 1, parent: 0, effective_time: 5 });
    let place = FramePlace { offset: 144, first_sequence: 1, ..FramePlace::default() };
    assert_eq!(once.finish(&place), twice.finish(&place));
    assert_eq!(once.bytes(), twice.bytes());
}

#[test]
fn every_flipped_bit_of_header_or_metadata_is_noticed() {
    let mut log = mixed(&MemFs::new());
    let frame = log.commit(vec![put("Q9", "text"), hide("Q9")]);
    let at = frame.place().offset;
    let (head, _) = decode(frame.bytes(), at).unwrap();
    for bit in 0..head.units_at() * 8 {
        let mut bad = frame.bytes().to_vec();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(decode(&bad, at), Err(Fault::Malformed(_))), "bit {bit}");
    }
}

#[test]
fn a_misplaced_frame_or_one_of_another_segment_never_passes() {
    let fs = MemFs::new();
    let mut log = mixed(&fs);
    let frame = log.commit(vec![put("Q9", "text")]);
    let at = frame.place().offset;
    assert!(decode(frame.bytes(), at).is_ok());
    for other in [0, 144, at - 8, at + 8, at + (1 << 32)] {
        assert!(decode(frame.bytes(), other).is_err(), "{other}");
    }
    let mut reader = FrameReader::new(Arc::clone(log.segment.file()));
    let salt = log.segment.header().salt;
    assert!(matches!(reader.frame_at(&log.path(), at, u64::MAX, Some(salt)).unwrap(), Found::Frame(_)));
    assert!(matches!(reader.frame_at(&log.path(), at, u64::MAX, Some(salt + 1)).unwrap(), Found::Nothing(_)));
}

#[test]
fn garbage_with_a_valid_checksum_is_an_error_not_a_panic() {
    let mut log = Writer::new(&MemFs::new());
    let frame = log.commit(vec![put("Q9", "text"), reuse("Q8", "x"), hide("Q9")]);
    let (head, _) = decode(frame.bytes(), frame.place().offset).unwrap();
    let metadata = &frame.bytes()[FRAME_HEADER_LEN..head.units_at()];
    for byte in 0..metadata.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bad = metadata.to_vec();
            bad[byte] = value;
            let _ = decode_records(&head, &Bytes::from(bad), 144);
        }
        let _ = decode_records(&head, &Bytes::copy_from_slice(&metadata[..byte]), 144);
    }
}

#[test]
fn a_frame_of_a_newer_version_is_unsupported() {
    let mut log = Writer::new(&MemFs::new());
    let frame = log.commit(vec![put("Q9", "text")]);
    for (at, value) in [(1_usize, 9_u8), (2, 2), (2, 4)] {
        let mut bytes = frame.bytes().to_vec();
        bytes[at] = value;
        let metadata_len = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let sum = crate::codec::crc_parts(&[
            &frame.place().offset.to_le_bytes(),
            &bytes[..28],
            &bytes[32..64 + metadata_len],
        ]);
        bytes[28..32].copy_from_slice(&sum.to_le_bytes());
        assert!(matches!(decode(&bytes, frame.place().offset), Err(Fault::Unsupported(_))));
    }
}

#[test]
fn limits_are_refused_with_a_clear_error() {
    let refused = |kind, records: Vec<RecordDraft>| {
        let error = FrameDraft::new(kind, records).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    refused(FrameKind::Commit, Vec::new());
    refused(FrameKind::Promise, vec![delete("Q1")]);
    let many = vec![delete("Q1"); limits::FRAME_RECORDS_MAX + 1];
    assert!(refused(FrameKind::Commit, many).contains("16384"));
    let change = |f: &dyn Fn(&mut RecordDraft)| {
        let mut record = put("Q1", "x");
        f(&mut record);
        refused(FrameKind::Commit, vec![record])
    };
    change(&|record| {
        if let RecordDraft::Revision { units, .. } = record {
            *units = vec![units[0].clone(); 65];
        }
    });
    change(&|record| {
        if let RecordDraft::Revision { units, .. } = record {
            units.clear();
        }
    });
    change(&|record| {
        if let RecordDraft::Revision { kind, .. } = record {
            *kind = RevisionKind::Delete;
        }
    });
    change(&|record| {
        if let RecordDraft::Revision { cold, .. } = record {
            *cold = Bytes::from(vec![0; limits::FIELDS_LEN_MAX + 1]);
        }
    });
    change(&|record| {
        if let RecordDraft::Revision { cold, .. } = record {
            *cold = Bytes::from_static(b"\x01\x09abc");
        }
    });
    let big = UnitDraft {
        codec: crate::codec::Codec::Raw,
        raw_len: 9 << 20,
        digest: Digest::of(b""),
        stored: Bytes::from(vec![0; 9 << 20]),
        raw_crc: 0,
        group: None,
    };
    let mut record = put("Q1", "x");
    if let RecordDraft::Revision { units, .. } = &mut record {
        units[0] = big;
    }
    assert!(refused(FrameKind::Commit, vec![record.clone(), record]).contains("split"));
}

#[test]
fn the_largest_content_with_the_longest_name_and_fields_fits() {
    let unit = UnitDraft {
        codec: crate::codec::Codec::Raw,
        raw_len: limits::CONTENT_LEN_MAX as u32,
        digest: Digest::of(b""),
        stored: Bytes::from(vec![0; limits::CONTENT_LEN_MAX]),
        raw_crc: 0,
        group: None,
    };
    let mut cold = vec![1];
    crate::codec::put_bytes(&mut cold, &vec![b'a'; limits::FIELDS_LEN_MAX - 4]);
    let record = RecordDraft::Revision {
        entity: Entity::new(vec![b'x'; limits::ENTITY_LEN_MAX]).unwrap(),
        kind: RevisionKind::Put,
        flags: Flags::default(),
        authored_time: Some(i64::MIN),
        content: MainContent::Stored,
        units: vec![unit],
        cold: cold.into(),
    };
    assert!(FrameDraft::new(FrameKind::Commit, vec![record]).is_ok());
}
