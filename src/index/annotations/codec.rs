//! How annotations stand in plain tables (keyspace 1).
//!
//! ```text
//! key    entity, each byte 00 as 00 ff │ 00 00 │ first: u64 BE │ last: u64 BE │ sequence: u64 BE
//! value  kind: u8 │ fields: u8 │ actor: varint length, bytes │ reason: varint length, bytes
//!        if the kind erases │ job: u64 │ more: u8 │ time: zigzag varint
//!        room for more
//! ```
//! Keys compare bytewise as (entity, first, last, sequence): the terminator sorts below every byte that an entity can go on
//! with. The value's length and checksum are the table's business. Bytes behind that were written by a newer version and are
//! passed over (a compaction copies values as they are); a *kind* that is not known is never passed over, since it would show
//! what should be hidden.

use bytes::Bytes;

use super::StoredAnnotation;
use crate::codec::{Malformed, Reader, put_bytes};
use crate::limits;
use crate::model::{Annotation, AnnotationKind, Entity, Erasure, FieldMask};

/// What the keys of all entities begin with whose names begin with `prefix`.
pub fn name_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 26);
    for &byte in prefix {
        key.push(byte);
        if byte == 0 {
            key.push(0xff);
        }
    }
    key
}

/// The key's part that all annotations of an entity have in common, and no other's.
pub fn key_prefix(entity: &[u8]) -> Vec<u8> {
    let mut key = name_prefix(entity);
    key.extend_from_slice(&[0, 0]);
    key
}

/// The key of an annotation: entity, first, last and sequence, in the order of the bytes.
pub fn encode_key(stored: &StoredAnnotation) -> Vec<u8> {
    let mut key = key_prefix(stored.annotation.entity.as_bytes());
    for n in [stored.annotation.first, stored.annotation.last, stored.sequence] {
        key.extend_from_slice(&n.to_be_bytes());
    }
    key
}

/// The value of an annotation: kind, fields, actor, reason, and what only erasures have.
pub fn encode_value(annotation: &Annotation) -> Vec<u8> {
    let mut value = vec![annotation.kind as u8, annotation.fields.0];
    put_bytes(&mut value, annotation.actor.as_bytes());
    put_bytes(&mut value, annotation.reason.as_bytes());
    if let Some(erasure) = &annotation.erasure {
        erasure.encode(&mut value);
    }
    value
}

/// What stands in a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyParts {
    /// Whose revisions.
    pub entity: Entity,
    /// First revision number.
    pub first: u64,
    /// Last revision number.
    pub last: u64,
    /// Sequence number of the change.
    pub sequence: u64,
}

/// The parts of a key.
///
/// # Errors
/// `Malformed` if the bytes are not a key.
pub fn decode_key(key: &[u8]) -> Result<KeyParts, Malformed> {
    let mut reader = Reader::new(key);
    let entity = entity(&mut reader)?;
    let mut number =
        |expected| -> Result<u64, Malformed> { Ok(u64::from_be_bytes(reader.array::<8>(expected)?)) };
    let first = number("the first revision of an annotation")?;
    let last = number("the last revision of an annotation")?;
    let sequence = number("the sequence of an annotation")?;
    reader.end("the end of an annotation's key")?;
    Ok(KeyParts { entity, first, last, sequence })
}

fn entity(reader: &mut Reader<'_>) -> Result<Entity, Malformed> {
    let mut name = Vec::new();
    loop {
        let byte = reader.u8("an entity and its terminator")?;
        if byte == 0 {
            match reader.u8("an escaped zero or a terminator")? {
                0 => break,
                0xff => {}
                _ => return Err(reader.malformed("an escaped zero or a terminator")),
            }
        }
        if name.len() == limits::ENTITY_LEN_MAX {
            return Err(reader.malformed("an entity of at most 512 bytes"));
        }
        name.push(byte);
    }
    Entity::from_bytes(Bytes::from(name)).map_err(|_| reader.malformed("an entity of at least 1 byte"))
}

/// The inverse of [`encode_key`] and [`encode_value`].
///
/// # Errors
/// `Malformed` if the bytes are neither, or of a kind that this version does not know.
pub fn decode(key: &[u8], value: &[u8]) -> Result<StoredAnnotation, Malformed> {
    let KeyParts { entity, first, last, sequence } = decode_key(key)?;
    let mut reader = Reader::new(value);
    let kind = AnnotationKind::from_u8(reader.u8("an annotation kind")?)
        .ok_or_else(|| reader.malformed("an annotation kind that this version knows (1 to 5)"))?;
    let fields = FieldMask(reader.u8("a field mask")?);
    let mut text = |expected| -> Result<String, Malformed> {
        let bytes = reader.prefixed(value.len(), expected)?;
        let text = std::str::from_utf8(bytes).map_err(|_| reader.malformed(expected))?;
        Ok(text.to_owned())
    };
    let actor = text("an actor in UTF-8")?;
    let reason = text("a reason in UTF-8")?;
    let erasure = match kind.erases() {
        true => Some(Erasure::decode(&mut reader)?),
        false => None,
    };
    let annotation = Annotation { entity, first, last, kind, fields, actor, reason, erasure };
    Ok(StoredAnnotation { sequence, annotation })
}
