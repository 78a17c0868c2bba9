//! Opening the log after a clean close, a crash or a power cut.
//!
//! The manifest knows the sealed segments, and the packs that others became. Behind the newest of them stand a few unsealed ones (or sealed ones whose manifest edit was
//! lost), each naming its predecessor and that one's last sequence number and checksum: the *chain*.
//!
//! 1. **The end of the log** is the first place X where no valid frame follows: torn, never written, or with contents that are not
//!    whole. Contents are verified only in frames that end beyond every known promise; the rest is `check`'s work.
//! 2. **Torn tail or corruption.** X is corruption if and only if somebody says that the log was durable beyond X: a frame before or
//!    (found on the 8-byte grid) behind X, the header of a later segment or a frame in it, a seal, the manifest's promise, or the index,
//!    which is flushed only up to durable changes. Then opening fails. Else X is where the last write tore, and the log ends there.
//! 3. A later segment that does not follow X holds only what was never promised: it is a leftover, as are blank spares and files with a
//!    torn header. A file with a damaged header whose frames (they name their salt) promise more than X is corruption.
//! 4. **Nothing is appended to a recovered segment.** It is cut, synced and sealed. Only behind a clean-close mark, at the very end of
//!    its file, writing may go on.
//! 5. All decisions are made before anything is written or replayed. What is written can be written again: cut, sync, tail. So a crash in
//!    the middle of recovery is met by recovery.
//! 6. Leftovers are named, never removed here: whoever removes them does so after the manifest names what was recovered. A new segment's
//!    number is larger than any that was seen. If two files follow the same predecessor, the one with the larger number is the
//!    log and the other a leftover that was not removed in time.
//!
//! What cannot be told from a torn tail: damage to the very last synced group before anything promised it.

mod authority;
mod chain;
mod replay;
mod survey;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::active::ActiveSegment;
use super::change::{ChangeIter, LoggedChange};
use super::seal::{SealRequest, info, seal};
use super::{FRAME_GRID, Position, sealed};
use crate::codec::{FileId, FileKind};
use crate::env::{DirEntry, Fs};
use crate::error::IoContext;
use crate::limits::Limits;
use crate::manifest::{PackedEnd, ValueFileInfo};
use crate::{Error, Result};

use chain::Chained;

/// Whether recovery may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryMode {
    /// Cut and seal.
    Write,
    /// Write nothing: unsealed segments are read as they are, up to the log's end.
    ReadOnly,
}

/// What recovery starts from.
#[derive(Clone, Copy)]
pub struct RecoveryInput<'a> {
    /// The files.
    pub fs: &'a dyn Fs,
    /// The store's directory.
    pub dir: &'a Path,
    /// What is in it, without what the manifest says is obsolete. Files that are not segments, and segments in `sealed`, are passed
    /// over.
    pub listing: &'a [DirEntry],
    /// The store.
    pub store: &'a [u8; 16],
    /// The sealed segments and packs that the manifest knows.
    pub sealed: &'a [ValueFileInfo],
    /// The newest segment that became a pack.
    pub packed_end: Option<PackedEnd>,
    /// The changes of these files behind a sequence number, in order.
    pub changes: &'a dyn Fn(u64) -> ChangeIter,
    /// The manifest's promise.
    pub promise: Position,
    /// Changes up to this sequence number are in the index: replay starts behind it.
    pub flushed: u64,
    /// For the size of directory blocks.
    pub limits: &'a Limits,
    /// Whether to write.
    pub mode: RecoveryMode,
}

/// Where the log ends: what the next segment's header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The last segment that has changes, or that is appended to; (0, 0) if there is none.
    pub id: FileId,
    /// The last sequence number.
    pub sequence: u64,
    /// Checksum of that segment's last frame.
    pub checksum: u32,
    /// Commit time of the last change, µs; 0 if there is none.
    pub commit_time: i64,
}

/// Bytes behind the end of the log that were left over from a torn write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// In which file.
    pub path: PathBuf,
    /// Where the log ends.
    pub offset: u64,
    /// How many bytes stood behind it, up to the last that was not zero.
    pub bytes: u64,
    /// How many valid frames were among them: commits that nobody was promised.
    pub frames: u64,
}

/// A segment file that is not part of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Which.
    pub id: FileId,
    /// Why.
    pub why: LeftoverKind,
}

/// Why a segment file is not part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftoverKind {
    /// A spare, or one whose first write tore: neither a valid header nor a valid frame.
    Blank,
    /// It has no changes.
    Empty,
    /// It follows something that was cut, or its header is torn; its frames were never promised. It is also among the cuts.
    Cut,
    /// It is older than the log's end: it was replaced, or left over before.
    Obsolete,
}

/// A segment to go on writing.
///
/// Before the first frame is written, something that is no clean-close mark at the end of the file must be durable: space reserved
/// behind the mark and synced, or a promise frame. Else a power cut could take buffered commits and leave what looks like a clean close.
#[derive(Clone, Debug)]
pub struct Appendable {
    /// The segment; its contents are readable.
    pub segment: Arc<ActiveSegment>,
    /// Where the next frame goes.
    pub end: u64,
    /// Checksum of the clean-close mark before it.
    pub checksum: u32,
}

/// What recovery found and did.
#[derive(Debug)]
pub struct Recovered {
    /// Segments for the manifest, in order: sealed now, or found sealed.
    pub sealed: Vec<ValueFileInfo>,
    /// Unsealed segments to read from ([`RecoveryMode::ReadOnly`] only), in order.
    pub open: Vec<Arc<ActiveSegment>>,
    /// The segment to go on writing, if the store was closed cleanly and may write.
    pub append: Option<Appendable>,
    /// Where the log ends.
    pub end: LogEnd,
    /// The log is durable up to here (in [`RecoveryMode::ReadOnly`]: known to be). In the manifest it *replaces* the old promise, in the
    /// edit that installs `sealed`: the old one may point into a leftover, which is removed afterwards.
    pub promise: Position,
    /// What was cut.
    pub cuts: Vec<Cut>,
    /// The log ends in a clean-close mark and nothing was cut. If not, changes may be lost of which there is no trace (they never
    /// reached the disk), and their sequence numbers are given out again: the store needs a new incarnation.
    pub closed_cleanly: bool,
    /// Segment files that are not part of the log.
    pub leftovers: Vec<Leftover>,
    /// The largest number of a segment file that was seen; new ones get larger ones.
    pub file_number_max: u64,
}

/// Where the log ends, as far as can be told without writing anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSurvey {
    /// The last sequence number.
    pub sequence: u64,
    /// The largest promise.
    pub promise: Position,
    /// What recovery would cut off.
    pub cuts: Vec<Cut>,
    /// Segment files that are not part of the log.
    pub leftovers: Vec<Leftover>,
    /// Segments behind those in `input.sealed`, in order.
    pub chain: Vec<FileId>,
}

/// What [`recover`] would decide. Reads frames, hands nothing on and writes nothing.
///
/// # Errors
/// As for [`recover`].
pub fn survey(input: &RecoveryInput<'_>) -> Result<LogSurvey> {
    let found = chain::find(input)?;
    let last = found.chain.last();
    Ok(LogSurvey {
        sequence: last.map_or(found.known.sequence, |segment| segment.chain.next_sequence.saturating_sub(1)),
        promise: found.promise,
        cuts: found.cuts,
        leftovers: found.leftovers,
        chain: found.chain.iter().map(|segment| segment.active.header().id).collect(),
    })
}

/// Finds the end of the log, makes everything before it durable and sealed, and hands every change behind `input.flushed` to
/// `replay`, in order.
///
/// # Errors
/// `Corrupt` if something durable cannot be read; `Unsupported`, `Io`, `OutOfSpace`; what `replay` answers.
pub fn recover(
    input: &RecoveryInput<'_>,
    replay: &mut dyn FnMut(LoggedChange) -> Result<()>,
) -> Result<Recovered> {
    let found = chain::find(input)?;
    let file_number_max = found.file_number_max;
    let (cuts, leftovers) = (found.cuts, found.leftovers);
    let mut recovered = Recovered {
        sealed: Vec::new(),
        open: Vec::new(),
        append: None,
        end: found.known,
        promise: found.promise,
        cuts,
        closed_cleanly: false,
        leftovers,
        file_number_max,
    };
    recovered.closed_cleanly =
        recovered.cuts.is_empty() && found.chain.last().is_some_and(|segment| segment.closed_cleanly);
    if input.mode == RecoveryMode::Write {
        // A segment's name may never have been made durable.
        input.fs.sync_dir(input.dir).context("sync", input.dir)?;
        let known = known_end(input);
        recovered.promise = recovered.promise.min(Position::new(known.id.number, known.len));
    }
    let last = found.chain.len().saturating_sub(1);
    // Were an empty segment removed from the middle of the chain, what is behind it would have to be in the manifest.
    let linked = found.chain.iter().take(last).all(Chained::has_changes);
    for (index, segment) in found.chain.into_iter().enumerate() {
        let appendable =
            index == last && linked && (recovered.closed_cleanly || planted!("append to recovered segment"));
        keep(input, segment, appendable, &mut recovered)?;
    }
    if recovered.end.commit_time == 0 {
        recovered.end.commit_time = known_commit_time(input)?;
    }
    replay::replay(input, &recovered, replay)?;
    Ok(recovered)
}

/// Seals a segment of the chain, or keeps it as it is.
fn keep(
    input: &RecoveryInput<'_>,
    segment: Chained,
    appendable: bool,
    recovered: &mut Recovered,
) -> Result<()> {
    let header = *segment.active.header();
    let id = header.id;
    let frames_end = segment.chain.end;
    let has_changes = segment.has_changes();
    let path = segment.active.path().to_path_buf();
    let file = Arc::clone(segment.active.file());
    if !has_changes && !appendable {
        recovered.leftovers.push(Leftover { id, why: LeftoverKind::Empty });
        return Ok(());
    }
    recovered.end = LogEnd {
        id,
        sequence: segment.chain.next_sequence.saturating_sub(1),
        checksum: segment.chain.checksum,
        commit_time: if has_changes { segment.commit_time } else { recovered.end.commit_time },
    };
    match input.mode {
        RecoveryMode::ReadOnly => match segment.trailer {
            Some(trailer) if segment.tail_is_whole => {
                recovered.sealed.push(info(&*file, &path, id, &trailer)?);
            }
            _ => recovered.open.push(Arc::new(segment.active)),
        },
        RecoveryMode::Write if appendable => {
            // Its bytes may be those of a process that died, not yet of the disk.
            file.sync_data().context("sync", &path)?;
            recovered.promise = Position::new(id.number, frames_end);
            let checksum = segment.chain.checksum;
            let end = match planted!("append to recovered segment") {
                true => segment.len.next_multiple_of(FRAME_GRID as u64).max(frames_end),
                false => frames_end,
            };
            recovered.append = Some(Appendable { segment: Arc::new(segment.active), end, checksum });
        }
        RecoveryMode::Write => {
            if segment.trailer.is_none() || !segment.tail_is_whole {
                probe!("recovery: segment cut and sealed");
                // Not right behind the last frame: were that a clean-close mark, a crash before the seal would leave what looks like a
                // clean close, and what was cut here would have been lost unnoticed.
                let end = frames_end.saturating_add(FRAME_GRID as u64);
                file.set_len(end).context("cut", &path)?;
                if !planted!("recovered tail not synced") {
                    file.sync_data().context("sync", &path)?;
                }
            }
            let block_records = input.limits.directory_block_records;
            let request = SealRequest { store: input.store, id, frames_end, block_records };
            recovered.sealed.push(seal(input.fs, &path, &request)?);
            recovered.promise = Position::new(id.number, frames_end);
        }
    }
    Ok(())
}

/// The newest of some sealed segments.
fn newest(sealed: &[ValueFileInfo]) -> Option<&ValueFileInfo> {
    sealed.iter().filter(|info| info.kind == FileKind::Segment).max_by_key(|info| info.sequence_last)
}

/// The newest segment that the manifest knows, whether it is there or became a pack. Its commit time is not looked up.
fn known_end(input: &RecoveryInput<'_>) -> PackedEnd {
    let none =
        PackedEnd { id: FileId { epoch: 0, number: 0 }, len: 0, sequence: 0, checksum: 0, commit_time: 0 };
    let sealed = newest(input.sealed).map(|info| PackedEnd {
        id: info.id,
        len: info.len,
        sequence: info.sequence_last,
        checksum: info.last_checksum,
        commit_time: 0,
    });
    let known = sealed.into_iter().chain(input.packed_end).max_by_key(|end| end.sequence);
    known.unwrap_or(none)
}

/// When the last change that the manifest knows was committed; 0 if there is none.
fn known_commit_time(input: &RecoveryInput<'_>) -> Result<i64> {
    let packed = input.packed_end;
    match newest(input.sealed) {
        Some(newest) if packed.is_none_or(|end| end.sequence < newest.sequence_last) => {
            let path = input.dir.join(newest.id.file_name(newest.kind));
            let segment = sealed::SealedSegment::open(input.fs, &path, newest, input.store, None)?;
            Ok(segment.trailer().last_commit_time)
        }
        _ => Ok(packed.map_or(0, |end| end.commit_time)),
    }
}

/// Something durable cannot be read.
fn lost(path: &Path, offset: u64, expected: impl Into<String>, sequence: u64, why: &str) -> Error {
    Error::corrupt(
        path,
        offset,
        expected,
        "other bytes or none",
        format!("changes from {sequence} on, {why}"),
    )
}
