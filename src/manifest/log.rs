//! Writing one manifest file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{self, FRAME_HEADER_LEN, FrameHeader, FrameKind, PAYLOAD_LEN_MAX};
use super::replay::{HEADER_LEN, Replayed, encode_header};
use super::snapshot;
use super::state::State;
use crate::codec::{FileId, FileKind};
use crate::env::{Access, File, Fs, Rng, write_all_at};
use crate::error::IoContext;
use crate::{Error, Result};

/// An open manifest file that frames are appended to.
pub(super) struct Log {
    file: Arc<dyn File>,
    path: PathBuf,
    salt: u64,
    /// Where the next frame goes.
    end: u64,
    snapshot_end: u64,
    /// Everything before is durable.
    synced: u64,
    /// Checksum of the last frame.
    chain: u32,
    /// Number of the last commit.
    number: u64,
}

/// Why a frame was not appended.
pub(super) enum AppendError {
    /// Nothing was written; the file can be used on.
    Refused(Error),
    /// Nobody knows what is durable now.
    Broken(Error),
}

impl AppendError {
    /// Nothing was written if this is about space only.
    fn unless_full(error: Error) -> Self {
        match error {
            Error::OutOfSpace { .. } => Self::Refused(error),
            error => Self::Broken(error),
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Refused(error) | Self::Broken(error) => error,
        }
    }
}

impl Log {
    /// Makes a new manifest file that holds a snapshot, durable up to its name in the directory. After an error
    /// the file may be there and must not stay; `Refused` if only its room was missing.
    pub(super) fn create(
        fs: &dyn Fs,
        rng: &dyn Rng,
        dir: &Path,
        id: FileId,
        state: &State,
        number: u64,
    ) -> Result<Self, AppendError> {
        let path = dir.join(id.file_name(FileKind::Manifest));
        let payload = snapshot::payload(&snapshot::edits(state));
        check_len(&payload).map_err(AppendError::Broken)?;
        let salt = rng.next_u64();
        let (mut bytes, checksum) = encode_header(state.store, id, salt);
        let header = FrameHeader {
            kind: FrameKind::Snapshot,
            len: payload.len(),
            number,
            synced: 0,
            predecessor: checksum,
        };
        let (frame, chain) = frame::encode(salt, HEADER_LEN as u64, header, &payload);
        bytes.extend_from_slice(&frame);
        let file =
            fs.open(&path, Access::CreateNew).context("create", &path).map_err(AppendError::unless_full)?;
        let end = bytes.len() as u64;
        let room = file.allocate(0, end.saturating_add(FRAME_HEADER_LEN as u64));
        room.context("reserve space", &path).map_err(AppendError::unless_full)?;
        let written = write_all_at(file.as_ref(), &bytes, 0).context("write", &path);
        let synced = written.and_then(|()| file.sync_data().context("sync", &path));
        let named = synced.and_then(|()| fs.sync_dir(dir).context("sync the directory", dir));
        named.map_err(AppendError::Broken)?;
        let mut log = Self { file, path, salt, end, snapshot_end: end, synced: end, chain, number };
        log.promise().map_err(AppendError::Broken)?;
        Ok(log)
    }

    /// Goes on with a file that ends in a promise. That says that all is durable, but not where: a store may have been copied
    /// here a moment ago, so both syncs are made again.
    pub(super) fn resume(fs: &dyn Fs, dir: &Path, id: FileId, read: &Replayed) -> Result<Self> {
        let path = dir.join(id.file_name(FileKind::Manifest));
        let file = fs.open(&path, Access::ReadWrite).context("open", &path)?;
        file.sync_data().context("sync", &path)?;
        fs.sync_dir(dir).context("sync the directory", dir)?;
        let Replayed { salt, mut end, snapshot_end, chain, number, .. } = *read;
        if planted!("torn manifest continued") && !read.clean {
            end = file.len().context("measure", &path)?;
        }
        Ok(Self { file, path, salt, end, snapshot_end, synced: end, chain, number })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of the last commit.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Whether it is worth to start a new file: the edits are longer than `limit` and than the snapshot.
    pub(super) fn is_long(&self, limit: u64) -> bool {
        self.end.saturating_sub(self.snapshot_end) > limit.max(self.snapshot_end)
    }

    /// Appends one commit and makes it durable.
    ///
    /// The space for the frame and its promise is reserved first: a full disk refuses the commit and breaks nothing.
    pub(super) fn append(&mut self, payload: &[u8]) -> Result<(), AppendError> {
        check_len(payload).map_err(AppendError::Refused)?;
        let number = self.number.saturating_add(1);
        let header = FrameHeader {
            kind: FrameKind::Edits,
            len: payload.len(),
            number,
            synced: self.synced,
            predecessor: self.chain,
        };
        let (frame, checksum) = frame::encode(self.salt, self.end, header, payload);
        let need = frame.len().saturating_add(FRAME_HEADER_LEN) as u64;
        let room = self.file.allocate(self.end, need).context("reserve space", &self.path);
        room.map_err(AppendError::unless_full)?;
        let written = write_all_at(self.file.as_ref(), &frame, self.end).context("write", &self.path);
        let synced = match planted!("manifest not synced") {
            true => written,
            false => written.and_then(|()| self.file.sync_data().context("sync", &self.path)),
        };
        synced.map_err(AppendError::Broken)?;
        self.end = self.end.saturating_add(frame.len() as u64);
        self.synced = self.end;
        self.chain = checksum;
        self.number = number;
        Ok(())
    }

    /// Writes down, without a sync, that everything so far is durable.
    pub(super) fn promise(&mut self) -> Result<()> {
        let header = FrameHeader {
            kind: FrameKind::Promise,
            len: 0,
            number: self.number,
            synced: self.synced,
            predecessor: self.chain,
        };
        let (frame, checksum) = frame::encode(self.salt, self.end, header, &[]);
        write_all_at(self.file.as_ref(), &frame, self.end).context("write", &self.path)?;
        self.end = self.end.saturating_add(frame.len() as u64);
        self.chain = checksum;
        Ok(())
    }
}

fn check_len(payload: &[u8]) -> Result<()> {
    if payload.len() > PAYLOAD_LEN_MAX {
        return Err(Error::invalid(format!(
            "a commit of {} bytes is too large for the manifest ({PAYLOAD_LEN_MAX})",
            payload.len()
        )));
    }
    Ok(())
}
