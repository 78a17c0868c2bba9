//! One way through a file of any kind, by its magic: its parts, what they say, and what is wrong with them.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::item::{Fact, Item, Summary, kind_name};
use crate::codec::{FileHeader, FileId, FileKind, MAGIC, Part};
use crate::env::{Access, File, Fs, read_at_most};
use crate::error::IoContext;
use crate::index::table::{TableItem, dissect_table};
use crate::log::{SegmentItem, StoredContent, UnitHeader, dissect_segment};
use crate::manifest::{ManifestItem, dissect_manifest};
use crate::pack::{Depth, PackItem, dissect_pack};
use crate::{Error, Result};

/// Goes through a file of any kind. What `visit` answers with an error ends it.
///
/// # Errors
/// `Io`, `Unsupported` for a kind of file that is not known, and those of `visit`. Damage is no error here.
pub fn walk(
    fs: &dyn Fs,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<Summary> {
    walk_file(&fs.open(path, Access::Read).context("open", path)?, path, depth, visit)
}

/// [`walk`] through a file that is open.
///
/// # Errors
/// As for [`walk`].
pub fn walk_file(
    file: &Arc<dyn File>,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<Summary> {
    let mut start = [0; 64];
    let n = read_at_most(&**file, &mut start, 0).context("read", path)?;
    let start = start.get(..n).unwrap_or_default();
    let named = path.file_name().and_then(|name| FileId::parse(name.to_str()?));
    let common = FileHeader::decode(path, start).ok();
    let by_magic = start.get(..8).filter(|magic| *magic == MAGIC).and_then(|_| {
        let kind = start.get(8..10)?;
        FileKind::from_u16(u16::from_le_bytes(kind.try_into().ok()?))
    });
    let kind = common.map(|common| common.kind).or(named.map(|(_, kind)| kind)).or(by_magic);
    let len = file.len().context("read the length of", path)?;
    let mut summary = Summary { kind, named, common, len, ..Summary::nothing(path) };
    match kind {
        Some(FileKind::Segment) => segment(file, path, depth, visit, &mut summary)?,
        Some(FileKind::RevisionTable | FileKind::PlainTable) => table(file, path, visit, &mut summary)?,
        Some(FileKind::Manifest) => manifest(file, path, visit, &mut summary)?,
        Some(FileKind::Pack) => pack(file, path, depth, visit, &mut summary)?,
        Some(_) => {
            return Err(Error::Unsupported { path: path.to_path_buf(), what: kind_name(kind).into() });
        }
        None => visit(Item::Part(Part::damaged("file", 0, len, "expected the magic of a Recension file")))?,
    }
    Ok(summary)
}

/// [`walk`] for a file that was found in a store's directory, which a writer may have replaced meanwhile: then there is nothing to see.
///
/// # Errors
/// As for [`walk`].
pub fn walk_listed(
    fs: &dyn Fs,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Result<()>,
) -> Result<Summary> {
    match walk(fs, path, depth, visit) {
        Err(error) if is_gone(&error) => Ok(Summary { vanished: true, ..Summary::nothing(path) }),
        other => other,
    }
}

/// Whether an error says that a file is not there any more.
pub fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

fn segment(
    file: &Arc<dyn File>,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Result<()>,
    summary: &mut Summary,
) -> Result<()> {
    let survey = dissect_segment(file, path, depth, &mut |item| match item {
        SegmentItem::Part(part) => visit(Item::Part(part)),
        SegmentItem::Frame(frame, records) => {
            visit(Item::Frame(frame))?;
            records.into_iter().try_for_each(|record| visit(Item::Change(record.change, record.contents)))
        }
        SegmentItem::Stray(_) => Ok(()),
        SegmentItem::Directory(changes) => {
            changes.into_iter().try_for_each(|change| visit(Item::Listed(change)))
        }
    })?;
    let facts = &mut summary.facts;
    let mut number = |name, n| facts.push((name, Fact::Number(n)));
    if let Some(header) = &survey.header {
        number("predecessor", header.predecessor.number);
        number("predecessor_sequence", header.predecessor_sequence);
        number("incarnation", header.incarnation);
        number("salt", header.salt);
    }
    number("frames", survey.frames);
    number("frames_end", survey.frames_end);
    number("changes", survey.changes);
    number("next_sequence", survey.next_sequence);
    number("promise_file", survey.promise.file);
    number("promise_offset", survey.promise.offset);
    if let Some(trailer) = &survey.trailer {
        number("contents", trailer.contents);
        facts.push(("raw_bytes", Fact::Size(trailer.raw_bytes)));
        facts.push(("stored_bytes", Fact::Size(trailer.stored_bytes)));
        facts.push(("last_commit_time", Fact::Time(trailer.last_commit_time)));
    }
    if let Some(header) = &survey.header {
        facts.push(("created", Fact::Time(header.created)));
    }
    facts.push(("sealed", Fact::Text(if survey.trailer.is_some() { "yes" } else { "no" }.into())));
    summary.finished = survey.trailer.is_some();
    let first = survey.header.map(|header| header.first_sequence());
    let first = first.or(survey.trailer.map(|trailer| trailer.sequence_first));
    let last = survey.trailer.map_or(survey.next_sequence.saturating_sub(1), |trailer| trailer.sequence_last);
    summary.sequences = first.filter(|first| *first <= last).map(|first| (first, last));
    Ok(())
}

fn table(
    file: &Arc<dyn File>,
    path: &Path,
    visit: &mut dyn FnMut(Item) -> Result<()>,
    summary: &mut Summary,
) -> Result<()> {
    let survey = dissect_table(file, path, &mut |item| {
        visit(match item {
            TableItem::Part(part) => Item::Part(part),
            TableItem::Row(entity, row, places) => Item::Row(entity, row, places),
            TableItem::Lost(entity, number) => Item::Lost(entity, number),
            TableItem::Pair(key, value) => Item::Pair(key, value),
        })
    })?;
    let facts = &mut summary.facts;
    if let Some(properties) = &survey.properties {
        facts.push(("keyspace", Fact::Number(u64::from(properties.keyspace))));
        facts.push(("rows", Fact::Number(properties.rows)));
        facts.push(("entities", Fact::Number(properties.entities)));
        facts.push(("first", Fact::Name(properties.first.clone())));
        facts.push(("last", Fact::Name(properties.last.clone())));
        facts.push(("sequence_first", Fact::Number(properties.sequence_first)));
        facts.push(("sequence_last", Fact::Number(properties.sequence_last)));
        summary.sequences = Some((properties.sequence_first, properties.sequence_last));
        summary.finished = true;
    }
    facts.push(("rows_read", Fact::Number(survey.rows)));
    facts.push(("rows_lost", Fact::Number(survey.rows_lost)));
    if let Some(filter) = &survey.filter {
        facts.push(("filter_hashes", Fact::Number(u64::from(filter.count))));
        facts.push(("filter_bytes", Fact::Size(filter.bytes)));
        facts.push(("filter_false_negatives", Fact::Number(filter.false_negatives)));
        let rate = filter.false_positives as f64 / filter.absent.max(1) as f64;
        facts.push(("filter_false_positive_rate", Fact::Share(rate)));
    }
    summary.filter = survey.filter;
    Ok(())
}

/// No manifest is longer; see `crate::manifest`.
const MANIFEST_LEN_MAX: u64 = 2 << 30;

/// All bytes of a manifest file.
pub fn manifest_bytes(file: &dyn File, path: &Path) -> Result<Vec<u8>> {
    let len = file.len().context("read the length of", path)?.min(MANIFEST_LEN_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let n = read_at_most(file, &mut bytes, 0).context("read", path)?;
    bytes.truncate(n);
    Ok(bytes)
}

fn manifest(
    file: &Arc<dyn File>,
    path: &Path,
    visit: &mut dyn FnMut(Item) -> Result<()>,
    summary: &mut Summary,
) -> Result<()> {
    let bytes = manifest_bytes(&**file, path)?;
    let survey = dissect_manifest(path, &bytes, &mut |item| {
        visit(match item {
            ManifestItem::Part(part) => Item::Part(part),
            ManifestItem::Frame(frame) => Item::Edits {
                number: frame.number,
                kind: frame.kind,
                offset: frame.offset,
                edits: frame.edits.to_vec(),
                broken: frame.broken,
                state: Box::new(frame.state.clone()),
            },
        })
    })?;
    let state = &survey.state;
    let facts = &mut summary.facts;
    let numbers = [
        ("commit", survey.number),
        ("commits", survey.commits),
        ("incarnation", state.incarnation),
        ("writer_epoch", state.epoch),
        ("next_file", state.next_file),
        ("tables", state.tables.len() as u64),
        ("value_files", state.value_files.len() as u64),
        ("intents", state.intents.len() as u64),
        ("obsolete", state.obsolete.len() as u64),
        ("checkpoints", state.holders.len() as u64),
        ("promise_file", state.promise.0),
        ("promise_offset", state.promise.1),
        ("promise_sequence", state.promise_sequence),
    ];
    facts.extend(numbers.map(|(name, n)| (name, Fact::Number(n))));
    for (keyspace, sequence) in &state.flushed {
        facts.push((if *keyspace == 0 { "flushed" } else { "flushed_annotations" }, Fact::Number(*sequence)));
    }
    summary.finished = survey.has_snapshot;
    Ok(())
}

fn pack(
    file: &Arc<dyn File>,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Result<()>,
    summary: &mut Summary,
) -> Result<()> {
    let survey = dissect_pack(file, path, depth, &mut |item| match item {
        PackItem::Part(part) => visit(Item::Part(part)),
        PackItem::Group(at, header) => visit(Item::Group(at, header)),
        PackItem::Content(address, content) => visit(Item::Content(address, content)),
        PackItem::Directory(changes) => {
            changes.into_iter().try_for_each(|change| visit(Item::Listed(change)))
        }
    })?;
    let facts = &mut summary.facts;
    if let Some(header) = &survey.header {
        let rectangle = &header.rectangle;
        summary.sequences = Some((rectangle.sequence_first, rectangle.sequence_last));
        facts.push(("sequence_first", Fact::Number(rectangle.sequence_first)));
        facts.push(("sequence_last", Fact::Number(rectangle.sequence_last)));
        facts.push(("entity_first", Fact::Name(rectangle.entity_first.clone())));
        facts.push(("entity_last", Fact::Name(rectangle.entity_last.clone())));
        facts.push(("generation", Fact::Number(u64::from(header.generation))));
        facts.push(("annotation_watermark", Fact::Number(header.annotation_watermark)));
        facts.push(("packer", Fact::Number(u64::from(header.packer))));
        facts.push(("level", Fact::Number(u64::from(header.level))));
        facts.push(("libzstd", Fact::Number(u64::from(header.libzstd))));
    }
    facts.push(("groups", Fact::Number(survey.groups)));
    facts.push(("changes", Fact::Number(survey.changes)));
    if let Some(trailer) = &survey.trailer {
        facts.push(("contents", Fact::Number(trailer.contents)));
        facts.push(("raw_bytes", Fact::Size(trailer.raw_bytes)));
        facts.push(("stored_bytes", Fact::Size(trailer.stored_bytes)));
    }
    summary.finished = survey.trailer.is_some();
    Ok(())
}

/// A content of a segment, by its place.
pub fn read_unit(file: &dyn File, content: &StoredContent) -> Option<Bytes> {
    let mut bytes = vec![0; content.locator.len as usize];
    let n = read_at_most(file, &mut bytes, content.locator.offset).ok()?;
    bytes.truncate(n);
    UnitHeader::open(&Bytes::from(bytes), content.locator.address).ok()
}
