//! Making out the records of a batch, outside the critical section: reverts and undeletes find their content, `if_changed` compares,
//! request ids are looked for. The result is a [`Plan`]: it holds as long as the heads that it was made with do.

mod replay;

use super::draft::Committed;
use super::heads::HeadInfo;
use super::inner::Inner;
use super::prepare::{Prepared, PreparedBody, PreparedOp, PreparedWhat, PreparedWrite};
use crate::index::Order;
use crate::limits;
use crate::log::{FrameDraft, MainContent, RecordDraft};
use crate::model::{AnnotationKind, Bound, Digest, Entity, FieldMask, Fields, Flags, RevisionKind, Row};
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

    /// Revisions up to this number were purged; 0 for none.
    fn purged_to(&self, entity: &Entity) -> Result<u64> {
        Ok(self.purge(entity.as_bytes())?.map_or(0, |purge| purge.last))
    }

    pub(crate) fn bad_fields(&self, entity: &Entity, row: &Row, bad: crate::codec::Malformed) -> Error {
        Error::malformed(self.path(), 0, bad, format!("metadata of revision {} of {entity}", row.number))
    }
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

pub(crate) fn out_of_step() -> Error {
    Error::invalid("internal: the batch and its entities are out of step")
}
