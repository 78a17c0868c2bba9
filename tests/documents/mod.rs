//! Documents and sources as text: what `docs_are_true` compares.

use std::collections::BTreeSet;
use std::path::Path;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files below a directory with an extension, relative to the root, sorted.
pub fn files(dir: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(dir)];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

pub fn documents() -> Vec<String> {
    let mut all: Vec<String> = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(String::from).into();
    all.extend(files("docs", "md"));
    all
}

/// The text without fenced blocks.
pub fn prose(text: &str) -> String {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// What stands between single backticks.
pub fn code_spans(text: &str) -> Vec<String> {
    prose(text)
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2).map(String::from).collect::<Vec<_>>())
        .collect()
}

/// The cells of the tables under the heading `title`, up to the next heading; headings and rules left out. A table in several parts is
/// one.
pub fn table(document: &str, title: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let is_title = |line: &&str| line.starts_with('#') && line.trim_start_matches('#').trim() == title;
    let mut lines = text.lines().skip_while(|line| !is_title(line));
    assert!(lines.next().is_some(), "{document} has no heading {title:?}");
    let section: Vec<&str> = lines.take_while(|line| !line.starts_with('#')).collect();
    let mut rows = Vec::new();
    for (at, line) in section.iter().enumerate() {
        let is_rule = line.starts_with("|--");
        let is_head = section.get(at + 1).is_some_and(|next| next.starts_with("|--"));
        if line.starts_with('|') && !is_rule && !is_head {
            let cells = line.trim().trim_matches('|').split('|');
            rows.push(cells.map(|cell| cell.trim().trim_matches('`').to_owned()).collect());
        }
    }
    assert!(!rows.is_empty(), "{document} has no table under {title:?}");
    rows
}

pub fn column(rows: &[Vec<String>], at: usize) -> Vec<String> {
    rows.iter().map(|row| row[at].clone()).collect()
}

/// `512 B`, `16 MiB + 64 KiB`, `64 Ki`, `1 day`, `2^63 - 1`.
pub fn number(text: &str) -> u64 {
    if let Some(power) = text.strip_suffix(" - 1") {
        let (base, exponent) = power.split_once('^').unwrap();
        return base.parse::<u64>().unwrap().pow(exponent.parse().unwrap()) - 1;
    }
    text.split(" + ")
        .map(|part| {
            let (n, unit) = part.split_once(' ').unwrap_or((part, "B"));
            let unit = match unit {
                "B" => 1,
                "KiB" | "Ki" => 1 << 10,
                "MiB" => 1 << 20,
                "hour" => 3600 * 1_000_000,
                "day" => 24 * 3600 * 1_000_000,
                _ => panic!("{text:?} is not a number"),
            };
            n.parse::<u64>().unwrap_or_else(|_| panic!("{text:?} is not a number")) * unit
        })
        .sum()
}

/// `Name { field: value, … }` as `Debug` prints it, top level only.
pub fn debug_fields(text: &str) -> Vec<(String, String)> {
    let body = text.split_once('{').unwrap().1.trim().strip_suffix('}').unwrap();
    let mut fields = vec![String::new()];
    let mut depth = 0;
    for c in body.chars() {
        depth += i32::from(matches!(c, '{' | '(' | '[')) - i32::from(matches!(c, '}' | ')' | ']'));
        match c {
            ',' if depth == 0 => fields.push(String::new()),
            _ => fields.last_mut().unwrap().push(c),
        }
    }
    let pair = |field: &String| field.split_once(':').map(|(k, v)| (k.trim().into(), v.trim().into()));
    fields.iter().filter_map(pair).collect()
}

/// Whether a Rust file has a function (or the arguments of a property test) of this name.
pub fn has_function(path: &Path, name: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {name}(")))
}

/// The names under a section of a Cargo.toml.
pub fn dependencies(manifest: &str, section: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let header = format!("[{section}]");
    let lines = text.lines().skip_while(|line| line.trim() != header).skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines
        .filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned()))
        .filter(|name| !name.starts_with('#'))
        .collect()
}

/// The variants of an enum in a source file.
pub fn variants(source: &str, name: &str) -> Vec<String> {
    let body = source.split(&format!("pub enum {name} {{")).nth(1).unwrap().split("\n}").next().unwrap();
    let lines = body.lines().map(str::trim).filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    lines.map(|line| line.chars().take_while(|c| c.is_alphanumeric()).collect()).collect()
}

/// `ErasureReport` as it is typed: `erasure-report`.
pub fn kebab(name: &str) -> String {
    let mut typed = String::new();
    for (i, c) in name.chars().enumerate() {
        if i > 0 && c.is_ascii_uppercase() {
            typed.push('-');
        }
        typed.push(c.to_ascii_lowercase());
    }
    typed
}
