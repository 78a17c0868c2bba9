//! Reading a manifest file: where it ends, or where it is damaged.
//!
//! A frame that is not valid at X is damage if and only if something says that X was durable: a valid frame behind it whose
//! `synced` is beyond X, or bytes behind the end that the frame's own header gives it (the next frame is written only after
//! this one was synced; the header has a check of its own, for a torn length would leave bytes behind as well). Else the file
//! ends at X.

use std::collections::BTreeSet;
use std::path::Path;

use super::apply::{Role, apply};
use super::edit::{BadEdit, Edit};
use super::frame::{self, FRAME_HEADER_LEN, Frame, FrameHeader, FrameKind, GRID};
use super::invariants;
use super::state::State;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind, Reader, crc, put_u32, put_u64};
use crate::env::{Access, Fs, read_vec_at};
use crate::error::IoContext;
use crate::{Error, Result};

/// The format version that is written, and the newest that is read.
pub(super) const VERSION: u16 = 1;
/// The common header, salt, reserved, checksum.
pub(super) const HEADER_LEN: usize = FILE_HEADER_LEN + 16;
/// No manifest is longer than this.
const FILE_LEN_MAX: u64 = 2 << 30;

/// What was cut off the end of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Which file.
    pub id: FileId,
    /// Where it ends.
    pub offset: u64,
    /// Bytes behind it.
    pub bytes: u64,
    /// Valid frames behind it; none of them was acknowledged.
    pub frames: u64,
}

/// A manifest file that was read to its end.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) state: State,
    /// All file numbers that occur in it.
    pub(super) used: BTreeSet<u64>,
    /// Number of the snapshot's last commit.
    pub(super) snapshot_number: u64,
    /// Number of the last commit.
    pub(super) number: u64,
    pub(super) salt: u64,
    /// Checksum of the last frame.
    pub(super) chain: u32,
    /// End of the last frame.
    pub(super) end: u64,
    /// End of the snapshot frame.
    pub(super) snapshot_end: u64,
    /// Everything before was durable when the last frame was written.
    pub(super) synced: u64,
    /// Whether the last frame is a promise with nothing behind it: the file may be written on.
    pub(super) clean: bool,
    pub(super) cut: Option<Cut>,
}

/// What there is of a manifest file.
#[derive(Debug)]
pub(super) enum Found {
    Whole(Box<Replayed>),
    /// Its making was never finished (or it is damaged so early that this cannot be told apart): the error to give if
    /// there is no older one.
    Incomplete(Error),
}

/// The header of a new manifest file, and the checksum that its first frame is chained to.
pub(super) fn encode_header(store: [u8; 16], id: FileId, salt: u64) -> (Vec<u8>, u32) {
    let header =
        FileHeader { kind: FileKind::Manifest, version: VERSION, header_len: HEADER_LEN as u32, store, id };
    let mut out = header.encode();
    put_u64(&mut out, salt);
    put_u32(&mut out, 0);
    let checksum = crc(&out);
    put_u32(&mut out, checksum);
    (out, checksum)
}

/// Reads one manifest file.
pub(super) fn read(fs: &dyn Fs, dir: &Path, id: FileId) -> Result<Found> {
    let path = dir.join(id.file_name(FileKind::Manifest));
    let file = fs.open(&path, Access::Read).context("open", &path)?;
    file.drop_cache().context("drop the cached pages of", &path)?;
    let len = file.len().context("measure", &path)?;
    if len > FILE_LEN_MAX {
        let found = format!("{len} bytes");
        return Err(Error::corrupt(&path, 0, format!("at most {FILE_LEN_MAX} bytes"), found, "the manifest"));
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    let bytes = read_vec_at(file.as_ref(), len, 0).context("read", &path)?;
    decode(&path, id, &bytes)
}

/// Reads the bytes of one manifest file.
pub(super) fn decode(path: &Path, id: FileId, bytes: &[u8]) -> Result<Found> {
    let header = match decode_header(path, id, bytes) {
        Err(error @ Error::Corrupt(_)) => return Ok(Found::Incomplete(error)),
        other => other?,
    };
    Replay::new(path, id, bytes, header).run()
}

/// What stands in the header of a manifest file.
pub(super) struct ManifestHeader {
    store: [u8; 16],
    salt: u64,
    pub(super) checksum: u32,
}

pub(super) fn decode_header(path: &Path, id: FileId, bytes: &[u8]) -> Result<ManifestHeader> {
    let common = FileHeader::decode(path, bytes)?;
    common.require(path, FileKind::Manifest, VERSION, &common.store, id)?;
    let malformed = |bad| Error::malformed(path, 0, bad, "the manifest");
    let mut r = Reader::new(bytes);
    let covered = r.bytes(HEADER_LEN - 4, "a manifest header").map_err(malformed)?;
    let checksum = r.u32("a checksum").map_err(malformed)?;
    let mut own = Reader::new(covered.get(FILE_HEADER_LEN..).unwrap_or_default());
    let salt = own.u64("a salt").map_err(malformed)?;
    let reserved = own.u32("reserved bytes").map_err(malformed)?;
    if checksum != crc(covered) {
        let expected = format!("manifest header checksum {:08x}", crc(covered));
        let found = format!("{checksum:08x}");
        return Err(Error::corrupt(path, HEADER_LEN as u64 - 4, expected, found, "the manifest"));
    }
    if reserved != 0 || common.header_len as usize != HEADER_LEN {
        let what = format!("a manifest header of {} bytes, reserved {reserved:#x}", common.header_len);
        return Err(Error::Unsupported { path: path.to_path_buf(), what });
    }
    Ok(ManifestHeader { store: common.store, salt, checksum })
}

struct Replay<'a> {
    path: &'a Path,
    id: FileId,
    bytes: &'a [u8],
    at: usize,
    last: Option<FrameKind>,
    out: Replayed,
}

impl<'a> Replay<'a> {
    fn new(path: &'a Path, id: FileId, bytes: &'a [u8], header: ManifestHeader) -> Self {
        let out = Replayed {
            state: State { store: header.store, ..State::default() },
            used: BTreeSet::from([id.number]),
            snapshot_number: 0,
            number: 0,
            salt: header.salt,
            chain: header.checksum,
            end: HEADER_LEN as u64,
            snapshot_end: HEADER_LEN as u64,
            synced: 0,
            clean: false,
            cut: None,
        };
        Self { path, id, bytes, at: HEADER_LEN, last: None, out }
    }

    fn run(mut self) -> Result<Found> {
        while let Some(frame) = frame::read(self.bytes, self.out.salt, self.at) {
            self.take(&frame)?;
        }
        self.judge_end()?;
        if self.last.is_none() {
            let found = "the end of the file, or an unfinished frame";
            let error = Error::corrupt(self.path, self.at as u64, "a snapshot", found, "the manifest");
            return Ok(Found::Incomplete(error));
        }
        self.out.clean = self.last == Some(FrameKind::Promise) && self.out.cut.is_none();
        if let Err(violation) = invariants::check(&self.out.state) {
            return Err(self.damage("a state that keeps all rules", &violation.to_string()));
        }
        Ok(Found::Whole(Box::new(self.out)))
    }

    fn take(&mut self, frame: &Frame<'_>) -> Result<()> {
        let header = &frame.header;
        let (kind_fits, number_fits) = match (self.last, header.kind) {
            (None, FrameKind::Snapshot) => (true, true),
            (Some(_), FrameKind::Edits) => (true, self.out.number.checked_add(1) == Some(header.number)),
            (Some(_), FrameKind::Promise) => (header.len == 0, self.out.number == header.number),
            _ => (false, true),
        };
        if !kind_fits || !number_fits || header.predecessor != self.out.chain {
            let expected = format!("the frame behind commit {} of the manifest", self.out.number);
            let found = format!("a {:?} frame, number {}, of another chain", header.kind, header.number);
            return Err(self.damage(&expected, &found));
        }
        let end = self.at.saturating_add(header.frame_len());
        match header.kind {
            FrameKind::Snapshot => {
                self.apply(frame, Role::Snapshot)?;
                self.out.snapshot_number = header.number;
                self.out.snapshot_end = end as u64;
            }
            FrameKind::Edits => self.apply(frame, Role::Commit)?,
            FrameKind::Promise => {}
        }
        self.last = Some(header.kind);
        self.out.number = header.number;
        self.out.synced = self.out.synced.max(header.synced);
        self.out.chain = frame.checksum;
        self.at = end;
        self.out.end = end as u64;
        Ok(())
    }

    fn apply(&mut self, frame: &Frame<'_>, role: Role) -> Result<()> {
        let edits = Edit::decode_all(frame.payload).map_err(|bad| match bad {
            BadEdit::Unsupported(what) => Error::Unsupported { path: self.path.to_path_buf(), what },
            BadEdit::Malformed(bad) => {
                let base = self.at.saturating_add(FRAME_HEADER_LEN) as u64;
                Error::malformed(self.path, base, bad, "the manifest")
            }
        })?;
        match apply(&mut self.out.state, &self.out.used, role, &edits) {
            Ok(applied) => {
                self.out.used.extend(applied.fresh);
                Ok(())
            }
            Err(violation) => Err(self.damage("edits that keep all rules", &violation.to_string())),
        }
    }

    /// There is no valid frame at `self.at`: is this the end?
    fn judge_end(&mut self) -> Result<()> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(last_used) = rest.iter().rposition(|byte| *byte != 0) else { return Ok(()) };
        let mut frames = 0;
        let mut at = self.at.saturating_add(GRID);
        while at < self.bytes.len() {
            match frame::read(self.bytes, self.out.salt, at) {
                None => at = at.saturating_add(GRID),
                Some(behind) if behind.header.synced > self.at as u64 => {
                    let found = format!(
                        "other bytes, though the frame at byte {at} says that all before byte {} is durable",
                        behind.header.synced
                    );
                    return Err(self.damage("a frame", &found));
                }
                Some(behind) => {
                    frames += 1;
                    at = at.saturating_add(behind.header.frame_len());
                }
            }
        }
        if let Some(header) =
            frame::peek(self.bytes, self.out.salt, self.at).filter(|header| self.is_next(header))
            && last_used >= header.frame_len()
        {
            let found =
                "other bytes, though more was written behind it, which is done only once it is durable";
            return Err(self.damage("a frame", found));
        }
        probe!("manifest: torn tail cut");
        let bytes = last_used.saturating_add(1) as u64;
        self.out.cut = Some(Cut { id: self.id, offset: self.at as u64, bytes, frames });
        Ok(())
    }

    /// Whether the fixed part is that of the frame that belongs here and that is synced before anything follows.
    fn is_next(&self, header: &FrameHeader) -> bool {
        let fits = match header.kind {
            FrameKind::Snapshot => self.last.is_none(),
            FrameKind::Edits => self.last.is_some() && self.out.number.checked_add(1) == Some(header.number),
            FrameKind::Promise => false,
        };
        fits && header.predecessor == self.out.chain
    }

    fn damage(&self, expected: &str, found: &str) -> Error {
        let affected = format!(
            "commits of the manifest from number {} on: which tables and value files make up the store",
            self.out.number.saturating_add(1)
        );
        Error::corrupt(self.path, self.at as u64, expected, found, affected)
    }
}
