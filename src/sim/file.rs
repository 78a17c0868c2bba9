//! An open file of the simulated disk.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;

use super::call::{Cut, Turn};
use super::content::PAGE;
use super::disk::Disk;
use super::fault::FaultKind;
use super::fs::SimFs;
use super::inode::{Ino, Inode, Landing};
use super::rng::{Prng, mix};
use super::trace::Op;
use super::violation::ViolationKind;
use crate::env::{File, FileLock, LockMode};

const SECTOR: u64 = 512;

pub(super) struct SimFile {
    pub(super) fs: SimFs,
    pub(super) ino: Ino,
    pub(super) path: Arc<str>,
    pub(super) writable: bool,
    /// The call that opened it.
    pub(super) opened_at: u64,
}

pub(super) struct SimLock {
    pub(super) fs: SimFs,
    pub(super) ino: Ino,
    pub(super) mode: LockMode,
}

/// What a map owns: its copy, and the sign that it is alive.
struct MapOwner {
    bytes: Vec<u8>,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for MapOwner {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl FileLock for SimLock {}

impl SimFs {
    fn close(&self, ino: Ino, unlock: Option<LockMode>) {
        let mut disk = self.disk.lock();
        if disk.epoch != self.epoch {
            return;
        }
        if let Ok(file) = disk.file_mut(ino) {
            file.open = file.open.saturating_sub(1);
            match unlock {
                Some(LockMode::Exclusive) => file.locked = false,
                Some(LockMode::Shared) => file.lock_shares = file.lock_shares.saturating_sub(1),
                None => {}
            }
            disk.bury(ino);
        }
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.close(self.ino, Some(self.mode));
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.fs.close(self.ino, None);
    }
}

impl SimFile {
    fn call<R>(
        &self,
        op: Op,
        offset: u64,
        len: u64,
        body: impl FnOnce(&mut Disk, &mut Turn) -> io::Result<R>,
    ) -> io::Result<R> {
        self.fs.disk.lock().call(self.fs.epoch, Turn::new(op, &self.path, offset, len), body)
    }

    /// A call that changes the file.
    fn change<R>(
        &self,
        op: Op,
        offset: u64,
        len: u64,
        body: impl FnOnce(&mut Disk, &mut Turn) -> io::Result<R>,
    ) -> io::Result<R> {
        self.call(op, offset, len, |disk, turn| {
            if !self.writable {
                disk.violate(ViolationKind::WroteReadOnly, turn);
                return Err(Errno::BADF.into());
            }
            let file = disk.file(self.ino)?;
            let under_map = file.maps.any();
            if under_map || file.was_mapped {
                let kind =
                    if under_map { ViolationKind::ChangedUnderMap } else { ViolationKind::ChangedAfterMap };
                disk.violate(kind, turn);
            }
            body(disk, turn)
        })
    }
}

impl Disk {
    /// Damage on the way to a read: a flipped bit, a dropped page cache.
    fn before_read(&mut self, ino: Ino, turn: &Turn) -> io::Result<()> {
        if turn.met_by(FaultKind::Evict).is_some() && self.touch(ino, Inode::evict)? {
            self.stats.hit(FaultKind::Evict);
        }
        if let Some(draw) = turn.met_by(FaultKind::BitRot) {
            let room = self.file(ino)?.cache.len.saturating_sub(turn.offset).min(turn.len);
            let offset = turn.offset.saturating_add(mix(draw, 2) % room.max(1));
            if room != 0 && self.touch(ino, |file| file.flip(offset, (draw & 7) as u8))? {
                self.stats.hit(FaultKind::BitRot);
            }
        }
        Ok(())
    }

    /// A sector border other than the right one, in this file or, by chance, in another.
    fn wrong_place(&self, ino: Ino, offset: u64, draw: u64) -> Option<(Ino, u64)> {
        let mut rng = Prng::new(draw);
        let other = rng.one_in(4);
        let files: Vec<(Ino, u64)> = self
            .nodes
            .iter()
            .filter_map(|(it, node)| match node {
                super::disk::Node::File(file) if file.names != 0 && (*it != ino) == other => {
                    Some((*it, file.cache.len))
                }
                _ => None,
            })
            .collect();
        let (at, len) = *rng.pick(&files)?;
        let place = rng.below(len / SECTOR + 1) * SECTOR + offset % SECTOR;
        ((at, place) != (ino, offset)).then_some((at, place))
    }

    /// How much of a write finds room.
    fn fitting(&self, file: &Inode, offset: u64, len: u64) -> u64 {
        let free = self.free();
        if file.cache.missing(offset, len) <= free {
            return len;
        }
        let page = PAGE as u64;
        let (mut fit, mut left) = (0, free);
        while fit < len {
            let at = offset.saturating_add(fit);
            let step = (page - at % page).min(len - fit);
            let missing = file.cache.missing(at, step);
            if missing > left {
                break;
            }
            left -= missing;
            fit += step;
        }
        fit
    }

    fn write(&mut self, ino: Ino, turn: &mut Turn, buf: &[u8]) -> io::Result<usize> {
        let fit = self.fitting(self.file(ino)?, turn.offset, turn.len);
        if fit == 0 && !buf.is_empty() {
            self.stats.hit(FaultKind::NoSpace);
            return Err(ErrorKind::StorageFull.into());
        }
        let mut take = usize::try_from(fit).unwrap_or(usize::MAX).min(buf.len());
        let mut failed = false;
        let part = |draw: u64| usize::try_from(mix(draw, 3) % (take as u64).max(1)).unwrap_or_default();
        if let Some(draw) = turn.met_by(FaultKind::ShortWrite).filter(|_| take > 1) {
            self.stats.hit(FaultKind::ShortWrite);
            take = part(draw).max(1);
        } else if let Some(draw) = turn.met_by(FaultKind::WriteError) {
            self.stats.hit(FaultKind::WriteError);
            failed = true;
            take = if draw % 2 == 0 { 0 } else { part(draw) };
        } else if let Some(Cut::Drawn(draw)) =
            turn.cut.filter(|cut| matches!(cut, Cut::Drawn(d) if d % 3 == 1))
        {
            take = part(draw);
        }
        let landing = if turn.met_by(FaultKind::LostWrite).is_some() {
            Landing::Lost
        } else if let Some(draw) = turn.met_by(FaultKind::MisdirectedWrite)
            && let Some((ino, offset)) = self.wrong_place(ino, turn.offset, draw)
        {
            Landing::Misplaced { ino, offset }
        } else {
            Landing::Right
        };
        let mut bytes = buf.get(..take).unwrap_or(buf);
        let mut flipped = Vec::new();
        if let Some(draw) = turn.met_by(FaultKind::BufferFlip).filter(|_| !bytes.is_empty()) {
            self.stats.hit(FaultKind::BufferFlip);
            flipped.extend_from_slice(bytes);
            let at = usize::try_from(mix(draw, 4) % bytes.len() as u64).unwrap_or_default();
            flipped.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (draw & 7));
            bytes = &flipped;
        }
        turn.crc = crc32fast::hash(bytes);
        if !bytes.is_empty() {
            self.touch(ino, |file| file.write(turn.offset, bytes, landing))?;
        }
        if failed { Err(Errno::IO.into()) } else { Ok(take) }
    }

    fn sync(&mut self, ino: Ino, turn: &Turn, opened_at: u64) -> io::Result<()> {
        if self.file(ino)?.sync_failed_at.is_some_and(|failed_at| opened_at < failed_at) {
            self.violate(ViolationKind::SyncRetried, turn);
        }
        if turn.met_by(FaultKind::SyncError).is_some() {
            self.stats.hit(FaultKind::SyncError);
            let mut rng = Prng::new(mix(self.seed, turn.n));
            self.file_mut(ino)?.fail_sync(turn.n, &mut rng);
            return Err(Errno::IO.into());
        }
        let (strays, lost) = self.file_mut(ino)?.sync();
        if lost {
            self.stats.hit(FaultKind::LostWrite);
        }
        for stray in strays {
            self.stats.hit(FaultKind::MisdirectedWrite);
            if let Ok(victim) = self.file_mut(stray.ino) {
                victim.hit_by_stray(stray.offset, &stray.data);
            }
        }
        Ok(())
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.call(Op::Read, offset, buf.len() as u64, |disk, turn| {
            disk.before_read(self.ino, turn)?;
            let (mut ino, mut at) = (self.ino, offset);
            if let Some(draw) = turn.met_by(FaultKind::MisdirectedRead)
                && let Some(wrong) = disk.wrong_place(ino, offset, draw)
            {
                (ino, at) = wrong;
            }
            // Another file or place gives as many bytes as the right one would, zeros where it has none.
            let mut n = usize::try_from(disk.file(self.ino)?.cache.len.saturating_sub(offset))
                .unwrap_or(usize::MAX)
                .min(buf.len());
            if let Some(draw) = turn.met_by(FaultKind::ShortRead).filter(|_| n > 1) {
                disk.stats.hit(FaultKind::ShortRead);
                n = usize::try_from(draw % (n as u64 - 1) + 1).unwrap_or(n);
            }
            let out = buf.get_mut(..n).unwrap_or_default();
            let got = disk.file(ino)?.cache.read(out, at);
            if let Some(rest) = out.get_mut(got..) {
                rest.fill(0);
            }
            if (ino, at) != (self.ino, offset) && disk.file(self.ino)?.cache.slice(offset, n as u64) != *out {
                disk.stats.hit(FaultKind::MisdirectedRead);
            }
            if disk.file(ino)?.is_stale(at, n as u64) {
                disk.stats.hit(FaultKind::StaleRead);
            }
            turn.crc = crc32fast::hash(out);
            Ok(n)
        })
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.change(Op::Write, offset, buf.len() as u64, |disk, turn| disk.write(self.ino, turn, buf))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fs.meet(&self.path);
        self.call(Op::Sync, 0, 0, |disk, turn| disk.sync(self.ino, turn, self.opened_at))
    }

    fn len(&self) -> io::Result<u64> {
        self.call(Op::Len, 0, 0, |disk, _| Ok(disk.file(self.ino)?.cache.len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Op::SetLen, 0, len, |disk, _| disk.touch(self.ino, |file| file.set_len(len)))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.change(Op::Allocate, offset, len, |disk, _| {
            if len == 0 {
                return Err(ErrorKind::InvalidInput.into());
            }
            if disk.file(self.ino)?.cache.missing(offset, len) > disk.free() {
                disk.stats.hit(FaultKind::NoSpace);
                return Err(ErrorKind::StorageFull.into());
            }
            disk.touch(self.ino, |file| file.allocate(offset, len))
        })
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        self.call(Op::Map, 0, len, |disk, turn| {
            disk.before_read(self.ino, turn)?;
            let file = disk.file_mut(self.ino)?;
            if len == 0 {
                return Ok(Bytes::new());
            }
            if file.cache.len < len {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            file.was_mapped = true;
            let owner = MapOwner { bytes: file.cache.slice(0, len), _alive: file.maps.new_map() };
            turn.crc = crc32fast::hash(&owner.bytes);
            if !file.pending.is_empty() {
                disk.violate(ViolationKind::MappedUnsynced, turn);
            }
            Ok(Bytes::from_owner(owner))
        })
    }

    fn drop_cache(&self) -> io::Result<()> {
        let mut disk = self.fs.disk.lock();
        if disk.epoch == self.fs.epoch && disk.on && disk.touch(self.ino, Inode::evict)? {
            disk.stats.hit(FaultKind::Evict);
        }
        Ok(())
    }

    fn link_count(&self) -> io::Result<u64> {
        self.call(Op::LinkCount, 0, 0, |disk, _| Ok(disk.file(self.ino)?.names))
    }
}
