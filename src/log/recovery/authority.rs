//! Who says that the log was durable beyond its end?

use std::path::Path;
use std::sync::Arc;

use crate::Result;
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::log::Position;
use crate::log::frame_head::{FRAME_GRID, FRAME_MAGIC};
use crate::log::scan::{Found, FrameReader};

const CHUNK: usize = 64 << 10;

/// What stands in a part of a file that should be empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Behind {
    /// The largest promise of the frames there.
    pub promise: Position,
    /// How many valid frames behind the log's end.
    pub frames: u64,
    /// Behind the last byte that is not zero; the start of the part if all are.
    pub end: u64,
}

/// Looks at `from..to` for frames on the grid. Without a salt (the header is damaged), at those that prove themselves with their own. A
/// frame at `log_end` is not behind it, though its promise counts.
pub(super) fn look_behind(
    file: &Arc<dyn File>,
    path: &Path,
    from: u64,
    to: u64,
    salt: Option<u64>,
    log_end: u64,
) -> Result<Behind> {
    let mut behind = Behind { end: from, ..Behind::default() };
    let mut frames = FrameReader::new(Arc::clone(file));
    let mut chunk = vec![0; CHUNK];
    let mut at = from.next_multiple_of(FRAME_GRID as u64);
    let mut frame_end = at;
    while at < to {
        let n = read_at_most(&**file, &mut chunk, at).context("read", path)?;
        let bytes = chunk.get(..n).unwrap_or_default();
        if n == 0 {
            break;
        }
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            behind.end = at.saturating_add(last as u64).saturating_add(1).min(to);
            for (index, _) in bytes.iter().enumerate().step_by(FRAME_GRID).filter(|(_, b)| **b == FRAME_MAGIC)
            {
                let place = at.saturating_add(index as u64);
                if place < frame_end {
                    continue;
                }
                if let Found::Frame(frame) = frames.frame_at(path, place, to, salt)? {
                    behind.frames = behind.frames.saturating_add(u64::from(place != log_end));
                    behind.promise = behind.promise.max(frame.head.promise);
                    frame_end = frame.end();
                }
            }
        }
        at = at.saturating_add(n as u64).next_multiple_of(FRAME_GRID as u64);
    }
    Ok(behind)
}
