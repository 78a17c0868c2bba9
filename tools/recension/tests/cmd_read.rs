//! `get`, `history`, `ls`, `diff`, `changes`, and what all reading commands have in common.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use support::Cli;

fn store() -> Cli {
    let cli = Cli::new();
    let lines = r#"{"entity":"A","rev":1,"parent":0,"ts":1000,"author":"ann","comment":"first","content":"one\ntwo\nthree\n"}
{"entity":"B","rev":1,"parent":0,"ts":1500,"content":"b"}
{"entity":"A","rev":2,"parent":1,"ts":2000,"author":"bob","minor":true,"comment":"second","content":"one\nzwei\nthree\n"}
{"entity":"C","rev":1,"parent":0,"ts":2500,"content":"c"}
{"entity":"C","rev":2,"parent":1,"ts":2600,"deleted":true}
{"entity":"Ab","rev":1,"parent":0,"ts":3000,"slots":{"info":{"content":"beside"}},"content":"ab"}
"#;
    cli.run_with(["import", "s", "-"], lines.as_bytes()).ok();
    cli
}

#[test]
fn get_writes_the_content_and_nothing_else() {
    let cli = store();
    let said = cli.words("get s A").ok();
    assert_eq!(said.out, b"one\nzwei\nthree\n");
    assert_eq!(said.err, "");
    assert_eq!(cli.words("get s A --rev 1").ok().out, b"one\ntwo\nthree\n");
    assert_eq!(cli.words("get s Ab --slot info").ok().out, b"beside");
    cli.words("get s Ab --slot other").fails_with(4);
}

#[test]
fn get_reads_the_past_by_sequence_time_and_date() {
    let cli = store();
    let at = |as_of: &str| cli.run(["get", "s", "A", "--as-of", as_of]);
    assert_eq!(at("1").ok().out, b"one\ntwo\nthree\n");
    assert_eq!(at("2").ok().out, b"one\ntwo\nthree\n");
    assert_eq!(at("3").ok().out, b"one\nzwei\nthree\n");
    assert_eq!(at("@1999.999999").ok().out, b"one\ntwo\nthree\n");
    assert_eq!(at("@2000").ok().out, b"one\nzwei\nthree\n");
    assert_eq!(at("1970-01-01T00:33:19Z").ok().out, b"one\ntwo\nthree\n");
    assert_eq!(at("1970-01-01T01:33:20+01:00").ok().out, b"one\nzwei\nthree\n");
    assert_eq!(at("1970-01-02").ok().out, b"one\nzwei\nthree\n");
    at("1970-01-01").fails_with(4);
    at("@999").fails_with(4);
    for bad in ["yesterday", "1970-01-01T00:33:19", "@", "@x", "-1", "1970-13-01"] {
        assert_eq!(cli.run(["get", "s", "A", &format!("--as-of={bad}")]).code, Some(2), "{bad}");
    }
}

#[test]
fn nobody_reading_the_errors_is_no_reason_to_panic() {
    let cli = store();
    for (args, code) in [
        (vec!["get", "s", "Z"], 4),
        (vec!["get", "s", "Z", "--json"], 4),
        (vec!["get", "--json"], 2),
        (vec!["import", "t", "-"], 6),
    ] {
        let mut command = cli.command(&args);
        let pipe = std::process::Stdio::piped;
        let mut child = command.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
        drop(child.stderr.take());
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"{\"entity\":1}\n").ok();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{args:?}");
    }
}

#[test]
fn missing_things_are_told_apart() {
    let cli = store();
    assert_eq!(cli.words("get s Z --json").fails_with(4).json_error()["kind"], "not_found");
    assert_eq!(cli.words("get s C --json").fails_with(4).json_error()["kind"], "deleted");
    assert_eq!(cli.words("get s A --rev 9 --json").fails_with(4).json_error()["kind"], "not_found");
    assert_eq!(cli.words("get s C --rev 1").ok().out, b"c");
    let meta = cli.words("get s C --meta --json").ok();
    assert_eq!(meta.json()[0]["deleted"], true);
    cli.words("history s Z").fails_with(4);
    cli.words("diff s Z").fails_with(4);
}

#[test]
fn get_with_json_is_the_line_of_an_export() {
    let cli = store();
    let said = cli.words("get s A --json").ok();
    let export = cli.words("export s").ok().text();
    assert!(export.lines().any(|line| line == said.text().trim_end()));
}

#[test]
fn history_lists_revisions_in_both_directions() {
    let cli = store();
    let text = cli.words("history s A --utc").ok().text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("REV"), "{text}");
    assert!(lines[1].contains("1970-01-01 00:33:20Z") && lines[1].contains("second"), "{text}");
    let column = lines[0].find("AUTHOR").unwrap();
    assert_eq!((&lines[1][column..column + 3], &lines[2][column..column + 3]), ("bob", "ann"), "{text}");
    let numbers = |line: &str| -> Vec<u64> {
        cli.words(line).ok().json().iter().map(|line| line["rev"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers("history s A --json"), [2, 1]);
    assert_eq!(numbers("history s A --json --reverse"), [1, 2]);
    assert_eq!(numbers("history s A --json --limit 1"), [2]);
    assert_eq!(numbers("history s A --json --as-of 2"), [1]);
    assert_eq!(numbers("history s A --json --as-of @1000 --reverse"), [1]);
}

#[test]
fn ls_lists_heads_by_name() {
    let cli = store();
    let names = |line: &str| -> Vec<String> {
        cli.words(line).ok().json().iter().map(|line| line["entity"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("ls s --json"), ["A", "Ab", "B"]);
    assert_eq!(names("ls s --json --deleted"), ["A", "Ab", "B", "C"]);
    assert_eq!(names("ls s --json --reverse"), ["B", "Ab", "A"]);
    assert_eq!(names("ls s --json --prefix A"), ["A", "Ab"]);
    assert_eq!(names("ls s --json --limit 2"), ["A", "Ab"]);
    assert_eq!(names("ls s --json --as-of 4"), ["A", "B", "C"]);
    assert_eq!(names("ls s --json --as-of @1999"), ["A", "B"]);
    let text = cli.words("ls s").ok().text();
    assert!(text.lines().nth(1).unwrap().contains("15 B"), "{text}");
}

#[test]
fn diff_shows_lines_and_words() {
    let cli = store();
    let text = cli.words("diff s A").ok().text();
    assert_eq!(text, "--- A revision 1\n+++ A revision 2\n@@ -1,3 +1,3 @@\n one\n-two\n+zwei\n three\n");
    assert_eq!(cli.words("diff s A 1 2").ok().text(), text);
    assert!(cli.words("diff s A 2 1").ok().text().contains("-zwei\n+two"));
    assert!(cli.words("diff s A 1 2 --words").ok().text().contains("[-two-]{+zwei+}"));
    assert_eq!(cli.words("diff s A 1 1").ok().text(), "");
    let json = cli.words("diff s A --json").ok().json();
    assert_eq!(json[1], serde_json::json!({"change":"delete","old_line":2,"text":"two\n"}));
    cli.words("diff s A 1 9").fails_with(4);
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    let cli = store();
    let plain = cli.words("diff s A").ok().text();
    assert!(!plain.contains('\u{1b}'));
    let coloured = cli.words("diff s A --color always").ok().text();
    assert!(coloured.contains("\u{1b}[31m"), "{coloured}");
    assert!(cli.words("diff s A --color always --words").ok().text().contains("\u{1b}[32m"));
    assert!(!cli.words("diff s A --color never").ok().text().contains('\u{1b}'));
    let output = cli.command(["diff", "s", "A"]).env("NO_COLOR", "1").output().unwrap();
    assert_eq!(support::said(output).ok().text(), plain);
}

#[test]
fn changes_come_in_order_behind_a_cursor() {
    let cli = store();
    let sequences = |line: &str| -> Vec<u64> {
        cli.words(line).ok().json().iter().map(|line| line["sequence"].as_u64().unwrap()).collect()
    };
    assert_eq!(sequences("changes s --json"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(sequences("changes s --json --since 4"), [5, 6]);
    assert_eq!(sequences("changes s --json --since 4 --limit 1"), [5]);
    // An import is a run of commits of one revision each.
    assert!(cli.words("changes s --json").ok().json().iter().all(|line| line["commit_rest"] == 0));
    let said = cli.words("changes s --json --since 99").fails_with(1);
    assert_eq!(said.json_error()["kind"], "cursor_lost");
}

#[test]
fn reading_never_makes_a_store() {
    let cli = Cli::new();
    for command in [
        "get s A",
        "history s A",
        "ls s",
        "changes s",
        "changes s --follow",
        "stats s",
        "check s",
        "export s",
        "diff s A",
    ] {
        let said = cli.words(command).fails_with(1);
        assert!(said.err.contains("no store"), "{command}: {}", said.err);
    }
    assert!(!cli.path("s").exists());
}

#[test]
fn two_dashes_end_options() {
    let cli = Cli::new();
    cli.run_with(["put", "s", "--expect", "absent", "--", "--json"], b"an odd name").ok();
    assert_eq!(cli.run(["get", "s", "--", "--json"]).ok().out, b"an odd name");
    assert!(cli.words("ls s").ok().text().contains("--json"));
}

#[test]
fn names_that_could_command_a_terminal_are_escaped() {
    let cli = Cli::new();
    cli.run_with(["put", "s", "a\u{1b}[2Jb", "--expect", "absent", "--comment", "x\u{7}y"], b"1").ok();
    for command in ["ls s", "changes s"] {
        let text = cli.words(command).ok().text();
        assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text:?}");
    }
    assert_eq!(cli.words("ls s --json").ok().json()[0]["entity"], "a\u{1b}[2Jb");
}

#[cfg(unix)]
#[test]
fn names_may_be_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let cli = Cli::new();
    let name = OsStr::from_bytes(b"\xff\x01");
    cli.run_with([OsStr::new("put"), OsStr::new("s"), name, OsStr::new("--expect=absent")], b"x").ok();
    assert_eq!(cli.run([OsStr::new("get"), OsStr::new("s"), name]).ok().out, b"x");
    assert_eq!(cli.words("ls s --json").ok().json()[0]["entity_base64"], "/wE=");
    assert!(cli.words("ls s").ok().text().contains("0xff01"));
}
