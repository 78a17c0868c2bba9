//! Whether a batch with request ids was carried out before: then the first attempt's answer is the answer.
//!
//! 1. All of it or nothing: every write is found where the batch would have put it, the annotations stand between them, and nothing else is in that commit. A
//!    part of it, or the same id for something else, is a mistake of the caller, and told.
//! 2. Contents are compared by length and tag. What was forgotten since cannot be compared; the id alone has to do.

use bytes::Bytes;

use super::out_of_step;
use crate::index::Order;
use crate::limits;
use crate::log::{Change, FrameKind, LoggedChange};
use crate::model::{
    Address, Annotation, AnnotationKind, Bound, ContentRef, Entity, Expect, FieldMask, Fields, RevisionKind,
    Row,
};
use crate::store::draft::{Committed, Outcome};
use crate::store::heads::HeadInfo;
use crate::store::inner::Inner;
use crate::store::prepare::{Prepared, PreparedBody, PreparedWhat, PreparedWrite};
use crate::{Error, Result};

impl Inner {
    /// Looks for an earlier attempt of the same request among the newest revisions of its entities. It is one if every write of
    /// the batch is found where the batch would have put it, and nothing else is in that commit.
    pub(super) fn find_replay(
        &self,
        batch: &Prepared,
        heads: &[HeadInfo],
        at: u64,
    ) -> Result<Option<Committed>> {
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
        let is_run = batch.frame == FrameKind::Run;
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
}

/// A record that a commit must have to be the first attempt of a request.
enum Wanted<'a> {
    /// The row that was found for a write.
    Row(Row),
    Note(&'a Annotation),
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
