//! From a seed to a script.

use std::collections::BTreeMap;

use recension::sim::{CrashPolicy, FaultKind, Prng};

use crate::script::{
    At, Crash, CrashKind, ENTITIES, Edit, End, Op, Options, Put, Round, Script, Target, Want, What, Write,
};

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
    // Now and then all about sealing what was never synced.
    let sealing = profile == Profile::Crashes && rng.one_in(5);
    let mut options = Options {
        promise_us: *rng.pick(&[50_000, 1_000, 100]).unwrap_or(&50_000),
        map: rng.one_in(3) && profile != Profile::Errors,
        size: *rng.pick(&[0, 0, 1, 2, 2]).unwrap_or(&0),
        jobs: rng.below(4) as u8,
    };
    if sealing {
        (options.size, options.jobs, options.promise_us) = (3, 3, 50_000);
    }
    let mut maker = Maker::new(&mut rng, profile, sealing);
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
    weights: [u64; 23],
    next_content: u32,
    next_request: u8,
    buffered: u64,
    large: u64,
    /// What comes next, whatever is drawn.
    next: Option<Op>,
    /// The content that each entity was last given.
    last: BTreeMap<u8, Put>,
    /// Crashes come in syncs.
    sealing: bool,
}

impl<'a> Maker<'a> {
    fn new(rng: &'a mut Prng, profile: Profile, sealing: bool) -> Self {
        let entities = *rng.pick(&[2, 5, 12, ENTITIES]).unwrap_or(&5);
        let mut weights = [40, 20, 4, 6, 6, 6, 2, 3, 2, 1, 1, 8, 4, 1, 1, 6, 2, 3, 3, 1, 3, 2, 4];
        // A swarm: each kind of operation is left out, usual or frequent.
        for weight in weights.iter_mut().skip(1) {
            *weight *= *rng.pick(&[0, 1, 1, 3]).unwrap_or(&1);
        }
        if !matches!(profile, Profile::Errors | Profile::Silent) {
            weights[21] = 0;
        }
        if sealing {
            // Little that syncs: what is sealed was not durable before.
            (weights[7], weights[10], weights[14]) = (0, 0, 0);
            return Self { buffered: 100, sealing, ..Self::with(rng, profile, entities, weights) };
        }
        Self::with(rng, profile, entities, weights)
    }

    fn with(rng: &'a mut Prng, profile: Profile, entities: u8, weights: [u64; 23]) -> Self {
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
            next: None,
            last: BTreeMap::new(),
            sealing: false,
        }
    }

    fn round(&mut self) -> Round {
        let n = *self.rng.pick(&[3, 10, 25, 45]).unwrap_or(&10);
        let n = self.rng.below(n) + 1;
        let ops = (0..n).map(|_| self.op()).collect();
        let end = match self.rng.below(12) {
            0 => End::Clean,
            1 => End::Drop,
            _ => End::Crash(self.crash(100)),
        };
        let depth = *self.rng.pick(&[0, 0, 0, 1, 2, 3, 4]).unwrap_or(&0);
        let nested = (0..depth).map(|_| self.crash(24)).collect();
        Round { ops, end, nested }
    }

    fn crash(&mut self, within: u64) -> Crash {
        let at = match self.rng.below(6) {
            _ if self.sealing => Some(At::Sync(self.rng.below(10) + 1)),
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
        if let Some(op) = self.next.take() {
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
            8 => Op::Flush,
            9 => self.compact(),
            10 => Op::Checkpoint,
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
            22 => Op::Forget {
                entity: self.entity(),
                back: self.rng.below(3) as u8,
                fields: *self.rng.pick(&[1, 1, 4, 15, 3]).unwrap_or(&1),
            },
            _ => match self.rng.below(5) {
                0 => Op::Evict,
                1 if self.profile == Profile::Full => Op::Room(None),
                2 => Op::ReadOnly,
                3 => Op::Rebuild,
                _ if self.profile == Profile::Full => Op::Room(Some(self.rng.below(16) * 4096)),
                _ => Op::Verify,
            },
        }
    }

    fn compact(&mut self) -> Op {
        let stop = self.rng.one_in(3).then(|| self.rng.below(5) as u8 + 1);
        Op::Compact { full: self.rng.one_in(2), stop }
    }

    fn target(&mut self) -> Target {
        *self.rng.pick(Target::ALL).unwrap_or(&Target::Any)
    }

    /// A fault where it is met: mostly right before maintenance.
    fn fault(&mut self) -> Op {
        if self.profile == Profile::Errors && self.rng.one_in(4) {
            // An input of a merge that cannot be read.
            self.next = Some(Op::Compact { full: true, stop: None });
            let on = *self.rng.pick(&[Target::Table, Target::Notes]).unwrap_or(&Target::Table);
            return Op::Fault { kind: FaultKind::ReadError, on, skip: self.rng.below(4) as u8 };
        }
        let kinds = if self.profile == Profile::Silent { FaultKind::SILENT } else { FaultKind::ERRORS };
        let kind = *self.rng.pick(kinds).unwrap_or(&FaultKind::ReadError);
        let skip = *self.rng.pick(&[0, 1, 3, 10]).unwrap_or(&0);
        self.next = match self.rng.below(6) {
            0..2 => Some(Op::Compact { full: true, stop: None }),
            2 => Some(Op::Flush),
            3 => Some(Op::Reopen),
            _ => None,
        };
        Op::Fault { kind, on: self.target(), skip: self.rng.below(skip + 1) as u8 }
    }

    fn is_buffered(&mut self) -> bool {
        self.rng.below(100) < self.buffered
    }

    fn entity(&mut self) -> u8 {
        self.rng.below(u64::from(self.entities)) as u8
    }

    fn write(&mut self) -> Write {
        let n = if self.rng.one_in(5) { self.rng.below(6) + 2 } else { 1 };
        let run = n > 1 && self.rng.one_in(4);
        let request = !run && self.rng.one_in(8) && self.next_request < 250;
        let edits = (0..n)
            .map(|_| match self.rng.below(20) {
                _ if request => self.plain(),
                0 => Edit { entity: self.entity(), expect: self.want(), what: What::Require },
                1..3 => self.note(),
                _ => self.edit(),
            })
            .collect();
        let request = request.then(|| {
            self.next_request += 1;
            self.next_request - 1
        });
        Write { edits, sync: !self.is_buffered(), request, run }
    }

    fn note(&mut self) -> Edit {
        let (back, open) = (self.rng.below(4) as u8, self.rng.one_in(3));
        let fields = *self.rng.pick(&[1, 2, 4, 8, 15, 5]).unwrap_or(&1);
        let what = match self.rng.below(3) {
            0 => What::Show { back, open, fields },
            _ => What::Hide { back, open, fields },
        };
        let entity = self.entity();
        if let Some(put) = self.last.get(&entity)
            && self.rng.one_in(4)
        {
            // What was just hidden, once more.
            let what = What::Put(Put { if_changed: true, gap: 0, ..put.clone() });
            let edits = vec![Edit { entity, expect: Want::Any, what }];
            self.next = Some(Op::Commit(Write { edits, sync: true, request: None, run: false }));
        }
        Edit { entity, expect: Want::Any, what }
    }

    fn want(&mut self) -> Want {
        match self.rng.below(12) {
            0 => Want::Absent,
            1 => Want::Stale,
            2 => Want::Future,
            3..8 => Want::Current,
            _ => Want::Any,
        }
    }

    /// An edit that mostly goes through and never depends on `if_changed`.
    fn plain(&mut self) -> Edit {
        let what = match self.rng.below(8) {
            0 => What::Delete,
            _ => {
                let mut put = self.put();
                put.if_changed = false;
                What::Put(put)
            }
        };
        let expect = if self.rng.one_in(2) { Want::Current } else { Want::Any };
        Edit { entity: self.entity(), expect, what }
    }

    fn edit(&mut self) -> Edit {
        let what = match self.rng.below(20) {
            0..2 => What::Delete,
            2 => What::Undelete,
            3..5 => What::Revert { back: self.rng.below(4) as u8, if_changed: self.rng.one_in(4) },
            5 => What::Withheld,
            _ => What::Put(self.put()),
        };
        let entity = self.entity();
        if let What::Put(put) = &what {
            self.last.insert(entity, put.clone());
        }
        Edit { entity, expect: self.want(), what }
    }

    fn put(&mut self) -> Put {
        let again = self.rng.one_in(5) && self.next_content > 1;
        let id = match again {
            true => self.next_content - 1 - self.rng.below(u64::from(self.next_content.min(3) - 1)) as u32,
            false => {
                self.next_content += 1;
                self.next_content - 1
            }
        };
        // A function of the id, so that contents can be equal.
        let mut lens = Prng::new(u64::from(id) ^ self.large << 40);
        let len = match lens.below(100) {
            n if n < self.large => 9_000 + lens.below(20_000),
            0..10 => 0,
            10..80 => lens.below(300),
            _ => lens.below(3000),
        };
        Put {
            id,
            len: len as u32,
            if_changed: self.rng.one_in(6),
            meta: if self.rng.one_in(3) { 0 } else { self.rng.next_u64() as u8 },
            authored: self.rng.one_in(4).then(|| {
                *self
                    .rng
                    .pick(&[-1_000_000_000, 0, 5, 1_000_000, 3_600_000_000, 200_000_000_000])
                    .unwrap_or(&0)
            }),
            gap: if self.rng.one_in(10) { self.rng.below(5) as u8 + 1 } else { 0 },
            slots: if self.rng.one_in(12) { self.rng.below(3) as u8 } else { 0 },
        }
    }
}
