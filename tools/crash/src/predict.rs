//! The outcome that a call must have, from the model alone.

use std::sync::Arc;

use bytes::Bytes;
use recension::limits::REPLAY_REVISIONS;
use recension::{AnnotationKind, Digest, Entity, Expect, FieldMask, Flags, HeadState, Outcome};

use crate::model::{Change, Commit, Model, Note, Purge, Rev};

/// A change with everything filled in: what is really sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub entity: Bytes,
    pub expect: Expect,
    pub what: SentWhat,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SentWhat {
    Write(SentWrite),
    Note {
        kind: AnnotationKind,
        first: u64,
        last: u64,
        fields: FieldMask,
    },
    Require,
    /// A transaction's read: the sequence of the head, or of the purge, that was read; 0 for none.
    Read(u64),
    /// The entity is purged; alone in its batch.
    Purge,
}

impl std::fmt::Debug for SentWrite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} number {:?} if_changed {} slots {}",
            self.body,
            self.number,
            self.if_changed,
            self.rev.slots.len()
        )
    }
}

#[derive(Clone, PartialEq)]
pub struct SentWrite {
    pub body: Body,
    /// Number, parent, sequence and contents are filled in when it goes through.
    pub rev: Rev,
    pub number: Option<u64>,
    pub if_changed: bool,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Content(content) => write!(f, "{}", short(content)),
            Self::Withheld => f.write_str("withheld"),
            Self::Tombstone => f.write_str("tombstone"),
            Self::Revert(to) => write!(f, "revert to {to}"),
            Self::Undelete => f.write_str("undelete"),
        }
    }
}

#[derive(Clone, PartialEq)]
pub enum Body {
    Content(Bytes),
    Withheld,
    Tombstone,
    Revert(u64),
    Undelete,
}

/// A batch as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SentBatch {
    pub changes: Vec<Sent>,
    pub request: Option<[u8; 16]>,
    pub run: bool,
    pub sync: bool,
}

/// What must come of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicted {
    /// A commit with these outcomes.
    Commit(Commit, Vec<Outcome>),
    /// Nothing is written; the answer rests on what was submitted up to that sequence.
    Nothing(Vec<Outcome>, u64),
    /// The same, because the request was carried out before.
    Replayed(Vec<Outcome>, u64),
    Conflict {
        entity: Bytes,
        actual: HeadState,
        rests_on: u64,
    },
    Invalid,
}

/// What an entity is on top of everything that was submitted.
struct Stand {
    revs: Vec<Arc<Rev>>,
    purge: Option<Purge>,
}

impl Stand {
    fn state(&self) -> HeadState {
        match (self.revs.last(), self.purge) {
            (Some(rev), _) if rev.tombstone => HeadState::Deleted(rev.number),
            (Some(rev), _) => HeadState::Live(rev.number),
            (None, Some(purge)) => HeadState::Purged(purge.last),
            (None, None) => HeadState::Absent,
        }
    }

    fn meets(&self, expect: Expect) -> bool {
        let state = self.state();
        match expect {
            Expect::Absent => state == HeadState::Absent,
            // A purged entity stands for no revision that somebody read before.
            Expect::Head(number) => {
                matches!(state, HeadState::Live(n) | HeadState::Deleted(n) if n == number)
            }
            _ => true,
        }
    }

    /// The sequence of what there is.
    fn sequence(&self) -> u64 {
        let head = self.revs.last().map(|rev| rev.sequence);
        head.or(self.purge.map(|purge| purge.sequence)).unwrap_or(0)
    }
}

impl Model {
    /// The outcome of a batch that is sent now, behind everything that was submitted.
    pub fn predict(&self, batch: &SentBatch) -> Predicted {
        if let Some(id) = batch.request
            && let Some(answer) = self.replay(batch, id)
        {
            return answer;
        }
        let mut after = self.stands(batch);
        let mut changes = Vec::new();
        let mut outcomes = Vec::new();
        let first = self.end() + 1;
        // Refusals of what is asked for come before refusals of what is expected: either may be answered.
        for sent in &batch.changes {
            let sequence = first + changes.len() as u64;
            let Some(stand) = after.get_mut(&sent.entity) else { return Predicted::Invalid };
            let head = stand.revs.last().cloned();
            let conflict = |stand: &Stand| Predicted::Conflict {
                entity: sent.entity.clone(),
                actual: stand.state(),
                rests_on: self.rests_on(&sent.entity),
            };
            match &sent.what {
                SentWhat::Require if stand.meets(sent.expect) => outcomes.push(Outcome::Held),
                SentWhat::Read(read) if stand.sequence() == *read => outcomes.push(Outcome::Held),
                SentWhat::Require | SentWhat::Read(_) => return conflict(stand),
                SentWhat::Purge if !stand.meets(sent.expect) => return conflict(stand),
                SentWhat::Purge => {
                    let Some(head) = head else { return Predicted::Invalid };
                    outcomes.push(Outcome::Annotated { sequence });
                    changes.push(Change::Note(Arc::new(Note {
                        entity: sent.entity.clone(),
                        sequence,
                        rest: 0,
                        kind: AnnotationKind::Purge,
                        first: 1,
                        last: head.number,
                        fields: FieldMask::ALL,
                    })));
                }
                SentWhat::Note { kind, first, last, fields } => {
                    if head.is_none() {
                        return Predicted::Invalid;
                    }
                    outcomes.push(Outcome::Annotated { sequence });
                    changes.push(Change::Note(Arc::new(Note {
                        entity: sent.entity.clone(),
                        sequence,
                        rest: 0,
                        kind: *kind,
                        first: *first,
                        last: *last,
                        fields: *fields,
                    })));
                }
                SentWhat::Write(write) => {
                    let mut rev = write.rev.clone();
                    rev.request = batch.request;
                    let here = |change: &Change| match change {
                        Change::Note(note) if note.entity == sent.entity => Some(note.clone()),
                        _ => None,
                    };
                    let notes: Vec<Arc<Note>> = changes.iter().filter_map(here).collect();
                    let hidden = |number| {
                        let mask = self.hidden_with(&sent.entity, number, notes.iter().cloned());
                        mask.contains(FieldMask::CONTENT)
                    };
                    let put_before = changes.iter().any(|change| {
                        matches!(change, Change::Rev(entity, rev) if *entity == sent.entity && !rev.tombstone)
                    });
                    if !stand.meets(sent.expect) {
                        return conflict(stand);
                    }
                    if put_before && write.body == Body::Undelete
                        || !fill(&mut rev, write, &stand.revs, hidden)
                    {
                        return Predicted::Invalid;
                    }
                    let digest = rev.digest();
                    if write.if_changed
                        && rev.slots.is_empty()
                        && digest.is_some()
                        && let Some(head) = &head
                        && !head.tombstone
                        && head.digest() == digest
                        && !hidden(head.number)
                    {
                        outcomes.push(Outcome::Unchanged { revision: head.number });
                        continue;
                    }
                    let before = stand.state().number();
                    let number = write.number.unwrap_or(before + 1);
                    if number <= before {
                        return Predicted::Invalid;
                    }
                    // What was purged is nobody's parent.
                    let parent = head.as_ref().map_or(0, |head| head.number);
                    (rev.number, rev.parent, rev.sequence) = (number, parent, sequence);
                    if let Some((at, _)) = &mut rev.address
                        && *at == 0
                    {
                        *at = sequence;
                    }
                    outcomes.push(Outcome::Written { revision: number, sequence });
                    let rev = Arc::new(rev);
                    stand.revs.push(rev.clone());
                    changes.push(Change::Rev(sent.entity.clone(), rev));
                }
            }
        }
        if changes.is_empty() {
            let newest = batch.changes.iter().map(|sent| self.rests_on(&sent.entity));
            return Predicted::Nothing(outcomes, newest.max().unwrap_or(0));
        }
        if !batch.run {
            let n = changes.len() as u32;
            for (i, change) in changes.iter_mut().enumerate() {
                let rest = n - 1 - i as u32;
                match change {
                    Change::Rev(_, rev) => Arc::make_mut(rev).rest = rest,
                    Change::Note(note) => Arc::make_mut(note).rest = rest,
                }
            }
        }
        Predicted::Commit(Commit { first, changes, sync: batch.sync }, outcomes)
    }

    fn stands(&self, batch: &SentBatch) -> std::collections::BTreeMap<Bytes, Stand> {
        let stand =
            |name: &Bytes| Stand { revs: self.standing(name).to_vec(), purge: self.purge(name, u64::MAX) };
        batch.changes.iter().map(|sent| (sent.entity.clone(), stand(&sent.entity))).collect()
    }

    /// The sequence of the head, or of the purge, that an answer about an entity rests on.
    fn rests_on(&self, entity: &Bytes) -> u64 {
        let head = self.newest(entity).map(|rev| rev.sequence);
        head.or(self.purge(entity, u64::MAX).map(|purge| purge.sequence)).unwrap_or(0)
    }

    fn hidden_with(&self, entity: &Bytes, number: u64, more: impl Iterator<Item = Arc<Note>>) -> FieldMask {
        let (mut mask, forgotten) = self.withheld(entity, number, u64::MAX);
        for note in more.filter(|note| (note.first..=note.last).contains(&number)) {
            mask = match note.kind {
                AnnotationKind::Hide => mask.with(note.fields),
                _ => mask.without(note.fields),
            };
        }
        mask.with(forgotten)
    }

    /// What a request that was carried out before answers: as a whole or not at all.
    fn replay(&self, batch: &SentBatch, id: [u8; 16]) -> Option<Predicted> {
        let mut outcomes = Vec::new();
        let mut found = Vec::new();
        let mut missing = false;
        let mut seen = std::collections::BTreeMap::<&Bytes, usize>::new();
        for sent in &batch.changes {
            let SentWhat::Write(write) = &sent.what else {
                outcomes.push(Outcome::Held);
                continue;
            };
            let revs = self.standing(&sent.entity);
            let newest = &revs[revs.len().saturating_sub(REPLAY_REVISIONS as usize)..];
            let nth = seen.entry(&sent.entity).or_default();
            let Some(rev) = newest.iter().filter(|rev| rev.request == Some(id)).nth(*nth) else {
                missing = true;
                continue;
            };
            *nth += 1;
            // What is forgotten cannot be compared.
            let gone = self.forgotten(&sent.entity, rev.number, u64::MAX).contains(FieldMask::CONTENT);
            let same = match &write.body {
                Body::Content(content) => gone || rev.content.as_ref() == Some(content),
                _ => true,
            };
            if !same || rev.tombstone != matches!(write.body, Body::Tombstone) {
                return Some(Predicted::Invalid);
            }
            outcomes.push(Outcome::Replayed { revision: rev.number, sequence: rev.sequence });
            found.push(rev.clone());
        }
        let last = found.last()?;
        Some(if missing { Predicted::Invalid } else { Predicted::Replayed(outcomes, last.sequence) })
    }
}

/// Fills in the contents of a revision; `false`: it cannot be.
fn fill(rev: &mut Rev, write: &SentWrite, revs: &[Arc<Rev>], hidden: impl Fn(u64) -> bool) -> bool {
    let head = revs.last();
    let from = match &write.body {
        Body::Revert(number) => match revs.iter().find(|rev| rev.number == *number) {
            Some(from) if !from.tombstone => Some(from),
            _ => return false,
        },
        Body::Undelete if !head.is_some_and(|head| head.tombstone) => return false,
        Body::Undelete => match revs.iter().rev().find(|rev| !rev.tombstone) {
            Some(from) => Some(from),
            None => return false,
        },
        _ => None,
    };
    if from.is_some_and(|from| hidden(from.number)) {
        return false;
    }
    match &write.body {
        Body::Content(content) => (rev.content, rev.address) = (Some(content.clone()), Some((0, 0))),
        Body::Tombstone => rev.tombstone = true,
        _ => {}
    }
    if let Some(from) = from {
        if from.content.is_none() {
            rev.flags |= Flags::CONTENT_WITHHELD.0;
        }
        (rev.content, rev.address) = (from.content.clone(), from.address);
        rev.slots = from.slots.clone();
        if rev.content_type.is_none() {
            rev.content_type = from.content_type.clone();
        }
    }
    true
}

/// For messages.
pub fn name(entity: &[u8]) -> String {
    Entity::new(entity).map_or_else(|_| "?".into(), |entity| entity.to_string())
}

/// For digests of contents in messages.
pub fn short(content: &[u8]) -> String {
    format!("{} bytes {:.8}", content.len(), Digest::of(content).to_string())
}
