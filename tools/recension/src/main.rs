//! The command line `recension`.

use std::process::ExitCode;

fn main() -> ExitCode {
    recension_cli::run()
}
