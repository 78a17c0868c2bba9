//! `changes --follow`: beside whoever writes.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout};
use std::time::{Duration, Instant};

use recension::{Draft, Durability, Expect, LiveChangeKind, LiveChanges, Store};
use support::{Cli, lines};

struct Follower {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Follower {
    fn start(cli: &Cli, since: &str) -> Self {
        let mut child = cli.start(["changes", "s", "--since", since, "--follow", "--json"]);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn next(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.lines.next().expect("a line").unwrap()).unwrap()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_put_in_another_shell_arrives() {
    let cli = Cli::new();
    cli.put("A", "absent", "one").ok();
    cli.put("A", "1", "two").ok();
    let mut follower = Follower::start(&cli, "1");
    assert_eq!(follower.next()["sequence"], 2);
    for n in 3..8 {
        cli.run_with(["put", "s", &format!("B{n}"), "--expect", "absent", "--author", "ann"], b"x").ok();
        let change = follower.next();
        assert_eq!((&change["sequence"], &change["author"]), (&n.into(), &"ann".into()));
        assert_eq!(change["entity"], format!("B{n}"));
    }
    cli.words("hide s B3 --rev 1").ok();
    assert_eq!(follower.next()["change"], "hide");
}

#[test]
fn following_a_writer_that_keeps_the_store_open_shows_what_is_durable() {
    let cli = Cli::new();
    let store = Store::open(cli.path("s")).unwrap();
    store.put("A", Expect::Absent, Draft::new("one")).unwrap();
    let mut follower = Follower::start(&cli, "0");
    assert_eq!(follower.next()["sequence"], 1);
    for n in 2..6 {
        store.put("A", Expect::Any, Draft::new(format!("{n}"))).unwrap();
        assert_eq!(follower.next()["sequence"], n);
    }
    store.close().unwrap();
}

#[cfg(unix)]
#[test]
fn following_ends_with_an_interrupt_and_prints_aligned_text() {
    let cli = Cli::new();
    cli.put("A", "absent", "one").ok();
    let mut child = cli.start(["changes", "s", "--follow"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("SEQ"), "{line}");
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let start = Instant::now();
    let code = child.wait().unwrap().code();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(matches!(code, Some(0 | 130)), "{code:?}");
}

fn drain(live: &mut LiveChanges) -> Vec<u64> {
    std::iter::from_fn(|| live.poll().unwrap()).map(|change| change.sequence).collect()
}

#[test]
fn what_is_only_buffered_is_not_given_out_before_it_is_durable() {
    let cli = Cli::new();
    let store = Store::builder(cli.path("s")).promise_delay(Duration::from_secs(3600)).open().unwrap();
    store.put("A", Expect::Absent, Draft::new("one")).unwrap();
    store.put("A", Expect::Any, Draft::new("two")).unwrap();
    let mut live = LiveChanges::open(cli.path("s"), 0).unwrap();
    // The second carries the promise for the first, and nobody has promised the second.
    assert_eq!(drain(&mut live), [1]);
    let batch = recension::Batch::new().put("A", Expect::Any, Draft::new("three")).unwrap();
    store.commit_with(batch.clone(), Durability::Buffered).unwrap();
    assert_eq!(drain(&mut live), [2]);
    store.commit_with(batch, Durability::Buffered).unwrap();
    assert!(drain(&mut live).is_empty());
    store.close().unwrap();
    assert_eq!(drain(&mut live), [3, 4]);
    assert_eq!(live.cursor(), 4);
}

#[test]
fn a_live_log_is_followed_over_segments_and_reopenings() {
    let cli = Cli::new();
    let mut live = None;
    let mut seen = Vec::new();
    for round in 0..6u64 {
        let limits = recension::limits::Limits::TINY;
        let store = loop {
            match Store::builder(cli.path("s")).limits(limits).open() {
                // A store that was dropped is given up with its last job.
                Err(recension::Error::Locked { .. }) => std::thread::sleep(Duration::from_millis(5)),
                other => break other.unwrap(),
            }
        };
        for n in 0..60u64 {
            let name = format!("e{}", n % 5);
            store.put(name, Expect::Any, Draft::new(format!("{round} {n}").repeat(20)).author("a")).unwrap();
            if n == 30 && live.is_none() {
                live = Some(LiveChanges::open(cli.path("s"), 10).unwrap());
            }
            if let Some(live) = &mut live {
                seen.extend(drain(live));
            }
        }
        if round % 2 == 0 {
            store.close().unwrap();
        } else {
            drop(store);
        }
    }
    seen.extend(drain(&mut live.unwrap()));
    assert_eq!(seen, (11..=360).collect::<Vec<_>>());
    // And from the start, all of it sealed by now or not.
    assert_eq!(drain(&mut LiveChanges::open(cli.path("s"), 0).unwrap()), (1..=360).collect::<Vec<_>>());
    assert_eq!(drain(&mut LiveChanges::open(cli.path("s"), 355).unwrap()), (356..=360).collect::<Vec<_>>());
    assert!(matches!(
        LiveChanges::open(cli.path("s"), 361).map(drop),
        Err(recension::Error::CursorLost { last: 360, .. })
    ));
}

#[test]
fn what_was_hidden_is_hidden_in_a_live_log_wherever_that_is_written() {
    let cli = Cli::new();
    let store = Store::open(cli.path("s")).unwrap();
    for entity in ["in a table", "in the log"] {
        store.put(entity, Expect::Absent, Draft::new("x").author("secret")).unwrap();
        let what = recension::Hiding {
            entity: entity.into(),
            first: 1,
            last: 1,
            fields: recension::FieldMask::AUTHOR,
            actor: String::new(),
            reason: String::new(),
        };
        store.hide(what).unwrap();
        if entity == "in a table" {
            store.flush().unwrap();
        }
    }
    store.sync().unwrap();
    store.close().unwrap();
    let mut live = LiveChanges::open(cli.path("s"), 0).unwrap();
    let mut revisions = 0;
    while let Some(change) = live.poll().unwrap() {
        if let LiveChangeKind::Revision { fields, hidden, .. } = change.kind {
            revisions += 1;
            assert_eq!((fields.author.clone(), hidden), (None, recension::FieldMask::AUTHOR));
        }
    }
    assert_eq!(revisions, 2);
}

#[test]
fn an_import_can_be_followed_while_it_runs() {
    let cli = Cli::new();
    cli.put("first", "absent", "x").ok();
    let mut follower = Follower::start(&cli, "1");
    let mut import = cli.start(["import", "s", "-"]);
    import.stdin.take().unwrap().write_all(lines(5000).as_bytes()).unwrap();
    assert_eq!(import.wait().unwrap().code(), Some(0));
    for _ in 0..5000 {
        assert!(follower.next()["entity"].as_str().unwrap().starts_with("page"));
    }
}

#[test]
fn damage_in_what_is_durable_is_said_and_not_taken_for_the_end() {
    let cli = Cli::new();
    for n in 1..6 {
        cli.put("A", "any", &format!("content {n}")).ok();
    }
    let mut files = std::fs::read_dir(cli.path("s")).unwrap().map(|entry| entry.unwrap().path());
    let segment = files.find(|path| path.extension().is_some_and(|e| e == "seg")).unwrap();
    let bytes = std::fs::read(&segment).unwrap();
    // The frame of the third revision: its metadata names the entity, its header stands before.
    let frames: Vec<usize> =
        (144..bytes.len()).step_by(8).filter(|at| bytes[*at..].starts_with(&[0xd7, 1])).collect();
    let mut bad = bytes.clone();
    bad[frames[2] + 33] ^= 1;
    std::fs::write(&segment, &bad).unwrap();
    let mut live = LiveChanges::open(cli.path("s"), 0).unwrap();
    assert_eq!(live.poll().unwrap().map(|change| change.sequence), Some(1));
    assert_eq!(live.poll().unwrap().map(|change| change.sequence), Some(2));
    let error = live.poll().unwrap_err();
    assert_eq!(error.kind(), recension::ErrorKind::Corrupt, "{error}");
    assert!(live.poll().unwrap().is_none(), "it ends after an error");
    cli.words("changes s --follow").fails_with(5);
    cli.words("ls s").fails_with(5);
}
