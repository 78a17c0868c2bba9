//! `repair`: what can be saved of a damaged store, copied into a new one.

use recension::env::Env;
use recension::{Lost, RepairMode, RepairReport, repair};

use super::progress::with_bar;
use crate::args::{Global, RepairArgs};
use crate::entity::shown;
use crate::exit::{Failure, Outcome};
use crate::output::{Object, Out, count, size};

pub fn run(args: &RepairArgs, global: &Global, out: &mut Out) -> Outcome {
    let mode = if args.apply { RepairMode::Apply } else { RepairMode::DryRun };
    let env = Env::os(2);
    let report = with_bar(|progress| repair(&env, &args.store, &args.into, mode, progress))?;
    for lost in &report.lost {
        match global.json {
            true => out.object(&lost_object(lost))?,
            false => out.line(&format!("lost: {}", lost_text(lost)))?,
        }
    }
    match global.json {
        true => out.object(&object(args, &report))?,
        false => say(args, &report, out)?,
    }
    match report.lost_count {
        0 => Ok(()),
        n => Err(Failure::Damage(format!(
            "{}: {} cannot be saved",
            args.store.display(),
            count(n, "thing", "things")
        ))),
    }
}

fn lost_text(lost: &Lost) -> String {
    match lost {
        Lost::Changes(first, u64::MAX) => {
            format!("the end of the log: changes from {first} on, if there were any")
        }
        Lost::Changes(first, last) if first == last => format!("change {first}"),
        Lost::Changes(first, last) => format!("changes {first} to {last}"),
        Lost::Revision(entity, rev) => format!("{} revision {rev}", shown(entity)),
        Lost::Content(entity, rev, 0) => {
            format!("the content of {} revision {rev}; the revision is saved without it", shown(entity))
        }
        Lost::Content(entity, rev, slot) => format!("content {slot} of {} revision {rev}", shown(entity)),
        Lost::Fields(entity, rev) => format!("author and comment of {} revision {rev}", shown(entity)),
        other => format!("{other:?}"),
    }
}

fn lost_object(lost: &Lost) -> Object {
    let mut object = Object::new();
    match lost {
        Lost::Changes(first, last) => {
            object.text("lost", "changes").number("sequence_first", *first).number("sequence_last", *last);
        }
        Lost::Revision(entity, rev) => {
            object.text("lost", "revision").entity(entity).number("rev", *rev);
        }
        Lost::Content(entity, rev, slot) => {
            object
                .text("lost", "content")
                .entity(entity)
                .number("rev", *rev)
                .number("slot", u64::from(*slot));
        }
        Lost::Fields(entity, rev) => {
            object.text("lost", "fields").entity(entity).number("rev", *rev);
        }
        other => {
            object.text("lost", &format!("{other:?}"));
        }
    }
    object
}

fn object(args: &RepairArgs, report: &RepairReport) -> Object {
    let mut object = Object::new();
    object
        .boolean("dry_run", !args.apply)
        .number("changes", report.changes)
        .number("from_index", report.from_index);
    object.number("contents", report.contents).number("content_bytes", report.content_bytes);
    object.number("lost", report.lost_count);
    object.texts("damaged_files", report.damaged_files.iter().map(String::as_str));
    object
}

fn say(args: &RepairArgs, report: &RepairReport, out: &mut Out) -> Outcome {
    for name in &report.damaged_files {
        out.line(&format!("damaged: {name}"))?;
    }
    let contents = count(report.contents, "content", "contents");
    let mut text = format!(
        "{}, {contents} ({})",
        count(report.changes, "change", "changes"),
        size(report.content_bytes)
    );
    if report.from_index > 0 {
        text += &format!(", {} of them known to the index only", report.from_index);
    }
    match args.apply {
        true => out.line(&format!("saved in {}: {text}", args.into.display())),
        false => out.line(&format!("can be saved: {text}; nothing was written, --apply writes it")),
    }
}
