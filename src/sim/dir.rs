//! A directory of the simulated disk: the names as the running system sees them, and as the disk has them.

use std::collections::BTreeMap;

use super::inode::Ino;
use super::rng::Prng;

/// A change of a directory since its last sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NameChange {
    /// A name now means `ino`, or nothing. Two such changes with the same `tie` are the halves of a rename between
    /// directories; `settled`: the other half is on the disk.
    Set { name: String, ino: Option<Ino>, tie: Option<u64>, settled: bool },
    /// A rename within this directory.
    Move { from: String, to: String, ino: Ino },
}

/// What a crash keeps of a [`NameChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Nothing,
    All,
    /// Of a rename, only the new name (the old one is still there).
    NewName,
    /// Of a rename, only the removal of the old name: the file has none.
    OldGone,
}

impl NameChange {
    /// The file or directory that gets a name.
    pub(super) fn target(&self) -> Option<Ino> {
        match self {
            Self::Set { ino, .. } => *ino,
            Self::Move { ino, .. } => Some(*ino),
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<String, Ino>, kept: Kept) {
        if kept == Kept::Nothing {
            return;
        }
        match self {
            Self::Set { name, ino: Some(ino), .. } => _ = names.insert(name.clone(), *ino),
            Self::Set { name, ino: None, .. } => _ = names.remove(name),
            Self::Move { from, to, ino } => {
                // The old name goes only if it still means this file: its making may have been lost, and an older file be there.
                if kept != Kept::NewName && names.get(from) == Some(ino) {
                    names.remove(from);
                }
                if kept != Kept::OldGone {
                    names.insert(to.clone(), *ino);
                }
            }
        }
    }
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Dir {
    pub(super) cache: BTreeMap<String, Ino>,
    pub(super) durable: BTreeMap<String, Ino>,
    pub(super) pending: Vec<NameChange>,
    /// The disk lacks names that the running system shows.
    pub(super) diverged: bool,
    /// The call that a sync failed at, while no lock was taken since.
    pub(super) sync_failed_at: Option<u64>,
}

impl Dir {
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.cache, Kept::All);
        self.pending.push(change);
    }

    /// A sync that succeeds; answers what was made durable.
    pub(super) fn sync(&mut self) -> Vec<NameChange> {
        let changes = std::mem::take(&mut self.pending);
        for change in &changes {
            change.apply(&mut self.durable, Kept::All);
        }
        changes
    }

    /// A sync that fails: by chance some names are on the disk, none will be tried again.
    pub(super) fn fail_sync(&mut self, at: u64, rng: &mut Prng) -> Vec<NameChange> {
        self.sync_failed_at.get_or_insert(at);
        let changes = std::mem::take(&mut self.pending);
        let mut kept = Vec::new();
        for change in changes {
            if rng.one_in(3) {
                change.apply(&mut self.durable, Kept::All);
                kept.push(change);
            } else {
                self.diverged = true;
            }
        }
        kept
    }
}
