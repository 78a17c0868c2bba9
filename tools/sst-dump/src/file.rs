//! One way through a file of any kind, by its magic: its parts, what they say, and what is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use recension::codec::{FileHeader, FileId, FileKind, MAGIC, Part, PartState};
use recension::env::{Access, File, Fs, read_at_most};
use recension::index::table::{FilterSurvey, RowPlaces, TableItem, dissect_table};
use recension::log::{Change, Frame, LoggedChange, SegmentItem, StoredContent, UnitHeader, dissect_segment};
use recension::manifest::{Edit, ManifestItem, State, dissect_manifest};
use recension::model::{Address, Row};
use recension::pack::Depth;
use recension::pack::{GroupHeader, PackItem, dissect_pack};
use recension::{Entity, Error};
use recension_cli::exit::{Failure, Outcome};

/// What is met on the way through a file.
#[derive(Debug)]
pub enum Item {
    /// A part, in file order.
    Part(Part),
    /// A change, and the contents that stand beside it in the file.
    Change(LoggedChange, Vec<StoredContent>),
    /// A change as a directory has it: behind the frames in a segment, the only place in a pack.
    Listed(LoggedChange),
    /// A frame of a log, in front of its changes.
    Frame(Frame),
    /// A group of a pack.
    Group(u64, GroupHeader),
    /// A content of a pack; `None` if it cannot be read. Only at [`Depth::Contents`].
    Content(Address, Option<Bytes>),
    /// A row of a revision table, and where it stands.
    Row(Entity, Row, RowPlaces),
    /// A row that cannot be read.
    Lost(Entity, Option<u64>),
    /// A pair of a plain table.
    Pair(Bytes, Bytes),
    /// What a frame of a manifest says.
    Edits {
        /// Number of the commit.
        number: u64,
        /// `snapshot`, `edits` or `promise`.
        kind: &'static str,
        /// Where it starts.
        offset: u64,
        /// The edits.
        edits: Vec<Edit>,
        /// The rule that they break.
        broken: Option<String>,
        /// The state behind them.
        state: Box<State>,
    },
}

/// Something that a file says of itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Number(u64),
    /// Bytes: with a unit for people.
    Size(u64),
    /// Words.
    Text(String),
    /// A name.
    Name(Bytes),
    /// Microseconds.
    Time(i64),
    /// A share of one.
    Share(f64),
}

/// What a file turned out to be.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Where it is.
    pub path: PathBuf,
    /// What it is by its header, else by its name.
    pub kind: Option<FileKind>,
    /// What it is by its name.
    pub named: Option<(FileId, FileKind)>,
    /// The header that all files have, if it is sound.
    pub common: Option<FileHeader>,
    /// Length.
    pub len: u64,
    /// What it says of itself.
    pub facts: Vec<(&'static str, Fact)>,
    /// The filter of a table.
    pub filter: Option<FilterSurvey>,
    /// First and last sequence number, as far as it says.
    pub sequences: Option<(u64, u64)>,
    /// Whether it ends in a valid trailer or footer, and will not change any more.
    pub finished: bool,
    /// It was listed and is gone: a store that is being written to replaced it.
    pub vanished: bool,
}

/// The file kind's one word.
pub fn kind_name(kind: Option<FileKind>) -> &'static str {
    match kind {
        Some(FileKind::Segment) => "segment",
        Some(FileKind::RevisionTable) => "revision table",
        Some(FileKind::PlainTable) => "plain table",
        Some(FileKind::Manifest) => "manifest",
        Some(FileKind::Pack) => "pack",
        Some(FileKind::ViewCheckpoint) => "view checkpoint",
        _ => "unknown",
    }
}

/// An error of a file that has nothing to do with what it holds.
pub fn io(action: &str, path: &Path, error: std::io::Error) -> Failure {
    Failure::Io(format!("cannot {action} {}", path.display()), error)
}

/// Opens a file for reading.
pub fn open(fs: &dyn Fs, path: &Path) -> Outcome<Arc<dyn File>> {
    fs.open(path, Access::Read).map_err(|error| io("open", path, error))
}

/// Goes through a file of any kind. What `visit` answers with an error ends it.
pub fn walk(
    fs: &dyn Fs,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Outcome,
) -> Outcome<Summary> {
    let file = open(fs, path)?;
    let mut start = [0; 64];
    let n = read_at_most(&*file, &mut start, 0).map_err(|error| io("read", path, error))?;
    let start = start.get(..n).unwrap_or_default();
    let named = path.file_name().and_then(|name| FileId::parse(name.to_str()?));
    let common = FileHeader::decode(path, start).ok();
    let by_magic = start.get(..8).filter(|magic| *magic == MAGIC).and_then(|_| {
        let kind = start.get(8..10)?;
        FileKind::from_u16(u16::from_le_bytes(kind.try_into().ok()?))
    });
    let kind = common.map(|common| common.kind).or(named.map(|(_, kind)| kind)).or(by_magic);
    let len = file.len().map_err(|error| io("read the length of", path, error))?;
    let mut summary = Summary {
        path: path.to_path_buf(),
        kind,
        named,
        common,
        len,
        facts: Vec::new(),
        filter: None,
        sequences: None,
        finished: false,
        vanished: false,
    };
    let mut stopped = None;
    let walked = match kind {
        Some(FileKind::Segment) => segment(&file, path, depth, visit, &mut stopped, &mut summary),
        Some(FileKind::RevisionTable | FileKind::PlainTable) => {
            table(&file, path, visit, &mut stopped, &mut summary)
        }
        Some(FileKind::Manifest) => manifest(&file, path, visit, &mut stopped, &mut summary),
        Some(FileKind::Pack) => pack(&file, path, depth, visit, &mut stopped, &mut summary),
        Some(_) => Err(Error::Unsupported { path: path.to_path_buf(), what: kind_name(kind).into() }),
        None => {
            let part = Part::damaged("file", 0, len, "expected the magic of a Recension file");
            return visit(Item::Part(part)).map(|()| summary);
        }
    };
    match (stopped, walked) {
        (Some(failure), _) => Err(failure),
        (None, walked) => Ok(walked.map(|()| summary)?),
    }
}

/// [`walk`] for a file that was found in a store's directory, which a writer may have replaced meanwhile: then there is nothing to see.
pub fn walk_listed(
    fs: &dyn Fs,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Outcome,
) -> Outcome<Summary> {
    let gone = || Summary {
        path: path.to_path_buf(),
        kind: None,
        named: None,
        common: None,
        len: 0,
        facts: Vec::new(),
        filter: None,
        sequences: None,
        finished: false,
        vanished: true,
    };
    match walk(fs, path, depth, visit) {
        Err(Failure::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(gone()),
        other => other,
    }
}

/// Hands items on; the first failure is kept, and ends the walk.
struct Hand<'a> {
    visit: &'a mut dyn FnMut(Item) -> Outcome,
    stopped: &'a mut Option<Failure>,
}

impl Hand<'_> {
    fn on(&mut self, item: Item) -> recension::Result<()> {
        (self.visit)(item).map_err(|failure| {
            *self.stopped = Some(failure);
            Error::Cancelled
        })
    }
}

fn segment(
    file: &Arc<dyn File>,
    path: &Path,
    depth: Depth,
    visit: &mut dyn FnMut(Item) -> Outcome,
    stopped: &mut Option<Failure>,
    summary: &mut Summary,
) -> recension::Result<()> {
    let mut hand = Hand { visit, stopped };
    let survey = dissect_segment(file, path, depth, &mut |item| match item {
        SegmentItem::Part(part) => hand.on(Item::Part(part)),
        SegmentItem::Frame(frame, records) => {
            hand.on(Item::Frame(frame))?;
            records.into_iter().try_for_each(|record| hand.on(Item::Change(record.change, record.contents)))
        }
        SegmentItem::Stray(_) => Ok(()),
        SegmentItem::Directory(changes) => {
            changes.into_iter().try_for_each(|change| hand.on(Item::Listed(change)))
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
    visit: &mut dyn FnMut(Item) -> Outcome,
    stopped: &mut Option<Failure>,
    summary: &mut Summary,
) -> recension::Result<()> {
    let mut hand = Hand { visit, stopped };
    let survey = dissect_table(file, path, &mut |item| {
        hand.on(match item {
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

/// No manifest is longer; see `recension::manifest`.
const MANIFEST_LEN_MAX: u64 = 2 << 30;

/// All bytes of a manifest file.
pub fn manifest_bytes(file: &dyn File, path: &Path) -> recension::Result<Vec<u8>> {
    let failed = |source: std::io::Error| Error::Io {
        action: "read",
        path: path.to_path_buf(),
        source: Arc::new(source),
    };
    let len = file.len().map_err(failed)?.min(MANIFEST_LEN_MAX);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let n = read_at_most(file, &mut bytes, 0).map_err(failed)?;
    bytes.truncate(n);
    Ok(bytes)
}

fn manifest(
    file: &Arc<dyn File>,
    path: &Path,
    visit: &mut dyn FnMut(Item) -> Outcome,
    stopped: &mut Option<Failure>,
    summary: &mut Summary,
) -> recension::Result<()> {
    let mut hand = Hand { visit, stopped };
    let bytes = manifest_bytes(&**file, path)?;
    let survey = dissect_manifest(path, &bytes, &mut |item| {
        hand.on(match item {
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
    visit: &mut dyn FnMut(Item) -> Outcome,
    stopped: &mut Option<Failure>,
    summary: &mut Summary,
) -> recension::Result<()> {
    let mut hand = Hand { visit, stopped };
    let survey = dissect_pack(file, path, depth, &mut |item| match item {
        PackItem::Part(part) => hand.on(Item::Part(part)),
        PackItem::Group(at, header) => hand.on(Item::Group(at, header)),
        PackItem::Content(address, content) => hand.on(Item::Content(address, content)),
        PackItem::Directory(changes) => {
            changes.into_iter().try_for_each(|change| hand.on(Item::Listed(change)))
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

/// The files of a store's directory that are named like ours, by number; the newest manifest last of its kind.
pub fn own_files(fs: &dyn Fs, dir: &Path) -> Outcome<Vec<(FileId, FileKind, u64)>> {
    let entries = fs.read_dir(dir).map_err(|error| io("list", dir, error))?;
    let own = entries.iter().filter(|entry| !entry.is_dir);
    let mut own: Vec<_> =
        own.filter_map(|entry| FileId::parse(&entry.name).map(|(id, kind)| (id, kind, entry.len))).collect();
    own.sort_by_key(|(id, ..)| (id.number, id.epoch));
    Ok(own)
}

/// Whether a path is a directory, asked through the seam.
pub fn is_dir(fs: &dyn Fs, path: &Path) -> Outcome<bool> {
    match fs.read_dir(path) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // A simulated disk does not tell a file from nothing here.
            match fs.exists(path) {
                Ok(true) => Ok(false),
                _ => {
                    Err(Failure::NotFound("no_such_file", format!("there is nothing at {}", path.display())))
                }
            }
        }
        Err(error) => match fs.exists(path) {
            Ok(true) if error.kind() == std::io::ErrorKind::Other => Ok(false),
            _ => Err(io("list", path, error)),
        },
    }
}

/// Whose change it is, and its revision number; `None` if the entity was purged and its name erased.
pub fn who(change: &LoggedChange) -> Option<(&Entity, Option<u64>)> {
    match &change.change {
        Change::Revision { entity, row, .. } => Some((entity, Some(row.number))),
        Change::Annotation(annotation) => Some((&annotation.entity, None)),
        Change::Erased { .. } => None,
    }
}

/// Whether a state of a part is to be told.
pub fn is_finding(state: &PartState) -> bool {
    matches!(state, PartState::Damaged(_) | PartState::Unsupported(_))
}
