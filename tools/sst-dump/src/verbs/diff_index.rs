//! `diff-index`: the index against what the value files say it must be.

use recension::env::Env;
use recension::inspect::{Found, Report, WINDOW, diff};
use recension_cli::Global;
use recension_cli::entity::shown;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count};

use crate::args::DiffIndexArgs;

use crate::file;
use crate::show::object;

/// A writer that replaces files while they are read is given so many chances.
const ATTEMPTS: u32 = 8;
/// So many differences are named.
const DIFFERENCES_MAX: usize = 100_000;

pub fn run(args: &DiffIndexArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let mut differences: Vec<Found> = Vec::new();
    let mut attempts = 0;
    let report = loop {
        attempts += 1;
        let files = file::store_in(&*env.fs, &args.store)?;
        if files.state.is_none() {
            let dir = args.store.display();
            return Err(Failure::NotFound(
                "no_manifest",
                format!("there is no manifest that can be read in {dir}"),
            ));
        }
        differences.clear();
        let report = diff(&*env.fs, &files, args.window.unwrap_or(WINDOW), &mut |found| {
            if differences.len() < DIFFERENCES_MAX {
                differences.push(found);
            }
            Ok(())
        })?;
        if report.differences == 0
            || attempts >= ATTEMPTS
            || !(report.vanished && files.has_moved_on(&*env.fs))
        {
            break report;
        }
    };
    differences.iter().try_for_each(|found| say(found, global, out))?;
    summary(&report, global, out)?;
    match report.differences {
        0 => Ok(()),
        n => Err(Failure::Damage(format!(
            "{}: {}",
            args.store.display(),
            count(n, "difference", "differences")
        ))),
    }
}

/// A difference.
pub fn say(found: &Found, global: &Global, out: &mut Out) -> Outcome {
    let what = found.difference.text();
    if global.json {
        let mut said = object("difference");
        said.text("kind", found.difference.name()).number("seq", found.sequence).entity(&found.entity);
        found.rev.map(|rev| said.number("rev", rev));
        return out.object(&said);
    }
    let name = shown(&found.entity);
    match found.rev {
        Some(rev) => out.line(&format!("change {}, {name} revision {rev}, {what}", found.sequence)),
        None => out.line(&format!("change {}, an annotation of {name}, {what}", found.sequence)),
    }
}

fn summary(report: &Report, global: &Global, out: &mut Out) -> Outcome {
    if global.json {
        let mut said = object("summary");
        said.number("changes", report.changes).number("rows", report.rows);
        said.number("differences", report.differences).number("windows", report.windows);
        return out.object(&said);
    }
    let same = if report.differences == 0 { "the same" } else { "different" };
    let (changes, rows) = (count(report.changes, "change", "changes"), count(report.rows, "row", "rows"));
    out.line(&format!("{same}: {changes} of the value files, {rows} of the index"))
}
