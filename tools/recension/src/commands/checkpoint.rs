//! `checkpoint`: a second store out of links.

use recension::IfMissing;

use super::write_to;
use crate::args::{CheckpointArgs, Global};
use crate::exit::Outcome;
use crate::output::{Object, Out, count, size};

pub fn run(args: &CheckpointArgs, global: &Global, out: &mut Out) -> Outcome {
    let report = write_to(&args.store, IfMissing::Fail, global, |store| Ok(store.checkpoint(&args.to)?))?;
    if global.json {
        let mut object = Object::new();
        object.text("path", &args.to.to_string_lossy()).number("sequence", report.sequence);
        return out.object(object.number("files", report.files).number("bytes", report.bytes));
    }
    out.line(&format!(
        "{}: a store up to sequence {}, {} shared ({})",
        args.to.display(),
        report.sequence,
        count(report.files, "file", "files"),
        size(report.bytes)
    ))
}
