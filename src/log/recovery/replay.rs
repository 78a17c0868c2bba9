//! Handing changes to the index.

use std::sync::Arc;

use super::{Recovered, RecoveryInput};
use crate::log::active::ActiveSegment;
use crate::log::change::{ChangeIter, LoggedChange, ValueFile};
use crate::log::sealed::SealedSegment;
use crate::{Error, Result};

/// Replays everything behind `input.flushed`, without gaps.
pub(super) fn replay(
    input: &RecoveryInput<'_>,
    recovered: &Recovered,
    replay: &mut dyn FnMut(LoggedChange) -> Result<()>,
) -> Result<()> {
    let open = recovered.open.iter().chain(recovered.append.iter().map(|append| &append.segment));
    let mut unsealed: Vec<_> = open.map(|segment| (segment.header().first_sequence(), segment)).collect();
    let mut next = input.flushed.saturating_add(1);
    if input.sealed.iter().any(|info| info.sequence_last >= next) {
        feed((input.changes)(input.flushed), input, &mut next, replay)?;
    }
    // In read-only mode a sealed segment of the chain may stand behind an unsealed one.
    let mut sealed = recovered.sealed.iter().peekable();
    unsealed.reverse();
    loop {
        let sealed_first = sealed.peek().map_or(u64::MAX, |info| info.sequence_first);
        if let Some((_, segment)) = unsealed.pop_if(|(first, _)| *first <= sealed_first) {
            run(Arc::<ActiveSegment>::clone(segment), input, &mut next, replay)?;
        } else if let Some(info) = sealed.next() {
            if info.sequence_last >= next {
                let path = input.dir.join(info.id.file_name(info.kind));
                let segment = SealedSegment::open(input.fs, &path, info, input.store, None)?;
                run(Arc::new(segment), input, &mut next, replay)?;
            }
        } else {
            break;
        }
    }
    let end = recovered.end.sequence;
    if next <= end {
        return Err(gap(input, next, &format!("nothing up to {end}")));
    }
    Ok(())
}

fn run(
    file: Arc<dyn ValueFile>,
    input: &RecoveryInput<'_>,
    next: &mut u64,
    replay: &mut dyn FnMut(LoggedChange) -> Result<()>,
) -> Result<()> {
    feed(file.changes(next.saturating_sub(1), u64::MAX), input, next, replay)
}

fn feed(
    changes: ChangeIter,
    input: &RecoveryInput<'_>,
    next: &mut u64,
    replay: &mut dyn FnMut(LoggedChange) -> Result<()>,
) -> Result<()> {
    for change in changes {
        let change = change?;
        if change.sequence != *next {
            return Err(gap(input, *next, &format!("change {}", change.sequence)));
        }
        *next = next.saturating_add(1);
        replay(change)?;
    }
    Ok(())
}

fn gap(input: &RecoveryInput<'_>, next: u64, found: &str) -> Error {
    Error::corrupt(
        input.dir,
        0,
        format!("change {next} in a sealed segment or a pack"),
        found,
        format!("change {next}"),
    )
}
