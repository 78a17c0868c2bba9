//! `restore`: a checkpoint becomes the store again.

use recension::{AnnotationsFrom, RestoreReport, Store};

use super::progress::with_bar;
use crate::args::{Global, RestoreArgs};
use crate::exit::Outcome;
use crate::output::{Object, Out, count, size};

pub fn run(args: &RestoreArgs, global: &Global, out: &mut Out) -> Outcome {
    let annotations = match args.annotations_from.to_str() {
        Some("none") => AnnotationsFrom::Nowhere,
        _ => AnnotationsFrom::Store(args.annotations_from.clone()),
    };
    let report =
        with_bar(|progress| Store::builder(&args.store).restore(&args.checkpoint, &annotations, progress))?;
    if global.json {
        return out.object(&object(args, &report));
    }
    let shared = match (report.linked, report.copied) {
        (linked, 0) => format!("{} shared with the checkpoint", count(linked, "file", "files")),
        (0, copied) => format!("{} copied", count(copied, "file", "files")),
        (linked, copied) => format!("{linked} files shared with the checkpoint, {copied} copied"),
    };
    out.line(&format!(
        "{}: the store as of sequence {}, {shared} ({})",
        args.store.display(),
        report.checkpoint_sequence,
        size(report.bytes)
    ))?;
    out.line(&match report.annotations_up_to {
        None => "nothing that was hidden or forgotten since was applied".into(),
        Some(up_to) => format!(
            "{} applied that the old store has behind it, up to sequence {up_to} ({} of revisions that are not in the checkpoint left out)",
            count(report.annotations, "annotation", "annotations"),
            report.annotations_beyond
        ),
    })
}

fn object(args: &RestoreArgs, report: &RestoreReport) -> Object {
    let mut object = Object::new();
    object.text("store", &args.store.to_string_lossy());
    object.number("checkpoint_sequence", report.checkpoint_sequence).number("sequence", report.sequence);
    object.number("linked", report.linked).number("copied", report.copied).number("bytes", report.bytes);
    object.number("annotations", report.annotations).number("annotations_beyond", report.annotations_beyond);
    if let Some(up_to) = report.annotations_up_to {
        object.number("annotations_up_to", up_to);
    }
    object
}
