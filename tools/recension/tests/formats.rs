//! Interchange formats on real data: what is in `tests/data` always, larger files on request.
//!
//! `RECENSION_DATA=DIR cargo test -p recension-cli --release --test formats -- --ignored --nocapture every_file` reads every
//! file of a directory and shows counts and speed.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use recension_cli::formats::{
    self, Body, Input, Options, ReadError, Record, RecordReader, Reject, Told, jsonl, mediawiki,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

fn open(path: &Path) -> Box<dyn RecordReader> {
    formats::open(Input::open(path).unwrap(), Options::default()).unwrap_or_else(|fatal| panic!("{fatal}"))
}

fn read(name: &str) -> (Vec<Record>, Vec<Reject>) {
    let mut reader = open(&data(name));
    let (mut records, mut rejects) = (Vec::new(), Vec::new());
    loop {
        match reader.next() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, rejects),
            Err(ReadError::Reject(reject)) => rejects.push(reject),
            Err(ReadError::Fatal(fatal)) => panic!("{fatal}"),
        }
    }
}

fn without_rejects(name: &str) -> Vec<Record> {
    let (records, rejects) = read(name);
    assert!(rejects.is_empty(), "{}", rejects[0]);
    records
}

fn entities(records: &[Record]) -> usize {
    records.iter().map(|record| &record.entity).collect::<BTreeSet<_>>().len()
}

fn content_len(records: &[Record]) -> usize {
    records.iter().filter_map(|record| record.body.content()).map(<[u8]>::len).sum()
}

#[test]
fn real_histories_come_back_byte_for_byte_as_json_lines() {
    let mut original = Vec::new();
    zstd::stream::copy_decode(std::fs::File::open(data("history.jsonl.zst")).unwrap(), &mut original)
        .unwrap();
    let records = without_rejects("history.jsonl.zst");
    assert_eq!((records.len(), entities(&records), content_len(&records)), (10_301, 593, 34_540_462));
    let mut writer = jsonl::Writer::new(Vec::new());
    records.iter().for_each(|record| writer.record(record).unwrap());
    assert!(writer.into_inner() == original);
}

#[test]
fn a_mediawiki_dump_of_schema_0_11_comes_back_through_an_export() {
    let records = without_rejects("webplatform-0.11.xml.bz2");
    assert_eq!((records.len(), entities(&records)), (476, 39));
    let mut writer = mediawiki::Writer::begin(Vec::new(), &mediawiki::SiteInfo::default()).unwrap();
    records.iter().for_each(|record| writer.record(record).unwrap());
    assert!(writer.losses().is_empty());
    let xml = writer.end().unwrap();
    let mut again = formats::open(Input::from_bytes("x", xml).unwrap(), Options::default()).unwrap();
    for mut record in records {
        let after = again.next().unwrap().unwrap();
        record.place = after.place.clone();
        assert_eq!(record, after);
    }
    assert!(again.next().unwrap().is_none());
}

#[test]
fn a_wikidata_dump_of_schema_0_8_is_read_whole() {
    let records = without_rejects("wdtk-sample-daily-dump-20140220.xml.gz");
    assert_eq!((records.len(), entities(&records)), (7, 2));
    for record in &records {
        assert!(record.ts_us.is_some() && record.origin_id.is_some() && record.content_type.is_some());
        assert!(matches!(record.author, Told::Text(_)) && matches!(record.body, Body::Content(_)));
    }
    let records = without_rejects("wdtk-mock-dump.xml");
    let ids: Vec<u64> = records.iter().filter_map(|record| record.origin_id).collect();
    assert_eq!(ids, [4, 5, 3, 2, 110_689_111, 110_689_112, 10_004, 10_005, 100_009, 100_010]);
}

#[test]
fn wikidata_entities_keep_their_exact_bytes() {
    for (name, count) in [("wikidata-entities.json.zst", 49), ("wikidata-sample-2015.json.gz", 101)] {
        let records = without_rejects(name);
        assert_eq!((records.len(), entities(&records)), (count, count), "{name}");
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut decompressed(name), &mut text).unwrap();
        for record in &records {
            let body = record.body.content().unwrap();
            assert!(text[record.place.offset as usize..].starts_with(body));
            let entity: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(entity["id"].as_str().unwrap().as_bytes(), record.entity);
        }
    }
}

fn decompressed(name: &str) -> Box<dyn std::io::Read> {
    let file = std::fs::File::open(data(name)).unwrap();
    match name.ends_with(".gz") {
        true => Box::new(flate2::read::MultiGzDecoder::new(file)),
        false => Box::new(zstd::stream::read::Decoder::new(file).unwrap()),
    }
}

#[test]
fn mediawiki_to_json_lines_and_back_keeps_everything() {
    for record in read("hostile.xml").0 {
        let mut line = Vec::new();
        jsonl::line(&record, &mut line).unwrap();
        let options = Options { append: true, ..Options::default() };
        let again = jsonl::parse_line(&line, record.place.clone(), &options).unwrap();
        assert_eq!(again, Record { origin_parent: None, ..record });
    }
}

#[test]
#[ignore = "reads the files of RECENSION_DATA"]
fn every_file_of_a_directory_is_read() {
    let dir = std::env::var("RECENSION_DATA").expect("RECENSION_DATA names a directory");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let input = Input::open(&path).unwrap();
        let Some(format) = input.format else { continue };
        let progress = input.progress.clone();
        let start = Instant::now();
        let mut reader = formats::open(input, Options::default()).unwrap_or_else(|fatal| panic!("{fatal}"));
        let (mut count, mut rejects, mut content, mut withheld) = (0u64, 0u64, 0u64, 0u64);
        let mut entities = BTreeSet::new();
        loop {
            match reader.next() {
                Ok(None) => break,
                Ok(Some(record)) => {
                    count += 1;
                    content += record.body.content().map_or(0, |bytes| bytes.len() as u64);
                    withheld += u64::from(record.body == Body::Withheld);
                    entities.insert(record.entity);
                }
                Err(ReadError::Reject(reject)) => {
                    rejects += 1;
                    println!("  {reject}");
                }
                Err(ReadError::Fatal(fatal)) => panic!("{fatal}"),
            }
        }
        let secs = start.elapsed().as_secs_f64();
        println!(
            "{}: {format}, {count} records of {} entities, {rejects} rejects, {withheld} withheld, {content} bytes of content, \
             {} stored; {secs:.2} s, {:.0} MB/s of content",
            path.display(),
            entities.len(),
            progress.consumed(),
            content as f64 / 1e6 / secs
        );
    }
}

#[test]
#[ignore = "writes the dump that RECENSION_XML_OUT names, for other programs to read"]
fn an_export_for_other_programs() {
    let out = std::env::var("RECENSION_XML_OUT").expect("RECENSION_XML_OUT names a file");
    let site = mediawiki::SiteInfo { site_name: Some("Test".into()), ..mediawiki::SiteInfo::default() };
    let out = BufWriter::new(std::fs::File::create(out).unwrap());
    let mut writer = mediawiki::Writer::begin(out, &site).unwrap();
    let mut records = read("hostile.xml").0;
    records.extend(read("webplatform-0.11.xml.bz2").0);
    records.sort_by(|a, b| a.entity.cmp(&b.entity));
    for record in &records {
        writer.record(record).unwrap();
    }
    writer.end().unwrap().flush().unwrap();
    println!("{} revisions", records.len());
}
