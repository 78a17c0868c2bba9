//! `forget`, `purge`, `retention`.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use support::Cli;

fn store() -> Cli {
    let cli = Cli::new();
    for (entity, text) in [("A", "one"), ("A", "two"), ("A", "three"), ("B", "one")] {
        cli.run_with(["put", "s", entity, "--expect", "any", "--author", "ann"], text.as_bytes()).ok();
    }
    cli
}

#[test]
fn a_forgotten_content_is_said_to_be_forgotten_everywhere() {
    let cli = store();
    let said = cli.words("forget s A --rev 2-3 --fields content,author --actor me --reason law --json").ok();
    let said = &said.json()[0];
    assert_eq!((said["revisions"].as_u64(), said["entities"].as_u64()), (Some(2), Some(1)));
    assert_eq!(cli.words("get s A --json").fails_with(4).json_error()["kind"], "forgotten");
    let meta = &cli.words("get s A --meta --json").ok().json()[0];
    assert_eq!((meta["rev"].as_u64(), meta["forgotten"][0].as_str()), (Some(3), Some("content")));
    assert!(meta.get("author").is_none());
    let history = cli.words("history s A").ok().text();
    assert!(history.contains("forgotten"), "{history}");
    let lines = cli.words("export s").ok().json();
    assert_eq!((&lines[1]["forgotten"], &lines[1]["author"]), (&true.into(), &lines[2]["author"]));
    assert_eq!(lines[0]["content"], "one");
    let changes = cli.words("changes s --json").ok().json();
    let last = changes.last().unwrap();
    assert_eq!((last["change"].as_str(), last["reason"].as_str()), (Some("forget"), Some("law")));
    assert!(cli.words("changes s").ok().text().contains("forget"));
    assert_eq!(cli.words("diff s A 1 2").code, Some(4));
    cli.words("check s --deep").ok();
}

#[test]
fn what_is_meant_must_be_said() {
    let cli = store();
    cli.words("forget s").fails_with(2);
    cli.words("forget s A").fails_with(2);
    cli.words("forget s --author ann --digest ab").fails_with(2);
    cli.words("forget s nobody --rev 1").fails_with(1);
    cli.words("retention s --keep 1").fails_with(2);
    cli.words("retention s --older-than 3x --keep 1").fails_with(2);
    let shared = cli.words("revert s A --to 1 --expect 3").ok();
    assert!(shared.text().contains("revision 4"));
    let refused = cli.words("forget s A --rev 1").fails_with(1);
    assert!(refused.err.contains("include") && refused.err.contains('4'), "{}", refused.err);
    let preview = cli.words("forget s A --rev 1 --shared include --preview --json").ok();
    assert_eq!(
        (&preview.json()[0]["revisions"], &preview.json()[0]["outcome"]),
        (&2.into(), &"preview".into())
    );
    cli.words("forget s A --rev 1 --shared include").ok();
    cli.words("get s A --rev 4").fails_with(4);
}

#[test]
fn an_author_a_content_and_what_is_old_are_forgotten_in_the_whole_store() {
    let cli = store();
    assert_eq!(cli.words("forget s --author ann --json").ok().json()[0]["revisions"], 4);
    assert!(!cli.words("export s").ok().text().contains("ann"));
    assert_eq!(cli.words("forget s --author ann").ok().text().trim(), "nothing to forget");
    let digest = blake3_of_one();
    let said = cli.words(&format!("forget s --digest {digest} --json")).ok();
    assert_eq!(said.json()[0]["revisions"], 2);
    cli.words("get s B").fails_with(4);
    let kept = cli.words("retention s --older-than 1d --keep 0 --json").ok();
    assert_eq!(kept.json()[0]["revisions"], 0);
    let kept = cli.words("retention s --older-than 0s --keep 0 --json").ok();
    assert_eq!(kept.json()[0]["revisions"], 1, "revision 2 of A");
    assert_eq!(cli.words("get s A").ok().text(), "three");
}

fn blake3_of_one() -> String {
    recension::Digest::of(b"one").to_string()
}

#[test]
fn a_purged_entity_is_not_named_any_more() {
    let cli = store();
    cli.words("purge s A --expect 2").fails_with(3);
    cli.words("purge s A --expect 3 --actor me --reason law").ok();
    for command in ["get s A", "get s A --as-of 1", "get s A --rev 1"] {
        cli.words(command).fails_with(4);
    }
    assert_eq!(cli.words("get s A --json").fails_with(4).json_error()["kind"], "purged");
    let shown = cli.words("ls s").ok().text() + &cli.words("export s").ok().text();
    assert!(!shown.contains("\"A\"") && !shown.contains("A "), "{shown}");
    let changes = cli.words("changes s --json").ok();
    assert_eq!(changes.json()[0]["change"], "purged");
    assert!(changes.json().last().unwrap()["entity_hash"].is_string());
    cli.words("changes s").ok();
    cli.put("A", "absent", "x").fails_with(3);
    assert!(cli.put("A", "any", "x").ok().text().contains("revision 4"));
}

#[test]
fn an_import_never_writes_again_what_was_forgotten_or_purged() {
    let cli = store();
    cli.words("export s").ok();
    let lines = cli.words("export s").ok().out;
    cli.file("all.jsonl", &lines);
    cli.words("forget s B --rev 1").ok();
    cli.words("purge s A").ok();
    let again = |what: &str| {
        let said = cli.words("import s all.jsonl --restart --json").ok();
        let summary = said.json().last().unwrap().clone();
        assert_eq!(
            (&summary["forgotten"], &summary["revisions"]),
            (&4.into(), &0.into()),
            "{what}: {summary}"
        );
    };
    again("purged");
    cli.put("A", "any", "used again").ok();
    again("used again");
    cli.words("get s B").fails_with(4);
}
