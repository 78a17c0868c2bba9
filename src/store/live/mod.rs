//! The change feed of a store that another process may be writing to, read from the log without the store's lock.
//!
//! ```text
//!  pack, segment (sealed) │ segment A ── frame ── frame ── frame │ segment B ── frame ── frame ── frame ── (nothing yet)
//!  └ from directories ────┘                   ▲ give                                  ▲ scan
//! ```
//! What the manifest says is sealed is durable and is read from directories. Behind it two cursors run over the frames. *Scan* reads ahead to the end of what is written: it learns how far the log is known to be durable
//! (every frame carries that promise) and which revisions were hidden. *Give* follows it and hands out what the promise covers.
//!
//! 1. Only what is promised durable is given out: what a crash may take back was never seen.
//! 2. A frame counts only if it follows its predecessor: salt, offset and predecessor's checksum are verified.
//! 3. Hiding is current here as on every other path: the annotation tables of the manifest and the log behind them make the gate.
//! 4. Nothing is written, and no lock is taken or needed. No valid frame where the promise says there is one is damage; elsewhere it
//!    is the end for now.
//!
//! The writer moves on to a next segment whose header names the present one; it is found by listing the directory. It may have become a
//! pack and be gone before it was seen: when nothing follows and the files are others than before, the manifest is read again, and the
//! feed goes on behind its cursor in what is sealed now. Rejected:
//! notification by the operating system (polling a closed file costs a read every 50 ms; notifications need a thread and differ by system).

mod cursor;
mod gate;
mod shown;
mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::values::ValueMap;
use crate::codec::{FileId, FileKind};
use crate::env::Env;
use crate::error::IoContext;
use crate::index::levels::IndexView;
use crate::log::{Change, ChangeIter, Frame, FrameKind, Position, SegmentHeader};
use crate::manifest::State;
use crate::model::{Annotation, Entity, FieldMask, Fields, Row, Timestamp};
use crate::{Error, Result};
use cursor::{Cursor, Link};
use gate::{Sealed, read_sealed};
use start::{log_start, value_file_names};

/// How often the log is looked at while nothing comes.
const POLL: Duration = Duration::from_millis(50);

/// One change, from the log.
#[derive(Clone, Debug)]
pub struct LiveChange {
    /// Its sequence number: the cursor to resume behind it.
    pub sequence: u64,
    /// How many changes of the same commit follow. The commit ends where this is 0.
    pub commit_rest: u32,
    /// When it was committed.
    pub commit_time: Timestamp,
    /// What changed.
    pub kind: LiveChangeKind,
}

/// What changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LiveChangeKind {
    /// A new revision, live or a tombstone.
    Revision {
        /// Whose.
        entity: Entity,
        /// Numbers, times and flags.
        row: Box<Row>,
        /// Author, comment and the other fields. Hidden ones are absent.
        fields: Box<Fields>,
        /// Which fields are hidden now, and not forgotten.
        hidden: FieldMask,
        /// Which fields are forgotten.
        forgotten: FieldMask,
    },
    /// Something was hidden, shown, forgotten or purged.
    Annotation(Annotation),
    /// A change of an entity that was purged since: nothing is left of it but its place in the order.
    Purged,
}

/// Changes of a store behind a cursor, while another process may be writing to it. Contents are not read.
pub struct LiveChanges {
    env: Env,
    dir: PathBuf,
    store: [u8; 16],
    /// The last sequence number given out.
    cursor: u64,
    scan: Option<Cursor>,
    give: Option<Cursor>,
    /// What is sealed and not given out yet.
    sealed: Option<ChangeIter>,
    /// What the first unsealed segment follows.
    start: Link,
    /// The names of the value files when the manifest was read.
    names: Vec<String>,
    /// The log is known to be durable up to here.
    promise: Position,
    /// The last change of what was sealed when the manifest was read.
    sealed_up_to: u64,
    /// Knows annotations and nothing else.
    gate: IndexView,
    failed: bool,
}

impl LiveChanges {
    /// Every change behind `after` (0: from the start) of the store in a directory.
    ///
    /// # Errors
    /// `Invalid` if there is no store, `CursorLost` if `after` is beyond the last change, `Corrupt`, `Io`.
    pub fn open(path: impl AsRef<Path>, after: u64) -> Result<Self> {
        Self::open_in(Env::os(1), path.as_ref(), after)
    }

    /// The same in other surroundings than the operating system: the simulator's.
    ///
    /// # Errors
    /// As for [`LiveChanges::open`].
    pub fn open_in(env: Env, dir: &Path, after: u64) -> Result<Self> {
        if !env.fs.exists(dir).context("look for a store in", dir)? {
            return Err(Error::invalid(format!("there is no store in {}", dir.display())));
        }
        let names = value_file_names(&env, dir)?;
        let Sealed { state, gate, values } = read_sealed(&env, dir, after)?;
        let mut live = Self {
            env,
            dir: dir.to_path_buf(),
            store: state.store,
            cursor: after,
            scan: None,
            give: None,
            sealed: None,
            start: log_start(&state),
            names,
            promise: Position::NONE,
            sealed_up_to: 0,
            gate,
            failed: false,
        };
        live.begin(&state, &values)?;
        Ok(live)
    }

    /// Begins behind the cursor in what is sealed, and behind that in the log.
    fn begin(&mut self, state: &State, values: &ValueMap) -> Result<()> {
        self.start = log_start(state);
        self.sealed_up_to = self.start.sequence;
        self.promise = Position::new(state.promise.0, state.promise.1);
        (self.scan, self.give, self.sealed) = (None, None, None);
        if self.cursor < self.sealed_up_to {
            self.sealed = Some(values.changes(self.cursor));
        }
        self.scan_all()?;
        let last = self.scan.as_ref().map_or(0, |scan| scan.last_sequence).max(self.sealed_up_to);
        if self.cursor > last {
            return Err(Error::CursorLost { cursor: self.cursor, last });
        }
        Ok(())
    }

    /// Reads the manifest again if the value files are others than when it was read; whether there is more to give out now.
    fn look_again(&mut self) -> Result<bool> {
        let names = value_file_names(&self.env, &self.dir)?;
        if names == self.names || planted!("live feed misses what was sealed meanwhile") {
            return Ok(false);
        }
        self.names = names;
        let Sealed { state, gate, values } = read_sealed(&self.env, &self.dir, self.cursor)?;
        if log_start(&state).sequence <= self.cursor {
            return Ok(false);
        }
        probe!("live feed: goes on in what was sealed meanwhile");
        self.gate = gate;
        self.begin(&state, &values)?;
        Ok(true)
    }

    /// The sequence number to pass as `after` to go on behind what was given out.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next change that is durable now; `None` if there is none for now.
    ///
    /// # Errors
    /// `Corrupt` or `Io` if the log cannot be read; the feed ends then.
    pub fn poll(&mut self) -> Result<Option<LiveChange>> {
        if self.failed {
            return Ok(None);
        }
        let next = self.next_change();
        self.failed = next.is_err();
        next
    }

    /// The next change, waiting for it for `timeout` at most (`None`: for ever).
    ///
    /// # Errors
    /// As for [`LiveChanges::poll`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<Option<LiveChange>> {
        let mut waited = Duration::ZERO;
        loop {
            if let Some(change) = self.poll()? {
                return Ok(Some(change));
            }
            if self.failed || timeout.is_some_and(|timeout| waited >= timeout) {
                return Ok(None);
            }
            let step = timeout.map_or(POLL, |timeout| timeout.saturating_sub(waited).min(POLL));
            self.env.clock.sleep(step);
            waited = waited.saturating_add(step);
        }
    }

    fn next_change(&mut self) -> Result<Option<LiveChange>> {
        let mut scanned = false;
        loop {
            if let Some(sealed) = &mut self.sealed {
                match sealed.next().transpose()? {
                    Some(change) => {
                        let change = self.shown(change)?;
                        self.cursor = change.sequence;
                        return Ok(Some(change));
                    }
                    None if self.cursor < self.sealed_up_to => return Err(self.missing_sealed()),
                    None => self.sealed = None,
                }
            }
            if let Some(record) = self.give.as_mut().and_then(|give| give.pending.pop_front()) {
                if record.change.sequence <= self.cursor {
                    continue;
                }
                let change = self.shown(record.change)?;
                self.cursor = change.sequence;
                return Ok(Some(change));
            }
            if self.advance_give()? {
                continue;
            }
            if scanned {
                return Ok(None);
            }
            self.scan_all()?;
            // The scan ends where the next segment became a pack meanwhile: what is hidden there has to be known before more is given out.
            scanned = !self.look_again()?;
        }
    }

    /// Takes the next promised frame; `false` if there is none for now.
    fn advance_give(&mut self) -> Result<bool> {
        let Some(give) = &mut self.give else { return Ok(false) };
        match give.read()? {
            Some(frame)
                if Position::new(give.id.number, frame.end()) <= self.promise
                    || planted!("live feed ahead of the promise") =>
            {
                let wanted = frame.head.next_sequence().saturating_sub(1) > self.cursor;
                if wanted && frame.head.kind.has_records() {
                    give.pending = frame.records(&give.path)?.into();
                }
                give.pass(&frame);
                Ok(true)
            }
            Some(_) => Ok(false),
            None => {
                let behind = give.link();
                // What the next header promises is believed when it was scanned, and what was hidden up to there is known.
                let promise = self.promise;
                let next = self.successor(behind)?;
                self.promise = promise;
                match next {
                    Some(next) => {
                        self.give = Some(next);
                        Ok(true)
                    }
                    None if Position::new(behind.id.number, self.give_at()) < self.promise_in(behind.id) => {
                        Err(self.missing())
                    }
                    None => Ok(false),
                }
            }
        }
    }

    fn give_at(&self) -> u64 {
        self.give.as_ref().map_or(0, |give| give.at)
    }

    /// The promise as far as it speaks of a place inside this very file.
    fn promise_in(&self, id: FileId) -> Position {
        if self.promise.file == id.number { self.promise } else { Position::NONE }
    }

    fn missing(&self) -> Error {
        let path = self.give.as_ref().map_or(&self.dir, |give| &give.path);
        let expected = format!("a frame: the log is durable up to {}", self.promise);
        Error::corrupt(path, self.give_at(), expected, "none", format!("changes behind {}", self.cursor))
    }

    fn missing_sealed(&self) -> Error {
        let expected = format!("changes up to {}, which are sealed", self.sealed_up_to);
        let found = format!("an end behind {}", self.cursor);
        Error::corrupt(&self.dir, 0, expected, found, "the change feed")
    }

    /// Reads ahead to the end of what is written.
    fn scan_all(&mut self) -> Result<()> {
        if self.scan.is_none() {
            self.scan = self.successor(self.start)?;
            self.give = self.scan.clone();
        }
        loop {
            let Some(scan) = &mut self.scan else { return Ok(()) };
            if let Some(frame) = scan.read()? {
                let end = Position::new(scan.id.number, frame.end());
                let promise = if frame.head.kind == FrameKind::CleanClose { end } else { frame.head.promise };
                self.promise = self.promise.max(promise);
                if frame.head.kind.has_records() && !planted!("live feed misses what is hidden later") {
                    self.gate_records(&frame)?;
                }
                if let Some(scan) = &mut self.scan {
                    scan.pass(&frame);
                }
                continue;
            }
            let link = scan.link();
            if let Some(next) = self.successor(link)? {
                self.scan = Some(next);
            } else if self.was_cut(link)? {
                // A recovery went on from an earlier frame: nothing beyond the promise was given out, so look again from there.
                if self.give.as_ref().is_none_or(|give| give.link() == link) {
                    return Ok(());
                }
                self.scan = self.give.clone();
            } else {
                // The end for now, or damage: then what stands behind it promises more.
                let Some(scan) = &mut self.scan else { return Ok(()) };
                self.promise = self.promise.max(scan.promise_behind()?);
                return Ok(());
            }
        }
    }

    /// Tells the gate of the annotations in a frame.
    fn gate_records(&mut self, frame: &Frame) -> Result<()> {
        let (Some(scan), Some(memtable)) = (&self.scan, self.gate.active()) else { return Ok(()) };
        for record in frame.records(&scan.path)? {
            if let Change::Annotation(annotation) = &record.change.change {
                memtable.insert_annotation(record.change.sequence, annotation)?;
            }
        }
        Ok(())
    }

    /// The segment that follows a place: of several the newest, since the others are leftovers of a recovery.
    fn successor(&mut self, link: Link) -> Result<Option<Cursor>> {
        let mut best: Option<(Cursor, SegmentHeader)> = None;
        for id in self.segments_above(link.id.number)? {
            let Some((cursor, header)) = self.open_cursor(id)? else { continue };
            let found = Link {
                id: header.predecessor,
                sequence: header.predecessor_sequence,
                checksum: header.predecessor_checksum,
            };
            if found == link && best.as_ref().is_none_or(|(best, _)| best.id < id) {
                best = Some((cursor, header));
            }
        }
        Ok(best.map(|(cursor, header)| {
            self.promise = self.promise.max(header.promise);
            cursor
        }))
    }

    /// Whether a later segment names this one as its predecessor, but another frame of it.
    fn was_cut(&self, link: Link) -> Result<bool> {
        for id in self.segments_above(link.id.number)? {
            if let Some((_, header)) = self.open_cursor(id)?
                && header.predecessor == link.id
                && header.predecessor_sequence < link.sequence
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn segments_above(&self, number: u64) -> Result<Vec<FileId>> {
        let entries = self.env.fs.read_dir(&self.dir).context("list", &self.dir)?;
        let ids = entries.iter().filter(|entry| !entry.is_dir).filter_map(|entry| FileId::parse(&entry.name));
        Ok(ids
            .filter(|(id, kind)| *kind == FileKind::Segment && id.number > number)
            .map(|(id, _)| id)
            .collect())
    }

    fn open_cursor(&self, id: FileId) -> Result<Option<(Cursor, SegmentHeader)>> {
        Cursor::open(&*self.env.fs, &self.dir, &self.store, id)
    }
}

impl std::fmt::Debug for LiveChanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveChanges")
            .field("dir", &self.dir)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
