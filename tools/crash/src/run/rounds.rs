//! The rounds of a script, and how each ends.

use super::*;

impl World {
    pub(super) fn script(&mut self, script: &Script) -> Done {
        self.faults_on();
        self.recover(&script.creation)?;
        for round in &script.rounds {
            if self.over {
                break;
            }
            self.round(round)?;
        }
        if !self.over {
            self.finish()?;
        }
        self.look_at_histories()
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

    pub(super) fn kill_at(&self, at: At) {
        let fs = &self.machine.fs;
        match at {
            At::Change(n) => fs.kill_at_change(fs.changes() + n),
            At::Sync(n) => fs.kill_at_sync(fs.syncs() + n),
        }
    }

    pub(super) fn crash(&mut self, kind: CrashKind) {
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

    pub(super) fn drop_all(&mut self) {
        // Tickets that are dropped queue work; a machine that is off runs none.
        self.tickets.clear();
        self.held.clear();
        self.followers.clear();
        self.store = None;
        self.latched = false;
    }
}
