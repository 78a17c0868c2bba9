use super::*;
use crate::formats::{Slot, Told, sha1};

fn attributes(record: &Record) -> Vec<(&str, &str)> {
    record.attributes.iter().map(|(name, value)| (name.as_str(), &**value)).collect()
}

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
