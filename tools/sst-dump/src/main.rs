//! The inspection tool `sst-dump`.

use std::process::ExitCode;

fn main() -> ExitCode {
    sst_dump::run()
}
