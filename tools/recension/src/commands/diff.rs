//! `diff`: what changed between two revisions, by lines (with the changed words marked) or by words.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use recension::{Content, Head, Revision, Store};
use similar::{ChangeTag, TextDiff};

use super::open_to_read;
use crate::args::{DiffArgs, Global};
use crate::entity::{from_arg, shown};
use crate::exit::{Failure, Outcome};
use crate::output::{Object, Out};

/// After so long a coarser answer will do.
const DEADLINE: Duration = Duration::from_secs(5);

const OLD: Style = AnsiColor::Red.on_default();
const NEW: Style = AnsiColor::Green.on_default();
const HUNK: Style = AnsiColor::Cyan.on_default();
const HEAD: Style = Style::new().bold();

pub fn run(args: &DiffArgs, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let store = open_to_read(&args.store)?;
    let (old, new) = pair(&store, entity.as_bytes(), args)?;
    let (old_bytes, new_bytes) = (content(old.as_ref())?, content(Some(&new))?);
    let texts = (std::str::from_utf8(&old_bytes), std::str::from_utf8(&new_bytes));
    let name = shown(entity.as_bytes());
    let old_number = old.as_ref().map_or(0, Revision::number);
    let (Ok(old_text), Ok(new_text)) = texts else {
        return binary(&name, (old_number, &old_bytes), (new.number(), &new_bytes), global, out);
    };
    let paint = Paint(out.color() && !global.json);
    if !global.json && old_text != new_text {
        out.line(&paint.with(HEAD, &format!("--- {name} revision {old_number}")))?;
        out.line(&paint.with(HEAD, &format!("+++ {name} revision {}", new.number())))?;
    }
    match args.words {
        true => words(old_text, new_text, paint, global, out),
        false => lines(old_text, new_text, args.context, paint, global, out),
    }
}

/// The two revisions. Without numbers: the head and the one before it; the one before the first is empty.
fn pair(store: &Store, entity: &[u8], args: &DiffArgs) -> Outcome<(Option<Revision>, Revision)> {
    let numbered = |number| super::get::find(store, entity, Some(number), None, true);
    let new = match args.to {
        Some(number) => numbered(number)?,
        None => match store.head(entity)? {
            Head::Live(revision) | Head::Deleted(revision) => revision,
            _ => return Err(Failure::NotFound("not_found", format!("there is no entity {}", shown(entity)))),
        },
    };
    let old = match args.from {
        Some(0) => None,
        Some(number) => Some(numbered(number)?),
        None => store
            .history(entity)?
            .find(|r| r.as_ref().map_or(true, |r| r.number() < new.number()))
            .transpose()?,
    };
    Ok((old, new))
}

/// The bytes; a tombstone's are none.
fn content(revision: Option<&Revision>) -> Outcome<bytes::Bytes> {
    let Some(revision) = revision else { return Ok(bytes::Bytes::new()) };
    let name = shown(revision.entity().as_bytes());
    let (kind, why) = match revision.content()? {
        Content::Present(bytes) => return Ok(bytes),
        Content::Deleted => return Ok(bytes::Bytes::new()),
        Content::Hidden => ("hidden", "is hidden"),
        Content::Forgotten => ("forgotten", "was forgotten"),
        _ => ("withheld", "was not given by the source that it was imported from"),
    };
    Err(Failure::NotFound(kind, format!("the content of revision {} of {name} {why}", revision.number())))
}

fn binary(name: &str, old: (u64, &[u8]), new: (u64, &[u8]), global: &Global, out: &mut Out) -> Outcome {
    let same = old.1 == new.1;
    if global.json {
        return out.object(Object::new().boolean("binary", true).boolean("equal", same));
    }
    match same {
        true => Ok(()),
        false => out.line(&format!("{name}: revisions {} and {} differ (they are not text)", old.0, new.0)),
    }
}

fn lines(old: &str, new: &str, context: usize, paint: Paint, global: &Global, out: &mut Out) -> Outcome {
    let diff = TextDiff::configure().timeout(DEADLINE).diff_lines(old, new);
    for group in diff.grouped_ops(context) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let old_range = range(first.old_range().start, last.old_range().end);
        let new_range = range(first.new_range().start, last.new_range().end);
        if !global.json {
            out.line(&paint.with(HUNK, &format!("@@ -{old_range} +{new_range} @@")))?;
        }
        for op in &group {
            for change in diff.iter_inline_changes(op) {
                if global.json {
                    let text: String = change.iter_strings_lossy().map(|(_, text)| text).collect();
                    out.object(&object(change.tag(), change.old_index(), change.new_index(), &text))?;
                    continue;
                }
                let (sign, style) = look(change.tag());
                let mut line = paint.with(style, sign);
                let mut ended = false;
                for (emphasised, text) in change.iter_strings_lossy() {
                    let body = text.strip_suffix('\n').unwrap_or(&text);
                    ended |= body.len() < text.len();
                    let style = if emphasised { style.bold().underline() } else { style };
                    line += &paint.with(style, &visible(body));
                }
                out.line(&line)?;
                if !ended {
                    out.line("\\ No newline at end of file")?;
                }
            }
        }
    }
    Ok(())
}

fn words(old: &str, new: &str, paint: Paint, global: &Global, out: &mut Out) -> Outcome {
    let diff = TextDiff::configure().timeout(DEADLINE).diff_unicode_words(old, new);
    if global.json {
        for change in diff.iter_all_changes() {
            out.object(&object(change.tag(), None, None, change.value()))?;
        }
        return Ok(());
    }
    if old == new {
        return Ok(());
    }
    let mut text = String::new();
    let mut run: Option<(ChangeTag, String)> = None;
    let mut end = |(tag, words): (ChangeTag, String)| {
        let (_, style) = look(tag);
        // Without colours the changes are told by brackets, as `git diff --word-diff` does.
        match (tag, paint.0) {
            (ChangeTag::Equal, _) => text += &visible_text(&words),
            (_, true) => text += &paint.with(style, &visible_text(&words)),
            (ChangeTag::Delete, false) => text += &format!("[-{}-]", visible_text(&words)),
            (ChangeTag::Insert, false) => text += &format!("{{+{}+}}", visible_text(&words)),
        }
    };
    for change in diff.iter_all_changes() {
        match &mut run {
            Some((tag, words)) if *tag == change.tag() => words.push_str(change.value()),
            _ => {
                if let Some(run) = run.replace((change.tag(), change.value().to_owned())) {
                    end(run);
                }
            }
        }
    }
    if let Some(run) = run {
        end(run);
    }
    out.bytes(text.as_bytes())?;
    if text.ends_with('\n') { Ok(()) } else { out.bytes(b"\n") }
}

/// The part of a file as `start,length`, counted from 1; an empty part names the line before it.
fn range(start: usize, end: usize) -> String {
    let len = end.saturating_sub(start);
    match len {
        1 => format!("{}", start + 1),
        0 => format!("{start},0"),
        _ => format!("{},{len}", start + 1),
    }
}

fn look(tag: ChangeTag) -> (&'static str, Style) {
    match tag {
        ChangeTag::Equal => (" ", Style::new()),
        ChangeTag::Delete => ("-", OLD),
        ChangeTag::Insert => ("+", NEW),
    }
}

fn object(tag: ChangeTag, old: Option<usize>, new: Option<usize>, text: &str) -> Object {
    let mut object = Object::new();
    object.text(
        "change",
        match tag {
            ChangeTag::Equal => "equal",
            ChangeTag::Delete => "delete",
            ChangeTag::Insert => "insert",
        },
    );
    for (key, index) in [("old_line", old), ("new_line", new)] {
        if let Some(index) = index {
            object.number(key, index as u64 + 1);
        }
    }
    object.text("text", text);
    object
}

/// A line with what a terminal could obey made visible; tabs stay.
fn visible(line: &str) -> String {
    match line.contains(|c: char| c.is_control() && c != '\t') {
        false => line.to_owned(),
        true => line.split('\t').map(|part| shown(part.as_bytes())).collect::<Vec<_>>().join("\t"),
    }
}

fn visible_text(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, style: Style, text: &str) -> String {
        match self.0 && !text.is_empty() && style != Style::new() {
            true => format!("{}{text}{}", style.render(), style.render_reset()),
            false => text.to_owned(),
        }
    }
}
