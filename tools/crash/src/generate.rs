//! From a seed to a script.

mod edits;

use std::collections::BTreeMap;

use recension::sim::{CrashPolicy, FaultKind, Prng};

use crate::script::{
    At, By, Crash, CrashKind, ENTITIES, Edit, End, Op, Options, Put, Round, Script, Sharing, Target, Write,
};

/// How many kinds of operation are drawn.
const WEIGHTS: usize = 30;

/// What kind of trouble a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    /// Crashes only.
    Crashes,
    /// Also what correct work never notices.
    Harmless,
    /// Also errors that say that they happened.
    Errors,
    /// Also a disk that is too small.
    Full,
    /// Also damage that nobody is told of.
    Silent,
}

/// What a run is about apart from trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Any,
    /// Sealing what was never synced: crashes come in syncs.
    Sealing,
    /// Many small flushes and compactions, so that tables go down to level 2 and packs are merged.
    Levels,
    /// The log grows faster than packing follows.
    Burst,
    /// Memtables fill faster than they are flushed: no background job runs that no writer waits for.
    Flood,
}

/// The script of a seed.
pub fn generate(seed: u64) -> Script {
    let mut rng = Prng::new(seed ^ 0x6372_6173_6800);
    let profile = match rng.below(16) {
        0..6 => Profile::Crashes,
        6..10 => Profile::Harmless,
        10..13 => Profile::Errors,
        13..15 => Profile::Full,
        _ => Profile::Silent,
    };
    let mut faults = Vec::new();
    let mut draw = |kinds: &[FaultKind], rates: &[u32], rng: &mut Prng| {
        for kind in kinds {
            if rng.one_in(2) {
                faults.push((*kind, *rng.pick(rates).unwrap_or(&500)));
            }
        }
    };
    if profile != Profile::Crashes {
        draw(FaultKind::HARMLESS, &[5, 20, 100], &mut rng);
    }
    match profile {
        Profile::Errors => draw(FaultKind::ERRORS, &[100, 300, 1000, 3000], &mut rng),
        Profile::Full => draw(&[FaultKind::NoSpace], &[50, 300], &mut rng),
        Profile::Silent => draw(FaultKind::SILENT, &[30, 100, 500], &mut rng),
        _ => {}
    }
    if rng.one_in(6) {
        faults.push((FaultKind::Kill, *rng.pick(&[200, 1000]).unwrap_or(&500)));
    }
    let clock = match rng.below(6) {
        0 => (20, 10_000_000_000),
        1 => (50, 5_000_000),
        _ => (0, 0),
    };
    let shape = match rng.below(12) {
        0 if profile == Profile::Crashes => Shape::Sealing,
        1 if profile != Profile::Silent => Shape::Levels,
        2 if profile != Profile::Silent => Shape::Burst,
        3 if profile != Profile::Silent && rng.one_in(2) => Shape::Flood,
        _ => Shape::Any,
    };
    let mut options = Options {
        promise_us: *rng.pick(&[50_000, 1_000, 100]).unwrap_or(&50_000),
        map: rng.one_in(3) && profile != Profile::Errors,
        size: *rng.pick(&[0, 0, 1, 2, 2]).unwrap_or(&0),
        jobs: rng.below(4) as u8,
    };
    match shape {
        Shape::Any => {}
        Shape::Sealing => (options.size, options.jobs, options.promise_us) = (3, 3, 50_000),
        Shape::Levels => (options.size, options.jobs) = (2, 3),
        Shape::Burst => (options.size, options.jobs) = (2, 4),
        Shape::Flood => (options.size, options.jobs) = (2, 0),
    }
    let mut maker = Maker::new(&mut rng, profile, shape);
    let creation = match maker.rng.below(8) {
        // A process that ends before the machine does, each when a manifest is nearly made.
        1 => {
            let power = CrashKind::Power(CrashPolicy::draw(maker.rng));
            let mut at = || Some(At::Change(maker.rng.below(6) + 5));
            vec![Crash { at: at(), kind: CrashKind::Process }, Crash { at: at(), kind: power }]
        }
        0 => (0..maker.rng.below(3) + 1)
            .map(|n| {
                let mut crash = maker.crash(18);
                // A process that ends before the machine does leaves most.
                if n == 0 && maker.rng.one_in(2) {
                    crash.kind = CrashKind::Process;
                }
                crash
            })
            .collect(),
        _ => Vec::new(),
    };
    let rounds = maker.rng.below(4) + 1;
    let rounds = (0..rounds).map(|_| maker.round()).collect();
    Script { seed, options, faults, clock, creation, rounds }
}

struct Maker<'a> {
    rng: &'a mut Prng,
    profile: Profile,
    /// How many entities take part.
    entities: u8,
    /// How likely each kind of operation is.
    weights: [u64; WEIGHTS],
    next_content: u32,
    next_request: u8,
    buffered: u64,
    large: u64,
    /// What comes next, whatever is drawn, last one first.
    next: Vec<Op>,
    /// The content that each entity was last given.
    last: BTreeMap<u8, Put>,
    shape: Shape,
}

impl<'a> Maker<'a> {
    fn new(rng: &'a mut Prng, profile: Profile, shape: Shape) -> Self {
        let entities = *rng.pick(&[2, 5, 12, ENTITIES]).unwrap_or(&5);
        let mut weights: [u64; WEIGHTS] =
            [40, 20, 4, 6, 6, 6, 2, 3, 2, 1, 1, 8, 4, 1, 1, 6, 2, 3, 3, 1, 3, 2, 4, 1, 1, 1, 2, 1, 2, 4];
        // A swarm: each kind of operation is left out, usual or frequent.
        for weight in weights.iter_mut().skip(1) {
            *weight *= *rng.pick(&[0, 1, 1, 3]).unwrap_or(&1);
        }
        if profile == Profile::Errors {
            weights[28] *= 2;
        }
        if !matches!(profile, Profile::Errors | Profile::Silent) {
            weights[21] = 0;
        }
        match shape {
            Shape::Any => {}
            // Little that syncs: what is sealed was not durable before.
            Shape::Sealing => (weights[7], weights[10], weights[14]) = (0, 0, 0),
            Shape::Levels => (weights[8], weights[9], weights[11], weights[19]) = (8, 6, 8, 4),
            Shape::Burst => (weights[0], weights[11], weights[12]) = (80, 0, 0),
            Shape::Flood => {
                weights = [0; WEIGHTS];
                (weights[0], weights[1], weights[15], weights[22]) = (80, 20, 4, 1);
            }
        }
        let mut maker = Self { shape, ..Self::with(rng, profile, entities, weights) };
        match shape {
            Shape::Sealing => maker.buffered = 100,
            Shape::Burst => (maker.buffered, maker.large) = (60, 10),
            Shape::Flood => (maker.buffered, maker.large) = (100, 60),
            _ => {}
        }
        maker
    }

    fn with(rng: &'a mut Prng, profile: Profile, entities: u8, weights: [u64; WEIGHTS]) -> Self {
        let buffered = *rng.pick(&[0, 20, 60, 100]).unwrap_or(&20);
        let large = *rng.pick(&[0, 0, 2, 10]).unwrap_or(&0);
        Self {
            rng,
            profile,
            entities,
            weights,
            next_content: 1,
            next_request: 0,
            buffered,
            large,
            next: Vec::new(),
            last: BTreeMap::new(),
            shape: Shape::Any,
        }
    }

    fn round(&mut self) -> Round {
        let (n, within) = match self.shape {
            Shape::Levels | Shape::Burst | Shape::Flood => (60, 600),
            _ => (*self.rng.pick(&[3, 10, 25, 45]).unwrap_or(&10), 100),
        };
        let n = self.rng.below(n) + 1;
        let ops = (0..n).map(|_| self.op()).collect();
        let end = match self.rng.below(12) {
            0 => End::Clean,
            1 => End::Drop,
            _ => End::Crash(self.crash(within)),
        };
        let depth = *self.rng.pick(&[0, 0, 0, 1, 2, 3, 4]).unwrap_or(&0);
        let nested = (0..depth).map(|_| self.crash(24)).collect();
        Round { ops, end, nested }
    }

    fn crash(&mut self, within: u64) -> Crash {
        let at = match self.rng.below(6) {
            _ if self.shape == Shape::Sealing => Some(At::Sync(self.rng.below(10) + 1)),
            0 => None,
            1..3 => Some(At::Sync(self.rng.below(within / 6) + 1)),
            _ => Some(At::Change(self.rng.below(within) + 1)),
        };
        let kind = match self.rng.below(4) {
            0 => CrashKind::Process,
            _ => CrashKind::Power(CrashPolicy::draw(self.rng)),
        };
        Crash { at, kind }
    }

    fn op(&mut self) -> Op {
        if let Some(op) = self.next.pop() {
            return op;
        }
        let total: u64 = self.weights.iter().sum();
        let mut at = self.rng.below(total);
        let mut which = 0;
        for (i, weight) in self.weights.iter().enumerate() {
            if at < *weight {
                which = i;
                break;
            }
            at -= weight;
        }
        match which {
            0 => Op::Commit(self.write()),
            1 => Op::Submit(self.write()),
            2 => Op::Retry(self.rng.below(u64::from(self.next_request.max(1))) as u8),
            3 => {
                let reads = self.rng.below(3);
                let writes = self.rng.below(3) + 1;
                Op::Transaction {
                    reads: (0..reads).map(|_| self.entity()).collect(),
                    writes: (0..writes).map(|_| self.plain()).collect(),
                    between: self.rng.one_in(3).then(|| self.plain()),
                    sync: !self.is_buffered(),
                }
            }
            4 => Op::WaitAll,
            5 => Op::WaitOne,
            6 => Op::DropOne,
            7 => Op::Sync,
            8 => self.aimed(Op::Flush),
            9 => self.compact(),
            10 => {
                if self.rng.one_in(3) {
                    // What is forgotten after it was made, and then it is brought back.
                    let (entity, back) = (self.entity(), self.rng.below(3) as u8);
                    let erasing = match self.rng.one_in(2) {
                        true => Op::Forget { entity, back, fields: 1 },
                        false => self.erasing(),
                    };
                    let edit = Edit { entity, ..self.plain() };
                    let newer =
                        Op::Commit(Write { edits: vec![edit], sync: true, request: None, run: false });
                    self.next = vec![Op::Restore, erasing, newer];
                    if self.rng.one_in(2) {
                        // It is the first thing behind the checkpoint.
                        self.next.swap(1, 2);
                    }
                }
                Op::Checkpoint
            }
            11 => Op::Jobs(self.rng.below(6) as u8 + 1),
            12 => Op::Advance(*self.rng.pick(&[1_000, 60_000, 600_000]).unwrap_or(&1000)),
            13 => {
                Op::ClockJump(*self.rng.pick(&[-10_000_000_000, -1, 1_000_000, 7_200_000_000]).unwrap_or(&-1))
            }
            14 => Op::Reopen,
            15 => Op::Read(self.entity()),
            16 => Op::Verify,
            17 => Op::Hold,
            18 => Op::Feed(self.rng.below(8) as u8),
            20 => Op::Rot(self.target()),
            21 => self.fault(),
            22 => self.erasing(),
            23 => Op::ForgetAll {
                like: self.entity(),
                by: *self.rng.pick(&[By::Author, By::Digest]).unwrap_or(&By::Author),
                fields: *self.rng.pick(&[1, 4, 5, 15]).unwrap_or(&1),
                sharing: *self
                    .rng
                    .pick(&[Sharing::Refuse, Sharing::Include, Sharing::Leave])
                    .unwrap_or(&Sharing::Leave),
            },
            24 => Op::Retain {
                keep: self.rng.below(4) as u8,
                back: self.rng.below(12) as u8,
                fields: *self.rng.pick(&[1, 1, 15]).unwrap_or(&1),
            },
            25 => Op::Purge { entity: self.entity(), expect: self.want() },
            26 => Op::Follow(self.rng.below(8) as u8),
            27 => Op::Stray,
            28 => self.reclaim(),
            29 => {
                let sync = self.rng.one_in(2);
                let mut write = |sync| Write { edits: vec![self.plain()], sync, request: None, run: false };
                let (first, other) = (write(true), write(sync));
                Op::During { first, other }
            }
            _ => match self.rng.below(7) {
                4 => Op::Anew,
                6 => Op::Restore,
                0 => Op::Evict,
                1 if self.profile == Profile::Full => Op::Room(None),
                2 => Op::ReadOnly,
                3 => Op::Rebuild,
                _ if self.profile == Profile::Full => Op::Room(Some(self.rng.below(16) * 4096)),
                _ => Op::Verify,
            },
        }
    }

    fn erasing(&mut self) -> Op {
        Op::Forget {
            entity: self.entity(),
            back: self.rng.below(3) as u8,
            fields: *self.rng.pick(&[1, 1, 4, 15, 3]).unwrap_or(&1)
                | *self.rng.pick(&[0, 0, 16, 32]).unwrap_or(&0)
                | *self.rng.pick(&[0, 0, 64]).unwrap_or(&0),
        }
    }

    fn compact(&mut self) -> Op {
        let stop = self.rng.one_in(3).then(|| self.rng.below(10) as u8 + 1);
        // A full one leaves one level: rarely where levels are wanted.
        let full = self.rng.one_in(if self.shape == Shape::Levels { 6 } else { 2 });
        if stop.is_some() && self.rng.one_in(2) {
            // What was half done is looked at as a rebuild finds it.
            self.next = vec![Op::Rebuild];
        }
        self.aimed(Op::Compact { full, stop })
    }

    /// Now and then the machine goes off in the middle of it.
    fn aimed(&mut self, op: Op) -> Op {
        if !self.rng.one_in(8) {
            return op;
        }
        self.next.push(op);
        Op::Aim(match self.rng.one_in(2) {
            true => At::Sync(self.rng.below(8) + 1),
            false => At::Change(self.rng.below(30) + 1),
        })
    }

    fn reclaim(&mut self) -> Op {
        let reclaim = Op::Reclaim { stop: self.rng.one_in(4).then(|| self.rng.below(6) as u8 + 1) };
        if !self.rng.one_in(if self.profile == Profile::Errors { 1 } else { 3 }) {
            return reclaim;
        }
        // Something in a pack is forgotten, and what is to be written anew for it cannot be read, or its edit not be written, or the power goes.
        let (entity, back) = (self.entity(), self.rng.below(3) as u8);
        let forget = Op::Forget { entity, back, fields: *self.rng.pick(&[1, 15]).unwrap_or(&1) };
        let trouble = match self.profile {
            Profile::Errors if self.rng.one_in(3) => {
                let kind = *self
                    .rng
                    .pick(&[FaultKind::SyncError, FaultKind::WriteError])
                    .unwrap_or(&FaultKind::SyncError);
                Op::Fault { kind, on: Target::Manifest, skip: self.rng.below(3) as u8 }
            }
            Profile::Errors => {
                let on =
                    *self.rng.pick(&[Target::Pack, Target::Pack, Target::Segment]).unwrap_or(&Target::Pack);
                Op::Fault { kind: FaultKind::ReadError, on, skip: self.rng.below(8) as u8 }
            }
            _ if self.rng.one_in(2) => Op::Aim(At::Sync(self.rng.below(8) + 1)),
            _ => Op::Aim(At::Change(self.rng.below(30) + 1)),
        };
        self.next = vec![Op::Reclaim { stop: None }, trouble, forget];
        Op::Compact { full: true, stop: None }
    }

    fn target(&mut self) -> Target {
        *self.rng.pick(Target::ALL).unwrap_or(&Target::Any)
    }

    /// A fault where it is met: mostly right before maintenance.
    fn fault(&mut self) -> Op {
        if self.profile == Profile::Errors && self.rng.one_in(4) {
            // An input of a merge that cannot be read.
            self.next = vec![Op::Compact { full: true, stop: None }];
            let on = *self.rng.pick(&[Target::Table, Target::Notes]).unwrap_or(&Target::Table);
            return Op::Fault { kind: FaultKind::ReadError, on, skip: self.rng.below(4) as u8 };
        }
        if self.profile == Profile::Errors && self.rng.one_in(12) {
            // A directory above a checkpoint that cannot be synced, and a checkpoint after that.
            self.next = vec![Op::Checkpoint, Op::Checkpoint];
            return Op::Fault {
                kind: FaultKind::SyncError,
                on: Target::Copies,
                skip: self.rng.below(2) as u8,
            };
        }
        let kinds = if self.profile == Profile::Silent { FaultKind::SILENT } else { FaultKind::ERRORS };
        let kind = *self.rng.pick(kinds).unwrap_or(&FaultKind::ReadError);
        let skip = *self.rng.pick(&[0, 1, 3, 10]).unwrap_or(&0);
        self.next = match self.rng.below(6) {
            0..2 => vec![Op::Compact { full: true, stop: None }],
            2 => vec![Op::Flush],
            3 => vec![Op::Reopen],
            _ => Vec::new(),
        };
        Op::Fault { kind, on: self.target(), skip: self.rng.below(skip + 1) as u8 }
    }
}
