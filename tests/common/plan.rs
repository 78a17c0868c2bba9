//! What a batch must come to: refused, carried out before, or these changes.

use std::collections::BTreeMap;

use recension::{AnnotationKind, Digest, Expect, FieldMask, Flags, HeadState, Outcome};

use super::batch::{Body, Spec, Step, Write};
use super::model::{Change, Model, Rev, Seen, What, state};

/// Revision numbers end here.
const NUMBER_MAX: u64 = (1 << 63) - 1;

#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    Conflict { entity: Vec<u8>, expected: Expect, actual: HeadState },
    Invalid(&'static str),
    Replayed { sequence: u64, outcomes: Vec<Outcome> },
    Goes { changes: Vec<Change>, outcomes: Vec<Outcome> },
}

impl Model {
    /// What the batch comes to on top of everything given out so far.
    pub fn plan(&self, spec: &Spec) -> Planned {
        let writes = || {
            spec.steps.iter().filter_map(|step| match step {
                Step::Write { write, .. } => Some(write),
                _ => None,
            })
        };
        for write in writes() {
            if write.number.is_some_and(|n| n == 0 || n > NUMBER_MAX) {
                return Planned::Invalid("a number out of range");
            }
            if !write.slots.is_empty() && !matches!(write.body, Body::Content(_) | Body::Withheld) {
                return Planned::Invalid("slots without a content");
            }
        }
        let has_request = writes().any(|write| spec.request_of(write).is_some());
        if has_request && spec.as_run {
            return Planned::Invalid("a run with request ids");
        }
        if has_request && let Some(replayed) = self.replay(spec) {
            return replayed;
        }
        let mut staged = Staged { model: self, changes: Vec::new(), heads: BTreeMap::new(), earlier: &[] };
        let mut outcomes = Vec::new();
        for (i, step) in spec.steps.iter().enumerate() {
            staged.earlier = &spec.steps[..i];
            match staged.step(spec, step) {
                Ok(outcome) => outcomes.push(outcome),
                Err(refused) => return refused,
            }
        }
        let mut changes = staged.changes;
        let count = changes.len();
        for (i, change) in changes.iter_mut().enumerate() {
            change.frame_rest = (count - 1 - i) as u32;
            change.rest = if spec.as_run { 0 } else { change.frame_rest };
        }
        Planned::Goes { changes, outcomes }
    }

    /// The change that a purge makes.
    pub fn plan_purge(&self, entity: &[u8], expected: Expect) -> Result<Change, Planned> {
        let staged = Staged { model: self, changes: Vec::new(), heads: BTreeMap::new(), earlier: &[] };
        staged.expect(entity, expected)?;
        let head = staged.head(entity).ok_or(Planned::Invalid("nothing to purge"))?;
        let what = What::Annotation {
            kind: AnnotationKind::Purge,
            first: 1,
            last: head.number,
            fields: FieldMask::ALL,
        };
        Ok(Change { entity: entity.to_vec(), rest: 0, frame_rest: 0, commit_time: 0, what })
    }

    /// Whether a change is what an annotating step would have made.
    fn is_annotation(&self, step: &Step, sequence: u64, rest: u64) -> bool {
        let Step::Annotate { entity, show, first, last, fields } = step else { return false };
        let kind = if *show { AnnotationKind::Show } else { AnnotationKind::Hide };
        let what = What::Annotation { kind, first: *first, last: (*last).min(NUMBER_MAX), fields: *fields };
        self.changes.get(sequence as usize - 1).is_some_and(|change| {
            change.entity == *entity && u64::from(change.rest) == rest && change.what == what
        })
    }

    /// An earlier attempt of the same request, looked for in the newest 16 revisions of each entity: every write of the batch is
    /// found where the batch would have put it, and nothing else is in that commit.
    fn replay(&self, spec: &Spec) -> Option<Planned> {
        let (mut outcomes, mut missing) = (Vec::new(), false);
        let mut records: Vec<Result<Seen<'_>, &Step>> = Vec::new();
        let mut taken: BTreeMap<(&[u8], Option<[u8; 16]>), usize> = BTreeMap::new();
        for step in &spec.steps {
            let (entity, expect, write) = match step {
                Step::Guard { .. } => {
                    outcomes.push(Outcome::Held);
                    continue;
                }
                Step::Annotate { .. } => {
                    outcomes.push(Outcome::Annotated { sequence: 0 });
                    records.push(Err(step));
                    continue;
                }
                Step::Write { entity, expect, write } => (entity, expect, write),
            };
            let id = spec.request_of(write);
            let mut rows: Vec<Seen<'_>> = self.revisions(entity, u64::MAX).rev().take(16).collect();
            rows.retain(|seen| id.is_some() && seen.rev.fields.request_id == id);
            rows.reverse();
            let nth = taken.entry((entity, id)).or_default();
            match rows.get(*nth) {
                Some(seen) => {
                    *nth += 1;
                    if !self.is_same(entity, write, *expect, seen.rev) {
                        return Some(Planned::Invalid("the same request id for something else"));
                    }
                    outcomes.push(Outcome::Replayed { revision: seen.rev.number, sequence: seen.sequence });
                    records.push(Ok(*seen));
                }
                None if write.if_changed => {
                    outcomes.push(Outcome::Unchanged { revision: self.head_state(entity).number() });
                }
                None => missing = true,
            }
        }
        let (index, seen) =
            records.iter().enumerate().find_map(|(i, seen)| seen.ok().map(|seen| (i as u64, seen)))?;
        let first = seen.sequence.saturating_sub(index).max(1);
        let count = records.len() as u64;
        let in_place = (first..).zip(&records).all(|(sequence, record)| {
            let rest = first + count - 1 - sequence;
            match record {
                Ok(seen) => seen.sequence == sequence && u64::from(seen.rest) == rest,
                Err(step) => self.is_annotation(step, sequence, rest),
            }
        });
        let begins = first == 1 || self.changes[first as usize - 2].rest == 0;
        if missing || !in_place || !begins || seen.sequence <= index {
            return Some(Planned::Invalid("a part of a request"));
        }
        let mut next = first;
        for outcome in &mut outcomes {
            match outcome {
                Outcome::Annotated { sequence } => *sequence = next,
                Outcome::Replayed { .. } => {}
                _ => continue,
            }
            next += 1;
        }
        Some(Planned::Replayed { sequence: first + count - 1, outcomes })
    }

    /// Whether a revision is what the write would have made.
    fn is_same(&self, entity: &[u8], write: &Write, expect: Expect, rev: &Rev) -> bool {
        let behind = !matches!(expect, Expect::Head(number) if rev.number <= number);
        let numbered = write.number.is_none_or(|number| number == rev.number);
        if !behind || !numbered || (write.body == Body::Tombstone) != rev.deleted {
            return false;
        }
        let below = |end: u64| self.revisions(entity, u64::MAX).rev().find(move |seen| seen.rev.number < end);
        let of = |rev: &Rev| {
            let gone = self.forgotten(entity, rev.number).contains(FieldMask::CONTENT);
            let slots = rev.slots.iter();
            let slots = slots.map(|(role, content)| (role.clone(), content.as_ref().map(|it| it.0.clone())));
            (!gone).then(|| (rev.content.as_ref().map(|it| it.0.clone()), slots.collect::<Vec<_>>()))
        };
        let wanted = match &write.body {
            Body::Tombstone => return true,
            Body::Content(bytes) => Some((Some(bytes.clone()), write.slots.clone())),
            Body::Withheld => Some((None, write.slots.clone())),
            Body::Revert(number) => match below(number.saturating_add(1)) {
                Some(to) if to.rev.number == *number && *number < rev.number && !to.rev.deleted => of(to.rev),
                _ => return false,
            },
            Body::Undelete => {
                if !below(rev.number).is_some_and(|before| before.rev.deleted) {
                    return false;
                }
                let mut older = self.revisions(entity, u64::MAX).rev();
                match older.find(|seen| seen.rev.number < rev.number && !seen.rev.deleted) {
                    Some(live) => of(live.rev),
                    None => return false,
                }
            }
        };
        // What is forgotten cannot be compared.
        let there = of(rev);
        wanted.is_none() || there.is_none() || wanted == there
    }
}

/// A batch on its way: what its earlier steps did is what its later steps see.
struct Staged<'a> {
    model: &'a Model,
    changes: Vec<Change>,
    heads: BTreeMap<Vec<u8>, Rev>,
    earlier: &'a [Step],
}

impl Staged<'_> {
    fn head(&self, entity: &[u8]) -> Option<Rev> {
        self.heads
            .get(entity)
            .cloned()
            .or_else(|| self.model.head(entity, u64::MAX).map(|seen| seen.rev.clone()))
    }

    fn state(&self, entity: &[u8]) -> HeadState {
        self.heads.get(entity).map_or_else(|| self.model.head_state(entity), state)
    }

    fn sequence(&self) -> u64 {
        self.model.last() + self.changes.len() as u64 + 1
    }

    fn push(&mut self, entity: &[u8], what: What) {
        self.changes.push(Change { entity: entity.to_vec(), rest: 0, frame_rest: 0, commit_time: 0, what });
    }

    fn expect(&self, entity: &[u8], expect: Expect) -> Result<(), Planned> {
        let actual = self.state(entity);
        let holds = match expect {
            Expect::Absent => actual == HeadState::Absent,
            Expect::Head(number) => {
                matches!(actual, HeadState::Live(n) | HeadState::Deleted(n) if n == number)
            }
            _ => true,
        };
        if holds {
            Ok(())
        } else {
            Err(Planned::Conflict { entity: entity.to_vec(), expected: expect, actual })
        }
    }

    fn step(&mut self, spec: &Spec, step: &Step) -> Result<Outcome, Planned> {
        match step {
            Step::Guard { entity, expect } => self.expect(entity, *expect).map(|()| Outcome::Held),
            Step::Annotate { entity, show, first, last, fields } => {
                if self.head(entity).is_none() {
                    return Err(Planned::Invalid("nothing to hide"));
                }
                let sequence = self.sequence();
                let kind = if *show { AnnotationKind::Show } else { AnnotationKind::Hide };
                self.push(
                    entity,
                    What::Annotation { kind, first: *first, last: (*last).min(NUMBER_MAX), fields: *fields },
                );
                Ok(Outcome::Annotated { sequence })
            }
            Step::Write { entity, expect, write } => self.write(spec, entity, *expect, write),
        }
    }

    fn write(
        &mut self,
        spec: &Spec,
        entity: &[u8],
        expect: Expect,
        write: &Write,
    ) -> Result<Outcome, Planned> {
        self.expect(entity, expect)?;
        let head = self.head(entity);
        let number_before = self.state(entity).number();
        let sequence = self.sequence();
        let mut fields = write.fields.clone();
        fields.request_id = spec.request_of(write);
        let mut rev = Rev {
            number: write.number.unwrap_or(number_before + 1),
            // What was purged is nobody's parent.
            parent: write.parent.unwrap_or(head.as_ref().map_or(0, |head| head.number)),
            deleted: write.body == Body::Tombstone,
            flags: write.flags,
            authored: write.authored,
            effective: 0,
            content: None,
            fields,
            slots: Vec::new(),
        };
        let mut stored = 0;
        let mut address = || {
            stored += 1;
            (sequence, stored - 1)
        };
        match &write.body {
            Body::Content(bytes) => rev.content = Some((bytes.clone(), address())),
            Body::Withheld => rev.flags = rev.flags.with(Flags::CONTENT_WITHHELD),
            Body::Tombstone => {}
            Body::Revert(number) => {
                let old = self.model.revisions(entity, u64::MAX).find(|seen| seen.rev.number == *number);
                let old = old.ok_or(Planned::Invalid("no such revision"))?.rev;
                self.require_shown(entity, old)?;
                reuse(&mut rev, old)?;
            }
            Body::Undelete => {
                if !head.as_ref().is_some_and(|head| head.deleted) {
                    return Err(Planned::Invalid("not deleted"));
                }
                let puts = |step: &&Step| matches!(step, Step::Write { entity: e, write, .. } if e == entity && write.body != Body::Tombstone);
                if self.earlier.iter().any(|step| puts(&step)) {
                    return Err(Planned::Invalid("its content is in the same batch"));
                }
                let old = self.model.revisions(entity, u64::MAX).rfind(|seen| !seen.rev.deleted);
                let old = old.ok_or(Planned::Invalid("nothing to bring back"))?.rev;
                self.require_shown(entity, old)?;
                reuse(&mut rev, old)?;
            }
        }
        for (role, bytes) in &write.slots {
            rev.slots.push((role.clone(), bytes.clone().map(|bytes| (bytes, address()))));
        }
        if write.if_changed && rev.slots.is_empty() && self.is_unchanged(entity, head.as_ref(), &rev) {
            return Ok(Outcome::Unchanged { revision: number_before });
        }
        if rev.number <= number_before || rev.number > NUMBER_MAX {
            return Err(Planned::Invalid("a number that is not above the head's"));
        }
        let revision = rev.number;
        self.heads.insert(entity.to_vec(), rev.clone());
        self.push(entity, What::Revision(rev));
        Ok(Outcome::Written { revision, sequence })
    }

    fn is_unchanged(&self, entity: &[u8], head: Option<&Rev>, rev: &Rev) -> bool {
        let Some(head) = head.filter(|head| !head.deleted) else { return false };
        let (Some((old, _)), Some((new, _))) = (&head.content, &rev.content) else { return false };
        !self.is_hidden(entity, head.number) && Digest::of(old) == Digest::of(new)
    }

    /// Whether a content is hidden; what an earlier step of the same batch hides counts, too.
    fn is_hidden(&self, entity: &[u8], number: u64) -> bool {
        let mut with_batch = self.model.clone();
        with_batch.push(self.changes.clone());
        let withheld = with_batch.hidden(entity, number, u64::MAX).with(with_batch.forgotten(entity, number));
        withheld.contains(FieldMask::CONTENT)
    }

    /// A content that is hidden must not come back to light as that of a new revision.
    fn require_shown(&self, entity: &[u8], old: &Rev) -> Result<(), Planned> {
        match self.is_hidden(entity, old.number) {
            true => Err(Planned::Invalid("its content is hidden")),
            false => Ok(()),
        }
    }
}

fn reuse(rev: &mut Rev, old: &Rev) -> Result<(), Planned> {
    if old.deleted {
        return Err(Planned::Invalid("a tombstone has no content"));
    }
    if old.content.is_none() {
        rev.flags = rev.flags.with(Flags::CONTENT_WITHHELD);
    }
    rev.content.clone_from(&old.content);
    rev.slots.clone_from(&old.slots);
    if rev.fields.content_type.is_none() {
        rev.fields.content_type.clone_from(&old.fields.content_type);
    }
    Ok(())
}
