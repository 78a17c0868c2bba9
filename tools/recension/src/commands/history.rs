//! `history`: the revisions of an entity, without their contents.

use recension::{AsOf, Head, Revision};

use super::open_to_read;
use crate::args::{Global, HistoryArgs};
use crate::describe::Meta;
use crate::entity::{from_arg, shown};
use crate::exit::{Failure, Outcome};
use crate::output::Out;
use crate::table::{Align, Table};

pub fn run(args: &HistoryArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let store = open_to_read(&args.store)?;
    if let Head::Absent = store.head(&entity)? {
        return Err(Failure::NotFound(
            "not_found",
            format!("there is no entity {}", shown(entity.as_bytes())),
        ));
    }
    let snapshot = match args.as_of {
        Some(AsOf::Sequence(sequence)) => store.snapshot_at(sequence),
        _ => store.snapshot(),
    };
    let history = snapshot.history(&entity)?;
    let in_view = |revision: &recension::Result<Revision>| match (args.as_of, revision) {
        (Some(AsOf::EffectiveTime(time)), Ok(revision)) => revision.effective_time() <= time,
        _ => true,
    };
    let limit = args.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let revisions: Box<dyn Iterator<Item = _>> = match args.reverse {
        // Effective times never go back along a history: what is behind the first that is too new is too new as well.
        true => Box::new(history.rev().take_while(in_view)),
        false => Box::new(history.skip_while(|revision| !in_view(revision))),
    };
    let mut table = Table::new(&[
        ("REV", Align::Right),
        ("SIZE", Align::Right),
        ("TIME", Align::Left),
        ("AUTHOR", Align::Left),
        ("FLAGS", Align::Left),
        ("COMMENT", Align::Left),
    ]);
    for revision in revisions.take(limit) {
        let revision = revision?;
        let meta = Meta::of(&revision)?;
        if global.json {
            out.object(&meta.object())?;
        } else {
            let cells = [meta.size(), meta.time(global), meta.author(), meta.letters(), meta.comment()];
            table.row(out, [vec![meta.number.to_string()], cells.to_vec()].concat())?;
        }
    }
    table.end(out)
}
