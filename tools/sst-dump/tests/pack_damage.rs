//! Damaged packs: what is damaged and whose it is is named, what cannot be saved is told before anything is written, and everything else is saved
//! bit for bit.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use recension::codec::{FileKind, Part};
use recension::env::{Env, OsFs};
use recension::pack::Depth;
use recension::{CheckDepth, Content, Lost, Progress, RepairMode, RepairReport, Revision, repair};
use serde_json::Value;
use sst_dump::file::{Item, walk};
use support::{copy, dump, files, open, packed_with, read, store};

type Which = (String, u64);

/// Everything that a store says of each revision: the revision, its content.
fn told(dir: &Path) -> BTreeMap<Which, (String, String)> {
    let store = open(dir);
    let mut all = BTreeMap::new();
    for head in store.prefix("") {
        let entity = head.unwrap().revision().unwrap().entity().clone();
        for revision in store.history(&entity).unwrap() {
            let revision: Revision = revision.unwrap();
            let content = match revision.content().unwrap() {
                Content::Present(bytes) => format!("{bytes:?}"),
                other => format!("{other:?}"),
            };
            let name = String::from_utf8_lossy(entity.as_bytes()).into_owned();
            all.insert((name, revision.number()), (said(&revision), content));
        }
    }
    store.close().unwrap();
    all
}

fn said(revision: &Revision) -> String {
    format!(
        "{:?}",
        (
            revision.parent(),
            revision.sequence(),
            revision.is_tombstone(),
            revision.commit_time(),
            revision.authored_time(),
            revision.effective_time(),
            revision.flags(),
            revision.fields().unwrap(),
        )
    )
}

fn mend(from: &Path, into: &Path, mode: RepairMode) -> RepairReport {
    repair(&Env::os(1), from, into, mode, &mut Progress::new(&mut |_, _, _| true)).unwrap()
}

/// The revisions whose content is lost.
fn lost(report: &RepairReport) -> BTreeSet<Which> {
    let content = |lost: &Lost| match lost {
        Lost::Content(entity, rev, 0) => (String::from_utf8_lossy(entity).into_owned(), *rev),
        other => panic!("only contents can be lost here: {other:?}"),
    };
    report.lost.iter().map(content).collect()
}

fn parts(path: &Path) -> Vec<Part> {
    let mut parts = Vec::new();
    walk(&OsFs::new(), path, Depth::Stored, &mut |item| {
        if let Item::Part(part) = item {
            parts.push(part);
        }
        Ok(())
    })
    .unwrap();
    parts
}

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    Bit(u64),
    /// Zeros from here on: so many.
    Zeros(u64, u64),
    Cut(u64),
}

fn harm(path: &Path, harm: Harm) {
    let mut bytes = read(path);
    match harm {
        Harm::Bit(at) => bytes[at as usize] ^= 8,
        Harm::Zeros(at, len) => {
            let end = ((at + len) as usize).min(bytes.len());
            bytes[at as usize..end].fill(0);
        }
        Harm::Cut(len) => bytes.truncate(len as usize),
    }
    std::fs::write(path, bytes).unwrap();
}

struct Trial {
    dir: tempfile::TempDir,
    sound: PathBuf,
    before: BTreeMap<Which, (String, String)>,
    n: usize,
}

impl Trial {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sound = store(dir.path(), 700);
        let before = told(&sound);
        Self { dir, sound, before, n: 0 }
    }

    /// Damages a copy; answers the revisions whose contents were lost.
    fn damage(&mut self, what: &str, act: impl FnOnce(&Path)) -> BTreeSet<Which> {
        self.n += 1;
        let damaged = self.dir.path().join(format!("damaged{}", self.n));
        copy(&self.sound, &damaged);
        act(&damaged);

        let said = dump([Path::new("verify"), &damaged, Path::new("--json")]).damage();
        let findings: Vec<Value> = said.json().into_iter().filter(|line| line["type"] == "finding").collect();
        assert!(!findings.is_empty(), "{what}");
        let named: BTreeSet<Which> = findings
            .iter()
            .filter_map(|finding| finding["revisions"].as_array())
            .flatten()
            .map(|revision| {
                (revision["entity"].as_str().unwrap().to_owned(), revision["rev"].as_u64().unwrap())
            })
            .collect();

        let into = self.dir.path().join(format!("mended{}", self.n));
        let report = mend(&damaged, &into, RepairMode::DryRun);
        assert!(!into.exists(), "a dry run writes nothing");
        let lost = lost(&report);
        for which in &lost {
            assert!(named.contains(which), "{what}: {which:?} is lost and not named\n{}", said.out);
        }
        let applied = mend(&damaged, &into, RepairMode::Apply);
        assert_eq!(applied, report, "{what}: the dry run said what would happen");

        let store = open(&into);
        let check = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
        assert_eq!(check.findings, [], "{what}");
        store.close().unwrap();
        let after = told(&into);
        assert_eq!(after.len(), self.before.len(), "{what}: every revision is there");
        for (which, (fields, content)) in &self.before {
            let (found_fields, found) = &after[which];
            if lost.contains(which) {
                assert!(found.contains("Withheld"), "{what} {which:?}: {found}");
                continue;
            }
            assert_eq!(found_fields, fields, "{what} {which:?}");
            assert_eq!(found, content, "{what} {which:?}");
        }
        std::fs::remove_dir_all(&damaged).unwrap();
        std::fs::remove_dir_all(&into).unwrap();
        lost
    }

    /// The same for a file of the copy.
    fn harm(&mut self, file: &Path, kind: Harm) -> BTreeSet<Which> {
        let name = file.file_name().unwrap().to_owned();
        self.damage(&format!("{name:?} {kind:?}"), |dir| harm(&dir.join(&name), kind))
    }
}

/// One part of each kind, from the middle of the file.
fn one_of_each(parts: &[Part]) -> Vec<Part> {
    let mut kinds: BTreeMap<&str, Vec<&Part>> = BTreeMap::new();
    parts.iter().for_each(|part| kinds.entry(part.kind).or_default().push(part));
    kinds.values().map(|parts| (*parts[parts.len() / 2]).clone()).collect()
}

#[test]
fn a_damaged_section_of_a_pack_costs_at_most_the_contents_of_its_group() {
    let mut trial = Trial::new();
    let pack = files(&trial.sound, FileKind::Pack).remove(0);
    let parts = parts(&pack);
    let sections = one_of_each(&parts);
    let kinds: BTreeSet<&str> = sections.iter().map(|part| part.kind).collect();
    let all = ["directory", "digests", "group", "header", "index", "locators", "places", "trailer"];
    assert_eq!(kinds, BTreeSet::from(all));
    for part in &sections {
        let zeros = Harm::Zeros(part.offset, part.len.min(4096));
        for harm in [Harm::Bit(part.offset + part.len / 2), Harm::Bit(part.offset + 1), zeros] {
            let lost = trial.harm(&pack, harm);
            if part.kind == "group" {
                let holds: BTreeSet<u64> = part.holds.each.iter().copied().collect();
                assert!(!lost.is_empty() && lost.len() <= holds.len(), "{part:?}: {lost:?}");
            } else {
                assert_eq!(lost, BTreeSet::new(), "{part:?} {harm:?}");
            }
        }
    }
}

#[test]
fn a_pack_that_was_cut_off_costs_the_contents_behind_the_cut() {
    let mut trial = Trial::new();
    let pack = files(&trial.sound, FileKind::Pack).remove(0);
    let parts = parts(&pack);
    let groups: Vec<&Part> = parts.iter().filter(|part| part.kind == "group").collect();
    let directory = parts.iter().find(|part| part.kind == "directory").unwrap();
    let len = read(&pack).len() as u64;
    let middle = groups[groups.len() / 2];
    for cut in [len - 1, len - 200, directory.end() - 3, directory.offset] {
        assert_eq!(trial.harm(&pack, Harm::Cut(cut)), BTreeSet::new(), "no content is behind {cut}");
    }
    let behind: usize = groups[groups.len() / 2..].iter().map(|group| group.holds.each.len()).sum();
    let lost = trial.harm(&pack, Harm::Cut(middle.offset + 5));
    assert!(!lost.is_empty() && lost.len() <= behind, "{} of {behind}", lost.len());
    let lost = trial.harm(&pack, Harm::Cut(3));
    assert!(lost.len() > behind);
}

#[test]
fn a_missing_a_swapped_and_a_foreign_pack_cost_their_contents_and_nothing_else() {
    let mut trial = Trial::new();
    let packs = files(&trial.sound, FileKind::Pack);
    assert!(packs.len() > 1);
    let name = |at: usize| packs[at].file_name().unwrap().to_owned();
    let mut contents: BTreeSet<u64> = BTreeSet::new();
    parts(&packs[0]).iter().for_each(|part| contents.extend(&part.holds.each));
    let lost = trial.damage("missing", |dir| std::fs::remove_file(dir.join(name(0))).unwrap());
    assert!(!lost.is_empty() && lost.len() <= contents.len());
    // What stands in a file says whose it is: under another name it is found all the same.
    let lost = trial.damage("swapped", |dir| {
        std::fs::rename(dir.join(name(0)), dir.join("aside")).unwrap();
        std::fs::rename(dir.join(name(1)), dir.join(name(0))).unwrap();
        std::fs::rename(dir.join("aside"), dir.join(name(1))).unwrap();
    });
    assert_eq!(lost, BTreeSet::new());
    let other = trial.dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = store(&other, 700);
    let theirs = files(&other, FileKind::Pack).remove(0);
    let foreign = trial.damage("foreign", |dir| {
        std::fs::copy(&theirs, dir.join(name(0))).unwrap();
    });
    assert!(!foreign.is_empty() && foreign.len() <= contents.len());
}

#[test]
fn without_index_and_trailer_the_changes_of_a_pack_are_found_by_themselves() {
    let mut trial = Trial::new();
    let pack = files(&trial.sound, FileKind::Pack).remove(0);
    let parts = parts(&pack);
    let index = parts.iter().find(|part| part.kind == "index").unwrap().clone();
    let name = pack.file_name().unwrap().to_owned();
    let lost = trial.damage("nothing but groups and directory", |dir| {
        for path in files(dir, FileKind::RevisionTable) {
            std::fs::remove_file(path).unwrap();
        }
        harm(&dir.join(&name), Harm::Zeros(index.offset, 1 << 20));
    });
    assert_eq!(lost, BTreeSet::new());
}

#[test]
fn a_pack_that_was_never_finished_takes_nothing_from_the_segment_it_was_to_replace() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 300);
    let before = told(&sound);
    let pack = packed_with(dir.path(), &sound, 5);
    let bytes = read(&pack);
    for (n, len) in [bytes.len() / 2, bytes.len() - 160, bytes.len() - 1].into_iter().enumerate() {
        std::fs::write(sound.join(pack.file_name().unwrap()), &bytes[..len]).unwrap();
        let into = dir.path().join(format!("mended{n}"));
        let report = mend(&sound, &into, RepairMode::Apply);
        assert_eq!((report.lost, report.from_index), (Vec::new(), 0), "{len}");
        assert_eq!(told(&into), before, "{len}");
    }
}
