//! Erasing for real: after it no file that the report does not name has a byte of what is forgotten.

use super::*;
use crate::audit::Audit;
use recension::{FieldMask, HeldRole, Progress};

const ORACLE: &str = "what is reclaimed is in no file that is not named";

impl World {
    pub(super) fn reclaim(&mut self, stop: Option<u8>) -> Done {
        self.wait_all()?;
        let mut asked = 0;
        let mut go_on = |_: &'static str, _: u64, _: u64| {
            asked += 1;
            stop.is_none_or(|stop| asked < u64::from(stop))
        };
        match self.store().reclaim(&mut Progress::new(&mut go_on)) {
            Ok(done) if !done.is_complete() => match self.is_plain() {
                true => failure(ORACLE, format!("without any damage: {done:?}")),
                false => Ok(()),
            },
            Ok(done) => {
                self.note(done.value_files << 8 | done.tables);
                self.coverage.count("reclaimed");
                self.coverage.add("files written anew", done.value_files + done.tables);
                self.nothing_left()?;
                self.look_for_erased(true)
            }
            Err(Error::Cancelled) if stop.is_some() => {
                self.coverage.count("reclaim cancelled");
                Ok(())
            }
            Err(error) => self.excused("reclaim", &error),
        }
    }

    /// A reclaim that says that it is complete has seen every file of the store, whatever calls failed: read on a copy without faults, none of those that
    /// the manifest names has anything.
    fn nothing_left(&self) -> Done {
        if self.silent || self.treacherous || self.machine.fs.is_off() || !self.has_erasures() {
            return Ok(());
        }
        let copy = self.machine.fork().process_kill();
        copy.fs.heal();
        let env = copy.env();
        let Ok(state) = recension::manifest::read_state(&env, DIR.as_ref()) else { return Ok(()) };
        let audit = Audit::new(&self.model, state.store);
        let tables = state.tables.values().map(|table| table.id.file_name(table.kind()));
        let values = state.value_files.values().map(|file| file.id.file_name(file.kind));
        for name in tables.chain(values) {
            if let Ok(Some(left)) = audit.leftover(&env, format!("{DIR}/{name}").as_ref()) {
                return failure(ORACLE, format!("a complete reclaim left {left} in {name}"));
            }
        }
        Ok(())
    }

    /// Looks for what is forgotten in every file, checkpoints included: as it stands there, and decoded part by part. What has any of it must be
    /// in the erasure report, and behind a reclaim that is complete (`reclaimed`) that may be no file of the store itself.
    pub(super) fn look_for_erased(&mut self, reclaimed: bool) -> Done {
        if !self.is_plain() || self.machine.fs.has_lost_names() {
            return Ok(());
        }
        let forgotten = self.forgotten_contents();
        if forgotten.is_empty() && !self.has_erasures() {
            return Ok(());
        }
        let report = match self.store().erasure_report(&mut Progress::none()) {
            Ok(report) => report,
            Err(error) => return self.excused("the erasure report", &error),
        };
        self.coverage.count("looked for what is erased");
        let of_store = |role| !matches!(role, HeldRole::Lost | HeldRole::Checkpoint | HeldRole::Obsolete);
        if let Some(held) = report.held.iter().find(|held| reclaimed && of_store(held.role)) {
            return failure(ORACLE, format!("a complete reclaim left {held:?}"));
        }
        let held = report.held.iter().map(|held| held.path.display().to_string());
        let unknown = report.unknown.iter().map(|unknown| unknown.path.display().to_string());
        let named: BTreeSet<String> = held.chain(unknown).collect();
        if self.machine.fs.is_off() {
            return Ok(());
        }
        let env = self.machine.env();
        let state = match recension::manifest::read_state(&env, DIR.as_ref()) {
            Ok(state) => state,
            Err(error) => return self.excused("the manifest", &error),
        };
        let audit = Audit::new(&self.model, state.store);
        for path in self.machine.fs.files() {
            let is_named =
                |path: &str| named.iter().any(|it| path == it || path.starts_with(&format!("{it}/")));
            let own = path.starts_with(&format!("{DIR}/"));
            if !own && !path.starts_with("/copies/") || is_named(&path) {
                continue;
            }
            let bytes = self.machine.fs.read_file(&path).unwrap_or_default();
            if let Some(content) = found_in(&bytes, &forgotten) {
                return failure(ORACLE, format!("{path} has `{}`", String::from_utf8_lossy(content)));
            }
            let is_ours =
                path.rsplit('/').next().is_some_and(|it| recension::codec::FileId::parse(it).is_some());
            match audit.leftover(&env, path.as_ref()) {
                _ if self.machine.fs.is_off() => return Ok(()),
                Ok(Some(left)) => return failure(ORACLE, format!("{path} has {left}; named are {named:?}")),
                Err(what) if is_ours => {
                    return failure(ORACLE, format!("{path} cannot be looked into: {what}"));
                }
                _ => {}
            }
        }
        if report.held.iter().any(|held| held.role == HeldRole::Checkpoint) {
            self.coverage.count("a checkpoint holds what is forgotten");
        }
        if report.held.iter().any(|held| held.role == HeldRole::Obsolete) {
            self.coverage.count("a file that waits for its reader holds what is forgotten");
        }
        if report.held.iter().any(|held| held.role == HeldRole::Lost) {
            self.coverage.count("a file in lost/ holds what is forgotten");
        }
        Ok(())
    }

    fn has_erasures(&self) -> bool {
        let mut notes = self.model.notes.values().flatten();
        notes.any(|note| note.kind.erases())
    }

    /// Beginnings of contents that nobody may read any more: of every revision that had them they are forgotten.
    fn forgotten_contents(&self) -> Vec<Bytes> {
        let (mut gone, mut there) = (BTreeSet::new(), BTreeSet::new());
        for (name, revs) in &self.model.entities {
            let purge = self.model.purge(name, u64::MAX).map_or(0, |purge| purge.sequence);
            for rev in revs {
                let forgotten = rev.sequence < purge
                    || self.model.forgotten(name, rev.number, u64::MAX).contains(FieldMask::CONTENT);
                let contents = rev.content.iter().chain(rev.slots.iter().filter_map(|(_, it)| it.as_ref()));
                for content in contents.filter(|content| content.len() >= 20) {
                    let marker = content.slice(..content.len().min(40));
                    if forgotten {
                        gone.insert(marker)
                    } else {
                        there.insert(marker)
                    };
                }
            }
        }
        gone.difference(&there).cloned().collect()
    }
}

/// The first of the contents that bytes have somewhere. (All contents begin alike, so most places are ruled out by one look.)
fn found_in<'a>(bytes: &[u8], contents: &'a [Bytes]) -> Option<&'a Bytes> {
    let first = contents.first()?;
    let alike = contents.iter().fold(first.len(), |alike, content| {
        first.iter().zip(content.iter()).take_while(|(a, b)| a == b).count().min(alike)
    });
    let start = &first[..alike];
    let byte = start.first()?;
    let places = bytes.iter().enumerate().filter(|(_, it)| *it == byte).map(|(at, _)| &bytes[at..]);
    let mut places = places.filter(|rest| rest.starts_with(start));
    places.find_map(|rest| contents.iter().find(|content| rest.starts_with(content)))
}
