//! What a commit is made of, and its bytes in a frame's metadata.
//!
//! ```text
//! revision                                              annotation
//!  0  type            u8   1                             0  type      u8   2
//!  1  number          u64  )                             1  kind      u8   1 hide, 2 show, 3 forget, 4 purge, 5 retain
//!  9  parent          u64  ) filled in last              2  fields    u8   mask
//! 17  effective time  i64  )                             3  entity    varint length, bytes
//! 25  kind            u8   1 put, 2 delete                  first     varint
//! 26  shape           u8                                    last      varint
//!       bits 0-1  main content: 0 none, 1 stored, 2 reused  actor     varint length, bytes
//!       bit 2     there is an authored time                 reason    varint length, bytes
//!       bits 3-7  reserved (3: digest kinds)
//! 27  flags           u16
//! 29  stored contents u8   how many
//! 30  entity          varint length, bytes
//!     authored time   zigzag varint                      if shape says so
//!     reused content  sequence, slot, length: varints; digest: 32      if shape says so
//!     per stored content: digest: 32; raw length, unit: varints
//!     cold fields     varint length, bytes (`model::Fields`)
//! ```
//!
//! Behind the reason of an annotation that erases (kinds 3 to 5): job: u64, more: u8 (0 or 1), time: zigzag varint.
//!
//! The units of a frame follow its metadata without gaps, in the order in which the records name them; so a unit's place is the sum
//! of the lengths before it. *Unit* is the length of the content's own unit (32 or more), or 1 if it stands in a group; behind the 1:
//! number of the group in the frame, place in the group (0: the newest content), and where a group is named for the first time, the
//! length of its unit: varints.

use std::sync::Arc;

use bytes::Bytes;

use super::unit_draft::{GroupDraft, UnitDraft};
use crate::codec::{Reader, put_bytes, put_u16, put_u64, put_varint, put_zigzag};
use crate::limits;
use crate::model::{Annotation, ContentRef, Digest, Entity, Flags, RevisionKind};
use crate::{Error, Result};

pub(super) const TYPE_REVISION: u8 = 1;
pub(super) const TYPE_ANNOTATION: u8 = 2;
pub(super) const SHAPE_STORED: u8 = 1;
pub(super) const SHAPE_REUSED: u8 = 2;
pub(super) const SHAPE_MAIN: u8 = 3;
pub(super) const SHAPE_AUTHORED: u8 = 4;
/// Instead of the length of a unit: the content stands in a group.
pub(super) const IN_GROUP: u64 = 1;
/// Where the numbers stand in a revision record.
const NUMBERS_AT: usize = 1;
/// Bytes of a revision record before the entity.
const REVISION_FIXED_LEN: usize = 30;

/// The main content of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MainContent {
    /// It has none: a tombstone, or the source withheld it.
    None,
    /// The record's first unit.
    Stored,
    /// An earlier content of the entity.
    Reused(ContentRef, Digest),
}

/// A change, prepared: everything but the numbers that only the reservation knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordDraft {
    /// A revision.
    Revision {
        /// Of which entity.
        entity: Entity,
        /// State or tombstone.
        kind: RevisionKind,
        /// Minor, bot…
        flags: Flags,
        /// What the writer claims, µs.
        authored_time: Option<i64>,
        /// The main content.
        content: MainContent,
        /// The contents that it stores, by slot.
        units: Vec<UnitDraft>,
        /// [`crate::model::Fields`], encoded. Slots that name sequence 0 are in `units`.
        cold: Bytes,
    },
    /// A change that is not a revision.
    Annotation(Annotation),
}

/// Which groups a frame has.
pub(super) trait GroupPlaces {
    /// The number of a group in the frame, and where it is named for the first time, the length of its unit.
    fn place(&mut self, group: &Arc<GroupDraft>) -> (u64, Option<u64>);
}

/// Of a frame without groups, and of annotations.
pub(super) struct NoGroups;

impl GroupPlaces for NoGroups {
    fn place(&mut self, _: &Arc<GroupDraft>) -> (u64, Option<u64>) {
        (0, None)
    }
}

/// What is known of a revision only once its place is reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Revision number.
    pub number: u64,
    /// The revision it was made from; 0 for none.
    pub parent: u64,
    /// Effective time, µs.
    pub effective_time: i64,
}

impl RecordDraft {
    /// The contents that it stores.
    pub fn units(&self) -> &[UnitDraft] {
        match self {
            Self::Revision { units, .. } => units,
            Self::Annotation(_) => &[],
        }
    }

    pub(super) fn units_mut(&mut self) -> &mut [UnitDraft] {
        match self {
            Self::Revision { units, .. } => units,
            Self::Annotation(_) => &mut [],
        }
    }

    /// Bytes of what may be long besides the contents.
    pub(super) fn fields_len(&self) -> u64 {
        match self {
            Self::Revision { cold, .. } => cold.len() as u64,
            Self::Annotation(note) => note.actor.len() as u64 + note.reason.len() as u64,
        }
    }

    /// Refuses what the format cannot hold.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Revision { entity, kind, content, units, cold, .. } => {
                let refuse = |what: String| Err(Error::invalid(format!("revision of {entity}: {what}")));
                if units.len() > limits::SLOTS_MAX {
                    return refuse(format!("{} contents, at most {}", units.len(), limits::SLOTS_MAX));
                }
                for unit in units {
                    if unit.raw_len as usize > limits::CONTENT_LEN_MAX {
                        return refuse(format!(
                            "a content of {} bytes, at most {}",
                            unit.raw_len,
                            limits::CONTENT_LEN_MAX
                        ));
                    }
                }
                if cold.len() > limits::FIELDS_LEN_MAX {
                    return refuse(format!(
                        "{} bytes of fields, at most {}",
                        cold.len(),
                        limits::FIELDS_LEN_MAX
                    ));
                }
                if !is_tagged(cold) {
                    return refuse("fields that are not an encoding of fields".into());
                }
                match content {
                    MainContent::Stored if units.is_empty() => {
                        refuse("a stored content without bytes".into())
                    }
                    MainContent::Stored | MainContent::Reused(..) if *kind == RevisionKind::Delete => {
                        refuse("a tombstone with a content".into())
                    }
                    MainContent::Reused(content, digest)
                        if content.address.sequence == 0 || content.tag != digest.tag() =>
                    {
                        refuse("a reused content whose address or digest is wrong".into())
                    }
                    _ => Ok(()),
                }
            }
            Self::Annotation(note) => {
                if note.first == 0 || note.first > note.last || note.last > limits::REVISION_NUMBER_MAX {
                    return Err(Error::invalid(format!(
                        "an annotation of revisions {} to {} of {}: no such range",
                        note.first, note.last, note.entity
                    )));
                }
                if note.kind.erases() != note.erasure.is_some() {
                    return Err(Error::invalid(format!(
                        "an annotation of kind {:?} of {}: it says which job it belongs to if and only if it erases",
                        note.kind, note.entity
                    )));
                }
                if note.actor.len().saturating_add(note.reason.len()) > limits::FIELDS_LEN_MAX {
                    return Err(Error::invalid(format!(
                        "actor and reason of an annotation have more than {} bytes",
                        limits::FIELDS_LEN_MAX
                    )));
                }
                Ok(())
            }
        }
    }

    /// Appends the record; answers where its numbers go.
    pub(super) fn encode(&self, out: &mut Vec<u8>, groups: &mut dyn GroupPlaces) -> Option<usize> {
        match self {
            Self::Revision { entity, kind, flags, authored_time, content, units, cold } => {
                let numbers_at = out.len() + NUMBERS_AT;
                out.push(TYPE_REVISION);
                out.extend_from_slice(&[0; 24]);
                out.push(*kind as u8);
                let main = match content {
                    MainContent::None => 0,
                    MainContent::Stored => SHAPE_STORED,
                    MainContent::Reused(..) => SHAPE_REUSED,
                };
                out.push(main | if authored_time.is_some() { SHAPE_AUTHORED } else { 0 });
                put_u16(out, flags.0);
                out.push(units.len() as u8);
                debug_assert_eq!(out.len(), numbers_at - NUMBERS_AT + REVISION_FIXED_LEN);
                put_bytes(out, entity.as_bytes());
                if let Some(time) = authored_time {
                    put_zigzag(out, *time);
                }
                if let MainContent::Reused(content, digest) = content {
                    put_varint(out, content.address.sequence);
                    put_varint(out, u64::from(content.address.slot));
                    put_varint(out, u64::from(content.len));
                    out.extend_from_slice(&digest.0);
                }
                for unit in units {
                    out.extend_from_slice(&unit.digest.0);
                    put_varint(out, u64::from(unit.raw_len));
                    let Some((group, member)) = &unit.group else {
                        put_varint(out, unit.disk_len() as u64);
                        continue;
                    };
                    let (number, new) = groups.place(group);
                    put_varint(out, IN_GROUP);
                    put_varint(out, number);
                    put_varint(out, u64::from(*member));
                    if let Some(len) = new {
                        put_varint(out, len);
                    }
                }
                put_bytes(out, cold);
                Some(numbers_at)
            }
            Self::Annotation(note) => {
                out.extend_from_slice(&[TYPE_ANNOTATION, note.kind as u8, note.fields.0]);
                put_bytes(out, note.entity.as_bytes());
                put_varint(out, note.first);
                put_varint(out, note.last);
                put_bytes(out, note.actor.as_bytes());
                put_bytes(out, note.reason.as_bytes());
                if let Some(erasure) = &note.erasure {
                    erasure.encode(out);
                }
                None
            }
        }
    }
}

impl Numbers {
    /// The 24 bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24);
        put_u64(&mut out, self.number);
        put_u64(&mut out, self.parent);
        put_u64(&mut out, self.effective_time.cast_unsigned());
        out
    }
}

/// Whether the bytes are (tag, length, value)*: the directory takes them apart by tag.
pub(super) fn is_tagged(cold: &[u8]) -> bool {
    let mut reader = Reader::new(cold);
    while !reader.is_empty() {
        if reader.varint("a tag").is_err() || reader.prefixed(cold.len(), "a value").is_err() {
            return false;
        }
    }
    true
}
