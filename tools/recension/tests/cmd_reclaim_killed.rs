//! `reclaim` that is killed at many moments, on a real history.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

#[path = "../../../tests/common/decoded.rs"]
mod decoded;
mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use recension::env::Env;
use support::{Cli, data, history};

const AUTHOR: &str = "bb71fea7";
const ENTITY: &str = "ScoopInstaller+Main/bucket/croc.json";
const DIGEST_OF: &str = "ScoopInstaller+Main/fnproject.json";

/// The files of the store that hold one of the words, raw or decoded.
fn holding(cli: &Cli, words: &[&[u8]]) -> BTreeSet<PathBuf> {
    let fs = Env::os(1).fs;
    let files = std::fs::read_dir(cli.path("s")).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: &PathBuf| {
        let all = decoded::decoded(&*fs, path);
        words.iter().any(|word| memchr(&all, word))
    };
    files.filter(|path| path.is_file()).filter(has).map(|path| path.canonicalize().unwrap()).collect()
}

fn memchr(all: &[u8], word: &[u8]) -> bool {
    let first = word[0];
    all.windows(word.len()).any(|window| window[0] == first && window == word)
}

/// The files that the report names or cannot tell of.
fn named(cli: &Cli) -> BTreeSet<PathBuf> {
    let said = cli.words("erasure-report s --json");
    let clear = said.json().last().unwrap()["clear"].as_bool().unwrap();
    assert_eq!(said.code, Some(if clear { 0 } else { 6 }));
    let paths = said.json().into_iter().filter_map(|line| {
        let path = line.get("held").or(line.get("unknown"))?.as_str()?.to_owned();
        Some(cli.path(&path).canonicalize().unwrap())
    });
    let paths: BTreeSet<PathBuf> = paths.collect();
    assert_eq!(paths.is_empty(), clear);
    paths
}

#[test]
fn a_reclaim_that_is_killed_anywhere_is_finished_by_the_next_one_and_the_report_is_right_each_time() {
    let cli = Cli::new();
    let file = data("history.jsonl.zst");
    cli.run(["import", "s", file.to_str().unwrap()]).ok();
    let content = cli.run(["get", "s", DIGEST_OF, "--rev", "100"]).ok().out;
    let digest = recension::Digest::of(&content).to_string();
    let words: [&[u8]; 3] = [AUTHOR.as_bytes(), ENTITY.as_bytes(), &content];
    assert!(named(&cli).is_empty() && !holding(&cli, &words).is_empty());
    cli.run(["forget", "s", "--author", AUTHOR]).ok();
    cli.run(["forget", "s", "--digest", &digest, "--shared", "include"]).ok();
    cli.run(["purge", "s", ENTITY]).ok();
    let before = cli.words("export s").ok().out;
    assert!(!memchr(&before, AUTHOR.as_bytes()) && !memchr(&before, ENTITY.as_bytes()));
    for killed in 0_u32.. {
        let mut child = cli.start(["reclaim", "s"]);
        std::thread::sleep(Duration::from_millis(3) * (killed + 1).pow(2));
        let _ = child.kill();
        let done = child.wait().unwrap().success();
        let (held, named) = (holding(&cli, &words), named(&cli));
        assert!(held.is_subset(&named), "killed {killed} times: {held:?} of {named:?}");
        assert!(cli.words("export s").ok().out == before, "killed {killed} times");
        if done {
            assert!(held.is_empty() && named.is_empty(), "{held:?} {named:?}");
            break;
        }
    }
    cli.words("check s --deep").ok();
    // Nothing comes back from the file that it came from, and what is kept is what it was.
    cli.run(["import", "s", file.to_str().unwrap(), "--restart"]).ok();
    cli.words("compact s --full").ok();
    assert!(holding(&cli, &words).is_empty() && named(&cli).is_empty());
    assert!(cli.words("export s").ok().out == before);
    cli.words("rebuild s").ok();
    assert!(holding(&cli, &words).is_empty() && named(&cli).is_empty());
    assert!(cli.words("export s").ok().out == before);
    assert!(history().len() > before.len());
}
