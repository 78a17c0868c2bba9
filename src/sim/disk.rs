//! The state of the simulated disk, and the running system's view of it: paths, names, space.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use super::call::{KillAt, Rule};
use super::clock::SimClock;
use super::content::{Content, PAGE};
use super::dir::{Dir, NameChange};
use super::fault::{FaultKind, FaultStats, Faults};
use super::inode::{Ino, Inode};
use super::trace::Trace;
use super::violation::Violation;

/// The root directory.
pub(super) const ROOT: Ino = 1;
/// A disk that nobody gave a size, bytes.
const CAPACITY: u64 = 1 << 40;

#[derive(Clone)]
pub(super) enum Node {
    File(Inode),
    Dir(Dir),
}

#[derive(Clone)]
pub(super) struct Disk {
    pub(super) seed: u64,
    pub(super) on: bool,
    /// Counts the times the machine came up. Handles of an earlier one are dead.
    pub(super) epoch: u64,
    pub(super) calls: u64,
    pub(super) changes: u64,
    pub(super) syncs: u64,
    pub(super) nodes: BTreeMap<Ino, Node>,
    pub(super) next_ino: Ino,
    pub(super) next_tie: u64,
    /// In blocks.
    pub(super) capacity: u64,
    /// In blocks, of what the running system can reach.
    pub(super) used: u64,
    pub(super) faults: Faults,
    pub(super) forced: BTreeMap<u64, FaultKind>,
    pub(super) rules: Vec<Rule>,
    pub(super) kill_at: Option<KillAt>,
    pub(super) stats: FaultStats,
    pub(super) trace: Trace,
    pub(super) violations: Vec<Violation>,
    pub(super) panic_on_violation: bool,
    pub(super) clock: Option<SimClock>,
    pub(super) latency_us: u64,
    /// Older contents by path, newest last.
    pub(super) history: BTreeMap<String, VecDeque<Content>>,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            on: true,
            epoch: 0,
            calls: 0,
            changes: 0,
            syncs: 0,
            nodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]),
            next_ino: ROOT + 1,
            next_tie: 0,
            capacity: CAPACITY / PAGE as u64,
            used: 0,
            faults: Faults::NONE,
            forced: BTreeMap::new(),
            rules: Vec::new(),
            kill_at: None,
            stats: FaultStats::default(),
            trace: Trace::default(),
            violations: Vec::new(),
            panic_on_violation: false,
            clock: None,
            latency_us: 20,
            history: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, node: Node) -> Ino {
        let ino = self.next_ino;
        self.next_ino += 1;
        self.nodes.insert(ino, node);
        ino
    }

    pub(super) fn dir(&self, ino: Ino) -> io::Result<&Dir> {
        match self.nodes.get(&ino) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn dir_mut(&mut self, ino: Ino) -> io::Result<&mut Dir> {
        match self.nodes.get_mut(&ino) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn file(&self, ino: Ino) -> io::Result<&Inode> {
        match self.nodes.get(&ino) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// A file, to be changed without a change of the space it holds.
    pub(super) fn file_mut(&mut self, ino: Ino) -> io::Result<&mut Inode> {
        match self.nodes.get_mut(&ino) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir(_)) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    /// Changes a file and keeps account of its space.
    pub(super) fn touch<R>(&mut self, ino: Ino, change: impl FnOnce(&mut Inode) -> R) -> io::Result<R> {
        let file = self.file_mut(ino)?;
        let before = file.cache.blocks();
        let result = change(file);
        let after = file.cache.blocks();
        self.used = self.used.saturating_add(after).saturating_sub(before);
        Ok(result)
    }

    /// Blocks that are still free.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used)
    }

    /// The directory entry at the end of the parts.
    pub(super) fn walk(&self, parts: &[&str]) -> io::Result<Ino> {
        let mut at = ROOT;
        for part in parts {
            at = self.dir(at)?.cache.get(*part).copied().ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    /// The directory that holds, or would hold, the last part.
    pub(super) fn parent<'a>(&self, parts: &[&'a str]) -> io::Result<(Ino, &'a str)> {
        let (name, before) = parts.split_last().ok_or(ErrorKind::InvalidInput)?;
        let dir = self.walk(before)?;
        self.dir(dir)?;
        Ok((dir, name))
    }

    /// One more name for a file (directories do not count theirs).
    pub(super) fn named(&mut self, ino: Ino) {
        if let Ok(file) = self.file_mut(ino) {
            file.names += 1;
        }
    }

    /// One name less.
    pub(super) fn unnamed(&mut self, ino: Ino) {
        if let Ok(file) = self.file_mut(ino) {
            file.names = file.names.saturating_sub(1);
            self.bury(ino);
        }
    }

    /// Frees what a file holds if nobody can reach it; forgets it altogether if no crash can bring it back either.
    pub(super) fn bury(&mut self, ino: Ino) {
        if !self.file(ino).is_ok_and(|file| file.names == 0 && file.open == 0) {
            return;
        }
        let _ = self.touch(ino, |file| file.cache = Content::default());
        let may_return = self.nodes.values().any(|node| match node {
            Node::Dir(dir) => {
                dir.durable.values().any(|it| *it == ino)
                    || dir.pending.iter().any(|change| change.target() == Some(ino))
            }
            Node::File(_) => false,
        });
        if !may_return {
            self.nodes.remove(&ino);
        }
    }

    /// The other half of a rename between directories is on the disk.
    pub(super) fn settle(&mut self, changes: &[NameChange]) {
        for change in changes {
            let NameChange::Set { tie: Some(settled_tie), .. } = change else { continue };
            for node in self.nodes.values_mut() {
                let Node::Dir(dir) = node else { continue };
                for other in &mut dir.pending {
                    if let NameChange::Set { tie: Some(tie), settled, .. } = other
                        && tie == settled_tie
                    {
                        *settled = true;
                    }
                }
            }
        }
    }

    /// Every file that has a name, with one of its paths, in order of path.
    pub(super) fn paths(&self) -> Vec<(String, Ino)> {
        let mut out = Vec::new();
        let mut seen = BTreeSet::new();
        let mut todo = vec![(String::new(), ROOT)];
        while let Some((path, ino)) = todo.pop() {
            // A rename that a crash split may have given a directory two names.
            if !seen.insert(ino) {
                continue;
            }
            let Ok(dir) = self.dir(ino) else { continue };
            for (name, child) in &dir.cache {
                let path = format!("{path}/{name}");
                match self.nodes.get(child) {
                    Some(Node::File(_)) => out.push((path, *child)),
                    Some(Node::Dir(_)) => todo.push((path, *child)),
                    None => {}
                }
            }
        }
        out.sort();
        out
    }

    /// One path of a file, for messages.
    pub(super) fn path_of(&self, ino: Ino) -> String {
        let found = self.paths().into_iter().find(|(_, it)| *it == ino);
        found.map_or_else(|| format!("(file {ino} without a name)"), |(path, _)| path)
    }
}

/// The parts of a path from the root. Dots are resolved by words: there are no symbolic links.
pub(super) fn split(path: &Path) -> io::Result<Vec<&str>> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name.to_str().ok_or(ErrorKind::InvalidInput)?),
            Component::ParentDir => _ = parts.pop(),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(parts)
}

/// The path that the parts spell.
pub(super) fn join(parts: &[&str]) -> String {
    if parts.is_empty() { "/".into() } else { parts.iter().flat_map(|part| ["/", part]).collect() }
}
