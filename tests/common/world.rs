//! Store and model side by side: each operation is done to both, and what comes of it is compared.

mod erase;

use std::time::Duration;

use bytes::Bytes;
use recension::limits::Limits;
use recension::{
    CheckDepth, Committed, Durability, Error, ErrorKind, Expect, FieldMask, Progress, Store, Ticket,
};

use super::batch::{Body, Spec, Step, Write, hiding};
use super::model::{Model, What};
use super::op::{BatchStep, Death, Mask, Op, Put, Text, Wants};
use super::plan::Planned;
use super::surroundings::Surroundings;
use super::verify::Reads;

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

    // ---- writing

    fn name(&self, entity: u8) -> Vec<u8> {
        self.entities[usize::from(entity) % self.entities.len()].clone()
    }

    fn spec(&self, steps: &[BatchStep]) -> Spec {
        let mut spec = Spec::default();
        // Heads as they will be if all goes well.
        let mut heads = std::collections::BTreeMap::new();
        for step in steps {
            let step = match step {
                BatchStep::Put(put) => self.write(put, &mut heads),
                BatchStep::Require(entity, wants) => {
                    let entity = self.name(*entity);
                    let head = *heads
                        .entry(entity.clone())
                        .or_insert_with(|| self.model.head_state(&entity).number());
                    Step::Guard { entity, expect: expect(*wants, head) }
                }
                BatchStep::Hide(mask) => self.annotate(mask),
            };
            spec.steps.push(step);
        }
        spec
    }

    fn single(&self, put: &Put) -> Spec {
        Spec::of(self.write(put, &mut std::collections::BTreeMap::new()))
    }

    fn annotate(&self, mask: &Mask) -> Step {
        let first = u64::from(mask.first) + 1;
        let last = mask.len.map_or(u64::MAX, |len| first + u64::from(len));
        Step::Annotate {
            entity: self.name(mask.entity),
            show: mask.show,
            first,
            last,
            fields: FieldMask(mask.fields % 15 + 1),
        }
    }

    fn write(&self, put: &Put, heads: &mut std::collections::BTreeMap<Vec<u8>, u64>) -> Step {
        let entity = self.name(put.entity);
        let head = *heads.entry(entity.clone()).or_insert_with(|| self.model.head_state(&entity).number());
        let numbers: Vec<u64> = self.model.revisions(&entity, u64::MAX).map(|seen| seen.rev.number).collect();
        let body = match put.text {
            Text::Of(kind, len) => Body::Content(content(kind, len)),
            Text::Same => {
                match self.model.head(&entity, u64::MAX).and_then(|seen| seen.rev.content.clone()) {
                    Some((bytes, _)) => Body::Content(bytes),
                    None => Body::Content(Bytes::from_static(b"same")),
                }
            }
            Text::Withheld => Body::Withheld,
            Text::Tombstone => Body::Tombstone,
            Text::Undelete => Body::Undelete,
            Text::Revert(n) => {
                Body::Revert(numbers.get(usize::from(n) % (numbers.len() + 1)).copied().unwrap_or(77_777))
            }
        };
        let mut write = Write::new(body);
        fill(&mut write, put);
        write.number = put.number.map(|above| head + u64::from(above));
        write.if_changed = put.if_changed;
        write.fields.request_id = put.request.map(id);
        if matches!(write.body, Body::Content(_) | Body::Withheld) {
            write.slots = (0..put.slots % 4).map(|i| slot(put.slots, i)).collect();
        }
        heads.insert(entity.clone(), write.number.unwrap_or(head + 1));
        Step::Write { expect: expect(put.wants, head), entity, write }
    }

    fn commit(&mut self, spec: Spec, durability: Durability) {
        self.settle_hidden(&spec);
        let planned = self.model.plan(&spec);
        let result = self.call(&spec, durability);
        self.given(&planned);
        self.outcome(&planned, self.model.last(), durability, result);
    }

    /// Through the shorthand, where there is one.
    fn call(&self, spec: &Spec, durability: Durability) -> recension::Result<Committed> {
        let store = self.store();
        if let ([step], None, false, Durability::Sync) =
            (&spec.steps[..], spec.request_id, spec.as_run, durability)
        {
            match step {
                Step::Annotate { entity, show, first, last, fields } => {
                    let what = hiding(entity, *first, *last, *fields);
                    return if *show { store.show(what) } else { store.hide(what) };
                }
                Step::Write { entity, expect, write } => {
                    let plain = write.draft() == Write::new(write.body.clone()).draft();
                    return match write.body {
                        Body::Tombstone if plain => store.delete(entity, *expect),
                        Body::Undelete if plain => store.undelete(entity, *expect),
                        Body::Revert(to) if plain => store.revert(entity, *expect, to),
                        _ => store.put(entity, *expect, write.draft()),
                    };
                }
                Step::Guard { .. } => {}
            }
        }
        store.commit_with(spec.batch()?, durability)
    }

    /// Numbers were given out for it, or would have been if the machine had stayed on.
    fn given(&mut self, planned: &Planned) {
        if let Planned::Goes { changes, .. } = planned {
            self.model.push(changes.clone());
        }
    }

    fn outcome(
        &mut self,
        planned: &Planned,
        last: u64,
        durability: Durability,
        result: recension::Result<Committed>,
    ) {
        if let Err(error) = &result
            && self.surroundings.is_off()
            && matches!(error.kind(), ErrorKind::Io | ErrorKind::Latched)
        {
            return;
        }
        if let Ok(committed) = &result
            && durability == Durability::Sync
        {
            // Whatever it rests on is durable, too: a replay and a condition that held promise as much as a write.
            assert!(
                self.store.as_ref().is_none_or(|store| store.durable() >= committed.sequence),
                "acknowledged and not durable"
            );
            self.durable = self.durable.max(committed.sequence);
        }
        match (planned, result) {
            (Planned::Goes { changes, outcomes }, Ok(committed)) => {
                assert_eq!(&committed.outcomes, outcomes);
                if changes.is_empty() {
                    assert!(committed.sequence <= self.model.last());
                    return;
                }
                assert_eq!(committed.sequence, last);
                self.acknowledged = self.acknowledged.max(last);
            }
            (Planned::Replayed { sequence, outcomes }, Ok(committed)) => {
                assert_eq!((committed.sequence, &committed.outcomes), (*sequence, outcomes));
            }
            (
                Planned::Conflict { entity, expected, actual },
                Err(Error::Conflict { entity: e, expected: x, actual: a }),
            ) => {
                assert_eq!((e.as_bytes(), x, a), (&entity[..], *expected, *actual));
            }
            (Planned::Invalid(_), Err(Error::Invalid { .. })) => {}
            (planned, result) => panic!("{result:?} instead of {planned:?}"),
        }
    }

    /// What is hidden by something that is in flight is not defined yet: waits, where the outcome would depend on it.
    fn settle_hidden(&mut self, spec: &Spec) {
        let asks = |step: &Step| match step {
            Step::Write { write, .. } => {
                write.if_changed || matches!(write.body, Body::Revert(_) | Body::Undelete)
            }
            _ => false,
        };
        let annotates = |change: &super::model::Change| matches!(change.what, What::Annotation { .. });
        let published = self.store().published() as usize;
        if spec.steps.iter().any(asks) && self.model.changes[published..].iter().any(annotates) {
            self.attempt(Store::sync);
        }
    }

    fn submit(&mut self, steps: &[BatchStep], durability: Durability) {
        let spec = self.spec(steps);
        self.settle_hidden(&spec);
        let planned = self.model.plan(&spec);
        let result = spec.batch().and_then(|batch| self.store().submit(batch, durability));
        self.given(&planned);
        let last = self.model.last();
        match result {
            Ok(ticket) => self.flights.push(Flight { ticket, planned, last, durability }),
            Err(error) => {
                assert!(
                    !matches!(planned, Planned::Goes { .. }) || self.surroundings.is_off(),
                    "{error:?} instead of {planned:?}"
                );
                self.outcome(&planned, last, durability, Err(error));
            }
        }
        if self.flights.len() > 6 {
            self.wait(3, false);
        }
    }

    fn wait(&mut self, which: u8, drops: bool) {
        if self.flights.is_empty() {
            return;
        }
        let flight = self.flights.remove(usize::from(which) % self.flights.len());
        if drops {
            return;
        }
        let early = flight.ticket.try_result();
        let result = flight.ticket.wait();
        if let Some(early) = early {
            assert_eq!(format!("{early:?}"), format!("{result:?}"), "an answer does not change");
        }
        self.outcome(&flight.planned, flight.last, flight.durability, result);
    }

    fn settle_flights(&mut self) {
        while !self.flights.is_empty() {
            self.wait(0, false);
        }
    }

    fn transaction(&mut self, reads: &[u8], between: Option<&Put>, writes: &[Put], durability: Durability) {
        self.settle_threads();
        let at = self.store().published();
        let mut transaction = self.store().transaction();
        assert_eq!(transaction.snapshot().sequence(), at);
        let mut read = std::collections::BTreeMap::new();
        let seen = |world: &Self, entity: &[u8]| world.model.stands(entity, at);
        for entity in reads.iter().map(|entity| self.name(*entity)) {
            let Some(head) = self.attempt(|_| transaction.head(&entity)) else { return };
            let expected = seen(self, &entity);
            assert_eq!(head.number(), expected.1);
            assert!(head.revision().is_none_or(|rev| rev.sequence() == expected.0));
            read.insert(entity, expected);
        }
        if let Some(put) = between {
            let spec = self.single(put);
            self.commit(spec, Durability::Buffered);
            if self.surroundings.is_off() {
                return;
            }
        }
        let mut spec = Spec::default();
        let mut heads = std::collections::BTreeMap::new();
        for put in writes {
            let Step::Write { entity, write, .. } = self.write(put, &mut heads) else {
                unreachable!("a write")
            };
            if self.attempt(|_| transaction.put(&entity, write.draft())).is_none() {
                return;
            }
            let expected = seen(self, &entity);
            read.entry(entity.clone()).or_insert(expected);
            spec.steps.push(Step::Write { entity, expect: Expect::Any, write });
        }
        let moved =
            read.iter().find(|(entity, (sequence, _))| self.model.stands(entity, u64::MAX).0 != *sequence);
        let planned = match moved {
            Some((entity, (sequence, number))) => Planned::Conflict {
                entity: entity.clone(),
                expected: if *sequence == 0 { Expect::Absent } else { Expect::Head(*number) },
                actual: self.model.head_state(entity),
            },
            None => {
                self.settle_hidden(&spec);
                self.model.plan(&spec)
            }
        };
        let result = transaction.commit(durability);
        self.given(&planned);
        self.outcome(&planned, self.model.last(), durability, result);
    }

    // ---- reading

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

    // ---- closing and opening

    fn close(&mut self) {
        let closed = self.attempt(Store::close);
        if closed.is_none() {
            return;
        }
        self.settle_flights();
        assert!(self.store().close().is_ok(), "closing again does nothing");
        self.store = None;
        self.reopened_whole();
        let Some(store) = &self.store else { return };
        let report = store.open_report();
        assert!(report.clean && report.cuts.is_empty() && report.lost.is_empty(), "{report:?}");
    }

    fn drop_and_reopen(&mut self) {
        self.store = None;
        if self.surroundings.is_off() {
            return;
        }
        self.settle_flights();
        self.reopened_whole();
    }

    /// Opens and finds everything that was given out.
    fn reopened_whole(&mut self) {
        if self.surroundings.is_off() {
            return;
        }
        match self.surroundings.open(NAME) {
            Ok(store) => {
                assert_eq!((store.published(), store.durable()), (self.model.last(), self.model.last()));
                (self.acknowledged, self.durable) = (self.model.last(), self.model.last());
                self.store = Some(store);
                self.learn();
            }
            Err(error) => assert!(self.surroundings.is_off(), "{error:?}"),
        }
    }

    fn read_only(&mut self) {
        self.close();
        if self.surroundings.is_off() || self.store.is_none() {
            return;
        }
        if self.attempt(Store::close).is_none() {
            return;
        }
        self.store = None;
        let store = self.surroundings.builder(NAME).read_only().open();
        if self.surroundings.is_off() {
            return;
        }
        let store = store.expect("opens for reading only");
        self.reads_of(&store, self.model.last());
        let refused =
            store.put("x", Expect::Any, recension::Draft::new("x")).expect_err("nothing is written");
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
        drop(store);
        self.reopened_whole();
    }

    fn reads_of(&self, store: &Store, last: u64) {
        assert_eq!(store.published(), last);
        Reads::new(store, &self.model).all();
    }

    fn checkpoint(&mut self) {
        self.checkpoints += 1;
        let name = format!("checkpoint{}", self.checkpoints);
        let to = self.surroundings.path(&name);
        self.unfinished = Some(name.clone());
        let Some(report) = self.attempt(|store| store.checkpoint(&to)) else { return };
        self.unfinished = None;
        assert_eq!(report.sequence, self.model.last());
        self.durable = report.sequence;
        if self.surroundings.is_off() {
            return;
        }
        self.learn();
        let Ok(copy) = self.surroundings.open(&name) else {
            assert!(self.surroundings.is_off(), "a checkpoint does not open");
            return;
        };
        self.reads_of(&copy, report.sequence);
        assert_ne!(
            copy.stats().expect("stats").incarnation,
            self.store().stats().expect("stats").incarnation
        );
        // It goes its own way.
        let put = copy.put("a", Expect::Any, recension::Draft::new("only in the checkpoint"));
        if self.surroundings.is_off() {
            return;
        }
        assert_eq!(put.expect("a checkpoint is a store").sequence, report.sequence + 1);
        let again = self.store().checkpoint(&to).expect_err("it is there already");
        assert_eq!(again.kind(), ErrorKind::Invalid);
    }

    fn crash(&mut self, death: Death) {
        if self.surroundings.can_die() {
            self.armed = death;
            self.die();
        }
    }

    /// If the machine went off: up again, and what is there is compared with what was promised.
    fn revive(&mut self) {
        while self.surroundings.is_off() {
            self.die();
        }
        assert!(self.store.is_some());
    }

    fn die(&mut self) {
        if let Some(store) = &self.store {
            self.durable = self.durable.max(store.durable());
            self.acknowledged = self.acknowledged.max(store.published());
        }
        let death = self.armed;
        self.surroundings.die(death);
        // The dead process lets go of what it held, in either order.
        let store = self.store.take();
        let flights = std::mem::take(&mut self.flights);
        drop(flights);
        drop(store);
        let read_only = self.surroundings.builder(NAME).read_only().open();
        let seen = read_only.map(|store| (store.published(), store));
        let promised = if death == Death::Process { self.acknowledged } else { self.durable };
        if let Ok((published, store)) = seen {
            self.survived(published, promised);
            let model = std::mem::take(&mut self.model);
            let mut cut = model.clone();
            cut.truncate(published);
            self.model = cut;
            let store = self.store.insert(store);
            let read_only = store.clone();
            self.learn();
            Reads::new(&read_only, &self.model).all();
            drop(read_only);
            self.store = None;
        } else if let Err(error) = seen {
            // A store whose making was cut short is not there to be read.
            assert!(self.model.last() == 0 && promised == 0, "does not open for reading only: {error:?}");
        }
        let store = self.surroundings.builder(NAME).open().expect("the store opens after a crash");
        let published = store.published();
        self.survived(published, promised);
        assert_eq!(store.durable(), published);
        self.model.truncate(published);
        (self.acknowledged, self.durable) = (published, published);
        self.store = Some(store);
        self.learn();
        self.read_all();
        self.check();
        self.unfinished_checkpoint();
    }

    fn survived(&self, published: u64, promised: u64) {
        assert!(published >= promised, "{promised} was promised, only {published} is there");
        assert!(
            published <= self.model.last(),
            "{published} is there, and only {} was written",
            self.model.last()
        );
        assert!(self.model.is_boundary(published), "half of a commit survived: up to {published}");
    }

    /// A checkpoint that was cut short is no store, or a whole one.
    fn unfinished_checkpoint(&mut self) {
        let Some(name) = self.unfinished.take() else { return };
        if let Ok(copy) = self.surroundings.open(&name) {
            let mut model = self.model.clone();
            let published = copy.published();
            assert!(published <= model.last());
            model.truncate(published);
            Reads::new(&copy, &model).all();
        }
    }
}

fn durability(buffered: bool) -> Durability {
    if buffered { Durability::Buffered } else { Durability::Sync }
}

fn id(n: u8) -> [u8; 16] {
    [n + 1; 16]
}

fn expect(wants: Wants, head: u64) -> Expect {
    match wants {
        Wants::Right if head == 0 => Expect::Absent,
        Wants::Right => Expect::Head(head),
        Wants::Any => Expect::Any,
        Wants::Absent => Expect::Absent,
        Wants::Off(by) => Expect::Head(head.saturating_add_signed(i64::from(by))),
    }
}

/// A few contents: empty, short, long and compressible, long and not.
pub fn content(kind: u8, len: u16) -> Bytes {
    let len = usize::from(len) % (Limits::TINY.segment_bytes as usize / 2);
    match (kind % 16, len) {
        (0, 0) => Bytes::new(),
        (n, 0) => Bytes::from(format!("content {n}")),
        (n, _) if n % 2 == 0 => Bytes::from(format!("{n}: the same words again. ").repeat(len / 20 + 1)),
        (n, _) => {
            (0..len as u64).map(|i| recension::sim::mix(u64::from(n), i) as u8).collect::<Vec<u8>>().into()
        }
    }
}

fn slot(seed: u8, i: u8) -> (Bytes, Option<Bytes>) {
    let role = Bytes::from(format!("role{i}"));
    match seed.wrapping_add(i.wrapping_mul(3)) % 5 {
        0 => (role, None),
        1 => (role, Some(content(1, u16::from(seed) * 7))),
        n => (role, Some(content(n, 0))),
    }
}

/// Fields by the bits of a number.
fn fill(write: &mut Write, put: &Put) {
    let bit = |n: u8| put.fields & 1 << n != 0;
    let fields = &mut write.fields;
    fields.author = bit(0).then(|| Bytes::from_static(b"ann"));
    fields.comment =
        bit(1).then(|| Bytes::from(if bit(0) { String::new() } else { "a comment ".repeat(20) }));
    if bit(2) {
        fields.tags = vec!["one".into(), "two".into(), "one".into()];
        fields.content_type = bit(3).then(|| Bytes::from_static(b"text/x-wiki"));
    }
    if bit(4) {
        fields.attributes = vec![
            (Bytes::new(), Bytes::new()),
            ("k".into(), "v".into()),
            ("k\0".into(), Bytes::from(vec![0; 300])),
        ];
    }
    fields.origin_id = bit(5).then_some(u64::MAX);
    fields.schema_version = bit(6).then_some(3);
    if bit(7) {
        write.flags = recension::Flags::MINOR.with(recension::Flags(1 << 9));
        write.parent = Some(u64::from(put.fields));
    }
    write.authored = put.authored.map(|secs| match secs {
        // The far future, and long before.
        i16::MAX => i64::MAX,
        i16::MIN => i64::MIN,
        secs => 1_704_067_200_000_000 + i64::from(secs) * 10_000_000,
    });
}
