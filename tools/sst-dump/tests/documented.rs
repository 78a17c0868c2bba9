//! `docs/sst-dump.md` and the program name the same verbs.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::dump;

fn document() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sst-dump.md")).unwrap()
}

/// The verbs that a help text lists.
fn listed(help: &str) -> BTreeSet<String> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = lines
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| Some(line.split_whitespace().next()?.to_owned()))
        .filter(|name| name != "help")
        .collect()
}

#[test]
fn the_document_has_a_section_with_output_for_each_verb_and_no_other() {
    let text = document();
    let verbs = listed(&dump(["--help"]).ok().out);
    assert!(verbs.len() > 10, "{verbs:?}");
    let mut described = BTreeSet::new();
    for section in text.split("\n## `").skip(1) {
        let (name, body) = section.split_once('`').unwrap();
        assert!(body.contains(&format!("$ sst-dump {name} ")), "{name} is shown with real output");
        described.insert(name.to_owned());
    }
    assert_eq!(described, verbs);
    for verb in listed(&dump(["manifest", "--help"]).ok().out) {
        assert!(text.contains(&format!("$ sst-dump manifest {verb} ")), "manifest {verb}");
    }
}

#[test]
fn the_document_compares_every_verb_with_other_tools() {
    let text = document();
    let table: String = text.lines().filter(|line| line.starts_with('|')).collect();
    for tool in ["sst_dump", "ldb", "pebble tool", "badger info"] {
        assert!(table.contains(tool), "{tool}");
    }
    for verb in listed(&dump(["--help"]).ok().out) {
        assert!(table.contains(&format!("`{verb}")), "{verb} has a row in the comparison");
    }
}
