//! Where the fields of edits stand in a frame: for those who look at bytes. Every edit is described here once more, and a test decodes and
//! describes all of them.

use crate::codec::{Malformed, Reader};

/// A field of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditField {
    /// Of which edit.
    pub edit: &'static str,
    /// What it is.
    pub name: &'static str,
    /// Offset in the payload of the frame.
    pub at: usize,
    /// How many bytes.
    pub len: usize,
}

/// How a field is written.
#[derive(Clone, Copy)]
enum Shape {
    Varint,
    U8,
    U32,
    Hash,
    /// A varint length, and so many bytes.
    Bytes,
}

use Shape::{Bytes, Hash, U8, U32, Varint};

type Shapes = &'static [(Shape, &'static str)];

const TABLE: Shapes = &[
    (Varint, "flags"),
    (Varint, "keyspace"),
    (U8, "level"),
    (Varint, "file: epoch"),
    (Varint, "file: number"),
    (Varint, "length"),
    (Hash, "BLAKE3"),
    (Bytes, "first key"),
    (Bytes, "last key"),
    (Varint, "first sequence"),
    (Varint, "last sequence"),
    (Varint, "rows"),
    (Varint, "entities"),
    (Varint, "erased up to"),
];

const VALUE_FILE: Shapes = &[
    (Varint, "flags"),
    (Varint, "file kind"),
    (Varint, "file: epoch"),
    (Varint, "file: number"),
    (Varint, "length"),
    (Hash, "BLAKE3"),
    (Varint, "first sequence"),
    (Varint, "last sequence"),
    (Bytes, "first entity"),
    (Bytes, "last entity"),
    (Varint, "generation"),
    (Varint, "annotation watermark"),
    (Varint, "records"),
    (Varint, "raw bytes"),
    (Varint, "stored bytes"),
    (Varint, "live bytes"),
    (U32, "last checksum"),
];

const FILE: Shapes = &[(Varint, "file: epoch"), (Varint, "file: number")];
const FILE_AND_KIND: Shapes = &[(Varint, "file: epoch"), (Varint, "file: number"), (Varint, "file kind")];

fn shapes(tag: u64) -> (&'static str, Shapes) {
    match tag {
        0x01 => ("SetOption", &[(Bytes, "key"), (Bytes, "value")]),
        0x40 => ("AddTable", TABLE),
        0x41 => ("RemoveTable", &[(Varint, "keyspace"), (Varint, "file: epoch"), (Varint, "file: number")]),
        0x42 => (
            "MoveTable",
            &[(Varint, "keyspace"), (Varint, "file: epoch"), (Varint, "file: number"), (U8, "level")],
        ),
        0x43 => ("AddValueFile", VALUE_FILE),
        0x44 => ("RemoveValueFile", FILE),
        0x45 => ("SetLive", &[(Varint, "file: epoch"), (Varint, "file: number"), (Varint, "live bytes")]),
        0x46 => ("SetFlushed", &[(Varint, "keyspace"), (Varint, "sequence")]),
        0x47 => ("SetPromise", &[(Varint, "file number"), (Varint, "offset"), (Varint, "sequence")]),
        0x48 => ("NextFile", &[(Varint, "file number")]),
        0x49 => ("Intent", FILE_AND_KIND),
        0x4a => ("IntentDone", FILE),
        0x4b => ("Obsolete", FILE_AND_KIND),
        0x4c => ("Deleted", FILE),
        0x4d => ("Incarnation", &[(Varint, "incarnation")]),
        0x4e => ("Epoch", &[(Varint, "epoch")]),
        0x4f => (
            "AddHolder",
            &[(Bytes, "path"), (Varint, "sequence"), (Varint, "erased up to"), (Varint, "made, zigzag µs")],
        ),
        0x50 => ("RemoveHolder", &[(Bytes, "path")]),
        0x51 => (
            "SetPackedEnd",
            &[
                (Varint, "file: epoch"),
                (Varint, "file: number"),
                (Varint, "length"),
                (Varint, "sequence"),
                (U32, "checksum"),
                (Varint, "commit time, zigzag µs"),
            ],
        ),
        _ => ("edit of another version", &[]),
    }
}

/// The fields of the edits of a payload, in order, as far as it can be understood. What cannot be is one field to the end.
pub fn edit_fields(payload: &[u8]) -> Vec<EditField> {
    let mut fields = Vec::new();
    let mut reader = Reader::new(payload);
    while !reader.is_empty() {
        let start = reader.position();
        if one(&mut reader, &mut fields).is_err() {
            fields.retain(|field: &EditField| field.at < start);
            let len = payload.len().saturating_sub(start);
            fields.push(EditField { edit: "edit", name: "cannot be decoded", at: start, len });
            break;
        }
    }
    fields
}

fn one(reader: &mut Reader<'_>, fields: &mut Vec<EditField>) -> Result<(), Malformed> {
    let at = reader.position();
    let (edit, shapes) = shapes(reader.varint("a tag")?);
    let mut add = |name, from: usize, to: usize| {
        fields.push(EditField { edit, name, at: from, len: to.saturating_sub(from) });
    };
    add("tag", at, reader.position());
    let at = reader.position();
    let len = reader.varint("a length")?;
    let start = reader.position();
    add("body length", at, start);
    let body = reader.bytes(usize::try_from(len).map_err(|_| reader.malformed("a body"))?, "a body")?;
    let mut inner = Reader::new(body);
    for (shape, name) in shapes {
        let from = inner.position();
        match shape {
            Varint => drop(inner.varint(name)?),
            U8 => drop(inner.u8(name)?),
            U32 => drop(inner.u32(name)?),
            Hash => drop(inner.array::<32>(name)?),
            Bytes => drop(inner.prefixed(usize::MAX, name)?),
        }
        add(name, start.saturating_add(from), start.saturating_add(inner.position()));
    }
    if !inner.is_empty() {
        add("body", start.saturating_add(inner.position()), reader.position());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::edit::Edit;
    use crate::manifest::tests::all_edits;

    #[test]
    fn the_fields_of_every_edit_cover_it_without_gaps_and_are_named() {
        for edit in all_edits() {
            let mut payload = Vec::new();
            edit.encode(&mut payload);
            let fields = edit_fields(&payload);
            let mut end = 0;
            for field in &fields {
                assert_eq!(field.at, end, "{edit:?} {field:?}");
                end += field.len;
            }
            assert_eq!(end, payload.len(), "{edit:?}");
            let name = format!("{edit:?}");
            let known = name.starts_with(fields[0].edit);
            assert!(known || matches!(edit, Edit::Unknown { .. }), "{name}: {fields:?}");
            let whole = |field: &EditField| field.name != "body" && field.name != "cannot be decoded";
            assert!(fields.iter().all(whole) || matches!(edit, Edit::Unknown { .. }), "{edit:?}: {fields:?}");
        }
    }

    #[test]
    fn a_payload_that_is_cut_anywhere_is_described_to_its_end() {
        let mut payload = Vec::new();
        all_edits().iter().for_each(|edit| edit.encode(&mut payload));
        for len in 0..payload.len() {
            let cut = payload.get(..len).unwrap_or_default();
            let covered: usize = edit_fields(cut).iter().map(|field| field.len).sum();
            assert_eq!(covered, len);
        }
    }
}
