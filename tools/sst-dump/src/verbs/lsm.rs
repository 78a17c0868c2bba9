//! `lsm`: levels, tables, packs and segments, as text and over time as a page for a browser.

use std::collections::{BTreeMap, BTreeSet};

use recension::codec::FileKind;
use recension::env::Env;
use recension::manifest::State;
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::entity::shown;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Object, Out, count, grouped, size};
use recension_cli::table::{Align, Table};

use crate::args::LsmArgs;
use crate::file::{self, hex};
use crate::file::{Item, kind_name, walk};
use crate::show::object;

const PAGE: &str = include_str!("lsm.html");

pub fn run(args: &LsmArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let files = file::store_in(&*env.fs, &args.store)?;
    let (Some(state), Some(manifest)) = (&files.state, files.manifest) else {
        let dir = args.store.display();
        return Err(Failure::NotFound(
            "no_manifest",
            format!("there is no manifest that can be read in {dir}"),
        ));
    };
    text(state, global, out)?;
    let Some(html) = &args.html else { return Ok(()) };
    let mut states: Vec<(u64, Box<State>)> = Vec::new();
    walk(&*env.fs, &args.store.join(manifest.file_name(FileKind::Manifest)), Depth::Stored, &mut |item| {
        if let Item::Edits { number, kind, state, .. } = item
            && kind != "promise"
        {
            states.push((number, state));
        }
        Ok(())
    })?;
    let page = PAGE.replace("/*DATA*/null", &data(&states).replace("</", "<\\/"));
    std::fs::write(html, page)
        .map_err(|error| Failure::Io(format!("cannot write {}", html.display()), error))?;
    let said =
        format!("{}: {} of the manifest", html.display(), count(states.len() as u64, "commit", "commits"));
    match global.json {
        true => out.object(
            object("page").text("path", &html.display().to_string()).number("commits", states.len() as u64),
        ),
        false => out.line(&said),
    }
}

fn text(state: &State, global: &Global, out: &mut Out) -> Outcome {
    let mut levels: BTreeMap<(u16, u8), (u64, u64, u64)> = BTreeMap::new();
    for table in state.tables.values() {
        let level = levels.entry((table.keyspace, table.level)).or_default();
        *level = (level.0 + 1, level.1 + table.len, level.2 + table.rows);
    }
    let mut kinds: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
    for file in state.value_files.values() {
        let kind = kinds.entry(kind_name(Some(file.kind))).or_default();
        *kind = (kind.0 + 1, kind.1 + file.len, kind.2 + file.records);
    }
    let mut table = Table::new(&[
        ("what", Align::Left),
        ("files", Align::Right),
        ("bytes", Align::Right),
        ("rows or changes", Align::Right),
    ]);
    let named =
        levels.iter().map(|((keyspace, level), sums)| (format!("keyspace {keyspace} level {level}"), sums));
    for (what, (files, bytes, rows)) in
        named.chain(kinds.iter().map(|(kind, sums)| ((*kind).to_owned(), sums)))
    {
        if global.json {
            let mut said = object("level");
            out.object(
                said.text("what", &what)
                    .number("files", *files)
                    .number("bytes", *bytes)
                    .number("rows", *rows),
            )?;
        } else {
            table.row(out, vec![what, grouped(*files), size(*bytes), grouped(*rows)])?;
        }
    }
    table.end(out)
}

/// Everything that ever was, once, and for each commit what was there.
fn data(states: &[(u64, Box<State>)]) -> String {
    let mut things: BTreeMap<String, String> = BTreeMap::new();
    let mut keys: BTreeSet<&[u8]> = BTreeSet::new();
    for (_, state) in states {
        keys.extend(
            state
                .tables
                .values()
                .filter(|table| table.keyspace == 0)
                .flat_map(|table| [&table.first[..], &table.last[..]]),
        );
    }
    let rank = |key: &[u8]| keys.range(..key).count() as u64;
    let mut commits = Vec::new();
    for (number, state) in states {
        let mut present: Vec<String> = Vec::new();
        for table in state.tables.values() {
            let name = format!("t{}.{}", table.id.number, table.level);
            things.entry(name.clone()).or_insert_with(|| {
                let mut thing = Object::new();
                thing
                    .text("kind", "table")
                    .number("file", table.id.number)
                    .number("keyspace", u64::from(table.keyspace));
                thing
                    .number("level", u64::from(table.level))
                    .number("bytes", table.len)
                    .number("rows", table.rows);
                thing.text("first", &shown(&table.first)).text("last", &shown(&table.last));
                thing.number("x0", rank(&table.first)).number("x1", rank(&table.last).saturating_add(1));
                thing.number("s0", table.sequence_first).number("s1", table.sequence_last).finish()
            });
            present.push(name);
        }
        for file in state.value_files.values() {
            let name = format!("v{}", file.id.number);
            things.entry(name.clone()).or_insert_with(|| {
                let mut thing = Object::new();
                thing
                    .text("kind", kind_name(Some(file.kind)))
                    .number("file", file.id.number)
                    .number("bytes", file.len);
                thing
                    .number("raw", file.raw_bytes)
                    .number("live", file.live_bytes)
                    .number("rows", file.records);
                thing.number("generation", u64::from(file.generation));
                thing.text("first", &shown(&file.entity_first)).text("last", &shown(&file.entity_last));
                thing.number("s0", file.sequence_first).number("s1", file.sequence_last).finish()
            });
            present.push(name);
        }
        let mut commit = Object::new();
        commit.number("number", *number).number("flushed", state.flushed.get(&0).copied().unwrap_or(0));
        commit.texts("files", present.iter().map(String::as_str));
        commits.push(commit.finish());
    }
    let things: Vec<String> = things.into_iter().map(|(name, thing)| format!("\"{name}\":{thing}")).collect();
    let mut about = Object::new();
    about.text("store", &states.last().map_or_else(String::new, |(_, state)| hex(&state.store)));
    about.text("first", &keys.first().map_or_else(String::new, |key| shown(key)));
    about.text("last", &keys.last().map_or_else(String::new, |key| shown(key)));
    let about = about.finish();
    format!(
        "{{{},\"keys\":{},\"things\":{{{}}},\"commits\":[{}]}}",
        about.trim_matches(['{', '}']),
        keys.len(),
        things.join(","),
        commits.join(",")
    )
}
