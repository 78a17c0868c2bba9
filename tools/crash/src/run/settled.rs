//! When all is quiet: what is in the directory, and that work goes on.

use super::*;

impl World {
    /// After everything: work goes on, nothing is left over, the checkpoints are what they were.
    pub(super) fn finish(&mut self) -> Done {
        self.script.faults.clear();
        self.script.clock = (0, 0);
        self.machine.fs.kill_never();
        self.faults_off();
        self.machine.fs.set_capacity(1 << 40);
        if self.silent {
            return Ok(());
        }
        self.n += 1;
        // What failed may show only now.
        self.reopen()?;
        if self.over {
            return Ok(());
        }
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
            let mut oracle = Oracle::new(&store, &mut model, Allowed::default());
            oracle.everything(Depth::Usual, &mut rng)?;
            oracle.check()?;
            self.coverage.count("checkpoint opened");
        }
        Ok(())
    }

    /// With nothing going on and no faults: what is in the directory is what should be there.
    pub(super) fn tidy(&mut self) -> Done {
        if self.silent || self.treacherous || self.machine.fs.is_off() {
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
        if !self.errors && !self.limited {
            crate::outside::sound(&self.machine.env(), DIR, &self.limits())?;
        }
        let mut known: BTreeMap<String, u64> = BTreeMap::new();
        known.extend(
            state.tables.values().map(|it| (format!("{DIR}/{}", it.id.file_name(it.kind())), it.len)),
        );
        known.extend(
            state.value_files.values().map(|it| (format!("{DIR}/{}", it.id.file_name(it.kind)), it.len)),
        );
        let obsolete: BTreeSet<String> =
            state.obsolete.iter().map(|(id, kind)| format!("{DIR}/{}", id.file_name(*kind))).collect();
        // What was given up on a full disk, or because of an error, is cleared away at the next opening at the latest.
        let given_up: BTreeSet<String> = match self.limited || self.errors {
            true => state.intents.iter().map(|(id, kind)| format!("{DIR}/{}", id.file_name(*kind))).collect(),
            false => BTreeSet::new(),
        };
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
                _ if obsolete.contains(path) || given_up.contains(path) => {}
                Some("seg") => segments += 1,
                Some("manifest") => manifests += 1,
                _ if self.strays > 0 && path.contains("/lost/") => {}
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
        if waiting != (0, 0) || state.intents.len() > given_up.len() {
            let what = format!("memtables and segments to pack: {waiting:?}, intents {:?}", state.intents);
            return failure("work comes to an end", what);
        }
        Ok(())
    }
}
