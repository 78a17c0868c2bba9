//! `hide` and `show`.

use recension::{Batch, FieldMask, Hiding, IfMissing};

use super::{edit, write_to};
use crate::args::{Global, HideArgs, Part};
use crate::entity::from_arg;
use crate::exit::Outcome;
use crate::output::Out;

pub fn hide(args: HideArgs, global: &Global, out: &mut Out) -> Outcome {
    run(args, global, out, Batch::hide)
}

pub fn show(args: HideArgs, global: &Global, out: &mut Out) -> Outcome {
    run(args, global, out, Batch::show)
}

fn run(
    args: HideArgs,
    global: &Global,
    out: &mut Out,
    add: impl FnOnce(Batch, Hiding) -> recension::Result<Batch>,
) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let (first, last) = args.rev;
    let fields = args.fields.iter().fold(FieldMask::default(), |mask, part| mask.with(mask_of(*part)));
    let what = Hiding {
        entity: entity.as_bytes().to_vec(),
        first,
        last,
        fields,
        actor: args.actor,
        reason: args.reason,
    };
    let batch = add(Batch::new(), what)?;
    let committed = write_to(&args.store, IfMissing::Fail, global, |store| Ok(store.commit(batch)?))?;
    edit::print(&[entity], &committed, global, out)
}

fn mask_of(part: Part) -> FieldMask {
    match part {
        Part::Content => FieldMask::CONTENT,
        Part::Comment => FieldMask::COMMENT,
        Part::Author => FieldMask::AUTHOR,
        Part::Attributes => FieldMask::ATTRIBUTES,
        Part::All => FieldMask::ALL,
    }
}
