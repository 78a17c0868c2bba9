//! What happens around every call: is the machine on, what number has the call, which fault meets it, does the power go.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::disk::Disk;
use super::fault::{FaultKind, Rate};
use super::rng::mix;
use super::trace::{Op, TraceEntry};
use super::violation::{Violation, ViolationKind};

/// The error of every call after the simulated machine went off, and of every handle from before a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the simulated machine is off")]
pub struct MachineOff;

/// Whether an error says that the simulated machine is off.
#[must_use]
pub fn is_machine_off(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<MachineOff>())
}

/// A fault for certain calls: the calls of kind `ops` (all if empty) whose path contains `path`, after the first `skip` of them,
/// `count` times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Kinds of call; empty means all.
    pub ops: Vec<Op>,
    /// Part of the path; empty means any.
    pub path: String,
    /// So many matching calls go well first.
    pub skip: u32,
    /// So many are hit then.
    pub count: u32,
    /// By this.
    pub fault: FaultKind,
}

/// When the machine goes off by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KillAt {
    /// In the call of that number.
    Call(u64),
    /// In the call of that number, counting only calls for which [`Op::changes`].
    Change(u64),
    /// In the call of that number, counting only syncs of files and directories: then most is pending.
    Sync(u64),
}

/// How a call is cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It takes effect and is not answered. A sync is in flight: it took no effect.
    Unanswered,
    /// By chance it takes effect, partly or not at all.
    Drawn(u64),
}

/// A call under way.
pub(super) struct Turn {
    pub(super) n: u64,
    pub(super) op: Op,
    pub(super) path: Arc<str>,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) crc: u32,
    pub(super) fault: Option<(FaultKind, u64)>,
    pub(super) cut: Option<Cut>,
}

impl Turn {
    pub(super) fn new(op: Op, path: &Arc<str>, offset: u64, len: u64) -> Self {
        Self { n: 0, op, path: Arc::clone(path), offset, len, crc: 0, fault: None, cut: None }
    }

    /// The draw of this fault, if it is the one that meets this call.
    pub(super) fn met_by(&self, kind: FaultKind) -> Option<u64> {
        self.fault.filter(|(fault, _)| *fault == kind).map(|(_, draw)| draw)
    }
}

/// The faults that can meet a call.
const fn kinds(op: Op) -> &'static [FaultKind] {
    use FaultKind as F;
    match op {
        Op::Read => &[F::ReadError, F::ShortRead, F::Interrupted, F::MisdirectedRead, F::BitRot, F::Evict],
        Op::Map => &[F::ReadError, F::BitRot, F::Evict],
        Op::Write => &[
            F::WriteError,
            F::ShortWrite,
            F::Interrupted,
            F::NoSpace,
            F::MisdirectedWrite,
            F::LostWrite,
            F::BufferFlip,
        ],
        Op::Allocate => &[F::WriteError, F::NoSpace],
        Op::SetLen => &[F::WriteError],
        Op::Sync | Op::SyncDir => &[F::SyncError],
        Op::Create | Op::MakeDir | Op::Link | Op::Lock => &[F::NameError, F::NoSpace],
        Op::Open | Op::Rename | Op::Remove | Op::ReadDir | Op::Exists => &[F::NameError],
        Op::Canonical | Op::FreeSpace | Op::Len | Op::LinkCount => &[F::MetaError],
    }
}

/// The calls that a fault can meet.
pub(super) fn meeting(fault: FaultKind) -> Vec<Op> {
    Op::ALL.iter().copied().filter(|op| kinds(*op).contains(&fault)).collect()
}

impl Disk {
    /// Runs one call: everything that reaches the simulated disk goes through here.
    pub(super) fn call<R>(
        &mut self,
        epoch: u64,
        mut turn: Turn,
        body: impl FnOnce(&mut Self, &mut Turn) -> io::Result<R>,
    ) -> io::Result<R> {
        if !self.on || self.epoch != epoch {
            return Err(io::Error::other(MachineOff));
        }
        self.calls += 1;
        self.changes += u64::from(turn.op.changes());
        self.syncs += u64::from(turn.op.syncs());
        turn.n = self.calls;
        self.pass_time(&turn);
        turn.cut = self.cut(&turn);
        turn.fault = self.fault(&turn);
        let mut result = self.faulty(&mut turn, body);
        if let (Err(_), Some((kind, _))) = (&result, turn.fault) {
            self.stats.failed(turn.op, kind);
        }
        if turn.cut.is_some() {
            self.stats.hit(FaultKind::Kill);
            self.on = false;
            result = Err(io::Error::other(MachineOff));
        }
        self.trace.push(TraceEntry {
            n: turn.n,
            op: turn.op,
            path: turn.path,
            offset: turn.offset,
            len: turn.len,
            crc: turn.crc,
            fault: turn.fault.map(|(kind, _)| kind),
            error: result.as_ref().err().map(io::Error::kind),
        });
        result
    }

    fn faulty<R>(
        &mut self,
        turn: &mut Turn,
        body: impl FnOnce(&mut Self, &mut Turn) -> io::Result<R>,
    ) -> io::Result<R> {
        match (turn.cut, turn.op) {
            // A sync that was cut short: what was pending may or may not be there after a power cut.
            (Some(_), Op::Sync | Op::SyncDir) => return Err(io::Error::other(MachineOff)),
            (Some(Cut::Drawn(draw)), _) if draw % 3 == 0 => return Err(io::Error::other(MachineOff)),
            _ => {}
        }
        let Some((kind, draw)) = turn.fault else { return body(self, turn) };
        let errno = match kind {
            FaultKind::ReadError | FaultKind::MetaError => Errno::IO,
            FaultKind::WriteError if turn.op != Op::Write => Errno::IO,
            FaultKind::Interrupted => Errno::INTR,
            FaultKind::NoSpace => Errno::NOSPC,
            FaultKind::NameError => {
                self.stats.hit(kind);
                // An error does not mean that nothing happened.
                if draw % 4 == 0 {
                    body(self, turn)?;
                }
                return Err(Errno::IO.into());
            }
            _ => return body(self, turn),
        };
        self.stats.hit(kind);
        Err(errno.into())
    }

    fn pass_time(&mut self, turn: &Turn) {
        let Some(clock) = &self.clock else { return };
        let mut us = self.latency_us;
        if let Some(draw) = self.roll(FaultKind::Stall, turn.n) {
            self.stats.hit(FaultKind::Stall);
            us = us.saturating_add(draw % self.faults.stall_us_max.max(1));
        }
        us = us.saturating_add(self.skew(turn));
        clock.advance_us(us);
    }

    /// What calls of this kind about this file always take longer, µs: from a tenth of a millisecond to a tenth of a second.
    fn skew(&self, turn: &Turn) -> u64 {
        let rate = self.faults.rate(FaultKind::Skew);
        if rate == Rate::NEVER {
            return 0;
        }
        let pair = u64::from(crc32fast::hash(turn.path.as_bytes())) << 8 | turn.op as u64;
        let draw = mix(self.seed ^ 0x736b_6577, pair);
        if !rate.hits(draw) {
            return 0;
        }
        self.stats.hit(FaultKind::Skew);
        100_u64 << (mix(draw, 1) % 11)
    }

    fn cut(&mut self, turn: &Turn) -> Option<Cut> {
        match self.kill_at {
            Some(KillAt::Call(n)) if self.calls >= n => Some(Cut::Unanswered),
            Some(KillAt::Change(n)) if turn.op.changes() && self.changes >= n => Some(Cut::Unanswered),
            Some(KillAt::Sync(n)) if turn.op.syncs() && self.syncs >= n => Some(Cut::Unanswered),
            _ => self.roll(FaultKind::Kill, turn.n).map(Cut::Drawn),
        }
    }

    fn fault(&mut self, turn: &Turn) -> Option<(FaultKind, u64)> {
        let draw = |kind: FaultKind| mix(self.seed ^ 0x6661_756c, turn.n << 8 | kind as u64);
        if let Some(kind) = self.forced.remove(&turn.n) {
            return Some((kind, draw(kind)));
        }
        for rule in &mut self.rules {
            let matches =
                (rule.ops.is_empty() || rule.ops.contains(&turn.op)) && turn.path.contains(&rule.path);
            if matches && rule.skip > 0 {
                rule.skip -= 1;
            } else if matches && rule.count > 0 {
                rule.count -= 1;
                return Some((rule.fault, draw(rule.fault)));
            }
        }
        kinds(turn.op).iter().find_map(|kind| Some((*kind, self.roll(*kind, turn.n)?)))
    }

    /// Whether a fault of this kind meets call `n`, and a number to draw its details from. Independent of every other draw.
    fn roll(&self, kind: FaultKind, n: u64) -> Option<u64> {
        let rate = self.faults.rate(kind);
        if rate == Rate::NEVER {
            return None;
        }
        let draw = mix(self.seed, n << 8 | kind as u64);
        rate.hits(draw).then(|| mix(draw, 1))
    }

    pub(super) fn violate(&mut self, kind: ViolationKind, turn: &Turn) {
        let violation = Violation { kind, n: turn.n, path: Arc::clone(&turn.path) };
        assert!(!self.panic_on_violation, "{violation}");
        self.violations.push(violation);
    }
}
