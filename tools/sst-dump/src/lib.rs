//! The inspection tool `sst-dump`, as a library so that it can be tested on a simulated disk.
//!
//! ```text
//!  args ──► verbs::* ──► file::walk ──► recension::inspect ──► dissect_segment, dissect_table, dissect_manifest, dissect_pack
//!               │
//!             show ──► recension_cli::output
//! ```
//! It takes no lock and never writes to a store; every file is opened for reading through the engine's `env::Fs`. There is no second decoder of any
//! format here.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the rules against clocks and threads are for the engine; this is a program"
)]

pub mod args;
pub mod file;
pub mod recorded;
pub mod show;
pub mod verbs;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use recension::env::{Env, OsFs};
use recension_cli::exit;
use recension_cli::output::Out;

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::refused(&error),
    };
    let mut out = Out::new(&cli.global);
    // Nothing that a verb does can write to a store.
    let recorder = recorded::Recorder::default();
    let fs = recorded::ReadOnlyFs::new(Arc::new(OsFs::new()), recorder.clone());
    let env = Env { fs: Arc::new(fs), ..Env::os(1) };
    let result = verbs::run(cli.verb, &env, &recorder, &cli.global, &mut out).and_then(|()| out.flush());
    match result {
        Ok(()) => ExitCode::from(exit::OK),
        Err(failure) => {
            // What was printed before belongs in front of the error.
            let _ = out.flush();
            failure.report(&cli.global, "sst-dump");
            ExitCode::from(failure.code())
        }
    }
}
