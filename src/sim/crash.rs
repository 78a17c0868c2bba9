//! Power cuts: which changes were pending, which of them survive, and the disk that the machine finds afterwards.
//!
//! Each file and each directory has its list of changes since the last sync. A change is cut into *pieces* (sectors of a write,
//! the new length, a name); a *point* is a choice about one piece, or, where only first changes survive, about how many.
//! A random crash draws each choice, an exhaustive explorer counts them; both go the same way from there.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Content;
use super::dir::{Dir, Kept, NameChange};
use super::disk::{Disk, Node, ROOT};
use super::fault::{FaultKind, FaultStats};
use super::inode::{Change, Ino, Inode, Landing, Maps, Stray};
use super::policy::{CrashPolicy, Grain, LengthRule, LostAs, Order};
use super::rng::{Prng, mix};

/// A choice with this bit means: each byte by chance, drawn from the other bits.
const SCATTER: u32 = 1 << 31;

/// A part of a change that survives or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Place in the list of pending changes.
    change: usize,
    part: Part,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    /// Bytes of a write, counted from its start.
    Data { at: usize, len: usize },
    /// The length that a write made.
    Length,
    /// A change of length or an allocation.
    Other,
}

/// A choice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) ino: Ino,
    /// `None`: how many of the pieces, first ones first.
    pub(super) piece: Option<usize>,
    pub(super) options: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Kept,
    Zeros,
    Garbage,
    Front(usize),
    Back(usize),
    Scattered(u32),
}

fn cut_at(grain: Grain) -> Option<u64> {
    match grain {
        Grain::Whole => None,
        Grain::Page => Some(4096),
        Grain::Sector | Grain::Byte => Some(512),
    }
}

fn pieces(pending: &[Change], policy: &CrashPolicy) -> Vec<Piece> {
    let mut out = Vec::new();
    for (change, it) in pending.iter().enumerate() {
        let Change::Write { offset, data, grows, .. } = it else {
            out.push(Piece { change, part: Part::Other });
            continue;
        };
        let mut at = 0;
        while at < data.len() {
            let rest = data.len() - at;
            let len = cut_at(policy.grain).map_or(rest, |unit| {
                let to_border = unit - offset.saturating_add(at as u64) % unit;
                usize::try_from(to_border).unwrap_or(rest).min(rest)
            });
            out.push(Piece { change, part: Part::Data { at, len } });
            at += len;
        }
        if *grows && policy.length == LengthRule::Apart {
            out.push(Piece { change, part: Part::Length });
        }
    }
    out
}

/// How many steps a piece counts where the first changes survive.
fn weight(piece: &Piece, policy: &CrashPolicy) -> u32 {
    match piece.part {
        Part::Data { len, .. } if policy.grain == Grain::Byte => u32::try_from(len).unwrap_or(u32::MAX),
        _ => 1,
    }
}

fn options(piece: &Piece, policy: &CrashPolicy) -> u32 {
    let Part::Data { len, .. } = piece.part else { return 2 };
    let whole = 2 + u32::from(policy.lost_as >= LostAs::Zeros) + u32::from(policy.lost_as >= LostAs::Garbage);
    let tears = if policy.grain == Grain::Byte { 2 * len.saturating_sub(1) } else { 0 };
    whole.saturating_add(u32::try_from(tears).unwrap_or_default())
}

fn fate(piece: &Piece, policy: &CrashPolicy, choice: u32) -> Fate {
    if choice & SCATTER != 0 {
        return Fate::Scattered(choice);
    }
    let mut fates = vec![Fate::Lost, Fate::Kept];
    if policy.lost_as >= LostAs::Zeros {
        fates.push(Fate::Zeros);
    }
    if policy.lost_as >= LostAs::Garbage {
        fates.push(Fate::Garbage);
    }
    let choice = choice as usize;
    match (fates.get(choice), piece.part) {
        (Some(fate), _) => *fate,
        (None, Part::Data { len, .. }) if len > 1 => {
            let tear = choice - fates.len();
            if tear < len - 1 {
                Fate::Front(tear + 1)
            } else {
                Fate::Back((tear + 1 - (len - 1)).min(len - 1))
            }
        }
        _ => Fate::Kept,
    }
}

/// A drawn choice for a point.
pub(super) fn draw(point: &Point, policy: &CrashPolicy, rng: &mut Prng) -> u32 {
    let kept = policy.keep.hits(rng.next_u64());
    let any = |rng: &mut Prng, n: u32| u32::try_from(rng.below(u64::from(n))).unwrap_or_default();
    if point.piece.is_none() {
        return match policy.keep {
            super::Rate::NEVER => 0,
            super::Rate::ALWAYS => point.options.saturating_sub(1),
            _ => any(rng, point.options),
        };
    }
    if kept {
        return 1;
    }
    if point.options == 2 || policy.keep == super::Rate::NEVER || rng.one_in(2) {
        return 0;
    }
    if policy.grain == Grain::Byte && rng.one_in(4) {
        return SCATTER | any(rng, SCATTER);
    }
    any(rng, point.options)
}

/// The bytes of a data piece that reach the disk: runs of (start in the write, bytes).
fn survivors(data: &[u8], at: usize, len: usize, fate: Fate, seed: u64) -> Vec<(usize, Vec<u8>)> {
    let bytes = data.get(at..at + len).unwrap_or_default();
    match fate {
        Fate::Lost => Vec::new(),
        Fate::Kept => vec![(at, bytes.to_vec())],
        Fate::Zeros => vec![(at, vec![0; len])],
        Fate::Garbage => {
            let mut garbage = vec![0; len];
            Prng::new(mix(seed, at as u64)).fill(&mut garbage);
            vec![(at, garbage)]
        }
        Fate::Front(n) => vec![(at, bytes.get(..n).unwrap_or(bytes).to_vec())],
        Fate::Back(n) => {
            let from = len.saturating_sub(n);
            vec![(at + from, bytes.get(from..).unwrap_or_default().to_vec())]
        }
        Fate::Scattered(seed) => {
            let mut rng = Prng::new(u64::from(seed));
            let chosen = bytes.iter().enumerate().filter(|_| rng.one_in(2));
            chosen.map(|(i, byte)| (at + i, vec![*byte])).collect()
        }
    }
}

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

/// Counts what became of the changes of a file.
fn count(file: &Inode, pieces: &[(Piece, Fate)], stats: &FaultStats) {
    let n = file.pending.len();
    let (mut kept, mut all, mut length_kept) = (vec![0_usize; n], vec![0_usize; n], vec![false; n]);
    for (piece, fate) in pieces {
        let i = piece.change;
        match piece.part {
            Part::Data { .. } => {
                if let (Some(kept), Some(all)) = (kept.get_mut(i), all.get_mut(i)) {
                    // Counted in halves, so that a piece kept in part makes the whole one torn.
                    *all += 2;
                    *kept += match fate {
                        Fate::Kept => 2,
                        Fate::Lost => 0,
                        Fate::Zeros | Fate::Garbage => {
                            stats.hit(FaultKind::WriteGarbled);
                            0
                        }
                        Fate::Front(_) | Fate::Back(_) | Fate::Scattered(_) => 1,
                    };
                }
            }
            Part::Length | Part::Other if *fate == Fate::Lost => stats.hit(FaultKind::LengthLost),
            Part::Length => _ = length_kept.get_mut(i).map(|it| *it = true),
            Part::Other => {}
        }
    }
    let range = |change: &Change| match change {
        Change::Write { offset, data, .. } => Some((*offset, offset.saturating_add(data.len() as u64))),
        _ => None,
    };
    let (mut lost_before, mut kept_ranges) = (false, Vec::new());
    for (((change, kept), all), length_kept) in file.pending.iter().zip(kept).zip(all).zip(length_kept) {
        let Some((from, to)) = range(change) else { continue };
        if kept < all {
            stats.hit(if kept == 0 { FaultKind::WriteLost } else { FaultKind::WriteTorn });
            if length_kept {
                stats.hit(FaultKind::LengthAhead);
            }
            if kept_ranges.iter().any(|(a, b)| *a < to && from < *b) {
                stats.hit(FaultKind::IntermediateKept);
            }
        }
        if kept > 0 && lost_before {
            stats.hit(FaultKind::WriteReordered);
        }
        lost_before |= kept < all;
        if kept > 0 && kept_ranges.len() < 64 {
            kept_ranges.push((from, to));
        }
    }
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
                    (file.names, file.open, file.locked) = (names, 0, false);
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

fn fates(pieces: &[Piece], policy: &CrashPolicy, chosen: &[(Option<usize>, u32)]) -> Vec<(Piece, Fate)> {
    let mut out: Vec<(Piece, Fate)> = pieces.iter().map(|piece| (*piece, Fate::Lost)).collect();
    for (which, choice) in chosen {
        match which {
            Some(i) => {
                if let Some((piece, it)) = out.get_mut(*i) {
                    *it = fate(piece, policy, *choice);
                }
            }
            None => {
                let mut left = *choice;
                for (piece, it) in &mut out {
                    let weight = weight(piece, policy);
                    if left == 0 {
                        break;
                    }
                    *it = if left >= weight { Fate::Kept } else { Fate::Front(left as usize) };
                    left = left.saturating_sub(weight);
                }
            }
        }
    }
    out
}
