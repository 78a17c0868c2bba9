//! Carrying out a script on a simulated machine, with the model beside it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use recension::codec::FileKind;
use recension::limits::Limits;
use recension::sim::{FaultKind, Faults, Prng, Rate, SimEnv, mix};
use recension::{
    ByteSize, Committed, Durability, Error, ErrorKind, Expect, Head, HeadState, Outcome, Snapshot, Store,
    TableReads, Ticket,
};

use crate::coverage::Coverage;
use crate::linear::Histories;
use crate::model::Model;
use crate::oracle::{Allowed, Depth, Failure, Oracle, failure};
use crate::predict::{Body, Predicted, Sent, SentBatch, SentWhat, name};
use crate::script::{At, Crash, CrashKind, Edit, End, Op, Round, Script, Want, Write, entity};
use crate::send;

mod commits;
mod during;
mod erase;
mod follow;
mod history;
mod limits;
mod ops;
mod reclaim;
mod recover;
mod report;
mod rounds;
mod settled;
mod short;

pub use limits::limits_of;
pub use report::{Report, run, run_with};

/// The store's directory.
pub const DIR: &str = "/db";

type Done = Result<(), Failure>;

struct Flight {
    ticket: Ticket,
    predicted: Predicted,
    batch: SentBatch,
    /// In the histories.
    call: u64,
}

/// A read point that is kept.
struct Held {
    snapshot: Snapshot,
    sequence: u64,
    /// Heads as of then.
    revisions: Vec<recension::Revision>,
    /// A walk over all heads that takes its time: it holds the files that it began with. With the last name that it gave out.
    walk: Option<(recension::Heads, Bytes)>,
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
    histories: Histories,
    followers: Vec<recension::LiveChanges>,
    /// A file of earlier, to come back under its name when it is gone.
    old_file: Option<(String, Vec<u8>)>,
    /// How many came back.
    strays: u64,
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
            histories: Histories::default(),
            followers: Vec::new(),
            old_file: None,
            strays: 0,
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

    fn store(&self) -> Store {
        self.store.clone().unwrap_or_else(|| panic!("the harness lost the store"))
    }

    fn with_oracle<R>(
        &mut self,
        look: impl FnOnce(&mut Oracle<'_>) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        let store = self.store();
        let allowed = self.allowed();
        let result = look(&mut Oracle::new(&store, &mut self.model, allowed));
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

    /// One of the checkpoints, drawn: where it is, and what is in it.
    pub fn checkpoint_of(&self, rng: &mut Prng) -> Option<(String, Model)> {
        rng.pick(&self.checkpoints).cloned()
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
