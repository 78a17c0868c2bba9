//! Without faults, the simulated disk and the operating system's files answer alike.
#![allow(clippy::disallowed_methods, reason = "prepares a real directory")]

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use recension::env::{Access, File, Fs, OsFs, read_at_most, write_all_at};
use recension::sim::SimFs;

#[derive(Clone, Debug)]
enum Step {
    Open(usize, Access),
    Close(usize),
    Read(usize, u64, usize),
    Write(usize, u64, usize, u8),
    SetLen(usize, u64),
    Allocate(usize, u64, u64),
    Sync(usize),
    Map(usize, u64),
    Links(usize),
    Rename(usize, usize),
    Remove(usize),
    Link(usize, usize),
    MakeDir(usize),
    List(usize),
    SyncDir(usize),
    Exists(usize),
}

/// Files and directories; some names are both wanted as one and as the other.
const NAMES: [&str; 9] = ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "x/y"];

fn name() -> impl Strategy<Value = usize> {
    0..NAMES.len()
}

fn place() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..40, 4090_u64..4100, 0_u64..20_000]
}

fn step() -> impl Strategy<Value = Step> {
    let access = prop_oneof![Just(Access::Read), Just(Access::ReadWrite), Just(Access::CreateNew)];
    let size = prop_oneof![0_usize..50, 4000_usize..9000];
    prop_oneof![
        4 => (name(), access).prop_map(|(a, b)| Step::Open(a, b)),
        1 => any::<usize>().prop_map(Step::Close),
        4 => (any::<usize>(), place(), size.clone()).prop_map(|(a, b, c)| Step::Read(a, b, c)),
        5 => (any::<usize>(), place(), size, any::<u8>()).prop_map(|(a, b, c, d)| Step::Write(a, b, c, d)),
        2 => (any::<usize>(), place()).prop_map(|(a, b)| Step::SetLen(a, b)),
        2 => (any::<usize>(), place(), 0_u64..9000).prop_map(|(a, b, c)| Step::Allocate(a, b, c)),
        1 => any::<usize>().prop_map(Step::Sync),
        1 => (any::<usize>(), place()).prop_map(|(a, b)| Step::Map(a, b)),
        1 => any::<usize>().prop_map(Step::Links),
        3 => (name(), name()).prop_map(|(a, b)| Step::Rename(a, b)),
        2 => name().prop_map(Step::Remove),
        2 => (name(), name()).prop_map(|(a, b)| Step::Link(a, b)),
        2 => name().prop_map(Step::MakeDir),
        2 => name().prop_map(Step::List),
        1 => name().prop_map(Step::SyncDir),
        1 => name().prop_map(Step::Exists),
    ]
}

/// What a caller can tell of an outcome. Errors that the engine distinguishes are compared by kind, others only as errors.
fn told<T: std::fmt::Debug>(result: io::Result<T>) -> String {
    let named = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::UnexpectedEof,
        ErrorKind::DirectoryNotEmpty,
    ];
    match result {
        Ok(value) => format!("{value:?}"),
        Err(e) if named.contains(&e.kind()) => format!("{:?}", e.kind()),
        Err(_) => "error".into(),
    }
}

struct Side<'a> {
    fs: &'a dyn Fs,
    root: &'a Path,
    files: Vec<Arc<dyn File>>,
}

impl Side<'_> {
    fn run(&mut self, step: &Step) -> String {
        let at = |name: &usize| self.root.join(NAMES[*name]);
        let pick = |i: &usize| match self.files.len() {
            0 => None,
            n => Some(&*self.files[i % n]),
        };
        let with = |i: &usize, call: &dyn Fn(&dyn File) -> String| pick(i).map_or_else(String::new, call);
        match step {
            Step::Open(name, access) => {
                // A directory can be opened for reading on some systems and is then no use: not compared.
                if self.fs.read_dir(&at(name)).is_ok() {
                    return String::new();
                }
                let opened = self.fs.open(&at(name), *access);
                told(opened.map(|file| self.files.push(file)))
            }
            Step::Close(i) => {
                if !self.files.is_empty() {
                    self.files.remove(i % self.files.len());
                }
                String::new()
            }
            Step::Read(i, offset, len) => with(i, &|file| {
                let mut buf = vec![0; *len];
                let result = read_at_most(file, &mut buf, *offset);
                told(result.map(|n| (n, crc32fast::hash(&buf))))
            }),
            Step::Write(i, offset, len, byte) => {
                with(i, &|file| told(write_all_at(file, &vec![*byte; *len], *offset)))
            }
            Step::SetLen(i, len) => with(i, &|file| told(file.set_len(*len)) + &told(file.len())),
            Step::Allocate(i, offset, len) => {
                with(i, &|file| told(file.allocate(*offset, *len)) + &told(file.len()))
            }
            Step::Sync(i) => with(i, &|file| told(file.sync_data())),
            Step::Map(i, len) => with(i, &|file| told(file.map(*len).map(|map| crc32fast::hash(&map)))),
            Step::Links(i) => with(i, &|file| told(file.link_count())),
            Step::Rename(from, to) => told(self.fs.rename(&at(from), &at(to))),
            Step::Remove(name) => told(self.fs.remove_file(&at(name))),
            Step::Link(from, to) => told(self.fs.hard_link(&at(from), &at(to))),
            Step::MakeDir(name) => told(self.fs.create_dir_all(&at(name))),
            Step::List(name) => told(self.fs.read_dir(&at(name))),
            Step::SyncDir(name) => {
                // Syncing a file by the call for directories works on some systems.
                if self.fs.read_dir(&at(name)).is_err() {
                    String::new()
                } else {
                    told(self.fs.sync_dir(&at(name)))
                }
            }
            Step::Exists(name) => told(self.fs.exists(&at(name))),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_simulated_disk_answers_like_the_real_one(steps in proptest::collection::vec(step(), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let real = OsFs::new();
        let sim = SimFs::new(1);
        sim.create_dir_all(Path::new("/store")).unwrap();
        let mut one = Side { fs: &real, root: dir.path(), files: Vec::new() };
        let mut other = Side { fs: &sim, root: Path::new("/store"), files: Vec::new() };
        for step in &steps {
            prop_assert_eq!(one.run(step), other.run(step), "{:?}", step);
        }
    }
}

#[test]
fn both_canonical_paths_are_absolute_and_without_dots() {
    let dir = tempfile::tempdir().unwrap();
    let root = std::fs::canonicalize(dir.path()).unwrap();
    let (real, sim) = (OsFs::new(), SimFs::new(1));
    sim.create_dir_all(&root).unwrap();
    for fs in [&real as &dyn Fs, &sim] {
        assert_eq!(fs.canonical(&root.join("./.")).unwrap(), root);
        assert_eq!(fs.canonical(&root.join("no")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(fs.free_space(&root).unwrap() > 0);
    }
}
