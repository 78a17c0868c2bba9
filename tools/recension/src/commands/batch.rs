//! `batch`: several changes, all of them or none, from JSON lines that each say what they expect.

use std::io::{BufRead, BufReader, Read};

use recension::{Batch, Draft, Entity, Expect, Flags, IfMissing};

use super::{edit, write_to};
use crate::args::{BatchArgs, Global};
use crate::convert::draft_of;
use crate::exit::{Failure, Outcome};
use crate::formats::{Options, Place, Record, jsonl};
use crate::output::Out;
use crate::reserved;

pub fn run(args: &BatchArgs, global: &Global, out: &mut Out) -> Outcome {
    let is_stdin = args.file.as_os_str() == "-";
    let name = args.file.to_string_lossy();
    let failed = |error| Failure::Io(format!("cannot read {name}"), error);
    let input: Box<dyn Read> = match is_stdin {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(&args.file).map_err(failed)?),
    };
    let mut batch = Batch::new();
    let mut entities = Vec::new();
    let mut place = Place::start(&(&*name).into());
    for line in BufReader::new(input).split(b'\n') {
        let line = line.map_err(failed)?;
        if !line.trim_ascii().is_empty() {
            let (entity, expect, change) = parse(&line, place.clone())?;
            batch = match change {
                Change::Require => batch.require(&entity, expect)?,
                Change::Write(draft) => batch.put(&entity, expect, *draft)?,
            };
            entities.push(entity);
        }
        place.line += 1;
        place.offset += line.len() as u64 + 1;
    }
    if batch.is_empty() {
        return Ok(());
    }
    let committed = write_to(&args.store, IfMissing::Create, global, |store| Ok(store.commit(batch)?))?;
    edit::print(&entities, &committed, global, out)
}

enum Change {
    Write(Box<Draft>),
    Require,
}

/// The instructions that a line may have beside the keys of JSON lines.
#[derive(Default)]
struct Instructions {
    expect: Option<Expect>,
    revert_to: Option<u64>,
    undelete: bool,
    require: bool,
    if_changed: bool,
    mass: bool,
}

fn parse(line: &[u8], place: Place) -> Outcome<(Entity, Expect, Change)> {
    let refuse = |what: &str| Failure::Failed(format!("{place}: {what}; nothing was written"));
    let options = Options { append: true, ..Options::default() };
    let read = |line: &[u8]| jsonl::parse_line(line, place.clone(), &options);
    let mut record = match (read(line), with_body(line).map(|line| read(&line))) {
        (Ok(record), _) => record,
        // A line that brings its content from elsewhere has none of its own.
        (Err(_), Some(Ok(record))) if has_other_body(&record) => record,
        (Err(reject), _) => return Err(Failure::Failed(format!("{reject}; nothing was written"))),
    };
    let entity = Entity::new(&record.entity)?;
    if reserved::is_reserved(entity.as_bytes()) {
        return Err(refuse(reserved::REFUSAL));
    }
    let orders = take_instructions(&mut record).map_err(|what| refuse(&what))?;
    let Some(expect) = orders.expect else {
        return Err(refuse("no expectation: add \"expect\": a revision number, \"absent\" or \"any\""));
    };
    if orders.require {
        return Ok((entity, expect, Change::Require));
    }
    let (number, parent, origin) = (record.rev, record.parent, record.origin_id);
    let mut draft = match (orders.revert_to, orders.undelete) {
        (Some(_), true) => return Err(refuse("revert_to and undelete contradict each other")),
        (Some(number), false) => reuse(Draft::revert_to(number), record),
        (None, true) => reuse(Draft::undelete(), record),
        (None, false) => draft_of(record),
    };
    if orders.if_changed {
        draft = draft.if_changed();
    }
    if orders.mass {
        draft = draft.flags(Flags::MASS);
    }
    draft = number.into_iter().fold(draft, Draft::number);
    draft = parent.into_iter().fold(draft, Draft::parent);
    draft = origin.into_iter().fold(draft, Draft::origin_id);
    Ok((entity, expect, Change::Write(Box::new(draft))))
}

/// The line with a body put in, so that it can be read as a record.
fn with_body(line: &[u8]) -> Option<Vec<u8>> {
    let mut line = line.trim_ascii().strip_suffix(b"}")?.to_vec();
    line.extend_from_slice(b",\"withheld\":true}");
    Some(line)
}

fn has_other_body(record: &Record) -> bool {
    ["revert_to", "undelete", "require"].iter().any(|name| record.attribute(name).is_some())
}

fn take_instructions(record: &mut Record) -> Result<Instructions, String> {
    let mut orders = Instructions { mass: record.mass, ..Instructions::default() };
    let mut wrong = None;
    record.attributes.retain(|(name, value)| {
        let flag = || match &**value {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        let understood = match name.as_str() {
            "expect" => {
                orders.expect = match &**value {
                    "\"absent\"" => Some(Expect::Absent),
                    "\"any\"" => Some(Expect::Any),
                    number => number.parse().ok().filter(|n| *n > 0).map(Expect::Head),
                };
                orders.expect.is_some()
            }
            "revert_to" => {
                orders.revert_to = value.parse().ok();
                orders.revert_to.is_some()
            }
            "undelete" => flag().map(|set| orders.undelete = set).is_some(),
            "require" => flag().map(|set| orders.require = set).is_some(),
            "if_changed" => flag().map(|set| orders.if_changed = set).is_some(),
            _ => return true,
        };
        if !understood {
            wrong = Some(format!("{name} cannot be {value}"));
        }
        false
    });
    wrong.map_or(Ok(orders), Err)
}

/// A draft that takes its content from elsewhere, with the record's fields.
fn reuse(mut draft: Draft, record: Record) -> Draft {
    if let Some(author) = record.author.text() {
        draft = draft.author(author.to_owned());
    }
    if let Some(comment) = record.comment.text() {
        draft = draft.comment(comment.to_owned());
    }
    if let Some(micros) = record.ts_us {
        draft = draft.authored(recension::Timestamp(micros));
    }
    for (set, flag) in [(record.minor, Flags::MINOR), (record.bot, Flags::BOT)] {
        if set {
            draft = draft.flags(flag);
        }
    }
    for tag in record.tags {
        draft = draft.tag(tag);
    }
    for (name, value) in record.attributes {
        draft = draft.attribute(name, String::from(value));
    }
    draft
}
