//! When all is quiet: what is in the directory, and that work goes on.

use super::*;
use crate::audit::Audit;
use recension::Stats;
use recension::manifest::State;
use recension::sim::FaultKind;

/// Calls of the disk for three commits and all background work that is left when faults have stopped,
const CALLS_MAX: u64 = 50_000;
/// and jobs.
const JOBS_MAX: u64 = 1000;

/// How much is looked at when all is quiet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Drawn,
    All,
}

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
        let calls = self.machine.fs.calls();
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
        self.machine.jobs.run_until_idle(JOBS_MAX);
        let calls = self.machine.fs.calls() - calls;
        if calls > CALLS_MAX || self.machine.jobs.step() {
            let what = format!("three commits and all work behind them took {calls} calls");
            return failure("work goes on within a bound", what);
        }
        self.tidy(Look::All)?;
        self.reopen()?;
        self.tidy(Look::Drawn)?;
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

    /// The files, looked through without the store. Each look reads everything there is, and a run would take twice as long with all of them behind
    /// every recovery: behind each stands one, drawn, and all of them stand at the end.
    fn files_hold(&mut self, state: &State, how: Look) -> Done {
        let drawn = self.rng().below(4);
        let is_due = |n: u64| how == Look::All || drawn == n;
        let (env, audit) = (self.machine.env(), Audit::new(&self.model, state.store));
        if is_due(0) || is_due(3) {
            crate::outside::sound(&env, DIR, &self.limits())?;
            self.coverage.count("files verified from outside");
        }
        if is_due(1) {
            let met = crate::outside::audited(&env, DIR, state, &audit)?;
            self.coverage.count("files audited");
            self.coverage.add("contents audited", met.contents.len() as u64);
        }
        if is_due(2) {
            self.look_for_erased(false)?;
        }
        Ok(())
    }

    /// Limits that hold when all is quiet.
    fn limits_held(&self, stats: &Stats, state: &State) -> Done {
        let limits = self.limits();
        let held = |what: &str, found: u64, most: u64| match found > most {
            true => failure("limits are held", format!("{what}: {found}, at most {most}")),
            false => Ok(()),
        };
        held("bytes in the cache", stats.cache.0, stats.cache.1)?;
        held("bytes of commits in flight", stats.in_flight, 0)?;
        held("memory of memtables", stats.memtable.1, stats.memory_budget)?;
        // A snapshot of the state, and edits up to the limit; the edit that passes it is written to the new file.
        let snapshot =
            1024 + 1200 * (state.tables.len() + state.value_files.len() + state.holders.len()) as u64;
        held("bytes of the manifest", stats.disk.manifest, 2 * snapshot + 2 * limits.manifest_bytes + 8192)?;
        let live = state.value_files.values().find(|file| file.live_bytes > file.stored_bytes);
        held(
            "live bytes of a file",
            live.map_or(0, |file| file.live_bytes),
            live.map_or(0, |file| file.stored_bytes),
        )?;
        let newest = stats.levels.first().map_or(0, |level| level.0);
        held("tables in level 0", newest, u64::from(limits.level0_tables).saturating_sub(1))?;
        let mut target = limits.level1_bytes;
        let below = stats.levels.len().saturating_sub(2);
        for level in stats.levels.iter().skip(1).take(below) {
            held("bytes of a level that is not the deepest", level.1, target)?;
            target = target.saturating_mul(u64::from(limits.level_ratio));
        }
        Ok(())
    }

    /// What the store says of its size is what is on the disk.
    fn accounts(&self, stats: &Stats, state: &State) -> Done {
        let fs = &self.machine.fs;
        let len = |path: &String| fs.read_file(path).map_or(0, |bytes| bytes.len() as u64);
        let files: Vec<(String, u64)> = fs
            .files()
            .into_iter()
            .filter(|path| path.starts_with(&format!("{DIR}/")))
            .map(|path| (path.clone(), len(&path)))
            .collect();
        let sum = |wanted: &dyn Fn(&str) -> bool| {
            files.iter().filter(|(path, _)| wanted(path)).map(|(_, len)| len).sum::<u64>()
        };
        let is_lost = |path: &str| path.contains("/lost/");
        let of_kind = |end: &'static str| sum(&move |path: &str| path.ends_with(end) && !is_lost(path));
        let values = |kind| {
            let files = state.value_files.values().filter(move |file| file.kind == kind);
            files.fold((0, 0), |(n, bytes), file| (n + 1, bytes + file.len))
        };
        let tables = state.tables.values().filter(|table| table.keyspace == 0);
        let rows: u64 = tables.clone().map(|table| table.rows).sum();
        let index = tables.fold((0, 0), |(n, bytes), table| (n + 1, bytes + table.len));
        let levels = stats.levels.iter().fold((0, 0), |(n, bytes), level| (n + level.0, bytes + level.1));
        let stored: u64 = state.value_files.values().map(|file| file.stored_bytes).sum();
        let (live, dead) = stats.live_and_dead;
        type Two = (u64, u64);
        let compared: [(&str, Two, Two); 10] = [
            ("bytes on disk", (0, stats.bytes_on_disk), (0, sum(&|_| true))),
            ("bytes by what they are", (0, stats.disk.total()), (0, sum(&|_| true))),
            ("bytes of the log", (0, stats.disk.log), (0, of_kind(".seg"))),
            ("bytes of packs", (0, stats.disk.packs), (0, of_kind(".pack"))),
            (
                "bytes of tables",
                (stats.disk.index, stats.disk.annotations),
                (of_kind(".tab"), of_kind(".kv")),
            ),
            ("bytes of the manifest", (0, stats.disk.manifest), (0, of_kind(".manifest"))),
            ("bytes in lost/", (0, stats.disk.lost), (0, sum(&is_lost))),
            ("segments and packs", stats.packs, values(FileKind::Pack)),
            ("tables by level", levels, index),
            ("rows of tables; live and dead", (stats.table_rows, live + dead), (rows, stored)),
        ];
        for (what, found, wanted) in compared {
            if found != wanted {
                return failure(
                    "accounts equal the disk",
                    format!("{what}: {found:?} instead of {wanted:?}"),
                );
            }
        }
        if stats.segments != values(FileKind::Segment) {
            return failure("accounts equal the disk", format!("segments: {:?}", stats.segments));
        }
        Ok(())
    }

    /// With nothing going on and no faults: what is in the directory is what should be there.
    pub(super) fn tidy(&mut self, how: Look) -> Done {
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
            let others = FaultKind::ERRORS.iter().filter(|kind| **kind != FaultKind::ReadError);
            if !self.limited && others.map(|kind| self.machine.fs.stats().count(*kind)).sum::<u64>() == 0 {
                return failure("a failed read does not latch", format!("latched: {cause}"));
            }
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
            self.files_hold(&state, how)?;
        }
        self.accounts(&stats, &state)?;
        if !self.errors && !self.limited {
            self.limits_held(&stats, &state)?;
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
