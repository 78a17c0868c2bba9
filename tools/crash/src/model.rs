//! What the store must say: a plain list of commits, and everything else derived from it.
//!
//! The harness submits on one thread, so the order of submission is the commit order and the outcome of every call is a function of the
//! commits before it. The model knows three places in its list: what was *seen* (published), what is *owed* (acknowledged as
//! durable, or seen behind the durable watermark), and the end (everything that was ever given a number). A crash keeps a prefix
//! that ends between *owed* and the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use recension::{AnnotationKind, Digest, FieldMask, HeadState};

pub mod erase;

/// One day, µs: an authored time further ahead does not count.
const AUTHORED_AHEAD_MAX: i64 = 24 * 3600 * 1_000_000;

impl std::fmt::Debug for Rev {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "revision {} at {}+{} of {}", self.number, self.sequence, self.rest, self.parent)
    }
}

/// A revision as it was submitted.
#[derive(Clone, PartialEq)]
pub struct Rev {
    pub number: u64,
    pub parent: u64,
    pub sequence: u64,
    pub rest: u32,
    pub tombstone: bool,
    pub flags: u16,
    pub authored: Option<i64>,
    pub content: Option<Bytes>,
    /// (sequence, slot) of where the bytes were first written.
    pub address: Option<(u64, u16)>,
    pub slots: Vec<(Bytes, Option<Bytes>)>,
    pub author: Option<Bytes>,
    pub comment: Option<Bytes>,
    pub content_type: Option<Bytes>,
    pub tags: Vec<Bytes>,
    pub attributes: Vec<(Bytes, Bytes)>,
    pub origin_id: Option<u64>,
    pub request: Option<[u8; 16]>,
}

impl Rev {
    pub fn digest(&self) -> Option<Digest> {
        self.content.as_ref().map(|content| Digest::of(content))
    }
}

/// A hiding, showing, forgetting or purging as it was submitted.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    pub entity: Bytes,
    pub sequence: u64,
    pub rest: u32,
    pub kind: AnnotationKind,
    pub first: u64,
    pub last: u64,
    pub fields: FieldMask,
}

/// What is left of an entity that was purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    pub sequence: u64,
    /// The last revision number that was used.
    pub last: u64,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Rev(Bytes, Arc<Rev>),
    Note(Arc<Note>),
}

impl Change {
    pub fn sequence(&self) -> u64 {
        match self {
            Self::Rev(_, rev) => rev.sequence,
            Self::Note(note) => note.sequence,
        }
    }

    pub fn rest(&self) -> u32 {
        match self {
            Self::Rev(_, rev) => rev.rest,
            Self::Note(note) => note.rest,
        }
    }
}

/// What was written together: a batch, or a run of commits.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    pub first: u64,
    pub changes: Vec<Change>,
    pub sync: bool,
}

impl Commit {
    pub fn last(&self) -> u64 {
        self.first + self.changes.len() as u64 - 1
    }
}

/// Commit time of a change and effective time of its revision, as they were first read.
pub type Times = BTreeMap<u64, (i64, i64)>;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub commits: Vec<Commit>,
    pub entities: BTreeMap<Bytes, Vec<Arc<Rev>>>,
    pub notes: BTreeMap<Bytes, Vec<Arc<Note>>>,
    /// By sequence.
    pub times: Times,
    /// Everything up to here must survive any crash.
    pub owed: u64,
    /// Everything up to here must survive a crash of the process.
    pub owed_to_process: u64,
    /// The highest sequence number that was visible to somebody.
    pub seen: u64,
}

impl Model {
    /// The last sequence number that was given out.
    pub fn end(&self) -> u64 {
        self.commits.last().map_or(0, Commit::last)
    }

    pub fn reserve(&mut self, commit: Commit) {
        for change in &commit.changes {
            match change {
                Change::Rev(entity, rev) => {
                    self.entities.entry(entity.clone()).or_default().push(rev.clone())
                }
                Change::Note(note) => self.notes.entry(note.entity.clone()).or_default().push(note.clone()),
            }
        }
        self.commits.push(commit);
    }

    /// Forgets what a crash lost. `None`: `last` is in the middle of something that was written as a whole.
    pub fn truncate(&mut self, last: u64) -> Option<()> {
        while self.commits.last().is_some_and(|commit| commit.first > last) {
            self.commits.pop();
        }
        if self.end() != last {
            return None;
        }
        self.entities.retain(|_, revs| {
            revs.retain(|rev| rev.sequence <= last);
            !revs.is_empty()
        });
        self.notes.retain(|_, notes| {
            notes.retain(|note| note.sequence <= last);
            !notes.is_empty()
        });
        self.times.retain(|sequence, _| *sequence <= last);
        self.seen = self.seen.min(last);
        self.owed = self.owed.min(last);
        self.owed_to_process = self.owed_to_process.min(last);
        Some(())
    }

    /// The newest revision of an entity of all that was ever submitted and not purged.
    pub fn newest(&self, entity: &[u8]) -> Option<&Arc<Rev>> {
        self.standing(entity).last()
    }

    /// The revisions of an entity that were submitted and not purged, oldest first.
    pub fn standing(&self, entity: &[u8]) -> &[Arc<Rev>] {
        self.between(entity, self.purge(entity, u64::MAX), u64::MAX)
    }

    /// The revisions of an entity that a reader at `sequence` sees, oldest first. Points inside a commit are rounded down; a purge that
    /// is visible to somebody counts whatever the point.
    pub fn at(&self, entity: &[u8], sequence: u64) -> &[Arc<Rev>] {
        self.between(entity, self.purge(entity, self.seen), sequence)
    }

    fn between(&self, entity: &[u8], purge: Option<Purge>, sequence: u64) -> &[Arc<Rev>] {
        let revs = self.entities.get(entity).map_or(&[][..], |revs| revs);
        let from = revs.partition_point(|rev| purge.is_some_and(|purge| rev.sequence < purge.sequence));
        let to = revs.partition_point(|rev| rev.sequence + u64::from(rev.rest) <= sequence);
        revs.get(from..to).unwrap_or_default()
    }

    /// The newest purge of an entity among the changes up to `sequence`.
    pub fn purge(&self, entity: &[u8], sequence: u64) -> Option<Purge> {
        let notes = self.notes.get(entity)?.iter().rev();
        let mut purges = notes.filter(|note| note.kind == AnnotationKind::Purge && note.sequence <= sequence);
        purges.next().map(|note| Purge { sequence: note.sequence, last: note.last })
    }

    /// What a purge leaves of an entity for readers now.
    pub fn purged_now(&self, entity: &[u8]) -> Option<Purge> {
        self.purge(entity, self.seen)
    }

    /// The head of all that was submitted.
    pub fn head_state(&self, entity: &[u8]) -> HeadState {
        match (self.newest(entity), self.purge(entity, u64::MAX)) {
            (Some(rev), _) if rev.tombstone => HeadState::Deleted(rev.number),
            (Some(rev), _) => HeadState::Live(rev.number),
            (None, Some(purge)) => HeadState::Purged(purge.last),
            (None, None) => HeadState::Absent,
        }
    }

    /// What is hidden of a revision and not forgotten, for a reader who sees annotations up to `sequence`.
    pub fn hidden(&self, entity: &[u8], number: u64, sequence: u64) -> FieldMask {
        self.withheld(entity, number, sequence).0
    }

    /// What is forgotten of a revision.
    pub fn forgotten(&self, entity: &[u8], number: u64, sequence: u64) -> FieldMask {
        self.withheld(entity, number, sequence).1
    }

    /// Hidden and not forgotten; forgotten.
    pub fn withheld(&self, entity: &[u8], number: u64, sequence: u64) -> (FieldMask, FieldMask) {
        let (mut hidden, mut forgotten) = (FieldMask::default(), FieldMask::default());
        // What was said before a purge says nothing of what came after it.
        let gone = self.purge(entity, sequence).map_or(0, |purge| purge.sequence);
        for note in self.notes.get(entity).into_iter().flatten() {
            if note.sequence > gone && note.sequence <= sequence && (note.first..=note.last).contains(&number)
            {
                match note.kind {
                    AnnotationKind::Hide => hidden = hidden.with(note.fields),
                    AnnotationKind::Show => hidden = hidden.without(note.fields),
                    _ => forgotten = forgotten.with(note.fields),
                }
            }
        }
        (hidden.without(forgotten), forgotten)
    }

    /// Changes behind `after` up to `last`, in order.
    pub fn changes(&self, after: u64, last: u64) -> impl Iterator<Item = &Change> {
        let start = self.commits.partition_point(|commit| commit.last() <= after);
        self.commits[start..]
            .iter()
            .flat_map(|commit| &commit.changes)
            .filter(move |change| change.sequence() > after && change.sequence() <= last)
    }

    /// What the effective time of a revision must be.
    pub fn effective(&self, entity: &[u8], rev: &Rev, commit_time: i64) -> Option<i64> {
        let revs = self.entities.get(entity)?;
        let at = revs.iter().position(|other| other.sequence == rev.sequence)?;
        let previous = match at.checked_sub(1) {
            None => i64::MIN,
            Some(before) => self.times.get(&revs[before].sequence)?.1,
        };
        Some(match rev.authored {
            Some(authored) if authored <= commit_time.saturating_add(AUTHORED_AHEAD_MAX) => {
                authored.max(previous)
            }
            Some(_) if previous != i64::MIN => previous,
            _ => commit_time.max(previous),
        })
    }

    /// Notes that everything up to `sequence` was visible, and up to `durable` durable.
    pub fn observe(&mut self, published: u64, durable: u64) {
        self.seen = self.seen.max(published);
        self.owed_to_process = self.owed_to_process.max(published);
        self.owed = self.owed.max(durable);
    }
}
