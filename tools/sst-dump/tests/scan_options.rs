//! `scan` with its options, on each kind of file; contents of groups and packs.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::path::{Path, PathBuf};

use recension::codec::FileKind;
use recension::{Batch, Draft, Expect, Progress};
use serde_json::Value;
use support::{Said, dump, files};

fn text(entity: &str, n: u64) -> String {
    format!("the text number {n} of {entity}. {}", "words that compress well. ".repeat(30))
}

/// A store whose log holds groups: several revisions of an entity in a commit. Packed on demand.
fn grouped(dir: &Path, packed: bool) -> PathBuf {
    let path = dir.join(if packed { "packed" } else { "grouped" });
    let store = support::open(&path);
    for (entity, count) in [("alpha", 6), ("beta", 5), ("gamma/one", 6), ("gamma/two", 1)] {
        let mut batch = Batch::new();
        for n in 1..=count {
            let expect = if n == 1 { Expect::Absent } else { Expect::Head(n - 1) };
            batch = batch.put(entity, expect, Draft::new(text(entity, n)).author("a")).unwrap();
        }
        store.commit(batch).unwrap();
    }
    let (entity, fields) = (b"beta".to_vec(), recension::FieldMask::COMMENT);
    let (actor, reason) = ("who".into(), "why".into());
    store.hide(recension::Hiding { entity, first: 2, last: 3, fields, actor, reason }).unwrap();
    store.flush().unwrap();
    if packed {
        store.pack(&mut Progress::new(&mut |_, _, _| true)).unwrap();
    }
    store.close().unwrap();
    path
}

fn scan(path: &Path, more: &[&str]) -> Said {
    let mut args = vec!["scan", path.to_str().unwrap(), "--json"];
    args.extend(more);
    dump(&args).ok()
}

/// `entity revision` of all lines that are about a revision.
fn revisions(said: &Said) -> Vec<String> {
    let lines = said.json();
    let of = lines.iter().filter(|line| line["type"] == "revision" || line["type"] == "row");
    of.map(|line| format!("{} {}", line["entity"].as_str().unwrap(), line["rev"])).collect()
}

fn of(entity: &str, numbers: std::ops::RangeInclusive<u64>) -> Vec<String> {
    numbers.map(|n| format!("{entity} {n}")).collect()
}

/// In whatever order a file has them.
fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list
}

#[test]
fn names_numbers_and_limits_choose_in_segments_packs_and_tables() {
    let dir = tempfile::tempdir().unwrap();
    let (grouped, packed) = (grouped(dir.path(), false), grouped(dir.path(), true));
    let segment = files(&grouped, FileKind::Segment).remove(0);
    let pack = files(&packed, FileKind::Pack).remove(0);
    let table = files(&grouped, FileKind::RevisionTable).remove(0);
    let gammas = || [of("gamma/one", 1..=6), of("gamma/two", 1..=1)].concat();
    for path in [&grouped, &packed, &segment, &pack, &table] {
        let list = |more: &[&str]| sorted(revisions(&scan(path, more)));
        assert_eq!(list(&[]).len(), 18, "{}", path.display());
        assert_eq!(list(&["--prefix", "gamma/"]), gammas());
        assert_eq!(
            list(&["--from", "beta", "--to", "gamma/two"]),
            [of("beta", 1..=5), of("gamma/one", 1..=6)].concat()
        );
        assert_eq!(list(&["--to", "b"]), of("alpha", 1..=6));
        assert_eq!(list(&["--rev", "6"]), ["alpha 6", "gamma/one 6"]);
        assert_eq!(list(&["--prefix", "beta", "--rev", "2"]), ["beta 2"]);
        assert_eq!(list(&["--prefix", "nothing"]), Vec::<String>::new());
        assert_eq!(list(&["--limit", "4"]).len(), 4, "{}", path.display());
        assert_eq!(list(&["--limit", "0"]).len(), 0);
    }
    for path in [&grouped, &packed] {
        assert_eq!(sorted(revisions(&scan(path, &["--index", "--prefix", "gamma/"]))), gammas());
    }
}

#[test]
fn annotations_and_edits_are_records_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = grouped(dir.path(), true);
    let annotations = |path: &Path, more: &[&str]| {
        scan(path, more).json().into_iter().filter(|line| line["type"] == "annotation").count()
    };
    let table = files(&store, FileKind::PlainTable).remove(0);
    for path in [&table, &store] {
        assert_eq!(annotations(path, &[]), 1, "{}", path.display());
        assert_eq!(annotations(path, &["--prefix", "beta"]), 1);
        assert_eq!(annotations(path, &["--prefix", "alpha"]), 0);
    }
    let manifest = files(&store, FileKind::Manifest).remove(0);
    let edits = scan(&manifest, &[]).json();
    assert!(edits.len() > 5 && edits.iter().all(|line| line["type"] == "edit"), "{edits:?}");
    assert_eq!(scan(&manifest, &["--limit", "3"]).json().len(), 3);
}

/// The contents that were printed, by change or as a line of their own.
fn contents(said: &Said) -> Vec<String> {
    let lines = said.json();
    sorted(lines.iter().filter_map(|line| Some(line["content"].as_str()?.to_owned())).collect())
}

#[test]
fn contents_of_groups_and_packs_are_printed_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let (grouped, packed) = (grouped(dir.path(), false), grouped(dir.path(), true));
    let parts = dump([Path::new("layout"), &files(&grouped, FileKind::Segment)[0], Path::new("--json")]).ok();
    assert!(parts.json().iter().any(|part| part["kind"] == "group"), "the log holds groups");
    for path in [&grouped, &packed] {
        let said = scan(path, &["--values", "pretty", "--prefix", "gamma/one"]);
        let expected: Vec<String> = (1..=6).map(|n| text("gamma/one", n)).collect();
        assert_eq!(contents(&said), sorted(expected), "{}", path.display());
        let said = scan(path, &["--values", "pretty", "--prefix", "beta", "--rev", "3"]);
        assert_eq!(contents(&said), [text("beta", 3)]);
        assert_eq!(contents(&scan(path, &["--values", "size"])).len(), 18);
        let said = scan(path, &["--values", "size", "--limit", "2"]);
        assert_eq!((contents(&said).len(), revisions(&said).len()), (2, 2), "{}", said.out);
    }
}

#[test]
fn the_formatters_are_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    for packed in [false, true] {
        let store = grouped(dir.path(), packed);
        let shown = |how: &str| {
            dump(["scan", store.to_str().unwrap(), "--prefix", "beta", "--rev", "1", "--values", how])
                .ok()
                .out
        };
        let whole = text("beta", 1);
        let hex: String = whole.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert!(shown("size").contains(&format!("{} B", whole.len())));
        assert!(shown("quoted").contains(&format!("\"{whole}\"")), "{}", shown("quoted"));
        assert!(shown("hex").contains(&hex));
        assert!(shown("pretty").contains(&format!("\n{whole}")));
    }
}

#[test]
fn trace_names_the_place_in_a_group_of_the_log_and_of_a_pack() {
    let dir = tempfile::tempdir().unwrap();
    for (packed, kind) in [(false, "unit"), (true, "group")] {
        let store = grouped(dir.path(), packed);
        let said = dump(["trace", store.to_str().unwrap(), "alpha", "--rev", "2", "--json"]).ok();
        let found: Vec<Value> = said.json();
        assert!(
            found.iter().any(|line| line.to_string().contains(&format!("\"{kind}\""))),
            "{kind}: {}",
            said.out
        );
    }
}
