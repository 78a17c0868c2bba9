//! Ctrl-C for commands that have something to finish first.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::exit::{Failure, INTERRUPTED, Outcome};

static ASKED: AtomicU32 = AtomicU32::new(0);
static CAUGHT: AtomicBool = AtomicBool::new(false);

/// From here on the first Ctrl-C (or SIGTERM) is only noted; the second ends the process at once. A command may have several such steps.
pub fn catch() -> Outcome {
    if CAUGHT.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let handler = || {
        if ASKED.fetch_add(1, Ordering::Relaxed) > 0 {
            std::process::exit(i32::from(INTERRUPTED));
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Failure::Failed(format!("cannot wait for Ctrl-C: {error}")))
}

/// Whether somebody asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed) > 0
}
