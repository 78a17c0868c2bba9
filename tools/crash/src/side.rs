//! What is tried on a copy of the machine, so that the run itself stays undamaged.

use recension::sim::{CrashPolicy, Damage, Prng, SimEnv};
use recension::{ByteSize, IfMissing, Store};

use crate::model::Model;
use crate::oracle::{Allowed, Depth, Failure, Oracle, failure};
use crate::run::{DIR, World};
use crate::script::Target;

mod neighbours;
mod rebuild;
mod restore;

pub use rebuild::rebuild;
pub use restore::restore;

type Done = Result<(), Failure>;

/// The machine as it would come up after a kill of the process, faults off.
fn copy(world: &World) -> SimEnv {
    let copy = world.machine.fork().process_kill();
    quiet(&copy);
    copy
}

fn quiet(machine: &SimEnv) {
    machine.fs.heal();
    machine.clock.set_faults(recension::sim::Rate::NEVER, recension::sim::Rate::NEVER, 0);
    machine.fs.set_capacity(1 << 40);
}

fn builder(world: &World, machine: &SimEnv) -> recension::StoreBuilder {
    Store::builder(DIR)
        .env(machine.env())
        .limits(world.limits_now())
        .memory(ByteSize::mib(8))
        .if_missing(IfMissing::Fail)
}

fn look(world: &World, store: &Store, allowed: Allowed, machine: &SimEnv) -> Done {
    compare(world.model.clone(), world.step(), store, allowed, machine)
}

fn compare(mut model: Model, step: u64, store: &Store, allowed: Allowed, machine: &SimEnv) -> Done {
    let last = store.published();
    if last < model.owed_to_process {
        let what = format!("{last} came back, {} was acknowledged", model.owed_to_process);
        return failure("acknowledged commits survive", what);
    }
    if last > model.end() {
        return failure("nothing is invented", format!("{last} of {}", model.end()));
    }
    if model.truncate(last).is_none() {
        return failure("what comes back is whole commits", format!("the log ends at {last}, inside one"));
    }
    let mut rng = Prng::new(step);
    let mut oracle = Oracle::new(store, &mut model, allowed);
    oracle.everything(Depth::Usual, &mut rng)?;
    oracle.check()?;
    match machine.fs.violations().first() {
        Some(violation) => failure("the disk's contract is kept", violation.to_string()),
        None => Ok(()),
    }
}

/// A machine that came up after a crash of `world`: the store opens, and holds what is owed.
pub fn comes_back(world: &World, machine: &SimEnv, power: bool) -> Done {
    machine.fs.kill_never();
    let store =
        Store::builder(DIR).env(machine.env()).limits(world.limits_now()).memory(ByteSize::mib(8)).open();
    let store = match store {
        Ok(store) => store,
        Err(error) => return failure("a store that crashed can be opened", error.to_string()),
    };
    let (last, model) = (store.published(), &world.model);
    let owed = if power { model.owed } else { model.owed_to_process };
    if last < owed {
        return failure("acknowledged commits survive", format!("{last} came back, {owed} was acknowledged"));
    }
    let mut model = model.clone();
    (model.owed, model.owed_to_process) = (owed, owed);
    compare(model, world.step(), &store, Allowed::default(), machine)
}

/// Opened for reading only: the same answers, and nothing is written.
pub fn read_only(world: &mut World) -> Done {
    if !world.is_plain() {
        return Ok(());
    }
    let machine = copy(world);
    let before = files(&machine);
    let store = match builder(world, &machine).read_only().open() {
        Ok(store) => store,
        Err(error) => return failure("a store can be opened for reading", error.to_string()),
    };
    look(world, &store, Allowed::default(), &machine)?;
    drop(store);
    if files(&machine) != before {
        return failure("reading writes nothing", "files have changed");
    }
    world.coverage.count("opened for reading only");
    Ok(())
}

fn files(machine: &SimEnv) -> Vec<(String, Vec<u8>)> {
    let names = machine.fs.files().into_iter().filter(|path| !path.ends_with("/LOCK"));
    names.map(|path| (path.clone(), machine.fs.read_file(&path).unwrap_or_default())).collect()
}

/// Damage at rest, after a clean close: right data or a typed error, never wrong data, never "not found".
pub fn rot(world: &mut World, on: Target) -> Done {
    if !world.is_plain() {
        return Ok(());
    }
    let machine = copy(world);
    let closed = builder(world, &machine).open().and_then(|store| store.close());
    if let Err(error) = closed {
        return failure("a store that crashed can be opened", error.to_string());
    }
    let machine = machine.crash(&CrashPolicy::NOTHING);
    let mut rng = Prng::new(world.step() ^ (on as u64) << 32);
    for _ in 0..4 {
        damage_once(world, on, &machine.fork().process_kill(), &mut rng)?;
    }
    Ok(())
}

fn damage_once(world: &mut World, on: Target, machine: &SimEnv, rng: &mut Prng) -> Done {
    let state = match recension::manifest::read_state(&machine.env(), DIR.as_ref()) {
        Ok(state) => state,
        Err(error) => return failure("the manifest can be read", format!("after a clean close: {error}")),
    };
    let sealed = |path: &String| {
        let tables = state.tables.values().map(|it| it.id.file_name(it.kind()));
        let mut known = tables.chain(state.value_files.values().map(|it| it.id.file_name(it.kind)));
        known.any(|name| path.ends_with(&name))
    };
    let files: Vec<String> = machine
        .fs
        .files()
        .into_iter()
        .filter(|path| path.starts_with("/db/") && path.contains(on.part()))
        .collect();
    let Some(path) = rng.pick(&files).cloned() else { return Ok(()) };
    let damage = *rng.pick(Damage::ALL).unwrap_or(&Damage::FlipBit);
    // What ends a log or a manifest can be cut off or replaced unseen: nothing else says that it was there. The rest must be right.
    let cuts = matches!(damage, Damage::CutTail | Damage::DuplicateTail | Damage::OlderCopy | Damage::Remove);
    let ends_early = cuts && !sealed(&path);
    let places = if sealed(&path) { neighbours::places(&machine.env(), &path) } else { Default::default() };
    let before = machine.fs.read_file(&path).unwrap_or_default();
    let Ok(Some(done)) = machine.fs.damage(&path, damage, rng) else { return Ok(()) };
    let after = machine.fs.read_file(&path).ok();
    let costs = match sealed(&path) {
        true => neighbours::costs(&state, &path, &before, after.as_deref(), &places),
        false => neighbours::Costs::Anything,
    };
    world.coverage.count("damage at rest");
    let loud =
        |failure: Failure| Failure { oracle: failure.oracle, what: format!("{done}: {}", failure.what) };
    match builder(world, machine).open() {
        Ok(store) => {
            let allowed = Allowed { io: false, corrupt: true };
            let mut model = world.model.clone();
            if ends_early {
                (model.owed, model.owed_to_process, model.seen) = (0, 0, 0);
            }
            let result = compare(model, world.step(), &store, allowed, machine);
            world.coverage.count("damage met by readers");
            result.map_err(loud)?;
            let read = neighbours::read(world, &store, &world.model, &costs).map_err(loud)?;
            world.coverage.add("neighbours of damage read", read);
            Ok(())
        }
        Err(error) => match error.kind() {
            recension::ErrorKind::Corrupt | recension::ErrorKind::Unsupported => {
                world.coverage.count("damage refused at open");
                Ok(())
            }
            _ => failure("damage is loud", format!("{done}: {error}")),
        },
    }
}
