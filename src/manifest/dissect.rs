//! Going through a manifest file without believing anything, and on behind damage.
//!
//! A frame proves itself by the salt of the file and its own place. Behind damage the state is that of the frames that could be read: an edit that
//! does not fit it any more is named and left out.

use std::path::Path;

use super::apply::{Role, apply};
use super::edit::{BadEdit, Edit};
use super::frame::{self, FRAME_HEADER_LEN, FrameKind, GRID};
use super::invariants;
use super::replay::{HEADER_LEN, decode_header};
use super::state::State;
use crate::codec::{FileHeader, FileId, Flip, Holds, Part, PartState, Reader, Sum, find_flip};
use crate::{Error, Result};

/// What is met on the way through a manifest file.
#[derive(Debug)]
pub enum ManifestItem<'a> {
    /// A part of the file.
    Part(Part),
    /// A sound frame, behind its part.
    Frame(ManifestFrame<'a>),
}

/// A sound frame of a manifest.
#[derive(Debug)]
pub struct ManifestFrame<'a> {
    /// Where it starts.
    pub offset: u64,
    /// `snapshot`, `edits` or `promise`.
    pub kind: &'static str,
    /// Number of the commit.
    pub number: u64,
    /// Everything before this offset was durable when it was written.
    pub synced: u64,
    /// What it says.
    pub edits: &'a [Edit],
    /// The state behind it.
    pub state: &'a State,
    /// The rule that it breaks: its edits are not in the state.
    pub broken: Option<String>,
}

/// What is known of a manifest file after it was gone through.
#[derive(Clone, Debug, Default)]
pub struct ManifestSurvey {
    /// Its header, if it is sound.
    pub common: Option<FileHeader>,
    /// Frames with edits.
    pub commits: u64,
    /// Number of the last commit.
    pub number: u64,
    /// The state at the end.
    pub state: State,
    /// Whether there is a snapshot at the start that can be read.
    pub has_snapshot: bool,
}

/// Goes through the bytes of a manifest file.
///
/// # Errors
/// Those of `visit`. Damage is no error here.
pub fn dissect_manifest(
    path: &Path,
    bytes: &[u8],
    visit: &mut dyn FnMut(ManifestItem<'_>) -> Result<()>,
) -> Result<ManifestSurvey> {
    let mut out = ManifestSurvey::default();
    let mut chain = header(path, bytes, &mut out, visit)?;
    let mut salt = Reader::new(bytes.get(64..).unwrap_or_default());
    let salt = salt.u64("a salt").unwrap_or_default();
    let mut used = out.common.map(|common| common.id.number).into_iter().collect();
    let mut at = HEADER_LEN;
    while at < bytes.len() {
        let Some(found) = frame::read(bytes, salt, at) else {
            let next = gap(bytes, salt, at, &out, visit)?;
            chain = None;
            let Some(next) = next else { break };
            at = next;
            continue;
        };
        let header = found.header;
        let kind = match header.kind {
            FrameKind::Snapshot => "snapshot",
            FrameKind::Edits => "edits",
            FrameKind::Promise => "promise",
        };
        let mut part =
            Part::sound(kind, at as u64, header.frame_len() as u64, format!("commit {}", header.number));
        part.holds = holds(header.kind);
        if chain.is_some_and(|chain| chain != header.predecessor) {
            part.state = PartState::Damaged("expected a frame that names the one before it".into());
        }
        let (edits, mut broken) = match Edit::decode_all(found.payload) {
            Ok(edits) => (edits, None),
            Err(BadEdit::Unsupported(what)) => {
                part.state = PartState::Unsupported(what);
                (Vec::new(), None)
            }
            Err(BadEdit::Malformed(bad)) => {
                part.state = PartState::Damaged(format!("expected {}", bad.expected));
                (Vec::new(), None)
            }
        };
        if header.kind != FrameKind::Promise {
            let role = if header.kind == FrameKind::Snapshot { Role::Snapshot } else { Role::Commit };
            let mut next = out.state.clone();
            match apply(&mut next, &used, role, &edits) {
                Ok(applied) => {
                    used.extend(applied.fresh);
                    out.state = next;
                }
                Err(violation) => broken = Some(violation.to_string()),
            }
            out.has_snapshot |= role == Role::Snapshot && broken.is_none();
            out.commits = out.commits.saturating_add(u64::from(role == Role::Commit));
            if broken.is_none()
                && let Err(violation) = invariants::check(&out.state)
            {
                broken = Some(violation.to_string());
            }
        }
        if let Some(broken) = &broken {
            part.state = PartState::Damaged(format!("expected edits that keep all rules: {broken}"));
        }
        out.number = out.number.max(header.number);
        visit(ManifestItem::Part(part))?;
        visit(ManifestItem::Frame(ManifestFrame {
            offset: at as u64,
            kind,
            number: header.number,
            synced: header.synced,
            edits: &edits,
            state: &out.state,
            broken,
        }))?;
        chain = Some(found.checksum);
        at = at.saturating_add(header.frame_len());
    }
    Ok(out)
}

/// What is lost with a frame: which files make up the store can be told from the files themselves.
fn holds(kind: FrameKind) -> Holds {
    match kind {
        FrameKind::Promise => Holds::derived(),
        _ => Holds::default().and_derived(),
    }
}

fn header(
    path: &Path,
    bytes: &[u8],
    out: &mut ManifestSurvey,
    visit: &mut dyn FnMut(ManifestItem<'_>) -> Result<()>,
) -> Result<Option<u32>> {
    let mut part = Part::sound("header", 0, bytes.len().min(HEADER_LEN) as u64, "").holding(Holds::derived());
    let mut chain = None;
    match FileHeader::decode(path, bytes) {
        Ok(common) => {
            out.common = Some(common);
            out.state.store = common.store;
            part.what = format!("manifest {}", common.id.number);
            match decode_header(path, common.id, bytes) {
                Ok(header) => chain = Some(header.checksum),
                Err(error) => part.state = state_of(error)?,
            }
        }
        Err(error) => {
            part.state = state_of(error)?;
            let named = path.file_name().and_then(|name| FileId::parse(name.to_str()?));
            part.what = named.map_or_else(String::new, |(id, _)| format!("manifest {}", id.number));
        }
    }
    if part.state.is_damage() {
        let all = HEADER_LEN as u64 - 4;
        part.flip = flip(bytes, &Sum { ranges: vec![(0, all)], at: all, ..Sum::default() });
    }
    visit(ManifestItem::Part(part))?;
    Ok(chain)
}

fn state_of(error: Error) -> Result<PartState> {
    match error {
        Error::Corrupt(damage) => {
            Ok(PartState::Damaged(format!("expected {}, found {}", damage.expected, damage.found)))
        }
        Error::Unsupported { what, .. } => Ok(PartState::Unsupported(what)),
        other => Err(other),
    }
}

/// There is no valid frame at `at`: says what is there; answers where frames go on.
fn gap(
    bytes: &[u8],
    salt: u64,
    at: usize,
    out: &ManifestSurvey,
    visit: &mut dyn FnMut(ManifestItem<'_>) -> Result<()>,
) -> Result<Option<usize>> {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut next = at.saturating_add(GRID);
    let found = loop {
        if next >= bytes.len() {
            break None;
        }
        if let Some(found) = frame::read(bytes, salt, next) {
            break Some(found);
        }
        next = next.saturating_add(GRID);
    };
    let end = if found.is_some() { next } else { bytes.len() };
    let len = end.saturating_sub(at) as u64;
    if rest.iter().all(|byte| *byte == 0) {
        let part = Part { state: PartState::Unused, ..Part::sound("space", at as u64, len, "reserved") };
        visit(ManifestItem::Part(part.holding(Holds::derived())))?;
        return Ok(None);
    }
    let behind = frame::peek(bytes, salt, at).is_some_and(|header| {
        bytes
            .get(at.saturating_add(header.frame_len())..)
            .is_some_and(|rest| rest.iter().any(|byte| *byte != 0))
    });
    let why = "expected a frame".to_string();
    let durable = found.is_some_and(|found| found.header.synced > at as u64) || behind || !out.has_snapshot;
    let state = if durable { PartState::Damaged(why) } else { PartState::Torn(why) };
    let what = format!("commits from {} on", out.number.saturating_add(1));
    let mut part = Part { state, ..Part::sound("frame", at as u64, len, what) };
    part.holds = Holds::default().and_derived();
    part.flip = flip(bytes, &frame_sum(salt, at as u64, len)).or_else(|| length_flip(bytes, salt, at));
    visit(ManifestItem::Part(part))?;
    Ok(found.map(|_| next))
}

fn frame_sum(salt: u64, at: u64, len: u64) -> Sum {
    let head = FRAME_HEADER_LEN as u64;
    let body = (at.saturating_add(head), len.saturating_sub(head));
    Sum { numbers: vec![salt, at], ranges: vec![(at, head - 4), body], at: at.saturating_add(head - 4) }
}

/// A flipped bit of the fixed part, tried one by one: behind the last frame nobody knows how long it was.
fn length_flip(bytes: &[u8], salt: u64, at: usize) -> Option<Flip> {
    // The longest frame that can be meant ends with the file.
    let mut copy = bytes.get(at..)?.to_vec();
    for bit in 0..FRAME_HEADER_LEN.saturating_mul(8) {
        let mask = 1_u8.wrapping_shl((bit % 8) as u32);
        let turn = |copy: &mut Vec<u8>| copy.iter_mut().skip(bit / 8).take(1).for_each(|byte| *byte ^= mask);
        turn(&mut copy);
        // Checksums are over the place, so the frame is looked at where it stands.
        if frame::read_moved(&copy, salt, at) {
            let offset = at.saturating_add(bit / 8) as u64;
            return Some(Flip { offset, bit: (bit % 8) as u8 });
        }
        turn(&mut copy);
    }
    let header = frame::peek(bytes, salt, at)?;
    flip(bytes, &frame_sum(salt, at as u64, header.frame_len() as u64))
}

fn flip(bytes: &[u8], sum: &Sum) -> Option<Flip> {
    let mut read = |at: u64, len: usize| -> Result<bytes::Bytes, std::convert::Infallible> {
        let from = usize::try_from(at).unwrap_or(usize::MAX);
        let to = from.saturating_add(len).min(bytes.len());
        Ok(bytes::Bytes::copy_from_slice(bytes.get(from..to).unwrap_or_default()))
    };
    find_flip(sum, &mut read).unwrap_or_default()
}
