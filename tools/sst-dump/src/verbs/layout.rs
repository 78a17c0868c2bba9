//! `layout`: every part of a file.

use recension::env::Env;
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::Out;
use recension_cli::table::{Align, Table};

use crate::args::LayoutArgs;
use crate::file::{Item, is_finding, walk};
use crate::show::{damaged, part_object};

pub fn run(args: &LayoutArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let depth = if args.deep { Depth::Contents } else { Depth::Stored };
    let mut table = Table::new(&[
        ("offset", Align::Right),
        ("length", Align::Right),
        ("kind", Align::Left),
        ("state", Align::Left),
        ("what", Align::Left),
    ]);
    let mut bad = 0;
    walk(&*env.fs, &args.path, depth, &mut |item| {
        let Item::Part(part) = item else { return Ok(()) };
        bad += u64::from(is_finding(&part.state));
        if args.damaged && !is_finding(&part.state) {
            return Ok(());
        }
        if global.json {
            return out.object(&part_object(&part, None));
        }
        let mut what = part.what.clone();
        if let Some(why) = part.state.why() {
            what = if what.is_empty() { why.to_owned() } else { format!("{what}: {why}") };
        }
        if let Some(flip) = &part.flip {
            what += &format!(" ({flip})");
        }
        let kind = if part.nested { format!("  {}", part.kind) } else { part.kind.to_owned() };
        table.row(
            out,
            vec![format!("{:#x}", part.offset), part.len.to_string(), kind, part.state.name().into(), what],
        )
    })?;
    table.end(out)?;
    match bad {
        0 => Ok(()),
        bad => Err(Failure::Damage(format!("{}: {}", args.path.display(), damaged(bad)))),
    }
}
