//! `get`: the bytes of a revision's content, and nothing else.

use recension::{AsOf, Content, Head, Revision, Store};

use super::open_to_read;
use crate::args::{GetArgs, Global};
use crate::convert::{Contents, Losses, record_of};
use crate::describe::Meta;
use crate::entity::{from_arg, shown};
use crate::exit::{Failure, Outcome};
use crate::formats::jsonl;
use crate::output::Out;
use crate::table::properties;

pub fn run(args: &GetArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let store = open_to_read(&args.store)?;
    let revision = find(&store, entity.as_bytes(), args.rev, args.as_of, args.meta)?;
    if args.meta {
        let meta = Meta::of(&revision)?;
        return match global.json {
            true => out.object(&meta.object()),
            false => properties(out, &meta.properties(global)),
        };
    }
    if let Some(role) = &args.slot {
        let slots = revision.slots()?;
        let slot = slots.into_iter().find(|(name, _)| &**name == role.as_bytes());
        let Some((_, content)) = slot else {
            let what = format!("{} has no slot {role:?}", name_of(&revision));
            return Err(Failure::NotFound("not_found", what));
        };
        return out.bytes(&bytes_of(content, &revision)?);
    }
    let content = bytes_of(revision.content()?, &revision)?;
    if !global.json {
        return out.bytes(&content);
    }
    let record = record_of(&revision, Contents::Read, &mut Losses::new())?;
    let mut line = Vec::new();
    jsonl::line(&record, &mut line).map_err(|refusal| Failure::Failed(refusal.to_string()))?;
    out.bytes(&line)?;
    out.bytes(b"\n")
}

/// The revision asked for. A tombstone is one only if metadata is asked for: it has no content.
pub fn find(
    store: &Store,
    entity: &[u8],
    number: Option<u64>,
    as_of: Option<AsOf>,
    tombstones: bool,
) -> Outcome<Revision> {
    let name = shown(entity);
    if let Some(number) = number {
        let found = store.revision(entity, number)?;
        let absent = || match store.head(entity)? {
            Head::Absent => Ok(Failure::NotFound("not_found", format!("there is no entity {name}"))),
            _ => Ok(Failure::NotFound("not_found", format!("{name} has no revision {number}"))),
        };
        return match found {
            Some(revision) => Ok(revision),
            None => Err(absent().unwrap_or_else(Failure::Store)),
        };
    }
    let head = match as_of {
        Some(as_of) => store.as_of(entity, as_of)?,
        None => store.head(entity)?,
    };
    match head {
        Head::Live(revision) => Ok(revision),
        Head::Deleted(revision) if tombstones => Ok(revision),
        Head::Deleted(revision) => {
            let what =
                format!("{name} is deleted (revision {}); its history is still there", revision.number());
            Err(Failure::NotFound("deleted", what))
        }
        Head::Purged(_) => Err(Failure::NotFound("purged", format!("{name} was purged"))),
        _ if as_of.is_some() => {
            Err(Failure::NotFound("not_found", format!("there was no entity {name} at that point")))
        }
        _ => Err(Failure::NotFound("not_found", format!("there is no entity {name}"))),
    }
}

fn bytes_of(content: Content, revision: &Revision) -> Outcome<bytes::Bytes> {
    let (kind, why) = match content {
        Content::Present(bytes) => return Ok(bytes),
        Content::Hidden => ("hidden", "is hidden"),
        Content::Forgotten => ("forgotten", "was forgotten"),
        Content::Withheld => ("withheld", "was not given by the source that it was imported from"),
        Content::Deleted => ("deleted", "does not exist: it is a tombstone"),
        _ => ("not_found", "is not there"),
    };
    Err(Failure::NotFound(kind, format!("the content of {} {why}", name_of(revision))))
}

fn name_of(revision: &Revision) -> String {
    format!("revision {} of {}", revision.number(), shown(revision.entity().as_bytes()))
}
