//! Running the command line as a user does.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "each test file uses a part of this; tests may use files"
)]

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// A directory for stores and files, and the program.
pub struct Cli {
    dir: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Said {
    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).expect("text")
    }

    /// Standard output as one JSON value a line.
    pub fn json(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect(line)).collect()
    }

    /// The last line of standard error as JSON.
    pub fn json_error(&self) -> Value {
        let last = self.err.lines().last().expect("an error");
        serde_json::from_str(last).expect(last)
    }

    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{} {}", self.err, String::from_utf8_lossy(&self.out));
        self
    }

    #[track_caller]
    pub fn fails_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(!self.err.trim().is_empty(), "a failure says why");
        self
    }
}

impl Cli {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    /// The program with its arguments; the working directory is the test's own.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_recension"));
        command.args(args).current_dir(self.dir.path()).env("TZ", "UTC").env_remove("NO_COLOR");
        command
    }

    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        self.run_with(args, b"")
    }

    pub fn run_with<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Said {
        let mut child = self.start(args);
        let mut stdin = child.stdin.take().expect("stdin");
        // A command that fails early does not read its input.
        let _ = stdin.write_all(input);
        drop(stdin);
        said(child.wait_with_output().expect("an end"))
    }

    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Child {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program")
    }

    /// `run` on words separated by blanks.
    pub fn words(&self, line: &str) -> Said {
        self.run(line.split_whitespace())
    }

    pub fn put(&self, entity: &str, expect: &str, content: &str) -> Said {
        self.run_with(["put", "s", entity, "--expect", expect], content.as_bytes())
    }
}

pub fn said(output: Output) -> Said {
    Said {
        code: output.status.code(),
        out: output.stdout,
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A file of the repository's test data.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

/// The history that the tests import, uncompressed.
pub fn history() -> Vec<u8> {
    zstd::decode_all(std::fs::File::open(data("history.jsonl.zst")).expect("the data")).expect("zstd")
}

/// `n` made-up canonical lines: a few entities, edited in turn.
pub fn lines(n: usize) -> String {
    (0..n).fold(String::new(), |mut text, i| {
        let (entity, rev) = (i % 7, i / 7 + 1);
        let filler = "some words that repeat ".repeat(i % 40);
        text += &format!(
            "{{\"entity\":\"page {entity}\",\"rev\":{rev},\"parent\":{},\"ts\":{},\"author\":\"a{}\",\"comment\":\"edit {i}\",\"content\":\"{filler}{i}\"}}\n",
            rev - 1,
            1_700_000_000 + i,
            i % 3
        );
        text
    })
}
