//! `ls`: entities and their heads, in the order of their names.

use recension::{EntityRange, Head};

use super::open_to_read;
use crate::args::{Global, LsArgs};
use crate::describe::Meta;
use crate::entity::shown;
use crate::exit::Outcome;
use crate::output::Out;
use crate::reserved;
use crate::table::{Align, Table};

pub fn run(args: &LsArgs, global: &Global, out: &mut Out) -> Outcome {
    let store = open_to_read(&args.store)?;
    let range = EntityRange::prefix(args.prefix.as_encoded_bytes());
    let heads = match args.as_of {
        Some(as_of) => store.heads_as_of(range, as_of),
        None => store.heads(range),
    };
    let heads: Box<dyn Iterator<Item = _>> =
        if args.reverse { Box::new(heads.rev()) } else { Box::new(heads) };
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut table = Table::new(&[
        ("REV", Align::Right),
        ("SIZE", Align::Right),
        ("TIME", Align::Left),
        ("ENTITY", Align::Left),
    ]);
    for head in heads {
        let head = head?;
        let (Head::Live(revision) | Head::Deleted(revision)) = &head else { continue };
        let wanted = args.deleted || !revision.is_tombstone();
        if !wanted || reserved::is_reserved(revision.entity().as_bytes()) {
            continue;
        }
        if left == 0 {
            break;
        }
        left -= 1;
        let meta = Meta::of(revision)?;
        if global.json {
            out.object(&meta.object())?;
        } else {
            let name = shown(revision.entity().as_bytes());
            table.row(out, vec![meta.number.to_string(), meta.size(), meta.time(global), name])?;
        }
    }
    table.end(out)
}
