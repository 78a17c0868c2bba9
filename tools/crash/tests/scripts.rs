//! Scripts: as text and back, the same run each time, and those that failed once.
#![allow(clippy::disallowed_methods, reason = "tests read files")]

use std::path::{Path, PathBuf};

use crash::generate::generate;
use crash::run::run;
use crash::text;

fn regressions() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/regressions");
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|it| it == "script")).collect();
    files.sort();
    files
}

#[test]
fn what_failed_once_does_not_fail_any_more() {
    let files = regressions();
    assert!(!files.is_empty());
    for file in files {
        let script = text::read(&std::fs::read_to_string(&file).unwrap());
        let script = script.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if let Some(failure) = run(&script).failure {
            panic!("{}: {failure}", file.display());
        }
    }
}

#[test]
fn a_script_comes_back_from_its_text() {
    for seed in 0..300 {
        let script = generate(seed);
        assert_eq!(text::read(&text::write(&script)).unwrap(), script, "seed {seed}");
    }
}

#[test]
fn a_seed_is_the_same_run_each_time() {
    for seed in 0..40 {
        let script = generate(seed);
        let (first, second) = (run(&script), run(&script));
        assert_eq!((first.hash, first.failure), (second.hash, second.failure), "seed {seed}");
    }
}

#[test]
fn a_text_that_is_no_script_is_refused_with_its_line() {
    let text = text::write(&generate(1));
    let broken = text.replacen("op ", "op Nonsense(", 1);
    let error = text::read(&broken).unwrap_err();
    assert!(error.starts_with("line "), "{error}");
    assert!(text::read("recension crash script 2\n").is_err());
}
