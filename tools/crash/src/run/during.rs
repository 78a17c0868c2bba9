//! Another caller in the middle of a call: what a second thread would do while the first waits for the disk, at a place that the script says.
//!
//! A machine is one thread, so the other caller is a hook of the simulated disk that runs inside of the next sync of the log: the leader has taken
//! its group and holds the log, nothing of it is published. The other one reads, and submits what becomes the next group. It must not wait, for whoever
//! it would wait for is below it on the stack; so it comes only when nobody is slowed down, with writes that need no head.

use std::sync::{Arc, Mutex};

use super::*;

/// What the other caller saw.
struct Seen {
    published: u64,
    durable: u64,
    heads: Vec<(Bytes, Head)>,
    ticket: recension::Result<Ticket>,
}

impl World {
    /// Submits `first`, waits for one of the tickets, and has `other` submitted in the middle of the sync that makes it durable.
    pub(super) fn during(&mut self, first: &Write, other: &Write) -> Done {
        let batch = self.prepare(first)?;
        self.submit(batch)?;
        if self.tickets.is_empty() || self.latched || self.machine.fs.is_off() {
            return Ok(());
        }
        let store = self.store();
        let free = match store.stats() {
            Ok(stats) => {
                let newest = stats.levels.first().map_or(0, |level| level.0);
                let slow = u64::from(self.limits().level0_tables) * 3;
                stats.memtables_waiting == 0 && stats.packs_waiting.0 <= 2 && newest < slow
            }
            Err(error) => return self.excused("stats", &error),
        };
        let at = self.rng().below(self.tickets.len() as u64) as usize;
        if !free {
            return self.wait(at);
        }
        let batch = self.prepare(other)?;
        let predicted = self.model.predict(&batch);
        let real = match send::real(&batch) {
            Ok(real) => real,
            Err(error) => return failure("a batch can be made", error.to_string()),
        };
        let durability = if batch.sync { Durability::Sync } else { Durability::Buffered };
        let of = |batch: &SentBatch| batch.changes.iter().map(|sent| sent.entity.clone()).collect::<Vec<_>>();
        let mut names = of(&batch);
        names.extend(self.tickets.iter().flat_map(|flight| of(&flight.batch)));
        names.truncate(4);
        let seen = Arc::new(Mutex::new(None));
        let look = {
            let (seen, store) = (Arc::clone(&seen), store.clone());
            move || {
                let (published, durable) = (store.published(), store.durable());
                let head = |name: Bytes| store.head(&name).ok().map(|head| (name, head));
                let heads = names.into_iter().filter_map(head).collect();
                let ticket = store.submit(real, durability);
                if let Ok(mut seen) = seen.lock() {
                    *seen = Some(Seen { published, durable, heads, ticket });
                }
            }
        };
        self.machine.fs.meanwhile(".seg", Some(Box::new(look)));
        let Flight { ticket, predicted: awaited, batch: waited, call } = self.tickets.remove(at);
        let result = ticket.wait();
        self.machine.fs.meanwhile("", None);
        let seen = seen.lock().ok().and_then(|mut seen| seen.take());
        let mut refused = None;
        if let Some(Seen { published, durable, heads, ticket }) = seen {
            self.coverage.count("another caller in the middle of a sync");
            self.in_order(published, durable)?;
            for (name, head) in heads {
                self.see_head(&name, &head);
            }
            let call = self.begin(&batch);
            match ticket {
                Ok(ticket) => {
                    if let Predicted::Commit(commit, _) = &predicted {
                        self.model.reserve(commit.clone());
                    }
                    self.tickets.push(Flight { ticket, predicted, batch, call });
                }
                Err(error) => refused = Some((call, batch, predicted, Err(error))),
            }
        }
        self.ended(call, &waited, &result);
        self.answered(&waited, &awaited, result, true)?;
        if let Some((call, batch, predicted, result)) = refused {
            self.ended(call, &batch, &result);
            self.answered(&batch, &predicted, result, false)?;
        }
        Ok(())
    }
}
