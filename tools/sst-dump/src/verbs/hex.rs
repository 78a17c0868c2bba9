//! `hex`: bytes, with the names of their fields.

use recension::codec::{FileKind, Part};
use recension::env::{Env, read_at_most};
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::Out;

use super::hex_fields::fields;
use crate::args::HexArgs;
use crate::file::{Item, io, open, walk, want_file};
use crate::show::object;

/// No more bytes than this at once.
const LEN_MAX: u64 = 16 << 20;
/// So much of a part says where its fields are.
const HEAD: u64 = 64;
/// Bytes of a line.
const LINE: usize = 16;

pub fn run(args: &HexArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    if args.len > LEN_MAX {
        return Err(Failure::Usage(format!("--len is at most {LEN_MAX}")));
    }
    want_file(fs, &args.path)?;
    let len = open(fs, &args.path)?.len().map_err(|error| io("read the length of", &args.path, error))?;
    if args.offset > 0 && args.offset >= len {
        let (path, offset) = (args.path.display(), args.offset);
        return Err(Failure::Usage(format!("{path} has {len} bytes: there is none at --offset {offset}")));
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
        // The head of a part says how long its fields are; edits are read whole.
        let wanted = if summary.kind == Some(FileKind::Manifest) { LEN_MAX } else { HEAD };
        let head = bytes(args, env, part.offset, part.len.min(wanted))?;
        for (from, len, name) in fields(summary.kind, part, &head) {
            // Parts inside it are shown by themselves.
            let to = from.saturating_add(len);
            let to = if from < next { to.min(next) } else { from };
            let (from, to) = (from.max(args.offset), to.min(end));
            if from >= to {
                continue;
            }
            if global.json {
                let bytes = bytes(args, env, from, to.saturating_sub(from))?;
                let mut said = object("field");
                said.text("part", part.kind).text("field", &name).number("offset", from);
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
