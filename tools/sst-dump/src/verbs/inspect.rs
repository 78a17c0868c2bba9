//! `inspect`: what a file or a store is.

use std::collections::BTreeMap;
use std::path::Path;

use recension::codec::{FileKind, Part};
use recension::env::Env;
use recension::inspect as names;
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, grouped, size};
use recension_cli::table::{Align, Table, properties};

use crate::args::PathArgs;
use crate::file::{self, Item, Summary, is_finding, kind_name, walk};

use crate::file::hex;
use crate::show::{damaged, fact_into, fact_text, holds_text, object, part_object};

pub fn run(args: &PathArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    match file::is_dir(&*env.fs, &args.path)? {
        true => store(&args.path, env, global, out),
        false => one(&args.path, env, global, out),
    }
}

/// How many parts of a kind, and their bytes.
#[derive(Default)]
struct Section {
    count: u64,
    bytes: u64,
    bad: u64,
    order: usize,
}

fn one(path: &Path, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    let mut sections: BTreeMap<(&str, bool), Section> = BTreeMap::new();
    let mut bad: Vec<Part> = Vec::new();
    let mut summary = walk(fs, path, Depth::Stored, &mut |item| {
        if let Item::Part(part) = item {
            let order = sections.len();
            let section = sections.entry((part.kind, part.nested)).or_default();
            section.order = if section.count == 0 { order } else { section.order };
            section.count += 1;
            section.bytes += part.len;
            if is_finding(&part.state) {
                section.bad += 1;
                bad.push(part);
            }
        }
        Ok(())
    })?;
    names::name(fs, &mut bad, &[path.to_path_buf()])?;
    file::with_manifest(fs, &mut summary);
    let mut sections: Vec<_> = sections.into_iter().collect();
    sections.sort_by_key(|(_, section)| section.order);
    if global.json {
        let mut said = file_object(&summary);
        said.number("damaged", bad.len() as u64);
        out.object(&said)?;
        for ((kind, nested), section) in &sections {
            let mut said = object("section");
            said.text("kind", kind).flag("nested", *nested).number("count", section.count);
            said.number("bytes", section.bytes).number("damaged", section.bad);
            out.object(&said)?;
        }
        bad.iter().try_for_each(|part| out.object(&part_object(part, None)))?;
    } else {
        properties(out, &rows(&summary, global))?;
        out.line("")?;
        let mut table = Table::new(&[
            ("section", Align::Left),
            ("count", Align::Right),
            ("bytes", Align::Right),
            ("damaged", Align::Right),
        ]);
        for ((kind, nested), section) in &sections {
            let kind = if *nested { format!("  {kind}") } else { (*kind).to_owned() };
            table
                .row(out, vec![kind, grouped(section.count), grouped(section.bytes), grouped(section.bad)])?;
        }
        table.end(out)?;
        if !bad.is_empty() {
            out.line("")?;
        }
        bad.iter().try_for_each(|part| finding(part, None, out))?;
    }
    match bad.len() as u64 {
        0 => Ok(()),
        n => Err(Failure::Damage(format!("{}: {}", path.display(), damaged(n)))),
    }
}

/// A damaged part, for people.
pub fn finding(part: &Part, file: Option<&str>, out: &mut Out) -> Outcome {
    let file = file.map_or_else(String::new, |file| format!("{file} "));
    out.line(&format!(
        "{}: {file}{} at {:#x}, {} bytes: {}",
        part.state.name(),
        part.kind,
        part.offset,
        part.len,
        part.state.why().unwrap_or_default()
    ))?;
    explained(part, out)
}

/// What mends a damaged part, and what it affects, below the line that names it.
pub fn explained(part: &Part, out: &mut Out) -> Outcome {
    if let Some(flip) = &part.flip {
        out.line(&format!("    {flip}"))?;
    }
    let affected = holds_text(&part.holds);
    if !affected.is_empty() {
        let derived = if part.holds.derived { " (can be made again from the rest)" } else { "" };
        out.line(&format!("    affected: {affected}{derived}"))?;
    }
    Ok(())
}

fn rows(summary: &Summary, global: &Global) -> Vec<(&'static str, String)> {
    let mut rows = vec![("kind", kind_name(summary.kind).to_owned())];
    if let Some(common) = &summary.common {
        rows.push(("version", common.version.to_string()));
        rows.push(("store", hex(&common.store)));
        rows.push(("number", format!("{} (epoch {})", common.id.number, common.id.epoch)));
    }
    rows.push(("length", format!("{} ({})", summary.len, size(summary.len))));
    rows.extend(summary.facts.iter().map(|(name, fact)| (*name, fact_text(fact, global))));
    rows
}

/// A file as an object.
fn file_object(summary: &Summary) -> recension_cli::output::Object {
    let mut said = object("file");
    said.text("path", &summary.path.display().to_string()).text("kind", kind_name(summary.kind));
    if let Some(common) = &summary.common {
        said.number("version", u64::from(common.version)).text("store", &hex(&common.store));
        said.number("epoch", common.id.epoch).number("number", common.id.number);
    }
    said.number("len", summary.len);
    summary.facts.iter().for_each(|(name, fact)| fact_into(&mut said, name, fact));
    said
}

fn store(dir: &Path, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    let files = file::store_in(fs, dir)?;
    let mut bad = 0;
    let mut table = Table::new(&[
        ("file", Align::Left),
        ("role", Align::Left),
        ("bytes", Align::Right),
        ("changes", Align::Left),
        ("erased up to", Align::Right),
        ("state", Align::Left),
    ]);
    if global.json {
        let mut said = object("store");
        said.text("path", &dir.display().to_string());
        if let Some(state) = &files.state {
            said.text("store", &hex(&state.store)).number("incarnation", state.incarnation);
            said.number("tables", state.tables.len() as u64)
                .number("value_files", state.value_files.len() as u64);
            said.number("checkpoints", state.holders.len() as u64);
        }
        out.object(&said)?;
    } else {
        let mut rows = vec![("directory", dir.display().to_string())];
        if let Some(state) = &files.state {
            rows.push(("store", hex(&state.store)));
            rows.push(("incarnation", state.incarnation.to_string()));
            rows.push(("tables", state.tables.len().to_string()));
            rows.push(("value files", state.value_files.len().to_string()));
            for holder in &state.holders {
                rows.push(("checkpoint", format!("{} (up to change {})", holder.path, holder.sequence)));
            }
        } else {
            rows.push(("manifest", "none that can be read".into()));
        }
        let active = files.files.iter().filter(|(id, kind, _)| {
            *kind == FileKind::Segment
                && files.state.as_ref().is_some_and(|state| !state.value_files.contains_key(id))
        });
        if active.count() == 0 && files.state.is_some() {
            rows.push(("active segment", "none: a checkpoint, or a store that was copied".into()));
        }
        properties(out, &rows)?;
        out.line("")?;
    }
    let mut all: Vec<(String, Part)> = Vec::new();
    for (id, kind, len) in &files.files {
        let name = id.file_name(*kind);
        let (summary, mut parts) = match names::findings(fs, &dir.join(&name), Depth::Stored) {
            // A writer has replaced it meanwhile.
            Err(error) if names::is_gone(&error) && files.has_moved_on(fs) => continue,
            looked => looked?,
        };
        // What is being made is not whole yet, and what was given up need not be.
        if files.is_aside(*id, *kind) {
            parts.clear();
        }
        bad += parts.len() as u64;
        let role = files.role(*id, *kind);
        let erased = files.state.as_ref().and_then(|state| file::erased_up_to(state, *id, *kind));
        if global.json {
            let mut said = file_object(&summary);
            erased.map(|up_to| said.number("erased_up_to", up_to));
            said.text("role", &role).number("damaged", parts.len() as u64);
            out.object(&said)?;
            parts.iter().try_for_each(|part| out.object(&part_object(part, Some(&name))))?;
        } else {
            let changes =
                summary.sequences.map_or_else(String::new, |(first, last)| format!("{first} to {last}"));
            let state = match parts.len() as u64 {
                _ if files.is_aside(*id, *kind) => "not looked at".into(),
                0 => "sound".into(),
                n => damaged(n),
            };
            let erased = erased.map_or_else(String::new, |up_to| up_to.to_string());
            table.row(out, vec![name.clone(), role, grouped(*len), changes, erased, state])?;
            all.extend(parts.into_iter().map(|part| (name.clone(), part)));
        }
    }
    table.end(out)?;
    for missing in &files.missing {
        bad += 1;
        match global.json {
            true => out.object(object("missing").text("file", missing))?,
            false => out.line(&format!("missing: {missing}, which the manifest names"))?,
        }
    }
    if !all.is_empty() {
        out.line("")?;
    }
    all.iter().try_for_each(|(name, part)| finding(part, Some(name), out))?;
    match bad {
        0 => Ok(()),
        bad => Err(Failure::Damage(format!("{}: {}", dir.display(), damaged(bad)))),
    }
}
