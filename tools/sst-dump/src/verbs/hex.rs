//! `hex`: bytes, with the names of their fields.

use recension::codec::{FileKind, Part};
use recension::env::{Env, read_at_most};
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::Out;

use crate::args::HexArgs;
use crate::file::{Item, io, open, walk};
use crate::show::object;

/// No more bytes than this at once.
const LEN_MAX: u64 = 16 << 20;
/// Bytes of a line.
const LINE: usize = 16;

/// Offset in its part, length (0: to the end of the part), name.
type Field = (u64, u64, &'static str);

const COMMON: &[Field] = &[
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

const SEGMENT_HEADER: &[Field] = &[
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

const FRAME: &[Field] = &[
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
    (64, 0, "records, units, padding"),
];

const UNIT_GROUP: &[Field] = &[
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
    (32, 0, "table of members, stored bytes"),
];

const UNIT: &[Field] = &[
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

const SEGMENT_TRAILER: &[Field] = &[
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

const DIRECTORY: &[Field] = &[
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

const BLOCK: &[Field] = &[
    (0, 4, "raw length"),
    (4, 4, "stored length"),
    (8, 1, "kind: 1 hot, 2 cold, 3 entities, 4 index, 5 filter, 6 properties, 7 plain"),
    (9, 1, "codec: 0 raw, 1 lz4, 2 zstd"),
    (10, 6, "crypt, nonce, key id (reserved)"),
    (16, 4, "checksum"),
    (20, 4, "reserved"),
    (24, 0, "stored bytes"),
];

const FOOTER: &[Field] = &[
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

const MANIFEST_HEADER: &[Field] =
    &[(64, 8, "salt"), (72, 4, "reserved"), (76, 4, "manifest header checksum")];

const MANIFEST_FRAME: &[Field] = &[
    (0, 4, "payload length"),
    (4, 1, "kind: 1 snapshot, 2 edits, 3 promise"),
    (5, 3, "head check"),
    (8, 8, "commit number"),
    (16, 8, "synced"),
    (24, 4, "predecessor: checksum"),
    (28, 4, "checksum"),
    (32, 0, "edits, padding"),
];

const PACK_HEADER: &[Field] = &[
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
    (112, 0, "first entity, last entity, zeros, checksum"),
];

const GROUP: &[Field] = &[
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
    (36, 0, "table of members, stored bytes"),
];

/// The fields of a part.
fn fields(file: Option<FileKind>, kind: &str) -> Vec<Field> {
    let of = |list: &[Field]| list.to_vec();
    match (file, kind) {
        (Some(FileKind::Segment), "header") => [COMMON, SEGMENT_HEADER].concat(),
        (Some(FileKind::Manifest), "header") => [COMMON, MANIFEST_HEADER].concat(),
        (Some(FileKind::Pack), "header") => [COMMON, PACK_HEADER].concat(),
        (_, "header") => of(COMMON),
        (Some(FileKind::Segment), "commit" | "run" | "promise" | "clean close" | "frame") => of(FRAME),
        (Some(FileKind::Manifest), "snapshot" | "edits" | "promise" | "frame") => of(MANIFEST_FRAME),
        (_, "content") => of(UNIT),
        (Some(FileKind::Segment), "group") => of(UNIT_GROUP),
        (_, "directory") => of(DIRECTORY),
        (_, "tail mark") => vec![(0, 8, "mark RCNTAIL"), (8, 8, "own offset")],
        (Some(FileKind::Segment), "trailer") => of(SEGMENT_TRAILER),
        (Some(FileKind::RevisionTable | FileKind::PlainTable), "footer") => of(FOOTER),
        (Some(FileKind::RevisionTable | FileKind::PlainTable), _) => of(BLOCK),
        (_, "group") => of(GROUP),
        _ => vec![(0, 0, "")],
    }
}

pub fn run(args: &HexArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    if args.len > LEN_MAX {
        return Err(Failure::Usage(format!("--len is at most {LEN_MAX}")));
    }
    let end = args.offset.saturating_add(args.len);
    if !args.annotate {
        return dump(args, env, args.offset, args.len, global, out);
    }
    let mut parts: Vec<Part> = Vec::new();
    let summary = walk(fs, &args.path, Depth::Stored, &mut |item| {
        if let Item::Part(part) = item
            && part.offset < end
            && part.end() > args.offset
            && part.len > 0
        {
            parts.push(part);
        }
        Ok(())
    })?;
    // A part that others lie in is shown up to the first of them.
    parts.sort_by_key(|part| (part.offset, part.nested));
    for (i, part) in parts.iter().enumerate() {
        let next = parts.get(i + 1).map_or(part.end(), |next| next.offset.max(part.offset).min(part.end()));
        if !global.json {
            let why = part.state.why().map_or_else(String::new, |why| format!(": {why}"));
            let what = if part.what.is_empty() { String::new() } else { format!(", {}", part.what) };
            out.line(&format!(
                "{} at {:#x}, {} bytes{what} ({}{why})",
                part.kind,
                part.offset,
                part.len,
                part.state.name()
            ))?;
        }
        for (at, len, name) in fields(summary.kind, part.kind) {
            let from = part.offset.saturating_add(at);
            let to = if len == 0 { next } else { from.saturating_add(len).min(part.end()) };
            let (from, to) = (from.max(args.offset), to.min(end));
            if from >= to {
                continue;
            }
            if global.json {
                let bytes = bytes(args, env, from, to.saturating_sub(from))?;
                let mut said = object("field");
                said.text("part", part.kind).text("field", name).number("offset", from);
                out.object(said.text("hex", &crate::file::hex(&bytes)))?;
            } else {
                if !name.is_empty() {
                    out.line(&format!("  {name}"))?;
                }
                dump(args, env, from, to.saturating_sub(from), global, out)?;
            }
        }
    }
    Ok(())
}

fn bytes(args: &HexArgs, env: &Env, offset: u64, len: u64) -> Outcome<Vec<u8>> {
    let file = open(&*env.fs, &args.path)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    let n = read_at_most(&*file, &mut bytes, offset).map_err(|error| io("read", &args.path, error))?;
    bytes.truncate(n);
    Ok(bytes)
}

fn dump(args: &HexArgs, env: &Env, offset: u64, len: u64, global: &Global, out: &mut Out) -> Outcome {
    for (i, line) in bytes(args, env, offset, len)?.chunks(LINE).enumerate() {
        let at = offset.saturating_add((i * LINE) as u64);
        if global.json {
            out.object(object("bytes").number("offset", at).text("hex", &crate::file::hex(line)))?;
            continue;
        }
        let digits = line.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x} "));
        let shown =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let text: String = line.iter().map(shown).collect();
        out.line(&format!("    {at:08x}  {digits:<48} {text}"))?;
    }
    Ok(())
}
