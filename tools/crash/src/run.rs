//! Carrying out a script on a simulated machine, with the model beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use recension::codec::FileKind;
use recension::limits::Limits;
use recension::sim::{FaultKind, Faults, Prng, Rate, SimEnv, mix};
use recension::{
    ByteSize, Committed, Durability, Error, ErrorKind, Expect, Head, HeadState, Outcome, Snapshot, Store,
    TableReads, Ticket,
};

use crate::coverage::Coverage;
use crate::model::Model;
use crate::oracle::{Allowed, Depth, Failure, Oracle, failure};
use crate::predict::{Body, Predicted, Sent, SentBatch, SentWhat, name};
use crate::script::{At, Crash, CrashKind, Edit, End, Op, Round, Script, Want, Write, entity};
use crate::send;

mod commits;
mod ops;
mod recover;
mod settled;
mod short;

/// The store's directory.
pub const DIR: &str = "/db";

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    pub failure: Option<Failure>,
    /// Over every call of the disk and every answer.
    pub hash: u64,
    pub coverage: Coverage,
    /// The last calls of the disk, and the operations, for people.
    pub story: Vec<String>,
}

/// Carries out a script.
pub fn run(script: &Script) -> Report {
    run_with(script, false)
}

/// The same; `verbose`: keeps the story.
pub fn run_with(script: &Script, verbose: bool) -> Report {
    let _ = recension::probe::take();
    let mut world = World::new(script, verbose);
    let result = catch_unwind(AssertUnwindSafe(|| world.script(script)));
    let mut failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
            Some(Failure { oracle: "no panics", what: text.unwrap_or_default() })
        }
    };
    let violations = world.machine.fs.violations();
    if let (None, Some(violation)) = (&failure, violations.first()) {
        failure = Some(Failure { oracle: "the disk's contract is kept", what: violation.to_string() });
    }
    world.coverage.faults(&world.machine.fs.stats());
    world.coverage.probes();
    let hash = mix(world.machine.fs.trace_hash(), world.hash);
    world.machine.fs.power_off();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        world.tickets.clear();
        world.store = None;
    }));
    let mut story = std::mem::take(&mut world.story);
    if verbose {
        story.extend(world.machine.fs.trace().iter().map(ToString::to_string));
    }
    Report { failure, hash, coverage: world.coverage, story }
}

type Done = Result<(), Failure>;

struct Flight {
    ticket: Ticket,
    predicted: Predicted,
    batch: SentBatch,
}

/// A read point that is kept.
struct Held {
    snapshot: Snapshot,
    sequence: u64,
    /// Heads as of then.
    revisions: Vec<recension::Revision>,
}

pub struct World {
    pub machine: SimEnv,
    pub model: Model,
    pub store: Option<Store>,
    pub coverage: Coverage,
    script: Script,
    tickets: Vec<Flight>,
    held: Vec<Held>,
    cursors: Vec<u64>,
    requests: BTreeMap<u8, SentBatch>,
    /// Checkpoints that were acknowledged, and what is in them.
    checkpoints: Vec<(String, Model)>,
    /// The store said `Latched` in this life.
    latched: bool,
    /// Faults that say so are on.
    errors: bool,
    limited: bool,
    incarnation: u64,
    /// A power cut is among the crashes since the store was open.
    power: bool,
    /// Failed syncs up to the time that the store was opened.
    sync_errors: u64,
    /// Something nobody is told of may have happened, or be on its way to the disk.
    treacherous: bool,
    /// Something nobody was told of has happened: only *loud, never wrong* is asked.
    silent: bool,
    over: bool,
    n: u64,
    hash: u64,
    verbose: bool,
    story: Vec<String>,
}

impl World {
    pub fn new(script: &Script, verbose: bool) -> Self {
        let machine = SimEnv::new(script.seed);
        Self {
            machine,
            model: Model::default(),
            store: None,
            coverage: Coverage::default(),
            script: script.clone(),
            tickets: Vec::new(),
            held: Vec::new(),
            cursors: Vec::new(),
            requests: BTreeMap::new(),
            checkpoints: Vec::new(),
            latched: false,
            errors: false,
            limited: false,
            incarnation: 0,
            power: false,
            sync_errors: 0,
            treacherous: script.faults.iter().any(|(kind, _)| FaultKind::SILENT.contains(kind)),
            silent: false,
            over: false,
            n: 0,
            hash: 0,
            verbose,
            story: Vec::new(),
        }
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        if self.verbose {
            let line = format!("call {:>5}: {}", self.machine.fs.calls(), what());
            self.story.push(line);
        }
    }

    fn note(&mut self, word: u64) {
        self.hash = mix(self.hash, word);
    }

    fn rng(&self) -> Prng {
        Prng::new(mix(self.script.seed ^ 0x0dd5, self.n))
    }

    fn limits(&self) -> Limits {
        limits_of(self.script.options.size)
    }

    fn builder(&self, dir: &str) -> recension::StoreBuilder {
        let options = &self.script.options;
        Store::builder(dir)
            .env(self.machine.env())
            .limits(self.limits())
            .memory(ByteSize::mib(8))
            .promise_delay(std::time::Duration::from_micros(options.promise_us))
            .table_reads(if options.map { TableReads::Map } else { TableReads::Read })
    }

    fn faults_on(&mut self) {
        let mut faults = Faults::NONE;
        for (kind, n) in &self.script.faults {
            faults.set(*kind, Rate::one_in(*n));
            self.errors |= FaultKind::ERRORS.contains(kind);
        }
        faults.stall_us_max = 2_000_000;
        self.machine.fs.set_faults(faults);
        let (n, us) = self.script.clock;
        self.machine.clock.set_faults(Rate::one_in(n), Rate::one_in(n), us);
    }

    fn faults_off(&self) {
        self.machine.fs.heal();
        self.machine.clock.set_faults(Rate::NEVER, Rate::NEVER, 0);
    }

    fn look_for_silent_damage(&mut self) {
        if !self.silent {
            let stats = self.machine.fs.stats();
            self.silent = FaultKind::SILENT.iter().any(|kind| stats.count(*kind) > 0);
        }
    }

    fn allowed(&self) -> Allowed {
        let off = self.machine.fs.is_off();
        // What a failed sync dropped may still be shown, or not be there any more: then a read says so.
        let dropped = self.sync_errors != self.machine.fs.stats().count(FaultKind::SyncError);
        Allowed { io: self.errors || off || self.silent, corrupt: self.silent || dropped }
    }

    fn script(&mut self, script: &Script) -> Done {
        self.faults_on();
        self.recover(&script.creation)?;
        for round in &script.rounds {
            if self.over {
                break;
            }
            self.round(round)?;
        }
        if self.over {
            return Ok(());
        }
        self.finish()
    }

    fn round(&mut self, round: &Round) -> Done {
        if let End::Crash(Crash { at: Some(at), .. }) = round.end {
            self.kill_at(at);
        }
        for op in &round.ops {
            self.n += 1;
            self.say(|| format!("{op:?}"));
            self.op(op)?;
            self.look_for_silent_damage();
            if self.machine.fs.is_off() || self.over {
                break;
            }
            self.after_op()?;
        }
        if self.over {
            return Ok(());
        }
        self.n += 1;
        self.end(round)
    }

    fn end(&mut self, round: &Round) -> Done {
        let on = !self.machine.fs.is_off();
        let kind = match round.end {
            End::Crash(crash) => crash.kind,
            End::Clean if on => {
                self.reopen()?;
                if !self.machine.fs.is_off() {
                    return Ok(());
                }
                CrashKind::Power(recension::sim::CrashPolicy::POSIX)
            }
            End::Drop if on => {
                self.say(|| "dropped".into());
                self.drop_all();
                return self.recover(&[]);
            }
            // The machine went off before.
            _ => CrashKind::Power(recension::sim::CrashPolicy::POSIX),
        };
        if self.machine.fs.is_off() {
            self.coverage.count("killed in the middle of work");
        }
        self.machine.fs.power_off();
        self.drop_all();
        self.crash(kind);
        self.recover(&round.nested)
    }

    fn kill_at(&self, at: At) {
        let fs = &self.machine.fs;
        match at {
            At::Change(n) => fs.kill_at_change(fs.changes() + n),
            At::Sync(n) => fs.kill_at_sync(fs.syncs() + n),
        }
    }

    fn crash(&mut self, kind: CrashKind) {
        self.say(|| format!("{kind:?}"));
        // A file system that failed to write its names needs more than a new process.
        let kind = match self.machine.fs.has_lost_names() {
            true if kind == CrashKind::Process => CrashKind::Power(recension::sim::CrashPolicy::POSIX),
            _ => kind,
        };
        match kind {
            CrashKind::Process => {
                self.coverage.count("process kill");
                self.machine = self.machine.process_kill();
            }
            CrashKind::Power(policy) => {
                self.coverage.count("power cut");
                self.power = true;
                self.machine = self.machine.crash(&policy);
            }
        }
    }

    fn drop_all(&mut self) {
        // Tickets that are dropped queue work; a machine that is off runs none.
        self.tickets.clear();
        self.held.clear();
        self.store = None;
        self.latched = false;
    }

    fn store(&self) -> Store {
        self.store.clone().unwrap_or_else(|| panic!("the harness lost the store"))
    }

    fn with_oracle<R>(
        &mut self,
        look: impl FnOnce(&mut Oracle<'_>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let store = self.store();
        let allowed = self.allowed();
        let mut oracle = Oracle { store: &store, model: &mut self.model, allowed, errors: 0 };
        let result = look(&mut oracle);
        self.look_for_silent_damage();
        match result {
            // What went wrong may have come of what went wrong under it just now.
            Err(Failure { oracle: "reads answer" | "check finds nothing", .. })
                if self.silent || self.machine.fs.is_off() =>
            {
                failure_unless(self)
            }
            other => other,
        }
    }

    /// The model as it would be after a crash now that keeps everything.
    pub fn silent(&self) -> bool {
        self.silent
    }

    pub fn is_plain(&self) -> bool {
        !self.silent
            && !self.treacherous
            && !self.errors
            && !self.limited
            && !self.latched
            && !self.machine.fs.is_off()
    }

    pub fn limits_now(&self) -> Limits {
        self.limits()
    }

    pub fn step(&self) -> u64 {
        self.n
    }
}

/// The marker of a read that may fail.
const EXCUSED: &str = "excused";

fn failure_unless<R>(_: &World) -> Result<R, Failure> {
    failure(EXCUSED, "")
}

fn excuse(failure: Failure) -> Done {
    if failure.oracle == EXCUSED { Ok(()) } else { Err(failure) }
}

/// See [`crate::script::Options::size`].
pub fn limits_of(size: u8) -> Limits {
    match size {
        0 => Limits::TINY,
        3 => Limits { memtable_bytes: 64 << 10, memtable_log_bytes: 256 << 10, ..limits_of(2) },
        2 => Limits {
            segment_bytes: 4 << 10,
            segment_records: 12,
            reserve_first: 1 << 10,
            directory_block_records: 3,
            memtable_bytes: 3 << 10,
            memtable_log_bytes: 6 << 10,
            block_rows: 3,
            block_bytes: 128,
            table_bytes: 512,
            level1_bytes: 1 << 10,
            level_ratio: 2,
            manifest_bytes: 512,
            ..Limits::TINY
        },
        _ => Limits {
            segment_bytes: 64 << 10,
            segment_records: 200,
            memtable_bytes: 32 << 10,
            table_bytes: 8 << 10,
            ..Limits::TINY
        },
    }
}

/// For messages.
pub fn state(head: HeadState) -> String {
    head.to_string()
}
