//! Opening after a crash, with crashes in between, and what must have come back.

use super::*;

impl World {
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
        self.put_back_old_file();
        let store = loop {
            let crash = nested.next();
            if let Some(Crash { at: Some(at), .. }) = crash {
                self.kill_at(*at);
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
            self.machine.fs.kill_never();
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
        if !report.lost.is_empty() && !self.silent && self.strays == 0 {
            return failure("no file is unknown", format!("{:?}", report.lost));
        }
        self.coverage.count("recovered");
        self.power = false;
        self.sync_errors = self.count_sync_errors();
        self.store = Some(store);
        self.see_heads();
        self.verify(Depth::Usual)?;
        self.tidy(settled::Look::Drawn)?;
        for cursor in std::mem::take(&mut self.cursors) {
            let mut rng = self.rng();
            self.with_oracle(|oracle| oracle.feed(cursor, &mut rng))?;
        }
        self.faults_on();
        Ok(())
    }

    /// What has come back, against what is owed.
    pub(super) fn observe_open(&mut self, store: &Store) -> Done {
        let last = store.published();
        // What a failed sync left behind is not even the process's any more: the page cache lies, and nobody believes it.
        let process = !self.power && self.sync_errors == self.count_sync_errors();
        self.histories.crash(!process);
        self.say(|| format!("opened at {last}, cuts {:?}", store.open_report().cuts));
        self.note(last);
        if store.durable() != last {
            return failure("what is recovered is durable", format!("{} of {last}", store.durable()));
        }
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

    /// Keeps a copy of a finished file.
    pub(super) fn keep_old_file(&mut self) {
        let finished = |path: &String| {
            path.starts_with("/db/") && [".tab", ".kv", ".pack"].iter().any(|kind| path.ends_with(kind))
        };
        let files: Vec<String> = self.machine.fs.files().into_iter().filter(finished).collect();
        if let Some(path) = self.rng().pick(&files)
            && self.old_file.is_none()
            && let Ok(bytes) = self.machine.fs.read_file(path)
        {
            self.old_file = Some((path.clone(), bytes));
        }
    }

    /// Somebody restores a file that the store has no use for any more.
    fn put_back_old_file(&mut self) {
        let Some((path, bytes)) = self.old_file.take() else { return };
        if self.machine.fs.files().contains(&path) {
            self.old_file = Some((path, bytes));
        } else if self.machine.fs.write_file(&path, &bytes).is_ok() {
            self.say(|| format!("{path} is back"));
            self.strays += 1;
            self.coverage.count("old file came back");
        }
    }

    pub(super) fn count_sync_errors(&self) -> u64 {
        self.machine.fs.stats().count(FaultKind::SyncError)
    }

    pub(super) fn reopen(&mut self) -> Done {
        self.close()?;
        if self.machine.fs.is_off() {
            return Ok(());
        }
        self.drop_all();
        self.recover(&[])
    }

    /// Closed, manifest and index made anew, opened.
    pub(super) fn anew(&mut self) -> Done {
        self.close()?;
        if self.machine.fs.is_off() {
            return Ok(());
        }
        self.drop_all();
        if self.machine.fs.has_lost_names() {
            // As before an opening: the file system has to be mounted again first.
            self.machine.fs.power_off();
            self.crash(CrashKind::Process);
        }
        let result = self.builder(DIR).rebuild(recension::RebuildMode::Apply);
        self.look_for_silent_damage();
        if self.machine.fs.is_off() {
            return Ok(());
        }
        match result {
            Ok(_) => self.coverage.count("rebuilt in place"),
            Err(error) => {
                self.say(|| format!("rebuild: {error}"));
                let trouble = self.errors || self.limited || self.silent;
                if !trouble {
                    return failure("the index can be made again from the log", error.to_string());
                }
            }
        }
        self.recover(&[])
    }

    fn close(&mut self) -> Done {
        let store = self.store();
        let closed = store.close();
        self.note(u64::from(closed.is_ok()));
        drop(store);
        // Closing reads what it seals.
        self.look_for_silent_damage();
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
        Ok(())
    }
}
