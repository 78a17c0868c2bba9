//! Several processes and one store: a second writer, and a writer that is killed.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "real processes, threads and clocks")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use recension::limits::Limits;
use recension::{Batch, CheckDepth, Draft, Durability, ErrorKind, Expect, Progress, Store};

const ROLE: &str = "RECENSION_TEST_CHILD";
const STORE: &str = "RECENSION_TEST_STORE";

fn open(path: &Path) -> recension::Result<Store> {
    Store::builder(path).limits(Limits::TINY).open()
}

/// This very test program again, in another role.
fn child(role: &str, store: &Path) -> Child {
    let exe = std::env::current_exe().expect("the test program");
    let mut command = Command::new(exe);
    command.args(["--exact", "a_child_process", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(STORE, store).stdout(Stdio::piped()).stdin(Stdio::piped());
    command.spawn().expect("a child process")
}

/// A store that was dropped without being closed is locked until its background work has stopped.
fn open_when_free(path: &Path) -> Store {
    for _ in 0..1000 {
        match open(path) {
            Err(recension::Error::Locked { .. }) => std::thread::sleep(Duration::from_millis(5)),
            opened => return opened.expect("the store opens"),
        }
    }
    panic!("the store stays locked");
}

#[test]
fn a_child_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let path = std::env::var(STORE).expect("a store");
    let store = open_when_free(Path::new(&path));
    match role.as_str() {
        "hold" => {
            println!("\nholding");
            // Until the other end is closed.
            let _ = std::io::stdin().read(&mut [0; 1]);
            store.close().expect("closed");
        }
        _ => write_for_ever(&store),
    }
}

/// Says what was acknowledged: `d N` durably, `b N` buffered.
fn write_for_ever(store: &Store) {
    for n in store.published() + 1.. {
        let durability = if n % 3 == 0 { Durability::Buffered } else { Durability::Sync };
        let draft = Draft::new(text(n)).comment(n.to_string());
        let batch = Batch::new().put(format!("e{}", n % 17), Expect::Any, draft).expect("a batch");
        let committed = store.commit_with(batch, durability).expect("committed");
        assert_eq!(committed.sequence, n);
        println!("\n{} {n}", if durability == Durability::Sync { 'd' } else { 'b' });
    }
}

fn text(n: u64) -> String {
    format!("{n} {}", "abc ".repeat(n as usize % 100))
}

#[test]
fn a_second_process_is_refused_and_told_who_has_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    open(&path).unwrap().put("a", Expect::Absent, Draft::new("x")).unwrap();
    let mut holder = child("hold", &path);
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "holding"));
    for builder in [Store::builder(&path), Store::builder(&path).read_only()] {
        let error = builder.open().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Locked);
        assert!(error.to_string().contains(&holder.id().to_string()), "{error}");
    }
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    assert!(open(&path).unwrap().get("a").unwrap().is_some());
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let started = Instant::now();
    let (mut kills, mut last) = (0_u64, 0);
    while kills < 12 && started.elapsed() < Duration::from_secs(8) {
        let mut writer = child("write", &path);
        let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
        let mut lines =
            lines.map_while(Result::ok).filter_map(|line| line.split_once(' ')?.1.parse::<u64>().ok());
        let until = last + 1 + kills * 23 % 90;
        let before = last;
        last = lines.by_ref().inspect(|n| assert!(*n > before)).find(|n| *n >= until).expect("it writes");
        writer.kill().unwrap();
        // What it said before it died counts as well.
        last = lines.last().unwrap_or(last);
        writer.wait().unwrap();
        kills += 1;
        // A killed process leaves what the system has of its writes: buffered ones, too.
        let store = open(&path).unwrap();
        assert!(store.published() >= last, "{last} was acknowledged, {} is there", store.published());
        assert!(store.published() <= last + 1, "one at a time was written");
        last = store.published();
        for change in store.changes(0).unwrap() {
            let change = change.unwrap();
            let recension::ChangeKind::Revision(revision) = change.kind else { panic!("a revision") };
            assert_eq!(revision.content().unwrap().into_bytes().unwrap(), text(change.sequence));
        }
        let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
        // Sometimes closed, sometimes just dropped.
        if kills.is_multiple_of(2) {
            store.close().unwrap();
        }
    }
    assert!(kills >= 3, "only {kills} kills");
}

#[test]
fn readers_share_a_store_that_nobody_writes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.db");
    let store = Store::open(&path).unwrap();
    store.put("e", Expect::Absent, Draft::new("x")).unwrap();
    let reader = || Store::builder(&path).read_only().open();
    assert!(matches!(reader(), Err(recension::Error::Locked { .. })), "a writer is there");
    store.close().unwrap();
    let (one, two) = (reader().unwrap(), reader().unwrap());
    for store in [&one, &two] {
        assert_eq!(store.head("e").unwrap().number(), 1);
    }
    drop(one);
    assert!(matches!(Store::open(&path), Err(recension::Error::Locked { .. })), "a reader is still there");
    drop(two);
    Store::open(&path).unwrap().close().unwrap();
}
