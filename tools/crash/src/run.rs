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
use crate::script::{Crash, CrashKind, Edit, End, Op, Round, Script, Want, Write, entity};
use crate::send;

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
        Allowed { io: self.errors || off || self.silent, corrupt: self.silent }
    }

    fn script(&mut self, script: &Script) -> Done {
        self.faults_on();
        self.recover(&[])?;
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

    /// After everything: work goes on, nothing is left over, the checkpoints are what they were.
    fn finish(&mut self) -> Done {
        self.script.faults.clear();
        self.script.clock = (0, 0);
        self.machine.fs.kill_at_change(u64::MAX);
        self.faults_off();
        self.machine.fs.set_capacity(1 << 40);
        if self.silent {
            return Ok(());
        }
        self.n += 1;
        // What failed may show only now.
        self.reopen()?;
        (self.errors, self.limited) = (false, false);
        for n in 0..3 {
            let edit = Edit {
                entity: n,
                expect: Want::Current,
                what: crate::script::What::Put(crate::script::Put {
                    id: 900_000 + u32::from(n),
                    len: 50,
                    if_changed: false,
                    meta: 0,
                    authored: None,
                    gap: 0,
                    slots: 0,
                }),
            };
            let write = Write { edits: vec![edit], sync: true, request: None, run: false };
            self.commit(&write)?;
        }
        self.wait_all()?;
        self.tidy()?;
        self.reopen()?;
        self.tidy()?;
        let checkpoints = std::mem::take(&mut self.checkpoints);
        for (dir, mut model) in checkpoints {
            let store = self.builder(&dir).if_missing(recension::IfMissing::Fail).open();
            let store = match store {
                Ok(store) => store,
                Err(error) => return failure("a checkpoint is a store", format!("{dir}: {error}")),
            };
            if store.published() != model.end() {
                let what = format!("{dir}: {} instead of {}", store.published(), model.end());
                return failure("a checkpoint is a store", what);
            }
            let mut rng = self.rng();
            let mut oracle =
                Oracle { store: &store, model: &mut model, allowed: Allowed::default(), errors: 0 };
            oracle.everything(Depth::Usual, &mut rng)?;
            oracle.check()?;
            self.coverage.count("checkpoint opened");
        }
        Ok(())
    }

    fn round(&mut self, round: &Round) -> Done {
        let start = self.machine.fs.changes();
        if let End::Crash(Crash { at: Some(at), .. }) = round.end {
            self.machine.fs.kill_at_change(start + at);
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

    /// Opens after whatever happened, with crashes in between, and checks everything.
    pub fn recover(&mut self, nested: &[Crash]) -> Done {
        let mut depth = 0;
        let mut nested = nested.iter();
        let mut attempts = 0;
        let mut faulty = true;
        if self.machine.fs.has_lost_names() {
            // Dropped or closed, not crashed.
            self.machine.fs.power_off();
            self.crash(CrashKind::Process);
        }
        let store = loop {
            let crash = nested.next();
            if let Some(Crash { at: Some(at), .. }) = crash {
                self.machine.fs.kill_at_change(self.machine.fs.changes() + at);
            }
            let opened = self.builder(DIR).open();
            self.look_for_silent_damage();
            if self.machine.fs.is_off() {
                depth += 1;
                self.coverage.deepest(depth);
                drop(opened);
                let kind = crash.map_or(CrashKind::Process, |crash| crash.kind);
                self.crash(kind);
                continue;
            }
            self.machine.fs.kill_at_change(u64::MAX);
            match opened {
                Ok(store) => match crash {
                    // It came through; the crash comes right behind.
                    Some(Crash { kind, .. }) => {
                        self.observe_open(&store)?;
                        self.machine.fs.power_off();
                        drop(store);
                        self.crash(*kind);
                    }
                    None => break store,
                },
                Err(error) => {
                    self.say(|| format!("opening failed: {error}"));
                    let excused = match error.kind() {
                        ErrorKind::Io | ErrorKind::Latched => self.errors || self.silent,
                        ErrorKind::OutOfSpace => self.errors || self.limited,
                        ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::Invalid => self.silent,
                        _ => false,
                    };
                    if !excused || !faulty && !self.silent {
                        return failure("a store that crashed can be opened", error.to_string());
                    }
                    attempts += 1;
                    if self.machine.fs.has_lost_names() {
                        self.machine.fs.power_off();
                        self.crash(CrashKind::Process);
                    }
                    if attempts > 2 {
                        self.faults_off();
                        self.machine.fs.set_capacity(1 << 40);
                        if !faulty {
                            // Silent damage is not owed recovery.
                            self.coverage.count("silent damage refused at open");
                            self.over = true;
                            return Ok(());
                        }
                        faulty = false;
                    }
                }
            }
        };
        self.faults_off();
        self.observe_open(&store)?;
        let report = store.open_report();
        if report.created && self.model.end() > 0 {
            return failure("a store is never taken for a new one", "created");
        }
        if !report.cuts.is_empty() {
            self.coverage.count("torn tail cut");
        }
        if report.clean {
            self.coverage.count("clean log continued");
        }
        if report.replayed > 0 {
            self.coverage.count("replayed");
        }
        if !report.lost.is_empty() && !self.silent {
            return failure("no file is unknown", format!("{:?}", report.lost));
        }
        self.coverage.count("recovered");
        self.power = false;
        self.sync_errors = self.count_sync_errors();
        self.store = Some(store);
        self.verify(Depth::Usual)?;
        self.tidy()?;
        for cursor in std::mem::take(&mut self.cursors) {
            let mut rng = self.rng();
            self.with_oracle(|oracle| oracle.feed(cursor, &mut rng))?;
        }
        self.faults_on();
        Ok(())
    }

    /// What has come back, against what is owed.
    fn observe_open(&mut self, store: &Store) -> Done {
        let last = store.published();
        self.say(|| format!("opened at {last}, cuts {:?}", store.open_report().cuts));
        self.note(last);
        if store.durable() != last {
            return failure("what is recovered is durable", format!("{} of {last}", store.durable()));
        }
        // What a failed sync left behind is not even the process's any more: the page cache lies, and nobody believes it.
        let process = !self.power && self.sync_errors == self.count_sync_errors();
        let owed = if process { self.model.owed_to_process } else { self.model.owed };
        if last < owed && !self.silent {
            let what = format!("{last} came back, {owed} was acknowledged");
            return failure("acknowledged commits survive", what);
        }
        if last > self.model.end() {
            let what = format!("{last} came back, {} were submitted", self.model.end());
            return failure("nothing is invented", what);
        }
        let incarnation = match store.stats() {
            Ok(stats) => stats.incarnation,
            Err(_) => 0,
        };
        if self.model.seen > last && incarnation == self.incarnation && incarnation != 0 {
            let what = format!("{} was seen, {last} came back, in the same incarnation", self.model.seen);
            return failure("sequences are given out again only under a new incarnation", what);
        }
        if self.model.end() > last {
            self.coverage.count("unacknowledged commits lost");
        }
        if incarnation != 0 {
            self.incarnation = incarnation;
        }
        if self.model.truncate(last).is_none() {
            return failure(
                "what comes back is whole commits",
                format!("the log ends at {last}, inside one"),
            );
        }
        self.model.observe(last, last);
        Ok(())
    }

    fn count_sync_errors(&self) -> u64 {
        self.machine.fs.stats().count(FaultKind::SyncError)
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

    fn verify(&mut self, depth: Depth) -> Done {
        let mut rng = self.rng();
        self.with_oracle(|oracle| oracle.everything(depth, &mut rng)).or_else(excuse)?;
        if self.rng().one_in(2) {
            self.with_oracle(|oracle| oracle.check().map(drop)).or_else(excuse)?;
        }
        Ok(())
    }

    fn reopen(&mut self) -> Done {
        let store = self.store();
        let closed = store.close();
        self.note(u64::from(closed.is_ok()));
        drop(store);
        match closed {
            Ok(()) => self.model.observe(self.model.end().min(self.model.seen), 0),
            Err(error) if self.machine.fs.is_off() => drop(error),
            Err(error) => {
                self.say(|| format!("closing failed: {error}"));
                if !(self.errors || self.limited || self.silent || self.latched) {
                    return failure("a store can be closed", error.to_string());
                }
            }
        }
        if self.machine.fs.is_off() {
            return Ok(());
        }
        self.drop_all();
        self.recover(&[])
    }

    /// After each operation: watermarks, background work.
    fn after_op(&mut self) -> Done {
        let store = self.store();
        let (published, durable) = (store.published(), store.durable());
        if published > self.model.end() || durable > published {
            let what = format!("durable {durable}, published {published}, submitted {}", self.model.end());
            return failure("watermarks are in order", what);
        }
        if published < self.model.seen || durable < self.model.owed {
            let what = format!("published {published} after {}, durable {durable}", self.model.seen);
            return failure("watermarks never go back", what);
        }
        let sync = self.model.commits.iter().rev().find(|commit| commit.sync && commit.last() <= published);
        if let Some(commit) = sync
            && commit.last() > durable
        {
            return failure(
                "durable before visible",
                format!("{} is visible, {durable} is durable", commit.last()),
            );
        }
        self.model.observe(published, durable);
        self.note(published);
        let steps = match self.script.options.jobs {
            0 => 0,
            1 => self.rng().below(3) / 2 * 3,
            2 => 1,
            _ => 100,
        };
        self.machine.jobs.run_until_idle(steps);
        Ok(())
    }

    fn op(&mut self, op: &Op) -> Done {
        match op {
            Op::Commit(write) => self.commit(write),
            Op::Submit(write) => {
                let batch = self.prepare(write)?;
                self.submit(batch)
            }
            Op::Retry(n) => match self.requests.get(n).cloned() {
                Some(batch) => {
                    self.settle_notes(&batch)?;
                    self.send(batch)
                }
                None => Ok(()),
            },
            Op::Transaction { reads, writes, between, sync } => {
                self.transaction(reads, writes, between, *sync)
            }
            Op::WaitAll => self.wait_all(),
            Op::WaitOne => {
                let at = self.rng().below(self.tickets.len() as u64) as usize;
                self.wait(at)
            }
            Op::DropOne => {
                let at = self.rng().below(self.tickets.len() as u64) as usize;
                if at < self.tickets.len() {
                    self.tickets.remove(at);
                }
                Ok(())
            }
            Op::Sync => {
                let target = self.model.end();
                let result = self.store().sync();
                match self.maintain("sync", result)? {
                    true => {
                        let durable = self.store().durable();
                        if durable < target {
                            return failure("sync makes durable", format!("{durable} of {target}"));
                        }
                        self.model.observe(target, target);
                        Ok(())
                    }
                    false => Ok(()),
                }
            }
            Op::Flush => {
                let result = self.store().flush();
                self.maintain("flush", result).map(drop)
            }
            Op::Compact { full } => {
                let mut go_on = |_: &'static str, _: u64, _: u64| true;
                let result = self.store().compact(*full, &mut recension::Progress::new(&mut go_on));
                self.maintain("compact", result).map(drop)
            }
            Op::Checkpoint => self.checkpoint(),
            Op::Jobs(n) => {
                self.machine.jobs.run_until_idle(u64::from(*n));
                Ok(())
            }
            Op::Advance(us) => {
                self.machine.jobs.run_for(std::time::Duration::from_micros(*us));
                Ok(())
            }
            Op::ClockJump(us) => {
                self.machine.clock.jump(*us);
                Ok(())
            }
            Op::Reopen => self.reopen(),
            Op::Read(n) => {
                let name = entity(*n);
                let at = self.store().published();
                self.with_oracle(|oracle| {
                    oracle.head(&name)?;
                    oracle.history(&name, at)
                })
                .or_else(excuse)
            }
            Op::Verify => {
                self.verify(Depth::Usual)?;
                self.check_held()
            }
            Op::Hold => {
                let snapshot = self.store().snapshot();
                let sequence = snapshot.sequence();
                self.held.push(Held { snapshot, sequence });
                if self.held.len() > 4 {
                    self.check_held()?;
                    self.held.remove(0);
                }
                Ok(())
            }
            Op::Feed(back) => {
                let durable = self.store().durable();
                let after = durable.saturating_sub(u64::from(*back)) + u64::from(*back == 7);
                let mut rng = self.rng();
                if after <= durable {
                    self.cursors.push(after);
                }
                self.with_oracle(|oracle| oracle.feed(after, &mut rng)).or_else(excuse)
            }
            Op::Evict => {
                self.machine.fs.evict_all();
                Ok(())
            }
            Op::Room(left) => {
                self.limited |= left.is_some();
                let bytes = left.map_or(1 << 40, |left| self.machine.fs.used() + left);
                self.machine.fs.set_capacity(bytes);
                Ok(())
            }
            Op::Rot(kind) => crate::side::rot(self, *kind),
            Op::ReadOnly => crate::side::read_only(self),
            Op::Rebuild => crate::side::rebuild(self),
        }
    }

    /// What maintenance answers; `true` if it went well.
    fn maintain<T>(&mut self, what: &str, result: recension::Result<T>) -> Result<bool, Failure> {
        self.look_for_silent_damage();
        match result {
            Ok(_) => Ok(true),
            Err(error) => {
                self.say(|| format!("{what}: {error}"));
                self.excused(what, &error).map(|()| false)
            }
        }
    }

    /// Whether an error that is neither a refusal nor a conflict may be.
    fn excused(&mut self, what: &str, error: &Error) -> Done {
        self.look_for_silent_damage();
        self.note(error.kind() as u64);
        let off = self.machine.fs.is_off();
        let fine = match error.kind() {
            ErrorKind::Latched => {
                let known = self.latched;
                // The manifest alone may have latched, under maintenance.
                self.latched |= what == "a commit";
                known || off || self.errors || self.silent || self.limited
            }
            ErrorKind::Io => off || self.errors || self.silent,
            ErrorKind::OutOfSpace => self.errors || self.limited,
            ErrorKind::Busy => self.script.clock.0 > 0 || self.jumped(),
            ErrorKind::Corrupt => self.silent,
            _ => false,
        };
        if error.kind() == ErrorKind::Busy {
            self.machine.clock.advance_us(600_000);
        }
        match fine {
            true => Ok(()),
            false => failure("errors have a cause", format!("{what}: {error}")),
        }
    }

    fn jumped(&self) -> bool {
        self.machine.fs.stats().count(FaultKind::ClockJump) > 0
    }

    fn prepare(&mut self, write: &Write) -> Result<SentBatch, Failure> {
        let batch = send::batch(write, &self.model);
        if let Some(n) = write.request {
            self.requests.insert(n, batch.clone());
        }
        self.settle_notes(&batch)?;
        Ok(batch)
    }

    /// `if_changed` and reverts ask what is hidden *now*: with a hiding in flight either answer is right, so there is none.
    fn settle_notes(&mut self, batch: &SentBatch) -> Done {
        let asks = |sent: &Sent| match &sent.what {
            SentWhat::Write(write) => {
                write.if_changed || matches!(write.body, Body::Revert(_) | Body::Undelete)
            }
            _ => false,
        };
        let published = self.store().published();
        let in_flight = self.model.notes.values().flatten().any(|note| note.sequence > published);
        if in_flight && batch.changes.iter().any(asks) { self.wait_all() } else { Ok(()) }
    }

    fn commit(&mut self, write: &Write) -> Done {
        let batch = self.prepare(write)?;
        self.send(batch)
    }

    /// Commits and waits.
    fn send(&mut self, batch: SentBatch) -> Done {
        let predicted = self.model.predict(&batch);
        let was_latched = self.latched;
        let real = match send::real(&batch) {
            Ok(real) => real,
            Err(error) => return failure("a batch can be made", error.to_string()),
        };
        let durability = if batch.sync { Durability::Sync } else { Durability::Buffered };
        let result = self.store().commit_with(real, durability);
        if let Predicted::Commit(commit, _) = &predicted {
            // In flight when it latched: it may have a number.
            let unknown = matches!(&result, Err(error) if error.kind() == ErrorKind::Latched) && !was_latched;
            if result.is_ok() || unknown {
                self.model.reserve(commit.clone());
            }
        }
        self.answered(&batch, &predicted, result, false)
    }

    fn submit(&mut self, batch: SentBatch) -> Done {
        let predicted = self.model.predict(&batch);
        let real = match send::real(&batch) {
            Ok(real) => real,
            Err(error) => return failure("a batch can be made", error.to_string()),
        };
        let durability = if batch.sync { Durability::Sync } else { Durability::Buffered };
        match self.store().submit(real, durability) {
            Ok(ticket) => {
                if let Predicted::Commit(commit, _) = &predicted {
                    self.model.reserve(commit.clone());
                }
                self.tickets.push(Flight { ticket, predicted, batch });
                Ok(())
            }
            Err(error) => self.answered(&batch, &predicted, Err(error), false),
        }
    }

    fn wait(&mut self, at: usize) -> Done {
        if at >= self.tickets.len() {
            return Ok(());
        }
        let Flight { ticket, predicted, batch } = self.tickets.remove(at);
        let result = ticket.wait();
        self.answered(&batch, &predicted, result, true)
    }

    fn wait_all(&mut self) -> Done {
        let mut rng = self.rng();
        while !self.tickets.is_empty() {
            let at = rng.below(self.tickets.len() as u64) as usize;
            self.wait(at)?;
        }
        Ok(())
    }

    /// Compares an answer with the prediction.
    fn answered(
        &mut self,
        batch: &SentBatch,
        predicted: &Predicted,
        result: recension::Result<Committed>,
        reserved: bool,
    ) -> Done {
        self.look_for_silent_damage();
        let store = self.store();
        let (published, durable) = (store.published(), store.durable());
        let wrong = |answer: String| {
            let oracle = "every call is answered as the commits before it say";
            failure(oracle, format!("{answer} instead of {predicted:?} for {batch:?}"))
        };
        let reached = |outcomes: &[Outcome], wanted: &[Outcome], rests_on: u64| {
            if outcomes != wanted {
                return wrong(format!("{outcomes:?}"));
            }
            if published < rests_on {
                return failure("answers do not overtake", format!("{wanted:?}: {published} is published"));
            }
            if batch.sync && durable < rests_on {
                let what = format!("{wanted:?} rests on {rests_on}, {durable} is durable");
                return failure("an acknowledgement is durable", what);
            }
            Ok(())
        };
        match (&result, predicted) {
            (Ok(committed), Predicted::Commit(commit, outcomes)) => {
                reached(&committed.outcomes, outcomes, commit.last())?;
                if committed.sequence != commit.last() {
                    return wrong(format!("sequence {}", committed.sequence));
                }
                self.model.observe(commit.last(), if batch.sync { commit.last() } else { 0 });
            }
            (Ok(committed), Predicted::Nothing(outcomes, rests_on)) => {
                reached(&committed.outcomes, outcomes, *rests_on)?;
                if batch.sync {
                    self.model.observe(*rests_on, *rests_on);
                }
            }
            (Ok(committed), Predicted::Replayed(outcomes, sequence)) => {
                reached(&committed.outcomes, outcomes, *sequence)?;
                self.coverage.count("request replayed");
            }
            (
                Err(Error::Conflict { entity, actual, .. }),
                Predicted::Conflict { entity: wanted, actual: state, rests_on },
            ) => {
                if entity.as_bytes() != &wanted[..] || actual != state {
                    return wrong(format!("a conflict on {entity} with {actual}"));
                }
                if published < *rests_on {
                    return failure(
                        "answers do not overtake",
                        format!("a conflict with {actual}, {published} is published"),
                    );
                }
                self.coverage.count("conflict");
            }
            (Err(Error::Invalid { .. }), Predicted::Invalid) => self.coverage.count("refused"),
            (
                Err(Error::Invalid { .. } | Error::Conflict { .. }),
                Predicted::Invalid | Predicted::Conflict { .. },
            ) if batch.changes.len() > 1 || batch.request.is_some() || depends(batch) => {}
            (Err(error), _) if error.kind() == ErrorKind::Latched => self.excused("a commit", error)?,
            (Err(error), _) if !reserved => {
                if matches!(error, Error::Conflict { .. } | Error::Invalid { .. }) {
                    return wrong(error.to_string());
                }
                self.excused("a commit", error)?;
            }
            (answer, _) => return wrong(format!("{answer:?}")),
        }
        self.note(match &result {
            Ok(committed) => committed.sequence,
            Err(error) => 1 << 40 | error.kind() as u64,
        });
        self.say(|| match &result {
            Ok(committed) => format!("  -> {committed:?}"),
            Err(error) => format!("  -> {error}"),
        });
        Ok(())
    }

    fn transaction(&mut self, reads: &[u8], writes: &[Edit], between: &Option<Edit>, sync: bool) -> Done {
        let store = self.store();
        let at = store.published();
        let mut transaction = store.transaction();
        let mut seen: BTreeMap<Bytes, (u64, Expect)> = BTreeMap::new();
        let written: Vec<u8> = writes.iter().map(|edit| edit.entity).collect();
        let entities: BTreeSet<u8> = reads.iter().chain(&written).copied().collect();
        for n in entities {
            let name = entity(n);
            let head = match transaction.head(&name) {
                Ok(head) => head,
                Err(error) => return self.excused("a read of a transaction", &error),
            };
            let rev = self.model.at(&name, at).last();
            let same = match (&head, rev) {
                (Head::Absent, None) => true,
                (head, Some(rev)) => head.revision().is_some_and(|it| it.sequence() == rev.sequence),
                _ => false,
            };
            if !same {
                return failure("snapshots are right", format!("a transaction at {at} sees {head:?}"));
            }
            let expect = rev.map_or(Expect::Absent, |rev| Expect::Head(rev.number));
            seen.insert(name, (rev.map_or(0, |rev| rev.sequence), expect));
        }
        if let Some(edit) = between {
            let write = Write { edits: vec![edit.clone()], sync, request: None, run: false };
            let batch = self.prepare(&write)?;
            self.submit(batch)?;
        }
        let mut changes: Vec<Sent> = seen
            .iter()
            .map(|(name, (sequence, expect))| Sent {
                entity: name.clone(),
                expect: *expect,
                what: SentWhat::Read(*sequence),
            })
            .collect();
        let guards = changes.len();
        for edit in writes {
            let mut sent = send::sent(edit, &self.model);
            sent.expect = Expect::Any;
            if let SentWhat::Write(write) = &mut sent.what {
                write.number = None;
            }
            if let Err(error) = send::put_into(&mut transaction, &sent) {
                return self.excused("a write of a transaction", &error);
            }
            changes.push(sent);
        }
        let batch = SentBatch { changes, request: None, run: false, sync };
        let mut predicted = self.model.predict(&batch);
        let was_latched = self.latched;
        let durability = if sync { Durability::Sync } else { Durability::Buffered };
        let result = transaction.commit(durability);
        if let Predicted::Commit(commit, outcomes) = &mut predicted {
            outcomes.drain(..guards);
            let unknown = matches!(&result, Err(error) if error.kind() == ErrorKind::Latched) && !was_latched;
            if result.is_ok() || unknown {
                self.model.reserve(commit.clone());
            }
        }
        if matches!(predicted, Predicted::Conflict { .. }) {
            self.coverage.count("transaction refused");
        }
        self.answered(&batch, &predicted, result, false)
    }

    fn checkpoint(&mut self) -> Done {
        let dir = format!("/checkpoint{}", self.n);
        let result = self.store().checkpoint(&dir);
        match result {
            Err(error) => self.excused("checkpoint", &error),
            Ok(report) => {
                let mut model = self.model.clone();
                // Everything that was given a number before; what is in flight may or may not be in it.
                if report.sequence < self.model.owed_to_process || model.truncate(report.sequence).is_none() {
                    let what = format!("it ends at {} of {}", report.sequence, self.model.end());
                    return failure("a checkpoint holds whole commits", what);
                }
                self.coverage.count("checkpoint");
                self.checkpoints.push((dir, model));
                Ok(())
            }
        }
    }

    fn check_held(&mut self) -> Done {
        let held: Vec<(Snapshot, u64)> =
            self.held.iter().map(|held| (held.snapshot.clone(), held.sequence)).collect();
        for (snapshot, sequence) in held {
            let names: Vec<Bytes> = self.model.entities.keys().cloned().collect();
            for entity in names {
                let wanted = self.model.at(&entity, sequence).last().map(|rev| rev.sequence);
                match snapshot.head(&entity) {
                    Ok(head) => {
                        let found = head.revision().map(recension::Revision::sequence);
                        if found != wanted {
                            let what =
                                format!("{} at {sequence}: {found:?} instead of {wanted:?}", name(&entity));
                            return failure("snapshots are right", what);
                        }
                    }
                    Err(error) => self.excused("a snapshot", &error)?,
                }
            }
        }
        Ok(())
    }

    /// With nothing going on and no faults: what is in the directory is what should be there.
    fn tidy(&mut self) -> Done {
        if self.silent || self.machine.fs.is_off() {
            return Ok(());
        }
        self.machine.jobs.run_until_idle(1000);
        let store = self.store();
        let stats = match store.stats() {
            Ok(stats) => stats,
            Err(error) => return self.excused("stats", &error),
        };
        if let Some(cause) = stats.latched {
            self.latched = true;
            return match self.errors || self.limited {
                true => Ok(()),
                false => failure("errors have a cause", format!("latched: {cause}")),
            };
        }
        self.coverage.store(&stats);
        let state = match recension::manifest::read_state(&self.machine.env(), DIR.as_ref()) {
            Ok(state) => state,
            Err(error) => return failure("the manifest can be read", error.to_string()),
        };
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        known.extend(
            state.tables.values().map(|it| (format!("{DIR}/{}", it.id.file_name(it.kind())), it.len)),
        );
        known.extend(
            state.value_files.values().map(|it| (format!("{DIR}/{}", it.id.file_name(it.kind)), it.len)),
        );
        let obsolete: BTreeSet<String> =
            state.obsolete.iter().map(|(id, kind)| format!("{DIR}/{}", id.file_name(*kind))).collect();
        let (mut segments, mut manifests) = (0, 0);
        let files = self.machine.fs.files();
        for path in files.iter().filter(|path| path.starts_with(&format!("{DIR}/"))) {
            if let Some(len) = known.remove(path) {
                let found =
                    self.machine.fs.read_file(path).map(|bytes| bytes.len() as u64).unwrap_or_default();
                if found != len {
                    return failure(
                        "files are as the manifest says",
                        format!("{path}: {found} instead of {len}"),
                    );
                }
                continue;
            }
            match path.rsplit('.').next() {
                _ if obsolete.contains(path) => {}
                Some("seg") => segments += 1,
                Some("manifest") => manifests += 1,
                _ if path.ends_with("/LOCK") || path.ends_with("/RESERVE") => {}
                _ => return failure("no file is left over", format!("{path} of {files:?}")),
            }
        }
        if let Some(path) = known.keys().next() {
            return failure("files are as the manifest says", format!("{path} is missing"));
        }
        if segments > 2 || manifests != 1 {
            let what = format!("{segments} unsealed segments, {manifests} manifests: {files:?}");
            return failure("no file is left over", what);
        }
        let limits = self.limits();
        let most = self.model.commits.iter().map(|commit| commit.changes.len() as u64).max().unwrap_or(0);
        let records = u64::from(limits.segment_records).max(most);
        if let Some(file) = state
            .value_files
            .values()
            .filter(|it| it.kind == FileKind::Segment)
            .find(|it| it.records > records)
        {
            return failure("limits are held", format!("{} records in a segment", file.records));
        }
        // On a disk that was full, packing waits for half a second.
        let packs = if self.limited { 0 } else { stats.packs_waiting.0 };
        let waiting = (stats.memtables_waiting, packs);
        if waiting != (0, 0) || !state.intents.is_empty() {
            let what = format!("memtables and segments to pack: {waiting:?}, intents {:?}", state.intents);
            return failure("work comes to an end", what);
        }
        Ok(())
    }

    /// The model as it would be after a crash now that keeps everything.
    pub fn silent(&self) -> bool {
        self.silent
    }

    pub fn is_plain(&self) -> bool {
        !self.silent && !self.errors && !self.limited && !self.latched && !self.machine.fs.is_off()
    }

    pub fn limits_now(&self) -> Limits {
        self.limits()
    }

    pub fn step(&self) -> u64 {
        self.n
    }
}

fn depends(batch: &SentBatch) -> bool {
    use crate::predict::Body;
    batch.changes.iter().any(|sent| match &sent.what {
        SentWhat::Write(write) => {
            matches!(write.body, Body::Revert(_) | Body::Undelete) || write.number.is_some()
        }
        SentWhat::Note { .. } => true,
        _ => false,
    })
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
