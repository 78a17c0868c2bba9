//! What is typed wrong, and files that are nothing of ours: a sentence and the right exit code, never a panic.
#![allow(clippy::disallowed_methods, reason = "tests use files")]

mod support;

use support::{dump, store};

/// What PATH is in a call.
const WHAT: [&str; 6] = ["missing", "text", "empty", "directory", "cut", "file"];

/// Each verb, and how it ends for each of these: 0 ok, 2 usage, 4 not found, 5 damage.
const CALLS: [(&str, [i32; 6]); 18] = [
    ("inspect PATH", [4, 5, 5, 4, 5, 0]),
    ("layout PATH", [4, 5, 5, 2, 5, 0]),
    ("hex PATH", [4, 0, 0, 2, 0, 0]),
    ("hex PATH --annotate", [4, 0, 0, 2, 0, 0]),
    ("scan PATH", [4, 5, 5, 4, 5, 0]),
    ("properties PATH", [4, 5, 5, 4, 5, 0]),
    ("verify PATH", [4, 5, 5, 4, 5, 0]),
    ("manifest dump PATH", [4, 5, 5, 4, 2, 2]),
    ("manifest summarize PATH", [4, 5, 5, 4, 2, 2]),
    ("manifest check PATH", [4, 5, 5, 4, 2, 2]),
    ("manifest at PATH 1", [4, 5, 5, 4, 2, 2]),
    ("trace PATH page", [4, 2, 2, 4, 2, 2]),
    ("explain PATH get page", [4, 2, 2, 4, 2, 2]),
    ("space PATH", [4, 2, 2, 4, 2, 2]),
    ("log PATH", [4, 2, 2, 4, 2, 2]),
    ("diff-index PATH", [4, 2, 2, 4, 2, 2]),
    ("lsm PATH", [4, 2, 2, 4, 2, 2]),
    ("io-bench PATH --reads 3", [4, 2, 2, 4, 2, 2]),
];

#[test]
fn paths_that_are_not_what_a_verb_wants_are_named_with_the_right_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 60);
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("text"), "nothing of ours").unwrap();
    std::fs::write(path("empty"), "").unwrap();
    std::fs::create_dir(path("directory")).unwrap();
    std::fs::write(dir.path().join("directory/readme"), "not a store").unwrap();
    let segment = support::files(&sound, recension::codec::FileKind::Segment).pop().unwrap();
    let bytes = support::read(&segment);
    // The magic and a part of the header.
    std::fs::write(path("cut"), &bytes[..20]).unwrap();
    std::fs::copy(&segment, path("file")).unwrap();
    let mut wrong = Vec::new();
    for (call, codes) in CALLS.into_iter().chain([("recompress PATH --seconds 1", [4, 2, 2, 4, 2, 2])]) {
        for (what, code) in WHAT.into_iter().zip(codes) {
            for json in [false, true] {
                let mut line: Vec<String> =
                    call.split(' ').map(|word| word.replace("PATH", &path(what))).collect();
                line.extend(json.then(|| "--json".into()));
                let said = dump(&line);
                let speaks = code == 0 || said.err.lines().next().is_some_and(|line| line.len() > 10);
                let names = !matches!(code, 2 | 4) || said.err.contains(&path(what));
                if said.code != Some(code) || said.err.contains("panicked") || !speaks || !names {
                    wrong.push(format!(
                        "{call} of {what}: {:?} instead of {code}: {}",
                        said.code,
                        said.err.trim()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn options_that_do_not_go_together_or_are_no_values_are_usage() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 60);
    let path = sound.to_str().unwrap();
    for line in [
        "",
        "frobnicate STORE",
        "inspect",
        "inspect STORE STORE",
        "hex STORE --offset zwei",
        "hex FILE --len 99999999999",
        "hex FILE --offset 99999999999",
        "hex FILE --annotate --offset 99999999999",
        "recompress STORE --seconds 0",
        "scan STORE --limit many",
        "scan STORE --rev -1",
        "scan STORE --values coloured",
        "scan FILE --index",
        "manifest",
        "manifest at STORE",
        "manifest at STORE last",
        "explain STORE",
        "explain STORE peek page",
        "explain STORE as-of page%201",
        "explain STORE get page%201 --at 3",
        "explain STORE history page%201 --rev 1",
        "explain STORE as-of page%201 --at yesterday",
        "trace STORE",
        "trace STORE page --rev x",
        "log STORE --since 3",
        "log STORE --seconds 3",
        "log STORE --tail x",
        "diff-index STORE --window x",
        "diff-index STORE --window 0",
        "recompress STORE --sample-mib 0",
        "recompress STORE --seconds x",
        "io-bench STORE --reads x",
        "io-bench STORE --reads 0",
    ] {
        let file = support::files(&sound, recension::codec::FileKind::Segment).pop().unwrap();
        let words = line.split(' ').filter(|word| !word.is_empty());
        let word = |word: &str| {
            word.replace("STORE", path).replace("FILE", file.to_str().unwrap()).replace("%20", " ")
        };
        let args: Vec<String> = words.map(word).collect();
        let said = dump(&args);
        assert_eq!(said.code, Some(2), "{line}: {}{}", said.out, said.err);
        assert!(!said.err.contains("panicked") && !said.err.trim().is_empty(), "{line}: {}", said.err);
    }
}

#[test]
fn what_is_not_in_a_store_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let sound = store(dir.path(), 60);
    let path = sound.to_str().unwrap();
    for line in [
        "trace STORE nobody",
        "trace STORE page%201 --rev 9999",
        "explain STORE get nobody",
        "explain STORE get page%201 --rev 9999",
        "explain STORE history nobody",
        "explain STORE as-of page%201 --at 0",
        "manifest at STORE 999999",
    ] {
        let args: Vec<String> =
            line.split(' ').map(|word| word.replace("STORE", path).replace("%20", " ")).collect();
        let said = dump(&args);
        assert_eq!(said.code, Some(4), "{line}: {}{}", said.out, said.err);
    }
}
