use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::mem_fs::MemFs;
use super::support::*;
use crate::ErrorKind;
use crate::codec::FileId;
use crate::log::*;
use crate::model::Address;

fn addresses() -> impl Iterator<Item = Address> {
    (0..=10).flat_map(|sequence| (0..3).map(move |slot| Address { sequence, slot }))
}

#[test]
fn a_sealed_segment_answers_like_the_unsealed_one() {
    for block_records in [1, 2, 3, 4, 9, 512] {
        let fs = MemFs::new();
        let log = mixed(&fs);
        let info = seal_all(&log, block_records);
        assert_eq!((info.sequence_first, info.sequence_last, info.records), (1, 9, 9));
        assert_eq!(info.last_checksum, log.checksum);
        let sealed = open(&fs, &info);
        for address in addresses() {
            match log.segment.read_content(address) {
                Ok(content) => {
                    assert_eq!(sealed.read_content(address).unwrap(), content);
                    assert_eq!(sealed.digest(address).unwrap(), log.segment.digest(address).unwrap());
                }
                Err(_) => {
                    assert_eq!(sealed.read_content(address).unwrap_err().kind(), ErrorKind::Corrupt);
                    assert!(sealed.digest(address).is_err());
                }
            }
        }
        for after in 0..=10 {
            for up_to in 0..=10 {
                let expected: Vec<_> =
                    log.segment.clone().changes(after, up_to).map(Result::unwrap).collect();
                let got: Vec<_> = sealed.clone().changes(after, up_to).map(Result::unwrap).collect();
                assert_eq!(got, expected, "{block_records} {after} {up_to}");
            }
        }
    }
}

#[test]
fn a_large_segment_finds_every_content_through_several_blocks() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for n in 0..120 {
        log.commit((0..5).map(|m| put(&format!("Q{m}"), &format!("{n} {m}"))).collect());
    }
    let sealed = open(&fs, &seal_all(&log, 64));
    for sequence in 1..=600_u64 {
        let address = Address { sequence, slot: 0 };
        let expected = format!("{} {}", (sequence - 1) / 5, (sequence - 1) % 5);
        assert_eq!(sealed.read_content(address).unwrap(), expected);
        assert_eq!(sealed.digest(address).unwrap(), log.segment.digest(address).unwrap());
    }
    assert_eq!(all_changes(sealed), log.changes());
}

#[test]
fn sealing_again_writes_the_same_bytes() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let info = seal_all(&log, 4);
    let bytes = fs.get(&log.path());
    assert_eq!(info.len, bytes.len() as u64);
    assert_eq!(seal_all(&log, 4), info);
    assert_eq!(fs.get(&log.path()), bytes);
}

#[test]
fn sealing_survives_a_crash_at_every_byte_of_the_tail() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let info = seal_all(&log, 4);
    let bytes = fs.get(&log.path());
    let end = log.segment.end() as usize;
    for cut in end..bytes.len() {
        // The rest was never written; the file may have its full length, a longer (reserved) one, or a short one.
        for len in [cut, bytes.len(), bytes.len() + 4096] {
            let mut torn = bytes[..cut].to_vec();
            torn.resize(len, 0);
            fs.put(&log.path(), &torn);
            assert_eq!(seal_all(&log, 4), info);
            assert!(fs.get(&log.path()) == bytes, "cut {cut} len {len}");
        }
        // The front was not written, the rest was.
        let mut torn = bytes.clone();
        torn[end..cut].fill(0);
        fs.put(&log.path(), &torn);
        assert_eq!(seal_all(&log, 4), info);
        assert!(fs.get(&log.path()) == bytes, "front {cut}");
    }
}

#[test]
fn a_segment_without_changes_or_with_damaged_frames_is_not_sealed() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    log.promise();
    assert_eq!(try_seal(&log, 4).unwrap_err().kind(), ErrorKind::Invalid);

    let fs = MemFs::new();
    let log = mixed(&fs);
    crate::env::write_all_at(&**log.segment.file(), &[0xff], log.frames[2].0 + 100).unwrap();
    assert_eq!(try_seal(&log, 4).unwrap_err().kind(), ErrorKind::Corrupt);
}

/// Everything that can be asked of a segment; an error is one answer.
fn answers(
    fs: &Arc<MemFs>,
    info: &crate::manifest::ValueFileInfo,
    stored: &[Address],
) -> Vec<crate::Result<Answer>> {
    let sealed = match SealedSegment::open(&**fs, &path_of(info.id), info, &STORE, None) {
        Ok(sealed) => Arc::new(sealed),
        Err(error) => return vec![Err(error)],
    };
    let mut answers: Vec<_> = sealed.clone().changes(0, u64::MAX).map(|c| c.map(Answer::Change)).collect();
    for address in stored.iter().copied() {
        answers.push(sealed.read_content(address).map(Answer::Content));
        answers.push(sealed.digest(address).map(Answer::Digest));
    }
    answers
}

/// Where the contents of a log are.
fn stored(log: &Writer) -> Vec<Address> {
    let mut all = Vec::new();
    for change in log.changes() {
        if let Change::Revision { digests, .. } = &change.change {
            let slots = 0..digests.len() as u16;
            all.extend(slots.map(|slot| Address { sequence: change.sequence, slot }));
        }
    }
    all
}

#[derive(Debug, PartialEq)]
enum Answer {
    Change(LoggedChange),
    Content(Bytes),
    Digest(crate::model::Digest),
}

#[test]
fn a_flipped_bit_anywhere_gives_an_error_or_the_right_answer() {
    for make in [mixed, grouped] {
        flip_every_bit(make);
    }
}

fn flip_every_bit(make: fn(&Arc<MemFs>) -> Writer) {
    let fs = MemFs::new();
    let log = make(&fs);
    let info = seal_all(&log, 4);
    let bytes = fs.get(&log.path());
    let stored = stored(&log);
    let right: Vec<_> = answers(&fs, &info, &stored).into_iter().map(Result::unwrap).collect();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs.put(&log.path(), &bad);
        let mut wrong = 0;
        for answer in answers(&fs, &info, &stored) {
            match answer {
                Ok(answer) => assert!(right.contains(&answer), "bit {bit}: {answer:?}"),
                Err(error) => {
                    wrong += 1;
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
                }
            }
        }
        // Frames are not read (their units are); everything in the tail but its mark and padding is under some checksum.
        let end = log.segment.end() as usize;
        let in_tail = bit / 8 >= end + 16 && bit / 8 < bytes.len() - TRAILER_LEN - 8;
        assert!(wrong > 0 || !in_tail, "bit {bit} of byte {} (tail at {end})", bit / 8);
    }
}

#[test]
fn a_sealed_segment_cut_or_grown_anywhere_is_refused() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let mut info = seal_all(&log, 4);
    let bytes = fs.get(&log.path());
    for cut in 0..bytes.len() {
        fs.put(&log.path(), &bytes[..cut]);
        for len in [info.len, cut as u64] {
            info.len = len;
            let result = SealedSegment::open(&*fs, &log.path(), &info, &STORE, None);
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt);
        }
        info.len = bytes.len() as u64;
    }
}

#[test]
fn a_segment_that_is_not_the_one_in_the_manifest_is_refused() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let info = seal_all(&log, 4);
    let open = |info: &crate::manifest::ValueFileInfo, store: &[u8; 16]| {
        SealedSegment::open(&*fs, &log.path(), info, store, None).map(drop).map_err(|e| e.kind())
    };
    assert_eq!(open(&info, &STORE), Ok(()));
    assert_eq!(open(&info, &[1; 16]), Err(ErrorKind::Corrupt));
    let other = crate::manifest::ValueFileInfo { last_checksum: 1, ..info.clone() };
    assert_eq!(open(&other, &STORE), Err(ErrorKind::Corrupt));
    let other = crate::manifest::ValueFileInfo { sequence_last: 10, ..info.clone() };
    assert_eq!(open(&other, &STORE), Err(ErrorKind::Corrupt));
    let other = crate::manifest::ValueFileInfo { id: file_id(2), ..info };
    assert_eq!(open(&other, &STORE), Err(ErrorKind::Corrupt));
}

#[derive(Default)]
struct MapCache {
    blocks: Mutex<BTreeMap<(FileId, u64), Bytes>>,
    hits: AtomicUsize,
}

impl BlockCache for MapCache {
    fn get(&self, file: FileId, offset: u64) -> Option<Bytes> {
        let block = self.blocks.lock().get(&(file, offset)).cloned();
        self.hits.fetch_add(usize::from(block.is_some()), Ordering::SeqCst);
        block
    }

    fn put(&self, file: FileId, offset: u64, block: Bytes) {
        self.blocks.lock().insert((file, offset), block);
    }
}

#[test]
fn locators_and_digests_are_read_through_the_cache() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let info = seal_all(&log, 4);
    let cache = Arc::new(MapCache::default());
    let sealed = SealedSegment::open(&*fs, &log.path(), &info, &STORE, Some(cache.clone())).unwrap();
    let address = Address { sequence: 9, slot: 0 };
    for _ in 0..3 {
        assert_eq!(sealed.read_content(address).unwrap(), "back again");
        assert_eq!(sealed.digest(address).unwrap(), log.segment.digest(address).unwrap());
    }
    assert_eq!(cache.blocks.lock().len(), 2);
    assert_eq!(cache.hits.load(Ordering::SeqCst), 7);
}
