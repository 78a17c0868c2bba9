//! `rebuild`: manifest and index anew from the value files.

use recension::{RebuildMode, Store};

use crate::args::{Global, RebuildArgs};
use crate::exit::Outcome;
use crate::output::{Object, Out, count};

pub fn run(args: &RebuildArgs, global: &Global, out: &mut Out) -> Outcome {
    let mode = if args.dry_run { RebuildMode::DryRun } else { RebuildMode::Apply };
    let report = Store::builder(&args.store).rebuild(mode)?;
    if global.json {
        let mut object = Object::new();
        object.boolean("dry_run", args.dry_run).boolean("had_manifest", report.had_manifest);
        object.number("sequence", report.sequence).number("replayed", report.replayed);
        object.texts("value_files", report.value_files.iter().map(String::as_str));
        object.texts("obsolete", report.obsolete.iter().map(String::as_str));
        return out.object(&object);
    }
    if !report.had_manifest {
        out.line("there was no manifest that could be read")?;
    }
    let (changes, gone) = (count(report.sequence, "change", "changes"), report.obsolete.len() as u64);
    if args.dry_run {
        out.line(&format!("the value files are complete: {changes}"))?;
        for name in &report.obsolete {
            out.line(&format!("would go: {name}"))?;
        }
        return out.line("nothing was written");
    }
    out.line(&format!("rebuilt: {changes}; {} of the old index removed", count(gone, "file", "files")))
}
