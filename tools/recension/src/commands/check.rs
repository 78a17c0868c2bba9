//! `check`: verifies a store.

use recension::{CheckDepth, CheckReport};

use super::open_to_read;
use super::progress::with_bar;
use crate::args::{CheckArgs, Global};
use crate::exit::{Failure, Outcome};
use crate::output::{Object, Out, count, size};

pub fn run(args: &CheckArgs, global: &Global, out: &mut Out) -> Outcome {
    let depth = match (args.quick, args.deep) {
        (true, _) => CheckDepth::Quick,
        (_, true) => CheckDepth::Deep,
        _ => CheckDepth::Full,
    };
    let store = open_to_read(&args.store)?;
    let report = with_bar(|progress| store.check(depth, progress))?;
    for finding in &report.findings {
        match global.json {
            true => out.object(Object::new().text("finding", &finding.what))?,
            false => out.line(&format!("damage: {}", finding.what))?,
        }
    }
    match global.json {
        true => out.object(&object(&report))?,
        false => out.line(&sentence(&report, depth))?,
    }
    match report.is_clean() {
        true => Ok(()),
        false => {
            let found = count(report.findings.len() as u64, "finding", "findings");
            Err(Failure::Damage(format!("{} is damaged: {found}", args.store.display())))
        }
    }
}

fn object(report: &CheckReport) -> Object {
    let mut object = Object::new();
    object.boolean("clean", report.is_clean()).number("findings", report.findings.len() as u64);
    object.number("tables", report.tables).number("rows", report.rows);
    object.number("value_files", report.value_files).number("changes", report.changes);
    object.number("contents", report.contents).number("content_bytes", report.content_bytes);
    object
}

fn sentence(report: &CheckReport, depth: CheckDepth) -> String {
    let read = match depth {
        CheckDepth::Quick => "structure only".to_owned(),
        _ => {
            let tables = count(report.tables, "table", "tables");
            let files = count(report.value_files, "value file", "value files");
            let contents = count(report.contents, "content", "contents");
            let mut read = format!("{tables}, {files}, {}", count(report.changes, "change", "changes"));
            if depth == CheckDepth::Deep {
                read += &format!(", {contents} ({})", size(report.content_bytes));
            }
            read
        }
    };
    format!("{}: {read}", if report.is_clean() { "sound" } else { "damaged" })
}
