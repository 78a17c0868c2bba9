//! `reclaim` and `erasure-report`: that the bytes of what is forgotten leave the disk.

use recension::{ErasureReport, HeldFile, HeldRole, IfMissing, Reclaimed};

use super::progress::with_bar;
use super::{open_to_read, write_to};
use crate::args::{ErasureReportArgs, Global, ReclaimArgs};
use crate::exit::{Failure, Outcome};
use crate::output::{Object, Out, count};

pub fn reclaim(args: &ReclaimArgs, global: &Global, out: &mut Out) -> Outcome {
    let done =
        write_to(&args.store, IfMissing::Fail, global, |store| with_bar(|progress| store.reclaim(progress)))?;
    match global.json {
        true => out.object(&reclaimed(&done))?,
        false => out.line(&match done.up_to {
            0 => "nothing was ever forgotten".to_owned(),
            _ => {
                let files = count(done.value_files, "segment or pack", "segments and packs");
                format!("written anew: {files}, {}", count(done.tables, "table", "tables"))
            }
        })?,
    }
    for (name, why) in &done.unreadable {
        match global.json {
            true => out.object(Object::new().text("unreadable", name).text("why", why))?,
            false => out.line(&format!("left as it is: {name}: {why}"))?,
        }
    }
    match done.is_complete() {
        true => Ok(()),
        false if done.unreadable.is_empty() => {
            Err(Failure::Failed("more was forgotten all the time: run it again".into()))
        }
        false => {
            let files = count(done.unreadable.len() as u64, "file", "files");
            Err(Failure::Damage(format!(
                "{files} could not be read and may hold what is forgotten: run check"
            )))
        }
    }
}

fn reclaimed(done: &Reclaimed) -> Object {
    let mut object = Object::new();
    object.boolean("complete", done.is_complete()).number("up_to", done.up_to);
    object.number("value_files", done.value_files).number("tables", done.tables);
    object
}

pub fn report(args: &ErasureReportArgs, global: &Global, out: &mut Out) -> Outcome {
    if let Some(released) = &args.released {
        return write_to(&args.store, IfMissing::Fail, global, |store| {
            Ok(store.release_checkpoint(released)?)
        });
    }
    let store = open_to_read(&args.store)?;
    let report = with_bar(|progress| store.erasure_report(progress))?;
    for held in &report.held {
        match global.json {
            true => out.object(&object(held))?,
            false => out.line(&format!("{}: {}", held.path.display(), sentence(held)))?,
        }
    }
    for unknown in &report.unknown {
        let path = unknown.path.display().to_string();
        match global.json {
            true => out.object(Object::new().text("unknown", &path).text("why", &unknown.why))?,
            false => out.line(&format!("{path}: cannot be told: {}", unknown.why))?,
        }
    }
    for interrupted in &report.interrupted {
        let job = format!("{:016x}", interrupted.job);
        match global.json {
            true => {
                let mut object = Object::new();
                object.text("interrupted", &job).number("sequence", interrupted.sequence);
                out.object(object.text("actor", &interrupted.actor).text("reason", &interrupted.reason))?;
            }
            false => out.line(&format!(
                "job {job} ({}, {}) was interrupted: run the same command again with --resume {job}",
                said("actor", &interrupted.actor),
                said("reason", &interrupted.reason),
            ))?,
        }
    }
    for gone in &report.gone {
        match global.json {
            true => out.object(Object::new().text("gone", gone))?,
            false => out.line(&format!(
                "{gone}: a checkpoint that is not there any more; unless it was moved, take it off the list with --released"
            ))?,
        }
    }
    match global.json {
        true => {
            let mut object = Object::new();
            object.boolean("clear", report.is_clear()).number("up_to", report.up_to);
            object.number("erasing", report.erasing).number("files", report.files);
            object.number("held", report.held.len() as u64).number("unknown", report.unknown.len() as u64);
            out.object(&object)?;
        }
        false if report.is_clear() => {
            out.line("no file that the store knows of holds bytes of what is forgotten")?
        }
        false => {}
    }
    end(&report)
}

fn said(what: &str, word: &str) -> String {
    if word.is_empty() { format!("no {what}") } else { format!("{what} {word:?}") }
}

fn end(report: &ErasureReport) -> Outcome {
    let (held, unknown) = (report.held.len() as u64, report.unknown.len() as u64);
    let mut said = Vec::new();
    if held > 0 {
        // A checkpoint is another store: nothing that is done here reaches it.
        let checkpoints = report.held.iter().filter(|held| held.role == HeldRole::Checkpoint).count() as u64;
        let mut how = Vec::new();
        if held > checkpoints {
            how.push("`reclaim` writes files anew");
        }
        if checkpoints > 0 {
            how.push("delete a checkpoint, then take it off the list with --released");
        }
        let files = count(held, "file holds", "files hold");
        said.push(format!("{files} bytes of what is forgotten: {}", how.join("; ")));
    }
    if unknown > 0 {
        said.push(format!("of {} it cannot be told", count(unknown, "file", "files")));
    }
    match said.is_empty() {
        true => Ok(()),
        false => Err(Failure::Rejects(said.join("; "))),
    }
}

fn object(held: &HeldFile) -> Object {
    let mut object = Object::new();
    object.text("held", &held.path.display().to_string()).text("role", held.role.name());
    object.number("contents", held.contents).number("fields", held.fields).number("names", held.names);
    object.number("sequence", held.sequence);
    let jobs: Vec<String> = held.jobs.iter().map(|job| format!("{job:016x}")).collect();
    object.texts("jobs", jobs.iter().map(String::as_str));
    object
}

fn sentence(held: &HeldFile) -> String {
    let jobs: Vec<String> = held.jobs.iter().map(|job| format!("{job:016x}")).collect();
    if held.role == HeldRole::Checkpoint {
        // It is not looked into: another store, perhaps one that is in use.
        return format!(
            "checkpoint, or the store that this one was restored from, of before {} (jobs {}, from sequence {} on)",
            count(held.contents.saturating_add(held.names), "erasing annotation", "erasing annotations"),
            jobs.join(", "),
            held.sequence
        );
    }
    let mut what = Vec::new();
    if held.contents > 0 {
        what.push(count(held.contents, "content", "contents"));
    }
    if held.fields > 0 {
        what.push(format!("fields of {}", count(held.fields, "row", "rows")));
    }
    if held.names > 0 {
        what.push(format!("{} of purged entities", count(held.names, "trace", "traces")));
    }
    let what = what.join(", ");
    format!(
        "{} with {what} (forgotten by job {}, sequence {})",
        held.role.name(),
        jobs.join(", "),
        held.sequence
    )
}
