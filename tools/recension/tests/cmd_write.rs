//! `put`, `delete`, `undelete`, `revert`, `batch`, `hide`, `show`.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use support::Cli;

#[test]
fn put_makes_a_store_and_prints_the_revision() {
    let cli = Cli::new();
    assert_eq!(cli.put("Main Page", "absent", "one").ok().text(), "Main Page: revision 1 (sequence 1)\n");
    let said = cli.run_with(["--json", "put", "s", "Main Page", "--expect", "1"], b"two").ok();
    let object = &said.json()[0];
    assert_eq!(object["entity"], "Main Page");
    assert_eq!(object["rev"], 2);
    assert_eq!(object["sequence"], 2);
    assert_eq!(object["outcome"], "written");
}

#[test]
fn put_needs_an_expectation() {
    let cli = Cli::new();
    let said = cli.run_with(["put", "s", "A"], b"one").fails_with(2);
    assert!(said.err.contains("--expect"));
    assert!(!cli.path("s").exists());
    let said = cli.run_with(["put", "s", "A", "--json"], b"one").fails_with(2);
    assert_eq!(said.json_error()["kind"], "usage");
    cli.run_with(["put", "s", "A", "--expect", "0"], b"one").fails_with(2);
}

#[test]
fn a_stale_expectation_is_a_conflict_and_names_the_head() {
    let cli = Cli::new();
    cli.put("A", "absent", "one").ok();
    cli.put("A", "1", "two").ok();
    let said = cli.put("A", "1", "three").fails_with(3);
    assert!(said.err.contains("revision 2"), "{}", said.err);
    cli.put("A", "absent", "three").fails_with(3);
    let said = cli.run_with(["put", "s", "A", "--expect", "1", "--json"], b"x").fails_with(3);
    let error = said.json_error();
    assert_eq!((&error["kind"], &error["head"]), (&"conflict".into(), &2.into()));
    assert_eq!(cli.words("get s A").ok().out, b"two");
}

#[test]
fn put_takes_files_any_bytes_and_all_fields() {
    let cli = Cli::new();
    let bytes: Vec<u8> = (0..=255).collect();
    cli.file("content", &bytes);
    let args = "put s A content --expect absent --author ann --comment why --minor --bot --tag t1 --tag t2 \
                --type text/x --at 2024-01-31T12:00:00+01:00";
    cli.words(args).ok();
    assert_eq!(cli.words("get s A").ok().out, bytes);
    let meta = &cli.words("get s A --meta --json").ok().json()[0];
    assert_eq!(meta["author"], "ann");
    assert_eq!(meta["comment"], "why");
    assert_eq!(meta["tags"], serde_json::json!(["t1", "t2"]));
    assert_eq!(meta["type"], "text/x");
    assert_eq!((&meta["minor"], &meta["bot"]), (&true.into(), &true.into()));
    assert_eq!(meta["ts"], 1_706_698_800);
    assert_eq!(meta["length"], 256);
}

#[test]
fn if_changed_writes_nothing_for_the_same_content() {
    let cli = Cli::new();
    cli.put("A", "absent", "one").ok();
    let said = cli.run_with(["put", "s", "A", "--expect", "any", "--if-changed", "--json"], b"one").ok();
    assert_eq!(said.json()[0]["outcome"], "unchanged");
    assert_eq!(cli.words("history s A --json").ok().json().len(), 1);
    let said = cli.run_with(["put", "s", "A", "--expect", "any", "--if-changed", "--json"], b"two").ok();
    assert_eq!(said.json()[0]["rev"], 2);
}

#[test]
fn a_request_id_makes_a_retry_answer_with_the_first_revision() {
    let cli = Cli::new();
    let id = "00112233445566778899aabbccddeeff";
    let put = |content: &str| {
        cli.run_with(["put", "s", "A", "--expect", "any", "--json", "--request-id", id], content.as_bytes())
    };
    assert_eq!(put("one").ok().json()[0]["outcome"], "written");
    let again = put("one").ok();
    assert_eq!((&again.json()[0]["outcome"], &again.json()[0]["rev"]), (&"replayed".into(), &1.into()));
    put("other").fails_with(1);
}

#[test]
fn delete_undelete_and_revert_are_further_revisions() {
    let cli = Cli::new();
    cli.put("A", "absent", "one").ok();
    cli.put("A", "1", "two").ok();
    cli.words("delete s A --expect 1").fails_with(3);
    cli.words("delete s A --expect 2 --comment gone").ok();
    let said = cli.words("get s A").fails_with(4);
    assert!(said.err.contains("deleted"), "{}", said.err);
    assert_eq!(cli.words("get s A --json").fails_with(4).json_error()["kind"], "deleted");
    assert_eq!(cli.words("get s A --rev 2").ok().out, b"two");
    cli.words("undelete s A --expect 3").ok();
    assert_eq!(cli.words("get s A").ok().out, b"two");
    cli.words("undelete s A --expect 4").fails_with(1);
    cli.words("revert s A --to 1 --expect 4").ok();
    assert_eq!(cli.words("get s A").ok().out, b"one");
    cli.words("revert s A --to 99 --expect any").fails_with(1);
}

#[test]
fn only_writers_of_contents_make_a_store() {
    let cli = Cli::new();
    for command in [
        "delete s A --expect any",
        "undelete s A --expect any",
        "revert s A --to 1 --expect any",
        "hide s A --rev 1",
    ] {
        let said = cli.words(command).fails_with(1);
        assert!(said.err.contains("no store"), "{}", said.err);
    }
    assert!(!cli.path("s").exists());
}

#[test]
fn a_batch_goes_through_as_a_whole() {
    let cli = Cli::new();
    let batch = r#"
{"entity":"A","expect":"absent","content":"one"}
{"entity":"A","expect":1,"content":"two","author":"ann","tags":["t"]}
{"entity":"B","expect":"any","content_base64":"/w=="}
"#;
    let said = cli.run_with(["batch", "s", "-", "--json"], batch.as_bytes()).ok();
    let revisions: Vec<_> = said.json().iter().map(|line| line["rev"].as_u64().unwrap()).collect();
    assert_eq!(revisions, [1, 2, 1]);
    let file = cli.file(
        "more",
        r#"{"entity":"A","expect":2,"deleted":true}
{"entity":"B","expect":9,"content":"x"}"#,
    );
    let said = cli.run(["batch", "s", file.to_str().unwrap()]).fails_with(3);
    assert!(said.err.contains('B'), "{}", said.err);
    assert_eq!(cli.words("get s A").ok().out, b"two");

    let last = r#"{"entity":"A","expect":2,"revert_to":1,"comment":"back"}
{"entity":"B","expect":1,"deleted":true}
{"entity":"B","expect":2,"undelete":true}
{"entity":"A","expect":3,"require":true}
{"entity":"A","expect":3,"content":"one","if_changed":true}"#;
    let said = cli.run_with(["batch", "s", "-", "--json"], last.as_bytes());
    let outcomes: Vec<_> = said.json().iter().map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes.len(), 5, "{}", said.err);
    assert_eq!(cli.words("get s A").ok().out, b"one");
    assert_eq!(cli.words("get s B").ok().out, b"\xff");
}

#[test]
fn a_batch_with_a_bad_line_writes_nothing_and_says_where() {
    let cli = Cli::new();
    for (bad, word) in [
        (r#"{"entity":"A","content":"x"}"#, "expect"),
        (r#"{"entity":"A","expect":0,"content":"x"}"#, "expect"),
        (r#"{"entity":"A","expect":"any"}"#, "content"),
        (r#"{"entity":"A","expect":"any","content":"x""#, "line 2"),
        (r#"{"entity":"A","expect":"any","revert_to":1,"undelete":true}"#, "contradict"),
    ] {
        let input = format!("{{\"entity\":\"ok\",\"expect\":\"any\",\"content\":\"x\"}}\n{bad}\n");
        let said = cli.run_with(["batch", "s", "-"], input.as_bytes()).fails_with(1);
        assert!(said.err.contains(word), "{}", said.err);
        assert!(said.err.contains("line 2"), "{}", said.err);
    }
    assert!(!cli.path("s").exists());
}

#[test]
fn what_is_hidden_is_not_shown_until_it_is_shown_again() {
    let cli = Cli::new();
    cli.run_with(["put", "s", "A", "--expect", "absent", "--author", "ann", "--comment", "secret"], b"one")
        .ok();
    cli.put("A", "1", "two").ok();
    cli.run([
        "hide",
        "s",
        "A",
        "--rev",
        "1",
        "--fields",
        "content,author,comment",
        "--actor",
        "me",
        "--reason",
        "law",
    ])
    .ok();
    assert_eq!(cli.words("get s A --rev 1 --json").fails_with(4).json_error()["kind"], "hidden");
    for command in
        ["history s A", "history s A --json", "get s A --rev 1 --meta --json", "changes s --json", "export s"]
    {
        let text = cli.words(command).ok().text();
        assert!(!text.contains("ann") && !text.contains("secret"), "{text}");
    }
    let said = cli.words("export s").ok();
    assert!(
        said.err.contains("who hid, showed, forgot or purged something, and why (1 change)"),
        "{}",
        said.err
    );
    let line = said.text();
    assert!(
        line.starts_with(
            r#"{"entity":"A","rev":1,"parent":0,"author_hidden":true,"comment_hidden":true,"hidden":true}"#
        ),
        "{line}"
    );
    let change = &cli.words("changes s --json --since 2").ok().json()[0];
    assert_eq!(
        (&change["change"], &change["actor"], &change["reason"]),
        (&"hide".into(), &"me".into(), &"law".into())
    );
    cli.words("show s A --rev 1- --fields all").ok();
    assert_eq!(cli.words("get s A --rev 1").ok().out, b"one");
    cli.words("hide s A --rev 2-1").fails_with(2);
    cli.words("hide s nobody --rev 1").fails_with(1);
}
