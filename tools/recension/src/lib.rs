//! The command line `recension` (design §13), as a library so that its parts can be tested by themselves.
//!
//! ```text
//!  args ──► commands::* ──► output            one file a command; what they share stands beside them
//!               │
//!          convert ── formats                 revisions of a store to records of a format and back
//! ```
//!
//! What `sst-dump` shares with it (output, exit codes, tables, times, names) is public.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the rules against std::fs, clocks and threads are for the engine; this is a program"
)]

mod args;
mod commands;
mod convert;
mod describe;
pub mod entity;
pub mod exit;
pub mod formats;
mod interrupt;
pub mod output;
mod reserved;
pub mod table;
pub mod time;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

pub use args::{ColorChoice, Global};

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    run_from(std::env::args_os())
}

/// Runs a command line inside this process: the first word is the program's name.
pub fn run_from(words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match args::Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return exit::refused(&error),
    };
    let mut out = output::Out::new(&cli.global);
    let result = commands::run(cli.command, &cli.global, &mut out);
    let result = result.and_then(|()| out.flush());
    match result {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            // What was printed before belongs in front of the error.
            let _ = out.flush();
            failure.report(&cli.global, "recension");
            ExitCode::from(failure.code())
        }
    }
}
