//! A power cut before any step, with any part of what was not synced surviving, and again while recovering from it.

use std::collections::BTreeSet;

use super::disk::Survives;
use super::*;
use crate::env::{Access, Fs, write_all_at};

/// What the process that died had been told.
#[derive(Default)]
struct Told {
    /// The state after the last commit that was acknowledged.
    acknowledged: Option<State>,
    /// The state that the commit in flight would have led to.
    in_flight: Option<State>,
    /// File numbers that were given out.
    numbers: BTreeSet<u64>,
}

impl Told {
    fn commit(&mut self, manifest: &Manifest, edits: Vec<Edit>) -> Result<()> {
        let mut next = State::clone(&manifest.state());
        let role = super::super::apply::Role::Commit;
        super::super::apply::apply(&mut next, &BTreeSet::new(), role, &edits).unwrap();
        self.in_flight = Some(next);
        let state = manifest.commit(edits)?;
        self.acknowledge(&state);
        Ok(())
    }

    fn acknowledge(&mut self, state: &State) {
        self.acknowledged = Some(state.clone());
        self.in_flight = None;
    }

    /// Whether a store with this state keeps what was promised.
    fn allows(&self, state: &State) -> bool {
        let is = |told: &Option<State>| told.as_ref().is_some_and(|told| said(told) == said(state));
        is(&self.acknowledged) || is(&self.in_flight)
    }
}

/// What users of the manifest can tell: without numbers, announcements and deletions under way.
fn said(state: &State) -> State {
    State { intents: [].into(), obsolete: [].into(), ..essence(state) }
}

/// A life of a store with several rewrites.
fn live(disk: &Disk, told: &mut Told) -> Result<()> {
    let (manifest, _) = open(disk, OpenMode::Create { store: STORE })?;
    told.acknowledge(&manifest.state());
    for round in 0..7_u64 {
        let number = manifest.allocate_file()?.number;
        assert!(told.numbers.insert(number));
        let sequences = [round * 10 + 1, round * 10 + 10];
        let option = Edit::SetOption { key: "x".into(), value: vec![round as u8 + 1; 1500].into() };
        told.commit(&manifest, vec![Edit::AddValueFile(segment(number, sequences)), option])?;
        let announced = manifest.announce(FileKind::RevisionTable, 2)?;
        assert!(announced.iter().all(|id| told.numbers.insert(id.number)));
        let table = TableInfo { id: announced[0], ..table(0, 0, ["a", "b"], sequences) };
        let mut edits = vec![Edit::AddTable(table), flushed(sequences[1])];
        let tables = manifest.state().tables.keys().map(|(_, id)| *id).collect::<Vec<_>>();
        if tables.len() > 2 {
            edits.extend(tables.into_iter().map(|id| Edit::RemoveTable { keyspace: 0, id }));
        }
        told.commit(&manifest, edits)?;
        let durable = disk.crash(Survives::Nothing, Survives::Nothing).names(dir());
        assert_eq!(
            durable.len(),
            1,
            "an older manifest is durably gone before the newer one is used: {durable:?}"
        );
    }
    Ok(())
}

fn crashes(disk: &Disk, seed: u64) -> impl Iterator<Item = Disk> {
    let kinds = [Survives::All, Survives::Nothing, Survives::Some(seed), Survives::Writes(seed)];
    let pairs = kinds.into_iter().flat_map(move |data| kinds.map(|names| (data, names)));
    let disk = disk.clone();
    pairs.map(move |(data, names)| disk.crash(data, names))
}

/// What a store does with its directory at open; creates it if the process died before that was done.
fn recover(disk: &Disk, told: &Told) -> Result<Manifest> {
    let mode = match told.acknowledged {
        Some(_) => OpenMode::ReadWrite,
        None => OpenMode::CreateIfAbsent { store: STORE },
    };
    open(disk, mode).map(|(manifest, _)| manifest)
}

fn verify(disk: &Disk, told: &Told, place: &str) {
    let manifest = recover(disk, told).unwrap_or_else(|e| panic!("{place}: {e}"));
    if told.acknowledged.is_some() {
        assert!(told.allows(&manifest.state()), "{place}: {:?}", manifest.state());
    }
    let durable = disk.crash(Survives::Nothing, Survives::Nothing);
    assert_eq!(durable.names(dir()), disk.names(dir()), "{place}: one manifest file, durably");
    let next = manifest.allocate_file().unwrap().number;
    assert!(told.numbers.iter().all(|number| *number < next), "{place}: {next} is given out again");
    manifest.commit(vec![Edit::SetOption { key: "y".into(), value: Bytes::from_static(b"z") }]).unwrap();
    assert_eq!(disk.names(dir()).len(), 1, "{place}");
    let state = manifest.state();
    drop(manifest);
    assert_eq!(reopen(disk).state(), state, "{place}");
}

#[test]
fn a_power_cut_at_any_step_loses_no_acknowledged_commit_and_no_number_is_given_out_twice() {
    let mut rewritten = false;
    let first = id(1).file_name(FileKind::Manifest);
    for step in 0.. {
        let disk = Disk::new();
        disk.die_after(step);
        let mut told = Told::default();
        let done = live(&disk, &mut told).is_ok();
        for (n, disk) in crashes(&disk, step).enumerate() {
            rewritten |= told.acknowledged.is_some() && disk.names(dir()).iter().all(|name| *name != first);
            verify(&disk, &told, &format!("step {step}, crash {n}"));
        }
        if done {
            break;
        }
    }
    assert!(rewritten, "the test must go through rewrites");
}

#[test]
fn a_power_cut_at_any_step_of_a_recovery_loses_nothing_either() {
    // Every third step, to stay fast; the test above takes all.
    for step in (0..).step_by(3) {
        let disk = Disk::new();
        disk.die_after(step);
        let mut told = Told::default();
        let done = live(&disk, &mut told).is_ok();
        for (n, first) in crashes(&disk, step).enumerate().step_by(3) {
            for again in 0.. {
                let disk = first.crash(Survives::All, Survives::All);
                disk.die_after(again);
                let recovered = recover(&disk, &told).is_ok();
                for (m, disk) in crashes(&disk, again).enumerate() {
                    verify(&disk, &told, &format!("step {step}, crash {n}, step {again}, crash {m}"));
                }
                if recovered {
                    break;
                }
            }
        }
        if done {
            break;
        }
    }
}

/// Writes a file in the order that everybody has to keep.
fn write_file(disk: &Disk, id: FileId, kind: FileKind, len: u64) -> Result<()> {
    let path = dir().join(id.file_name(kind));
    let write = || {
        let file = disk.open(&path, Access::CreateNew)?;
        write_all_at(file.as_ref(), &vec![1; len as usize], 0)?;
        file.sync_data()?;
        disk.sync_dir(dir())
    };
    write().map_err(|e| Error::io("write", &path, e))
}

/// Jobs that write, install, replace and give up files, some of them with a reader.
fn live_with_files(disk: &Disk) -> Result<()> {
    let (manifest, _) = open(disk, OpenMode::Create { store: STORE })?;
    let kind = FileKind::RevisionTable;
    for round in 0..4_u64 {
        let ids = manifest.announce(kind, 2)?;
        write_file(disk, ids[1], kind, 7)?;
        let sequences = [round * 10 + 1, round * 10 + 10];
        let table = TableInfo { id: ids[0], ..table(0, 0, ["a", "b"], sequences) };
        write_file(disk, ids[0], kind, table.len)?;
        let old = manifest.state().tables.keys().next().map(|(_, id)| *id);
        let reader = old.map(|id| manifest.files().open(id, kind)).transpose()?;
        let mut edits = vec![Edit::AddTable(table), flushed(sequences[1])];
        edits.extend(old.map(|id| Edit::RemoveTable { keyspace: 0, id }));
        manifest.commit(edits)?;
        if round % 2 == 0 {
            // Gives up, in order.
            let path = manifest.files().path(ids[1], kind);
            disk.remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
            disk.sync_dir(dir()).map_err(|e| Error::io("sync", dir(), e))?;
            manifest.commit(vec![Edit::IntentDone(ids[1])])?;
        }
        drop(reader);
    }
    Ok(())
}

#[test]
fn after_a_power_cut_every_file_of_the_manifest_is_there_and_no_other_and_nothing_is_lost() {
    for step in 0.. {
        let disk = Disk::new();
        disk.die_after(step);
        let done = live_with_files(&disk).is_ok();
        for (n, disk) in crashes(&disk, step).enumerate() {
            let place = format!("step {step}, crash {n}");
            let mode = OpenMode::CreateIfAbsent { store: STORE };
            for dies in (0..6).chain([u64::MAX >> 1]) {
                // The first tries to settle are interrupted.
                let trying = disk.crash(Survives::All, Survives::All);
                trying.die_after(dies);
                let tried =
                    open(&trying, mode).and_then(|(manifest, _)| manifest.settle(&LostLimits::default()));
                let disk = trying.crash(Survives::Some(dies), Survives::Some(dies));
                let (manifest, _) = open(&disk, mode).unwrap_or_else(|e| panic!("{place}: {e}"));
                let settled =
                    manifest.settle(&LostLimits::default()).unwrap_or_else(|e| panic!("{place}: {e}"));
                assert!(settled.lost.is_empty(), "{place}: {settled:?}");
                assert!(tried.is_err() || settled.removed.is_empty(), "{place}: {settled:?}");
                let state = manifest.state();
                assert!(state.intents.is_empty() && state.obsolete.is_empty(), "{place}");
                let tables = state.tables.values().map(|table| table.id.file_name(table.kind()));
                let manifest = manifest_path(&disk).file_name().unwrap().to_str().unwrap().to_string();
                let mut expected: Vec<String> = tables.chain([manifest]).collect();
                expected.sort();
                assert_eq!(disk.names(dir()), expected, "{place}");
            }
        }
        if done {
            break;
        }
    }
}
