//! One entity's source to a record.

use crate::formats::json::{JsonError, Scanner};
use crate::formats::mediawiki::time;
use crate::formats::{Body, Place, Record, Reject};
use recension::limits;

/// Parses an entity. `place` is that of the first byte.
pub(super) fn parse(source: &[u8], place: Place, len_max: usize) -> Result<Record, Reject> {
    let mut record = Record::new(Vec::new(), Body::Withheld, place);
    match read(source, &mut record, len_max) {
        Ok(()) => {
            record.body = Body::Content(source.to_vec());
            record.content_type = Some("application/json".into());
            Ok(record)
        }
        Err(JsonError { at, reason }) => {
            let before = source.get(..at).unwrap_or(source);
            let mut place = record.place;
            place.offset += at as u64;
            match before.iter().rposition(|&byte| byte == b'\n') {
                None => place.byte += at as u64,
                Some(end) => {
                    place.line += before.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    place.byte = (at - end) as u64;
                }
            }
            let entity = Some(record.entity).filter(|entity| !entity.is_empty());
            Err(Reject { place, entity, reason: reason.into_owned() })
        }
    }
}

fn read(source: &[u8], record: &mut Record, len_max: usize) -> Result<(), JsonError> {
    if source.len() > len_max {
        let reason = format!("an entity of {} bytes; at most {len_max} are kept", source.len());
        return Err(JsonError { at: 0, reason: reason.into() });
    }
    let mut scanner = Scanner::from_bytes(source)?;
    scanner.expect(b'{')?;
    let mut redirect = None;
    let mut is_redirect = false;
    let mut first = true;
    while let Some((key, at)) = scanner.next_key(&mut first)? {
        match &*key {
            "id" => {
                let id = scanner.string()?;
                if !record.entity.is_empty() {
                    return Err(JsonError { at, reason: "the key \"id\" stands here twice".into() });
                }
                record.entity = id.as_bytes().to_vec();
            }
            "entity" if scanner.peek() == Some(b'"') => {
                redirect = Some(scanner.string()?.as_bytes().to_vec())
            }
            "redirect" => {
                is_redirect = true;
                scanner.skip()?;
            }
            "lastrevid" => match scanner.unsigned()? {
                0 => {}
                id => record.origin_id = Some(id),
            },
            "modified" => {
                let text = scanner.string()?;
                let micros = time::parse(&text);
                record.ts_us = Some(micros.map_err(|reason| JsonError { at, reason: reason.into() })?);
            }
            _ => scanner.skip()?,
        }
    }
    scanner.end()?;
    if record.entity.is_empty() && is_redirect {
        record.entity = redirect.unwrap_or_default();
    }
    match record.entity.len() {
        0 => Err(JsonError { at: 0, reason: "an entity without an id".into() }),
        1..=limits::ENTITY_LEN_MAX => Ok(()),
        len => {
            record.entity.clear();
            let reason = format!("an id has at most {} bytes, not {len}", limits::ENTITY_LEN_MAX);
            Err(JsonError { at: 0, reason: reason.into() })
        }
    }
}
