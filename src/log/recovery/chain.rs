//! Which segments are the log, and where it ends.

use std::path::Path;

use super::authority::{Behind, look_behind};
use super::survey::{Candidate, Survey};
use super::{Cut, Leftover, LeftoverKind, LogEnd, RecoveryInput, known_end, lost};
use crate::codec::{FileId, FileKind};
use crate::env::read_at_most;
use crate::error::IoContext;
use crate::log::Position;
use crate::log::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use crate::log::tail::{TAIL_MARK_LEN, is_tail_mark};
use crate::{Error, Result};

/// A segment of the chain.
pub(super) type Chained = Survey;

/// The log behind the manifest's sealed segments.
pub(super) struct Log {
    /// The end of what the manifest knows.
    pub known: LogEnd,
    pub chain: Vec<Chained>,
    /// The largest promise.
    pub promise: Position,
    pub cuts: Vec<Cut>,
    pub leftovers: Vec<Leftover>,
    pub file_number_max: u64,
}

/// What a successor's header must name.
#[derive(Clone, Copy)]
struct Expected {
    id: FileId,
    sequence: u64,
    checksum: u32,
}

impl Expected {
    fn is_named_by(&self, header: &SegmentHeader) -> bool {
        header.predecessor == self.id
            && header.predecessor_sequence == self.sequence
            && header.predecessor_checksum == self.checksum
            && header.id.number > self.id.number
    }
}

/// Reads all unsealed segments and decides. Writes nothing.
pub(super) fn find(input: &RecoveryInput<'_>) -> Result<Log> {
    let known = known_end(input);
    let end = LogEnd { id: known.id, sequence: known.sequence, checksum: known.checksum, commit_time: 0 };
    let (candidates, file_number_max) = candidates(input)?;
    let mut surveys = follow(&candidates, end)?;

    let promises = surveys.iter().map(|survey| survey.promise);
    let headers = candidates.iter().filter_map(|candidate| candidate.header).map(|header| header.promise);
    let promise = promises.clone().chain(headers).chain([input.promise]).fold(Position::NONE, Position::max);
    // A seal that does not end its frames is no torn tail, whatever else is there.
    for survey in &surveys {
        if survey.trailer.is_some() && !survey.is_sealed() {
            let why = "though a seal says that they are durable";
            let next = survey.chain.next_sequence;
            return Err(lost(survey.active.path(), survey.chain.end, survey.expected, next, why));
        }
    }
    cut_torn_contents(&candidates, &mut surveys, promise)?;

    let log =
        Log { known: end, chain: surveys, promise, cuts: Vec::new(), leftovers: Vec::new(), file_number_max };
    judge(input, &candidates, log)
}

/// The segment files that the manifest does not know, and the largest number of all.
fn candidates(input: &RecoveryInput<'_>) -> Result<(Vec<Candidate>, u64)> {
    let mut candidates = Vec::new();
    let mut file_number_max = input.sealed.iter().map(|info| info.id.number).max().unwrap_or(0);
    for entry in input.listing {
        if let (false, Some((id, FileKind::Segment))) = (entry.is_dir, FileId::parse(&entry.name)) {
            file_number_max = file_number_max.max(id.number);
            if !input.sealed.iter().any(|info| info.id == id) {
                candidates.push(Candidate::open(input, id)?);
            }
        }
    }
    candidates.sort_by_key(|candidate| candidate.id.number);
    Ok((candidates, file_number_max))
}

/// The chain from what the manifest knows, as far as headers and frames go.
fn follow(candidates: &[Candidate], known: LogEnd) -> Result<Vec<Chained>> {
    let mut expected = Expected { id: known.id, sequence: known.sequence, checksum: known.checksum };
    let mut chain = Vec::new();
    loop {
        let next = candidates.iter().rev().find_map(|candidate| {
            candidate.header.filter(|header| expected.is_named_by(header)).map(|header| (candidate, header))
        });
        let Some((candidate, header)) = next else { return Ok(chain) };
        let survey = Survey::of(candidate, header, candidate.len)?;
        expected = Expected {
            id: header.id,
            sequence: survey.chain.next_sequence.saturating_sub(1),
            checksum: survey.chain.checksum,
        };
        chain.push(survey);
    }
}

/// Ends the chain before the first frame beyond the promise whose contents are not whole.
fn cut_torn_contents(candidates: &[Candidate], chain: &mut Vec<Chained>, promise: Position) -> Result<()> {
    if planted!("half a commit recovered") {
        return Ok(());
    }
    for index in 0..chain.len() {
        let Some(survey) = chain.get(index) else { break };
        let Some(at) = survey.first_torn_content(promise)? else { continue };
        let header = *survey.active.header();
        let Some(candidate) = candidates.iter().find(|candidate| candidate.id == header.id) else { continue };
        let mut shorter = Survey::of(candidate, header, at)?;
        shorter.expected = "the contents that the frame's records name";
        probe!("recovery: torn content cut");
        shorter.closed_cleanly = false;
        chain.truncate(index);
        chain.push(shorter);
        break;
    }
    Ok(())
}

/// Decides whether the end of the chain is the end of the log, and what the files behind it are.
fn judge(input: &RecoveryInput<'_>, candidates: &[Candidate], mut log: Log) -> Result<Log> {
    let last = log.chain.last();
    let next_sequence = last.map_or(log.known.sequence.saturating_add(1), |s| s.chain.next_sequence);
    // The end of the log; what the manifest has sealed is whole.
    let end = match last {
        Some(survey) => Position::new(survey.active.header().id.number, survey.chain.end),
        None => Position::new(log.known.id.number, u64::MAX),
    };
    let mut behind_last = Behind::default();
    if let Some(survey) = last.filter(|survey| !survey.is_sealed()) {
        let salt = Some(survey.active.header().salt);
        let (file, path) = (survey.active.file(), survey.active.path());
        behind_last = look_behind(file, path, survey.chain.end, survey.len, salt, survey.chain.end)?;
        log.promise = log.promise.max(behind_last.promise);
    }
    let mut first_later = None;
    let mut later_cuts = Vec::new();
    let in_chain = |id: FileId| log.chain.iter().any(|survey| survey.active.header().id == id);
    for candidate in candidates.iter().filter(|candidate| !in_chain(candidate.id)) {
        // The last segment itself is not in the chain only if it became a pack.
        if candidate.id.number <= end.file {
            log.leftovers.push(Leftover { id: candidate.id, why: LeftoverKind::Obsolete });
            continue;
        }
        let from = candidate.header.map_or(0, |_| SEGMENT_HEADER_LEN as u64);
        let salt = candidate.header.map(|header| header.salt);
        let behind = look_behind(&candidate.file, &candidate.path, from, candidate.len, salt, 0)?;
        log.promise = log.promise.max(behind.promise);
        probe!("recovery: later segment is a leftover");
        first_later.get_or_insert(candidate);
        let why = match (candidate.header, behind.frames) {
            (None, 0) => LeftoverKind::Blank,
            (Some(_), 0) => LeftoverKind::Empty,
            (_, _) => LeftoverKind::Cut,
        };
        if behind.end > SEGMENT_HEADER_LEN as u64 {
            later_cuts.push(cut(&candidate.path, from, &behind));
        }
        log.leftovers.push(Leftover { id: candidate.id, why });
    }
    if (log.promise > end || next_sequence <= input.flushed) && !planted!("bad frame is the end") {
        return Err(blame(input, &log, end, &behind_last, first_later, next_sequence));
    }
    if let Some(survey) = log.chain.last()
        && !survey.is_sealed()
        && behind_last.end > survey.chain.end
        && !(behind_last.frames == 0 && unfinished_seal(survey)?)
    {
        probe!("recovery: torn tail cut");
        log.cuts.push(cut(survey.active.path(), survey.chain.end, &behind_last));
    }
    log.cuts.append(&mut later_cuts);
    Ok(log)
}

fn cut(path: &Path, offset: u64, behind: &Behind) -> Cut {
    Cut { path: path.to_path_buf(), offset, bytes: behind.end.saturating_sub(offset), frames: behind.frames }
}

/// Whether what stands behind the frames is a tail that was not finished: that is no data.
fn unfinished_seal(survey: &Chained) -> Result<bool> {
    let mut mark = [0; TAIL_MARK_LEN];
    let (file, path) = (survey.active.file(), survey.active.path());
    let n = read_at_most(&**file, &mut mark, survey.chain.end).context("read", path)?;
    Ok(is_tail_mark(mark.get(..n).unwrap_or_default(), survey.chain.end))
}

/// Names the place where durable data is missing.
fn blame(
    input: &RecoveryInput<'_>,
    log: &Log,
    end: Position,
    behind_last: &Behind,
    first_later: Option<&Candidate>,
    next_sequence: u64,
) -> Error {
    let why = match log.promise > end {
        true => format!("though the log was durable up to {}", log.promise),
        false => format!("though the index holds changes up to {}", input.flushed),
    };
    let missing = |dir: &Path| {
        let expected = match end.offset {
            // A sealed segment, to its end.
            u64::MAX => format!("a segment that follows file {:08x}", end.file),
            _ => format!("a segment that follows {end}"),
        };
        lost(dir, 0, expected, next_sequence, &why)
    };
    match (log.chain.last(), first_later) {
        // The end is clean, the next segment's header is not.
        (_, Some(later))
            if later.header.is_none() && log.promise.file != end.file && behind_last.frames == 0 =>
        {
            lost(&later.path, 0, "a segment header", next_sequence, &why)
        }
        (Some(survey), _)
            if log.promise.file == end.file || first_later.is_some() || behind_last.frames > 0 =>
        {
            lost(survey.active.path(), survey.chain.end, survey.expected, next_sequence, &why)
        }
        // It was cut short, or what followed it is gone.
        (Some(survey), None) if !survey.is_sealed() => {
            let expected = "further frames, or a segment that follows";
            lost(survey.active.path(), survey.chain.end, expected, next_sequence, &why)
        }
        _ => missing(input.dir),
    }
}
