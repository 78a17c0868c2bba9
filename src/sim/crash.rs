//! Power cuts: which changes were pending, which of them survive, and the disk that the machine finds afterwards.
//!
//! Each file and each directory has its list of changes since the last sync. A change is cut into *pieces* (sectors of a write,
//! the new length, a name); a *point* is a choice about one piece, or, where only first changes survive, about how many.
//! A random crash draws each choice, an exhaustive explorer counts them; both go the same way from there.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Content;
use super::dir::{Dir, Kept, NameChange};
use super::disk::{Disk, Node, ROOT};
use super::fault::FaultKind;
use super::inode::{Change, Ino, Inode, Landing, Maps, Stray};
use super::pieces::{Fate, Part, Piece, Point, fates, options, pieces, survivors, weight};
use super::policy::{CrashPolicy, LengthRule, Order};
use super::rng::mix;
use super::tally::count;

/// The file after the crash, and the writes that went astray.
fn image(file: &Inode, pieces: &[(Piece, Fate)], policy: &CrashPolicy, seed: u64) -> (Content, Vec<Stray>) {
    let mut out = file.durable.clone();
    let mut strays = Vec::new();
    for (piece, fate) in pieces {
        let Some(change) = file.pending.get(piece.change) else { continue };
        match (change, piece.part) {
            (Change::Write { offset, data, grows, landing }, Part::Data { at, len }) => {
                for (start, bytes) in survivors(data, at, len, *fate, seed) {
                    let place = offset.saturating_add(start as u64);
                    match landing {
                        Landing::Right => out.write(&bytes, place),
                        Landing::Lost => {}
                        Landing::Misplaced { ino, offset } => {
                            let offset = offset.saturating_add(start as u64);
                            strays.push(Stray { ino: *ino, offset, data: bytes.clone().into() });
                        }
                    }
                    if *grows && policy.length == LengthRule::WithData {
                        out.len = out.len.max(place.saturating_add(bytes.len() as u64));
                    }
                }
            }
            (Change::Write { offset, data, .. }, Part::Length) if *fate != Fate::Lost => {
                out.len = out.len.max(offset.saturating_add(data.len() as u64));
            }
            (Change::SetLen { to }, _) if *fate != Fate::Lost => out.set_len(*to),
            (Change::Allocate { offset, len }, _) if *fate != Fate::Lost => {
                out.reserve(*offset, *len);
                out.len = out.len.max(offset.saturating_add(*len));
            }
            _ => {}
        }
    }
    out.set_len(out.len);
    (out, strays)
}

impl Disk {
    /// Every choice that a crash would leave open now.
    pub(super) fn points(&self, policy: &CrashPolicy) -> Vec<Point> {
        let mut out = Vec::new();
        for (ino, node) in &self.nodes {
            let point = |piece, options| Point { ino: *ino, piece, options };
            match node {
                Node::Dir(dir) if dir.pending.is_empty() => {}
                Node::Dir(dir) if policy.names == Order::Prefix => {
                    out.push(point(None, u32::try_from(dir.pending.len()).unwrap_or(u32::MAX - 1) + 1));
                }
                Node::Dir(dir) => {
                    for (i, change) in dir.pending.iter().enumerate() {
                        let splits = policy.split_renames && matches!(change, NameChange::Move { .. });
                        out.push(point(Some(i), if splits { 4 } else { 2 }));
                    }
                }
                Node::File(file) if file.pending.is_empty() => {}
                Node::File(file) => {
                    let pieces = pieces(&file.pending, policy);
                    if policy.data == Order::Prefix {
                        let steps = pieces.iter().fold(1_u32, |n, it| n.saturating_add(weight(it, policy)));
                        out.push(point(None, steps));
                    } else {
                        let each =
                            pieces.iter().enumerate().map(|(i, it)| point(Some(i), options(it, policy)));
                        out.extend(each);
                    }
                }
            }
        }
        out
    }

    /// What a point is about.
    pub(super) fn describe(&self, point: &Point, policy: &CrashPolicy) -> String {
        let path = self.path_of(point.ino);
        match (self.nodes.get(&point.ino), point.piece) {
            (Some(Node::Dir(dir)), Some(i)) => format!("names in {path}: {:?}", dir.pending.get(i)),
            (Some(Node::File(file)), Some(i)) => {
                let piece = pieces(&file.pending, policy).get(i).copied();
                format!("{path}: {piece:?}")
            }
            _ => format!("{path}: how many changes, first ones first"),
        }
    }

    /// The machine comes up after a power cut, with the chosen changes on the disk.
    pub(super) fn power_cut(&mut self, policy: &CrashPolicy, choices: &[(Point, u32)]) {
        let mut chosen: BTreeMap<Ino, Vec<(Option<usize>, u32)>> = BTreeMap::new();
        for (point, choice) in choices {
            chosen.entry(point.ino).or_default().push((point.piece, *choice));
        }
        self.remember();
        self.crash_names(policy, &chosen);
        let mut strays = Vec::new();
        for (ino, node) in &mut self.nodes {
            let Node::File(file) = node else { continue };
            if !file.pending.is_empty() {
                let fates =
                    fates(&pieces(&file.pending, policy), policy, chosen.get(ino).map_or(&[], Vec::as_slice));
                count(file, &fates, &self.stats);
                let (image, gone) = image(file, &fates, policy, mix(self.seed, *ino));
                file.durable = image;
                strays.extend(gone);
            }
        }
        for stray in strays {
            if let Ok(file) = self.file_mut(stray.ino) {
                file.hit_by_stray(stray.offset, &stray.data);
                self.stats.hit(FaultKind::MisdirectedWrite);
            }
        }
        for node in self.nodes.values_mut() {
            let Node::File(file) = node else { continue };
            if !file.pending.is_empty()
                || file.diverged
                || file.names == 0
                || file.cache.len != file.durable.len
            {
                file.cache = file.durable.clone();
                file.pending.clear();
                file.diverged = false;
            }
        }
        self.come_up();
    }

    fn crash_names(&mut self, policy: &CrashPolicy, chosen: &BTreeMap<Ino, Vec<(Option<usize>, u32)>>) {
        let mut kept: BTreeMap<Ino, Vec<Kept>> = BTreeMap::new();
        let mut tied = BTreeSet::new();
        for (ino, node) in &self.nodes {
            let Node::Dir(dir) = node else { continue };
            let list = kept_names(dir, chosen.get(ino).map_or(&[], Vec::as_slice));
            for (change, kept) in dir.pending.iter().zip(&list) {
                if let NameChange::Set { tie: Some(tie), settled, .. } = change
                    && (*settled || *kept != Kept::Nothing)
                    && !policy.split_renames
                {
                    tied.insert(*tie);
                }
            }
            kept.insert(*ino, list);
        }
        self.count_split_renames(&kept, &tied);
        for (ino, node) in &mut self.nodes {
            let Node::Dir(dir) = node else { continue };
            for (change, kept) in dir.pending.iter().zip(kept.remove(ino).unwrap_or_default()) {
                let together = matches!(change, NameChange::Set { tie: Some(tie), .. } if tied.contains(tie));
                let kept = if together { Kept::All } else { kept };
                match kept {
                    Kept::All => {}
                    Kept::Nothing => self.stats.hit(FaultKind::NameLost),
                    Kept::NewName | Kept::OldGone => self.stats.hit(FaultKind::RenameSplit),
                }
                change.apply(&mut dir.durable, kept);
            }
            dir.cache = dir.durable.clone();
            dir.pending.clear();
            dir.diverged = false;
        }
    }

    /// Counts renames between directories of which one half is on the disk and the other is not.
    fn count_split_renames(&self, kept: &BTreeMap<Ino, Vec<Kept>>, tied: &BTreeSet<u64>) {
        let mut halves: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
        for (ino, node) in &self.nodes {
            let (Node::Dir(dir), Some(kept)) = (node, kept.get(ino)) else { continue };
            for (change, kept) in dir.pending.iter().zip(kept) {
                if let NameChange::Set { tie: Some(tie), settled, .. } = change
                    && !tied.contains(tie)
                {
                    let sides = halves.entry(*tie).or_default();
                    sides.push(*kept != Kept::Nothing);
                    sides.extend(settled.then_some(true));
                }
            }
        }
        for sides in halves.values().filter(|sides| sides.contains(&true) && sides.contains(&false)) {
            debug_assert!(sides.len() == 2, "a rename has two halves");
            self.stats.hit(FaultKind::RenameSplit);
        }
    }

    /// The machine runs again: no handles, no locks, and nothing but what the directories name.
    pub(super) fn come_up(&mut self) {
        self.epoch += 1;
        self.on = true;
        self.kill_at = None;
        let mut reached = BTreeMap::from([(ROOT, 1)]);
        let mut todo = vec![ROOT];
        while let Some(ino) = todo.pop() {
            let Some(Node::Dir(dir)) = self.nodes.get(&ino) else { continue };
            for child in dir.cache.values() {
                let names = reached.entry(*child).or_insert(0);
                *names += 1;
                if *names == 1 {
                    todo.push(*child);
                }
            }
        }
        // What only the disk still knows, or a pending change may bring back, stays: this may have been a process kill.
        for node in self.nodes.values() {
            let Node::Dir(dir) = node else { continue };
            let pending = dir.pending.iter().filter_map(NameChange::target);
            for ino in dir.durable.values().copied().chain(pending) {
                reached.entry(ino).or_insert(0);
            }
        }
        self.nodes.retain(|ino, _| reached.contains_key(ino));
        self.used = 0;
        for (ino, node) in &mut self.nodes {
            let names = reached.get(ino).copied().unwrap_or_default();
            match node {
                Node::Dir(dir) => dir.sync_failed_at = None,
                Node::File(file) => {
                    (file.names, file.open, file.locked, file.lock_shares) = (names, 0, false, 0);
                    (file.was_mapped, file.sync_failed_at, file.maps) = (false, None, Maps::default());
                    if names == 0 {
                        file.cache = Content::default();
                    }
                    self.used += file.cache.blocks();
                }
            }
        }
    }
}

fn kept_names(dir: &Dir, chosen: &[(Option<usize>, u32)]) -> Vec<Kept> {
    let mut out = vec![Kept::Nothing; dir.pending.len()];
    for (piece, choice) in chosen {
        match piece {
            None => out.iter_mut().take(*choice as usize).for_each(|kept| *kept = Kept::All),
            Some(i) => {
                if let Some(kept) = out.get_mut(*i) {
                    *kept = match choice {
                        0 => Kept::Nothing,
                        2 => Kept::NewName,
                        3 => Kept::OldGone,
                        _ => Kept::All,
                    };
                }
            }
        }
    }
    out
}
