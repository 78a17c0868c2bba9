//! The verbs, one file each.

mod hex;
mod inspect;
mod layout;
pub mod manifest;
mod properties;
mod scan;

use recension::env::Env;
use recension_cli::Global;
use recension_cli::exit::Outcome;
use recension_cli::output::Out;

use crate::args::Verb;

/// Runs a verb.
pub fn run(verb: Verb, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    match verb {
        Verb::Inspect(args) => inspect::run(&args, env, global, out),
        Verb::Layout(args) => layout::run(&args, env, global, out),
        Verb::Hex(args) => hex::run(&args, env, global, out),
        Verb::Scan(args) => scan::run(&args, env, global, out),
        Verb::Properties(args) => properties::run(&args, env, global, out),
    }
}
