//! The first step of a commit, on the caller's thread: everything that does not depend on numbers or places.
//!
//! Limits are checked, contents digested and compressed, metadata encoded. Some changes ([`PreparedOp::needs_head`]) can only be
//! made out when the head is known: reverts, undeletes, `if_changed`, request ids. They are resolved in `resolve.rs`, outside the
//! critical section, and resolved again if the head has moved in the meantime.

use super::draft::{Batch, Body, Boundaries, Op};
use super::grouping;
use crate::index::entity_hash;
use crate::limits;
use crate::limits::Limits;
use crate::log::{FrameKind, UnitDraft};
use crate::model::{
    Address, Annotation, AnnotationKind, ContentRef, Entity, Expect, Fields, Flags, RevisionKind,
};
use crate::{Error, Result};

/// One change, ready but for what depends on the head.
pub(crate) struct PreparedOp {
    /// Which of the batch's entities.
    pub(crate) entity: usize,
    pub(crate) what: PreparedWhat,
}

pub(crate) enum PreparedWhat {
    Write(Box<PreparedWrite>),
    Annotate(Annotation),
    Guard { expect: Expect, sequence: Option<u64> },
}

pub(crate) struct PreparedWrite {
    pub(crate) expect: Expect,
    pub(crate) body: PreparedBody,
    pub(crate) units: Vec<UnitDraft>,
    pub(crate) fields: Fields,
    pub(crate) flags: Flags,
    pub(crate) authored: Option<i64>,
    pub(crate) number: Option<u64>,
    pub(crate) parent: Option<u64>,
    pub(crate) if_changed: bool,
}

pub(crate) enum PreparedBody {
    /// The main content is unit 0.
    Stored,
    Withheld,
    Tombstone,
    Reuse(u64),
    Undelete,
}

impl PreparedWrite {
    pub(crate) fn kind(&self) -> RevisionKind {
        match self.body {
            PreparedBody::Tombstone => RevisionKind::Delete,
            _ => RevisionKind::Put,
        }
    }

    /// Whether its record cannot be made out without the head.
    pub(crate) fn needs_head(&self) -> bool {
        self.if_changed
            || self.fields.request_id.is_some()
            || matches!(self.body, PreparedBody::Reuse(_) | PreparedBody::Undelete)
    }
}

/// A batch, prepared.
pub(crate) struct Prepared {
    pub(crate) frame: FrameKind,
    pub(crate) ops: Vec<PreparedOp>,
    /// Each entity once, with its hash.
    pub(crate) entities: Vec<(Entity, u64)>,
    pub(crate) needs_head: bool,
    pub(crate) has_request_id: bool,
}

/// Up to so many changes, the entities of a batch are found by looking at each.
const FEW: usize = 4;

pub(crate) fn prepare(batch: Batch, limits: &Limits) -> Result<Prepared> {
    if batch.ops.len() > limits::FRAME_RECORDS_MAX {
        return Err(Error::invalid(format!(
            "a batch has at most {} changes, this one has {}",
            limits::FRAME_RECORDS_MAX,
            batch.ops.len()
        )));
    }
    let frame = match batch.boundaries {
        Boundaries::Batch => FrameKind::Commit,
        Boundaries::EachChange => FrameKind::Run,
    };
    // Whether contents are compressed together is decided when all of them are known.
    let alone = batch.ops.len() < usize::from(limits.log_group_from);
    let few = batch.ops.len() <= FEW;
    let mut places = std::collections::BTreeMap::new();
    let mut entities = Vec::with_capacity(if few { batch.ops.len() } else { 0 });
    let mut ops = Vec::with_capacity(batch.ops.len());
    for op in batch.ops {
        let entity = op.entity();
        let known = match few {
            true => entities.iter().position(|(known, _)| known == entity),
            false => places.get(entity).copied(),
        };
        let index = match known {
            Some(index) => index,
            None => {
                let index = entities.len();
                if !few {
                    places.insert(entity.clone(), index);
                }
                entities.push((entity.clone(), entity_hash(entity.as_bytes())));
                index
            }
        };
        let what = match op {
            Op::Annotate { annotation, .. } => PreparedWhat::Annotate(annotation),
            Op::Guard { expect, sequence, .. } => PreparedWhat::Guard { expect, sequence },
            Op::Write { entity, expect, mut draft } => {
                if draft.fields.request_id.is_none() {
                    draft.fields.request_id = batch.request_id;
                }
                check(&entity, &draft)?;
                PreparedWhat::Write(Box::new(write(expect, *draft, alone)))
            }
        };
        ops.push(PreparedOp { entity: index, what });
    }
    if !alone {
        grouping::compress(&mut ops, entities.len(), limits);
    }
    let writes = || {
        ops.iter().filter_map(|op| match &op.what {
            PreparedWhat::Write(write) => Some(write),
            _ => None,
        })
    };
    // A purge says which number was the last one.
    let purges = ops.iter().any(
        |op| matches!(&op.what, PreparedWhat::Annotate(annotation) if annotation.kind == AnnotationKind::Purge),
    );
    let needs_head = purges || writes().any(|write| write.needs_head());
    let has_request_id = writes().any(|write| write.fields.request_id.is_some());
    if has_request_id && frame == FrameKind::Run {
        return Err(Error::invalid(
            "a run of commits has no request ids: commit them one by one, or as a batch",
        ));
    }
    Ok(Prepared { frame, ops, entities, needs_head, has_request_id })
}

fn check(entity: &Entity, draft: &super::draft::Draft) -> Result<()> {
    let bad = |what: String| Err(Error::invalid(format!("{entity}: {what}")));
    let contents = draft.slots.iter().filter_map(|(_, content)| content.as_ref());
    let main = match &draft.body {
        Body::Content(content) => Some(content),
        _ => None,
    };
    for content in contents.chain(main) {
        if content.len() > limits::CONTENT_LEN_MAX {
            return bad(format!(
                "a content has at most {} bytes, this one has {}",
                limits::CONTENT_LEN_MAX,
                content.len()
            ));
        }
    }
    if draft.slots.len() >= limits::SLOTS_MAX {
        return bad(format!("a revision has at most {} contents", limits::SLOTS_MAX));
    }
    if !draft.slots.is_empty() && !matches!(draft.body, Body::Content(_) | Body::Withheld) {
        return bad("only a revision with a content of its own can have further slots".into());
    }
    for (i, (role, _)) in draft.slots.iter().enumerate() {
        let before = draft.slots.iter().take(i).any(|(other, _)| other == role);
        if role.is_empty() || role == "main" || before {
            return bad("each slot has a role of its own; `main` is the content itself".into());
        }
    }
    let attributes: usize =
        draft.fields.attributes.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    if attributes > limits::ATTRIBUTES_LEN_MAX {
        return bad(format!(
            "the attributes of a revision have at most {} bytes together, these have {attributes}",
            limits::ATTRIBUTES_LEN_MAX
        ));
    }
    if draft.number == Some(0) || draft.number.is_some_and(|n| n > limits::REVISION_NUMBER_MAX) {
        return bad(format!("revision numbers go from 1 to {}", limits::REVISION_NUMBER_MAX));
    }
    Ok(())
}

fn write(expect: Expect, draft: super::draft::Draft, compress: bool) -> PreparedWrite {
    let unit_of = if compress { UnitDraft::new } else { UnitDraft::uncompressed };
    let mut units = Vec::with_capacity(1 + draft.slots.len());
    let body = match draft.body {
        Body::Content(content) => {
            units.push(unit_of(content));
            PreparedBody::Stored
        }
        Body::Withheld => PreparedBody::Withheld,
        Body::Tombstone => PreparedBody::Tombstone,
        Body::Reuse(number) => PreparedBody::Reuse(number),
        Body::Undelete => PreparedBody::Undelete,
    };
    let mut fields = draft.fields;
    for (role, content) in draft.slots {
        let reference = content.map(|content| own_unit(&mut units, unit_of(content)));
        fields.slots.push((role, reference));
    }
    PreparedWrite {
        expect,
        body,
        units,
        fields,
        flags: draft.flags,
        authored: draft.authored.map(|time| time.0),
        number: draft.number,
        parent: draft.parent,
        if_changed: draft.if_changed,
    }
}

/// Stores a slot's content as a unit of the record's own: sequence 0 in the encoding.
fn own_unit(units: &mut Vec<UnitDraft>, unit: UnitDraft) -> ContentRef {
    let slot = u16::try_from(units.len()).unwrap_or(u16::MAX);
    let reference =
        ContentRef { address: Address { sequence: 0, slot }, len: unit.raw_len, tag: unit.digest.tag() };
    units.push(unit);
    reference
}
