//! Commits in the model, and beside it in the store: planned, in flight, and what came of them.

use bytes::Bytes;
use recension::limits::Limits;
use recension::{Committed, Durability, Error, ErrorKind, Expect, FieldMask, Store};

use super::super::batch::{Body, Spec, Step, Write, hiding};
use super::super::model::{Change, What};
use super::super::op::{BatchStep, Mask, Put, Text, Wants};
use super::super::plan::Planned;
use super::{Flight, World};

impl World {
    pub(super) fn name(&self, entity: u8) -> Vec<u8> {
        self.entities[usize::from(entity) % self.entities.len()].clone()
    }

    pub(super) fn spec(&self, steps: &[BatchStep]) -> Spec {
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

    pub(super) fn single(&self, put: &Put) -> Spec {
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

    pub(super) fn commit(&mut self, spec: Spec, durability: Durability) {
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
    pub(super) fn given(&mut self, planned: &Planned) {
        if let Planned::Goes { changes, .. } = planned {
            self.model.push(changes.clone());
        }
    }

    pub(super) fn outcome(
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
        let annotates = |change: &Change| matches!(change.what, What::Annotation { .. });
        let published = self.store().published() as usize;
        if spec.steps.iter().any(asks) && self.model.changes[published..].iter().any(annotates) {
            self.attempt(Store::sync);
        }
    }

    pub(super) fn submit(&mut self, steps: &[BatchStep], durability: Durability) {
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

    pub(super) fn wait(&mut self, which: u8, drops: bool) {
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

    pub(super) fn settle_flights(&mut self) {
        while !self.flights.is_empty() {
            self.wait(0, false);
        }
    }

    pub(super) fn transaction(
        &mut self,
        reads: &[u8],
        between: Option<&Put>,
        writes: &[Put],
        durability: Durability,
    ) {
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
}

pub(super) fn id(n: u8) -> [u8; 16] {
    [n + 1; 16]
}

pub(super) fn expect(wants: Wants, head: u64) -> Expect {
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
