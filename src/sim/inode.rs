//! A file of the simulated disk: what reads see, what the disk holds, and what lies between.
//!
//! Invariants:
//! 1. `cache` is `durable` with every change of `pending` applied in order, unless `diverged`.
//! 2. `diverged` says that a failed sync, a lost or a misplaced write left the cache showing bytes that the disk does not
//!    have. Only an eviction or a crash ends it. (The length may differ after an eviction: the running system remembers it,
//!    and the next good sync writes it.)
//! 3. No byte behind `len` is other than zero, in either content.

use std::sync::Arc;

use bytes::Bytes;

use super::content::Content;
use super::rng::Prng;

/// Number of a file or directory. Never given out twice.
pub(super) type Ino = u64;

/// Where a write goes when it goes to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landing {
    /// Where it should.
    Right,
    /// Nowhere.
    Lost,
    /// Somewhere else.
    Misplaced { ino: Ino, offset: u64 },
}

/// A change since the last sync.
#[derive(Clone)]
pub(super) enum Change {
    /// Bytes. `grows`: they made the file longer.
    Write { offset: u64, data: Bytes, grows: bool, landing: Landing },
    /// A new length.
    SetLen { to: u64 },
    /// Space, and the length to cover it.
    Allocate { offset: u64, len: u64 },
}

/// Counts living maps: each holds a clone of the pointer. A copy of the file has none.
#[derive(Default)]
pub(super) struct Maps(Arc<()>);

impl Maps {
    pub(super) fn new_map(&self) -> Arc<()> {
        Arc::clone(&self.0)
    }

    pub(super) fn any(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl Clone for Maps {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A file.
#[derive(Clone, Default)]
pub(super) struct Inode {
    pub(super) cache: Content,
    pub(super) durable: Content,
    pub(super) pending: Vec<Change>,
    pub(super) diverged: bool,
    /// Names in the directories as reads see them.
    pub(super) names: u64,
    /// Open handles of the running process.
    pub(super) open: u64,
    /// The maps that are alive.
    pub(super) maps: Maps,
    /// Whether it was mapped since the machine came up.
    pub(super) was_mapped: bool,
    /// The call that a sync failed at, if one did since the machine came up.
    pub(super) sync_failed_at: Option<u64>,
    /// Where writes were lost that a sync answered for: once the page cache is dropped, reads are stale there.
    pub(super) lost: Vec<(u64, u64)>,
    pub(super) locked: bool,
    /// How many share its lock.
    pub(super) lock_shares: u64,
}

/// The bytes that one write put into a file that was not meant.
pub(super) struct Stray {
    pub(super) ino: Ino,
    pub(super) offset: u64,
    pub(super) data: Bytes,
}

impl Inode {
    pub(super) fn write(&mut self, offset: u64, data: &[u8], landing: Landing) {
        let end = offset.saturating_add(data.len() as u64);
        let grows = end > self.cache.len;
        self.cache.write(data, offset);
        self.cache.len = self.cache.len.max(end);
        if !self.lost.is_empty() {
            self.lost.retain(|(from, to)| !(offset <= *from && *to <= end));
        }
        self.pending.push(Change::Write { offset, data: Bytes::copy_from_slice(data), grows, landing });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        // Where the disk may differ from what reads show, doing it again must do it.
        if len != self.cache.len || self.diverged {
            self.pending.push(Change::SetLen { to: len });
            self.cache.set_len(len);
        }
    }

    pub(super) fn allocate(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len);
        if end > self.cache.len || self.cache.missing(offset, len) != 0 || self.diverged {
            self.pending.push(Change::Allocate { offset, len });
            self.cache.reserve(offset, len);
            self.cache.len = self.cache.len.max(end);
        }
    }

    /// A sync that succeeds. Answers the writes that went astray, and whether any was lost.
    pub(super) fn sync(&mut self) -> (Vec<Stray>, bool) {
        let right =
            |change: &Change| !matches!(change, Change::Write { landing, .. } if *landing != Landing::Right);
        let changes = std::mem::take(&mut self.pending);
        if self.diverged || !changes.iter().all(right) {
            return self.land_all(changes);
        }
        // The usual case: the disk takes over the pages of the cache.
        if changes.iter().any(|change| matches!(change, Change::SetLen { .. })) {
            self.durable = self.cache.clone();
            return (Vec::new(), false);
        }
        for change in &changes {
            match change {
                Change::Write { offset, data, .. } => {
                    self.durable.adopt(&self.cache, *offset, data.len() as u64)
                }
                Change::Allocate { offset, len } => self.durable.adopt(&self.cache, *offset, *len),
                Change::SetLen { .. } => {}
            }
        }
        self.durable.len = self.cache.len;
        (Vec::new(), false)
    }

    fn land_all(&mut self, changes: Vec<Change>) -> (Vec<Stray>, bool) {
        let (mut strays, mut lost) = (Vec::new(), false);
        for change in changes {
            match change {
                Change::Write { offset, data, landing: Landing::Right, .. } => {
                    self.durable.write(&data, offset);
                    self.durable.len = self.durable.len.max(offset.saturating_add(data.len() as u64));
                }
                Change::Write { offset, data, landing, .. } => {
                    self.diverged = true;
                    // The length is metadata and arrives.
                    self.durable.len = self.durable.len.max(offset.saturating_add(data.len() as u64));
                    match landing {
                        Landing::Misplaced { ino, offset } => strays.push(Stray { ino, offset, data }),
                        Landing::Lost | Landing::Right => {
                            lost = true;
                            self.lost.push((offset, offset.saturating_add(data.len() as u64)));
                        }
                    }
                }
                Change::SetLen { to } => self.durable.set_len(to),
                Change::Allocate { offset, len } => {
                    self.durable.reserve(offset, len);
                    self.durable.len = self.durable.len.max(offset.saturating_add(len));
                }
            }
        }
        (strays, lost)
    }

    /// A sync that fails: by chance some changes are on the disk, none is dirty any more, reads still show all.
    pub(super) fn fail_sync(&mut self, at: u64, rng: &mut Prng) {
        self.sync_failed_at.get_or_insert(at);
        let changes = std::mem::take(&mut self.pending);
        if changes.is_empty() {
            return;
        }
        let kept = changes.into_iter().filter(|_| rng.one_in(3)).collect();
        let _ = self.land_all(kept);
        self.diverged = true;
    }

    /// Bytes of another file's write land here.
    pub(super) fn hit_by_stray(&mut self, offset: u64, data: &[u8]) {
        let room = self.durable.len.saturating_sub(offset);
        let n = usize::try_from(room).unwrap_or(usize::MAX).min(data.len());
        if let Some(data) = data.get(..n).filter(|data| !data.is_empty()) {
            self.durable.write(data, offset);
            self.diverged = true;
        }
    }

    /// Drops the page cache: reads now see the disk, and what is still dirty. The length stays as the running system knows it.
    pub(super) fn evict(&mut self) -> bool {
        if !self.diverged {
            return false;
        }
        let len = self.cache.len;
        self.cache = self.durable.clone();
        for change in &self.pending {
            match change {
                Change::Write { offset, data, .. } => {
                    self.cache.write(data, *offset);
                    self.cache.len = self.cache.len.max(offset.saturating_add(data.len() as u64));
                }
                Change::SetLen { to } => self.cache.set_len(*to),
                Change::Allocate { offset, len } => self.cache.reserve(*offset, *len),
            }
        }
        self.cache.set_len(len);
        self.diverged = false;
        true
    }

    /// Whether reading there shows what was before a write that is lost.
    pub(super) fn is_stale(&self, offset: u64, len: u64) -> bool {
        let end = offset.saturating_add(len);
        !self.diverged && self.lost.iter().any(|(from, to)| *from < end && offset < *to)
    }

    /// Flips a bit on the disk, and in the cache where the page is not dirty.
    pub(super) fn flip(&mut self, offset: u64, bit: u8) -> bool {
        let mask = 1_u8 << (bit & 7);
        let mut flipped = false;
        for content in [&mut self.durable, &mut self.cache] {
            if offset < content.len {
                let byte = content.slice(offset, 1).first().copied().unwrap_or_default();
                content.write(&[byte ^ mask], offset);
                flipped = true;
            }
        }
        // A pending write of the same bytes will overwrite the damage, on the disk as in the cache.
        flipped
    }
}
