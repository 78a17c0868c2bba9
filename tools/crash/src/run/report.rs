//! From a script to a report.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    pub failure: Option<Failure>,
    /// Over every call of the disk and every answer.
    pub hash: u64,
    pub coverage: Coverage,
    /// The last calls of the disk, and the operations, for people.
    pub story: Vec<String>,
}

/// Carries out a script.
pub fn run(script: &Script) -> Report {
    run_with(script, false)
}

/// The same; `verbose`: keeps the story.
pub fn run_with(script: &Script, verbose: bool) -> Report {
    let _ = recension::probe::take();
    let mut world = World::new(script, verbose);
    let result = catch_unwind(AssertUnwindSafe(|| world.script(script)));
    let mut failure = match result {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
            Some(Failure { oracle: "no panics", what: text.unwrap_or_default() })
        }
    };
    let violations = world.machine.fs.violations();
    if let (None, Some(violation)) = (&failure, violations.first()) {
        failure = Some(Failure { oracle: "the disk's contract is kept", what: violation.to_string() });
    }
    world.coverage.faults(&world.machine.fs.stats());
    world.coverage.probes();
    let hash = mix(world.machine.fs.trace_hash(), world.hash);
    world.machine.fs.power_off();
    let _ = catch_unwind(AssertUnwindSafe(|| {
        world.tickets.clear();
        world.store = None;
    }));
    let mut story = std::mem::take(&mut world.story);
    if verbose {
        story.extend(world.machine.fs.trace().iter().map(ToString::to_string));
    }
    Report { failure, hash, coverage: world.coverage, story }
}
