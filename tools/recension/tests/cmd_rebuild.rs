//! `rebuild` and `repair`.
#![allow(clippy::disallowed_methods, reason = "tests may use files")]

mod support;

use std::path::{Path, PathBuf};

use support::{Cli, lines};

/// A store with history, tombstones, reverts, hidden and reused contents, over several opens.
fn store() -> Cli {
    let cli = Cli::new();
    cli.run_with(["import", "s", "-", "--no-pack"], lines(700).as_bytes()).ok();
    cli.put("page 1", "any", "one more").ok();
    cli.run(["revert", "s", "page 1", "--to", "1", "--expect", "any"]).ok();
    cli.run(["delete", "s", "page 2", "--expect", "any"]).ok();
    cli.run(["hide", "s", "page 3", "--rev", "1", "--fields", "comment"]).ok();
    cli.run(["purge", "s", "page 4"]);
    cli
}

/// All segments become packs, and a little is written behind them.
fn pack(cli: &Cli) {
    let store = recension::Store::open(cli.path("s")).unwrap();
    store.pack(&mut recension::Progress::new(&mut |_, _, _| true)).unwrap();
    store.close().unwrap();
    assert!(!files(&cli.path("s"), "pack").is_empty());
    cli.put("page 1", "any", "behind the packs").ok();
}

fn all(cli: &Cli, store: &str) -> (Vec<u8>, Vec<u8>) {
    (cli.run(["export", store]).ok().out, cli.run(["changes", store, "--since", "0", "--json"]).ok().out)
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_rebuilt_store_answers_as_before() {
    let cli = store();
    cli.words("compact s").ok();
    let before = all(&cli, "s");
    let said = cli.words("rebuild s --dry-run").ok();
    assert!(said.text().contains("nothing was written"), "{}", said.text());
    let said = cli.words("rebuild s --json").ok();
    assert_eq!(said.json()[0]["had_manifest"], true);
    assert_eq!(all(&cli, "s"), before);
    cli.words("check s --deep").ok();
}

#[test]
fn a_store_without_manifest_and_index_is_rebuilt_from_its_value_files() {
    for packed in [false, true] {
        let cli = store();
        if packed {
            pack(&cli);
        }
        let before = all(&cli, "s");
        for extension in ["manifest", "tab", "kv"] {
            files(&cli.path("s"), extension).iter().for_each(|path| std::fs::remove_file(path).unwrap());
        }
        cli.words("ls s").fails_with(5);
        let said = cli.words("rebuild s").ok();
        assert!(said.text().contains("no manifest"), "{}", said.text());
        assert_eq!(all(&cli, "s"), before, "packed: {packed}");
        cli.words("check s --deep").ok();
        cli.put("page 1", "any", "and on it goes").ok();
        cli.words("check s --deep").ok();
    }
}

#[test]
fn a_rebuild_with_a_value_file_missing_is_refused_and_changes_nothing() {
    let cli = store();
    pack(&cli);
    let dir = cli.path("s");
    let mut value_files = files(&dir, "pack");
    value_files.extend(files(&dir, "seg"));
    for path in value_files {
        let name = path.file_name().unwrap().to_owned();
        let aside = cli.path("aside");
        std::fs::rename(&path, &aside).unwrap();
        let listing = |dir: &Path| {
            std::fs::read_dir(dir)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect::<std::collections::BTreeSet<_>>()
        };
        let before = listing(&dir);
        let said = cli.words("rebuild s");
        assert_ne!(said.code, Some(0), "{name:?} is missing: {}", said.text());
        assert_eq!(listing(&dir), before, "{name:?}");
        std::fs::rename(&aside, &path).unwrap();
    }
    cli.words("check s --deep").ok();
}

/// Lines without sequence numbers, and without changes of purged entities.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().filter(|line| !line.contains("\"change\":\"purged\"")) {
        let mut rest = line;
        while let Some(at) = rest.find("\"sequence\":") {
            let (front, number) = rest.split_at(at);
            out += front;
            rest = number["\"sequence\":".len()..].trim_start_matches(|c: char| c.is_ascii_digit());
        }
        out += rest;
        out.push('\n');
    }
    out
}

#[test]
fn repair_of_a_sound_store_is_the_same_store() {
    for packed in [false, true] {
        let cli = store();
        if packed {
            pack(&cli);
        }
        let before = all(&cli, "s");
        let said = cli.words("repair s --into new").ok();
        assert!(said.text().contains("nothing was written"), "{}", said.text());
        assert!(!cli.path("new").exists());
        cli.words("repair s --into new --apply").ok();
        let after = all(&cli, "new");
        // Of a purged entity's changes a pack has left nothing but their numbers: there is nothing to be saved, and the others close up.
        let said = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (before, after) = ((said(before.0), said(before.1)), (said(after.0), said(after.1)));
        let numbered = |text: String| if packed { without_numbers(&text) } else { text };
        assert_eq!(numbered(after.0), numbered(before.0), "packed: {packed}");
        assert_eq!(numbered(after.1), numbered(before.1), "packed: {packed}");
        cli.words("check new --deep").ok();
        cli.words("repair s --into new --apply").fails_with(1);
    }
}

#[test]
fn repair_saves_all_but_what_is_damaged_and_names_that() {
    let cli = store();
    let segment =
        files(&cli.path("s"), "seg").into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let len = std::fs::metadata(&segment).unwrap().len() as usize;
    let mut lost_contents = 0;
    for step in 1..12 {
        let at = len * step / 12;
        flip(&segment, at);
        let new = format!("new{step}");
        let said = cli.run(["repair", "s", "--into", &new, "--apply", "--json"]);
        let said_lines = said.json();
        let summary = said_lines.last().unwrap();
        let lost = summary["lost"].as_u64().unwrap();
        assert_eq!(said.code, Some(if lost == 0 { 0 } else { 5 }), "{}", said.err);
        for line in &said_lines[..said_lines.len() - 1] {
            if line["lost"] == "content" {
                lost_contents += 1;
                assert!(line["entity"].as_str().unwrap().starts_with("page"), "{line}");
            }
        }
        cli.run(["check", &new, "--deep"]).ok();
        flip(&segment, at);
    }
    assert!(lost_contents > 0, "some of the flips hit a content");
}

#[test]
fn repair_without_manifest_and_index_works_as_well() {
    let cli = store();
    let before = all(&cli, "s");
    for extension in ["manifest", "tab", "kv"] {
        files(&cli.path("s"), extension).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }
    cli.words("repair s --into new --apply").ok();
    assert_eq!(all(&cli, "new"), before);
    cli.words("check new --deep").ok();
}
