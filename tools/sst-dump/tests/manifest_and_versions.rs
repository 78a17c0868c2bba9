//! A manifest that lost its end, and files of a newer format: what opening says, `verify` says, and it goes on behind it.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::Path;

use recension::codec::{FILE_HEADER_LEN, FileHeader, FileKind};
use support::{Said, copy, dump, files, store};

fn verify(dir: &Path) -> Said {
    dump([Path::new("verify"), dir])
}

#[test]
fn what_opening_says_of_a_manifest_without_its_end_verify_says_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 60);
    let manifest = files(&sound, FileKind::Manifest).pop().unwrap();
    let name = manifest.file_name().unwrap();
    let bytes = std::fs::read(&manifest).unwrap();
    let whole = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let (mut refused, mut torn) = (0, 0);
    for cut in (8..whole - 100).step_by(24) {
        let copied = dir.path().join(format!("cut {cut}"));
        copy(&sound, &copied);
        std::fs::write(copied.join(name), &bytes[..whole - cut]).unwrap();
        let said = verify(&copied);
        match support::builder(&copied).read_only().open() {
            Err(error) => {
                refused += 1;
                assert_eq!(
                    said.code,
                    Some(5),
                    "{cut} bytes: {error}, and verify says {}{}",
                    said.out,
                    said.err
                );
            }
            Ok(store) => {
                let report = store.open_report();
                torn += u32::from(report.manifest_cut.is_some());
                let told = said.out.contains("a change of files that was never finished");
                assert_eq!(
                    told,
                    report.manifest_cut.is_some(),
                    "{cut} bytes: {report:?} {}{}",
                    said.out,
                    said.err
                );
            }
        }
    }
    assert!(refused > 0 && torn > 0, "{refused} refused, {torn} torn");
}

#[test]
fn a_file_of_a_newer_format_does_not_end_the_look_at_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    for kind in [FileKind::Segment, FileKind::Pack, FileKind::RevisionTable, FileKind::PlainTable] {
        let copied = dir.path().join(format!("{kind:?}"));
        copy(&sound, &copied);
        for path in files(&copied, kind) {
            let mut bytes = std::fs::read(&path).unwrap();
            let header = FileHeader::decode(&path, &bytes).unwrap();
            let newer = FileHeader { version: header.version + 1, ..header };
            bytes[..FILE_HEADER_LEN].copy_from_slice(&newer.encode());
            std::fs::write(&path, &bytes).unwrap();
        }
        // Something else is wrong as well.
        let harmed = if kind == FileKind::Pack { FileKind::Segment } else { FileKind::Pack };
        let harmed = files(&copied, harmed).remove(0);
        let middle = std::fs::metadata(&harmed).unwrap().len() / 2;
        support::flip(&harmed, middle, 3);
        let said = verify(&copied).damage();
        assert!(
            said.out.contains("newer") || said.out.contains("version"),
            "{kind:?}: {}{}",
            said.out,
            said.err
        );
        let other = harmed.file_name().unwrap().to_string_lossy().into_owned();
        assert!(said.out.contains(&other), "{kind:?}: {}{}", said.out, said.err);
    }
}
