//! `import` and `export`: what goes in comes out.
#![allow(clippy::disallowed_methods, reason = "tests may use files and clocks")]

mod support;

use std::io::{Read, Write};
use std::process::Stdio;

use support::{Cli, data, history, lines, said};

#[track_caller]
fn import(cli: &Cli, store: &str, file: &std::path::Path) -> serde_json::Value {
    cli.run(["import", store, file.to_str().unwrap(), "--json"]).ok().json().remove(0)
}

#[test]
fn canonical_lines_come_back_byte_for_byte() {
    let cli = Cli::new();
    let summary = import(&cli, "s", &data("canonical.jsonl"));
    let lines = std::fs::read(data("canonical.jsonl")).unwrap();
    assert_eq!(cli.words("export s").ok().out, lines);
    assert_eq!(summary["revisions"], lines.iter().filter(|b| **b == b'\n').count());
    // And again from the export.
    cli.run_with(["import", "t", "-"], &lines).ok();
    assert_eq!(cli.words("export t").ok().out, lines);
}

#[test]
fn a_real_history_comes_back_byte_for_byte_and_a_second_import_changes_nothing() {
    let cli = Cli::new();
    let lines = history();
    let summary = import(&cli, "s", &data("history.jsonl.zst"));
    assert_eq!((&summary["revisions"], &summary["entities"]), (&10301.into(), &593.into()));
    assert!(summary["ratio"].as_f64().unwrap() > 1.0);
    assert!(cli.words("export s").ok().out == lines);
    let again = import(&cli, "s", &data("history.jsonl.zst"));
    assert_eq!((&again["revisions"], &again["skipped"]), (&0.into(), &10301.into()));
    cli.words("check s --deep").ok();

    // The state in the middle, by sequence and by prefix.
    let newline = |n: usize| lines.iter().enumerate().filter(|(_, b)| **b == b'\n').nth(n - 1).unwrap().0;
    let half = cli.words("export s --as-of 500").ok().out;
    assert!(half == lines[..=newline(500)]);
    let some = cli.words("export s --prefix mdn").ok().text();
    assert!(some.lines().count() > 100 && some.lines().all(|line| line.starts_with("{\"entity\":\"mdn")));
    let heads = cli.words("export s --heads").ok().text();
    assert_eq!(heads.lines().count(), 593);
}

#[test]
fn every_compression_is_found_out_by_content() {
    let cli = Cli::new();
    let text = lines(50);
    let packed: [(&str, Vec<u8>); 4] = [
        ("plain", text.clone().into_bytes()),
        ("zstd", zstd::encode_all(text.as_bytes(), 3).unwrap()),
        ("gzip", {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }),
        ("bzip2", {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }),
    ];
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(text.as_bytes()).unwrap();
    let xz = ("xz", xz.finish().unwrap());
    for (name, bytes) in packed.into_iter().chain([xz]) {
        let file = cli.file(name, bytes);
        import(&cli, &format!("store-{name}"), &file);
        assert_eq!(cli.run(["export", &format!("store-{name}")]).ok().text(), text, "{name}");
    }
    cli.file("other", "this is no dump");
    let said = cli.words("import s other").fails_with(1);
    assert!(said.err.contains("neither"), "{}", said.err);
    assert!(!cli.path("s").exists());
    cli.words("import s missing").fails_with(1);
    cli.words("import s").fails_with(2);
}

#[test]
fn mediawiki_dumps_come_back_from_an_export_of_xml() {
    for dump in ["webplatform-0.11.xml.bz2", "wdtk-mock-dump.xml", "wdtk-sample-daily-dump-20140220.xml.gz"] {
        let cli = Cli::new();
        let first = import(&cli, "s", &data(dump));
        let again = import(&cli, "s", &data(dump));
        assert_eq!((&again["revisions"], &again["skipped"]), (&0.into(), &first["revisions"]), "{dump}");
        let xml = cli.words("export s --format mediawiki").ok().out;
        let file = cli.file("dump.xml", &xml);
        import(&cli, "t", &file);
        assert!(cli.words("export t --format mediawiki").ok().out == xml, "{dump}");
        let sorted = |store: &str| {
            let text = cli.run(["export", store]).ok().text();
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted("s"), sorted("t"), "{dump}");
    }
}

#[test]
fn mwxml_reads_the_same_texts_and_hashes_from_an_export_as_are_in_the_dump() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../check-mwxml");
    let dumps = [
        "webplatform-0.11.xml.bz2",
        "wdtk-sample-daily-dump-20140220.xml.gz",
        "wdtk-mock-dump.xml",
        "hostile.xml",
        "wikidata-entities.json.zst",
        "wikidata-sample-2015.json.gz",
    ];
    let mut command = std::process::Command::new("python3");
    command.arg(script).arg(env!("CARGO_BIN_EXE_recension")).args(dumps.map(data));
    let Ok(output) = command.output() else {
        println!("skipped: no python3 here");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(77) => println!("skipped: mwxml is not installed (pip install mwxml mwtypes)"),
        code => assert_eq!(code, Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

#[test]
fn a_mediawiki_export_has_the_sha1_in_base_36() {
    let cli = Cli::new();
    let line = "{\"entity\":\"A\",\"rev\":1,\"parent\":0,\"ts\":1,\"content\":\"\"}\n";
    cli.run_with(["import", "s", "-"], line.as_bytes()).ok();
    let xml = cli.words("export s --format mediawiki").ok().text();
    assert!(xml.contains("<sha1>phoiac9h4m842xq45sp7s6u21eteeq1</sha1>"), "{xml}");
    assert!(xml.contains("export-0.11"), "{xml}");
}

#[test]
fn what_xml_cannot_express_is_listed_on_standard_error() {
    let cli = Cli::new();
    let text = r#"{"entity":"A","rev":1,"parent":0,"ts":1.5,"tags":["t"],"content":"x"}
{"entity":"A","rev":2,"parent":1,"ts":2,"deleted":true}
{"entity":"B","rev":1,"parent":0,"ts":2,"content":"\u0000"}
"#;
    cli.run_with(["import", "s", "-"], text.as_bytes()).ok();
    let said = cli.words("export s --format mediawiki").ok();
    for what in ["deleted", "U+0000", "tags", "fractions"] {
        assert!(said.err.contains(what), "{what}: {}", said.err);
    }
    assert!(said.text().ends_with("</mediawiki>\n"));
    assert!(cli.words("export s").ok().err.is_empty());
}

#[test]
fn pages_may_be_keyed_by_their_number() {
    let cli = Cli::new();
    cli.run(["import", "s", data("wdtk-mock-dump.xml").to_str().unwrap(), "--key", "page-id"]).ok();
    let names: Vec<_> =
        cli.words("ls s --json").ok().json().iter().map(|line| line["entity"].clone()).collect();
    assert!(names.iter().all(|name| name.as_str().unwrap().parse::<u64>().is_ok()), "{names:?}");
}

#[test]
fn wikidata_dumps_are_imported_once() {
    for dump in ["wikidata-entities.json.zst", "wikidata-sample-2015.json.gz"] {
        let cli = Cli::new();
        let first = import(&cli, "s", &data(dump));
        assert!(first["revisions"].as_u64().unwrap() >= 49);
        let again = import(&cli, "s", &data(dump));
        assert_eq!((&again["revisions"], &again["skipped"]), (&0.into(), &first["revisions"]), "{dump}");
        let content = cli.words("get s Q1").out;
        assert!(content.is_empty() || content.starts_with(b"{"));
    }
}

#[test]
fn foreign_ids_become_numbers_where_they_can() {
    let cli = Cli::new();
    let page = |revisions: &[(u64, u64)]| {
        let revisions: String = revisions
            .iter()
            .map(|(id, parent)| {
                format!(
                    "<revision><id>{id}</id><parentid>{parent}</parentid><timestamp>2020-01-01T00:00:00Z</timestamp>\
                     <contributor><username>a</username></contributor><model>wikitext</model><format>text/x-wiki</format>\
                     <text>{id}</text></revision>"
                )
            })
            .collect();
        format!(
            "<mediawiki version=\"0.11\"><page><title>P</title><ns>0</ns><id>1</id>{revisions}</page></mediawiki>"
        )
    };
    let first = cli.file("first.xml", page(&[(10, 0), (7, 10), (12, 7), (30, 25)]));
    import(&cli, "s", &first);
    let history = cli.words("history s P --json --reverse").ok().json();
    let told: Vec<_> = history
        .iter()
        .map(|line| {
            (line["rev"].as_u64().unwrap(), line["parent"].as_u64().unwrap(), line["origin_id"].as_u64())
        })
        .collect();
    // 7 lies below the head 10: it becomes 11, the id beside it; 12 names it as its parent. 25 is not known: it is kept as it is.
    assert_eq!(told, [(10, 0, None), (11, 10, Some(7)), (12, 11, None), (30, 0, None)]);
    assert_eq!(history[3]["attributes"]["parent_id"], 25);
    let again = import(&cli, "s", &first);
    assert_eq!((&again["revisions"], &again["skipped"]), (&0.into(), &4.into()));
    // The dump comes back with the ids that it had.
    let xml = cli.words("export s --format mediawiki").ok().text();
    for line in ["<id>7</id>", "<parentid>7</parentid>", "<parentid>10</parentid>", "<parentid>25</parentid>"]
    {
        assert!(xml.contains(line), "{line}: {xml}");
    }
    let more = cli.file("more.xml", page(&[(10, 0), (25, 12), (7, 10), (30, 25), (31, 30)]));
    let summary = import(&cli, "s", &more);
    assert_eq!((&summary["revisions"], &summary["skipped"]), (&2.into(), &3.into()));
}

#[test]
fn what_is_there_already_and_differs_is_rejected_with_place_entity_and_reason() {
    let cli = Cli::new();
    cli.run_with(["import", "s", "-"], lines(30).as_bytes()).ok();
    let changed =
        lines(40).replace("\"comment\":\"edit 3\"", "\"comment\":\"other\"").replace("9\"}", "9!\"}");
    cli.file(
        "changed",
        format!("{changed}not a line\n{{\"entity\":\"page 1\",\"content\":\"no number\"}}\n"),
    );
    let said = cli.words("import s changed --rejects rejects --json").fails_with(6);
    let summary = &said.json()[0];
    assert_eq!(said.json_error()["kind"], "rejects");
    let rejects = std::fs::read_to_string(cli.path("rejects")).unwrap();
    let rejects: Vec<serde_json::Value> =
        rejects.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    // Lines 4 (comment), 10, 20 and 30 (content), and the two at the end; 31 to 40 are new.
    assert_eq!(summary["rejected"], rejects.len());
    let places: Vec<_> = rejects.iter().map(|reject| reject["line"].as_u64().unwrap()).collect();
    assert_eq!(places, [4, 10, 20, 30, 41, 42]);
    assert_eq!((&summary["revisions"], &summary["skipped"]), (&10.into(), &26.into()));
    assert!(rejects[0]["reason"].as_str().unwrap().contains("comment"));
    assert_eq!(rejects[0]["entity"], "page 3");
    assert!(rejects[1]["reason"].as_str().unwrap().contains("content"));
    // Without a file they are told on standard error.
    let said = cli.words("import s changed").fails_with(6);
    assert!(
        said.err.contains("line 4") && said.err.contains("--rejects") || said.err.contains("line 42"),
        "{}",
        said.err
    );
}

#[test]
fn a_number_below_the_head_that_is_not_there_is_rejected() {
    let cli = Cli::new();
    let line = |rev: u64| format!("{{\"entity\":\"A\",\"rev\":{rev},\"parent\":0,\"content\":\"{rev}\"}}\n");
    let said = cli
        .run_with(["import", "s", "-"], (line(5) + &line(3) + &line(5) + &line(9)).as_bytes())
        .fails_with(6);
    assert!(said.err.contains("revision 3 is not there"), "{}", said.err);
    assert_eq!(cli.words("export s").ok().text(), line(5) + &line(9));
}

#[test]
fn one_unacceptable_record_does_not_stop_those_around_it() {
    let cli = Cli::new();
    let text = lines(20);
    let big = format!(
        "{{\"entity\":\"page 1\",\"rev\":90,\"parent\":0,\"note\":\"{}\",\"content\":\"x\"}}\n",
        "n".repeat(5000)
    );
    let input = format!("{text}{big}{{\"entity\":\"page 1\",\"rev\":91,\"parent\":90,\"content\":\"y\"}}\n");
    let said = cli.run_with(["import", "s", "-", "--rejects", "r"], input.as_bytes()).fails_with(6);
    assert!(said.text().contains("rejected"), "{}", said.text());
    assert!(std::fs::read_to_string(cli.path("r")).unwrap().contains("4096"));
    let export = cli.words("export s").ok().text();
    assert_eq!(export.lines().count(), 21);
    assert!(export.starts_with(&text));
}

#[test]
fn lines_without_numbers_are_appended_only_if_asked_for() {
    let cli = Cli::new();
    cli.file("new", "{\"entity\":\"A\",\"content\":\"one\"}\n{\"entity\":\"A\",\"content\":\"two\"}\n{\"entity\":\"B\",\"content\":\"x\"}\n");
    cli.words("import s new").fails_with(6);
    cli.words("import s new --append").ok();
    assert_eq!(cli.words("get s A").ok().out, b"two");
    assert_eq!(cli.words("history s A --json").ok().json().len(), 2);
    // Appending is what was asked for: a second time appends again.
    cli.words("import s new --append").ok();
    assert_eq!(cli.words("history s A --json").ok().json().len(), 4);
}

#[test]
fn names_that_the_program_keeps_for_itself_are_refused_and_never_shown() {
    let cli = Cli::new();
    let line = "{\"entity\":\"\\u0000recension/import/x\",\"rev\":1,\"content\":\"x\"}\n";
    let said = cli.run_with(["import", "s", "-"], line.as_bytes()).fails_with(6);
    assert!(said.err.contains("kept for this program"), "{}", said.err);
    let batch = line.replace("\"rev\":1", "\"expect\":\"any\"");
    cli.run_with(["batch", "s", "-"], batch.as_bytes()).fails_with(1);
    cli.run_with(["import", "s", "-"], lines(3).as_bytes()).ok();
    for command in ["ls s", "changes s", "export s", "export s --heads", "export s --format mediawiki"] {
        assert!(!cli.words(command).ok().text().contains("recension/"), "{command}");
    }
}

#[test]
fn an_export_whose_reader_goes_away_ends_quietly() {
    let cli = Cli::new();
    cli.run(["import", "s", data("history.jsonl.zst").to_str().unwrap()]).ok();
    for command in [["export", "s"], ["changes", "s"]] {
        let mut child = cli.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = [0; 100];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        drop(child.stdout.take());
        let said = said(child.wait_with_output().unwrap());
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_source_that_is_cut_off_fails_after_what_stands_before_was_imported() {
    let cli = Cli::new();
    let packed = zstd::encode_all(lines(2000).as_bytes(), 3).unwrap();
    cli.file("cut", &packed[..packed.len() - 10]);
    let said = cli.words("import s cut").fails_with(1);
    assert!(said.err.contains("ends early"), "{}", said.err);
    cli.file("whole", packed);
    cli.words("import s whole").ok();
    assert_eq!(cli.words("export s").ok().text(), lines(2000));
}
