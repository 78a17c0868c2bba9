//! `log`: the frames of the log in order; gaps, duplicate tails and broken promises.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use recension::codec::{FileId, FileKind, Part};
use recension::env::Env;
use recension::log::{Frame, Position};
use recension::model::Timestamp;
use recension::pack::Depth;
use recension::{LiveChangeKind, LiveChanges};
use recension_cli::entity::shown;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count};
use recension_cli::{Global, time};

use crate::args::LogArgs;
use crate::file::{self, StoreFiles};
use crate::file::{Fact, Item, Summary, is_finding, walk_listed};
use crate::show::object;

/// How long is waited for a change before it is asked whether the time is over.
const WAIT: Duration = Duration::from_millis(500);
/// So many more looks at a log in which something seems to be wrong.
const RETRIES: u32 = 3;

/// What is wrong with the log as a whole.
struct Trouble {
    kind: &'static str,
    text: String,
}

pub fn run(args: &LogArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let files = file::store_in(&*env.fs, &args.store)?;
    let segments: Vec<FileId> =
        files.files.iter().filter(|(_, kind, _)| *kind == FileKind::Segment).map(|(id, ..)| *id).collect();
    let mut last: VecDeque<(String, Frame)> = VecDeque::new();
    let mut troubles: Vec<Trouble> = Vec::new();
    let mut summaries: Vec<Summary> = Vec::new();
    let mut printed = 0_u64;
    for id in &segments {
        let name = id.file_name(FileKind::Segment);
        let mut bad: Vec<Part> = Vec::new();
        let summary =
            walk_listed(&*env.fs, &args.store.join(&name), Depth::Stored, &mut |item| match item {
                Item::Part(part) if is_finding(&part.state) && !part.nested => {
                    bad.push(part);
                    Ok(())
                }
                Item::Frame(frame) => {
                    printed += 1;
                    match args.tail {
                        None => say(&name, &frame, global, out),
                        Some(tail) => {
                            last.push_back((name.clone(), frame));
                            if last.len() as u64 > tail {
                                last.pop_front();
                            }
                            Ok(())
                        }
                    }
                }
                _ => Ok(()),
            })?;
        for part in bad {
            let flip = part.flip.map_or_else(String::new, |flip| format!(" ({flip})"));
            let text = format!(
                "{name} at {:#x}: {}: {}{flip}",
                part.offset,
                part.what,
                part.state.why().unwrap_or_default()
            );
            troubles.push(Trouble { kind: "damage", text });
        }
        summaries.push(summary);
    }
    for (name, frame) in &last {
        say(name, frame, global, out)?;
    }
    // As it is now: segments that were read may have become packs meanwhile.
    let mut judged = judge(&StoreFiles::read(&*env.fs, &args.store)?, &summaries);
    for _ in 0..RETRIES {
        if judged.is_empty() {
            break;
        }
        // A writer may have gone on between the segments and the manifest: what is wrong is wrong in a second look as well.
        let files = StoreFiles::read(&*env.fs, &args.store)?;
        let again = segment_summaries(env, &files)?;
        judged = judge(&files, &again);
    }
    troubles.extend(judged);
    for trouble in &troubles {
        match global.json {
            true => out.object(object("trouble").text("kind", trouble.kind).text("text", &trouble.text))?,
            false => out.line(&format!("{}: {}", trouble.kind, trouble.text))?,
        }
    }
    if !global.json {
        let (frames, files) =
            (count(printed, "frame", "frames"), count(segments.len() as u64, "segment", "segments"));
        out.line(&format!("{frames} in {files}"))?;
    }
    if args.follow {
        follow(args, env, &summaries, global, out)?;
    }
    match troubles.len() as u64 {
        0 => Ok(()),
        n => Err(Failure::Damage(format!("{}: {}", args.store.display(), count(n, "trouble", "troubles")))),
    }
}

fn say(name: &str, frame: &Frame, global: &Global, out: &mut Out) -> Outcome {
    let head = &frame.head;
    let (first, last) = (head.first_sequence, head.next_sequence().saturating_sub(1));
    if global.json {
        let mut said = object("frame");
        said.text("file", name).number("offset", frame.offset).number("len", u64::from(head.len));
        said.text("kind", &format!("{:?}", head.kind)).number("records", u64::from(head.records));
        said.number("first_sequence", first).text("committed", &time::rfc3339(Timestamp(head.commit_time)));
        said.number("promise_file", head.promise.file).number("promise_offset", head.promise.offset);
        return out.object(&said);
    }
    let what = match first <= last {
        true => format!("changes {first} to {last}"),
        false => String::new(),
    };
    let at = time::shown(Timestamp(head.commit_time), global);
    out.line(&format!(
        "{name} {:#010x} {:>9} {:?} {at} {what} (durable up to {})",
        frame.offset, head.len, head.kind, head.promise
    ))
}

fn number(summary: &Summary, name: &str) -> u64 {
    summary
        .facts
        .iter()
        .find_map(|(fact, value)| match value {
            Fact::Number(n) if *fact == name => Some(*n),
            _ => None,
        })
        .unwrap_or(0)
}

/// What each segment says of itself.
fn segment_summaries(env: &Env, files: &StoreFiles) -> Outcome<Vec<Summary>> {
    let paths = files.paths(&[FileKind::Segment]);
    let one = |path: &PathBuf| walk_listed(&*env.fs, path, Depth::Stored, &mut |_| Ok(()));
    paths.iter().map(one).collect()
}

/// Gaps between segments, two that follow the same one, promises that are not kept.
fn judge(files: &StoreFiles, segments: &[Summary]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut next: BTreeMap<u64, u64> = BTreeMap::new();
    let mut ends: BTreeMap<u64, u64> = BTreeMap::new();
    let mut followers: BTreeMap<(u64, u64), Vec<u64>> = BTreeMap::new();
    let mut promise = Position::NONE;
    for segment in segments {
        let Some(common) = &segment.common else { continue };
        let changes = number(segment, "changes");
        next.insert(common.id.number, number(segment, "next_sequence"));
        ends.insert(common.id.number, number(segment, "frames_end"));
        if changes > 0 {
            let behind = (number(segment, "predecessor"), number(segment, "predecessor_sequence"));
            followers.entry(behind).or_default().push(common.id.number);
        }
        promise =
            promise.max(Position::new(number(segment, "promise_file"), number(segment, "promise_offset")));
    }
    for ((predecessor, sequence), ids) in &followers {
        if ids.len() > 1 {
            let text = format!("the segments {ids:?} all follow change {sequence} of file {predecessor}");
            troubles.push(Trouble { kind: "duplicate tail", text });
        }
        if let Some(next) = next.get(predecessor)
            && *next != sequence.saturating_add(1)
        {
            let text = format!(
                "segment {} goes on behind change {sequence}, file {predecessor} ends before change {next}",
                ids[0]
            );
            troubles.push(Trouble { kind: "gap", text });
        }
        let packed = files.state.as_ref().is_some_and(|state| {
            state
                .value_files
                .values()
                .any(|info| info.kind == FileKind::Pack && info.sequence_last >= *sequence)
        });
        if *predecessor != 0 && !next.contains_key(predecessor) && !packed {
            let text = format!("segment {} follows file {predecessor}, which is not there", ids[0]);
            troubles.push(Trouble { kind: "gap", text });
        }
    }
    if let Some(state) = &files.state {
        promise = promise.max(Position::new(state.promise.0, state.promise.1));
    }
    let missed = (promise.file, FileKind::Segment);
    let broken = match (ends.get(&promise.file), &files.state) {
        (Some(end), _) if promise.offset > *end => {
            Some(format!("the log was durable up to {promise}, the frames of that file end at byte {end}"))
        }
        // A file that became a pack is not missed.
        (None, Some(state)) if !files.files.iter().any(|(id, kind, _)| (id.number, *kind) == missed) => {
            let sealed = state.value_files.values().filter(|file| file.kind == FileKind::Segment);
            let sealed = sealed.map(|file| file.id).chain(state.packed_end.map(|end| end.id));
            let known = sealed.map(|id| id.number).max().unwrap_or(0) >= promise.file;
            (!known).then(|| format!("the log was durable up to {promise}, and that file is not there"))
        }
        _ => None,
    };
    if let Some(text) = broken {
        troubles.push(Trouble { kind: "broken promise", text });
    }
    troubles
}

/// New changes as they become durable.
fn follow(args: &LogArgs, env: &Env, segments: &[Summary], global: &Global, out: &mut Out) -> Outcome {
    let after =
        segments.iter().map(|segment| number(segment, "next_sequence").saturating_sub(1)).max().unwrap_or(0);
    let after = args.since.unwrap_or(after);
    // What was just written may not be promised yet.
    let mut live = match LiveChanges::open_in(env.clone(), &args.store, after) {
        Err(recension::Error::CursorLost { last, .. }) => {
            LiveChanges::open_in(env.clone(), &args.store, last)?
        }
        other => other?,
    };
    out.flush()?;
    let now = || env.clock.monotonic_us();
    let end = args.seconds.map(|seconds| now().saturating_add(seconds.saturating_mul(1_000_000)));
    loop {
        let left = end.map_or(WAIT, |end| Duration::from_micros(end.saturating_sub(now())).min(WAIT));
        if left.is_zero() {
            return Ok(());
        }
        let Some(change) = live.wait(Some(left))? else { continue };
        let (entity, what) = match &change.kind {
            LiveChangeKind::Revision { entity, row, .. } => {
                (entity.clone(), format!("revision {}", row.number))
            }
            LiveChangeKind::Annotation(annotation) => {
                (annotation.entity.clone(), format!("{:?}", annotation.kind))
            }
            _ => continue,
        };
        if global.json {
            let mut said = object("change");
            said.number("seq", change.sequence).entity(entity.as_bytes()).text("what", &what);
            out.object(&said)?;
        } else {
            out.line(&format!(
                "{:>8}  {}  {}  {what}",
                change.sequence,
                time::shown(change.commit_time, global),
                shown(entity.as_bytes())
            ))?;
        }
        out.flush()?;
    }
}
