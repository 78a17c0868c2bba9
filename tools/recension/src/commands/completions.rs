//! `completions`: a script for a shell, from the same definitions as the help.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs};
use crate::exit::Outcome;
use crate::output::Out;

pub fn run(args: &CompletionsArgs, out: &mut Out) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "recension", &mut script);
    out.bytes(&script)
}
