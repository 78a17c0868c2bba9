//! A store as a whole: its files against the manifest, the order of levels, the log up to its promises, index against value files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account::holds_of;
use super::{Finding, Totals, Verified, Verifier, name_affected};
use crate::codec::{FileId, FileKind, Holds, Part, PartState};
use crate::env::{Access, Env, Fs};
use crate::error::IoContext;
use crate::index::levels::invariants::check_level_order;
use crate::index::levels::{IndexView, Levels};
use crate::inspect::diff::{Difference, Found, WINDOW, diff};
use crate::inspect::files::StoreFiles;
use crate::inspect::names::NAMES_MAX;
use crate::inspect::tables::ReadTables;
use crate::inspect::walk::is_gone;
use crate::limits::Limits;
use crate::log::{Position, RecoveryInput, RecoveryMode, survey};
use crate::manifest::{State, refuse_if_behind};
use crate::pack::Depth;
use crate::{Error, ErrorKind, Result};

/// Verifies everything in a store's directory, whoever writes there meanwhile: if [`Verified::moved_on`], look again.
///
/// # Errors
/// `Io`, `Unsupported`. Damage is no error here.
pub fn verify_store(env: &Env, dir: &Path, depth: Depth, limits: &Limits) -> Result<Verified> {
    let fs = env.fs.as_ref();
    let files = StoreFiles::read(fs, dir)?;
    let mut store = StoreVerify {
        env,
        limits,
        files: &files,
        verifier: Verifier::new(depth, &|| false),
        notes: Vec::new(),
        vanished: false,
    };
    let elsewhere = store.all()?;
    let StoreVerify { verifier, notes, vanished, .. } = store;
    let (read, found): (Totals, Vec<Finding>) = (verifier.read, verifier.found);
    let mut found = found;
    let moved_on = (vanished || !found.is_empty()) && files.has_moved_on(fs);
    if moved_on {
        // What a writer has replaced meanwhile is none of the store's any more, whatever was found in it.
        let now = StoreFiles::read(fs, dir)?;
        found.retain(|finding| finding.file.is_empty() || now.is_needed(&finding.file));
    }
    let mut verified = Verified { read, found, notes, moved_on };
    name_affected(fs, &mut verified, &elsewhere)?;
    Ok(verified)
}

struct StoreVerify<'a> {
    env: &'a Env,
    limits: &'a Limits,
    files: &'a StoreFiles,
    verifier: Verifier<'a>,
    notes: Vec<String>,
    /// A file was replaced while it was read.
    vanished: bool,
}

impl StoreVerify<'_> {
    /// Answers the files in which names can be looked up.
    fn all(&mut self) -> Result<Vec<PathBuf>> {
        let (files, fs) = (self.files, self.env.fs.as_ref());
        let mut sound = 0_usize;
        for (id, kind, _) in &files.files {
            match files.is_aside(*id, *kind) {
                true => {
                    let (name, role) = (id.file_name(*kind), files.role(*id, *kind));
                    self.notes.push(format!("{name} is {role}: not looked at"));
                }
                false => sound = sound.saturating_add(usize::from(self.one(*id, *kind)?)),
            }
        }
        let Some(state) = files.state.clone() else {
            let why = "expected a manifest that can be read: `recension rebuild` makes a new one from the value files";
            self.verifier.find(Finding::new("", "manifest", why));
            return Ok(files.value_files());
        };
        self.manifest(&state)?;
        for name in &files.missing {
            let why = "expected the file that the manifest names, found none";
            self.verifier.find(Finding::new(name, "missing", why).holding(named_holds(&state, name)));
        }
        for (name, by_manifest, len) in &files.resized {
            let why = format!("expected {by_manifest} bytes as the manifest says, found {len}");
            self.verifier.find(Finding::new(name, "length", why).holding(named_holds(&state, name)));
        }
        self.level_order(&state, sound)?;
        self.log(&state)?;
        self.pointers()?;
        let mut elsewhere = files.value_files();
        elsewhere.extend(files.tables());
        elsewhere.retain(|path| fs.exists(path).unwrap_or(false));
        Ok(elsewhere)
    }

    /// Whether it is the newest state: a file with a number that it has not given out says no. Its torn end is told.
    fn manifest(&mut self, state: &State) -> Result<()> {
        let (fs, dir) = (self.env.fs.as_ref(), self.files.dir.as_path());
        let Some(id) = self.files.manifest else { return Ok(()) };
        let name = id.file_name(FileKind::Manifest);
        if let Err(error) = refuse_if_behind(fs, dir, id, state) {
            match error.kind() {
                // A writer gives out numbers and makes files meanwhile.
                ErrorKind::Corrupt if self.files.has_moved_on(fs) => self.vanished = true,
                ErrorKind::Corrupt => self.verifier.find(Finding::of_error(&name, "manifest", &error)),
                _ if is_gone(&error) => self.vanished = true,
                _ => return Err(error),
            }
        }
        let torn = self.verifier.torn.iter().filter(|(file, _)| *file == name);
        self.notes.extend(torn.map(|(file, part)| {
            let (at, len) = (part.offset, part.len);
            format!("{file} at byte {at}: {len} bytes of a change of files that was never finished")
        }));
        Ok(())
    }

    /// A file, and what the manifest says of it. Answers whether it is a table of the manifest, and sound.
    /// One that the disk does not give out is told, and the others go on.
    fn one(&mut self, id: FileId, kind: FileKind) -> Result<bool> {
        match self.look_through(id, kind) {
            Err(error @ (Error::Io { .. } | Error::Unsupported { .. })) => {
                self.verifier.find(Finding::of_error(&id.file_name(kind), "read", &error));
                Ok(false)
            }
            other => other,
        }
    }

    fn look_through(&mut self, id: FileId, kind: FileKind) -> Result<bool> {
        let path = self.files.dir.join(id.file_name(kind));
        let file = match self.env.fs.open(&path, Access::Read).context("open", &path) {
            Err(error) if is_gone(&error) => {
                self.vanished = true;
                return Ok(false);
            }
            other => other?,
        };
        let Some(state) = &self.files.state else {
            let account = self.verifier.file(&file, &path)?;
            if self.files.store.is_none_or(|store| self.verifier.is_of(&store, &path, &account)) {
                self.verifier.reader(&file, &path, &account)?;
            }
            return Ok(false);
        };
        if let Some(table) = state.tables.values().find(|table| table.id == id && table.kind() == kind) {
            return self.verifier.table(&file, &path, table, &state.store);
        }
        match state.value_files.get(&id).filter(|info| info.kind == kind) {
            Some(info) => self.verifier.value_file(&file, &path, info, &state.store)?,
            None => {
                let account = self.verifier.file(&file, &path)?;
                self.verifier.is_of(&state.store, &path, &account);
            }
        }
        Ok(false)
    }

    fn level_order(&mut self, state: &State, sound: usize) -> Result<()> {
        if sound < state.tables.len() {
            self.notes.push("the order between tables was not checked: some of them are damaged".into());
            return Ok(());
        }
        let tables = ReadTables::new(self.env.fs.as_ref(), &self.files.dir, state.store);
        let ordered = Levels::open(state.tables.values(), &tables)
            .and_then(|levels| check_level_order(&IndexView::of_tables(levels), &|| false));
        match ordered {
            Err(error) if is_gone(&error) => self.vanished = true,
            ordered => drop(self.verifier.keep("", "level order", ordered)?),
        }
        Ok(())
    }

    /// Whether the log goes on from one segment to the next up to where it was promised: recovery's own judgement, writing nothing.
    fn log(&mut self, state: &State) -> Result<()> {
        let mut last = None;
        // A writer that is at work is between two states now and then: what is wrong is wrong again a moment later.
        for _ in 0..3 {
            match self.recovered(state) {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            self.env.clock.sleep(Duration::from_millis(100));
        }
        let Some(error) = last else { return Ok(()) };
        if !matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io | ErrorKind::Unsupported) {
            return Err(error);
        }
        let name = match &error {
            Error::Corrupt(damage) => damage.path.file_name().map(|name| name.to_string_lossy().into_owned()),
            _ => None,
        };
        let mut finding = Finding::of_error(&name.unwrap_or_default(), "log", &error);
        // What looked like the end of the log by itself says more of what is there.
        let torn = self.verifier.torn.iter().find(|(name, part)| {
            *name == finding.file && (part.offset..=part.end()).contains(&finding.part.offset)
        });
        if let Some((_, torn)) = torn {
            finding.part.flip = torn.flip;
            finding.part.holds = torn.holds.clone();
        }
        if finding.part.holds.sequences.is_none() && error.kind() != ErrorKind::Io {
            // Nothing says how far the log went: what the index knows behind what is left of it is affected, and what it does not know.
            finding.part.holds = Holds::sequences(self.verifier.last.saturating_add(1), u64::MAX);
        }
        self.torn_and_owed(state, &finding);
        self.verifier.find(finding);
        Ok(())
    }

    /// The log should go on behind a place, or is known to have been durable up to one: what is torn in front of it was promised.
    fn torn_and_owed(&mut self, state: &State, log: &Finding) {
        let promise = Position::new(state.promise.0, state.promise.1);
        let owed = |name: &str, part: &Part| {
            let number = FileId::parse(name).map_or(u64::MAX, |(id, _)| id.number);
            let before = name == log.file && part.offset < log.part.offset;
            let named = part.holds.sequences.is_some() && part.holds != log.part.holds;
            named && (before || Position::new(number, part.offset) < promise)
        };
        let owed: Vec<_> =
            self.verifier.torn.iter().filter(|(name, part)| owed(name, part)).cloned().collect();
        for (file, part) in owed {
            let why = part.state.why().unwrap_or_default().to_owned();
            let part = Part { state: PartState::Damaged(why), ..part };
            self.verifier.find(Finding { file, check: "log", part });
        }
    }

    fn recovered(&mut self, state: &State) -> Result<()> {
        let (fs, dir) = (self.env.fs.as_ref(), self.files.dir.as_path());
        let flushed = |keyspace: u16| state.flushed.get(&keyspace).copied().unwrap_or(0);
        let sealed: Vec<_> = state.value_files.values().cloned().collect();
        let mut listing = fs.read_dir(dir).context("list", dir)?;
        listing.retain(|entry| {
            FileId::parse(&entry.name).is_none_or(|(id, kind)| state.obsolete.get(&id) != Some(&kind))
        });
        let recovered = survey(&RecoveryInput {
            fs,
            dir,
            listing: &listing,
            store: &state.store,
            sealed: &sealed,
            packed_end: state.packed_end,
            promise: Position::new(state.promise.0, state.promise.1),
            flushed: flushed(0).min(flushed(1)),
            changes: &|_| Box::new(std::iter::empty()),
            limits: self.limits,
            mode: RecoveryMode::ReadOnly,
        })?;
        for cut in &recovered.cuts {
            let (path, offset, bytes) = (cut.path.display(), cut.offset, cut.bytes);
            self.notes.push(format!("{path} at byte {offset}: {bytes} bytes that nobody was promised"));
        }
        for leftover in &recovered.leftovers {
            let name = leftover.id.file_name(FileKind::Segment);
            self.notes.push(format!("{name} is not part of the log ({:?})", leftover.why));
        }
        Ok(())
    }

    /// The index, against what the value files say that it must be. What follows from damage that was found already is told there.
    fn pointers(&mut self) -> Result<()> {
        let (fs, verifier): (&dyn Fs, _) = (self.env.fs.as_ref(), &mut self.verifier);
        let before = verifier.found.len();
        let mut explained = 0_u64;
        let compared = diff(fs, self.files, WINDOW, &mut |found| {
            // Rows are found without filter and properties.
            let beside = |cause: &&mut Finding| !matches!(cause.part.kind, "filter" | "properties");
            let mut causes = verifier.found.iter_mut().take(before).filter(beside);
            let cause = causes.find(|cause| explains(&cause.part.holds, &found));
            if let Some(cause) = cause {
                explained = explained.saturating_add(1);
                let holds = &mut cause.part.holds;
                if holds.sequences.is_none() && holds.revisions.len() < NAMES_MAX {
                    holds.revisions.extend(found.rev.map(|rev| (found.entity.clone(), rev)));
                }
                return Ok(());
            }
            let mut holds = Holds::sequences(found.sequence, found.sequence);
            holds.revisions.extend(found.rev.map(|rev| (found.entity.clone(), rev)));
            holds.derived = found.difference != Difference::MissingInLog;
            let why = format!("change {} {}", found.sequence, found.difference.text());
            verifier.find(Finding::new("", "pointers", why).holding(holds));
            Ok(())
        })?;
        if compared.vanished {
            // What was in the files that went was not seen: nothing can be said.
            self.verifier.found.retain(|finding| finding.check != "pointers");
            self.notes
                .push("index and value files were not compared: a writer replaced files meanwhile".into());
        } else if explained > 0 {
            let what = "differences between index and value files follow from the damage above";
            self.notes.push(format!("{explained} {what}"));
        }
        self.vanished |= compared.vanished;
        Ok(())
    }
}

/// Whether damage to what a part holds is why index and value files differ.
fn explains(holds: &Holds, found: &Found) -> bool {
    match holds.sequences {
        Some(_) => holds.has(found.sequence) && holds.has_entity(&found.entity),
        None => holds.entities.is_some() && holds.has_entity(&found.entity),
    }
}

/// What a file of the manifest holds.
fn named_holds(state: &State, name: &str) -> Holds {
    let Some((id, kind)) = FileId::parse(name) else { return Holds::default() };
    if let Some(info) = state.value_files.get(&id) {
        let mut holds = holds_of(Some((info.sequence_first, info.sequence_last)));
        if !info.entity_first.is_empty() || !info.entity_last.is_empty() {
            let last = &info.entity_last;
            let behind = (!last.is_empty()).then(|| bytes::Bytes::from([&last[..], &[0]].concat()));
            holds.entities = Some((info.entity_first.clone(), behind));
        }
        return holds;
    }
    match state.tables.values().find(|table| table.id == id && table.kind() == kind) {
        Some(table) => Holds::sequences(table.sequence_first, table.sequence_last).and_derived(),
        None => Holds { derived: kind == FileKind::Manifest, ..Holds::default() },
    }
}
