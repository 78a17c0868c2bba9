//! What the documents say about the code is so: files and tests that they name exist, and tables of options, limits, file kinds, errors,
//! dependencies and imports are those of the code.
#![allow(clippy::disallowed_methods, reason = "reads the sources")]

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use documents::{
    code_spans, column, debug_fields, dependencies, documents, files, has_function, kebab, number, prose,
    read, root, table, variants,
};

use recension::codec::{FileId, FileKind, MAGIC};
use recension::index::plain::PLAIN_TABLE_VERSION;
use recension::index::table::REVISION_TABLE_VERSION;
use recension::limits::{self, Limits};
use recension::log::SEGMENT_VERSION;
use recension::pack::PACK_VERSION;
use recension::{ErrorKind, Options};

#[test]
fn every_file_test_and_oracle_that_a_document_names_exists() {
    let mut wrong = Vec::new();
    let harness: String = files("tools/crash/src", "rs").iter().map(|path| read(path)).collect();
    for document in documents() {
        for span in code_spans(&read(&document)) {
            if let Some(oracle) = span.strip_prefix("crash: ").filter(|name| *name != "…")
                && !harness.contains(&format!("\"{oracle}\""))
            {
                wrong.push(format!("{document} names the oracle {oracle}"));
            }
            let ours = ["src/", "tests/", "tools/", "docs/", "benches/", "fuzz/", ".ci/"];
            let plain = span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-:".contains(c));
            if !plain || !ours.iter().any(|dir| span.starts_with(dir)) {
                continue;
            }
            let (path, function) = match span.split_once("::") {
                Some((path, function)) => (root().join(path), Some(function)),
                None => (root().join(&span), None),
            };
            if !path.exists() || function.is_some_and(|name| !has_function(&path, name)) {
                wrong.push(format!("{document} names {span}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    for document in documents() {
        let text = prose(&read(&document));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, to)| (file, Some(to)));
            let here = root().join(&document);
            let target: PathBuf = if file.is_empty() { here } else { here.parent().unwrap().join(file) };
            let anchors = |text: &str| -> BTreeSet<String> {
                let headings = text.lines().filter(|line| line.starts_with('#'));
                headings
                    .map(|line| {
                        let kept = line.trim_start_matches('#').trim().to_lowercase();
                        let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                        kept.collect::<String>().replace(' ', "-")
                    })
                    .collect()
            };
            let found = match heading {
                None => target.exists(),
                Some(to) => {
                    std::fs::read_to_string(&target).is_ok_and(|text| anchors(&prose(&text)).contains(to))
                }
            };
            if !found {
                wrong.push(format!("{document} links to {link}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_test_or_says_that_it_has_none() {
    let text = read("docs/invariants.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 5, "a row has five cells: {row}");
        let (place, tests) = (cells[2], cells[3]);
        assert!(place.contains('`') || place.contains("]("), "where is that seen to: {row}");
        assert!(
            tests.contains("::")
                || tests.contains("crash: ")
                || tests == "none yet"
                || tests.starts_with("clippy"),
            "which test: {row}"
        );
        count += 1;
    }
    assert!(count > 30);
}

#[test]
fn every_planted_mistake_stands_beside_the_rule_that_it_breaks() {
    let text = read("docs/invariants.md");
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| rule"));
    let cells = rows.filter_map(|row| row.trim().trim_matches('|').split('|').nth(4).map(str::to_owned));
    let named: BTreeSet<String> = cells.flat_map(|cell| code_spans(&cell)).collect();
    let known: BTreeSet<String> =
        recension::planted::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named.difference(&known).next(), None, "no such planted mistake");
    assert_eq!(known.difference(&named).next(), None, "a planted mistake that breaks no rule");
}

#[test]
fn the_options_and_their_defaults_are_those_of_the_code() {
    let documented = table("docs/operations.md", "Options");
    let mut code = debug_fields(&format!("{:?}", Options::default()));
    code.retain(|(name, _)| name != "limits");
    assert!(code.len() <= 20, "at most 20 options");
    let documented: Vec<(String, String)> =
        documented.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(documented, code, "docs/operations.md, Options");
    let builder = read("src/store/open.rs");
    for (name, _) in code {
        assert!(builder.contains(&format!("pub fn {name}(")), "the builder has no {name}");
    }
}

#[test]
fn the_limits_are_those_of_the_code() {
    let rows = table("docs/operations.md", "Limits");
    let documented: BTreeMap<String, u64> =
        rows.iter().map(|row| (row[0].clone(), number(&row[1]))).collect();
    assert_eq!(documented.len(), rows.len(), "each once");
    let mut code: BTreeMap<String, u64> = BTreeMap::from([
        ("ENTITY_LEN_MAX".into(), limits::ENTITY_LEN_MAX as u64),
        ("CONTENT_LEN_MAX".into(), limits::CONTENT_LEN_MAX as u64),
        ("SLOTS_MAX".into(), limits::SLOTS_MAX as u64),
        ("ATTRIBUTES_LEN_MAX".into(), limits::ATTRIBUTES_LEN_MAX as u64),
        ("FIELDS_LEN_MAX".into(), limits::FIELDS_LEN_MAX as u64),
        ("REVISION_NUMBER_MAX".into(), limits::REVISION_NUMBER_MAX),
        ("FRAME_LEN_MAX".into(), limits::FRAME_LEN_MAX as u64),
        ("FRAME_RECORDS_MAX".into(), limits::FRAME_RECORDS_MAX as u64),
        ("LOG_GROUP_RAW_MAX".into(), limits::LOG_GROUP_RAW_MAX as u64),
        ("LOG_GROUP_LEVEL".into(), u64::from(limits::LOG_GROUP_LEVEL)),
        ("REPLAY_REVISIONS".into(), limits::REPLAY_REVISIONS),
        ("AUTHORED_AHEAD_MAX_US".into(), limits::AUTHORED_AHEAD_MAX_US as u64),
        ("CLOCK_STEP_MAX_US".into(), limits::CLOCK_STEP_MAX_US as u64),
    ]);
    let source = read("src/limits.rs");
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    for name in constants {
        assert!(code.contains_key(name), "tests/docs_are_true.rs does not know the limit {name}");
    }
    for (name, value) in debug_fields(&format!("{:?}", Limits::PRODUCTION)) {
        code.insert(name, value.parse().unwrap());
    }
    assert_eq!(documented, code, "docs/operations.md, Limits");
}

#[test]
fn the_kinds_of_errors_are_those_of_the_code() {
    let documented = column(&table("docs/operations.md", "Errors"), 0);
    let source = read("src/error.rs");
    let body = source.split("pub enum ErrorKind {").nth(1).unwrap().split("\n}").next().unwrap();
    let variants = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.is_empty());
    let code: Vec<String> = variants.map(|line| line.trim_end_matches(',').to_owned()).collect();
    assert!(code.contains(&format!("{:?}", ErrorKind::Conflict)));
    assert_eq!(documented, code);
}

#[test]
fn the_file_kinds_are_those_of_the_code() {
    let text = read("docs/formats/README.md");
    let magic: Vec<String> = MAGIC.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(text.contains(&magic.join(" ")), "the magic is {}", magic.join(" "));
    let documented: Vec<Vec<String>> =
        table("docs/formats/README.md", "File formats").into_iter().map(|row| row[..4].to_vec()).collect();
    let mut code = Vec::new();
    for kind in (0..100).filter_map(FileKind::from_u16) {
        let name = FileId { epoch: 1, number: 1 }.file_name(kind);
        let extension = name.split_once('.').unwrap().1.to_owned();
        let version = match kind {
            FileKind::Segment => SEGMENT_VERSION.to_string(),
            FileKind::RevisionTable => REVISION_TABLE_VERSION.to_string(),
            FileKind::PlainTable => PLAIN_TABLE_VERSION.to_string(),
            FileKind::Manifest => {
                let source = read("src/manifest/replay.rs");
                let version = source.split("const VERSION: u16 = ").nth(1).unwrap();
                version.split(';').next().unwrap().to_owned()
            }
            FileKind::Pack => PACK_VERSION.to_string(),
            _ => "reserved".into(),
        };
        code.push(vec![(kind as u16).to_string(), format!("{kind:?}"), extension, version]);
    }
    assert_eq!(documented, code, "docs/formats/README.md");
    assert_eq!(FileId { epoch: 1, number: 42 }.file_name(FileKind::Segment), "00000001-0000002a.seg");
    assert!(text.contains("00000001-0000002a.seg"));
}

#[test]
fn the_dependencies_are_those_of_the_manifests() {
    let workspace = read("Cargo.toml");
    let members = workspace.lines().find(|line| line.starts_with("members")).unwrap();
    let mut members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    if root().join("fuzz/Cargo.toml").exists() {
        members.push("fuzz");
    }
    let text = read("docs/dependencies.md");
    let mut titles =
        text.lines().filter_map(|line| line.strip_prefix("## ")).filter(|title| title.contains('`'));
    for member in members {
        let manifest = format!("{member}/Cargo.toml");
        for section in ["dependencies", "target.'cfg(shuttle)'.dependencies", "dev-dependencies"] {
            let code = dependencies(&manifest, section);
            if code.is_empty() {
                continue;
            }
            let named = format!("(`{member}`, {section})");
            let title = titles.next().filter(|title| title.ends_with(&named));
            let title = title.unwrap_or_else(|| panic!("docs/dependencies.md needs a section {named} here"));
            let documented: BTreeSet<String> =
                column(&table("docs/dependencies.md", title), 0).into_iter().collect();
            assert_eq!(documented, code, "{title}: docs/dependencies.md and {manifest}");
        }
    }
    assert_eq!(titles.next(), None, "a section of docs/dependencies.md belongs to no package");
}

/// The modules of the engine that a line uses: `crate::name`, and what `crate` re-exports from them.
fn uses(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            let inside = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap(),
                None => rest,
            };
            let names = inside.split(',').map(|name| {
                name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
            });
            let count = if rest.starts_with('{') { usize::MAX } else { 1 };
            for name in names.take(count).filter(|name| !name.is_empty()) {
                used.insert(match name.as_str() {
                    "Error" | "ErrorKind" | "Result" | "Corruption" => "error".into(),
                    _ => name,
                });
            }
        }
    }
    used
}

#[test]
fn imports_point_downwards_as_the_architecture_page_says() {
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in table("docs/architecture.md", "Modules") {
        // The first table of the section describes, the second one allows.
        if row[0].starts_with("src/") {
            assert!(row[0].split("`, `").all(|path| root().join(path).exists()), "{} is not there", row[0]);
            continue;
        }
        let list = row[1].split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        allowed.insert(row[0].clone(), list.collect());
    }
    let mut wrong = Vec::new();
    for path in files("src", "rs") {
        let inside = path.strip_prefix("src/").unwrap();
        let module = inside.split(['/', '.']).next().unwrap();
        let is_test = inside.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "testing"));
        if is_test || module == "lib" {
            continue;
        }
        let Some(allowed) = allowed.get(module) else {
            wrong.push(format!("docs/architecture.md does not say what {module} may use"));
            continue;
        };
        for used in uses(&read(&path)).iter().filter(|used| *used != module && !allowed.contains(*used)) {
            wrong.push(format!("{path} uses {used}"));
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_exit_codes_are_those_of_the_command_line() {
    let rows = table("docs/operations.md", "Exit codes");
    let documented: BTreeSet<String> = column(&rows, 0).into_iter().collect();
    let source = read("tools/recension/src/exit.rs");
    let constants = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": u8 = "));
    let code = constants.map(|(_, value)| value.trim_end_matches(';').to_owned()).collect();
    assert_eq!(documented, code);
}

#[test]
fn the_commands_that_documents_name_exist() {
    let commands: BTreeSet<String> = variants(&read("tools/recension/src/args/mod.rs"), "Command")
        .iter()
        .map(|name| kebab(name))
        .collect();
    let mut wrong = Vec::new();
    for document in documents() {
        let text = read(&document);
        let spans = code_spans(&text);
        for line in text.lines().chain(spans.iter().map(String::as_str)) {
            let Some(command) = line.strip_prefix("recension ").and_then(|rest| rest.split(' ').next())
            else {
                continue;
            };
            let placeholder = command.chars().all(|c| c.is_ascii_uppercase());
            if command != "help" && !placeholder && !commands.contains(command) {
                wrong.push(format!("{document}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "no such command:\n{}", wrong.join("\n"));
}

#[test]
fn the_verbs_of_sst_dump_are_those_of_its_page() {
    let source = read("tools/sst-dump/src/args.rs");
    let verbs: BTreeSet<String> = variants(&source, "Verb").iter().map(|name| kebab(name)).collect();
    let text = read("docs/sst-dump.md");
    let headings = text.lines().filter_map(|line| line.strip_prefix("## `")?.split(['`', ' ']).next());
    let documented: BTreeSet<String> = headings.map(str::to_owned).collect();
    assert_eq!(documented, verbs, "docs/sst-dump.md has a section for every verb");
    let mut wrong = Vec::new();
    for document in documents() {
        let text = read(&document);
        let spans = code_spans(&text);
        for line in text.lines().chain(spans.iter().map(String::as_str)) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let Some(verb) = line.strip_prefix("sst-dump ").and_then(|rest| rest.split(' ').next()) else {
                continue;
            };
            let placeholder = verb.chars().all(|c| c.is_ascii_uppercase());
            if verb != "help"
                && !placeholder
                && verb.starts_with(|c: char| c.is_ascii_lowercase())
                && !verbs.contains(verb)
            {
                wrong.push(format!("{document}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "no such verb:\n{}", wrong.join("\n"));
}

#[test]
fn the_architecture_page_is_short() {
    assert!(read("docs/architecture.md").lines().count() < 300);
}
