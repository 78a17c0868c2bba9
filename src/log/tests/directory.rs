use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::mem_fs::MemFs;
use super::support::*;
use crate::log::*;
use crate::model::*;

#[derive(Clone, Debug)]
struct Edit {
    entity: u8,
    shape: u8,
    number: u64,
    parent: u64,
    authored: Option<i64>,
    effective: i64,
    flags: u16,
    cold: Vec<(u8, Vec<u8>)>,
    slots: usize,
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), (0_i64..2_000_000_000).prop_map(|s| s * 1_000_000)]
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![1_u64..50, 1..=crate::limits::REVISION_NUMBER_MAX]
}

fn edit() -> impl Strategy<Value = Edit> {
    let cold = proptest::collection::vec((1_u8..12, proptest::collection::vec(0_u8..3, 0..4)), 0..5);
    (
        0_u8..4,
        0_u8..5,
        number(),
        any::<u64>(),
        proptest::option::of(time()),
        time(),
        any::<u16>(),
        cold,
        0_usize..4,
    )
        .prop_map(|(entity, shape, number, parent, authored, effective, flags, cold, slots)| Edit {
            entity,
            shape,
            number,
            parent,
            authored,
            effective,
            flags,
            cold,
            slots,
        })
}

fn record(edit: &Edit) -> RecordDraft {
    let name = format!("entity {}", edit.entity);
    if edit.shape == 4 {
        return match edit.flags % 2 {
            0 => hide(&name),
            _ => forget(&name, usize::from(edit.flags / 2)),
        };
    }
    let mut cold = Vec::new();
    for (tag, value) in &edit.cold {
        crate::codec::put_varint(&mut cold, u64::from(*tag) * 50);
        crate::codec::put_bytes(&mut cold, value);
    }
    let mut units: Vec<_> = (0..edit.slots)
        .map(|n| UnitDraft::new(Bytes::from(vec![b'x'; n * usize::from(edit.flags) / 64])))
        .collect();
    let content = match edit.shape {
        0 | 3 => MainContent::None,
        1 => {
            let digest = Digest::of(&cold);
            let address = Address { sequence: 1, slot: edit.flags };
            MainContent::Reused(ContentRef { address, len: u32::from(edit.flags), tag: digest.tag() }, digest)
        }
        _ => {
            units.push(UnitDraft::new(Bytes::from_static(b"main")));
            MainContent::Stored
        }
    };
    RecordDraft::Revision {
        entity: entity(&name),
        kind: if edit.shape == 3 { RevisionKind::Delete } else { RevisionKind::Put },
        flags: Flags(edit.flags),
        authored_time: edit.authored,
        content,
        units,
        cold: cold.into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_logged_reads_the_same_from_frames_and_from_the_directory(
        commits in proptest::collection::vec(proptest::collection::vec(edit(), 1..6), 1..8),
        block_records in 1_u32..9,
    ) {
        let fs = MemFs::new();
        let mut log = Writer::new(&fs);
        log.commit(vec![put("first", "so that there is something to reuse")]);
        for (index, edits) in commits.iter().enumerate() {
            let kind = if index % 3 == 2 { FrameKind::Run } else { FrameKind::Commit };
            let mut frame = FrameDraft::new(kind, edits.iter().map(record).collect()).unwrap();
            for (index, edit) in edits.iter().enumerate() {
                let numbers =
                    Numbers { number: edit.number, parent: edit.parent, effective_time: edit.effective };
                frame.set_numbers(index, numbers);
            }
            let place = FramePlace {
                salt: log.segment.header().salt,
                offset: log.segment.end(),
                prev_checksum: log.checksum,
                first_sequence: log.next_sequence,
                commit_time: log.time + edits[0].number.min(1 << 40) as i64,
                promise: Position::NONE,
            };
            log.checksum = frame.finish(&place);
            log.next_sequence += edits.len() as u64;
            crate::env::write_all_at(&**log.segment.file(), frame.bytes(), place.offset).unwrap();
            log.segment.push(&frame);
        }
        let from_frames = log.changes();
        prop_assert_eq!(from_frames.len() as u64, log.next_sequence - 1);
        let sealed = open(&fs, &seal_all(&log, block_records));
        prop_assert_eq!(&all_changes(Arc::clone(&sealed) as Arc<dyn ValueFile>), &from_frames);
        for change in &from_frames {
            if let Change::Revision { digests, .. } = &change.change {
                for (slot, digest) in digests.iter().enumerate() {
                    let address = Address { sequence: change.sequence, slot: slot as u16 };
                    prop_assert_eq!(sealed.digest(address).unwrap(), *digest);
                    prop_assert_eq!(Digest::of(&sealed.read_content(address).unwrap()), *digest);
                }
            }
        }
    }
}

/// A directory block whose two parts are these, with a valid checksum.
fn block_of(sequence: u64, records: u32, skeleton: &[u8], fields: &[u8]) -> Vec<u8> {
    use crate::codec::*;
    let (skeleton_packed, fields_packed) =
        (compress(Codec::Zstd, 1, skeleton), compress(Codec::Zstd, 1, fields));
    let mut header = Vec::new();
    put_u64(&mut header, sequence);
    for n in [records, skeleton_packed.len() as u32, skeleton.len() as u32] {
        put_u32(&mut header, n);
    }
    put_u32(&mut header, fields_packed.len() as u32);
    put_u32(&mut header, fields.len() as u32);
    header.extend_from_slice(&[Codec::Zstd as u8, 0, 0, 0, 0, 0, 0, 0]);
    let sum = Crc::new().number(7).number(500).bytes(&header).bytes(&skeleton_packed).bytes(&fields_packed);
    put_u32(&mut header, sum.finish());
    [header, skeleton_packed, fields_packed].concat()
}

#[test]
fn nonsense_with_a_valid_checksum_is_an_error_or_other_changes_but_never_a_panic() {
    use crate::codec::{Codec, decompress};
    let fs = MemFs::new();
    let log = mixed(&fs);
    let info = seal_all(&log, 512);
    let sealed = open(&fs, &info);
    let trailer = *sealed.trailer();
    let bytes = fs.get(&log.path());
    let block = &bytes[trailer.directory_at as usize..trailer.locators_at as usize];
    let field = |at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap()) as usize;
    let skeleton = decompress(Codec::Zstd, &block[40..40 + field(12)], field(16)).unwrap();
    let fields = decompress(Codec::Zstd, &block[40 + field(12)..], field(24)).unwrap();
    let digests: Vec<_> = log
        .changes()
        .into_iter()
        .flat_map(|change| match change.change {
            Change::Revision { digests, .. } => digests,
            Change::Annotation(_) | Change::Erased { .. } => Vec::new(),
        })
        .collect();
    let decode = |block: &[u8], digests: &[Digest]| {
        crate::log::tail::decode_block(block, 500, 7, crate::log::tail::Sequences::From(1), digests)
    };
    assert_eq!(decode(&block_of(1, 9, &skeleton, &fields), &digests).unwrap(), log.changes());
    assert!(decode(&block_of(1, 9, &skeleton, &fields), &digests[1..]).is_err());
    assert!(decode(&block_of(1, 8, &skeleton, &fields), &digests).is_err());
    assert!(decode(&block_of(1, 10, &skeleton, &fields), &digests).is_err());
    assert!(decode(&block_of(2, 9, &skeleton, &fields), &digests).is_err());
    for at in 0..skeleton.len() {
        for value in [0, 1, 0x55, 0x7f, 0x80, 0xff] {
            let mut bad = skeleton.clone();
            bad[at] = value;
            let _ = decode(&block_of(1, 9, &bad, &fields), &digests);
        }
        assert!(decode(&block_of(1, 9, &skeleton[..at], &fields), &digests).is_err());
    }
    for at in 0..fields.len() {
        for value in [0, 1, 0x55, 0x7f, 0x80, 0xff] {
            let mut bad = fields.clone();
            bad[at] = value;
            let _ = decode(&block_of(1, 9, &skeleton, &bad), &digests);
        }
        assert!(decode(&block_of(1, 9, &skeleton, &fields[..at]), &digests).is_err());
    }
}
