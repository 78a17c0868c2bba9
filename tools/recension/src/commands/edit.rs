//! `delete`, `undelete`, `revert`, and how every writing command tells what it did.

use std::path::Path;

use recension::{Batch, Committed, Draft, Entity, Flags, IfMissing, Outcome as Change};

use super::write_to;
use crate::args::{EditArgs, EditFields, Global, RevertArgs};
use crate::entity::{from_arg, shown};
use crate::exit::Outcome;
use crate::output::{Object, Out};

pub fn delete(args: EditArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    commit(&args.store, IfMissing::Fail, &entity, Draft::tombstone(), args.fields, global, out)
}

pub fn undelete(args: EditArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    commit(&args.store, IfMissing::Fail, &entity, Draft::undelete(), args.fields, global, out)
}

pub fn revert(args: RevertArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    commit(&args.store, IfMissing::Fail, &entity, Draft::revert_to(args.to), args.fields, global, out)
}

/// Commits one revision and prints it.
pub fn commit(
    store: &Path,
    if_missing: IfMissing,
    entity: &Entity,
    draft: Draft,
    fields: EditFields,
    global: &Global,
    out: &mut Out,
) -> Outcome {
    let expect = fields.expect;
    let batch = Batch::new().put(entity, expect, with_fields(draft, fields))?;
    let committed = write_to(store, if_missing, global, |store| Ok(store.commit(batch)?))?;
    print(std::slice::from_ref(entity), &committed, global, out)
}

fn with_fields(mut draft: Draft, fields: EditFields) -> Draft {
    if let Some(author) = fields.author {
        draft = draft.author(author);
    }
    if let Some(comment) = fields.comment {
        draft = draft.comment(comment);
    }
    if let Some(at) = fields.at {
        draft = draft.authored(at);
    }
    for tag in fields.tags {
        draft = draft.tag(tag);
    }
    if let Some(id) = fields.request_id {
        draft = draft.request_id(id);
    }
    for (set, flag) in [(fields.minor, Flags::MINOR), (fields.bot, Flags::BOT)] {
        if set {
            draft = draft.flags(flag);
        }
    }
    draft
}

/// Tells what became of each change.
pub fn print(entities: &[Entity], committed: &Committed, global: &Global, out: &mut Out) -> Outcome {
    for (entity, change) in entities.iter().zip(&committed.outcomes) {
        if global.json {
            out.object(&object(entity, *change))?;
        } else {
            out.line(&sentence(entity, *change))?;
        }
    }
    Ok(())
}

fn object(entity: &Entity, change: Change) -> Object {
    let mut object = Object::new();
    object.entity(entity.as_bytes());
    match change {
        Change::Written { revision, sequence } => {
            object.number("rev", revision).number("sequence", sequence).text("outcome", "written")
        }
        Change::Unchanged { revision } => object.number("rev", revision).text("outcome", "unchanged"),
        Change::Replayed { revision, sequence } => {
            object.number("rev", revision).number("sequence", sequence).text("outcome", "replayed")
        }
        Change::Annotated { sequence } => object.number("sequence", sequence).text("outcome", "annotated"),
        _ => object.text("outcome", "held"),
    };
    object
}

fn sentence(entity: &Entity, change: Change) -> String {
    let name = shown(entity.as_bytes());
    match change {
        Change::Written { revision, sequence } => {
            format!("{name}: revision {revision} (sequence {sequence})")
        }
        Change::Unchanged { revision } => format!("{name}: unchanged, revision {revision} has this content"),
        Change::Replayed { revision, sequence } => {
            format!("{name}: revision {revision} (sequence {sequence}), written by an earlier attempt")
        }
        Change::Annotated { sequence } => format!("{name}: done (sequence {sequence})"),
        _ => format!("{name}: as expected"),
    }
}
