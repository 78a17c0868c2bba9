//! What an outsider sees, for [`crate::linear`].

use super::*;
use crate::linear::{Act, Step};

impl World {
    /// A call begins.
    pub(super) fn begin(&mut self, batch: &SentBatch) -> u64 {
        let step = |sent: &Sent| match &sent.what {
            SentWhat::Write(write) => Step {
                expect: sent.expect,
                act: Act::Write {
                    deletes: write.body == Body::Tombstone,
                    number: write.number,
                    if_changed: write.if_changed,
                },
            },
            SentWhat::Note { .. } => Step { expect: Expect::Any, act: Act::Note },
            SentWhat::Require => Step { expect: sent.expect, act: Act::Require },
            SentWhat::Read(_) => Step { expect: sent.expect, act: Act::Seen },
            SentWhat::Purge => Step { expect: sent.expect, act: Act::Purge },
        };
        self.histories.begin(batch.changes.iter().map(|sent| (&sent.entity[..], step(sent))))
    }

    /// It was answered.
    pub(super) fn ended(&mut self, call: u64, batch: &SentBatch, result: &recension::Result<Committed>) {
        match result {
            Ok(committed) => {
                let names: Vec<&[u8]> = batch.changes.iter().map(|sent| &sent.entity[..]).collect();
                // A transaction is not told of the conditions that its reads made.
                let guards = names.len().saturating_sub(committed.outcomes.len());
                let mut outcomes = vec![Outcome::Held; guards];
                outcomes.extend(&committed.outcomes);
                let writes = |outcome: &Outcome| {
                    matches!(outcome, Outcome::Written { .. } | Outcome::Annotated { .. })
                };
                let durable = batch.sync && committed.outcomes.iter().any(writes);
                self.histories.done(call, &names, &outcomes, durable);
            }
            Err(Error::Conflict { entity, actual, .. }) => {
                self.histories.conflict(call, entity.as_bytes(), *actual)
            }
            Err(error) if error.kind() == ErrorKind::Latched || self.machine.fs.is_off() => {}
            Err(_) => self.histories.refused(call),
        }
    }

    /// The heads that everybody sees now.
    pub(super) fn see_heads(&mut self) {
        let store = self.store();
        let names: Vec<Vec<u8>> = self.histories.entities().cloned().collect();
        for name in names {
            if let Ok(head) = store.head(&name) {
                self.see_head(&name, &head);
            }
        }
    }

    pub(super) fn see_head(&mut self, name: &[u8], head: &Head) {
        let state = match head {
            Head::Live(revision) => HeadState::Live(revision.number()),
            Head::Deleted(revision) => HeadState::Deleted(revision.number()),
            Head::Purged(last) => HeadState::Purged(*last),
            _ => HeadState::Absent,
        };
        self.histories.read(name, state);
    }

    /// Whether there is an order.
    pub(super) fn look_at_histories(&mut self) -> Done {
        if self.silent {
            return Ok(());
        }
        match self.histories.look() {
            Ok(looked) => {
                self.coverage.add("events of histories put in order", looked.events);
                self.coverage.add("calls under way with others", looked.concurrent);
                self.coverage.add("histories with too many orders", looked.given_up);
                Ok(())
            }
            Err((entity, what)) => {
                failure("histories are linearisable", format!("{}: {what}", name(&entity)))
            }
        }
    }
}
