//! Store and model side by side: each operation is done to both, and what comes of it is compared.

mod erase;
mod opening;
mod writing;

use std::time::Duration;

use recension::{CheckDepth, Durability, Error, ErrorKind, Progress, Store, Ticket};

use super::model::{Model, What};
use super::op::{Death, Op};
use super::plan::Planned;
use super::surroundings::Surroundings;
use super::verify::Reads;
use writing::{expect, id};

/// Names that are prefixes of each other, not text, and as long as can be.
fn entities() -> Vec<Vec<u8>> {
    vec![b"a".to_vec(), b"ab".to_vec(), b"b".to_vec(), b"Q\0x".to_vec(), vec![0xff, 0xff], vec![b'a'; 512]]
}

/// A commit in flight.
struct Flight {
    ticket: Ticket,
    planned: Planned,
    /// The last sequence number given out when it was submitted.
    last: u64,
    durability: Durability,
}

pub struct World {
    surroundings: Surroundings,
    store: Option<Store>,
    pub model: Model,
    entities: Vec<Vec<u8>>,
    flights: Vec<Flight>,
    /// Everything up to here was acknowledged; and promised to survive a power cut.
    acknowledged: u64,
    durable: u64,
    armed: Death,
    checkpoints: u32,
    /// A checkpoint that was being made when the machine went off.
    unfinished: Option<String>,
}

const NAME: &str = "store";

impl World {
    pub fn new(surroundings: Surroundings) -> Self {
        let store = surroundings.builder(NAME).open().expect("a new store");
        Self {
            surroundings,
            store: Some(store),
            model: Model::default(),
            entities: entities(),
            flights: Vec::new(),
            acknowledged: 0,
            durable: 0,
            armed: Death::Process,
            checkpoints: 0,
            unfinished: None,
        }
    }

    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    /// Does all of them, and compares everything at the end, also after a reopen.
    pub fn run(&mut self, ops: &[Op]) {
        for op in ops {
            self.step(op);
        }
        self.settle_flights();
        self.revive();
        self.read_all();
        self.step(&Op::Close);
        self.read_all();
        self.reads().check(CheckDepth::Deep);
        self.step(&Op::Flush);
        self.step(&Op::Compact { full: true });
        self.read_all();
    }

    pub fn step(&mut self, op: &Op) {
        match op {
            Op::Put { put, buffered } => {
                let spec = self.single(put);
                self.commit(spec, durability(*buffered));
            }
            Op::Batch { steps, request, as_run, buffered } => {
                let mut spec = self.spec(steps);
                (spec.request_id, spec.as_run) = (request.map(id), *as_run);
                self.commit(spec, durability(*buffered));
            }
            Op::Submit { steps, buffered } => self.submit(steps, durability(*buffered)),
            Op::Wait { which, drops } => self.wait(*which, *drops),
            Op::Transaction { reads, between, writes, buffered } => {
                self.transaction(reads, between.as_ref(), writes, durability(*buffered));
            }
            Op::Erase(erase) => self.erase(erase),
            Op::Sync => {
                let last = self.model.last();
                self.attempt(Store::sync).inspect(|()| self.durable = last);
            }
            Op::Flush => _ = self.attempt(Store::flush),
            Op::Compact { full } => {
                let how = if *full { recension::Compaction::Full } else { recension::Compaction::Due };
                _ = self.attempt(|store| store.compact(how, &mut Progress::new(&mut |_, _, _| true)))
            }
            Op::Jobs(n) => self.surroundings.step_jobs(u64::from(*n)),
            Op::Time(ms) => self.surroundings.run_for(Duration::from_millis(u64::from(*ms))),
            Op::Read(entity) => self.read_entity(*entity),
            Op::ReadAll => self.read_all(),
            Op::Check => self.check(),
            Op::Close => self.close(),
            Op::Drop => self.drop_and_reopen(),
            Op::ReadOnly => self.read_only(),
            Op::Checkpoint => self.checkpoint(),
            Op::Crash(death) => self.crash(*death),
            Op::CrashAt(changes, death) => {
                if self.surroundings.kill_in(u64::from(*changes)) {
                    self.armed = *death;
                }
            }
        }
        self.revive();
        self.learn();
    }

    fn reads(&self) -> Reads<'_> {
        Reads::new(self.store(), &self.model)
    }

    /// Something that must work, unless the machine goes off.
    fn attempt<T>(&self, what: impl FnOnce(&Store) -> recension::Result<T>) -> Option<T> {
        match what(self.store()) {
            Ok(value) => Some(value),
            Err(error) if self.surroundings.is_off() => {
                self.expect_dead(&error);
                None
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    fn expect_dead(&self, error: &Error) {
        assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Latched), "the machine is off: {error:?}");
    }

    /// Closes the store for good: the machine and what is on it.
    pub fn shut(mut self) -> (recension::sim::SimEnv, Model) {
        self.settle_flights();
        self.learn();
        self.store().close().expect("closed");
        self.store = None;
        match self.surroundings {
            Surroundings::Sim(machine) => (*machine, self.model),
            Surroundings::Os(_) => panic!("only simulated machines are taken apart"),
        }
    }
    fn learn(&mut self) {
        let published = self.store().published();
        while self.model.learned < published {
            let sequence = self.model.learned + 1;
            let change = &self.model.changes[sequence as usize - 1];
            let time = match &change.what {
                What::Revision(rev) => {
                    let found = self
                        .store()
                        .revision(&change.entity, rev.number)
                        .expect("a revision")
                        .expect("what was written");
                    found.commit_time().0
                }
                // Asked of a revision of the same commit; else at least the last time.
                What::Annotation { .. } => {
                    let frame = self.model.changes[sequence as usize - 1..]
                        .iter()
                        .take(change.frame_rest as usize + 1);
                    let times = frame.filter_map(|change| match &change.what {
                        What::Revision(rev) => self
                            .store()
                            .revision(&change.entity, rev.number)
                            .expect("a revision")
                            .map(|rev| rev.commit_time().0),
                        What::Annotation { .. } => None,
                    });
                    let before =
                        (sequence > 1).then(|| self.model.changes[sequence as usize - 2].commit_time);
                    times.min().or(before).unwrap_or_default()
                }
            };
            self.model.learn(sequence, time);
        }
    }

    fn read_entity(&mut self, entity: u8) {
        self.settle_threads();
        self.learn();
        if !self.surroundings.is_off() {
            self.quiet(|world| world.reads().entity(&world.name(entity)));
        }
    }

    /// Threads may still be writing what nobody waits for; the simulator's jobs run when they are told to.
    fn settle_threads(&mut self) {
        if !self.surroundings.can_die() {
            self.attempt(Store::sync);
        }
    }

    pub fn read_all(&mut self) {
        self.settle_threads();
        self.learn();
        self.quiet(|world| world.reads().all());
    }

    fn check(&mut self) {
        self.settle_threads();
        self.quiet(|world| world.reads().check(CheckDepth::Deep));
    }

    /// Reads change nothing on the disk, so a machine that is to go off at a change stays on.
    fn quiet(&mut self, what: impl FnOnce(&Self)) {
        if !self.surroundings.is_off() {
            what(self);
        }
    }
}

fn durability(buffered: bool) -> Durability {
    if buffered { Durability::Buffered } else { Durability::Sync }
}
