//! Writing again what is not known to be durable.
//!
//! After a failed sync the page cache shows bytes that the disk does not have and that no later sync will write: the kernel takes
//! their pages for clean. A process that opens the store again on the same machine would read them, sync "successfully", promise
//! them, and lose them with the next power cut. So recovery writes every byte behind the last promise again before it syncs.
//! Writing the same bytes is harmless at any point of a crash.

use std::path::Path;

use crate::Result;
use crate::env::{File, read_vec_at, write_all_at};
use crate::error::IoContext;

const STEP: u64 = 1 << 20;

/// Writes `from..to` of a file again. The caller syncs.
pub(super) fn rewrite(file: &dyn File, path: &Path, from: u64, to: u64) -> Result<()> {
    let mut at = from;
    while at < to {
        let len = STEP.min(to.saturating_sub(at));
        let bytes = read_vec_at(file, len as usize, at).context("read", path)?;
        write_all_at(file, &bytes, at).context("write again", path)?;
        at = at.saturating_add(len);
    }
    Ok(())
}
