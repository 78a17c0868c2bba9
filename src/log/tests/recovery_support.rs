//! Recovering small logs.

use std::sync::Arc;

use super::mem_fs::MemFs;
use super::support::*;
use crate::Error;
use crate::log::*;

pub(super) const WRITE: RecoveryMode = RecoveryMode::Write;
pub(super) const READ: RecoveryMode = RecoveryMode::ReadOnly;

/// Recovers, recovers again with what the first time left behind, and checks that both agree.
pub(super) fn recover_twice(fs: &Arc<MemFs>, known: &Known) -> crate::Result<(Recovered, Vec<LoggedChange>)> {
    let before = fs.copy();
    let read_only = known.recover(&before, READ);
    let (recovered, changes) = match known.recover(fs, WRITE) {
        Ok(result) => result,
        Err(error) => {
            assert_eq!(read_only.unwrap_err().to_string(), error.to_string());
            return Err(error);
        }
    };
    let (readable, read_changes) = read_only.unwrap();
    assert_eq!(read_changes, changes);
    assert_eq!((readable.end, &readable.cuts), (recovered.end, &recovered.cuts));
    assert_eq!(readable.leftovers, recovered.leftovers);

    // The manifest edit was lost.
    let (again, changes_again) = known.recover(fs, WRITE).unwrap();
    assert_eq!((again.end, &again.sealed, &changes_again), (recovered.end, &recovered.sealed, &changes));
    // It was not.
    let installed = known.install(fs, &recovered);
    let (again, changes_again) = installed.recover(fs, WRITE).unwrap();
    assert!(again.sealed.is_empty() && again.leftovers.is_empty() && again.cuts.is_empty());
    assert_eq!((again.end, &changes_again), (recovered.end, &changes));
    Ok((recovered, changes))
}

pub(super) fn corrupt(result: crate::Result<(Recovered, Vec<LoggedChange>)>) -> crate::Corruption {
    match result {
        Err(Error::Corrupt(corruption)) => *corruption,
        other => panic!("{other:?}"),
    }
}

/// The changes up to a frame of a log of one segment.
pub(super) fn up_to(log: &Writer, all: &[LoggedChange], offset: u64) -> Vec<LoggedChange> {
    let first =
        log.frames.iter().find(|(at, _)| *at >= offset).map_or(log.next_sequence, |(_, first)| *first);
    all.iter().filter(|change| change.sequence < first).cloned().collect()
}

/// The log of [`mixed`], with no promise in it.
pub(super) fn unpromised(fs: &Arc<MemFs>) -> Writer {
    let mut log = Writer::new(fs);
    log.commit(vec![put("Main Page", "Hello, world")]);
    log.commit(vec![put("Q1", &"many words ".repeat(40)), put("Q2", ""), hide("Q1")]);
    log.frame(FrameKind::Run, vec![put("Q1", "one"), reuse("Main Page", "Hello, world")]);
    log.commit(vec![delete("Q2")]);
    log.commit(vec![put("Q2", "back again")]);
    log
}

/// Three segments; the promises of each follow `promise`.
pub(super) fn three(fs: &Arc<MemFs>, promise: bool) -> (Writer, Vec<LoggedChange>, Vec<u64>) {
    let mut log = Writer::new(fs);
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for n in 0..3 {
        log.commit(vec![put("Q1", &format!("one {n}")), hide("Q1")]);
        log.commit(vec![put("Q2", &format!("two {n}"))]);
        all.extend(log.changes());
        ends.push(log.segment.end());
        if n < 2 {
            if promise {
                log.synced();
            }
            log.roll();
        }
    }
    (log, all, ends)
}
