//! A checkpoint brought back as the store, with what was hidden and forgotten since: on a copy of the machine, after a crash, interrupted, from a
//! store whose manifest is gone.

use std::sync::Arc;

use recension::manifest::read_state;
use recension::{AnnotationKind, AnnotationsFrom, ErrorKind, HeldRole, Progress, RestoreReport};

use super::*;
use crate::audit::Audit;
use crate::model::{Change, Commit, Note};
use crate::script::CrashKind;

const ORACLE: &str = "a restored store is the checkpoint and what was forgotten since";
/// So many annotations are in one commit of a restored store.
const COMMIT_ANNOTATIONS: usize = 512;

/// Restores one of the checkpoints.
///
/// # Errors
/// What is wrong with what comes out.
pub fn restore(world: &mut World) -> Done {
    if !world.is_plain() {
        return Ok(());
    }
    let mut rng = Prng::new(world.step() ^ 0x7265_7374);
    let Some((dir, checkpoint)) = world.checkpoint_of(&mut rng) else { return Ok(()) };
    let crash = match rng.one_in(3) {
        true => CrashKind::Power(CrashPolicy::draw(&mut rng)),
        false => CrashKind::Process,
    };
    let mut machine = match &crash {
        CrashKind::Power(policy) => world.machine.fork().crash(policy),
        CrashKind::Process => world.machine.fork().process_kill(),
    };
    let mut power = crash != CrashKind::Process;
    quiet(&machine);
    let nowhere = rng.one_in(5);
    let remains = !nowhere && rng.one_in(4);
    if remains {
        let manifests = machine.fs.files().into_iter().filter(|path| path.ends_with(".manifest"));
        for path in manifests.filter(|path| path.starts_with("/db/")) {
            let _ = machine.fs.remove(&path);
        }
        world.coverage.count("restored beside what is left of the store");
    }
    let from = if nowhere { AnnotationsFrom::Nowhere } else { AnnotationsFrom::Store(DIR.into()) };
    let mut given_up = Vec::new();
    for n in 0..rng.below(3) {
        let to = format!("/restored/{n}");
        machine.fs.kill_at_change(machine.fs.changes() + rng.below(30) + 1);
        drop(at(world, &machine, &to).restore(&dir, &from, &mut Progress::none()));
        if !machine.fs.is_off() {
            machine.fs.kill_never();
            break;
        }
        world.coverage.count("restore interrupted");
        machine = match rng.one_in(2) {
            true => machine.process_kill(),
            false => {
                power = true;
                machine.crash(&CrashPolicy::draw(&mut rng))
            }
        };
        given_up.push(to);
    }
    let to = "/restored/whole";
    let report = match at(world, &machine, to).restore(&dir, &from, &mut Progress::none()) {
        Ok(report) => report,
        Err(error) => return failure(ORACLE, format!("{dir}: {error}")),
    };
    let Some(model) = expected(world, &checkpoint, &report, power)? else { return Ok(()) };
    world.coverage.count("restored");
    if report.annotations > 0 {
        world.coverage.count("restored with newer annotations");
    }
    same(world, &machine, to, &model)?;
    holders(world, &machine, to, &dir, &model)?;
    for to in given_up {
        // Either no store, or all of it.
        match at(world, &machine, &to).open() {
            Ok(store) => {
                drop(store);
                same(world, &machine, &to, &model)?;
            }
            Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Corrupt) => {}
            Err(error) => return failure(ORACLE, format!("{to}, which was interrupted: {error}")),
        }
    }
    Ok(())
}

fn at(world: &World, machine: &SimEnv, dir: &str) -> recension::StoreBuilder {
    Store::builder(dir)
        .env(machine.env())
        .limits(world.limits_now())
        .memory(ByteSize::mib(8))
        .if_missing(IfMissing::Fail)
}

fn same(world: &World, machine: &SimEnv, dir: &str, model: &Model) -> Done {
    let store = match at(world, machine, dir).open() {
        Ok(store) => store,
        Err(error) => return failure(ORACLE, format!("{dir} cannot be opened: {error}")),
    };
    if store.published() != model.end() {
        let what = format!("{dir} ends at {} instead of {}", store.published(), model.end());
        return failure(ORACLE, what);
    }
    compare(model.clone(), world.step(), &store, Allowed::default(), machine)?;
    machine.jobs.run_until_idle(1000);
    let state = match read_state(&machine.env(), dir.as_ref()) {
        Ok(state) => state,
        Err(error) => return failure("the manifest can be read", error.to_string()),
    };
    let audit = Audit::new(model, state.store);
    crate::outside::sound(&machine.env(), dir, &world.limits_now())?;
    crate::outside::audited(&machine.env(), dir, &state, &audit).map(drop)
}

/// Whoever still holds what is forgotten is in the report of the restored store.
fn holders(world: &World, machine: &SimEnv, to: &str, checkpoint: &str, model: &Model) -> Done {
    let env = machine.env();
    let fail =
        |error: recension::Error| failure::<()>(ORACLE, format!("the erasure report of {to}: {error}"));
    let (state, store) = match (read_state(&env, to.as_ref()), at(world, machine, to).open()) {
        (Ok(state), Ok(store)) => (state, store),
        (Err(error), _) | (_, Err(error)) => return fail(error),
    };
    let report = match store.erasure_report(&mut Progress::none()) {
        Ok(report) => report,
        Err(error) => return fail(error),
    };
    let audit = Audit::new(model, state.store);
    let files = machine.fs.files().into_iter().filter(|path| path.starts_with(&format!("{checkpoint}/")));
    for path in files {
        let Ok(Some(left)) = audit.leftover(&env, path.as_ref()) else { continue };
        let named = report
            .held
            .iter()
            .any(|held| held.role == HeldRole::Checkpoint && held.path.display().to_string() == checkpoint);
        if !named {
            return failure(ORACLE, format!("{path} has {left}; the report of {to}: {report:?}"));
        }
    }
    Ok(())
}

/// What the restored store must say. `None`: that depends on what was erased of a purged entity when the checkpoint was made.
fn expected(
    world: &World,
    checkpoint: &Model,
    report: &RestoreReport,
    durable_only: bool,
) -> Result<Option<Model>, Failure> {
    let mut model = checkpoint.clone();
    if report.checkpoint_sequence != checkpoint.end() {
        return failure(ORACLE, format!("{report:?} of a checkpoint that ends at {}", checkpoint.end()));
    }
    let mut notes: Vec<Arc<Note>> = Vec::new();
    if let Some(up_to) = report.annotations_up_to {
        let owed = if durable_only { world.model.owed } else { world.model.owed_to_process };
        if up_to < owed || up_to > world.model.end() {
            let what = format!("annotations were read up to {up_to}, {owed} was acknowledged");
            return failure(ORACLE, what);
        }
        for change in world.model.changes(checkpoint.end(), up_to) {
            let Change::Note(note) = change else { continue };
            if note.kind == AnnotationKind::Purge {
                notes.push(note.clone());
                continue;
            }
            if checkpoint.purge(&note.entity, u64::MAX).is_some_and(|purge| note.first <= purge.last) {
                return Ok(None);
            }
            // It went with a purge that came after it, or the purge will be behind it.
            if world.model.purge(&note.entity, up_to).is_some_and(|purge| note.sequence < purge.sequence) {
                return Ok(None);
            }
            let head = checkpoint.standing(&note.entity).last().map_or(0, |rev| rev.number);
            if note.first <= head {
                notes.push(Arc::new(Note { last: note.last.min(head), ..Note::clone(note) }));
            }
        }
    }
    for chunk in notes.chunks(COMMIT_ANNOTATIONS) {
        let first = model.end() + 1;
        let changes = chunk.iter().enumerate().map(|(i, note)| {
            let (sequence, rest) = (first + i as u64, (chunk.len() - 1 - i) as u32);
            Change::Note(Arc::new(Note { sequence, rest, ..Note::clone(note) }))
        });
        model.reserve(Commit { first, changes: changes.collect(), sync: true });
    }
    if (report.annotations, report.sequence) != (notes.len() as u64, model.end()) {
        return failure(ORACLE, format!("{report:?}, but {} annotations are newer", notes.len()));
    }
    model.observe(model.end(), model.end());
    Ok(Some(model))
}
