use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::support::*;
use crate::ErrorKind;
use crate::log::{Change, ValueFile};
use crate::model::Address;

fn history(revisions: usize) -> (Arc<MemFs>, Writer) {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for edit in 0..revisions {
        log.commit(vec![put("Page", &page(edit, 40))]);
    }
    (fs, log)
}

#[test]
fn a_pack_answers_like_the_segment_it_was_made_from() {
    for group_contents in [1, 2, 32] {
        for directory_records in [1, 2, 4, 9, 512] {
            let fs = MemFs::new();
            let log = mixed(&fs);
            let input = sealed(&log);
            let options = PackOptions { group_contents, directory_records, ..TEST };
            let (info, pack) = make(&fs, std::slice::from_ref(&input), &request(9, 1, 9, options));
            assert_eq!((info.records, info.last_checksum), (9, 77));
            assert_eq!(said_by_pack(&pack), said_by(std::slice::from_ref(&input)));
            for after in 0..=10 {
                for up_to in 0..=10 {
                    let expected: Vec<_> = input.file().changes(after, up_to).map(Result::unwrap).collect();
                    let got: Vec<_> = pack.clone().changes(after, up_to).map(Result::unwrap).collect();
                    assert_eq!(got, expected, "{after} {up_to}");
                }
            }
        }
    }
}

#[test]
fn a_content_that_is_not_there_is_an_error_and_not_another_one() {
    let fs = MemFs::new();
    let (_, pack) = make(&fs, &[sealed(&mixed(&fs))], &request(9, 1, 9, TEST));
    // Change 4 is an annotation, 8 a tombstone.
    for (sequence, slot) in [(0, 0), (4, 0), (8, 0), (10, 0), (1, 1), (9, 9), (u64::MAX, 0)] {
        let address = Address { sequence, slot };
        assert_eq!(pack.read_content(address).unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(pack.digest(address).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn a_walk_through_a_thousand_revisions_decodes_each_group_once() {
    let (fs, log) = history(1000);
    let (info, _) = make(&fs, &[sealed(&log)], &request(9, 1, 1000, TEST));
    let cache = Arc::new(MapCache::default());
    let pack = Arc::new(Pack::open(&*fs, &path_of(info.id), &info, &STORE, Some(cache.clone())).unwrap());
    assert_eq!(pack.trailer().groups, 1000_u64.div_ceil(32));
    for edit in (0..1000).rev() {
        let address = Address { sequence: edit as u64 + 1, slot: 0 };
        assert_eq!(pack.read_content(address).unwrap(), page(edit, 40));
    }
    // Nothing was put into the cache twice: two entries per group, and the blocks of locators and places.
    let puts = cache.puts.load(Ordering::SeqCst);
    assert_eq!(puts, cache.blocks.lock().len());
    assert_eq!(puts, 2 * 32 + 4 + 1);
}

#[test]
fn the_newest_content_needs_only_the_front_of_its_group() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for edit in 0..32 {
        log.commit(vec![put_bytes("Page", noise(edit, 20_000).slice(..10_000 + edit as usize))]);
    }
    // Pages that do not compress alone, but their group does, as each is there twice.
    for edit in 0..32 {
        log.commit(vec![put_bytes("Page", noise(edit, 20_000).slice(..10_000 + edit as usize))]);
    }
    let options = PackOptions { group_contents: 64, ..TEST };
    let (info, pack) = make(&fs, &[sealed(&log)], &request(9, 1, 64, options));
    let group = pack.group(0, String::new).unwrap();
    assert_eq!(group.header.members[0].address.sequence, 64);
    let front = group.stored.slice(..group.stored.len() / 10);
    assert_eq!(group.header.open(&front, 10_031).unwrap(), noise(31, 20_000).slice(..10_031));
    assert!(group.header.open(&front, group.header.raw_len as usize).is_err());
    // And nothing but locators goes into the cache for it.
    let cache = Arc::new(MapCache::default());
    let pack = Pack::open(&*fs, &path_of(info.id), &info, &STORE, Some(cache.clone())).unwrap();
    let newest = Address { sequence: 64, slot: 0 };
    assert_eq!(pack.read_alone(newest).unwrap(), noise(31, 20_000).slice(..10_031));
    assert_eq!(cache.puts.load(Ordering::SeqCst), 2);
}

#[test]
fn reused_contents_take_no_bytes() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let (_, pack) = make(&fs, &[sealed(&log)], &request(9, 1, 9, TEST));
    // Seven revisions with contents: six stored their own, one reused another and stored a further slot.
    let stored: usize = said_by_pack(&pack)
        .changes
        .iter()
        .map(|change| match &change.change {
            Change::Revision { digests, .. } => digests.len(),
            Change::Annotation(_) | Change::Erased { .. } => 0,
        })
        .sum();
    assert_eq!(pack.trailer().contents, stored as u64);
    assert!(pack.read_content(Address { sequence: 7, slot: 0 }).unwrap() == "info");
}

#[test]
fn another_file_than_the_manifests_is_refused() {
    let fs = MemFs::new();
    let (info, _) = make(&fs, &[sealed(&mixed(&fs))], &request(9, 1, 9, TEST));
    let open = |info: &crate::manifest::ValueFileInfo, store: &[u8; 16]| {
        Pack::open(&*fs, &path_of(file_id(9)), info, store, None).map(drop).map_err(|error| error.kind())
    };
    assert_eq!(open(&info, &STORE), Ok(()));
    assert_eq!(open(&info, &[1; 16]), Err(ErrorKind::Corrupt));
    // Of a part that is left of it between the steps of a merge it may be the file.
    let part = crate::manifest::ValueFileInfo { entity_first: "B".into(), ..info.clone() };
    assert_eq!(open(&part, &STORE), Ok(()));
    let changes: [fn(&mut crate::manifest::ValueFileInfo); 7] = [
        |info| info.generation += 1,
        |info| info.sequence_first += 1,
        |info| info.sequence_last += 1,
        |info| info.len += 1,
        |info| info.id.number += 1,
        |info| info.annotation_watermark += 1,
        |info| info.last_checksum += 1,
    ];
    for change in changes {
        let mut other = info.clone();
        change(&mut other);
        assert_eq!(open(&other, &STORE), Err(ErrorKind::Corrupt));
    }
}

#[test]
fn a_pack_of_a_segment_with_groups_copies_the_full_ones_and_answers_like_it() {
    let fs = MemFs::new();
    let input = sealed(&grouped(&fs));
    let last = said_by(std::slice::from_ref(&input)).changes.len() as u64;
    for group_contents in [2, 4, 32] {
        let options = PackOptions { group_contents, ..TEST };
        let request = request(20 + u64::from(group_contents), 1, last, options);
        let (_, pack) = make(&fs, std::slice::from_ref(&input), &request);
        assert_eq!(said_by_pack(&pack), said_by(std::slice::from_ref(&input)));
        let again = self::request(40 + u64::from(group_contents), 1, last, options);
        let (_, again) = make(&fs, std::slice::from_ref(&input), &again);
        assert!(behind_header(&fs, &pack) == behind_header(&fs, &again));
    }
}

#[test]
fn a_group_of_the_log_that_is_damaged_is_not_copied() {
    let fs = MemFs::new();
    let log = grouped(&fs);
    let info = seal_all(&log, 4);
    let bytes = fs.get(&log.path());
    let frames: Vec<usize> = bytes
        .windows(4)
        .enumerate()
        .filter(|(_, it)| *it == [0x28, 0xb5, 0x2f, 0xfd])
        .map(|it| it.0)
        .collect();
    let last = info.sequence_last;
    for at in &frames[..3] {
        let mut bad = bytes.clone();
        bad[at + 20] ^= 4;
        fs.put(&log.path(), &bad);
        let options = PackOptions { group_contents: 4, ..TEST };
        let error = try_make(&fs, &[sealed(&log)], &request(50 + *at as u64, 1, last, options)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("the content of change"), "{error}");
    }
}

#[test]
fn a_walk_through_a_group_of_a_segment_decodes_it_once_and_its_newest_content_nothing_more_than_the_front() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    let texts: Vec<String> = (0..32).map(|edit| crate::pack::tests::support::page(edit, 40)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    log.frame(crate::log::FrameKind::Run, together("Page", &texts));
    let info = seal_all(&log, 8);
    let cache = Arc::new(MapCache::default());
    let opened = crate::log::SealedSegment::open(&*fs, &log.path(), &info, &STORE, Some(cache.clone()));
    let segment = opened.unwrap();
    let at = |edit: usize| Address { sequence: edit as u64 + 1, slot: 0 };
    assert_eq!(segment.read_alone(at(31)).unwrap(), texts[31].as_bytes());
    // The block of locators.
    assert_eq!(cache.puts.load(Ordering::SeqCst), 1);
    let active = log.segment.clone();
    active.keep_in(Arc::new(MapCache::default()));
    for edit in (0..32).rev() {
        assert_eq!(segment.read_content(at(edit)).unwrap(), texts[edit].as_bytes());
        assert_eq!(active.read_content(at(edit)).unwrap(), texts[edit].as_bytes());
        assert_eq!(cache.puts.load(Ordering::SeqCst), 3, "a group and its head");
    }
}
