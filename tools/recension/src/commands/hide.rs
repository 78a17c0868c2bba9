//! `hide` and `show`.

use recension::{Batch, Hiding, IfMissing};

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
    let fields = Part::mask(&args.fields);
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
