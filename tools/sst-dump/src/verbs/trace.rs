//! `trace`: everywhere an entity's revisions are mentioned.

use std::collections::BTreeMap;
use std::path::Path;

use recension::codec::Part;
use recension::env::Env;
use recension::index::annotations;
use recension::log::{Change, LoggedChange};
use recension::model::Address;
use recension::pack::{Depth, entity_hash};
use recension_cli::Global;
use recension_cli::entity::from_arg;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Object, Out};

use crate::args::TraceArgs;
use crate::file::StoreFiles;
use crate::file::{self, Item, walk_listed};
use crate::show::object;

/// A place that mentions a revision.
struct Place {
    file: String,
    role: String,
    what: &'static str,
    offset: u64,
    len: u64,
    state: &'static str,
    note: String,
}

/// What was found, by revision number; annotations under 0.
type Found = BTreeMap<u64, Vec<Place>>;

pub fn run(args: &TraceArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let wanted = |change: &LoggedChange| {
        let Some((whose, rev)) = file::who(change) else { return false };
        *whose == entity && args.rev.is_none_or(|wanted| rev.is_none_or(|rev| rev == wanted))
    };
    let hash = entity_hash(&entity);
    let files = file::store_in(&*env.fs, &args.store)?;
    let mut found: Found = BTreeMap::new();
    for (id, kind, _) in &files.files {
        let name = id.file_name(*kind);
        let role = files.role(*id, *kind);
        let mut groups: BTreeMap<Address, (u64, u64, usize)> = BTreeMap::new();
        let mut group_len = 0;
        let mut frame = (0, 0);
        let mut directory: Option<Part> = None;
        let mut blocks: Vec<Part> = Vec::new();
        let mut states: BTreeMap<u64, &'static str> = BTreeMap::new();
        let at = |what, offset, len, state, note| Place {
            file: name.clone(),
            role: role.clone(),
            what,
            offset,
            len,
            state,
            note,
        };
        walk_listed(&*env.fs, &args.store.join(&name), Depth::Stored, &mut |item| {
            match item {
                Item::Part(part) => {
                    if part.nested {
                        states.insert(part.offset, part.state.name());
                    }
                    if part.kind == "directory" {
                        directory = Some(part.clone());
                    }
                    if part.kind == "group" {
                        group_len = part.len;
                    }
                    let covers = part.holds.entities.as_ref().is_some_and(|(from, to)| {
                        entity.as_bytes() >= &from[..]
                            && to.as_ref().is_none_or(|to| entity.as_bytes() < &to[..])
                    });
                    if covers && matches!(part.kind, "entities" | "plain") {
                        blocks.push(part);
                    }
                }
                Item::Frame(now) => {
                    frame = (now.offset, u64::from(now.head.len));
                    // Contents come before their frame.
                    states.retain(|offset, _| *offset >= now.offset);
                }
                Item::Change(change, contents) if wanted(&change) => {
                    let rev = file::who(&change).and_then(|(_, rev)| rev);
                    let places = found.entry(rev.unwrap_or(0)).or_default();
                    places.push(at("frame", frame.0, frame.1, "sound", said_of(&change)));
                    for content in contents {
                        let locator = content.locator;
                        let member = match locator.member {
                            0 => String::new(),
                            n => format!(", place {} in a group", n - 1),
                        };
                        let note = format!(
                            "content {}/{}, {} bytes raw{member}",
                            locator.address.sequence, locator.address.slot, content.raw_len
                        );
                        let state = states.get(&locator.offset).copied().unwrap_or("sound");
                        places.push(at("unit", locator.offset, u64::from(locator.len), state, note));
                    }
                }
                Item::Group(offset, header) if header.mixed || header.entity_hash == hash => {
                    for (i, member) in header.members.iter().enumerate() {
                        groups.insert(member.address, (offset, group_len, i));
                    }
                }
                Item::Listed(change) if wanted(&change) => {
                    let rev = file::who(&change).and_then(|(_, rev)| rev);
                    let places = found.entry(rev.unwrap_or(0)).or_default();
                    if let Some(part) = &directory {
                        places.push(at(
                            "directory",
                            part.offset,
                            part.len,
                            part.state.name(),
                            said_of(&change),
                        ));
                    }
                    if let Change::Revision { row, .. } = &change.change
                        && let Some(content) = row.content
                    {
                        let address = content.address;
                        let note = format!("content {}/{}", address.sequence, address.slot);
                        match groups.get(&address) {
                            Some((offset, len, member)) => {
                                places.push(at(
                                    "group",
                                    *offset,
                                    *len,
                                    "sound",
                                    format!("{note}, member {member}"),
                                ));
                            }
                            // A content that is used again may be in another file.
                            None if address.sequence != row.sequence => {}
                            None => {
                                let note = format!("{note}: its group cannot be read");
                                places.push(at("group", 0, 0, "damaged", note));
                            }
                        }
                    }
                }
                Item::Row(whose, row, at_blocks)
                    if whose == entity && args.rev.is_none_or(|rev| rev == row.number) =>
                {
                    let places = found.entry(row.number).or_default();
                    let fields = at_blocks.cold.map_or_else(String::new, |at| format!(", fields at {at:#x}"));
                    let note =
                        format!("change {}, entity at {:#x}{fields}", row.sequence, at_blocks.entities);
                    places.push(at("row", at_blocks.hot, 0, "sound", note));
                }
                Item::Lost(whose, number) if whose == entity => {
                    let places = found.entry(number.unwrap_or(0)).or_default();
                    places.push(at("row", 0, 0, "damaged", "cannot be read here".into()));
                }
                Item::Pair(key, value) => {
                    if let Ok(stored) = annotations::decode(&key, &value)
                        && stored.annotation.entity == entity
                    {
                        let annotation = &stored.annotation;
                        let note = format!(
                            "{:?} revisions {} to {}, change {}",
                            annotation.kind, annotation.first, annotation.last, stored.sequence
                        );
                        found.entry(0).or_default().push(at("annotation", 0, 0, "sound", note));
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        let mentions = found.values().flatten().any(|place| place.file == name && place.what == "row");
        if mentions {
            let places = found.entry(0).or_default();
            for part in blocks {
                let (kind, state) = (part.kind, part.state.name());
                places.push(at("block", part.offset, part.len, state, format!("{kind}: {}", part.what)));
            }
        }
    }
    if found.is_empty() {
        let what = args.rev.map_or_else(String::new, |rev| format!(" revision {rev}"));
        return Err(Failure::NotFound("no_such_revision", format!("nothing mentions {entity}{what}")));
    }
    say(&found, entity.as_bytes(), global, out)?;
    located(&args.store, &files, &found, global, out)
}

fn said_of(change: &LoggedChange) -> String {
    match &change.change {
        Change::Revision { row, .. } => match row.content {
            Some(content) if content.address.sequence != change.sequence => {
                format!("change {}, content of change {}", change.sequence, content.address.sequence)
            }
            _ => format!("change {}", change.sequence),
        },
        Change::Annotation(annotation) => format!("change {}, {:?}", change.sequence, annotation.kind),
        Change::Erased { .. } => format!("change {}, erased", change.sequence),
    }
}

fn say(found: &Found, entity: &[u8], global: &Global, out: &mut Out) -> Outcome {
    for (rev, places) in found {
        if !global.json {
            out.line(&if *rev == 0 { "the entity as a whole".into() } else { format!("revision {rev}") })?;
        }
        for place in places {
            if global.json {
                let mut said: Object = object("place");
                said.entity(entity);
                if *rev > 0 {
                    said.number("rev", *rev);
                }
                said.text("what", place.what).text("file", &place.file).text("role", &place.role);
                said.number("offset", place.offset)
                    .number("len", place.len)
                    .text("state", place.state)
                    .text("note", &place.note);
                out.object(&said)?;
                continue;
            }
            let at = if place.offset == 0 { String::new() } else { format!(" at {:#x}", place.offset) };
            let len = if place.len == 0 { String::new() } else { format!(", {} bytes", place.len) };
            let state = if place.state == "sound" { String::new() } else { format!(" [{}]", place.state) };
            out.line(&format!(
                "    {:<10} {} ({}){at}{len}: {}{state}",
                place.what, place.file, place.role, place.note
            ))?;
        }
    }
    Ok(())
}

/// Which file the value map names, where more than one has the change.
fn located(_: &Path, files: &StoreFiles, found: &Found, global: &Global, out: &mut Out) -> Outcome {
    let Some(state) = &files.state else { return Ok(()) };
    let named: std::collections::BTreeSet<&str> =
        found.values().flatten().map(|place| place.file.as_str()).collect();
    for info in state.value_files.values() {
        let name = info.id.file_name(info.kind);
        if !named.contains(name.as_str()) {
            continue;
        }
        if global.json {
            let mut said = object("value_map");
            said.text("file", &name)
                .number("sequence_first", info.sequence_first)
                .number("sequence_last", info.sequence_last);
            out.object(&said)?;
        } else {
            out.line(&format!(
                "value map: changes {} to {} are in {name}",
                info.sequence_first, info.sequence_last
            ))?;
        }
    }
    Ok(())
}
