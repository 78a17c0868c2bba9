//! The outcome that a call must have, from the model alone.

use std::sync::Arc;

use bytes::Bytes;
use recension::limits::REPLAY_REVISIONS;
use recension::{AnnotationKind, Digest, Entity, Expect, FieldMask, Flags, HeadState, Outcome};

use crate::model::{Change, Commit, Model, Note, Rev};

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
    /// A transaction's read: the sequence of the head that was read, 0 for none.
    Read(u64),
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

fn state(rev: Option<&Arc<Rev>>) -> HeadState {
    match rev {
        None => HeadState::Absent,
        Some(rev) if rev.tombstone => HeadState::Deleted(rev.number),
        Some(rev) => HeadState::Live(rev.number),
    }
}

fn meets(rev: Option<&Arc<Rev>>, expect: Expect) -> bool {
    match expect {
        Expect::Absent => rev.is_none(),
        Expect::Head(number) => rev.is_some_and(|rev| rev.number == number),
        _ => true,
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
        let mut after = self.clone_heads(batch);
        let mut changes = Vec::new();
        let mut outcomes = Vec::new();
        let first = self.end() + 1;
        // Refusals of what is asked for come before refusals of what is expected: either may be answered.
        for sent in &batch.changes {
            let sequence = first + changes.len() as u64;
            let mine = after.get_mut(&sent.entity);
            let revs: &mut Vec<Arc<Rev>> = match mine {
                Some(revs) => revs,
                None => return Predicted::Invalid,
            };
            let head = revs.last().cloned();
            let conflict = |head: Option<&Arc<Rev>>| Predicted::Conflict {
                entity: sent.entity.clone(),
                actual: state(head),
                rests_on: self.newest(&sent.entity).map_or(0, |rev| rev.sequence),
            };
            match &sent.what {
                SentWhat::Require if meets(head.as_ref(), sent.expect) => outcomes.push(Outcome::Held),
                SentWhat::Read(read)
                    if meets(head.as_ref(), sent.expect)
                        && head.as_ref().map_or(0, |head| head.sequence) == *read =>
                {
                    outcomes.push(Outcome::Held)
                }
                SentWhat::Require | SentWhat::Read(_) => return conflict(head.as_ref()),
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
                    if put_before && write.body == Body::Undelete && meets(head.as_ref(), sent.expect) {
                        return Predicted::Invalid;
                    }
                    match fill(&mut rev, write, revs, head.as_ref(), sent.expect, hidden) {
                        Filled::Invalid => return Predicted::Invalid,
                        Filled::Conflict => return conflict(head.as_ref()),
                        Filled::Yes => {}
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
                    let before = head.as_ref().map_or(0, |head| head.number);
                    let number = write.number.unwrap_or(before + 1);
                    if number <= before {
                        return Predicted::Invalid;
                    }
                    (rev.number, rev.parent, rev.sequence) = (number, before, sequence);
                    if let Some((at, _)) = &mut rev.address
                        && *at == 0
                    {
                        *at = sequence;
                    }
                    outcomes.push(Outcome::Written { revision: number, sequence });
                    let rev = Arc::new(rev);
                    revs.push(rev.clone());
                    changes.push(Change::Rev(sent.entity.clone(), rev));
                }
            }
        }
        if changes.is_empty() {
            let newest = batch.changes.iter().filter_map(|sent| self.newest(&sent.entity));
            return Predicted::Nothing(outcomes, newest.map(|rev| rev.sequence).max().unwrap_or(0));
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

    fn clone_heads(&self, batch: &SentBatch) -> std::collections::BTreeMap<Bytes, Vec<Arc<Rev>>> {
        let names = batch.changes.iter().map(|sent| sent.entity.clone());
        names.map(|name| (name.clone(), self.entities.get(&name).cloned().unwrap_or_default())).collect()
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
            let revs = self.entities.get(&sent.entity).map_or(&[][..], |revs| revs);
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

enum Filled {
    Yes,
    Conflict,
    Invalid,
}

/// Fills in the contents of a revision.
fn fill(
    rev: &mut Rev,
    write: &SentWrite,
    revs: &[Arc<Rev>],
    head: Option<&Arc<Rev>>,
    expect: Expect,
    hidden: impl Fn(u64) -> bool,
) -> Filled {
    if !meets(head, expect) {
        return Filled::Conflict;
    }
    let from = match &write.body {
        Body::Revert(number) => match revs.iter().find(|rev| rev.number == *number) {
            Some(from) if !from.tombstone => Some(from),
            _ => return Filled::Invalid,
        },
        Body::Undelete if !head.is_some_and(|head| head.tombstone) => return Filled::Invalid,
        Body::Undelete => match revs.iter().rev().find(|rev| !rev.tombstone) {
            Some(from) => Some(from),
            None => return Filled::Invalid,
        },
        _ => None,
    };
    if from.is_some_and(|from| hidden(from.number)) {
        return Filled::Invalid;
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
    Filled::Yes
}

/// For messages.
pub fn name(entity: &[u8]) -> String {
    Entity::new(entity).map_or_else(|_| "?".into(), |entity| entity.to_string())
}

/// For digests of contents in messages.
pub fn short(content: &[u8]) -> String {
    format!("{} bytes {:.8}", content.len(), Digest::of(content).to_string())
}
