//! Manifest and index made anew from the value files, at any moment: after a crash, with a merge half done, twice, interrupted.

use recension::{Compaction, Error, Progress, RebuildMode};

use recension::limits::Limits;

use super::*;
use crate::script::CrashKind;

/// On a copy of the machine: the index is made again, in one of several ways, and must say the same.
pub fn rebuild(world: &mut World) -> Done {
    if !world.is_plain() {
        return Ok(());
    }
    let mut rng = Prng::new(world.step() ^ 0x7265_6275);
    match rng.below(4) {
        0 => without_tables(world),
        how => from_value_files(world, how == 1, &mut rng),
    }
}

/// The command itself, with the old manifest at hand or without it, after a process kill or a power cut; now and then interrupted,
/// and then done again.
fn from_value_files(world: &mut World, keeps_manifest: bool, rng: &mut Prng) -> Done {
    let crash = match rng.one_in(3) {
        true => CrashKind::Power(CrashPolicy::draw(rng)),
        false => CrashKind::Process,
    };
    let from = match rng.one_in(2) {
        true => half_merged(world)?,
        false => world.machine.fork(),
    };
    let mut machine = match &crash {
        CrashKind::Power(policy) => from.crash(policy),
        CrashKind::Process => from.process_kill(),
    };
    let mut power = crash != CrashKind::Process;
    quiet(&machine);
    if is_half_merged(&machine) {
        world.coverage.count("rebuilt from a merge that is half done");
    }
    if !keeps_manifest {
        let manifests = machine.fs.files().into_iter().filter(|path| path.ends_with(".manifest"));
        for path in manifests.filter(|path| path.starts_with("/db/")) {
            let _ = machine.fs.remove(&path);
        }
        world.coverage.count("rebuilt without a manifest");
    }
    for _ in 0..rng.below(3) {
        machine.fs.kill_at_change(machine.fs.changes() + rng.below(40) + 1);
        drop(builder(world, &machine).rebuild(RebuildMode::Apply));
        if !machine.fs.is_off() {
            machine.fs.kill_never();
            break;
        }
        world.coverage.count("rebuild interrupted");
        machine = match rng.one_in(2) {
            true => machine.process_kill(),
            false => {
                power = true;
                machine.crash(&CrashPolicy::draw(rng))
            }
        };
    }
    let owed = if power { world.model.owed } else { world.model.owed_to_process };
    match builder(world, &machine).rebuild(RebuildMode::Apply) {
        // A store that never held anything that had to stay.
        Err(error) if error.kind() == recension::ErrorKind::Invalid && owed == 0 => return Ok(()),
        other => rebuilt(other)?,
    }
    world.coverage.count("rebuilt from value files");
    let store = match builder(world, &machine).open() {
        Ok(store) => store,
        Err(error) => return failure(ORACLE, format!("it cannot be opened: {error}")),
    };
    let mut model = world.model.clone();
    if power {
        (model.owed_to_process, model.seen) = (model.owed, model.owed);
    }
    compare(model, world.step(), &store, Allowed::default(), &machine)
}

/// The machine behind a process kill, its store opened and merged until a merge is half done, if there is anything to merge in parts. It is still on.
fn half_merged(world: &World) -> Result<SimEnv, Failure> {
    let machine = copy(world);
    // In many parts.
    let limits = Limits { pack_part_bytes: 1 << 10, pack_part_records: 4, ..world.limits_now() };
    let store = match builder(world, &machine).limits(limits).open() {
        Ok(store) => store,
        Err(error) => return failure("a store that crashed can be opened", error.to_string()),
    };
    let mut go_on = |_: &'static str, _: u64, _: u64| !is_half_merged(&machine);
    let result = store.compact(Compaction::Full, &mut Progress::new(&mut go_on));
    // Going, it must not tidy up.
    machine.fs.power_off();
    match result {
        Ok(()) | Err(Error::Cancelled) => Ok(machine),
        Err(error) => failure("errors have a cause", format!("compact: {error}")),
    }
}

/// Whether value files share sequence numbers and do not have the same ones.
fn is_half_merged(machine: &SimEnv) -> bool {
    let Ok(state) = recension::manifest::read_state(&machine.env(), DIR.as_ref()) else { return false };
    let files: Vec<_> =
        state.value_files.values().filter(|it| it.sequence_first <= it.sequence_last).collect();
    files.iter().any(|a| {
        files.iter().any(|b| {
            let apart = a.sequence_last < b.sequence_first || b.sequence_last < a.sequence_first;
            !apart && (a.sequence_first, a.sequence_last) != (b.sequence_first, b.sequence_last)
        })
    })
}

const ORACLE: &str = "the index can be made again from the log";

fn rebuilt<T>(result: recension::Result<T>) -> Done {
    match result {
        Ok(_) => Ok(()),
        Err(error) => failure(ORACLE, error.to_string()),
    }
}

/// The index is thrown away and made again from the log: it must say the same.
fn without_tables(world: &mut World) -> Done {
    let machine = copy(world);
    let env = machine.env();
    let fail = |error: recension::Error| {
        failure::<()>("the index can be made again from the log", error.to_string())
    };
    // A first opening, so that the manifest names every segment.
    match builder(world, &machine).open() {
        Ok(store) => match store.close() {
            Ok(()) => {}
            Err(error) => return fail(error),
        },
        Err(error) => return fail(error),
    }
    let state = match recension::manifest::read_state(&env, DIR.as_ref()) {
        Ok(state) => state,
        Err(error) => return fail(error),
    };
    for table in state.tables.values() {
        let path = format!("{DIR}/{}", table.id.file_name(table.kind()));
        if machine.fs.remove(&path).is_err() {
            return failure("files are as the manifest says", format!("{path} is missing"));
        }
    }
    let bare = recension::manifest::State {
        tables: Default::default(),
        flushed: Default::default(),
        intents: Default::default(),
        obsolete: Default::default(),
        ..(*state).clone()
    };
    if let Err(error) = recension::manifest::Manifest::install(&env, DIR.as_ref(), bare) {
        return fail(error);
    }
    let store = match builder(world, &machine).open() {
        Ok(store) => store,
        Err(error) => return fail(error),
    };
    world.coverage.count("index made again");
    look(world, &store, Allowed::default(), &machine)
}
