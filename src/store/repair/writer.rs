//! Writing a log from outside a store: frames one behind the other, each segment sealed when it is full.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::FileId;
use crate::codec::FileKind;
use crate::env::{Access, Env, File, write_all_at};
use crate::error::IoContext;
use crate::limits::Limits;
use crate::log::{
    FrameDraft, FrameKind, FramePlace, Numbers, Position, RecordDraft, SEGMENT_HEADER_LEN, SealRequest,
    SegmentHeader, seal,
};
use crate::manifest::{Manifest, State, ValueFileInfo};
use crate::{Error, ErrorKind, Result};

/// A log in the making.
pub(in crate::store) struct LogWriter<'a> {
    env: &'a Env,
    dir: PathBuf,
    limits: Limits,
    store: [u8; 16],
    epoch: u64,
    incarnation: u64,
    sealed: Vec<ValueFileInfo>,
    open: Option<Open>,
    next_number: u64,
    next_sequence: u64,
    /// The last segment and its last frame's checksum.
    last: (FileId, u32),
    /// What the first segment says to be durable before it.
    promise: Position,
}

struct Open {
    file: Arc<dyn File>,
    path: PathBuf,
    header: SegmentHeader,
    at: u64,
    checksum: u32,
    records: u64,
}

impl<'a> LogWriter<'a> {
    /// The log of a store that goes on with another one's id (`None`: if that is not known, a new one) and in a later epoch. The id must stay:
    /// purged names are kept as hashes that it keys.
    pub fn new(env: &'a Env, dir: &Path, store: Option<[u8; 16]>, epoch: u64, limits: &Limits) -> Self {
        let mut fresh = [0; 16];
        env.rng.fill(&mut fresh);
        Self {
            env,
            dir: dir.to_path_buf(),
            limits: *limits,
            store: store.unwrap_or(fresh),
            epoch,
            incarnation: env.rng.next_u64().max(1),
            sealed: Vec::new(),
            open: None,
            // Number 1 is that of a new store's manifest.
            next_number: 2,
            next_sequence: 1,
            last: (FileId { epoch: 0, number: 0 }, 0),
            promise: Position::NONE,
        }
    }

    /// What goes on behind the last segment of a store (which may have become a pack) and its last change.
    pub fn behind(
        env: &'a Env,
        dir: &Path,
        state: &State,
        last: (FileId, u32),
        sequence: u64,
        limits: &Limits,
    ) -> Self {
        Self {
            incarnation: state.incarnation,
            next_number: state.next_file,
            next_sequence: sequence.saturating_add(1),
            last,
            // Alone it is no log that could be opened.
            promise: Position::new(last.0.number, SEGMENT_HEADER_LEN as u64),
            ..Self::new(env, dir, Some(state.store), state.epoch, limits)
        }
    }

    /// Appends a commit; answers the sequence number of its first change.
    pub fn commit(&mut self, records: Vec<(RecordDraft, Numbers)>, commit_time: i64) -> Result<u64> {
        let first = self.next_sequence;
        let (drafts, numbers): (Vec<_>, Vec<_>) = records.into_iter().unzip();
        // A commit may have grown beyond a frame if it was packed better than it is stored here.
        let single: Vec<RecordDraft> = if drafts.len() > 1 { drafts.clone() } else { Vec::new() };
        match FrameDraft::new(FrameKind::Commit, drafts) {
            Ok(frame) => self.frame(frame, &numbers, commit_time)?,
            Err(error) if error.kind() == ErrorKind::Invalid && !single.is_empty() => {
                for (draft, numbers) in single.into_iter().zip(&numbers) {
                    let frame = FrameDraft::new(FrameKind::Commit, vec![draft])?;
                    self.frame(frame, std::slice::from_ref(numbers), commit_time)?;
                }
            }
            Err(error) => return Err(error),
        }
        Ok(first)
    }

    fn frame(&mut self, mut frame: FrameDraft, numbers: &[Numbers], commit_time: i64) -> Result<()> {
        let records = numbers.len() as u64;
        let len = frame.len() as u64;
        let full = self.open.as_ref().is_some_and(|open| {
            open.at.saturating_add(len) > self.limits.segment_bytes
                || open.records.saturating_add(records) > u64::from(self.limits.segment_records)
        });
        if full {
            self.seal()?;
        }
        let next = self.next_sequence;
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let open = self.start(commit_time)?;
                self.open.insert(open)
            }
        };
        numbers.iter().enumerate().for_each(|(index, numbers)| frame.set_numbers(index, *numbers));
        let place = FramePlace {
            salt: open.header.salt,
            offset: open.at,
            prev_checksum: open.checksum,
            first_sequence: next,
            commit_time,
            promise: Position::NONE,
        };
        open.checksum = frame.finish(&place);
        write_all_at(&*open.file, frame.bytes(), open.at).context("write", &open.path)?;
        open.at = open.at.saturating_add(len);
        open.records = open.records.saturating_add(records);
        self.next_sequence = next.saturating_add(records);
        Ok(())
    }

    fn start(&mut self, created: i64) -> Result<Open> {
        let id = FileId { epoch: self.epoch, number: self.next_number };
        self.next_number = self.next_number.saturating_add(1);
        let header = SegmentHeader {
            store: self.store,
            id,
            predecessor: self.last.0,
            predecessor_sequence: self.next_sequence.saturating_sub(1),
            predecessor_checksum: self.last.1,
            salt: self.env.rng.next_u64(),
            incarnation: self.incarnation,
            created,
            promise: std::mem::replace(&mut self.promise, Position::NONE),
        };
        let path = self.dir.join(id.file_name(FileKind::Segment));
        let file = self.env.fs.open(&path, Access::CreateNew).context("create", &path)?;
        write_all_at(&*file, &header.encode(), 0).context("write", &path)?;
        let (at, checksum) = (SEGMENT_HEADER_LEN as u64, header.predecessor_checksum);
        Ok(Open { file, path, header, at, checksum, records: 0 })
    }

    fn seal(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        // The seal says that the frames are durable.
        open.file.sync_data().context("sync", &open.path)?;
        let request = SealRequest {
            store: &self.store,
            id: open.header.id,
            frames_end: open.at,
            block_records: self.limits.directory_block_records,
        };
        self.sealed.push(seal(self.env.fs.as_ref(), &open.path, &request)?);
        self.last = (open.header.id, open.checksum);
        Ok(())
    }

    /// Seals what is open; answers all segments. Their names are not synced.
    pub fn sealed(mut self) -> Result<Vec<ValueFileInfo>> {
        self.seal()?;
        Ok(self.sealed)
    }

    /// Seals what is open and writes the manifest: the directory is a store then, without an index.
    pub fn finish(mut self) -> Result<()> {
        self.seal()?;
        if self.sealed.is_empty() {
            return Err(Error::invalid("nothing could be saved: there is no change that can be read"));
        }
        self.env.fs.sync_dir(&self.dir).context("sync the directory", &self.dir)?;
        let state = State {
            store: self.store,
            incarnation: self.incarnation,
            epoch: self.epoch,
            next_file: self.next_number,
            value_files: self.sealed.into_iter().map(|info| (info.id, info)).collect(),
            ..State::default()
        };
        Manifest::install(self.env, &self.dir, state).map(drop)
    }
}
