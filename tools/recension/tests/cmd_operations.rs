//! `stats`, `check`, `compact`, `checkpoint`, `completions`, `man`, and being in use.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use support::{Cli, lines};

fn store(n: usize) -> Cli {
    let cli = Cli::new();
    cli.run_with(["import", "s", "-"], lines(n).as_bytes()).ok();
    cli
}

#[test]
fn stats_are_numbers_for_programs_and_units_for_people() {
    let cli = store(50);
    let stats = &cli.words("stats s --json").ok().json()[0];
    assert!(stats["published"].as_u64().unwrap() >= 50);
    assert!(stats["bytes_on_disk"].as_u64().unwrap() > 1000);
    let text = cli.words("stats s").ok().text();
    assert!(text.contains("KiB"), "{text}");
}

#[test]
fn check_says_sound_or_what_is_damaged() {
    let cli = store(200);
    for depth in ["--quick", "", "--deep"] {
        assert!(cli.words(&format!("check s {depth}")).ok().text().starts_with("sound"));
    }
    assert_eq!(cli.words("check s --json").ok().json()[0]["clean"], true);
    cli.words("check s --deep --quick").fails_with(2);

    // One flipped bit in the middle of the contents.
    let segment = std::fs::read_dir(cli.path("s")).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .max_by_key(|path| path.metadata().unwrap().len());
    let segment = segment.unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let said = cli.words("check s --deep").fails_with(5);
    assert!(said.err.contains("damage") || said.text().contains("damage"), "{} {}", said.err, said.text());
    let said = cli.words("check s --deep --json").fails_with(5);
    assert_eq!(said.json_error()["kind"], "corrupt");
}

#[test]
fn compact_leaves_everything_readable() {
    let cli = store(300);
    let before = cli.words("export s").ok().out;
    cli.words("compact s").ok();
    let said = cli.words("compact s --full --json").ok();
    assert!(said.json()[0]["tables"].as_u64().is_some());
    assert_eq!(cli.words("export s").ok().out, before);
    cli.words("check s --deep").ok();
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    let cli = store(100);
    let before = cli.words("export s").ok().out;
    let said = cli.words("checkpoint s copy --json").ok();
    assert!(said.json()[0]["files"].as_u64().unwrap() > 0);
    cli.words("checkpoint s copy").fails_with(1);
    cli.run_with(["put", "s", "later", "--expect", "absent"], b"x").ok();
    assert_eq!(cli.words("export copy").ok().out, before);
    cli.run_with(["put", "copy", "other", "--expect", "absent"], b"y").ok();
    cli.words("get s other").fails_with(4);
    cli.words("check copy --deep").ok();
}

#[test]
fn a_store_in_use_is_said_to_be_and_its_changes_can_be_read_all_the_same() {
    let cli = store(20);
    let held = recension::Store::open(cli.path("s")).unwrap();
    let said = cli.words("ls s --json").fails_with(1);
    assert_eq!(said.json_error()["kind"], "locked");
    assert!(said.err.contains(&std::process::id().to_string()), "names the owner: {}", said.err);
    cli.put("A", "any", "x").fails_with(1);
    assert_eq!(cli.words("changes s --json").ok().json().len(), 20);
    held.close().unwrap();
    cli.words("ls s").ok();
}

#[test]
fn completions_are_made_for_every_shell() {
    let cli = Cli::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli.run(["completions", shell]).ok().text();
        assert!(script.contains("checkpoint") && script.contains("if-changed"), "{shell}");
    }
    cli.words("completions tcsh").fails_with(2);
}

#[test]
fn man_writes_a_page_for_each_command() {
    let cli = Cli::new();
    let listed = cli.words("man pages/man1").ok().text();
    let page = std::fs::read_to_string(cli.path("pages/man1/recension-import.1")).unwrap();
    assert!(page.contains("rejects") && page.contains("recension\\-import"), "{page}");
    assert!(std::fs::read_to_string(cli.path("pages/man1/recension.1")).unwrap().contains("Exit codes"));
    assert!(listed.lines().count() > 15, "{listed}");
}

#[test]
fn help_and_version_go_to_standard_output() {
    let cli = Cli::new();
    assert!(cli.words("--help").ok().text().contains("import"));
    assert!(cli.words("help put").ok().text().contains("--expect"));
    assert!(cli.words("--version").ok().text().starts_with("recension "));
    cli.run::<&str>([]).fails_with(2);
    cli.words("frobnicate").fails_with(2);
}
