//! The same promises on the real file system: a child process writes and is killed, or meets a full disk, or a call that fails; then the
//! store is opened here and compared with what the child was told.
//!
//! The n-th commit is a function of the seed and n, and gets sequence number n, so that nothing but the last acknowledged number has to come
//! out of the child. The page cache survives a process, so buffered commits are owed as well.
#![allow(clippy::disallowed_methods, reason = "this is about the real machine")]

mod child;
mod disk;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use recension::sim::Prng;
use recension::{ChangeKind, CheckDepth, Content, Progress};

pub use child::child;
use disk::{Kind, Loop};

/// A store with more commits than this is left for a new one: reading it in full takes longer each time.
const COMMITS_MAX: u64 = 4000;

/// What `strace` makes fail in a child, beside what it needs to be one of several.
const INJECTED: &[&str] = &[
    "fdatasync:error=EIO",
    "fsync:error=EIO",
    "pwrite64:error=EIO",
    "fallocate:error=ENOSPC",
    "pwrite64:error=ENOSPC",
    "unlink:error=EIO",
    RENAME,
];

/// The engine renames nothing but files that nobody knows: one is put there first.
const RENAME: &str = "rename,renameat,renameat2:error=EIO";

struct Reality {
    rng: Prng,
    seed: u64,
    dir: PathBuf,
    stores: u64,
    /// Commits that the present store surely has.
    acked: u64,
    counts: [u64; 3],
    /// Full disks, by file system.
    disks: BTreeMap<&'static str, u64>,
    commits: u64,
}

/// Runs for so long; says what was done, or what is wrong.
///
/// # Errors
/// A broken promise, or a machine that cannot start a child.
pub fn reality(seconds: u64, seed: u64, dir: &Path) -> Result<String, String> {
    let begin = Instant::now();
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let strace = strace.is_ok_and(|status| status.success());
    if !strace {
        println!("skipped: calls that fail, as strace is not installed");
    }
    let mut disks = Vec::new();
    for kind in Kind::ALL {
        match Loop::mount(&dir.join(kind.name()), *kind) {
            Ok(disk) => disks.push(disk),
            Err(why) => println!("skipped: a full {}, as it could not be mounted: {why}", kind.name()),
        }
    }
    let mut reality = Reality {
        rng: Prng::new(seed),
        seed,
        dir: dir.to_owned(),
        stores: 0,
        acked: 0,
        counts: [0; 3],
        disks: BTreeMap::new(),
        commits: 0,
    };
    while begin.elapsed() < Duration::from_secs(seconds) {
        match reality.rng.below(6) {
            0 if !disks.is_empty() => {
                if let Some(disk) = reality.rng.pick(&disks) {
                    reality.full(disk)?;
                }
            }
            1 | 2 if strace => reality.failing()?,
            _ => reality.killed()?,
        }
    }
    let [killed, failing, full] = reality.counts;
    Ok(format!(
        "{killed} kills, {failing} injected failures, {full} full disks {:?}, {} commits in {} stores, in {:.0} s",
        reality.disks,
        reality.commits,
        reality.stores.max(1),
        begin.elapsed().as_secs_f64()
    ))
}

impl Reality {
    fn store(&mut self) -> PathBuf {
        if self.acked > COMMITS_MAX {
            let _ = std::fs::remove_dir_all(self.path());
            (self.stores, self.acked, self.seed) = (self.stores + 1, 0, self.seed + 1);
        }
        self.path()
    }

    fn path(&self) -> PathBuf {
        self.dir.join(format!("store-{}", self.stores))
    }

    /// Killed at any moment.
    fn killed(&mut self) -> Result<(), String> {
        let path = self.store();
        let mut child = start(&mut of_child(&path, self.seed, self.acked, u64::MAX))?;
        std::thread::sleep(Duration::from_micros(self.rng.below(120_000)));
        let _ = child.kill();
        let acked = last_acked(&mut child, self.acked)?;
        self.counts[0] += 1;
        self.compare(&path, acked)
    }

    /// One of the child's calls fails.
    fn failing(&mut self) -> Result<(), String> {
        let path = self.store();
        let fault = *self.rng.pick(INJECTED).unwrap_or(&INJECTED[0]);
        let mut when = self.rng.below(60) + 1;
        if fault == RENAME {
            when = 1;
            put_stray(&path).map_err(|error| error.to_string())?;
        }
        let of_child = of_child(&path, self.seed, self.acked, 200);
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("inject={fault}:when={when}"));
        command.arg(of_child.get_program()).args(of_child.get_args());
        let mut child = start(&mut command)?;
        let acked = last_acked(&mut child, self.acked)?;
        self.counts[1] += 1;
        self.compare(&path, acked).map_err(|what| format!("with {fault}:when={when}: {what}"))
    }

    /// The disk runs full under the child, and has room again.
    fn full(&mut self, disk: &Loop) -> Result<(), String> {
        let path = disk.path.join(format!("store-{}", self.counts[2]));
        let seed = self.seed ^ 0xf011 ^ self.counts[2];
        let mut acked = 0;
        for _ in 0..3 {
            disk.fill(1 << 20 | self.rng.below(1 << 20))?;
            let mut child = start(&mut of_child(&path, seed, acked, u64::MAX))?;
            std::thread::sleep(Duration::from_millis(100 + self.rng.below(400)));
            let _ = child.kill();
            acked = last_acked(&mut child, acked)?;
            disk.make_room()?;
            acked = compare(&path, seed, acked).map_err(|what| format!("on a disk that was full: {what}"))?;
        }
        self.commits += acked;
        self.counts[2] += 1;
        *self.disks.entry(disk.kind.name()).or_default() += 1;
        std::fs::remove_dir_all(&path).map_err(|error| error.to_string())
    }

    fn compare(&mut self, path: &Path, acked: u64) -> Result<(), String> {
        let before = self.acked;
        self.acked = compare(path, self.seed, acked)?;
        self.commits += self.acked - before;
        Ok(())
    }
}

/// A copy of a finished file under a number that is not there any more, as when somebody restores too much.
fn put_stray(path: &Path) -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else { return Ok(()) };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let finished: Vec<String> =
        names.filter(|name| name.ends_with(".tab") || name.ends_with(".pack")).collect();
    let Some(name) = finished.first() else { return Ok(()) };
    let (Some((epoch, rest)), Some((_, kind))) = (name.split_once('-'), name.rsplit_once('.')) else {
        return Ok(());
    };
    let own = rest.split('.').next().and_then(|number| u64::from_str_radix(number, 16).ok()).unwrap_or(0);
    let free =
        (1..own).map(|number| path.join(format!("{epoch}-{number:08x}.{kind}"))).find(|it| !it.exists());
    match free {
        Some(free) => std::fs::copy(path.join(name), free).map(drop),
        None => Ok(()),
    }
}

fn of_child(path: &Path, seed: u64, after: u64, most: u64) -> Command {
    let program = std::env::current_exe().unwrap_or_else(|_| "crash".into());
    let mut command = Command::new(program);
    command.arg("reality-child").arg(path);
    command.args([seed.to_string(), after.to_string(), most.to_string()]);
    command
}

fn start(command: &mut Command) -> Result<Child, String> {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))
}

/// Waits for the child's end; the last number that it was told of.
fn last_acked(child: &mut Child, before: u64) -> Result<u64, String> {
    let mut acked = before;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let Ok(line) = line else { break };
            match line.strip_prefix("WRONG ") {
                Some(what) => return Err(format!("in the child: {what}")),
                // A line that the kill cut short is no number that counts.
                None => acked = line.strip_suffix('.').and_then(|n| n.parse().ok()).unwrap_or(acked),
            }
        }
    }
    let _ = child.wait();
    Ok(acked)
}

/// Opens the store and compares all of it; answers how many commits it has.
fn compare(path: &Path, seed: u64, acked: u64) -> Result<u64, String> {
    let wrong = |error: recension::Error| format!("{}: {error}", path.display());
    let store = child::open(path).map_err(|error| format!("a store that crashed can be opened: {error}"))?;
    let last = store.published();
    if last < acked || last > acked + 1 {
        return Err(format!("acknowledged commits survive: {last} came back, {acked} was acknowledged"));
    }
    let mut n = 0;
    for change in store.changes(0).map_err(wrong)? {
        let change = change.map_err(wrong)?;
        n += 1;
        let (entity, wanted) = child::commit(seed, n);
        let ChangeKind::Revision(revision) = &change.kind else {
            return Err(format!("the feed is the commit order: {change:?} at {n}"));
        };
        if change.sequence != n || revision.entity().as_bytes() != entity.as_bytes() {
            return Err(format!("the feed is the commit order: {change:?} at {n}, wanted {entity}"));
        }
        if revision.content().map_err(wrong)? != Content::Present(wanted) {
            return Err(format!("what was written is read bit for bit: change {n}"));
        }
    }
    if n != last {
        return Err(format!("the feed is the commit order: it ends after {n} of {last}"));
    }
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true)).map_err(wrong)?;
    match report.findings.first() {
        Some(finding) => Err(format!("check finds nothing: {finding:?}")),
        None => store.close().map(|()| last).map_err(wrong),
    }
}
