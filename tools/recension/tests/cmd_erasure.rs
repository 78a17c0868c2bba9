//! `reclaim` and `erasure-report`.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use support::Cli;

/// Whether a word stands in the raw bytes of any file of the store.
fn holds(cli: &Cli, word: &str) -> bool {
    let files = std::fs::read_dir(cli.path("s")).unwrap().map(|entry| entry.unwrap().path());
    let has = |path: std::path::PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(word.len()).any(|window| window == word.as_bytes())
    };
    files.filter(|path| path.is_file()).any(has)
}

#[test]
fn the_report_names_files_until_reclaim_has_written_them_anew() {
    let cli = Cli::new();
    for (entity, text) in [("A", "SECRETWORD"), ("A", "two"), ("NAMEWORD", "one")] {
        cli.run_with(["put", "s", entity, "--expect", "any", "--author", "AUTHORWORD"], text.as_bytes()).ok();
    }
    assert!(cli.words("erasure-report s").ok().text().contains("no file"));
    cli.words("checkpoint s copy").ok();
    cli.words("forget s A --rev 1 --fields all").ok();
    cli.words("purge s NAMEWORD").ok();
    assert!(holds(&cli, "SECRETWORD") && holds(&cli, "NAMEWORD"));
    let said = cli.words("erasure-report s --json").fails_with(6).json();
    let files: Vec<_> =
        said.iter().filter(|line| line.get("held").is_some_and(|held| held.is_string())).collect();
    // The segment may have become a pack already.
    let is_value_file = |role: &serde_json::Value| role == "segment" || role == "pack";
    assert!(
        files.iter().any(|file| is_value_file(&file["role"]) && file["jobs"].as_array().is_some()),
        "{said:?}"
    );
    assert_eq!(said.last().unwrap()["clear"], false);

    let done = cli.words("reclaim s --json").ok().json();
    assert_eq!(done[0]["complete"], true);
    assert!(!holds(&cli, "SECRETWORD") && !holds(&cli, "NAMEWORD"));
    // The checkpoint was made before: it is named as long as it is there.
    let left = cli.words("erasure-report s").fails_with(6);
    assert!(left.err.contains("delete a checkpoint") && !left.err.contains("`reclaim`"), "{}", left.err);
    let left = left.text();
    assert!(left.contains("checkpoint") && left.lines().count() == 1, "{left}");
    assert!(left.contains("of before 2 erasing annotations"), "no number of contents is claimed: {left}");
    cli.words("erasure-report s --released copy").fails_with(1);
    std::fs::remove_dir_all(cli.path("copy")).unwrap();
    let gone = cli.words("erasure-report s --json").ok().json();
    assert!(gone[0]["gone"].as_str().unwrap().ends_with("copy"));
    cli.words("erasure-report s --released copy").ok();
    assert_eq!(cli.words("erasure-report s --json").ok().json().len(), 1);
    cli.words("check s --deep").ok();
}

#[test]
fn an_import_does_not_bring_back_what_was_erased() {
    let cli = Cli::new();
    let lines: String = (1..=40)
        .map(|rev| {
            format!(
                "{{\"entity\":\"A\",\"rev\":{rev},\"author\":\"ann\",\"content\":\"SECRETWORD {rev}\"}}\n"
            )
        })
        .collect();
    let file = cli.file("in.jsonl", lines);
    let file = file.to_str().unwrap();
    cli.run(["import", "s", file]).ok();
    cli.words("forget s A --rev 1- --fields all").ok();
    cli.words("reclaim s").ok();
    cli.run(["import", "s", file, "--restart"]);
    cli.words("reclaim s").ok();
    cli.words("erasure-report s").ok();
    assert!(!holds(&cli, "SECRETWORD"));
    cli.words("check s --deep").ok();
}
