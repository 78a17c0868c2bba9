//! Pieces of pending changes, the ways each may survive, and how a choice is read or drawn.

use super::fault::Rate;
use super::inode::{Change, Ino};
use super::policy::{CrashPolicy, Grain, LengthRule, LostAs};
use super::rng::{Prng, mix};

/// A choice with this bit means: each byte by chance, drawn from the other bits.
const SCATTER: u32 = 1 << 31;

/// A part of a change that survives or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    /// Place in the list of pending changes.
    pub(super) change: usize,
    pub(super) part: Part,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
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
pub(super) enum Fate {
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

pub(super) fn pieces(pending: &[Change], policy: &CrashPolicy) -> Vec<Piece> {
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
pub(super) fn weight(piece: &Piece, policy: &CrashPolicy) -> u32 {
    match piece.part {
        Part::Data { len, .. } if policy.grain == Grain::Byte => u32::try_from(len).unwrap_or(u32::MAX),
        _ => 1,
    }
}

pub(super) fn options(piece: &Piece, policy: &CrashPolicy) -> u32 {
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
            Rate::NEVER => 0,
            Rate::ALWAYS => point.options.saturating_sub(1),
            _ => any(rng, point.options),
        };
    }
    if kept {
        return 1;
    }
    if point.options == 2 || policy.keep == Rate::NEVER || rng.one_in(2) {
        return 0;
    }
    if policy.grain == Grain::Byte && rng.one_in(4) {
        return SCATTER | any(rng, SCATTER);
    }
    any(rng, point.options)
}

/// The bytes of a data piece that reach the disk: runs of (start in the write, bytes).
pub(super) fn survivors(data: &[u8], at: usize, len: usize, fate: Fate, seed: u64) -> Vec<(usize, Vec<u8>)> {
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

pub(super) fn fates(
    pieces: &[Piece],
    policy: &CrashPolicy,
    chosen: &[(Option<usize>, u32)],
) -> Vec<(Piece, Fate)> {
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
