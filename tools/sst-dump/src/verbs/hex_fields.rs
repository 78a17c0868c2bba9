//! Which fields stand where in each part of a file, as the formats' documents have them.

use recension::codec::{FileKind, Part};
use recension::manifest::edit_fields;

/// Offset in its part, length, name. An offset below 0 is from the end of the part; a length of 0 goes to its end, one below 0 up to so many
/// bytes before it.
type Shape = (i64, i64, &'static str);

/// A field: offset in the file, length, name.
pub type Field = (u64, u64, String);

const COMMON: &[Shape] = &[
    (0, 8, "magic"),
    (8, 2, "kind"),
    (10, 2, "format version"),
    (12, 4, "header length"),
    (16, 16, "store id"),
    (32, 8, "epoch"),
    (40, 8, "file number"),
    (48, 8, "features (reserved)"),
    (56, 4, "crypt, reserved, key id"),
    (60, 4, "header checksum"),
];

const SEGMENT_HEADER: &[Shape] = &[
    (64, 8, "predecessor: epoch"),
    (72, 8, "predecessor: number"),
    (80, 8, "predecessor: last sequence"),
    (88, 4, "predecessor: last checksum"),
    (92, 4, "shard, region (reserved)"),
    (96, 8, "salt"),
    (104, 8, "incarnation"),
    (112, 8, "created, µs"),
    (120, 8, "promise: file"),
    (128, 8, "promise: offset"),
    (136, 4, "reserved"),
    (140, 4, "segment header checksum"),
];

const FRAME: &[Shape] = &[
    (0, 1, "magic d7"),
    (1, 1, "kind: 1 commit, 2 run, 3 promise, 4 clean close"),
    (2, 2, "flags (reserved)"),
    (4, 4, "frame length"),
    (8, 4, "metadata length"),
    (12, 4, "records"),
    (16, 8, "salt"),
    (24, 4, "predecessor: checksum"),
    (28, 4, "checksum"),
    (32, 8, "first sequence"),
    (40, 8, "commit time, µs"),
    (48, 8, "promise: file"),
    (56, 8, "promise: offset"),
];

const UNIT_GROUP: &[Shape] = &[
    (0, 1, "magic c5"),
    (1, 1, "kind"),
    (2, 1, "codec"),
    (3, 1, "crypt"),
    (4, 2, "key id"),
    (6, 2, "slot of the newest content"),
    (8, 8, "sequence of the newest content"),
    (16, 4, "stored length"),
    (20, 4, "raw length"),
    (24, 2, "table length"),
    (26, 1, "contents"),
    (27, 1, "level"),
    (28, 4, "checksum"),
];

const UNIT: &[Shape] = &[
    (0, 1, "magic c5"),
    (1, 1, "kind"),
    (2, 1, "codec: 0 raw, 1 lz4, 2 zstd"),
    (3, 1, "crypt"),
    (4, 2, "key id"),
    (6, 2, "slot"),
    (8, 8, "sequence"),
    (16, 4, "stored length"),
    (20, 4, "raw length"),
    (24, 4, "raw checksum"),
    (28, 4, "checksum"),
    (32, 0, "stored bytes"),
];

const SEGMENT_TRAILER: &[Shape] = &[
    (0, 8, "magic RCNSEAL"),
    (8, 2, "version"),
    (10, 2, "reserved"),
    (12, 4, "trailer length"),
    (16, 8, "salt"),
    (24, 8, "first sequence"),
    (32, 8, "last sequence"),
    (40, 8, "records"),
    (48, 8, "contents"),
    (56, 8, "raw bytes"),
    (64, 8, "stored bytes"),
    (72, 8, "last commit time, µs"),
    (80, 8, "frames end"),
    (88, 8, "directory at"),
    (96, 8, "locators at"),
    (104, 8, "digests at"),
    (112, 8, "index at"),
    (120, 4, "block records"),
    (124, 4, "last checksum"),
    (128, 8, "features (reserved)"),
    (136, 4, "tail checksum"),
    (140, 4, "checksum"),
];

const DIRECTORY: &[Shape] = &[
    (0, 8, "first sequence"),
    (8, 4, "records"),
    (12, 4, "skeleton, stored length"),
    (16, 4, "skeleton, raw length"),
    (20, 4, "fields, stored length"),
    (24, 4, "fields, raw length"),
    (28, 4, "codec, crypt, key id"),
    (32, 4, "features (reserved)"),
    (36, 4, "checksum"),
    (40, 0, "skeleton, fields"),
];

const BLOCK: &[Shape] = &[
    (0, 4, "raw length"),
    (4, 4, "stored length"),
    (8, 1, "kind: 1 hot, 2 cold, 3 entities, 4 index, 5 filter, 6 properties, 7 plain"),
    (9, 1, "codec: 0 raw, 1 lz4, 2 zstd"),
    (10, 6, "crypt, nonce, key id (reserved)"),
    (16, 4, "checksum"),
    (20, 4, "reserved"),
    (24, 0, "stored bytes"),
];

const FOOTER: &[Shape] = &[
    (0, 8, "index offset"),
    (8, 4, "index length"),
    (12, 8, "filter offset"),
    (20, 4, "filter length"),
    (24, 8, "properties offset"),
    (32, 4, "properties length"),
    (36, 16, "reserved"),
    (52, 8, "magic RCNS.end"),
    (60, 4, "checksum"),
];

const MANIFEST_HEADER: &[Shape] =
    &[(64, 8, "salt"), (72, 4, "reserved"), (76, 4, "manifest header checksum")];

const MANIFEST_FRAME: &[Shape] = &[
    (0, 4, "payload length"),
    (4, 1, "kind: 1 snapshot, 2 edits, 3 promise"),
    (5, 3, "head check"),
    (8, 8, "commit number"),
    (16, 8, "synced"),
    (24, 4, "predecessor: checksum"),
    (28, 4, "checksum"),
];

const PACK_HEADER: &[Shape] = &[
    (64, 8, "first sequence"),
    (72, 8, "last sequence"),
    (80, 8, "annotation watermark"),
    (88, 8, "salt"),
    (96, 4, "generation"),
    (100, 4, "libzstd"),
    (104, 2, "packer"),
    (106, 2, "level"),
    (108, 2, "first entity length"),
    (110, 2, "last entity length"),
    (112, -8, "first entity, last entity, zeros"),
    (-8, 4, "reserved"),
    (-4, 4, "pack header checksum"),
];

const GROUP: &[Shape] = &[
    (0, 1, "magic c6"),
    (1, 1, "kind"),
    (2, 1, "codec: 0 raw, 2 zstd"),
    (3, 1, "crypt"),
    (4, 2, "key id"),
    (6, 2, "flags: 1 full, 2 mixed, 4 slots"),
    (8, 8, "entity hash"),
    (16, 4, "stored length"),
    (20, 4, "raw length"),
    (24, 4, "stored checksum"),
    (28, 2, "table length"),
    (30, 1, "members"),
    (31, 1, "level"),
    (32, 4, "checksum"),
];

const PACK_DIGESTS: &[Shape] = &[
    (0, 1, "kind: 0 all are there, 2 zeros for those that were erased"),
    (1, -8, "digests, 32 bytes each"),
    (-8, 4, "reserved"),
    (-4, 4, "checksum"),
];

const BITS: &[Shape] = &[
    (0, 2, "rows"),
    (2, -8, "per column smallest value and width in bits; rows, bit by bit"),
    (-8, 4, "reserved"),
    (-4, 4, "checksum"),
];

const PACK_INDEX: &[Shape] =
    &[(0, -8, "entity bounds, places of the blocks"), (-8, 4, "reserved"), (-4, 4, "checksum")];

const PACK_TRAILER: &[Shape] = &[
    (0, 8, "magic RCNPACK"),
    (8, 2, "version"),
    (10, 2, "packer"),
    (12, 4, "trailer length"),
    (16, 8, "salt"),
    (24, 8, "first sequence"),
    (32, 8, "last sequence"),
    (40, 8, "annotation watermark"),
    (48, 8, "records"),
    (56, 8, "contents"),
    (64, 8, "groups"),
    (72, 8, "raw bytes"),
    (80, 8, "stored bytes"),
    (88, 8, "directory at"),
    (96, 8, "digests at"),
    (104, 8, "locators at"),
    (112, 8, "places at"),
    (120, 8, "index at"),
    (128, 4, "generation"),
    (132, 4, "libzstd"),
    (136, 4, "last checksum"),
    (140, 4, "level"),
    (144, 8, "features (reserved)"),
    (152, 4, "tail checksum"),
    (156, 4, "checksum"),
];

const SEGMENT_LOCATORS: &[Shape] = &[
    (0, -8, "entries of 16 bytes: sequence − first, slot, member, offset, length"),
    (-8, 4, "reserved"),
    (-4, 4, "checksum"),
];

const SEGMENT_DIGESTS: &[Shape] =
    &[(0, -8, "entries of 33 bytes: kind, digest"), (-8, 4, "reserved"), (-4, 4, "checksum")];

const SEGMENT_INDEX: &[Shape] = &[
    (
        0,
        -8,
        "first entry of each block of locators; offset, length and contents before it of each block of the directory",
    ),
    (-8, 4, "reserved"),
    (-4, 4, "checksum"),
];

/// The fields of a part: those that are always there, and those that its own lengths tell. `bytes` are its first ones.
pub fn fields(file: Option<FileKind>, part: &Part, bytes: &[u8]) -> Vec<Field> {
    let (at, part_len, kind) = (part.offset, part.len, part.kind);
    let table = matches!(file, Some(FileKind::RevisionTable | FileKind::PlainTable));
    let segment = file == Some(FileKind::Segment);
    let number = |from: usize, len: usize| {
        let bytes = bytes.get(from..from.saturating_add(len)).unwrap_or_default();
        bytes.iter().rev().fold(0_i64, |number, byte| number << 8 | i64::from(*byte))
    };
    let shapes: Vec<Shape> = match kind {
        "header" if segment => [COMMON, SEGMENT_HEADER].concat(),
        "header" if file == Some(FileKind::Manifest) => [COMMON, MANIFEST_HEADER].concat(),
        "header" if file == Some(FileKind::Pack) => [COMMON, PACK_HEADER].concat(),
        "header" => COMMON.to_vec(),
        "commit" | "run" | "promise" | "clean close" | "frame" if segment => {
            let metadata = number(8, 4);
            let mut shapes = FRAME.to_vec();
            if metadata > 0 {
                shapes.push((64, metadata, "records"));
            }
            shapes.push((metadata.saturating_add(64), 0, "contents, padding"));
            shapes
        }
        "snapshot" | "edits" | "promise" | "frame" if file == Some(FileKind::Manifest) => {
            let payload = number(0, 4);
            let mut fields = placed(MANIFEST_FRAME, at, part_len);
            fields.extend(edits(at, bytes, payload));
            fields.extend(placed(&[(payload.saturating_add(32), 0, "padding")], at, part_len));
            return fields;
        }
        "content" => UNIT.to_vec(),
        "group" => {
            let (fixed, head, len) =
                if segment { (UNIT_GROUP, 32, number(24, 2)) } else { (GROUP, 36, number(28, 2)) };
            let mut shapes = fixed.to_vec();
            shapes.push((head, len, "table of members"));
            shapes.push((len.saturating_add(head), 0, "stored bytes"));
            shapes
        }
        "directory" => DIRECTORY.to_vec(),
        "tail mark" => vec![(0, 8, "mark RCNTAIL"), (8, 8, "own offset")],
        "trailer" if segment => SEGMENT_TRAILER.to_vec(),
        "locators" if segment => SEGMENT_LOCATORS.to_vec(),
        "digests" if segment => SEGMENT_DIGESTS.to_vec(),
        "index" if segment => SEGMENT_INDEX.to_vec(),
        "trailer" => PACK_TRAILER.to_vec(),
        "digests" => PACK_DIGESTS.to_vec(),
        "locators" | "places" => BITS.to_vec(),
        "footer" if table => FOOTER.to_vec(),
        "index" if !table => PACK_INDEX.to_vec(),
        _ if table => BLOCK.to_vec(),
        "padding" => vec![(0, 0, "zeros")],
        _ => vec![(0, 0, "")],
    };
    placed(&shapes, at, part_len)
}

/// Shapes in a part of some length.
fn placed(shapes: &[Shape], at: u64, len: u64) -> Vec<Field> {
    // Lengths that are damaged may point anywhere.
    let len = i64::try_from(len).unwrap_or(i64::MAX);
    let field = |(from, take, name): &Shape| {
        let from = if *from < 0 { len.saturating_add(*from) } else { *from };
        let to = if *take > 0 { from.saturating_add(*take) } else { len.saturating_add(*take) };
        let (from, to) = (from.clamp(0, len), to.clamp(0, len));
        let bytes = u64::try_from(to.saturating_sub(from)).ok().filter(|bytes| *bytes > 0)?;
        Some((at.saturating_add(from.cast_unsigned()), bytes, (*name).to_owned()))
    };
    shapes.iter().filter_map(field).collect()
}

/// The edits of a manifest's frame.
fn edits(at: u64, bytes: &[u8], payload: i64) -> Vec<Field> {
    let end = usize::try_from(payload).unwrap_or(0).saturating_add(32).min(bytes.len());
    let fields = edit_fields(bytes.get(32..end).unwrap_or_default());
    let field = |field: &recension::manifest::EditField| {
        let from = at.saturating_add(32).saturating_add(field.at as u64);
        (from, field.len as u64, format!("{}: {}", field.edit, field.name))
    };
    fields.iter().filter(|field| field.len > 0).map(field).collect()
}
