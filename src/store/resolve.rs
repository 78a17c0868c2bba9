//! Making out the records of a batch, outside the critical section: reverts and undeletes find their content, `if_changed` compares,
//! request ids are looked for. The result is a [`Plan`]: it holds as long as the heads that it was made with do.

use bytes::Bytes;

use super::draft::{Committed, Outcome};
use super::heads::HeadInfo;
use super::inner::Inner;
use super::prepare::{Prepared, PreparedBody, PreparedOp, PreparedWhat, PreparedWrite};
use crate::index::Order;
use crate::limits;
use crate::log::{Change, FrameDraft, LoggedChange, MainContent, RecordDraft};
use crate::model::{
    Address, Annotation, AnnotationKind, Bound, ContentRef, Digest, Entity, Expect, FieldMask, Fields, Flags,
    RevisionKind, Row,
};
use crate::{Error, Result};

/// The records of a batch.
pub(crate) struct Plan {
    /// `None` if nothing is to be written.
    pub(crate) frame: Option<FrameDraft>,
    /// For each op: its record in the frame.
    pub(crate) records: Vec<Option<usize>>,
}

/// What resolving came to.
pub(crate) enum Resolved {
    Plan(Plan),
    /// The request was carried out before.
    Replayed(Committed),
    /// With these heads it does not go through.
    Refused(Error),
}

impl Inner {
    /// Resolves with the heads as they were published at sequence `at`.
    pub(crate) fn resolve(&self, batch: &Prepared, heads: &[HeadInfo], at: u64) -> Result<Resolved> {
        match self.try_resolve(batch, heads, at) {
            Err(refusal @ (Error::Invalid { .. } | Error::Conflict { .. })) => Ok(Resolved::Refused(refusal)),
            resolved => resolved,
        }
    }

    fn try_resolve(&self, batch: &Prepared, heads: &[HeadInfo], at: u64) -> Result<Resolved> {
        if batch.has_request_id
            && let Some(committed) = self.find_replay(batch, heads, at)?
        {
            return Ok(Resolved::Replayed(committed));
        }
        let mut heads = heads.to_vec();
        let mut records = Vec::with_capacity(batch.ops.len());
        let mut drafts = Vec::with_capacity(batch.ops.len());
        for (i, op) in batch.ops.iter().enumerate() {
            let (entity, _) = batch.entities.get(op.entity).ok_or_else(out_of_step)?;
            let head = heads.get_mut(op.entity).ok_or_else(out_of_step)?;
            if batch.needs_head {
                // The first step that does not hold decides, so later ones are not looked at. (Without need of heads they may be
                // pending ones, which only the reservation sees.)
                head.admit(entity, &op.what)?;
            }
            let draft = match &op.what {
                PreparedWhat::Guard { .. } => None,
                PreparedWhat::Annotate(annotation) => {
                    let mut annotation = annotation.clone();
                    if annotation.kind == AnnotationKind::Purge {
                        (annotation.first, annotation.last) = (1, head.number);
                        if let Some(erasure) = &mut annotation.erasure {
                            erasure.time = head.effective_time;
                        }
                    }
                    Some(RecordDraft::Annotation(annotation))
                }
                PreparedWhat::Write(write) => {
                    let earlier = batch.ops.get(..i).unwrap_or_default();
                    let earlier = Earlier { ops: earlier, entity: op.entity };
                    self.resolve_write(entity, write, &earlier, head, batch.needs_head, at)?
                }
            };
            records.push(draft.is_some().then_some(drafts.len()));
            drafts.extend(draft);
        }
        let frame = match drafts.is_empty() {
            true => None,
            false => Some(FrameDraft::new(batch.frame, drafts)?),
        };
        Ok(Resolved::Plan(Plan { frame, records }))
    }

    /// The record of one revision, and `head` (which the step was admitted on, if `checked`) moved on; `None` if `if_changed` says that there is nothing to write.
    fn resolve_write(
        &self,
        entity: &Entity,
        write: &PreparedWrite,
        earlier: &Earlier<'_>,
        head: &mut HeadInfo,
        checked: bool,
        at: u64,
    ) -> Result<Option<RecordDraft>> {
        let mut fields = write.fields.clone();
        let mut flags = write.flags;
        let content = match write.body {
            PreparedBody::Tombstone => MainContent::None,
            PreparedBody::Withheld => MainContent::None,
            PreparedBody::Stored => MainContent::Stored,
            PreparedBody::Reuse(number) => {
                let row = self.find_row(entity, &Bound { number, ..Bound::at(at) })?;
                let gone = self.purged_to(entity)?;
                let row = row.filter(|row| row.number == number && number > gone).ok_or_else(|| {
                    Error::invalid(format!("{entity} has no revision {number} to revert to"))
                })?;
                self.reuse(entity, &row, earlier, &mut fields, &mut flags)?
            }
            PreparedBody::Undelete => {
                if head.kind != Some(RevisionKind::Delete) {
                    return Err(Error::invalid(format!(
                        "{entity} is not deleted: there is nothing to undelete"
                    )));
                }
                if earlier.put_content() {
                    return Err(Error::invalid(format!(
                        "{entity}: the content to bring back is written in the same batch: put it again instead"
                    )));
                }
                let row = self.newest_live_row(entity, &Bound::at(at))?.ok_or_else(|| {
                    Error::invalid(format!("{entity} has no live revision to bring back: put a new one"))
                })?;
                self.reuse(entity, &row, earlier, &mut fields, &mut flags)?
            }
        };
        let (reference, digest) = match &content {
            MainContent::Reused(reference, digest) => (Some(*reference), Some(*digest)),
            MainContent::Stored => (None, write.units.first().map(|unit| unit.digest)),
            MainContent::None => (None, None),
        };
        if write.if_changed
            && let Some(digest) = digest
            && fields.slots.is_empty()
            && self.is_unchanged(entity, head, digest, earlier)?
        {
            return Ok(None);
        }
        let number = match checked {
            true => head.next_number(entity, write)?,
            false => head.number,
        };
        *head = HeadInfo {
            // Moved on: nothing later in this batch may take the old content for the head's.
            sequence: u64::MAX,
            until: u64::MAX,
            number,
            kind: Some(write.kind()),
            effective_time: head.effective_time,
            content: reference,
            digest,
        };
        let cold = fields.encode();
        if cold.len() > limits::FIELDS_LEN_MAX {
            return Err(Error::invalid(format!(
                "{entity}: author, comment, tags and attributes have at most {} bytes together, these have {}",
                limits::FIELDS_LEN_MAX,
                cold.len()
            )));
        }
        Ok(Some(RecordDraft::Revision {
            entity: entity.clone(),
            kind: write.kind(),
            flags,
            authored_time: write.authored,
            content,
            units: write.units.clone(),
            cold: cold.into(),
        }))
    }

    /// A reference to the contents of an earlier revision, flattened to where the bytes are.
    fn reuse(
        &self,
        entity: &Entity,
        row: &Row,
        earlier: &Earlier<'_>,
        fields: &mut Fields,
        flags: &mut Flags,
    ) -> Result<MainContent> {
        if row.kind == RevisionKind::Delete {
            return Err(Error::invalid(format!(
                "revision {} of {entity} is a tombstone: it has no content",
                row.number
            )));
        }
        let seen = self.visibility(entity, row.number)?;
        if seen.forgotten.contains(FieldMask::CONTENT) && !planted!("revert brings back the forgotten") {
            return Err(Error::invalid(format!(
                "the content of revision {} of {entity} was forgotten: there is nothing to bring back",
                row.number
            )));
        }
        if earlier.hidden(row.number, seen.hidden).contains(FieldMask::CONTENT) {
            return Err(Error::invalid(format!(
                "the content of revision {} of {entity} is hidden: a new revision would show it; show it first",
                row.number
            )));
        }
        let mut old = Fields::decode(&row.cold).map_err(|bad| self.bad_fields(entity, row, bad))?;
        old.resolve(row.sequence);
        fields.slots = old.slots;
        if fields.content_type.is_none() {
            fields.content_type = old.content_type;
        }
        let Some(reference) = row.content else {
            *flags = flags.with(Flags::CONTENT_WITHHELD);
            return Ok(MainContent::None);
        };
        let digest = self.values().digest(entity.as_bytes(), reference.address)?;
        Ok(MainContent::Reused(reference, digest))
    }

    fn is_unchanged(
        &self,
        entity: &Entity,
        head: &HeadInfo,
        digest: Digest,
        earlier: &Earlier<'_>,
    ) -> Result<bool> {
        if head.kind != Some(RevisionKind::Put) {
            return Ok(false);
        }
        let same_tag = match head.digest {
            Some(known) => known == digest,
            None => head.content.is_some_and(|reference| reference.tag == digest.tag()),
        };
        if !same_tag {
            return Ok(false);
        }
        let hidden = earlier.hidden(head.number, self.visibility(entity, head.number)?.withheld());
        if hidden.contains(FieldMask::CONTENT) && !planted!("if changed ignores hiding") {
            return Ok(false);
        }
        match (head.digest, head.content) {
            (None, Some(reference)) => {
                Ok(self.values().digest(entity.as_bytes(), reference.address)? == digest)
            }
            _ => Ok(true),
        }
    }

    fn newest_live_row(&self, entity: &Entity, bound: &Bound) -> Result<Option<Row>> {
        let gone = self.purged_to(entity)?;
        for row in self.view().rows(entity, bound, Order::Descending) {
            let row = row?;
            if row.number <= gone {
                return Ok(None);
            }
            if row.kind == RevisionKind::Put {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Looks for an earlier attempt of the same request among the newest revisions of its entities. It is one if every write of
    /// the batch is found where the batch would have put it, and nothing else is in that commit.
    fn find_replay(&self, batch: &Prepared, heads: &[HeadInfo], at: u64) -> Result<Option<Committed>> {
        let mut outcomes = Vec::with_capacity(batch.ops.len());
        // What the commit must have, record by record.
        let mut records: Vec<Wanted<'_>> = Vec::new();
        let mut missing = false;
        let mut seen = std::collections::BTreeMap::new();
        for op in &batch.ops {
            let write = match &op.what {
                PreparedWhat::Write(write) => write,
                PreparedWhat::Guard { .. } => {
                    outcomes.push(Outcome::Held);
                    continue;
                }
                PreparedWhat::Annotate(note) => {
                    // Its sequence number is known when a row beside it is.
                    outcomes.push(Outcome::Annotated { sequence: 0 });
                    records.push(Wanted::Note(note));
                    continue;
                }
            };
            let (entity, _) = batch.entities.get(op.entity).ok_or_else(out_of_step)?;
            let nth: &mut usize = seen.entry((op.entity, write.fields.request_id)).or_default();
            let found = match write.fields.request_id {
                Some(id) => self.rows_of_request(entity, id, at)?.into_iter().nth(*nth),
                None => None,
            };
            match found {
                Some(row) => {
                    *nth += 1;
                    if !self.is_same_write(entity, write, &row, at)? {
                        return Err(reused_request(entity));
                    }
                    outcomes.push(Outcome::Replayed { revision: row.number, sequence: row.sequence });
                    records.push(Wanted::Row(row));
                }
                // The first attempt may have found nothing to write here.
                None if write.if_changed => {
                    let head = heads.get(op.entity).ok_or_else(out_of_step)?;
                    outcomes.push(Outcome::Unchanged { revision: head.number });
                }
                None => missing = true,
            }
        }
        let placed = records.iter().zip(0_u64..).find_map(|(record, index)| match record {
            Wanted::Row(row) => Some(row.sequence.saturating_sub(index)),
            Wanted::Note(_) => None,
        });
        let Some(first) = placed else { return Ok(None) };
        if missing || !self.is_whole_commit(batch, &records, first)? {
            let (entity, _) = batch.entities.first().ok_or_else(out_of_step)?;
            return Err(reused_request(entity));
        }
        let mut next = first;
        for outcome in &mut outcomes {
            match outcome {
                Outcome::Annotated { sequence } => {
                    *sequence = next;
                    next = next.saturating_add(1);
                }
                Outcome::Replayed { .. } => next = next.saturating_add(1),
                _ => {}
            }
        }
        let last = first.saturating_add(records.len() as u64).saturating_sub(1);
        Ok(Some(Committed { sequence: last, outcomes }))
    }

    /// Whether a revision that was made under the write's request id is what the write would have made: the same kind with the same
    /// contents, all slots of them, behind what it expects. What is forgotten cannot be compared; the id alone has to do.
    fn is_same_write(&self, entity: &Entity, write: &PreparedWrite, row: &Row, at: u64) -> Result<bool> {
        let behind = match write.expect {
            Expect::Head(number) => row.number > number,
            _ => true,
        };
        if !behind || write.kind() != row.kind || write.number.is_some_and(|number| number != row.number) {
            return Ok(false);
        }
        let below = |number: u64| self.find_row(entity, &Bound { number, ..Bound::at(at) });
        let wanted = match write.body {
            PreparedBody::Tombstone => return Ok(true),
            PreparedBody::Withheld => Some(Contents::new(None, &write.fields.slots)),
            PreparedBody::Stored => {
                let unit = write.units.first().ok_or_else(out_of_step)?;
                let address = Address { sequence: 0, slot: 0 };
                let main = ContentRef { address, len: unit.raw_len, tag: unit.digest.tag() };
                Some(Contents::new(Some(main), &write.fields.slots))
            }
            PreparedBody::Reuse(number) => match below(number)? {
                Some(to) if to.number == number && number < row.number && to.kind == RevisionKind::Put => {
                    self.contents(entity, &to)?
                }
                _ => return Ok(false),
            },
            PreparedBody::Undelete => {
                let before = below(row.number.saturating_sub(1))?;
                if before.is_none_or(|before| before.kind != RevisionKind::Delete) {
                    return Ok(false);
                }
                match self.newest_live_row(
                    entity,
                    &Bound { number: row.number.saturating_sub(1), ..Bound::at(at) },
                )? {
                    Some(live) => self.contents(entity, &live)?,
                    None => return Ok(false),
                }
            }
        };
        let there = self.contents(entity, row)?;
        Ok(wanted.is_none() || there.is_none() || wanted == there)
    }

    /// What contents a revision has; `None` if they are forgotten.
    fn contents(&self, entity: &Entity, row: &Row) -> Result<Option<Contents>> {
        if self.visibility(entity, row.number)?.forgotten.contains(FieldMask::CONTENT) {
            return Ok(None);
        }
        let fields = Fields::decode(&row.cold).map_err(|bad| self.bad_fields(entity, row, bad))?;
        Ok(Some(Contents::new(row.content, &fields.slots)))
    }

    /// Whether the records stand one behind the other from `first` on, and are all of their commit.
    fn is_whole_commit(&self, batch: &Prepared, records: &[Wanted<'_>], first: u64) -> Result<bool> {
        let is_run = batch.frame == crate::log::FrameKind::Run;
        let count = records.len() as u64;
        for (i, record) in (0_u64..).zip(records) {
            let rest = if is_run { 0 } else { count.saturating_sub(i).saturating_sub(1) };
            let sequence = first.saturating_add(i);
            let there = match record {
                Wanted::Row(row) => row.sequence == sequence && u64::from(row.commit_rest) == rest,
                Wanted::Note(note) => self.is_logged(note, sequence, rest)?,
            };
            if !there {
                return Ok(false);
            }
        }
        let Some(before) = first.checked_sub(1).filter(|before| *before > 0 && !is_run) else {
            return Ok(true);
        };
        Ok(self.logged(before)?.is_none_or(|change| change.commit_rest == 0))
    }

    /// Whether an annotation of a batch is what the log has there, so many changes before the end of its commit.
    fn is_logged(&self, note: &Annotation, sequence: u64, rest: u64) -> Result<bool> {
        let Some(change) = self.logged(sequence)?.filter(|change| u64::from(change.commit_rest) == rest)
        else {
            return Ok(false);
        };
        Ok(match change.change {
            // It went with a purge of its entity.
            Change::Erased { .. } => true,
            Change::Annotation(there) => {
                // What a purge and a job say besides is made out anew each time.
                let range = note.kind == AnnotationKind::Purge
                    || (there.first, there.last) == (note.first, note.last);
                let said = |it: &Annotation| {
                    (it.kind, it.fields, it.entity.clone(), it.actor.clone(), it.reason.clone())
                };
                range && said(&there) == said(note)
            }
            Change::Revision { .. } => false,
        })
    }

    fn logged(&self, sequence: u64) -> Result<Option<LoggedChange>> {
        let values = self.values();
        let Some(before) = sequence.checked_sub(1) else { return Ok(None) };
        values.find(sequence).and_then(|column| column.changes(before, sequence).next()).transpose()
    }

    /// Revisions made under a request id, oldest first, among the newest few of the entity.
    fn rows_of_request(&self, entity: &Entity, id: [u8; 16], at: u64) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let newest = self.view().rows(entity, &Bound::at(at), Order::Descending);
        let most = if planted!("request id forgotten") { 1 } else { limits::REPLAY_REVISIONS as usize };
        let gone = self.purged_to(entity)?;
        for row in newest.take(most) {
            let row = row?;
            if row.number <= gone {
                break;
            }
            let fields = Fields::decode(&row.cold).map_err(|bad| self.bad_fields(entity, &row, bad))?;
            if fields.request_id == Some(id) {
                rows.push(row);
            }
        }
        rows.reverse();
        Ok(rows)
    }

    /// Revisions up to this number were purged; 0 for none.
    fn purged_to(&self, entity: &Entity) -> Result<u64> {
        Ok(self.purge(entity.as_bytes())?.map_or(0, |purge| purge.last))
    }

    pub(crate) fn bad_fields(&self, entity: &Entity, row: &Row, bad: crate::codec::Malformed) -> Error {
        Error::malformed(self.path(), 0, bad, format!("metadata of revision {} of {entity}", row.number))
    }
}

/// A record that a commit must have to be the first attempt of a request.
enum Wanted<'a> {
    /// The row that was found for a write.
    Row(Row),
    Note(&'a Annotation),
}

/// The steps of a batch in front of one, and its entity.
struct Earlier<'a> {
    ops: &'a [PreparedOp],
    entity: usize,
}

impl Earlier<'_> {
    fn steps(&self) -> impl Iterator<Item = &PreparedWhat> {
        self.ops.iter().filter(|op| op.entity == self.entity).map(|op| &op.what)
    }

    /// Whether one of them may have written a content.
    fn put_content(&self) -> bool {
        self.steps()
            .any(|what| matches!(what, PreparedWhat::Write(write) if write.kind() == RevisionKind::Put))
    }

    /// What is hidden of a revision behind them, if `mask` was before.
    fn hidden(&self, number: u64, mask: FieldMask) -> FieldMask {
        self.steps().fold(mask, |mask, what| match what {
            PreparedWhat::Annotate(annotation) if (annotation.first..=annotation.last).contains(&number) => {
                match annotation.kind {
                    AnnotationKind::Show => mask.without(annotation.fields),
                    _ => mask.with(annotation.fields),
                }
            }
            _ => mask,
        })
    }
}

/// The contents of a revision as a write would give them again: those of the same length and tag are the same ones.
#[derive(PartialEq)]
struct Contents {
    main: Option<(u32, u64)>,
    slots: Vec<(Bytes, Option<(u32, u64)>)>,
}

impl Contents {
    fn new(main: Option<ContentRef>, slots: &[(Bytes, Option<ContentRef>)]) -> Self {
        let said = |content: &ContentRef| (content.len, content.tag);
        let slots = slots.iter().map(|(role, content)| (role.clone(), content.as_ref().map(said)));
        Self { main: main.as_ref().map(said), slots: slots.collect() }
    }
}

fn reused_request(entity: &Entity) -> Error {
    Error::invalid(format!(
        "the request id was used before for another change of {entity}, or for other changes together with it: \
         use a new id for each request"
    ))
}

pub(crate) fn out_of_step() -> Error {
    Error::invalid("internal: the batch and its entities are out of step")
}
