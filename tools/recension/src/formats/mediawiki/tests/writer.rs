use proptest::prelude::*;

use super::*;
use crate::formats::{Slot, Told, WriteError, sha1};

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
    let mut again = super::reader(xml.clone(), Options::default());
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
                prop_assert!(crate::formats::mediawiki::escape::forbidden(&all).is_some());
            }
        }
    }
}
