//! The rarely read fields of a revision, and their encoding.
//!
//! ```text
//! (tag: varint, length: varint, value: length bytes)*      tags never descend; absent fields take no bytes
//!
//!  1 author            bytes             6 request id   16 bytes
//!  2 comment           bytes             7 origin id    varint
//!  3 content type      bytes             8 attribute    name length: varint, name, value     (repeated, ascending names)
//!  4 schema version    varint            9 slot         role length: varint, role, sequence: varint, slot: varint, length: varint, tag: 8
//!  5 tag               bytes (repeated)  other          kept as they are
//! ```
//! A slot whose bytes the revision wrote itself has sequence 0 (no change has that number), a reused one the sequence that holds
//! the bytes. So the encoding does not depend on the revision's own sequence number and can be made before that is known.

use bytes::Bytes;

use super::{Address, ContentRef};
use crate::codec::{Malformed, Reader, put_bytes, put_u64, put_varint};

/// Author, comment, tags… of a revision. Bytes are usually UTF-8; nothing here depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// Who made it.
    pub author: Option<Bytes>,
    /// Why. Empty is not absent.
    pub comment: Option<Bytes>,
    /// Media type or content model of the main content, where it is not the store's default.
    pub content_type: Option<Bytes>,
    /// Version of the schema of the content.
    pub schema_version: Option<u64>,
    /// Tags, in the order given.
    pub tags: Vec<Bytes>,
    /// Makes a retry answer with the first attempt's revision.
    pub request_id: Option<[u8; 16]>,
    /// The revision's id where it was imported from, if it is not the number.
    pub origin_id: Option<u64>,
    /// Further attributes by name, ascending, each name once.
    pub attributes: Vec<(Bytes, Bytes)>,
    /// Further contents: role and place. `None`: the source withheld it. Sequence 0 means the revision's own; see
    /// [`Fields::resolve`].
    pub slots: Vec<(Bytes, Option<ContentRef>)>,
    /// Fields that a newer version wrote: tag and value, as they are.
    pub unknown: Vec<(u64, Bytes)>,
}

/// The bytes are not an encoding of fields.
pub type FieldsError = Malformed;

impl Fields {
    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut field = |tag: u64, value: &[u8]| {
            put_varint(&mut out, tag);
            put_bytes(&mut out, value);
        };
        if let Some(author) = &self.author {
            field(1, author);
        }
        if let Some(comment) = &self.comment {
            field(2, comment);
        }
        if let Some(content_type) = &self.content_type {
            field(3, content_type);
        }
        if let Some(version) = self.schema_version {
            field(4, &varint(version));
        }
        for tag in &self.tags {
            field(5, tag);
        }
        if let Some(id) = &self.request_id {
            field(6, id);
        }
        if let Some(id) = self.origin_id {
            field(7, &varint(id));
        }
        for (name, value) in &self.attributes {
            let mut both = Vec::with_capacity(name.len() + value.len() + 2);
            put_bytes(&mut both, name);
            both.extend_from_slice(value);
            field(8, &both);
        }
        for (role, content) in &self.slots {
            let mut slot = Vec::with_capacity(role.len() + 24);
            put_bytes(&mut slot, role);
            if let Some(content) = content {
                put_varint(&mut slot, content.address.sequence);
                put_varint(&mut slot, u64::from(content.address.slot));
                put_varint(&mut slot, u64::from(content.len));
                put_u64(&mut slot, content.tag);
            }
            field(9, &slot);
        }
        for (tag, value) in &self.unknown {
            field(*tag, value);
        }
        out
    }

    /// Decodes. Slices of `bytes` are shared, not copied.
    pub fn decode(bytes: &Bytes) -> Result<Self, FieldsError> {
        let mut fields = Self::default();
        let mut reader = Reader::new(bytes);
        let mut last = 0;
        while !reader.is_empty() {
            let tag = reader.varint("a field tag")?;
            if tag < last || tag == last && !matches!(tag, 5 | 8 | 9 | 10..) {
                return Err(reader.malformed("field tags in ascending order"));
            }
            last = tag;
            let slice = reader.prefixed(bytes.len(), "a field value")?;
            let value = bytes.slice_ref(slice);
            match tag {
                1 => fields.author = Some(value),
                2 => fields.comment = Some(value),
                3 => fields.content_type = Some(value),
                4 => fields.schema_version = Some(whole_varint(&value)?),
                5 => fields.tags.push(value),
                6 => fields.request_id = Some(Reader::new(&value).array("a request id of 16 bytes")?),
                7 => fields.origin_id = Some(whole_varint(&value)?),
                8 => {
                    let mut inner = Reader::new(&value);
                    let name = value.slice_ref(inner.prefixed(value.len(), "an attribute name")?);
                    fields.attributes.push((name, value.slice_ref(inner.rest())));
                }
                9 => fields.slots.push(decode_slot(&value)?),
                0 => return Err(reader.malformed("a field tag above 0")),
                _ => fields.unknown.push((tag, value)),
            }
        }
        Ok(fields)
    }

    /// Fills in the revision's own sequence number where a slot says 0.
    pub fn resolve(&mut self, sequence: u64) {
        for (_, content) in &mut self.slots {
            if let Some(content) = content
                && content.address.sequence == 0
            {
                content.address.sequence = sequence;
            }
        }
    }
}

fn varint(n: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(10);
    put_varint(&mut out, n);
    out
}

fn whole_varint(value: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(value);
    let n = reader.varint("a number")?;
    reader.end("one number and nothing behind it")?;
    Ok(n)
}

fn decode_slot(value: &Bytes) -> Result<(Bytes, Option<ContentRef>), Malformed> {
    let mut reader = Reader::new(value);
    let role = value.slice_ref(reader.prefixed(value.len(), "a slot's role")?);
    if reader.is_empty() {
        return Ok((role, None));
    }
    let sequence = reader.varint("the sequence of a slot's content")?;
    let slot = reader.varint_max(u64::from(u16::MAX), "a slot number")? as u16;
    let len = reader.varint_max(u64::from(u32::MAX), "a content length")? as u32;
    let tag = reader.u64("a digest tag")?;
    reader.end("one slot and nothing behind it")?;
    Ok((role, Some(ContentRef { address: Address { sequence, slot }, len, tag })))
}
