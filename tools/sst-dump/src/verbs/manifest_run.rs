//! `manifest`: what the manifest says, edit by edit.

use std::path::{Path, PathBuf};

use recension::codec::{FileKind, Part};
use recension::env::Env;
use recension::manifest::{State, invariants};
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count, size};
use recension_cli::table::properties;

use super::manifest::{edit_into, edit_text, table_text, value_file_text};
use crate::args::ManifestVerb;
use crate::file::hex;
use crate::file::{self, Item, Summary, is_finding, kind_name, own_files, walk};
use crate::show::{damaged, object, part_object};

pub fn run(verb: &ManifestVerb, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    match verb {
        ManifestVerb::Dump(args) => dump(&manifest_of(env, &args.path)?, env, global, out),
        ManifestVerb::Summarize(args) => {
            let (state, number) = state_at(&manifest_of(env, &args.path)?, env, None)?;
            say(&state, number, global, out)
        }
        ManifestVerb::At(args) => {
            let (state, number) = state_at(&manifest_of(env, &args.path)?, env, Some(args.edit))?;
            say(&state, number, global, out)
        }
        ManifestVerb::Check(args) => check(&manifest_of(env, &args.path)?, env, global, out),
    }
}

/// The file itself, or the newest one of a store.
fn manifest_of(env: &Env, path: &Path) -> Outcome<PathBuf> {
    let fs = &*env.fs;
    if !file::is_dir(fs, path)? {
        return Ok(path.to_path_buf());
    }
    let files = own_files(fs, path)?;
    let newest = files.iter().rfind(|(_, kind, _)| *kind == FileKind::Manifest);
    let newest = newest.ok_or_else(|| {
        Failure::NotFound(
            "no_manifest",
            format!("there is no manifest in {}; `recension rebuild` makes one", path.display()),
        )
    })?;
    Ok(path.join(newest.0.file_name(FileKind::Manifest)))
}

fn damage(path: &Path, bad: u64) -> Outcome {
    match bad {
        0 => Ok(()),
        bad => Err(Failure::Damage(format!("{}: {}", path.display(), damaged(bad)))),
    }
}

fn tell(part: &Part, global: &Global, out: &mut Out) -> Outcome {
    match global.json {
        true => out.object(&part_object(part, None)),
        false => super::inspect::finding(part, None, out),
    }
}

fn dump(path: &Path, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let mut bad = 0;
    let summary = walk(&*env.fs, path, Depth::Stored, &mut |item| match item {
        Item::Part(part) if is_finding(&part.state) => {
            bad += 1;
            tell(&part, global, out)
        }
        Item::Edits { number, kind, offset, edits, broken, .. } => {
            if global.json {
                for edit in &edits {
                    let mut said = object("edit");
                    said.number("commit", number).text("frame", kind).number("offset", offset);
                    edit_into(&mut said, edit);
                    out.object(&said)?;
                }
                return Ok(());
            }
            out.line(&format!("{offset:#x} {kind} {number}"))?;
            edits.iter().try_for_each(|edit| out.line(&format!("    {}", edit_text(edit))))?;
            broken.map_or(Ok(()), |broken| out.line(&format!("    refused: {broken}")))
        }
        _ => Ok(()),
    })?;
    want_manifest(&summary)?;
    damage(path, bad)
}

/// Says so if a file is something else than a manifest.
fn want_manifest(summary: &Summary) -> Outcome {
    let path = summary.path.display();
    match summary.kind {
        Some(FileKind::Manifest) => Ok(()),
        None => Err(Failure::Damage(format!("{path}: expected the magic of a Recension file"))),
        kind => Err(Failure::Usage(format!("{path} is a {}: a manifest is wanted", kind_name(kind)))),
    }
}

/// The state behind a commit, or at the end.
fn state_at(path: &Path, env: &Env, edit: Option<u64>) -> Outcome<(State, u64)> {
    let mut found: Option<(State, u64)> = None;
    let mut first = None;
    let summary = walk(&*env.fs, path, Depth::Stored, &mut |item| {
        if let Item::Edits { number, state, .. } = item {
            first.get_or_insert(number);
            if edit.is_none_or(|edit| number <= edit) {
                found = Some((*state, number));
            }
        }
        Ok(())
    })?;
    want_manifest(&summary)?;
    found.filter(|(_, number)| edit.is_none_or(|edit| edit == *number)).ok_or_else(|| {
        let path = path.display();
        let from = first.map_or_else(String::new, |first| format!("; it begins with commit {first}"));
        let what = edit.map_or_else(|| "snapshot".into(), |edit| format!("commit {edit}"));
        Failure::NotFound("no_such_commit", format!("{path}: no {what} that can be read{from}"))
    })
}

fn say(state: &State, number: u64, global: &Global, out: &mut Out) -> Outcome {
    let flushed = |keyspace: u16| state.flushed.get(&keyspace).copied().unwrap_or(0);
    let bytes = |kind: FileKind| {
        state.value_files.values().filter(|file| file.kind == kind).map(|file| file.len).sum::<u64>()
    };
    let tables: u64 = state.tables.values().map(|table| table.len).sum();
    if global.json {
        let mut said = object("state");
        said.number("commit", number)
            .text("store", &hex(&state.store))
            .number("incarnation", state.incarnation);
        said.number("epoch", state.epoch).number("next_file", state.next_file);
        said.number("flushed", flushed(0)).number("flushed_annotations", flushed(1));
        said.number("promise_file", state.promise.0).number("promise_offset", state.promise.1);
        said.number("promise_sequence", state.promise_sequence);
        said.number("tables", state.tables.len() as u64).number("table_bytes", tables);
        said.number("value_files", state.value_files.len() as u64);
        said.number("segment_bytes", bytes(FileKind::Segment)).number("pack_bytes", bytes(FileKind::Pack));
        out.object(&said)?;
        for table in state.tables.values() {
            let mut said = object("table");
            edit_into(&mut said, &recension::manifest::Edit::AddTable(table.clone()));
            out.object(&said)?;
        }
        for file in state.value_files.values() {
            let mut said = object("value_file");
            edit_into(&mut said, &recension::manifest::Edit::AddValueFile(file.clone()));
            out.object(&said)?;
        }
        return Ok(());
    }
    properties(
        out,
        &[
            ("commit", number.to_string()),
            ("store", hex(&state.store)),
            ("incarnation", state.incarnation.to_string()),
            ("epoch", state.epoch.to_string()),
            ("next file", state.next_file.to_string()),
            ("flushed", format!("change {}, annotations {}", flushed(0), flushed(1))),
            (
                "promise",
                format!(
                    "file {} byte {}, change {}",
                    state.promise.0, state.promise.1, state.promise_sequence
                ),
            ),
            ("tables", format!("{} ({})", state.tables.len(), size(tables))),
            ("segments", size(bytes(FileKind::Segment))),
            ("packs", size(bytes(FileKind::Pack))),
        ],
    )?;
    for table in state.tables.values() {
        out.line(&format!("  {}", table_text(table)))?;
    }
    for file in state.value_files.values() {
        out.line(&format!("  {}", value_file_text(file)))?;
    }
    for (id, kind) in &state.intents {
        out.line(&format!("  announced {}", id.file_name(*kind)))?;
    }
    for (id, kind) in &state.obsolete {
        out.line(&format!("  obsolete {}", id.file_name(*kind)))?;
    }
    for holder in &state.holders {
        out.line(&format!("  checkpoint at {} up to change {}", holder.path, holder.sequence))?;
    }
    Ok(())
}

fn check(path: &Path, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let (mut bad, mut commits) = (0, 0);
    let mut last: Option<Box<State>> = None;
    let summary = walk(&*env.fs, path, Depth::Stored, &mut |item| match item {
        Item::Part(part) if is_finding(&part.state) => {
            bad += 1;
            tell(&part, global, out)
        }
        Item::Edits { kind, state, .. } => {
            commits += u64::from(kind == "edits");
            last = Some(state);
            Ok(())
        }
        _ => Ok(()),
    })?;
    want_manifest(&summary)?;
    if let Some(Err(violation)) = last.as_ref().map(|state| invariants::check(state)) {
        bad += 1;
        match global.json {
            true => out.object(object("violation").text("why", &violation.to_string()))?,
            false => out.line(&format!("damaged: {violation}"))?,
        }
    }
    let word = if bad == 0 && last.is_some() { "sound" } else { "damaged" };
    match global.json {
        true => out.object(object("summary").number("findings", bad).number("commits", commits))?,
        false => out.line(&format!("{word}: a snapshot and {}", count(commits, "commit", "commits")))?,
    }
    damage(path, bad)
}
