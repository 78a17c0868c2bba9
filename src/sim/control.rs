//! What a test does with the simulated disk from outside: faults, crashes, looking, damaging.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;

use super::call::{KillAt, Rule};
use super::clock::SimClock;
use super::content::{Content, PAGE};
use super::dir::Dir;
use super::disk::{Disk, Node, join, split};
use super::fault::{FaultKind, FaultStats, Faults};
use super::fs::SimFs;
use super::inode::{Ino, Inode};
use super::pieces::{Point, draw};
use super::policy::{CrashChoice, CrashPolicy, CrashSpace};
use super::rng::{Prng, mix};
use super::trace::TraceEntry;
use super::violation::Violation;

/// The whole durable disk at one moment.
#[derive(Clone)]
pub struct Snapshot {
    nodes: BTreeMap<Ino, Node>,
    next_ino: Ino,
}

/// How many older contents of a path are remembered.
const HISTORY: usize = 4;

impl SimFs {
    /// Sets the rates of faults.
    pub fn set_faults(&self, faults: Faults) {
        self.disk.lock().faults = faults;
    }

    /// The fault that call number `n` will meet (if it is one that can meet it).
    pub fn fail_at(&self, n: u64, fault: FaultKind) {
        self.disk.lock().forced.insert(n, fault);
    }

    /// A fault for certain calls.
    pub fn fail_when(&self, rule: Rule) {
        self.disk.lock().rules.push(rule);
    }

    /// A fault for the next call that can meet it, after `skip` others, about a path that contains `path`.
    pub fn fail_next(&self, fault: FaultKind, path: &str, skip: u32) {
        let ops = super::call::meeting(fault);
        self.fail_when(Rule { ops, path: path.to_owned(), skip, count: 1, fault });
    }

    /// What another caller does in the middle of the next sync of a file whose path contains `path`: it runs inside of that call, before anything is
    /// durable. It must not wait for whoever makes the call. `None`: nothing any more.
    pub fn meanwhile(&self, path: &str, what: Option<Box<dyn FnOnce() + Send>>) {
        *self.meanwhile.lock() = what.map(|what| (path.to_owned(), what));
    }

    /// Ends all faults: rates, numbered ones and rules.
    pub fn heal(&self) {
        let mut disk = self.disk.lock();
        disk.faults = Faults::NONE;
        disk.forced.clear();
        disk.rules.clear();
    }

    /// The machine goes off in call number `n` (or the next one, if that is past). A change takes effect, as far as a running
    /// system would see; a sync does not; nobody is told.
    pub fn kill_at(&self, n: u64) {
        self.disk.lock().kill_at = Some(KillAt::Call(n));
    }

    /// The same, counting only calls that change something: see [`super::Op::changes`].
    pub fn kill_at_change(&self, n: u64) {
        self.disk.lock().kill_at = Some(KillAt::Change(n));
    }

    /// The same, counting only syncs of files and directories: see [`super::Op::syncs`].
    pub fn kill_at_sync(&self, n: u64) {
        self.disk.lock().kill_at = Some(KillAt::Sync(n));
    }

    /// The machine does not go off by itself any more.
    pub fn kill_never(&self) {
        self.disk.lock().kill_at = None;
    }

    /// Switches the machine off between two calls.
    pub fn power_off(&self) {
        self.disk.lock().on = false;
    }

    /// Whether the machine went off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        !self.disk.lock().on
    }

    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.disk.lock().calls
    }

    /// Calls so far that change something.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.disk.lock().changes
    }

    /// Syncs of files and directories so far.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.disk.lock().syncs
    }

    /// A hash over every call so far: order, kind, path, place, bytes and outcome. The same seed and workload give the same.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.disk.lock().trace.hash()
    }

    /// The last calls, up to 256, oldest first.
    #[must_use]
    pub fn trace(&self) -> Vec<TraceEntry> {
        self.disk.lock().trace.last().cloned().collect()
    }

    /// How often each kind of fault took effect.
    #[must_use]
    pub fn stats(&self) -> FaultStats {
        self.disk.lock().stats.clone()
    }

    /// The rules of the contracts that were broken.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        self.disk.lock().violations.clone()
    }

    /// Panic at the next violation, where its stack can be seen, rather than record it.
    pub fn panic_on_violation(&self) {
        self.disk.lock().panic_on_violation = true;
    }

    /// Lets calls take time on this clock: `latency_us` each, more for those that meet [`FaultKind::Stall`].
    pub fn set_clock(&self, clock: &SimClock, latency_us: u64) {
        let mut disk = self.disk.lock();
        (disk.clock, disk.latency_us) = (Some(clock.clone()), latency_us);
    }

    /// Sets the size of the disk, bytes. Less than is used means that there is no room.
    pub fn set_capacity(&self, bytes: u64) {
        self.disk.lock().capacity = bytes / PAGE as u64;
    }

    /// Bytes that are taken.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.disk.lock().used.saturating_mul(PAGE as u64)
    }

    /// A power cut, and the machine up again: of what was not synced, what `policy` and the seed let survive.
    #[must_use = "the old handle is dead"]
    pub fn crash(&self, policy: &CrashPolicy) -> Self {
        let seed = {
            let disk = self.disk.lock();
            mix(disk.seed ^ 0x6372_6173, mix(disk.epoch, disk.calls))
        };
        self.crash_with(policy, &self.draw_crash(policy, &mut Prng::new(seed)))
    }

    /// Drawn choices, to be given to [`SimFs::crash_with`]: a sample where there are too many images to try them all.
    #[must_use]
    pub fn draw_crash(&self, policy: &CrashPolicy, rng: &mut Prng) -> Vec<u32> {
        self.disk.lock().points(policy).iter().map(|point| draw(point, policy, rng)).collect()
    }

    /// The choices that a power cut would leave open now.
    #[must_use]
    pub fn crash_space(&self, policy: &CrashPolicy) -> CrashSpace {
        let disk = self.disk.lock();
        let choice =
            |point: Point| CrashChoice { what: disk.describe(&point, policy), options: point.options };
        CrashSpace { choices: disk.points(policy).into_iter().map(choice).collect() }
    }

    /// A power cut with the given choices, in the order of [`SimFs::crash_space`]; choices that are missing mean lost.
    #[must_use = "the old handle is dead"]
    pub fn crash_with(&self, policy: &CrashPolicy, choices: &[u32]) -> Self {
        let mut disk = self.disk.lock();
        let choices = choices.iter().copied().chain(std::iter::repeat(0));
        let choices: Vec<_> = disk.points(policy).into_iter().zip(choices).collect();
        disk.power_cut(policy, &choices);
        Self::handle(Arc::clone(&self.disk), disk.epoch)
    }

    /// Only the process dies and is started again: what was written stays as it is, in the page cache or on the disk.
    #[must_use = "the old handle is dead"]
    pub fn process_kill(&self) -> Self {
        let mut disk = self.disk.lock();
        disk.come_up();
        Self::handle(Arc::clone(&self.disk), disk.epoch)
    }

    /// Another disk that is, pending changes and all, as this one is now, switched off: crash it. Cheap; for trying several
    /// crashes at one moment.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut disk = self.disk.lock().clone();
        disk.on = false;
        Self::handle(Arc::new(Mutex::new(disk)), u64::MAX)
    }

    /// Whether a sync of a directory failed and names are shown that the disk does not have. Journalling file systems stop
    /// working then: nobody recovers without a restart of the machine.
    #[must_use]
    pub fn has_lost_names(&self) -> bool {
        self.disk.lock().nodes.values().any(|node| matches!(node, Node::Dir(dir) if dir.diverged))
    }

    /// Drops the page cache of every file: reads see lost and misplaced writes now.
    pub fn evict_all(&self) {
        let mut disk = self.disk.lock();
        let inos: Vec<Ino> = disk.nodes.keys().copied().collect();
        for ino in inos {
            if disk.touch(ino, Inode::evict).unwrap_or_default() {
                disk.stats.hit(FaultKind::Evict);
            }
        }
    }

    /// Every file, as a path from the root, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        self.disk.lock().paths().into_iter().map(|(path, _)| path).collect()
    }

    /// The bytes of a file as reads see them.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let disk = self.disk.lock();
        let ino = disk.walk(&split(path.as_ref())?)?;
        Ok(disk.file(ino)?.cache.to_vec())
    }

    /// Puts a file there, durable, in directories that are made if need be. No call is counted.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        self.put(path.as_ref(), Content::from_bytes(bytes))
    }

    /// Takes a file's name away, durably.
    pub fn remove(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let (dir, name) = disk.parent(&split(path.as_ref())?)?;
        let dir = disk.dir_mut(dir)?;
        dir.durable.remove(name);
        let ino = dir.cache.remove(name).ok_or(ErrorKind::NotFound)?;
        disk.unnamed(ino);
        Ok(())
    }

    /// Changes the bytes of a file at rest, on the disk and in the page cache. What is pending stays pending.
    pub(super) fn edit(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) -> io::Result<()> {
        let edited = |content: &Content| {
            let mut bytes = content.to_vec();
            change(&mut bytes);
            Content::from_bytes(&bytes)
        };
        let mut disk = self.disk.lock();
        let ino = disk.walk(&split(path)?)?;
        disk.touch(ino, |file| {
            let clean = file.pending.is_empty() && !file.diverged;
            file.durable = edited(&file.durable);
            file.cache = if clean { file.durable.clone() } else { edited(&file.cache) };
            file.diverged = !clean;
        })
    }

    pub(super) fn put(&self, path: &Path, content: Content) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let parts = split(path)?;
        let (name, before) = parts.split_last().ok_or(ErrorKind::InvalidInput)?;
        let dir = disk.durable_dirs(before)?;
        if let Some(ino) = disk.dir(dir)?.cache.get(*name).copied() {
            return disk.replace(ino, content);
        }
        let ino = disk.add(Node::File(Inode::default()));
        let names = disk.dir_mut(dir)?;
        names.cache.insert((*name).to_owned(), ino);
        names.durable.insert((*name).to_owned(), ino);
        disk.named(ino);
        disk.replace(ino, content)
    }

    /// The whole durable disk. Pending changes are not in it.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut fork = self.disk.lock().clone();
        fork.stats = FaultStats::default();
        fork.power_cut(&CrashPolicy::NOTHING, &[]);
        Snapshot { nodes: fork.nodes, next_ino: fork.next_ino }
    }

    /// Puts the disk back to a snapshot, as a restart does.
    #[must_use = "the old handle is dead"]
    pub fn restore(&self, snapshot: &Snapshot) -> Self {
        let mut disk = self.disk.lock();
        disk.nodes.clone_from(&snapshot.nodes);
        disk.next_ino = disk.next_ino.max(snapshot.next_ino);
        disk.come_up();
        Self::handle(Arc::clone(&self.disk), disk.epoch)
    }

    /// A hash of every path and its bytes: equal for equal disks.
    #[must_use]
    pub fn image_hash(&self) -> u64 {
        let disk = self.disk.lock();
        disk.paths().iter().fold(0, |hash, (path, ino)| {
            let bytes = disk.file(*ino).map(|file| file.cache.to_vec()).unwrap_or_default();
            let word = u64::from(crc32fast::hash(path.as_bytes())) << 32 | u64::from(crc32fast::hash(&bytes));
            mix(mix(hash, word), bytes.len() as u64)
        })
    }

    /// Remembers the durable content of every file, to be restored as an older copy. Each crash does so by itself.
    pub fn remember(&self) {
        self.disk.lock().remember();
    }

    /// Puts the newest remembered content of `path` that differs from the present one in its place; `false` if there is none.
    /// A file that was removed comes back.
    pub fn restore_older_copy(&self, path: impl AsRef<Path>) -> io::Result<bool> {
        let path = path.as_ref();
        let older = {
            let disk = self.disk.lock();
            let parts = split(path)?;
            let now = disk.walk(&parts).and_then(|ino| disk.file(ino).map(|file| &file.cache)).ok();
            let copies = disk.history.get(&join(&parts)).into_iter().flatten().rev();
            copies.into_iter().find(|copy| now.is_none_or(|now| !now.same(copy))).cloned()
        };
        let Some(older) = older else { return Ok(false) };
        self.put(path, older)?;
        self.disk.lock().stats.hit(FaultKind::OlderCopy);
        Ok(true)
    }
}

impl Disk {
    /// Gives a file other content, on the disk and in the cache.
    fn replace(&mut self, ino: Ino, content: Content) -> io::Result<()> {
        self.touch(ino, |file| {
            file.pending.clear();
            file.diverged = false;
            file.durable = content.clone();
            file.cache = content;
        })
    }

    /// Directories that are there, durable.
    fn durable_dirs(&mut self, parts: &[&str]) -> io::Result<Ino> {
        let mut at = super::disk::ROOT;
        for part in parts {
            at = match self.dir(at)?.cache.get(*part).copied() {
                Some(ino) => ino,
                None => {
                    let ino = self.add(Node::Dir(Dir::default()));
                    self.dir_mut(at)?.cache.insert((*part).to_owned(), ino);
                    ino
                }
            };
        }
        let mut from = super::disk::ROOT;
        for part in parts {
            let dir = self.dir_mut(from)?;
            from = dir.cache.get(*part).copied().ok_or(ErrorKind::NotFound)?;
            dir.durable.insert((*part).to_owned(), from);
        }
        Ok(at)
    }

    pub(super) fn remember(&mut self) {
        for (path, ino) in self.paths() {
            let Ok(file) = self.file(ino) else { continue };
            let copy = file.durable.clone();
            let copies = self.history.entry(path).or_default();
            if copies.back().is_none_or(|last| !last.same(&copy)) {
                copies.push_back(copy);
                if copies.len() > HISTORY {
                    copies.pop_front();
                }
            }
        }
    }
}
