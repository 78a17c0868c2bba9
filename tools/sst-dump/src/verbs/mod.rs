//! The verbs, one file each.

mod diff_index;
mod explain;
mod hex;
mod hex_fields;
mod inspect;
mod io_bench;
mod layout;
mod log;
mod lsm;
pub mod manifest;
mod manifest_run;
mod properties;
mod recompress;
mod scan;
mod space;
mod trace;
mod verify;

use recension::env::Env;
use recension_cli::Global;
use recension_cli::exit::Outcome;
use recension_cli::output::Out;

use crate::args::Verb;
use crate::recorded::Recorder;

/// Runs a verb. `recorder` says what was read through `env`, if that is a [`crate::recorded::ReadOnlyFs`] with it.
pub fn run(verb: Verb, env: &Env, recorder: &Recorder, global: &Global, out: &mut Out) -> Outcome {
    match verb {
        Verb::Inspect(args) => inspect::run(&args, env, global, out),
        Verb::Layout(args) => layout::run(&args, env, global, out),
        Verb::Hex(args) => hex::run(&args, env, global, out),
        Verb::Scan(args) => scan::run(&args, env, global, out),
        Verb::Properties(args) => properties::run(&args, env, global, out),
        Verb::Verify(args) => verify::run(&args, env, global, out),
        Verb::Manifest(args) => manifest_run::run(&args.verb, env, global, out),
        Verb::Trace(args) => trace::run(&args, env, global, out),
        Verb::Explain(args) => explain::run(&args, env, recorder, global, out),
        Verb::Space(args) => space::run(&args, env, global, out),
        Verb::Log(args) => log::run(&args, env, global, out),
        Verb::Lsm(args) => lsm::run(&args, env, global, out),
        Verb::Recompress(args) => recompress::run(&args, env, global, out),
        Verb::IoBench(args) => io_bench::run(&args, env, global, out),
        Verb::DiffIndex(args) => diff_index::run(&args, env, global, out),
    }
}
