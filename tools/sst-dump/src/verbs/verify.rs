//! `verify`: everything that can be checked, past damage.

use recension::env::Env;
use recension::inspect::{Finding, Verified, verify_file, verify_store};
use recension::limits::Limits;
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count, grouped, size};

use crate::args::VerifyArgs;
use crate::file;
use crate::show::{holds_into, object};
use crate::verbs::inspect::explained;

/// A writer that replaces files while they are read is given so many chances.
const ATTEMPTS: u32 = 8;

pub fn run(args: &VerifyArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let depth = if args.stored { Depth::Stored } else { Depth::Contents };
    if !file::is_dir(&*env.fs, &args.path)? {
        let verified = verify_file(&*env.fs, &args.path, depth)?;
        return report(&verified, args, global, out);
    }
    file::store_in(&*env.fs, &args.path)?;
    let mut attempts = 0;
    let verified = loop {
        attempts += 1;
        let verified = verify_store(env, &args.path, depth, &Limits::PRODUCTION)?;
        if !verified.moved_on || attempts >= ATTEMPTS {
            break verified;
        }
    };
    report(&verified, args, global, out)
}

fn report(verified: &Verified, args: &VerifyArgs, global: &Global, out: &mut Out) -> Outcome {
    verified.found.iter().try_for_each(|finding| say(finding, global, out))?;
    for note in &verified.notes {
        match global.json {
            true => out.object(object("note").text("note", note))?,
            false => out.line(&format!("note: {note}"))?,
        }
    }
    let (read, findings) = (&verified.read, verified.found.len() as u64);
    let rate = read.filter_false as f64 / read.filter_absent.max(1) as f64;
    if global.json {
        let mut said = object("summary");
        said.number("findings", findings).number("files", read.files).number("bytes", read.bytes);
        said.number("parts", read.parts).number("changes", read.changes).number("contents", read.contents);
        said.number("rows", read.rows).raw("filter_false_positive_rate", &format!("{rate:.6}"));
        out.object(&said)?;
    } else {
        let word = if findings == 0 { "sound" } else { "damaged" };
        let filters = match read.filter_absent {
            0 => String::new(),
            _ => format!(", filters wrong for {:.3} % of absent names", rate * 100.0),
        };
        out.line(&format!(
            "{word}: {} of {}, {} parts, {} changes, {} contents, {} rows{filters}",
            count(read.files, "file", "files"),
            size(read.bytes),
            grouped(read.parts),
            grouped(read.changes),
            grouped(read.contents),
            grouped(read.rows)
        ))?;
    }
    match findings {
        0 => Ok(()),
        n => Err(Failure::Damage(format!("{}: {}", args.path.display(), count(n, "finding", "findings")))),
    }
}

fn say(finding: &Finding, global: &Global, out: &mut Out) -> Outcome {
    let part = &finding.part;
    if global.json {
        let mut said = object("finding");
        said.text("check", finding.check).text("file", &finding.file).number("offset", part.offset);
        said.number("len", part.len).text("kind", part.kind).text("state", part.state.name());
        said.text("why", part.state.why().unwrap_or_default());
        if let Some(flip) = &part.flip {
            said.number("flip_offset", flip.offset).number("flip_bit", u64::from(flip.bit));
        }
        holds_into(&mut said, &part.holds);
        return out.object(&said);
    }
    let place = match (finding.file.as_str(), part.len) {
        ("", _) => String::new(),
        (file, 0) => format!("{file}: "),
        (file, _) => format!("{file}: {} at {:#x}: ", part.kind, part.offset),
    };
    let why = part.state.why().unwrap_or_default();
    out.line(&format!("{} ({}): {place}{why}", part.state.name(), finding.check))?;
    explained(part, out)
}
