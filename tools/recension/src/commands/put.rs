//! `put`: one revision.

use std::io::Read;
use std::path::{Path, PathBuf};

use recension::limits::CONTENT_LEN_MAX;
use recension::{Draft, IfMissing};

use super::edit::commit;
use crate::args::{Global, PutArgs};
use crate::entity::from_arg;
use crate::exit::{Failure, Outcome};
use crate::output::Out;

pub fn run(args: PutArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let file = args.file.unwrap_or_else(|| PathBuf::from("-"));
    let mut draft = Draft::new(read(&file)?);
    if let Some(content_type) = args.content_type {
        draft = draft.content_type(content_type);
    }
    if args.if_changed {
        draft = draft.if_changed();
    }
    commit(&args.store, IfMissing::Create, &entity, draft, args.fields, global, out)
}

/// A whole file, or standard input for `-`.
fn read(path: &Path) -> Outcome<Vec<u8>> {
    let shown =
        if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    let failed = |error| Failure::Io(format!("cannot read {shown}"), error);
    let mut content = Vec::new();
    // One byte more than is allowed, so that the library can say what is wrong without all of it being read.
    let limit = CONTENT_LEN_MAX as u64 + 1;
    match path.as_os_str() == "-" {
        true => std::io::stdin().lock().take(limit).read_to_end(&mut content).map_err(failed)?,
        false => std::fs::File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut content))
            .map_err(failed)?,
    };
    if content.len() > CONTENT_LEN_MAX {
        return Err(Failure::Failed(format!(
            "{shown} has more than {CONTENT_LEN_MAX} bytes, the most that a content may have"
        )));
    }
    Ok(content)
}
