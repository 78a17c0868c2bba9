//! How things are shown: lines for people, objects for programs.

use bytes::Bytes;
use recension::codec::{Holds, Part};
use recension::model::Timestamp;
use recension_cli::entity::shown;
use recension_cli::output::{Object, count, size};
use recension_cli::{Global, time};

use crate::file::Fact;

/// Version of the objects that `--json` prints.
pub const SCHEMA: u64 = 1;

/// A new object: version and type first.
pub fn object(kind: &str) -> Object {
    let mut object = Object::new();
    object.number("schema", SCHEMA).text("type", kind);
    object
}

/// A part as an object.
pub fn part_object(part: &Part, file: Option<&str>) -> Object {
    let mut object = object("part");
    if let Some(file) = file {
        object.text("file", file);
    }
    object.number("offset", part.offset).number("len", part.len).text("kind", part.kind);
    object.flag("nested", part.nested).text("state", part.state.name());
    if !part.what.is_empty() {
        object.text("what", &part.what);
    }
    if let Some(why) = part.state.why() {
        object.text("why", why);
    }
    if let Some(flip) = &part.flip {
        object.number("flip_offset", flip.offset).number("flip_bit", u64::from(flip.bit));
    }
    holds_into(&mut object, &part.holds);
    object
}

/// What a part holds, in its object.
pub fn holds_into(object: &mut Object, holds: &Holds) {
    if let Some((first, last)) = holds.sequences {
        object.number("sequence_first", first);
        if last != u64::MAX {
            object.number("sequence_last", last);
        }
    }
    if !holds.each.is_empty() {
        let each: Vec<String> = holds.each.iter().map(u64::to_string).collect();
        object.raw("sequences", &format!("[{}]", each.join(",")));
    }
    if let Some((from, to)) = &holds.entities {
        object.bytes("entity_from", from);
        if let Some(to) = to {
            object.bytes("entity_to", to);
        }
    }
    if !holds.revisions.is_empty() {
        let list: Vec<_> =
            holds.revisions.iter().map(|(entity, rev)| revision_object(entity, *rev).finish()).collect();
        object.raw("revisions", &format!("[{}]", list.join(",")));
    }
    object.flag("derived", holds.derived);
}

/// `{"entity":…,"rev":…}`
pub fn revision_object(entity: &[u8], rev: u64) -> Object {
    let mut object = Object::new();
    object.entity(entity).number("rev", rev);
    object
}

/// What a part holds, for people; empty if nobody can say.
pub fn holds_text(holds: &Holds) -> String {
    let mut said = Vec::new();
    if !holds.revisions.is_empty() {
        said.push(revisions_text(&holds.revisions));
    } else if let Some((first, last)) = holds.sequences {
        said.push(match last {
            u64::MAX => format!("changes from {first} on"),
            last if last == first => format!("change {first}"),
            last if !holds.each.is_empty() => format!("{} changes from {first} to {last}", holds.each.len()),
            last => format!("changes {first} to {last}"),
        });
    }
    if let Some((from, to)) = &holds.entities {
        said.push(match to {
            // The first name behind another one is that one and a zero.
            Some(to) => match to.split_last() {
                Some((0, last)) => format!("entities from {} to {}", shown(from), shown(last)),
                _ => format!("entities from {} up to {} (not included)", shown(from), shown(to)),
            },
            None if from.is_empty() => "all entities of the file".into(),
            None => format!("entities from {} to the end of the file", shown(from)),
        });
    }
    said.join("; ")
}

/// So many entities are named in a line, and so many stretches of each one's revisions.
const NAMED: usize = 8;

/// `Q42 revision 3, Q43 revisions 1 to 4, 7 and 2 more`
pub fn revisions_text(revisions: &[(Bytes, u64)]) -> String {
    let mut entities: Vec<(&Bytes, Vec<(u64, u64)>)> = Vec::new();
    for (entity, rev) in revisions {
        match entities.last_mut().filter(|(last, _)| *last == entity) {
            None => entities.push((entity, vec![(*rev, *rev)])),
            Some((_, stretches)) => {
                match stretches.last_mut().filter(|(_, last)| last.checked_add(1) == Some(*rev)) {
                    Some((_, last)) => *last = *rev,
                    None => stretches.push((*rev, *rev)),
                }
            }
        }
    }
    let mut told = 0;
    let mut names = Vec::new();
    for (entity, stretches) in entities.iter().take(NAMED) {
        let shown_stretches = stretches.get(..stretches.len().min(NAMED)).unwrap_or_default();
        told += shown_stretches.iter().map(|(first, last)| last - first + 1).sum::<u64>();
        let one = |(first, last): &(u64, u64)| {
            if first == last { first.to_string() } else { format!("{first} to {last}") }
        };
        let numbers: Vec<String> = shown_stretches.iter().map(one).collect();
        let word = if let [(first, last)] = shown_stretches
            && first == last
        {
            "revision"
        } else {
            "revisions"
        };
        names.push(format!("{} {word} {}", shown(entity), numbers.join(", ")));
    }
    let more = (revisions.len() as u64).saturating_sub(told);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &more
}

/// A fact for people.
pub fn fact_text(fact: &Fact, global: &Global) -> String {
    match fact {
        Fact::Number(n) => n.to_string(),
        Fact::Size(n) => format!("{n} ({})", size(*n)),
        Fact::Text(text) => text.clone(),
        Fact::Name(name) => shown(name),
        Fact::Time(us) => time::shown(Timestamp(*us), global),
        Fact::Share(share) => format!("{:.3} %", share * 100.0),
    }
}

/// A fact in an object.
pub fn fact_into(object: &mut Object, name: &str, fact: &Fact) {
    match fact {
        Fact::Number(n) | Fact::Size(n) => object.number(name, *n),
        Fact::Text(text) => object.text(name, text),
        Fact::Name(bytes) => object.bytes(name, bytes),
        Fact::Time(us) => object.text(name, &time::rfc3339(Timestamp(*us))),
        Fact::Share(share) => object.raw(name, &format!("{share:.6}")),
    };
}

/// `2 parts are damaged`
pub fn damaged(n: u64) -> String {
    format!("{} damaged", count(n, "part is", "parts are"))
}
