//! Commits: sent, predicted, and the answer compared.

use super::*;

impl World {
    pub(super) fn prepare(&mut self, write: &Write) -> Result<SentBatch, Failure> {
        let batch = send::batch(write, &self.model);
        if let Some(n) = write.request {
            self.requests.insert(n, batch.clone());
        }
        self.settle_notes(&batch)?;
        Ok(batch)
    }

    /// `if_changed` and reverts ask what is hidden *now*: with a hiding in flight either answer is right, so there is none.
    pub(super) fn settle_notes(&mut self, batch: &SentBatch) -> Done {
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

    pub(super) fn commit(&mut self, write: &Write) -> Done {
        let batch = self.prepare(write)?;
        self.send(batch)
    }

    /// Commits and waits.
    pub(super) fn send(&mut self, batch: SentBatch) -> Done {
        let predicted = self.model.predict(&batch);
        let was_latched = self.latched;
        let real = match send::real(&batch) {
            Ok(real) => real,
            Err(error) => return failure("a batch can be made", error.to_string()),
        };
        let durability = if batch.sync { Durability::Sync } else { Durability::Buffered };
        let call = self.begin(&batch);
        let result = self.store().commit_with(real, durability);
        self.ended(call, &batch, &result);
        if let Predicted::Commit(commit, _) = &predicted {
            // In flight when it latched: it may have a number.
            let unknown = matches!(&result, Err(error) if error.kind() == ErrorKind::Latched) && !was_latched;
            if result.is_ok() || unknown {
                self.model.reserve(commit.clone());
            }
        }
        self.answered(&batch, &predicted, result, false)
    }

    pub(super) fn submit(&mut self, batch: SentBatch) -> Done {
        let predicted = self.model.predict(&batch);
        let real = match send::real(&batch) {
            Ok(real) => real,
            Err(error) => return failure("a batch can be made", error.to_string()),
        };
        let durability = if batch.sync { Durability::Sync } else { Durability::Buffered };
        let call = self.begin(&batch);
        match self.store().submit(real, durability) {
            Ok(ticket) => {
                if let Predicted::Commit(commit, _) = &predicted {
                    self.model.reserve(commit.clone());
                }
                self.tickets.push(Flight { ticket, predicted, batch, call });
                Ok(())
            }
            Err(error) => {
                let result = Err(error);
                self.ended(call, &batch, &result);
                self.answered(&batch, &predicted, result, false)
            }
        }
    }

    pub(super) fn wait(&mut self, at: usize) -> Done {
        if at >= self.tickets.len() {
            return Ok(());
        }
        let Flight { ticket, predicted, batch, call } = self.tickets.remove(at);
        let result = ticket.wait();
        self.ended(call, &batch, &result);
        self.answered(&batch, &predicted, result, true)
    }

    pub(super) fn wait_all(&mut self) -> Done {
        let mut rng = self.rng();
        while !self.tickets.is_empty() {
            let at = rng.below(self.tickets.len() as u64) as usize;
            self.wait(at)?;
        }
        Ok(())
    }

    /// Compares an answer with the prediction.
    pub(super) fn answered(
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

    pub(super) fn transaction(
        &mut self,
        reads: &[u8],
        writes: &[Edit],
        between: &Option<Edit>,
        sync: bool,
    ) -> Done {
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
            self.see_head(&name, &head);
            let rev = self.model.at(&name, at).last();
            let purge = self.model.purged_now(&name);
            let same = match (&head, rev) {
                (Head::Absent, None) => purge.is_none(),
                (Head::Purged(last), None) => purge.is_some_and(|purge| purge.last == *last),
                (head, Some(rev)) => head.revision().is_some_and(|it| it.sequence() == rev.sequence),
                _ => false,
            };
            if !same {
                return failure("snapshots are right", format!("a transaction at {at} sees {head:?}"));
            }
            let stands = rev.map(|rev| (rev.sequence, rev.number));
            let read = match (stands, purge) {
                (Some((sequence, number)), _) => (sequence, Expect::Head(number)),
                (None, Some(purge)) => (purge.sequence, Expect::Any),
                (None, None) => (0, Expect::Absent),
            };
            seen.insert(name, read);
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
        let call = self.begin(&batch);
        let result = transaction.commit(durability);
        self.ended(call, &batch, &result);
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
}

fn depends(batch: &SentBatch) -> bool {
    use crate::predict::Body;
    batch.changes.iter().any(|sent| match &sent.what {
        SentWhat::Write(write) => {
            matches!(write.body, Body::Revert(_) | Body::Undelete) || write.number.is_some()
        }
        SentWhat::Note { .. } | SentWhat::Purge => true,
        _ => false,
    })
}
