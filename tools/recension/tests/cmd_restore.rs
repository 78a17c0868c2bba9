//! `restore`.
#![allow(clippy::disallowed_methods, reason = "tests may use files")]

mod support;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use support::Cli;

/// A store, a checkpoint of it, and a text that was forgotten after that.
fn checkpointed() -> Cli {
    let cli = Cli::new();
    cli.put("page", "absent", "a secret").ok();
    cli.put("page", "1", "no secret").ok();
    cli.words("checkpoint s backup").ok();
    cli.put("page", "2", "newer than the backup").ok();
    cli.run(["forget", "s", "page", "--rev", "1", "--reason", "asked for"]).ok();
    cli
}

#[test]
fn a_forgotten_text_does_not_come_back_with_a_backup() {
    let cli = checkpointed();
    std::fs::rename(cli.path("s"), cli.path("before")).unwrap();
    let said = cli.words("restore backup s --annotations-from before").ok();
    assert!(said.text().contains("1 annotation applied"), "{}", said.text());
    assert_eq!(cli.words("get s page").ok().out, b"no secret");
    let gone = cli.words("get s page --rev 1").fails_with(4);
    assert!(gone.err.contains("forgotten"), "{}", gone.err);
    cli.words("check s --deep").ok();
    // The numbers of a store of its own go on.
    cli.put("page", "2", "after the restore").ok();
}

#[test]
fn whoever_restores_says_where_newer_annotations_are_or_that_there_are_none() {
    let cli = checkpointed();
    let said = cli.words("restore backup t").fails_with(2);
    assert!(said.err.contains("--annotations-from"), "{}", said.err);
    let said = cli.words("restore backup s --annotations-from s").fails_with(1);
    assert!(said.err.contains("exists already"), "{}", said.err);
    let said = cli.words("restore backup t --annotations-from none --json").ok();
    assert!(said.text().contains("\"checkpoint_sequence\":2,\"sequence\":2"), "{}", said.text());
    assert_eq!(cli.words("get t page --rev 1").ok().out, b"a secret");
    // From a store with the same path and another life.
    cli.run_with(["put", "other", "page", "--expect", "absent"], b"x").ok();
    let said = cli.words("restore backup u --annotations-from other").fails_with(1);
    assert!(said.err.contains("is not the store that the checkpoint was made of"), "{}", said.err);
    assert!(!cli.path("u").exists());
}

#[test]
fn a_backup_on_another_file_system_is_copied() {
    let cli = checkpointed();
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    if std::fs::metadata(elsewhere.path()).unwrap().dev() == std::fs::metadata(cli.path("s")).unwrap().dev() {
        return;
    }
    let to = elsewhere.path().join("restored");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let args = ["restore", "backup", &text(&to), "--annotations-from", "s", "--json"].map(ToOwned::to_owned);
    let said = cli.run(args).ok();
    assert!(said.text().contains("\"linked\":0"), "{}", said.text());
    assert_eq!(cli.run(["get", &text(&to), "page"]).ok().out, b"no secret");
    cli.run(["check", &text(&to), "--deep"]).ok();
}
