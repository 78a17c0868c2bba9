use std::io::{self, Read};

use proptest::prelude::*;

use super::*;
use crate::formats::{
    Body, Fatal, Input, Options, ReadError, Record, RecordReader, Reject, Slot, Told, WriteError, sha1,
};

const HOSTILE: &[u8] = include_bytes!("../../../../../tests/data/hostile.xml");

fn reader(xml: impl Into<Vec<u8>>, options: Options) -> Reader {
    Reader::new(Input::from_bytes("some.xml", xml).unwrap(), options)
}

/// Records and rejects, and how it ended.
fn all(reader: &mut Reader) -> (Vec<Result<Record, Reject>>, Option<Fatal>) {
    let mut out = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => out.push(Ok(record)),
            Ok(None) => return (out, None),
            Err(ReadError::Reject(reject)) => out.push(Err(reject)),
            Err(ReadError::Fatal(fatal)) => return (out, Some(fatal)),
        }
    }
}

fn records(xml: impl Into<Vec<u8>>) -> Vec<Record> {
    let (read, fatal) = all(&mut reader(xml, Options::default()));
    assert!(fatal.is_none(), "{}", fatal.unwrap());
    read.into_iter().map(|record| record.unwrap_or_else(|reject| panic!("{reject}"))).collect()
}

fn fatal(xml: impl Into<Vec<u8>>) -> Fatal {
    all(&mut reader(xml, Options::default())).1.expect("a fatal error")
}

fn hostile() -> (Vec<Result<Record, Reject>>, Reader) {
    let mut reader = reader(HOSTILE, Options::default());
    let (read, fatal) = all(&mut reader);
    assert!(fatal.is_none(), "{}", fatal.unwrap());
    (read, reader)
}

fn accepted() -> Vec<Record> {
    hostile().0.into_iter().filter_map(Result::ok).collect()
}

fn by_id(id: u64) -> Record {
    accepted().into_iter().find(|record| record.origin_id == Some(id)).unwrap()
}

fn attributes(record: &Record) -> Vec<(&str, &str)> {
    record.attributes.iter().map(|(name, value)| (name.as_str(), &**value)).collect()
}

fn content(text: &str) -> Body {
    Body::Content(text.as_bytes().to_vec())
}

const ORDER: &str = "Order & \"quotes\" 'é' 頁";

#[test]
fn elements_come_in_any_order_with_references_and_cdata() {
    let record = by_id(100);
    assert_eq!(record.entity, ORDER.as_bytes());
    assert_eq!(record.body, content("Text & <b>\"é\"</b>"));
    assert_eq!((record.rev, record.parent, record.origin_parent), (None, None, Some(90)));
    assert_eq!(record.ts_us, Some(1_392_852_856_000_000));
    assert_eq!(record.author, "User & Co".into());
    assert!(record.minor);
    assert_eq!(record.content_type.as_deref(), Some("wikitext"));
    assert_eq!(
        attributes(&record),
        [
            ("author_id", "7"),
            ("page_id", "10"),
            ("redirect", r#""Target & \"more\"""#),
            ("restrictions", r#""edit=sysop:move=sysop""#)
        ]
    );
    assert_eq!((record.place.line, record.place.byte), (25, 5));
    assert!(HOSTILE[record.place.offset as usize..].starts_with(b"<revision>"));
}

#[test]
fn an_empty_text_is_not_deleted_and_ids_and_times_may_go_backwards() {
    let record = by_id(99);
    assert_eq!(record.body, content(""));
    assert_eq!(record.author, "2001:db8::1".into());
    assert!(record.ts_us < by_id(100).ts_us);
    assert_eq!(record.origin_parent, None);
    assert_eq!(record.attribute("origin"), Some("42"));
    assert_eq!(record.attribute("format"), Some("\"text/plain\""));
    assert_eq!(record.attribute("author_ip"), None, "an address is taken for one");
}

#[test]
fn what_is_marked_as_deleted_is_withheld() {
    let record = by_id(101);
    assert_eq!(
        (&record.author, &record.comment, &record.body),
        (&Told::Withheld, &Told::Withheld, &Body::Withheld)
    );
    assert_eq!((record.origin_parent, record.attribute("bytes")), (Some(0), Some("-1")));
    let record = by_id(102);
    assert_eq!((&record.comment, &record.body), (&"".into(), &Body::Withheld));
    assert_eq!(record.author, "127.0.0.1".into());
    let hash = format!("\"{}\"", sha1::base36(b"suppressed"));
    assert_eq!((record.attribute("bytes"), record.attribute("sha1")), (Some("1234"), Some(hash.as_str())));
}

#[test]
fn carriage_returns_survive_where_the_dump_says_that_they_are_meant() {
    assert_eq!(by_id(103).body, content("a\r\nb\rc😀\n"));
    assert_eq!(by_id(103).comment, Told::Absent);
    assert_eq!(by_id(103).attribute("author_ip"), Some("true"));
    assert_eq!(by_id(104).body, content("one\r\ntwo\r\n"));
    assert_eq!(by_id(105).body, content("one\ntwo\nend"));
}

#[test]
fn further_slots_are_kept_under_their_role() {
    let record = by_id(200);
    assert_eq!(record.body, content("main"));
    let slots = [
        Slot { role: "aux".into(), body: Body::Withheld },
        Slot { role: "mediainfo".into(), body: content("{\"labels\":[]}") },
    ];
    assert_eq!(record.slots, slots);
    assert_eq!(
        record.attribute("slot_types"),
        Some(r#"{"aux":"aux-model","mediainfo":"wikibase-mediainfo"}"#)
    );
    let info = format!(
        r#"{{"aux":{{"bytes":77,"format":"text/x-aux","origin":120,"sha1":"{}"}}}}"#,
        sha1::base36(b"aux")
    );
    assert_eq!(record.attribute("slot_info"), Some(info.as_str()));
    assert_eq!((record.attribute("origin"), record.attribute("ns")), (Some("150"), Some("6")));
}

#[test]
fn stubs_are_withheld_and_say_where_the_text_is() {
    let stub = |id| by_id(id).attribute("stub").map(str::to_owned);
    assert_eq!(stub(300).as_deref(), Some("4711"));
    assert_eq!(stub(301).as_deref(), Some("\"es:DB://cluster1/5\""));
    assert_eq!(stub(302).as_deref(), Some("true"));
    for id in 300..=302 {
        assert_eq!(by_id(id).body, Body::Withheld);
        assert_eq!(by_id(id).attribute("ns"), Some("4"), "from the title");
    }
    assert_eq!(
        (by_id(302).author, by_id(302).comment.text()),
        (Told::Absent, Some("no text at all, nobody, and a raw \u{2028} and tab\t"))
    );
}

#[test]
fn a_page_may_come_again_and_what_is_no_page_is_passed_over() {
    let (_, reader) = hostile();
    assert_eq!(by_id(106).entity, ORDER.as_bytes());
    assert_eq!(reader.passed_over(), [("log items", 1), ("uploads", 1)]);
    assert_eq!(by_id(409).entity, b"Rejects", "a hash that is none is no fault");
    assert_eq!(by_id(410).body, content("{\"id\":\"Q1\"}"), "converted on export");
    let title = by_id(501);
    assert_eq!((title.entity.as_slice(), title.attribute("redirect")), (&b"Too late"[..], Some("true")));
}

#[test]
fn faults_inside_a_revision_are_rejects_with_their_place() {
    let (read, reader) = hostile();
    assert_eq!(reader.ordinal(), read.len() as u64);
    let lines: Vec<&[u8]> = HOSTILE.split(|&byte| byte == b'\n').collect();
    let rejects: Vec<(u64, String)> = read
        .iter()
        .filter_map(|read| read.as_ref().err())
        .map(|reject| {
            let place = &reject.place;
            let start: usize = lines[..place.line as usize - 1].iter().map(|line| line.len() + 1).sum();
            assert_eq!(start as u64 + place.byte - 1, place.offset, "{reject}");
            let text = lines[place.line as usize - 1].trim_ascii_start();
            (place.ordinal, format!("{} | {}", reject.reason, String::from_utf8_lossy(text)))
        })
        .collect();
    let expected = [
        (
            13,
            format!(
                "the text has the sha1 {}, not {} as the dump says | <revision>",
                sha1::base36(b"damaged"),
                sha1::base36(b"undamaged")
            ),
        ),
        (14, "\"yesterday\" is not a time like 2014-02-19T23:34:16Z | <revision>".into()),
        (15, "revision id \"four\" is not a number | <revision>".into()),
        (16, "markup inside the text of an element: <b> | <text>x<b>y</b></text>".into()),
        (17, "text stands twice | <text>y</text>".into()),
        (18, "a text that is marked as deleted, and is there | <revision>".into()),
        (19, "two contents for the slot \"main\" | <revision>".into()),
        (20, "a slot without a role | <revision>".into()),
        (21, "not UTF-8 at offset OFFSET | <comment>\u{fffd} is not UTF-8</comment>".into()),
        (24, "a revision before its page's title | <revision>".into()),
    ];
    let offset = HOSTILE.iter().position(|&byte| byte == 0xff).unwrap().to_string();
    let rejects: Vec<_> = rejects.into_iter().map(|(n, text)| (n, text.replace(&offset, "OFFSET"))).collect();
    assert_eq!(rejects, expected);
}

#[test]
fn the_head_of_a_dump_is_kept() {
    let (_, reader) = hostile();
    let site = reader.site_info().unwrap();
    assert_eq!(site.version.as_deref(), Some("0.11"));
    assert_eq!(site.lang.as_deref(), Some("de-x-formal"));
    assert_eq!(site.site_name.as_deref(), Some("Wiki & Söhne"));
    assert_eq!(site.base.as_deref(), Some("http://example.org/wiki/Main_Page?a=1&b=2"));
    let names: Vec<_> =
        site.namespaces.iter().map(|ns| (ns.key.as_str(), ns.case.as_str(), ns.name.as_str())).collect();
    assert_eq!(
        names,
        [
            ("-2", "first-letter", "Media"),
            ("0", "first-letter", ""),
            ("1", "case-sensitive", "Diskussion & mehr"),
            ("4", "first-letter", "Projekt")
        ]
    );
    assert_eq!(SiteInfo::from_json(&site.to_json()).as_ref(), Some(site));
    assert_eq!(SiteInfo::from_json("[]"), None);
}

#[test]
fn pages_can_be_keyed_by_id() {
    let (read, _) = all(&mut reader(HOSTILE, Options { key: Key::PageId, ..Options::default() }));
    let record = read[0].as_ref().unwrap();
    assert_eq!(record.entity, b"10");
    assert_eq!(record.attribute("title"), Some(r#""Order & \"quotes\" 'é' 頁""#));
    assert_eq!(PageHead::of(record).unwrap().title, ORDER);
}

fn write(records: &[Record], site: &SiteInfo) -> (String, Writer<Vec<u8>>) {
    let mut writer = Writer::begin(Vec::new(), site).unwrap();
    for record in records {
        writer.record(record).unwrap();
    }
    let mut again = Writer::begin(Vec::new(), site).unwrap();
    records.iter().for_each(|record| again.record(record).unwrap());
    (String::from_utf8(again.end().unwrap()).unwrap(), writer)
}

#[test]
fn everything_comes_back_through_an_export() {
    let (read, reader) = hostile();
    let site = reader.site_info().unwrap();
    let before: Vec<Record> = read.into_iter().filter_map(Result::ok).collect();
    let (xml, writer) = write(&before, site);
    assert!(writer.losses().is_empty(), "{:?}", writer.losses());
    let mut again = self::reader(xml.clone(), Options::default());
    let (after, fatal) = all(&mut again);
    assert!(fatal.is_none());
    assert_eq!(again.site_info(), Some(site));
    for (mut before, after) in before.into_iter().zip(&after) {
        let after = after.as_ref().unwrap();
        before.place = after.place.clone();
        // The schema has a model for every text, and a right hash for every text that is there.
        before.origin_parent = before.origin_parent.filter(|&parent| parent != 0);
        before.content_type.get_or_insert_with(|| "wikitext".into());
        before.attributes.retain(|(name, _)| before.origin_id != Some(410) || name != "sha1");
        assert_eq!(&before, after);
    }
    let records: Vec<Record> = after.into_iter().map(Result::unwrap).collect();
    assert_eq!(write(&records, site).0, xml, "an export of an import is stable");
}

#[test]
fn an_export_is_schema_0_11() {
    let mut record = by_id(200);
    record.tags = vec!["t".into()];
    record.bot = true;
    record.ts_us = record.ts_us.map(|us| us + 1);
    record.attributes.push(("mood".into(), "1".into()));
    let (xml, writer) = write(&[record], &SiteInfo { lang: Some("de".into()), ..SiteInfo::default() });
    let hashes = [b"main".as_slice(), b"{\"labels\":[]}", b"aux", b"of all slots"].map(sha1::base36);
    let [main, mediainfo, aux, slots] = hashes;
    let expected = format!(
        r#"<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" version="0.11" xml:lang="de">
  <page>
    <title>File:Slots.png</title>
    <ns>6</ns>
    <id>11</id>
    <revision>
      <id>200</id>
      <parentid>150</parentid>
      <timestamp>2020-01-01T00:00:00Z</timestamp>
      <contributor>
        <username>a</username>
        <id>1</id>
      </contributor>
      <comment>three slots</comment>
      <origin>150</origin>
      <model>wikitext</model>
      <format>text/x-wiki</format>
      <text bytes="4" sha1="{main}" xml:space="preserve">main</text>
      <content>
        <role>aux</role>
        <origin>120</origin>
        <model>aux-model</model>
        <format>text/x-aux</format>
        <text bytes="77" sha1="{aux}" deleted="deleted" />
      </content>
      <content>
        <role>mediainfo</role>
        <origin>200</origin>
        <model>wikibase-mediainfo</model>
        <format>application/json</format>
        <text bytes="13" sha1="{mediainfo}" xml:space="preserve">{{"labels":[]}}</text>
      </content>
      <sha1>{slots}</sha1>
    </revision>
  </page>
</mediawiki>
"#
    );
    assert_eq!(xml, expected);
    let losses: Vec<&str> = writer.losses().keys().map(String::as_str).collect();
    assert_eq!(losses, ["bot flags", "fractions of seconds", "tags", "the attribute \"mood\""]);
}

#[test]
fn what_xml_cannot_hold_is_refused_by_name_and_the_next_record_written() {
    let base = by_id(100);
    let mut writer = Writer::begin(Vec::new(), &SiteInfo::default()).unwrap();
    let mut refused = |record: Record| match writer.record(&record) {
        Err(WriteError::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let with = |f: &dyn Fn(&mut Record)| {
        let mut record = base.clone();
        record.rev = Some(3);
        f(&mut record);
        record
    };
    let name = format!("{ORDER} revision 3: ");
    let content_of = |bytes: &[u8]| with(&|record| record.body = Body::Content(bytes.to_vec()));
    assert_eq!(
        refused(content_of(b"ab\0")),
        name.clone() + "XML cannot hold U+0000, which the content has at byte 2"
    );
    assert_eq!(
        refused(content_of("\u{ffff}".as_bytes())),
        name.clone() + "XML cannot hold U+FFFF, which the content has at byte 0"
    );
    assert_eq!(
        refused(content_of(b"a\xff")),
        name.clone() + "XML holds text, and the content is not UTF-8 at byte 1"
    );
    assert_eq!(
        refused(with(&|record| record.comment = "\u{1b}".into())),
        name.clone() + "XML cannot hold U+001B, which the comment has at byte 0"
    );
    assert_eq!(
        refused(with(&|record| record.author = "\u{8}".into())),
        name.clone() + "XML cannot hold U+0008, which the username has at byte 0"
    );
    assert_eq!(
        refused(with(&|record| record.body = Body::Deleted)),
        name.clone() + "MediaWiki XML has no revision that says deleted"
    );
    assert_eq!(
        refused(with(&|record| record.ts_us = Some(i64::MAX))),
        name.clone() + "a time in XML is between the years 0 and 9999"
    );
    assert_eq!(refused(with(&|record| record.ts_us = None)), name.clone() + "a revision in XML needs a time");
    assert!(refused(with(&|record| record.entity = b"\xff".to_vec())).contains("not UTF-8"));
    assert!(refused(with(&|record| record.entity = b"a\x01".to_vec())).contains("U+0001, which the title"));
    assert!(refused(with(&|record| (record.rev, record.origin_id) = (None, None))).contains("needs an id"));
    writer.record(&base).unwrap();
    let read = records(writer.end().unwrap());
    assert_eq!(read.len(), 1);
}

#[test]
fn carriage_returns_and_white_space_survive_an_export() {
    let mut record = by_id(100);
    let text = "\r\n a\t\r b &#13; ]]> \u{85}\u{2028}\u{7f} \n\r";
    record.body = content(text);
    record.comment = text.into();
    record.author = text.into();
    record.entity = text.as_bytes().to_vec();
    record.attributes = vec![
        ("author_id".into(), "7".into()),
        ("redirect".into(), crate::formats::json::quoted(text).into()),
    ];
    let (xml, _) = write(
        std::slice::from_ref(&record),
        &SiteInfo { site_name: Some(text.into()), ..SiteInfo::default() },
    );
    let read = records(xml.clone());
    assert_eq!(
        (&read[0].body, &read[0].comment, &read[0].author),
        (&record.body, &record.comment, &record.author)
    );
    assert_eq!(
        (&read[0].entity, read[0].attribute("redirect")),
        (&record.entity, record.attribute("redirect"))
    );
}

#[test]
fn hidden_and_forgotten_are_written_as_deleted_and_counted() {
    let mut record = by_id(100);
    (record.author, record.comment, record.body) = (Told::Hidden, Told::Forgotten, Body::Hidden);
    let (xml, writer) = write(&[record], &SiteInfo::default());
    assert_eq!(xml.matches("deleted=\"deleted\"").count(), 3);
    assert_eq!(writer.losses().len(), 3);
    assert_eq!(records(xml)[0].body, Body::Withheld);
}

fn page(revisions: &str) -> String {
    format!("<mediawiki><page><title>T</title><ns>0</ns><id>1</id>{revisions}</page></mediawiki>")
}

#[test]
fn xml_that_is_not_well_formed_is_fatal_with_line_and_byte() {
    let xml = "<mediawiki>\n  <page>\n    <title>a</title>\n  </pgae>\n</mediawiki>";
    let error = fatal(xml);
    assert_eq!(
        (error.place.line, error.place.byte, error.place.offset),
        (4, 3, xml.find("</pgae").unwrap() as u64)
    );
    assert!(error.reason.contains("not well-formed"), "{error}");
    for (xml, reason) in [
        ("<mediawiki><page><title>a & b</title>", "not well-formed"),
        ("<mediawiki><page><title>&nbsp;</title>", "&nbsp;"),
        ("<mediawiki><page><title>&#0;</title>", "&#0;"),
        ("<html></html>", "<html>, not <mediawiki>"),
        ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><mediawiki></mediawiki>", "ISO-8859-1"),
        ("<mediawiki></mediawiki> and more", "outside"),
        ("</mediawiki>", "not well-formed"),
    ] {
        assert!(fatal(xml).reason.contains(reason), "{xml}: {}", fatal(xml));
    }
    assert!(fatal(format!("<mediawiki>{}", "<a>".repeat(100_000))).reason.contains("deeply"));
    let mut reader = reader(xml, Options::default());
    assert!(matches!(reader.next(), Err(ReadError::Fatal(_))));
    assert!(matches!(reader.next(), Err(ReadError::Fatal(_))), "and it stays so");
}

#[test]
fn a_dump_cut_off_anywhere_is_fatal_after_its_whole_revisions() {
    let xml = &HOSTILE[..4000];
    let ends = |xml: &[u8]| xml.windows(11).filter(|window| window == b"</revision>").count();
    let whole: Vec<Record> = accepted();
    let start = xml.windows(10).position(|window| window == b"<mediawiki").unwrap() + 10;
    for len in start..xml.len() {
        let (read, error) = all(&mut reader(&xml[..len], Options::default()));
        let error = error.expect("fatal");
        assert!(error.place.offset <= len as u64);
        assert_eq!(read.len(), ends(&xml[..len]));
        for (read, whole) in read.into_iter().zip(&whole) {
            assert_eq!(&read.unwrap(), whole);
        }
    }
}

#[test]
fn old_schemas_without_ns_sha1_and_model_are_read() {
    let xml = r#"<mediawiki version="0.3"><siteinfo><namespaces><namespace key="1">Talk</namespace></namespaces></siteinfo>
        <page><title>Talk:A</title><id>3</id><revision><id>5</id><timestamp>2005-01-01T00:00:00Z</timestamp>
        <contributor><username>a</username></contributor><minor/><text xml:space="preserve">x</text></revision></page></mediawiki>"#;
    let record = &records(xml)[0];
    assert_eq!((record.origin_id, record.content_type.as_deref(), record.minor), (Some(5), None, true));
    assert_eq!(attributes(record), [("ns", "1"), ("page_id", "3")]);
}

#[test]
fn pages_cut_out_of_a_multistream_dump_are_read_without_the_element_around_them() {
    let xml = "  <page><title>a</title><revision><id>1</id><text>x</text></revision></page>\n  <page><title>b</title><revision><id>2</id><text>y</text></revision></page>\n";
    assert_eq!(records(xml).len(), 2);
}

#[test]
fn prefixes_of_names_do_not_matter() {
    let xml = r#"<w:mediawiki xmlns:w="x"><w:page><w:title>a</w:title><w:revision><w:id>1</w:id><w:text deleted = 'deleted'/></w:revision></w:page></w:mediawiki>"#;
    assert_eq!(records(xml)[0].body, Body::Withheld);
}

#[test]
fn texts_beyond_the_limit_are_rejects_and_the_next_revision_is_read() {
    let options = Options { content_len_max: 100, ..Options::default() };
    let revision = |id: u32, text: &str| format!("<revision><id>{id}</id><text>{text}</text></revision>");
    let long = "x".repeat(300_000);
    let xml = page(
        &[
            revision(1, &"y".repeat(100)),
            revision(2, &"y".repeat(101)),
            revision(3, &long),
            revision(4, &format!("{}&amp;{long}&lt;{long}", "y".repeat(50))),
            revision(5, "fine"),
        ]
        .concat(),
    );
    let mut reader = reader(xml, options);
    let (read, error) = all(&mut reader);
    assert!(error.is_none());
    let ok: Vec<bool> = read.iter().map(Result::is_ok).collect();
    assert_eq!(ok, [true, false, false, false, true]);
    let reject = read[2].as_ref().unwrap_err();
    assert_eq!(
        (reject.reason.as_str(), reject.entity.as_deref()),
        ("texts of more than 100 bytes", Some(&b"T"[..]))
    );
    assert!(reader.memory() < 512 << 10, "{} bytes are held", reader.memory());
}

/// Text without end, made while it is read.
struct Endless {
    head: Vec<u8>,
    repeat: Vec<u8>,
    times: u64,
    tail: Vec<u8>,
    at: usize,
}

impl Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.head.len() {
            self.at = 0;
            self.head = match self.times {
                0 => std::mem::take(&mut self.tail),
                _ => self.repeat.clone(),
            };
            if self.head.is_empty() {
                return Ok(0);
            }
            self.times = self.times.saturating_sub(1);
        }
        let len = (&self.head[self.at..]).read(buf)?;
        self.at += len;
        Ok(len)
    }
}

fn endless(head: &str, repeat: &str, times: u64, tail: &str) -> Reader {
    let raw = Endless { head: head.into(), repeat: repeat.into(), times, tail: tail.into(), at: 0 };
    let input = Input::from_reader("-", raw, None).unwrap();
    Reader::new(input, Options { content_len_max: 1 << 20, ..Options::default() })
}

#[test]
fn a_text_of_gigabytes_would_pass_in_bounded_memory() {
    // 64 MiB against a limit of one: in runs without markup, and in runs between references.
    for repeat in ["x".repeat(64 << 10), "&amp;".repeat(4 << 10) + &"y".repeat(44 << 10)] {
        let mut reader = endless(
            "<mediawiki><page><title>T</title><revision><id>1</id><text>",
            &repeat,
            1024,
            "</text></revision><revision><id>2</id><text>x</text></revision></page></mediawiki>",
        );
        assert!(matches!(reader.next(), Err(ReadError::Reject(_))));
        assert_eq!(reader.next().unwrap().unwrap().origin_id, Some(2));
        assert!(reader.memory() < 4 << 20, "{} bytes are held", reader.memory());
        assert!(reader.next().unwrap().is_none());
    }
}

#[test]
fn a_history_of_any_length_passes_in_constant_memory() {
    let revision =
        format!("<revision><id>1</id><comment>c</comment><text>{}</text></revision>\n", "x".repeat(1000));
    let mut reader = endless("<mediawiki><page><title>T</title>", &revision, 50_000, "</page></mediawiki>");
    let mut count = 0;
    while let Some(record) = reader.next().unwrap() {
        count += 1;
        assert_eq!(record.place.line, count);
        if count % 1000 == 0 {
            assert!(reader.memory() < 256 << 10, "{} bytes are held", reader.memory());
        }
    }
    assert_eq!(count, 50_000);
}

#[test]
fn markup_without_end_is_fatal() {
    let mut reader = endless("<mediawiki><page a='", &"x".repeat(64 << 10), 1024, "");
    match reader.next() {
        Err(ReadError::Fatal(fatal)) => assert!(fatal.reason.contains("markup of more than"), "{fatal}"),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn any_text_that_xml_can_hold_comes_back(text in any::<String>(), comment in "\\PC*", slot in any::<Option<String>>()) {
        let mut record = by_id(100);
        record.body = content(&text);
        record.comment = comment.as_str().into();
        record.slots = slot.iter().map(|slot| Slot { role: "r".into(), body: content(slot) }).collect();
        let mut writer = Writer::begin(Vec::new(), &SiteInfo::default()).unwrap();
        match writer.record(&record) {
            Ok(()) => {
                let read = records(writer.end().unwrap());
                prop_assert_eq!(&read[0].body, &record.body);
                prop_assert_eq!(&read[0].comment, &record.comment);
                prop_assert_eq!(&read[0].slots, &record.slots);
            }
            Err(_) => {
                let all = text + &comment + slot.as_deref().unwrap_or_default();
                prop_assert!(super::escape::forbidden(&all).is_some());
            }
        }
    }

    #[test]
    fn damaged_dumps_never_panic(at in 0usize..9000, bytes in proptest::collection::vec(any::<u8>(), 0..4), cut in 0usize..8) {
        let mut xml = HOSTILE.to_vec();
        let at = at.min(xml.len() - 8);
        xml.splice(at..at + cut, bytes);
        let mut reader = reader(xml, Options::default());
        let (read, _) = all(&mut reader);
        prop_assert_eq!(read.len() as u64, reader.ordinal());
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(prop_oneof![Just(b'<'), Just(b'>'), Just(b'/'), Just(b'&'), Just(b';'), any::<u8>()], 0..100)) {
        let _ = all(&mut reader(bytes, Options::default()));
    }
}
