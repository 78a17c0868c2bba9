//! [`SimFs`] as a file system: the calls about names.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::call::Turn;
use super::content::PAGE;
use super::dir::NameChange;
use super::disk::{Disk, Node, join, split};
use super::fault::FaultKind;
use super::file::{SimFile, SimLock};
use super::inode::{Ino, Inode};
use super::rng::{Prng, mix};
use super::trace::Op;
use super::violation::ViolationKind;
use crate::env::{Access, DirEntry, File, FileLock, Fs, LockMode};

/// A handle of the simulated disk, for as long as the machine stays up: after [`SimFs::crash`] and [`SimFs::process_kill`] it
/// is dead (every call says [`super::MachineOff`]), and they give a new one. Methods for tests work through any handle.
#[derive(Clone)]
pub struct SimFs {
    pub(super) disk: Arc<Mutex<Disk>>,
    pub(super) epoch: u64,
    /// See [`SimFs::meanwhile`].
    pub(super) meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

/// Part of a path, and what is done in the middle of a sync of such a file.
type Meanwhile = (String, Box<dyn FnOnce() + Send>);

impl SimFs {
    /// An empty disk: only `/` is there. Every choice that it will ever make is drawn from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::handle(Arc::new(Mutex::new(Disk::new(seed))), 0)
    }

    pub(super) fn handle(disk: Arc<Mutex<Disk>>, epoch: u64) -> Self {
        Self { disk, epoch, meanwhile: Arc::default() }
    }

    /// In the middle of a sync: runs what another caller is to do then.
    pub(super) fn meet(&self, path: &str) {
        let met = self.meanwhile.lock().take_if(|(part, _)| path.contains(part.as_str()));
        // Outside the lock: it makes calls of its own.
        if let Some((_, what)) = met {
            what();
        }
    }

    /// One call about a path.
    fn at<R>(
        &self,
        op: Op,
        path: &Path,
        body: impl FnOnce(&mut Disk, &mut Turn, &[&str]) -> io::Result<R>,
    ) -> io::Result<R> {
        let parts = split(path)?;
        let label: Arc<str> = join(&parts).into();
        let turn = Turn::new(op, &label, 0, 0);
        self.disk.lock().call(self.epoch, turn, |disk, turn| body(disk, turn, &parts))
    }

    /// One call about two paths.
    fn between<R>(
        &self,
        op: Op,
        from: &Path,
        to: &Path,
        body: impl FnOnce(&mut Disk, &[&str], &[&str]) -> io::Result<R>,
    ) -> io::Result<R> {
        let to = split(to)?;
        self.at(op, from, |disk, turn, from| {
            turn.crc = crc32fast::hash(join(&to).as_bytes());
            body(disk, from, &to)
        })
    }
}

impl std::fmt::Debug for SimFs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimFs (up for the {}. time)", self.epoch + 1)
    }
}

fn set(name: &str, ino: Option<Ino>) -> NameChange {
    NameChange::Set { name: name.to_owned(), ino, tie: None, settled: false }
}

impl Disk {
    /// A new empty file.
    fn create(&mut self, parts: &[&str]) -> io::Result<Ino> {
        let (dir, name) = self.parent(parts)?;
        if self.dir(dir)?.cache.contains_key(name) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let ino = self.add(Node::File(Inode::default()));
        self.dir_mut(dir)?.change(set(name, Some(ino)));
        self.named(ino);
        Ok(ino)
    }

    fn rename(&mut self, from: &[&str], to: &[&str]) -> io::Result<()> {
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        let ino = *self.dir(from_dir)?.cache.get(from_name).ok_or(ErrorKind::NotFound)?;
        let old = self.dir(to_dir)?.cache.get(to_name).copied();
        if old == Some(ino) {
            return Ok(());
        }
        let moves_dir = matches!(self.nodes.get(&ino), Some(Node::Dir(_)));
        if moves_dir && to.starts_with(from) {
            return Err(ErrorKind::InvalidInput.into());
        }
        match old.and_then(|old| self.nodes.get(&old)) {
            Some(_) if from.starts_with(to) => return Err(ErrorKind::DirectoryNotEmpty.into()),
            Some(Node::Dir(_)) if !moves_dir => return Err(ErrorKind::IsADirectory.into()),
            Some(Node::Dir(dir)) if !dir.cache.is_empty() => return Err(ErrorKind::DirectoryNotEmpty.into()),
            Some(Node::File(_)) if moves_dir => return Err(ErrorKind::NotADirectory.into()),
            _ => {}
        }
        if from_dir == to_dir {
            let (from, to) = (from_name.to_owned(), to_name.to_owned());
            self.dir_mut(from_dir)?.change(NameChange::Move { from, to, ino });
        } else {
            let tie = Some(self.next_tie);
            self.next_tie += 1;
            for (dir, name, ino) in [(to_dir, to_name, Some(ino)), (from_dir, from_name, None)] {
                let change = NameChange::Set { name: name.to_owned(), ino, tie, settled: false };
                self.dir_mut(dir)?.change(change);
            }
        }
        if let Some(old) = old {
            self.unnamed(old);
        }
        Ok(())
    }

    fn make_dirs(&mut self, parts: &[&str]) -> io::Result<()> {
        for depth in 1..=parts.len() {
            let (dir, name) = self.parent(parts.get(..depth).unwrap_or(parts))?;
            match self.dir(dir)?.cache.get(name) {
                Some(ino) if self.dir(*ino).is_ok() => {}
                Some(_) if depth == parts.len() => return Err(ErrorKind::AlreadyExists.into()),
                Some(_) => return Err(ErrorKind::NotADirectory.into()),
                None => {
                    let ino = self.add(Node::Dir(super::dir::Dir::default()));
                    self.dir_mut(dir)?.change(set(name, Some(ino)));
                }
            }
        }
        Ok(())
    }

    fn sync_dir(&mut self, turn: &Turn, parts: &[&str]) -> io::Result<()> {
        let ino = self.walk(parts)?;
        let (seed, n) = (self.seed, turn.n);
        if self.dir(ino)?.sync_failed_at.is_some() {
            self.violate(ViolationKind::SyncRetried, turn);
        }
        let dir = self.dir_mut(ino)?;
        let failed = turn.met_by(FaultKind::SyncError).is_some();
        let durable = if failed { dir.fail_sync(n, &mut Prng::new(mix(seed, n))) } else { dir.sync() };
        self.settle(&durable);
        let unnamed = |(ino, node): (&Ino, &Node)| match node {
            Node::File(file) if file.names == 0 && file.open == 0 => Some(*ino),
            _ => None,
        };
        let dead: Vec<Ino> = self.nodes.iter().filter_map(unnamed).collect();
        for ino in dead {
            self.bury(ino);
        }
        if failed {
            self.stats.hit(FaultKind::SyncError);
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    fn list(&self, parts: &[&str]) -> io::Result<Vec<DirEntry>> {
        let dir = self.dir(self.walk(parts)?)?;
        let entry = |(name, ino): (&String, &Ino)| {
            let (is_dir, len) = match self.nodes.get(ino) {
                Some(Node::File(file)) => (false, file.cache.len),
                _ => (true, 0),
            };
            DirEntry { name: name.clone(), is_dir, len }
        };
        Ok(dir.cache.iter().map(entry).collect())
    }
}

impl Fs for SimFs {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn File>> {
        let op = if access == Access::CreateNew { Op::Create } else { Op::Open };
        let (ino, opened_at, path) = self.at(op, path, |disk, turn, parts| {
            let ino = if access == Access::CreateNew { disk.create(parts)? } else { disk.walk(parts)? };
            disk.file(ino)?;
            Ok((ino, turn.n, Arc::clone(&turn.path)))
        })?;
        // Only a call that succeeded makes a handle: dropping one locks the disk.
        self.disk.lock().file_mut(ino)?.open += 1;
        let writable = access != Access::Read;
        Ok(Arc::new(SimFile { fs: self.clone(), ino, path, writable, opened_at }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.between(Op::Rename, from, to, |disk, from, to| disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.at(Op::Remove, path, |disk, _, parts| {
            let (dir, name) = disk.parent(parts)?;
            let ino = *disk.dir(dir)?.cache.get(name).ok_or(ErrorKind::NotFound)?;
            disk.file(ino)?;
            disk.dir_mut(dir)?.change(set(name, None));
            disk.unnamed(ino);
            Ok(())
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.between(Op::Link, from, to, |disk, from, to| {
            let ino = disk.walk(from)?;
            let (dir, name) = disk.parent(to)?;
            if disk.dir(dir)?.cache.contains_key(name) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            if disk.file(ino).is_err() {
                return Err(ErrorKind::PermissionDenied.into());
            }
            disk.dir_mut(dir)?.change(set(name, Some(ino)));
            disk.named(ino);
            Ok(())
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.at(Op::MakeDir, path, |disk, _, parts| disk.make_dirs(parts))
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.at(Op::ReadDir, path, |disk, _, parts| disk.list(parts))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.at(Op::SyncDir, path, |disk, turn, parts| disk.sync_dir(turn, parts))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.at(Op::Exists, path, |disk, _, parts| match disk.walk(parts) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        })
    }

    fn try_lock(&self, path: &Path, mode: LockMode) -> io::Result<Option<Box<dyn FileLock>>> {
        let held = self.at(Op::Lock, path, |disk, _, parts| {
            let ino = match disk.walk(parts) {
                Err(e) if e.kind() == ErrorKind::NotFound => disk.create(parts)?,
                found => found?,
            };
            let file = disk.file(ino)?;
            if file.locked || (mode == LockMode::Exclusive && file.lock_shares > 0) {
                return Ok(None);
            }
            if mode == LockMode::Shared {
                return Ok(Some(ino));
            }
            let owner = format!("process {}\n", disk.epoch);
            disk.touch(ino, |file| {
                file.set_len(0);
                file.write(0, owner.as_bytes(), super::inode::Landing::Right);
            })?;
            for node in disk.nodes.values_mut() {
                if let Node::Dir(dir) = node {
                    dir.sync_failed_at = None;
                }
            }
            Ok(Some(ino))
        })?;
        let Some(ino) = held else { return Ok(None) };
        let mut disk = self.disk.lock();
        let file = disk.file_mut(ino)?;
        file.open += 1;
        match mode {
            LockMode::Exclusive => file.locked = true,
            LockMode::Shared => file.lock_shares += 1,
        }
        Ok(Some(Box::new(SimLock { fs: self.clone(), ino, mode })))
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        self.at(Op::Canonical, path, |disk, turn, parts| {
            disk.walk(parts)?;
            Ok(PathBuf::from(&*turn.path))
        })
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.at(Op::FreeSpace, path, |disk, _, parts| {
            disk.walk(parts)?;
            Ok(disk.free().saturating_mul(PAGE as u64))
        })
    }
}
