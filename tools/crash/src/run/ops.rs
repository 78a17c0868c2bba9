//! One operation after the other, and what may be answered.

use recension::env::JobClass;

use super::*;

impl World {
    /// After each operation: watermarks, background work.
    pub(super) fn after_op(&mut self) -> Done {
        let store = self.store();
        let (published, durable) = (store.published(), store.durable());
        self.in_order(published, durable)?;
        self.model.observe(published, durable);
        self.note(published);
        let steps = match self.script.options.jobs {
            0 => 0,
            1 => self.rng().below(3) / 2 * 3,
            2 => 1,
            4 => {
                while self.machine.jobs.step_class(JobClass::Flush) {}
                0
            }
            _ => 100,
        };
        self.machine.jobs.run_until_idle(steps);
        Ok(())
    }

    /// What is published and what is durable, at any moment.
    pub(super) fn in_order(&self, published: u64, durable: u64) -> Done {
        if published > self.model.end() || durable > published {
            let what = format!("durable {durable}, published {published}, submitted {}", self.model.end());
            return failure("watermarks are in order", what);
        }
        if published < self.model.seen || durable < self.model.owed {
            let what = format!("published {published} after {}, durable {durable}", self.model.seen);
            return failure("watermarks never go back", what);
        }
        let sync = self.model.commits.iter().rev().find(|commit| commit.sync && commit.last() <= published);
        match sync.filter(|commit| commit.last() > durable) {
            Some(commit) => {
                let what = format!("{} is visible, {durable} is durable", commit.last());
                failure("durable before visible", what)
            }
            None => Ok(()),
        }
    }

    pub(super) fn op(&mut self, op: &Op) -> Done {
        match op {
            Op::Commit(write) => self.commit(write),
            Op::Submit(write) => {
                let batch = self.prepare(write)?;
                self.submit(batch)
            }
            Op::During { first, other } => self.during(first, other),
            Op::Retry(n) => match self.requests.get(n).cloned() {
                Some(batch) => {
                    self.settle_notes(&batch)?;
                    // Whether what is in flight counts among the newest revisions that are looked at is open.
                    self.wait_all()?;
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
                        self.histories.synced();
                        Ok(())
                    }
                    false => Ok(()),
                }
            }
            Op::Flush => {
                let result = self.store().flush();
                self.maintain("flush", result).map(drop)
            }
            Op::Compact { full, stop } => {
                let mut asked = 0;
                let mut go_on = |_: &'static str, _: u64, _: u64| {
                    asked += 1;
                    stop.is_none_or(|stop| asked < u64::from(stop))
                };
                let how = if *full { recension::Compaction::Full } else { recension::Compaction::Due };
                let result = self.store().compact(how, &mut recension::Progress::new(&mut go_on));
                if matches!(result, Err(Error::Cancelled)) && stop.is_some() {
                    self.coverage.count("compaction cancelled");
                    return Ok(());
                }
                self.maintain("compact", result).map(drop)
            }
            Op::Fault { kind, on, skip } => {
                self.errors |= FaultKind::ERRORS.contains(kind);
                self.treacherous |= FaultKind::SILENT.contains(kind);
                self.machine.fs.fail_next(*kind, on.part(), u32::from(*skip));
                Ok(())
            }
            Op::Aim(at) => {
                self.kill_at(*at);
                Ok(())
            }
            Op::Checkpoint => self.checkpoint(),
            Op::Forget { .. } | Op::ForgetAll { .. } | Op::Retain { .. } | Op::Purge { .. } => self.erase(op),
            Op::Reclaim { stop } => self.reclaim(*stop),
            Op::Follow(back) => self.follow(*back),
            Op::Stray => {
                self.keep_old_file();
                Ok(())
            }
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
            Op::Anew => self.anew(),
            Op::Read(n) => {
                let name = entity(*n);
                let at = self.store().published();
                if let Ok(head) = self.store().head(&name) {
                    self.see_head(&name, &head);
                }
                self.with_oracle(|oracle| {
                    oracle.head(&name)?;
                    oracle.history(&name, at)
                })
                .or_else(excuse)
            }
            Op::Verify => {
                self.verify(Depth::Usual)?;
                self.check_held()?;
                self.look_for_erased(false)
            }
            Op::Hold => {
                let snapshot = self.store().snapshot();
                let sequence = snapshot.sequence();
                // Revisions in hand: what is hidden or forgotten later is so for them, too.
                let heads: Vec<Head> = (0..4).filter_map(|n| self.store().head(entity(n)).ok()).collect();
                let revisions = heads.into_iter().filter_map(|head| head.revision().cloned()).collect();
                let mut walk = snapshot.heads(recension::EntityRange::default());
                let first = walk
                    .next()
                    .and_then(Result::ok)
                    .and_then(|head| Some(head.revision()?.entity().bytes().clone()));
                let walk = first.map(|first| (walk, first));
                self.held.push(Held { snapshot, sequence, revisions, walk });
                if self.held.len() > 4 {
                    self.check_held()?;
                    let held = self.held.remove(0);
                    self.end_walk(held)?;
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
            Op::Restore => crate::side::restore(self),
        }
    }

    /// What maintenance answers; `true` if it went well.
    pub(super) fn maintain<T>(&mut self, what: &str, result: recension::Result<T>) -> Result<bool, Failure> {
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
    pub(super) fn excused(&mut self, what: &str, error: &Error) -> Done {
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

    pub(super) fn jumped(&self) -> bool {
        self.machine.fs.stats().count(FaultKind::ClockJump) > 0
    }

    pub(super) fn verify(&mut self, depth: Depth) -> Done {
        let mut rng = self.rng();
        self.with_oracle(|oracle| oracle.everything(depth, &mut rng)).or_else(excuse)?;
        if self.rng().one_in(2) {
            self.with_oracle(|oracle| oracle.check().map(drop)).or_else(excuse)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint(&mut self) -> Done {
        let dir = format!("/copies/{}", self.n);
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

    /// What a walk that was begun earlier still gives out: every head behind the last one as of its snapshot, but for what was purged since.
    fn end_walk(&mut self, held: Held) -> Done {
        let Some((walk, last)) = held.walk else { return Ok(()) };
        let mut found = Vec::new();
        for head in walk {
            match head {
                Ok(head) => {
                    found.extend(head.revision().map(|it| (it.entity().bytes().clone(), it.sequence())))
                }
                Err(error) => return self.excused("a walk", &error),
            }
        }
        self.look_for_silent_damage();
        let purged = |entity: &Bytes| self.model.purge(entity, u64::MAX).is_some();
        found.retain(|(entity, _)| !purged(entity));
        let names = self.model.entities.keys().filter(|entity| **entity > last && !purged(entity));
        let heads = names.filter_map(|entity| {
            Some((entity.clone(), self.model.at(entity, held.sequence).last()?.sequence))
        });
        let wanted: Vec<(Bytes, u64)> = heads.collect();
        self.coverage.count("walk ended late");
        match found == wanted || self.silent {
            true => Ok(()),
            false => failure(
                "listings are whole",
                format!("a walk begun at {}: {found:?} instead of {wanted:?}", held.sequence),
            ),
        }
    }

    pub(super) fn check_held(&mut self) -> Done {
        let kept: Vec<recension::Revision> =
            self.held.iter().flat_map(|held| held.revisions.iter().cloned()).collect();
        self.with_oracle(|oracle| kept.iter().try_for_each(|revision| oracle.in_hand(revision)))
            .or_else(excuse)?;
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
}
