//! `rebuild` of stores of real histories: what they answer, and their files, are the same, with and without the old manifest, and also when something was
//! forgotten and erased.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

#[path = "../../../tests/common/behind_header.rs"]
mod behind_header;
mod support;

use std::path::Path;

use behind_header::behind_header;
use support::{Cli, data};

const KINDS: [&str; 3] = ["pack", "tab", "kv"];

fn copy(from: &Path, to: &Path, keep: impl Fn(&str) -> bool) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().map_or(String::new(), |it| it.to_string_lossy().into_owned());
        if path.is_file() && keep(&ending) {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// The files of a kind behind their headers, by what is in them.
fn bodies(dir: &Path, kind: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == kind));
    let body =
        |path: std::path::PathBuf| behind_header(&path.to_string_lossy(), std::fs::read(&path).unwrap());
    let mut bodies: Vec<Vec<u8>> = files.map(body).collect();
    bodies.sort();
    bodies
}

/// All that is told of a store.
fn told(cli: &Cli, store: &str) -> [Vec<u8>; 3] {
    let changes = cli.run(["changes", store, "--json"]).ok().out;
    [cli.run(["export", store]).ok().out, cli.run(["ls", store, "--json"]).ok().out, changes]
}

/// Rebuilds copies of `s`, and compares them with it.
fn is_rebuilt(cli: &Cli, what: &str) {
    let from = cli.path("s");
    let before = told(cli, "s");
    copy(&from, &cli.path("full"), |_| true);
    cli.words("compact full --full").ok();
    for (name, with_manifest) in [("with", true), ("without", false)] {
        let value_file = |ending: &str| ["seg", "pack"].contains(&ending);
        copy(&from, &cli.path(name), |ending| value_file(ending) || with_manifest && ending == "manifest");
        cli.run(["rebuild", name]).ok();
        assert!(told(cli, name) == before, "{what}, {name} manifest");
        cli.run(["check", name, "--deep"]).ok();
        cli.run(["compact", name, "--full"]).ok();
        assert!(told(cli, name) == before, "{what}, {name} manifest, compacted");
        for kind in KINDS {
            let (expected, found) = (bodies(&cli.path("full"), kind), bodies(&cli.path(name), kind));
            assert_eq!(expected.len(), found.len(), "{what}, {name} manifest, {kind}");
            assert!(expected == found, "{what}, {name} manifest: {kind} differ");
        }
        std::fs::remove_dir_all(cli.path(name)).unwrap();
    }
    assert!(!bodies(&cli.path("full"), "pack").is_empty());
    std::fs::remove_dir_all(cli.path("full")).unwrap();
}

#[test]
fn a_real_history_that_is_rebuilt_is_the_same_logically_and_behind_the_file_headers() {
    for input in ["webplatform-0.11.xml.bz2", "wikidata-entities.json.zst"] {
        let cli = Cli::new();
        cli.run(["import", "s", data(input).to_str().unwrap()]).ok();
        is_rebuilt(&cli, &format!("{input}, imported"));
        let heads = cli.words("ls s --json").ok().json();
        let name = |at: usize| heads[at % heads.len()]["entity"].as_str().unwrap().to_owned();
        let head = cli.run(["get", "s", &name(5), "--meta", "--json"]).ok().json();
        if let Some(author) = head[0]["author"].as_str() {
            cli.run(["forget", "s", "--author", author, "--fields", "author,comment"]).ok();
        }
        cli.run(["forget", "s", &name(7), "--rev", "1-", "--fields", "all", "--shared", "include"]).ok();
        cli.run(["hide", "s", &name(3), "--rev", "1"]).ok();
        cli.run(["purge", "s", &name(11)]).ok();
        cli.words("retention s --older-than 0s --keep 3 --prefix W").ok();
        is_rebuilt(&cli, &format!("{input}, forgotten"));
        cli.words("reclaim s").ok();
        is_rebuilt(&cli, &format!("{input}, erased"));
        cli.words("erasure-report s").ok();
    }
}
