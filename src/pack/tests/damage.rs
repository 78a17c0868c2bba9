use std::sync::Arc;

use super::support::*;
use crate::ErrorKind;
use crate::log::tests::golden;
use crate::log::{Change, ValueFile};
use crate::manifest::ValueFileInfo;
use crate::model::Address;

/// One of everything: a full group and a short one, a mixed one; annotation, tombstone, reuse.
fn small(fs: &Arc<MemFs>) -> (ValueFileInfo, Arc<Pack>) {
    let mut log = mixed(fs);
    for edit in 0..6 {
        log.commit(vec![put("Page", &page(edit, 56))]);
    }
    log.commit(vec![reuse("Main Page", "Hello, world")]);
    let options = PackOptions { group_contents: 4, ..TEST };
    make(fs, &[sealed(&log)], &request(9, 1, 16, options))
}

#[test]
fn a_pack_is_written_as_it_always_was() {
    let fs = MemFs::new();
    let (info, _) = small(&fs);
    golden::check("pack-1.bin", &fs.get(&path_of(info.id)));
}

#[test]
fn a_pack_cut_or_grown_anywhere_is_refused() {
    let fs = MemFs::new();
    let (mut info, pack) = small(&fs);
    let bytes = fs.get(pack.path());
    for cut in 0..bytes.len() {
        fs.put(pack.path(), &bytes[..cut]);
        for len in [bytes.len(), cut] {
            info.len = len as u64;
            let result = Pack::open(&*fs, pack.path(), &info, &STORE, None);
            assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt, "cut {cut}");
        }
    }
    fs.put(pack.path(), &[&bytes[..], &[0]].concat());
    for len in [bytes.len(), bytes.len() + 1] {
        info.len = len as u64;
        assert_eq!(
            Pack::open(&*fs, pack.path(), &info, &STORE, None).unwrap_err().kind(),
            ErrorKind::Corrupt
        );
    }
}

/// Flips each of `bits`; everything that can be asked afterwards is answered rightly or with an error, and verification notices.
fn flip(fs: &Arc<MemFs>, info: &ValueFileInfo, pack: &Arc<Pack>, bits: impl Iterator<Item = usize>) {
    let right = said_by_pack(pack);
    let mut bytes = fs.get(pack.path());
    for bit in bits {
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs.put(pack.path(), &bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let bad = match Pack::open(&**fs, pack.path(), info, &STORE, None) {
            Ok(bad) => Arc::new(bad),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
                continue;
            }
        };
        let kind = |error: crate::Error| assert_eq!(error.kind(), ErrorKind::Corrupt, "bit {bit}: {error}");
        kind(bad.verify(Depth::Stored, &|| false).unwrap_err());
        for change in bad.clone().changes(0, u64::MAX) {
            match change {
                Ok(change) => assert!(right.changes.contains(&change), "bit {bit}: {change:?}"),
                Err(error) => kind(error),
            }
        }
        for (address, content, digest) in &right.contents {
            match bad.read_content(*address) {
                Ok(found) => assert_eq!(found, content, "bit {bit}"),
                Err(error) => kind(error),
            }
            match bad.digest(*address) {
                Ok(found) => assert_eq!(found, *digest, "bit {bit}"),
                Err(error) => kind(error),
            }
        }
    }
    fs.put(pack.path(), &bytes);
}

#[test]
fn a_flipped_bit_anywhere_gives_an_error_or_the_right_answer_and_is_found_by_verification() {
    let fs = MemFs::new();
    let (info, pack) = small(&fs);
    flip(&fs, &info, &pack, 0..info.len as usize * 8);
}

#[test]
fn damage_in_groups_that_are_stored_raw_is_found_as_well() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    log.commit(vec![put_bytes("Picture", noise(1, 3000)), put_bytes("Dot", noise(2, 1))]);
    let (info, pack) = make(&fs, &[sealed(&log)], &request(9, 1, 2, TEST));
    assert_eq!(info.stored_bytes, 3001);
    flip(&fs, &info, &pack, (0..info.len as usize).step_by(3).map(|byte| byte * 8 + byte % 8));
}

#[test]
fn a_pack_that_could_not_be_written_is_an_error_at_every_write() {
    let fs = MemFs::new();
    let log = mixed(&fs);
    let input = sealed(&log);
    for step in 1..=2 {
        let request = request(100 + step, 1, 9, TEST);
        fs.fuse.store(step, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(try_make(&fs, std::slice::from_ref(&input), &request).unwrap_err().kind(), ErrorKind::Io);
    }
    make(&fs, &[input], &request(200, 1, 9, TEST));
}

/// A segment that says one thing and holds another.
struct Liar(Arc<dyn ValueFile>);

impl ValueFile for Liar {
    fn id(&self) -> crate::codec::FileId {
        self.0.id()
    }

    fn read_content(&self, address: Address) -> crate::Result<bytes::Bytes> {
        let content = self.0.read_content(address)?;
        Ok(if address.sequence == 5 { "three".into() } else { content })
    }

    fn stored_in(&self, address: Address) -> crate::Result<Option<crate::log::StoredIn>> {
        self.0.stored_in(address)
    }

    fn digest(&self, address: Address) -> crate::Result<crate::model::Digest> {
        self.0.digest(address)
    }

    fn changes(self: Arc<Self>, after: u64, up_to: u64) -> crate::log::ChangeIter {
        self.0.clone().changes(after, up_to)
    }
}

#[test]
fn a_content_that_is_not_what_its_digest_says_is_never_packed() {
    let fs = MemFs::new();
    let liar = PackInput::Segment(Arc::new(Liar(sealed(&mixed(&fs)).file())));
    let error = try_make(&fs, &[liar], &request(9, 1, 9, TEST)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("the content of change 5 slot 0"), "{error}");
}

#[test]
fn inputs_that_lack_a_change_or_have_one_twice_are_refused() {
    let fs = MemFs::new();
    let input = sealed(&mixed(&fs));
    let twice = [input.clone(), input.clone()];
    assert_eq!(try_make(&fs, &twice, &request(9, 1, 9, TEST)).unwrap_err().kind(), ErrorKind::Corrupt);
    let one = std::slice::from_ref(&input);
    assert_eq!(try_make(&fs, one, &request(10, 1, 10, TEST)).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(try_make(&fs, &[], &request(11, 1, 10, TEST)).unwrap_err().kind(), ErrorKind::Corrupt);
    // A part of them is fine.
    let (_, pack) = make(&fs, one, &request(12, 3, 6, TEST));
    let changes = said_by_pack(&pack).changes;
    assert_eq!(changes.iter().map(|change| change.sequence).collect::<Vec<_>>(), [3, 4, 5, 6]);
    assert!(changes.iter().any(|change| matches!(change.change, Change::Annotation(_))));
}

#[test]
fn packing_and_verifying_stop_when_they_are_cancelled() {
    let fs = MemFs::new();
    let input = sealed(&mixed(&fs));
    let request = request(9, 1, 9, TEST);
    let result = pack(&*fs, &path_of(request.id), std::slice::from_ref(&input), &request, &|| true);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    let (_, pack) = make(&fs, &[input], &super::support::request(10, 1, 9, TEST));
    assert_eq!(pack.verify(Depth::Stored, &|| true).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(pack.stored_bytes_from(b"", &|| true).unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn packing_stops_while_it_reads_directories_before_anything_is_written() {
    let fs = MemFs::new();
    let mut log = Writer::new(&fs);
    for commit in 0..26 {
        log.commit((0..100).map(|n| put(&format!("Q{n}"), &format!("{commit} of {n}"))).collect());
    }
    let input = sealed(&log);
    let request = request(9, 1, 2600, TEST);
    // The first question comes before the first group.
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() == 2
    };
    let result = pack(&*fs, &path_of(request.id), std::slice::from_ref(&input), &request, &stop);
    assert_eq!((result.unwrap_err().kind(), asked.get()), (ErrorKind::Cancelled, 2));
    assert!(!crate::env::Fs::exists(&*fs, &path_of(request.id)).unwrap(), "no file was begun");
}
