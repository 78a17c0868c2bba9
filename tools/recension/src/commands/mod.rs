//! The commands, one file each, and what they share: opening and closing stores.

mod batch;
mod changes;
mod check;
mod checkpoint;
mod compact;
mod completions;
mod diff;
mod edit;
mod export;
mod forget;
mod get;
mod hide;
mod history;
mod import;
mod ls;
mod man;
mod progress;
mod put;
mod rebuild;
mod reclaim;
mod repair;
mod restore;
mod stats;

use std::path::Path;
use std::time::{Duration, Instant};

use recension::{Error, ErrorKind, IfMissing, Store, StoreBuilder};

use crate::args::{Command, Global};
use crate::exit::{Outcome, tell};
use crate::output::{Object, Out, count};

/// Runs a command.
pub fn run(command: Command, global: &Global, out: &mut Out) -> Outcome {
    match command {
        Command::Import(args) => import::run(&args, global, out),
        Command::Export(args) => export::run(&args, global, out),
        Command::Get(args) => get::run(&args, global, out),
        Command::Put(args) => put::run(args, global, out),
        Command::Delete(args) => edit::delete(args, global, out),
        Command::Undelete(args) => edit::undelete(args, global, out),
        Command::Revert(args) => edit::revert(args, global, out),
        Command::Batch(args) => batch::run(&args, global, out),
        Command::History(args) => history::run(&args, global, out),
        Command::Diff(args) => diff::run(&args, global, out),
        Command::Ls(args) => ls::run(&args, global, out),
        Command::Changes(args) => changes::run(&args, global, out),
        Command::Stats(args) => stats::run(&args, global, out),
        Command::Check(args) => check::run(&args, global, out),
        Command::Compact(args) => compact::run(&args, global, out),
        Command::Checkpoint(args) => checkpoint::run(&args, global, out),
        Command::Restore(args) => restore::run(&args, global, out),
        Command::Rebuild(args) => rebuild::run(&args, global, out),
        Command::Repair(args) => repair::run(&args, global, out),
        Command::Hide(args) => hide::hide(args, global, out),
        Command::Show(args) => hide::show(args, global, out),
        Command::Forget(args) => forget::forget(args, global, out),
        Command::Purge(args) => forget::purge(args, global, out),
        Command::Retention(args) => forget::retention(args, global, out),
        Command::Reclaim(args) => reclaim::reclaim(&args, global, out),
        Command::ErasureReport(args) => reclaim::report(&args, global, out),
        Command::Completions(args) => completions::run(&args, out),
        Command::Man(args) => man::run(&args, global, out),
    }
}

/// Commands that follow each other closely, as in a pipeline, wait for each other's lock so long.
const LOCK_WAIT: Duration = Duration::from_millis(800);

fn open(mut attempt: impl FnMut() -> recension::Result<Store>) -> Outcome<Store> {
    let start = Instant::now();
    loop {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::Locked && start.elapsed() < LOCK_WAIT => {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return Ok(other?),
        }
    }
}

/// Opens a store to read it; never makes one.
fn open_to_read(path: &Path) -> Outcome<Store> {
    open(|| Store::builder(path).read_only().open())
}

/// Opens a store, gives it to `work`, and closes it whatever became of that. An error of `work` comes first.
fn write_to<T>(
    path: &Path,
    if_missing: IfMissing,
    global: &Global,
    work: impl FnOnce(&Store) -> Outcome<T>,
) -> Outcome<T> {
    write_with(|| Store::builder(path).if_missing(if_missing), global, work)
}

/// The same with options.
fn write_with<T>(
    builder: impl Fn() -> StoreBuilder,
    global: &Global,
    work: impl FnOnce(&Store) -> Outcome<T>,
) -> Outcome<T> {
    let store = open(|| builder().open())?;
    report_recovery(&store, global);
    let done = work(&store);
    let closed = store.close();
    let done = done?;
    match closed {
        // The failure was told already when it happened.
        Ok(()) | Err(Error::Latched { .. }) => Ok(done),
        Err(error) => Err(error.into()),
    }
}

/// What recovery did that somebody may want to know.
fn report_recovery(store: &Store, global: &Global) {
    let report = store.open_report();
    if let Some(kind) = report.network_file_system {
        note(
            global,
            &format!(
                "the store is on a network file system ({kind}): a power cut or a second machine may destroy it there; keep it on a local disk"
            ),
        );
    }
    let cuts = report.cuts.iter().map(|cut| ("log", cut));
    for (what, cut) in cuts.chain(report.manifest_cut.iter().map(|cut| ("manifest", cut))) {
        note(
            global,
            &format!(
                "the {what} ended in {} that no write was acknowledged for; they were cut off at byte {} of {}",
                count(cut.bytes, "byte", "bytes"),
                cut.offset,
                cut.path.display()
            ),
        );
    }
    if !report.lost.is_empty() {
        note(
            global,
            &format!("files that are no part of the store were moved to lost/: {}", report.lost.join(", ")),
        );
    }
}

/// Something worth knowing that is no failure, on standard error.
fn note(global: &Global, text: &str) {
    if global.json {
        tell(&Object::new().text("note", text).finish());
    } else {
        tell(&format!("recension: {text}"));
    }
}
