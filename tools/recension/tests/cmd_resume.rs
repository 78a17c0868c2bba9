//! Imports that are killed or interrupted, and run again.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use std::io::Write;
use std::process::Child;
use std::time::{Duration, Instant};

use support::{Cli, data, history, lines, said};

/// Feeds a part of the input and waits until the store has taken most of it; the import is then in the middle.
fn feed(cli: &Cli, child: &mut Child, part: &[u8], at_least: u64) {
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(part).unwrap();
    stdin.flush().unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        let taken = recension::LiveChanges::open(cli.path("s"), 0).is_ok();
        let bytes: u64 = std::fs::read_dir(cli.path("s"))
            .map(|dir| dir.filter_map(|e| Some(e.ok()?.metadata().ok()?.len())).sum())
            .unwrap_or(0);
        if taken && bytes >= at_least {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.stdin = Some(stdin);
}

#[test]
fn an_import_that_is_killed_anywhere_goes_on_and_the_export_is_the_input() {
    let lines = history();
    let ends: Vec<usize> =
        lines.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1).collect();
    for cuts in [vec![3000], vec![400, 1200, 7000]] {
        let cli = Cli::new();
        for cut in cuts {
            let mut child = cli.start(["import", "s", "-", "--rejects", "rejects"]);
            // Half a line more: the reader waits for the rest.
            feed(&cli, &mut child, &lines[..ends[cut] + 20], 1);
            child.kill().unwrap();
            child.wait().unwrap();
            let export = cli.words("export s");
            if export.code == Some(0) {
                assert!(lines.starts_with(&export.out), "what is there is a prefix");
            }
        }
        let said = cli.run_with(["import", "s", "-", "--rejects", "rejects", "--json"], &lines).ok();
        assert!(said.json()[0]["revisions"].as_u64().unwrap() < 10301 || said.err.is_empty());
        assert!(cli.words("export s").ok().out == lines);
        assert_eq!(std::fs::read(cli.path("rejects")).unwrap(), b"");
        cli.words("check s --deep").ok();
    }
}

#[test]
fn an_import_of_a_file_killed_at_many_moments_is_resumed() {
    let lines = history();
    let cli = Cli::new();
    let file = data("history.jsonl.zst");
    let file = file.to_str().unwrap();
    // Whatever moment it is: before the store is made, in the middle, or after the end.
    for step in 0..8 {
        let mut child = cli.start(["import", "s", file]);
        std::thread::sleep(Duration::from_millis(20 + step * 40));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            break;
        }
    }
    cli.run(["import", "s", file]).ok();
    assert!(cli.words("export s").ok().out == lines);
    cli.words("check s --deep").ok();
}

#[test]
fn an_import_that_goes_on_packs_what_the_one_before_left_and_tells_the_ratio_of_the_whole_store() {
    let lines = history();
    let cli = Cli::new();
    let half = lines.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(5000).unwrap().0 + 1;
    cli.run_with(["import", "s", "-", "--no-pack"], &lines[..half]).ok();
    let whole = cli.run_with(["import", "s", "-", "--json"], &lines).ok();
    let stats = cli.words("stats s --json").ok();
    assert_eq!(stats.json()[0]["segments"]["files"], 0, "{}", stats.json()[0]);
    let (told, is) = (whole.json()[0]["ratio"].as_f64().unwrap(), stats.json()[0]["ratio"].as_f64().unwrap());
    assert!((told / is - 1.0).abs() < 0.1, "{told} told, {is} is");
    // Nothing new, and nothing to pack: the ratio is still that of the store.
    let again = cli.run_with(["import", "s", "-", "--json"], &lines).ok();
    assert_eq!(again.json()[0]["revisions"], 0);
    assert!((again.json()[0]["ratio"].as_f64().unwrap() / is - 1.0).abs() < 0.1, "{}", again.json()[0]);
}

/// Pages with their whole histories, 16 MB.
fn xml() -> Vec<u8> {
    let mut text =
        String::from("<mediawiki xmlns=\"http://www.mediawiki.org/xml/export-0.11/\" version=\"0.11\">\n");
    let mut id = 0;
    for page in 0..40 {
        text += &format!("<page><title>Page {page}</title><ns>0</ns><id>{}</id>\n", page + 1);
        for n in 0..200 {
            id += 1;
            let body = (0..50)
                .map(|line| format!("line {} &amp; more\n", (line * 31 + n) % (60 + n)))
                .collect::<String>();
            text += &format!(
                "<revision><id>{id}</id><timestamp>2020-01-{:02}T{:02}:{:02}:00Z</timestamp><contributor><username>a</username><id>1</id></contributor>\
                 <comment>{n}</comment><model>wikitext</model><format>text/x-wiki</format><text xml:space=\"preserve\">{}</text></revision>\n",
                page % 28 + 1,
                n / 60,
                n % 60,
                body.repeat(2)
            );
        }
        text += "</page>\n";
    }
    text += "</mediawiki>\n";
    text.into_bytes()
}

#[test]
fn an_import_of_xml_that_is_killed_anywhere_goes_on_and_is_as_if_it_had_not_been() {
    let text = xml();
    let whole = Cli::new();
    whole.run_with(["import", "s", "-"], &text).ok();
    let (lines, dump) =
        (whole.words("export s").ok().out, whole.words("export s --format mediawiki").ok().out);
    let revisions = lines.iter().filter(|byte| **byte == b'\n').count();
    // Some of it inside a text, some between revisions, some before anything is there.
    for cuts in [vec![text.len() / 2], vec![5000, text.len() / 3, text.len() - 200]] {
        let (cli, mut resumed) = (Cli::new(), false);
        for cut in cuts {
            let mut child = cli.start(["import", "s", "-", "--rejects", "rejects"]);
            feed(&cli, &mut child, &text[..cut], if cut > 4 << 20 { 400_000 } else { 1 });
            child.kill().unwrap();
            child.wait().unwrap();
            let export = cli.words("export s");
            if export.code == Some(0) {
                assert!(lines.starts_with(&export.out), "what is there is a prefix");
                resumed |= !export.out.is_empty();
            }
        }
        assert!(resumed, "something was there");
        let said = cli.run_with(["import", "s", "-", "--rejects", "rejects", "--json"], &text).ok();
        let summary = &said.json()[0];
        assert_eq!(summary["rejected"].as_u64().unwrap_or(0), 0, "{summary}");
        assert!(summary["revisions"].as_u64().unwrap() as usize <= revisions);
        assert!(cli.words("export s").ok().out == lines);
        assert!(cli.words("export s --format mediawiki").ok().out == dump);
        assert_eq!(std::fs::read(cli.path("rejects")).unwrap(), b"");
        cli.words("check s --deep").ok();
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_an_import_cleanly_and_it_goes_on_where_it_was() {
    let cli = Cli::new();
    let text = lines(30_000);
    let middle = text.len() / 2;
    let mut child = cli.start(["import", "s", "-", "--append"]);
    feed(&cli, &mut child, &text.as_bytes()[..middle], 300_000);
    let kill = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let interrupted = said(child.wait_with_output().unwrap());
    assert_eq!(interrupted.code, Some(130), "{}", interrupted.err);
    assert!(interrupted.err.contains("same command"), "{}", interrupted.err);
    let there = cli.words("export s").ok().out;
    assert!(!there.is_empty() && text.as_bytes().starts_with(&there));

    let resumed = cli.run_with(["import", "s", "-", "--append"], text.as_bytes()).ok();
    assert!(resumed.err.contains("going on behind record"), "{}", resumed.err);
    assert!(cli.words("export s").ok().out == text.as_bytes());
}

#[cfg(unix)]
#[test]
fn appending_is_resumed_without_a_line_twice_and_rejects_are_kept() {
    let cli = Cli::new();
    let line = |i: usize| match i % 500 {
        7 => "not a line\n".to_owned(),
        _ => format!("{{\"entity\":\"A{}\",\"content\":\"{i} {}\"}}\n", i % 3, "x".repeat(200)),
    };
    let text: String = (0..20_000).map(line).collect();
    let mut child = cli.start(["import", "s", "-", "--append", "--rejects", "rejects"]);
    feed(&cli, &mut child, &text.as_bytes()[..text.len() / 2], 300_000);
    child.kill().unwrap();
    child.wait().unwrap();
    let said =
        cli.run_with(["import", "s", "-", "--append", "--rejects", "rejects"], text.as_bytes()).fails_with(6);
    assert!(said.err.contains("going on behind record"), "{}", said.err);
    assert!(said.err.contains("40 records"), "{}", said.err);
    let rejects = std::fs::read_to_string(cli.path("rejects")).unwrap();
    assert_eq!(rejects.lines().count(), 40);
    let contents: Vec<String> = cli
        .words("export s")
        .ok()
        .json()
        .iter()
        .map(|line| line["content"].as_str().unwrap().split(' ').next().unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (0..20_000).filter(|i| i % 500 != 7).map(|i| i.to_string()).collect();
    assert!(contents == expected);
}

#[cfg(unix)]
#[test]
fn a_source_that_only_begins_like_an_interrupted_one_is_not_taken_for_it() {
    let cli = Cli::new();
    let text = lines(30_000);
    let mut child = cli.start(["import", "s", "-"]);
    feed(&cli, &mut child, &text.as_bytes()[..text.len() / 2], 300_000);
    child.kill().unwrap();
    child.wait().unwrap();
    // The same first megabyte, other lines behind it.
    let start = text[..2 << 20].rfind('\n').unwrap() + 1;
    let other = text[..start].to_owned() + &text[start..].replace("\"page ", "\"other page ");
    let said = cli.run_with(["import", "s", "-"], other.as_bytes()).fails_with(1);
    assert!(said.err.contains("--restart"), "{}", said.err);
    cli.run_with(["import", "s", "-", "--restart", "--append"], other.as_bytes());
    cli.run_with(["import", "s", "-", "--restart"], text.as_bytes()).ok();
    let export = cli.words("export s --prefix page").ok().text();
    assert_eq!(export, text);
}
