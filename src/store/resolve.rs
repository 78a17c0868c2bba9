//! Making out the records of a batch, outside the critical section: reverts and undeletes find their content, `if_changed` compares,
//! request ids are looked for. The result is a [`Plan`]: it holds as long as the heads that it was made with do.

use super::draft::{Committed, Outcome};
use super::heads::HeadInfo;
use super::inner::Inner;
use super::prepare::{Prepared, PreparedBody, PreparedWhat, PreparedWrite};
use crate::index::Order;
use crate::limits;
use crate::log::{FrameDraft, MainContent, RecordDraft};
use crate::model::{Bound, ContentRef, Digest, Entity, Expect, Fields, Flags, RevisionKind, Row};
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
}

impl Inner {
    /// Resolves with the heads as they were published at sequence `at`.
    pub(crate) fn resolve(&self, batch: &Prepared, heads: &[HeadInfo], at: u64) -> Result<Resolved> {
        if batch.has_request_id
            && let Some(committed) = self.find_replay(batch, at)?
        {
            return Ok(Resolved::Replayed(committed));
        }
        let mut heads = heads.to_vec();
        let mut records = Vec::with_capacity(batch.ops.len());
        let mut drafts = Vec::with_capacity(batch.ops.len());
        for op in &batch.ops {
            let draft = match &op.what {
                PreparedWhat::Guard { .. } => None,
                PreparedWhat::Annotate(annotation) => Some(RecordDraft::Annotation(annotation.clone())),
                PreparedWhat::Write(write) => {
                    let (entity, _) = batch.entities.get(op.entity).ok_or_else(out_of_step)?;
                    let head = heads.get_mut(op.entity).ok_or_else(out_of_step)?;
                    self.resolve_write(entity, write, head, at)?
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

    /// The record of one revision, and `head` moved on; `None` if `if_changed` says that there is nothing to write.
    fn resolve_write(
        &self,
        entity: &Entity,
        write: &PreparedWrite,
        head: &mut HeadInfo,
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
                let row = row.filter(|row| row.number == number).ok_or_else(|| {
                    Error::invalid(format!("{entity} has no revision {number} to revert to"))
                })?;
                self.reuse(entity, &row, &mut fields, &mut flags)?
            }
            PreparedBody::Undelete => {
                // An expectation that does not hold is the caller's first concern: let the reservation say so.
                if !head.meets(write.expect) {
                    MainContent::None
                } else if head.kind != Some(RevisionKind::Delete) {
                    return Err(Error::invalid(format!(
                        "{entity} is not deleted: there is nothing to undelete"
                    )));
                } else {
                    let row = self.newest_live_row(entity, at)?.ok_or_else(|| {
                        Error::invalid(format!("{entity} has no live revision to bring back: put a new one"))
                    })?;
                    self.reuse(entity, &row, &mut fields, &mut flags)?
                }
            }
        };
        let (reference, digest) = match &content {
            MainContent::Reused(reference, digest) => (Some(*reference), Some(*digest)),
            MainContent::Stored => (None, write.units.first().map(|unit| unit.digest)),
            MainContent::None => (None, None),
        };
        if write.if_changed
            && let Some(digest) = digest
            && head.meets(write.expect)
            && fields.slots.is_empty()
            && self.is_unchanged(entity, head, digest)?
        {
            return Ok(None);
        }
        *head = HeadInfo {
            // Moved on: nothing later in this batch may take the old content for the head's.
            sequence: u64::MAX,
            number: head.number.saturating_add(1),
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
        fields: &mut Fields,
        flags: &mut Flags,
    ) -> Result<MainContent> {
        let Some(reference) = row.content else {
            if row.flags.contains(Flags::CONTENT_WITHHELD) {
                *flags = flags.with(Flags::CONTENT_WITHHELD);
                return Ok(MainContent::None);
            }
            return Err(Error::invalid(format!(
                "revision {} of {entity} is a tombstone: it has no content",
                row.number
            )));
        };
        let mut old = Fields::decode(&row.cold).map_err(|bad| self.bad_fields(entity, row, bad))?;
        old.resolve(row.sequence);
        fields.slots = old.slots;
        if fields.content_type.is_none() {
            fields.content_type = old.content_type;
        }
        let digest = self.values().digest(reference.address)?;
        Ok(MainContent::Reused(reference, digest))
    }

    fn is_unchanged(&self, entity: &Entity, head: &HeadInfo, digest: Digest) -> Result<bool> {
        if head.kind != Some(RevisionKind::Put) {
            return Ok(false);
        }
        if let Some(known) = head.digest {
            return Ok(known == digest);
        }
        let Some(reference) = head.content.filter(|reference: &ContentRef| reference.tag == digest.tag())
        else {
            return Ok(false);
        };
        if self.hidden(entity, head.number)?.contains(crate::model::FieldMask::CONTENT) {
            return Ok(false);
        }
        Ok(self.values().digest(reference.address)? == digest)
    }

    fn newest_live_row(&self, entity: &Entity, at: u64) -> Result<Option<Row>> {
        for row in self.view().rows(entity, &Bound::at(at), Order::Descending) {
            let row = row?;
            if row.kind == RevisionKind::Put && row.content.is_some() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Looks for an earlier attempt of the same request among the newest revisions of its entities.
    fn find_replay(&self, batch: &Prepared, at: u64) -> Result<Option<Committed>> {
        let mut outcomes = Vec::with_capacity(batch.ops.len());
        let mut found: Vec<Row> = Vec::new();
        let mut missing = false;
        let mut seen = std::collections::BTreeMap::new();
        for op in &batch.ops {
            let PreparedWhat::Write(write) = &op.what else {
                outcomes.push(Outcome::Held);
                continue;
            };
            let (Some(id), Some((entity, _))) = (write.fields.request_id, batch.entities.get(op.entity))
            else {
                missing = true;
                continue;
            };
            let nth: &mut usize = seen.entry((op.entity, id)).or_default();
            let Some(row) = self.rows_of_request(entity, id, at)?.into_iter().nth(*nth) else {
                missing = true;
                continue;
            };
            *nth += 1;
            if !same_write(write, &row) {
                return Err(reused_request(entity));
            }
            outcomes.push(Outcome::Replayed { revision: row.number, sequence: row.sequence });
            found.push(row);
        }
        let Some(last) = found.last() else { return Ok(None) };
        let whole = !missing
            && last.commit_rest == 0
            && found.iter().zip(found.iter().skip(1)).all(|(a, b)| {
                a.sequence.checked_add(1) == Some(b.sequence)
                    && a.commit_rest.checked_sub(1) == Some(b.commit_rest)
            });
        if !whole {
            let (entity, _) = batch.entities.first().ok_or_else(out_of_step)?;
            return Err(reused_request(entity));
        }
        Ok(Some(Committed { sequence: last.sequence, outcomes }))
    }

    /// Revisions made under a request id, oldest first, among the newest few of the entity.
    fn rows_of_request(&self, entity: &Entity, id: [u8; 16], at: u64) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let newest = self.view().rows(entity, &Bound::at(at), Order::Descending);
        for row in newest.take(limits::REPLAY_REVISIONS as usize) {
            let row = row?;
            let fields = Fields::decode(&row.cold).map_err(|bad| self.bad_fields(entity, &row, bad))?;
            if fields.request_id == Some(id) {
                rows.push(row);
            }
        }
        rows.reverse();
        Ok(rows)
    }

    pub(crate) fn bad_fields(&self, entity: &Entity, row: &Row, bad: crate::codec::Malformed) -> Error {
        Error::malformed(self.path(), 0, bad, format!("metadata of revision {} of {entity}", row.number))
    }
}

/// Whether a revision is what this write would have made.
fn same_write(write: &PreparedWrite, row: &Row) -> bool {
    let same_number = match write.expect {
        Expect::Head(number) => row.number > number,
        _ => true,
    };
    let same_content = match (&write.body, write.units.first(), row.content) {
        (PreparedBody::Stored, Some(unit), Some(content)) => {
            unit.digest.tag() == content.tag && unit.raw_len == content.len
        }
        (PreparedBody::Stored, ..) => false,
        _ => true,
    };
    same_number && same_content && write.kind() == row.kind
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
