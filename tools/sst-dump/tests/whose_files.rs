//! Which store the files of a directory are of, and how far its log went: what was found by `tools/damage-trials`.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};

use recension::codec::FileKind;
use recension::env::Env;
use recension::{CheckDepth, Forgetting, Lost, Packing, Progress, RepairMode, RepairReport, Store, repair};
use support::{copy, dump, files, flip, store};

fn go(_: &'static str, _: u64, _: u64) -> bool {
    true
}

fn mend(from: &Path, into: &Path, mode: RepairMode) -> recension::Result<RepairReport> {
    repair(&Env::os(1), from, into, mode, &mut Progress::new(&mut go))
}

/// Repairs, and looks into what came out; answers the report and how many changes there are.
fn mended(from: &Path, into: &Path) -> (RepairReport, u64) {
    let dry = mend(from, into, RepairMode::DryRun).unwrap();
    let report = mend(from, into, RepairMode::Apply).unwrap();
    assert_eq!(dry, report);
    let store = Store::builder(into).open().unwrap();
    let check = store.check(CheckDepth::Deep, &mut Progress::new(&mut go)).unwrap();
    assert!(check.is_clean(), "{:?}", check.findings);
    let changes = store.published();
    store.close().unwrap();
    (report, changes)
}

fn changes(dir: &Path) -> u64 {
    let store = Store::builder(dir).packing(Packing::WhenAsked).open().unwrap();
    let changes = store.published();
    store.close().unwrap();
    changes
}

fn another(dir: &Path, n: usize) -> PathBuf {
    std::fs::create_dir(dir.join("other")).unwrap();
    store(&dir.join("other"), n)
}

#[test]
fn a_flipped_bit_in_the_manifests_store_id_costs_nothing_and_blames_no_other_file() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 200);
    let all = changes(&sound);
    let manifest = files(&sound, FileKind::Manifest).pop().unwrap();
    flip(&manifest, 0x1b, 2);
    let said = dump([Path::new("verify"), &sound, Path::new("--json")]).damage();
    for finding in said.json().iter().filter(|line| line["type"] == "finding") {
        assert_eq!(finding["file"], manifest.file_name().unwrap().to_str().unwrap(), "{}", said.out);
    }
    let (report, saved) = mended(&sound, &dir.path().join("mended"));
    assert_eq!((report.lost, saved), (Vec::new(), all));
}

#[test]
fn a_manifest_of_another_store_takes_nothing_from_this_ones_files() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 200);
    let all = changes(&sound);
    let other = another(dir.path(), 200);
    let manifest = files(&sound, FileKind::Manifest).pop().unwrap();
    std::fs::copy(files(&other, FileKind::Manifest).pop().unwrap(), &manifest).unwrap();
    let said = dump([Path::new("verify"), &sound, Path::new("--json")]).damage();
    let found: Vec<_> = said.json().into_iter().filter(|line| line["type"] == "finding").collect();
    assert!(found.iter().any(|finding| finding["check"] == "identity"), "{}", said.out);
    assert!(found.iter().all(|finding| finding["check"] != "identity" || finding["kind"] == "file"));
    let blamed =
        |finding: &&serde_json::Value| !finding["file"].as_str().unwrap_or_default().contains("manifest");
    assert_eq!(found.iter().filter(blamed).filter(|it| it["file"] != "").count(), 0, "{}", said.out);
    let (report, saved) = mended(&sound, &dir.path().join("mended"));
    assert_eq!((report.lost, saved), (Vec::new(), all));
}

#[test]
fn where_nothing_can_be_saved_the_dry_run_says_so_too() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 60);
    for kind in [FileKind::Segment, FileKind::Pack, FileKind::RevisionTable, FileKind::PlainTable] {
        files(&sound, kind).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
    let into = dir.path().join("mended");
    for mode in [RepairMode::DryRun, RepairMode::Apply] {
        let error = mend(&sound, &into, mode).unwrap_err();
        assert!(error.to_string().contains("nothing can be saved"), "{error}");
        assert!(!into.exists());
    }
}

#[test]
fn a_lost_end_of_the_log_is_named_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    // With packs: their numbers are above that of the segment that is written to.
    let sound = store(dir.path(), 700);
    let all = changes(&sound);
    let segment = files(&sound, FileKind::Segment).pop().unwrap();
    let name = segment.file_name().unwrap();
    let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
    let frames: Vec<_> = parts.iter().filter(|part| part["kind"] == "commit").collect();
    let first = frames[0]["sequence_first"].as_u64().unwrap();
    let middle = frames[frames.len() / 2];
    let (at, kept) = (middle["offset"].as_u64().unwrap(), middle["sequence_first"].as_u64().unwrap() - 1);
    let cut: [(&str, Option<u64>, u64); 3] =
        [("gone", None, first - 1), ("empty", Some(0), first - 1), ("cut", Some(at), kept)];
    for (what, len, left) in cut {
        let damaged = dir.path().join(what);
        copy(&sound, &damaged);
        match len {
            None => std::fs::remove_file(damaged.join(name)).unwrap(),
            Some(len) => {
                let bytes = support::read(&segment);
                std::fs::write(damaged.join(name), &bytes[..len as usize]).unwrap();
            }
        }
        let said = dump([Path::new("verify"), &damaged, Path::new("--json")]).damage();
        let named = said.json().iter().any(|line| {
            line["check"] == "log" && line["sequence_first"] == left + 1 && line["sequence_last"].is_null()
        });
        assert!(named, "{what}: {}", said.out);
        let (report, _) = mended(&damaged, &dir.path().join(format!("{what}-mended")));
        let ranges: Vec<(u64, u64)> = report
            .lost
            .iter()
            .filter_map(|lost| match lost {
                Lost::Changes(first, last) => Some((*first, *last)),
                _ => None,
            })
            .collect();
        // What the index still has is saved; of the rest nobody knows how much it was.
        assert!(
            ranges.last().is_some_and(|(first, last)| *first > left && *last == u64::MAX),
            "{what} {ranges:?}"
        );
        let covered = |sequence: u64| ranges.iter().any(|(first, last)| (*first..=*last).contains(&sequence));
        let lost = (left + 1..=all).filter(|sequence| covered(*sequence)).count() as u64;
        assert_eq!(report.changes + lost, all, "{what}: {ranges:?}");
    }
}

#[test]
fn a_sound_end_of_the_log_is_not_reported_as_lost() {
    let dir = tempfile::tempdir().unwrap();
    for n in [60, 700] {
        std::fs::create_dir(dir.path().join(n.to_string())).unwrap();
        let sound = store(&dir.path().join(n.to_string()), n);
        let all = changes(&sound);
        let (report, saved) = mended(&sound, &dir.path().join(format!("mended{n}")));
        assert_eq!((report.lost, saved), (Vec::new(), all));
    }
}

#[test]
fn what_is_forgotten_is_not_reported_as_lost_when_its_digest_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let builder = || support::builder(&path);
    let open = builder().open().unwrap();
    support::fill(&open, 100);
    open.forget(&Forgetting::revisions("page 1", 1, 2), &mut Progress::new(&mut go)).unwrap();
    open.flush().unwrap();
    open.pack(&mut Progress::new(&mut go)).unwrap();
    open.close().unwrap();
    for pack in files(&path, FileKind::Pack) {
        let parts = dump([Path::new("layout"), &pack, Path::new("--json")]).ok().json();
        for part in parts.iter().filter(|part| part["kind"] == "digests") {
            let at = part["offset"].as_u64().unwrap() + part["len"].as_u64().unwrap() / 2;
            flip(&pack, at, 1);
        }
    }
    let (report, _) = mended(&path, &dir.path().join("mended"));
    assert_eq!(report.lost, Vec::new());
    let store = Store::builder(dir.path().join("mended")).open().unwrap();
    assert!(!store.revision("page 1", 1).unwrap().unwrap().forgotten().is_empty());
}

#[test]
fn files_of_different_kinds_whose_names_were_exchanged_are_saved_whole() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    let all = changes(&sound);
    let one = |kind| files(&sound, kind).pop().unwrap().file_name().unwrap().to_owned();
    let kinds = [FileKind::Segment, FileKind::Pack, FileKind::RevisionTable, FileKind::Manifest];
    for (at, left) in kinds.into_iter().enumerate() {
        for right in kinds.into_iter().skip(at + 1) {
            let damaged = dir.path().join(format!("{left:?}-{right:?}"));
            copy(&sound, &damaged);
            let (a, b) = (damaged.join(one(left)), damaged.join(one(right)));
            let (first, second) = (support::read(&a), support::read(&b));
            std::fs::write(&a, second).unwrap();
            std::fs::write(&b, first).unwrap();
            dump([Path::new("verify"), &damaged]).damage();
            let (report, saved) = mended(&damaged, &damaged.with_extension("mended"));
            assert_eq!((report.lost, saved), (Vec::new(), all), "{left:?} and {right:?}");
            assert!(report.damaged_files.len() >= 2, "{:?}", report.damaged_files);
        }
    }
}

#[test]
fn a_damaged_block_of_digests_is_one_finding() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    let pack = files(&sound, FileKind::Pack).pop().unwrap();
    let parts = dump([Path::new("layout"), &pack, Path::new("--json")]).ok().json();
    let digests = parts.iter().find(|part| part["kind"] == "digests").unwrap();
    flip(&pack, digests["offset"].as_u64().unwrap() + 40, 1);
    let said = dump([Path::new("verify"), &sound, Path::new("--json")]).damage().json();
    let findings: Vec<_> = said.iter().filter(|line| line["type"] == "finding").collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
}

#[test]
fn a_missing_table_is_damage_and_not_the_work_of_a_writer() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 200);
    std::fs::remove_file(files(&sound, FileKind::PlainTable).pop().unwrap()).unwrap();
    let said = dump([Path::new("verify"), &sound]).damage();
    assert!(said.out.contains("(missing)") && !said.out.contains("a writer"), "{}", said.out);
}

#[test]
fn what_is_forgotten_or_purged_on_one_side_only_is_no_difference() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 100);
    store.flush().unwrap();
    store.forget(&Forgetting::revisions("page 1", 1, 2), &mut Progress::new(&mut go)).unwrap();
    store.purge("page 2", recension::Expect::Any, "test", "all of it").unwrap();
    let looked = |when: &str| {
        for verb in ["verify", "diff-index"] {
            let said = dump([Path::new(verb), &path]);
            assert_eq!(said.code, Some(0), "{verb} {when}: {}", said.out);
        }
    };
    looked("before anything is erased");
    // The tables are written anew without it, the log is not.
    store.flush().unwrap();
    store.compact(recension::Compaction::Full, &mut Progress::new(&mut go)).unwrap();
    looked("erased in the index");
    store.reclaim(&mut Progress::new(&mut go)).unwrap();
    looked("erased everywhere");
    store.close().unwrap();
    looked("closed");
}

#[test]
fn what_was_packed_without_the_forgotten_is_no_difference_to_an_older_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 100);
    store.flush().unwrap();
    store.forget(&Forgetting::revisions("page 1", 1, 2), &mut Progress::new(&mut go)).unwrap();
    store.purge("page 2", recension::Expect::Any, "test", "all of it").unwrap();
    store.pack(&mut Progress::new(&mut go)).unwrap();
    for verb in ["verify", "diff-index"] {
        let said = dump([Path::new(verb), &path]);
        assert_eq!(said.code, Some(0), "{verb}: {}", said.out);
    }
    store.close().unwrap();
}

#[test]
fn a_content_is_damaged_and_not_torn_if_a_frame_behind_a_hole_says_that_it_was_durable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 60);
    store.close().unwrap();
    let segment = files(&path, FileKind::Segment).pop().unwrap();
    let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
    let contents: Vec<usize> = (0..parts.len()).filter(|at| parts[*at]["kind"] == "content").collect();
    let content = &parts[contents[contents.len() / 2]];
    let behind = parts
        .iter()
        .find(|part| part["kind"] == "commit" && part["offset"].as_u64() > content["offset"].as_u64());
    let number = |part: &serde_json::Value, key: &str| part[key].as_u64().unwrap() as usize;
    // The end of the content, and the head of the commit behind it.
    let mut bytes = support::read(&segment);
    bytes[number(content, "offset") + number(content, "len") - 1] ^= 1;
    bytes[number(behind.unwrap(), "offset") + 40] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for looked in [&segment, &path] {
        let said = dump([Path::new("verify"), looked, Path::new("--json")]).damage();
        let wanted = &content["revisions"][0];
        let findings = said.json().into_iter().filter(|line| line["type"] == "finding");
        let named = findings.filter_map(|finding| finding["revisions"].as_array().cloned()).flatten();
        assert!(named.into_iter().any(|it| it == *wanted), "{wanted} in {}", said.out);
    }
}

#[test]
fn a_pack_whose_installation_the_manifest_lost_is_saved_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 700);
    let all = changes(&sound);
    let manifest = files(&sound, FileKind::Manifest).pop().unwrap();
    let parts = dump([Path::new("layout"), &manifest, Path::new("--json")]).ok().json();
    let into = dir.path().join("mended");
    for part in parts.iter().filter(|part| part["kind"] == "edits") {
        let damaged = dir.path().join("damaged");
        copy(&sound, &damaged);
        let at = part["offset"].as_u64().unwrap() + part["len"].as_u64().unwrap() / 2;
        flip(&damaged.join(manifest.file_name().unwrap()), at, 3);
        let (report, saved) = mended(&damaged, &into);
        assert_eq!((report.lost, report.from_index, saved), (Vec::new(), 0, all), "{at:#x}");
        std::fs::remove_dir_all(&damaged).unwrap();
        std::fs::remove_dir_all(&into).unwrap();
    }
}

#[test]
fn the_last_commits_before_a_clean_close_are_reported_when_they_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = support::open(&path);
    support::fill(&store, 40);
    let all = store.published();
    store.close().unwrap();
    for kind in [FileKind::RevisionTable, FileKind::PlainTable] {
        files(&path, kind).iter().for_each(|table| std::fs::remove_file(table).unwrap());
    }
    let segment = files(&path, FileKind::Segment).pop().unwrap();
    let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
    let last = parts.iter().rfind(|part| part["kind"] == "commit").unwrap();
    flip(&segment, last["offset"].as_u64().unwrap() + 40, 1);
    let (report, saved) = mended(&path, &dir.path().join("mended"));
    assert_eq!((report.lost, saved), (vec![Lost::Changes(all, all)], all - 1));
}

/// A store whose log ends with a commit that has as few bytes as there can be and that no table has, behind it `closes` marks of a clean close.
fn with_a_tiny_last_commit(dir: &Path, closes: usize) -> (PathBuf, u64) {
    let store = support::open(dir);
    support::fill(&store, 40);
    store.flush().unwrap();
    store.put("p", recension::Expect::Any, recension::Draft::tombstone()).unwrap();
    let all = store.published();
    store.close().unwrap();
    for _ in 1..closes {
        support::open(dir).close().unwrap();
    }
    (files(dir, FileKind::Segment).pop().unwrap(), all)
}

#[test]
fn a_tiny_commit_that_is_lost_with_the_end_of_the_log_is_reported_and_frames_without_changes_are_not() {
    let dir = tempfile::tempdir().unwrap();
    for closes in 1..=4 {
        let path = dir.path().join(format!("s{closes}"));
        let (segment, all) = with_a_tiny_last_commit(&path, closes);
        let parts = dump([Path::new("layout"), &segment, Path::new("--json")]).ok().json();
        let commit = parts.iter().rfind(|part| part["kind"] == "commit").unwrap();
        let number = |name: &str| commit[name].as_u64().unwrap();
        let (at, len) = (number("offset"), number("len"));
        let whole = support::read(&segment);
        // Whatever stands in its place: nothing, zeros up to where the log was durable, or damage.
        let cut = |keep: u64| whole[..keep as usize].to_vec();
        let zeros = |keep: u64| [cut(keep), vec![0; whole.len() - keep as usize]].concat();
        for (name, bytes, lost) in [
            ("cut", cut(at), true),
            ("zeros", zeros(at), true),
            ("marks-cut", cut(at + len), false),
            ("marks-zeros", zeros(at + len), false),
        ] {
            std::fs::write(&segment, bytes).unwrap();
            let (report, saved) = mended(&path, &dir.path().join(format!("{name}{closes}")));
            let expected = match lost {
                true => vec![Lost::Changes(all, all), Lost::Changes(all + 1, u64::MAX)],
                false => Vec::new(),
            };
            assert_eq!(report.lost, expected, "{name}, {closes} marks");
            assert_eq!(saved, all - u64::from(lost), "{name}, {closes} marks");
        }
    }
}

#[test]
fn a_log_that_ends_inside_a_content_names_that_content_and_what_follows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = Store::builder(&path).packing(Packing::WhenAsked).open().unwrap();
    for n in 1..=6 {
        let text = format!("{n} {}", "a text that is long enough to be cut somewhere ".repeat(40));
        store.put("page", recension::Expect::Any, recension::Draft::new(text)).unwrap();
    }
    store.close().unwrap();
    let segment = files(&path, FileKind::Segment).pop().unwrap();
    let layout = dump([Path::new("layout"), &segment, Path::new("--json")]);
    let contents: Vec<_> = layout.json().into_iter().filter(|line| line["kind"] == "content").collect();
    let last = contents.last().unwrap();
    let (offset, len) = (last["offset"].as_u64().unwrap(), last["len"].as_u64().unwrap());
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[usize::try_from(offset + len / 2).unwrap()..].fill(0);
    std::fs::write(&segment, bytes).unwrap();
    let said = dump([Path::new("verify"), &path, Path::new("--json")]).damage();
    let named: Vec<_> = said.json().into_iter().filter(|line| line["type"] == "finding").collect();
    let names = |line: &serde_json::Value| line["kind"] == "content" && line["sequence_first"] == 6;
    assert!(named.iter().any(names), "{}", said.out);
}

#[test]
fn a_sector_that_held_a_packs_header_and_its_first_group_names_what_was_in_the_group() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 3000);
    let store = support::open(&sound);
    store.pack(&mut Progress::new(&mut go)).unwrap();
    store.close().unwrap();
    let groups = |pack: &PathBuf| {
        let layout = dump([Path::new("layout"), pack, Path::new("--json")]).json();
        layout.into_iter().filter(|line| line["kind"] == "group").collect::<Vec<_>>()
    };
    let pack = files(&sound, FileKind::Pack).into_iter().max_by_key(|pack| groups(pack).len()).unwrap();
    let groups = groups(&pack);
    assert!(groups.len() > 1);
    let first = &groups[0];
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[..usize::try_from(first["offset"].as_u64().unwrap()).unwrap() + 40].fill(0);
    std::fs::write(&pack, bytes).unwrap();
    let said = dump([Path::new("verify"), &sound, Path::new("--json")]).damage();
    let header = said.json().into_iter().find(|line| line["kind"] == "header").unwrap();
    assert_eq!(
        (&header["sequence_first"], &header["sequence_last"]),
        (&first["sequence_first"], &first["sequence_last"]),
        "{}",
        said.out
    );
    assert!(!header["sequence_first"].is_null(), "{}", said.out);
}
