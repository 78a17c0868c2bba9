//! `verify`: everything that can be checked, past damage.

use std::path::{Path, PathBuf};

use recension::codec::{FileId, FileKind, Holds, Part, PartState};
use recension::env::Env;
use recension::index::levels::invariants::check_level_order;
use recension::index::levels::{IndexView, Levels};
use recension::index::table::VerifyHash;
use recension::limits::Limits;
use recension::log::{Locator, Position, RecoveryInput, RecoveryMode, UNIT_HEADER_LEN, survey};
use recension::manifest::{State, TableInfo};
use recension::pack::Depth;
use recension::{Error, ErrorKind};
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count, grouped, size};

use crate::args::VerifyArgs;
use crate::diff::{WINDOW, diff};
use crate::file::{self, Item, is_finding, kind_name, walk_listed};
use crate::names;
use crate::show::{holds_into, object};
use crate::store::{StoreFiles, hex};
use crate::tables::ReadTables;
use crate::verbs::inspect::explained;

/// Something that is not as it should be.
struct Finding {
    /// Which file; empty for the store as a whole.
    file: String,
    /// What was looked at: `checksum`, `manifest`, `order` …
    check: &'static str,
    part: Part,
}

impl Finding {
    fn new(file: impl Into<String>, check: &'static str, why: impl Into<String>) -> Self {
        let part = Part::damaged("file", 0, 0, why).holding(Holds::derived());
        Self { file: file.into(), check, part }
    }

    fn holding(mut self, holds: Holds) -> Self {
        self.part.holds = holds;
        self
    }
}

/// What was read.
#[derive(Default)]
struct Read {
    files: u64,
    bytes: u64,
    parts: u64,
    changes: u64,
    contents: u64,
    rows: u64,
    filter_absent: u64,
    filter_false: u64,
}

/// A writer that replaces files while they are read is given so many chances.
const ATTEMPTS: u32 = 8;

struct Verify<'a> {
    env: &'a Env,
    depth: Depth,
    read: Read,
    found: Vec<Finding>,
    /// Ends of logs that are not whole: only others know whether that is damage.
    torn: Vec<(String, Part)>,
    notes: Vec<String>,
    /// A file was replaced while it was read.
    vanished: bool,
}

pub fn run(args: &VerifyArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let depth = if args.stored { Depth::Stored } else { Depth::Contents };
    let mut attempts = 0;
    let (mut verify, elsewhere) = loop {
        attempts += 1;
        let mut verify = Verify {
            env,
            depth,
            read: Read::default(),
            found: Vec::new(),
            torn: Vec::new(),
            notes: Vec::new(),
            vanished: false,
        };
        if !file::is_dir(&*env.fs, &args.path)? {
            verify.file(&args.path)?;
            break (verify, vec![args.path.clone()]);
        }
        let files = StoreFiles::read(&*env.fs, &args.path)?;
        let elsewhere = verify.store(&files)?;
        let again = verify.vanished || !verify.found.is_empty();
        if attempts >= ATTEMPTS || !again || !files.has_moved_on(&*env.fs) {
            break (verify, elsewhere);
        }
    };
    verify.name(&elsewhere)?;
    verify.report(args, global, out)
}

impl Verify<'_> {
    /// One file: every part of it, and its account of itself. Answers raw and stored bytes and changes.
    fn file(&mut self, path: &Path) -> Outcome<(file::Summary, Account)> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut account = Account::default();
        let (read, found, torn) = (&mut self.read, &mut self.found, &mut self.torn);
        let summary = walk_listed(&*self.env.fs, path, self.depth, &mut |item| {
            match item {
                Item::Part(part) => {
                    read.parts += 1;
                    account.group_bytes += if part.kind == "group" { part.len } else { 0 };
                    if matches!(part.state, PartState::Torn(_)) {
                        torn.push((name.clone(), part.clone()));
                    }
                    if is_finding(&part.state) {
                        account.damaged = true;
                        found.push(Finding { file: name.clone(), check: "checksum", part });
                    }
                }
                Item::Change(_, contents) => {
                    account.changes += 1;
                    account.contents += contents.len() as u64;
                    account.raw += contents.iter().map(|content| u64::from(content.raw_len)).sum::<u64>();
                    let head = UNIT_HEADER_LEN as u64;
                    // A group counts once.
                    let units = contents.iter().map(|content| content.locator).filter(Locator::counts);
                    let stored = units.map(|place| u64::from(place.len).saturating_sub(head));
                    account.stored += stored.sum::<u64>();
                }
                Item::Listed(_) => account.listed += 1,
                Item::Row(..) | Item::Pair(..) => account.rows += 1,
                Item::Lost(..) => account.damaged = true,
                Item::Content(address, None) => {
                    let why =
                        format!("expected the content of change {} slot {}", address.sequence, address.slot);
                    let holds = Holds::sequences(address.sequence, address.sequence);
                    found.push(Finding::new(&name, "checksum", why).holding(holds));
                }
                Item::Content(_, Some(content)) => {
                    account.contents += 1;
                    account.raw += content.len() as u64;
                }
                _ => {}
            }
            Ok(())
        })?;
        self.read.files += 1;
        self.read.bytes += summary.len;
        self.read.changes += account.changes.max(if account.changes == 0 { account.listed } else { 0 });
        self.read.contents += account.contents;
        self.read.rows += account.rows;
        if let Some(filter) = &summary.filter {
            self.read.filter_absent += filter.absent;
            self.read.filter_false += filter.false_positives;
        }
        if let (Some(common), Some((id, kind))) = (&summary.common, summary.named)
            && (common.id, common.kind) != (id, kind)
        {
            let own = common.id.file_name(common.kind);
            let why = format!("expected the file of its name, found {own}: files were swapped or renamed");
            self.found.push(Finding::new(name, "identity", why).holding(holds_of(summary.sequences)));
        }
        Ok((summary, account))
    }

    /// A whole store; answers the files in which names can be looked up.
    fn store(&mut self, files: &StoreFiles) -> Outcome<Vec<PathBuf>> {
        let fs = &*self.env.fs;
        let dir = files.dir.as_path();
        if files.files.is_empty() {
            return Err(Failure::NotFound(
                "no_store",
                format!("there are no files of a store in {}", dir.display()),
            ));
        }
        let mut sound_tables: Vec<TableInfo> = Vec::new();
        for (id, kind, _) in &files.files {
            let path = dir.join(id.file_name(*kind));
            let before = self.found.len();
            let (summary, account) = self.file(&path)?;
            if summary.vanished {
                self.vanished = true;
                continue;
            }
            if let Some(state) = &files.state {
                self.against_manifest(state, *id, *kind, &summary, &account);
                if let Some(table) =
                    state.tables.values().find(|table| table.id == *id && table.kind() == *kind)
                    && self.found.len() == before
                {
                    sound_tables.push(table.clone());
                }
            }
        }
        let Some(state) = files.state.clone() else {
            let why = "expected a manifest that can be read: `recension rebuild` makes a new one from the value files";
            self.found.push(Finding::new("", "manifest", why));
            return Ok(files.value_files());
        };
        for name in &files.missing {
            let holds = named_holds(&state, name);
            self.found.push(
                Finding::new(name, "missing", "expected the file that the manifest names, found none")
                    .holding(holds),
            );
        }
        for (name, by_manifest, len) in &files.resized {
            let why = format!("expected {by_manifest} bytes as the manifest says, found {len}");
            self.found.push(Finding::new(name, "length", why).holding(named_holds(&state, name)));
        }
        self.tables(dir, &state, &sound_tables);
        self.log(dir, &state)?;
        let found = &mut self.found;
        let compared = diff(fs, files, WINDOW, &mut |difference| {
            let mut holds = Holds::sequences(difference.sequence, difference.sequence);
            holds.revisions.extend(difference.rev.map(|rev| (difference.entity.clone(), rev)));
            holds.derived = difference.difference != crate::diff::Difference::MissingInLog;
            let why = format!("change {} {}", difference.sequence, difference.difference.text());
            found.push(Finding::new("", "pointers", why).holding(holds));
            Ok(())
        })?;
        self.vanished |= compared.vanished;
        let mut elsewhere = files.value_files();
        elsewhere.extend(files.tables());
        elsewhere.retain(|path| fs.exists(path).unwrap_or(false));
        Ok(elsewhere)
    }

    fn against_manifest(
        &mut self,
        state: &State,
        id: FileId,
        kind: FileKind,
        summary: &file::Summary,
        account: &Account,
    ) {
        let name = id.file_name(kind);
        let holds = || holds_of(summary.sequences);
        if let Some(common) = &summary.common
            && common.store != state.store
        {
            let why = format!(
                "expected a file of store {}, found one of {}",
                hex(&state.store),
                hex(&common.store)
            );
            self.found.push(Finding::new(&name, "identity", why).holding(holds()));
            return;
        }
        let Some(info) = state.value_files.get(&id).filter(|info| info.kind == kind) else { return };
        if !summary.finished {
            let why = "expected a sealed file, as the manifest says; it has no valid trailer";
            self.found.push(Finding::new(&name, "seal", why).holding(holds().and_derived()));
            return;
        }
        if summary.sequences.is_some_and(|found| found != (info.sequence_first, info.sequence_last)) {
            let why = format!("expected the changes {} to {}", info.sequence_first, info.sequence_last);
            self.found.push(Finding::new(&name, "accounts", why).holding(holds()));
        }
        if account.damaged {
            return;
        }
        let (changes, stored) = match kind {
            FileKind::Pack => (account.listed, info.stored_bytes),
            _ => (account.changes, account.stored),
        };
        let raw =
            if kind == FileKind::Pack && self.depth == Depth::Stored { info.raw_bytes } else { account.raw };
        if (changes, raw, stored) != (info.records, info.raw_bytes, info.stored_bytes) {
            let why = format!(
                "expected {} changes, {} raw bytes, {} stored as the manifest says; found {changes}, {raw}, {stored}",
                info.records, info.raw_bytes, info.stored_bytes
            );
            self.found.push(Finding::new(&name, "accounts", why));
        }
    }

    /// Tables whose bytes are sound: against the manifest, and the order between them.
    fn tables(&mut self, dir: &Path, state: &State, sound: &[TableInfo]) {
        let tables = ReadTables::new(&*self.env.fs, dir, state.store);
        for info in sound {
            let verified = match info.keyspace {
                0 => tables
                    .revision_table(info)
                    .and_then(|table| table.verify(VerifyHash::Compare, &mut |_| Ok(())).map(drop)),
                _ => tables
                    .plain_table(info)
                    .and_then(|table| table.verify(VerifyHash::Compare, None, &mut |_| Ok(()))),
            };
            self.keep(&info.id.file_name(info.kind()), "table", verified);
        }
        if sound.len() < state.tables.len() {
            self.notes.push("the order between tables was not checked: some of them are damaged".into());
            return;
        }
        let ordered = Levels::open(state.tables.values(), &tables)
            .and_then(|levels| check_level_order(&IndexView::of_tables(levels), &|| false));
        self.keep("", "level order", ordered.map(drop));
    }

    fn keep(&mut self, file: &str, check: &'static str, result: recension::Result<()>) {
        let Err(error) = result else { return };
        let (why, offset) = match &error {
            Error::Corrupt(damage) => (
                format!(
                    "expected {}, found {}; affected: {}",
                    damage.expected, damage.found, damage.affected
                ),
                damage.offset,
            ),
            other => (other.to_string(), 0),
        };
        let mut finding = Finding::new(file, check, why);
        finding.part.offset = offset;
        if let Some((_, part)) = self.torn.iter().find(|(name, part)| *name == file && part.offset == offset)
        {
            finding.part.flip = part.flip;
        }
        self.found.push(finding);
    }

    /// Whether the log goes on from one segment to the next up to where it was promised: recovery's own judgement, writing nothing.
    fn log(&mut self, dir: &Path, state: &State) -> Outcome {
        let fs = &*self.env.fs;
        let flushed = |keyspace: u16| state.flushed.get(&keyspace).copied().unwrap_or(0);
        let sealed: Vec<_> = state.value_files.values().cloned().collect();
        let mut last = None;
        // A writer that is at work is between two states now and then: what is wrong is wrong again a moment later.
        for _ in 0..3 {
            let mut listing = fs.read_dir(dir).map_err(|error| file::io("list", dir, error))?;
            listing.retain(|entry| {
                FileId::parse(&entry.name).is_none_or(|(id, kind)| state.obsolete.get(&id) != Some(&kind))
            });
            let input = RecoveryInput {
                fs,
                dir,
                listing: &listing,
                store: &state.store,
                sealed: &sealed,
                packed_end: state.packed_end,
                promise: Position::new(state.promise.0, state.promise.1),
                flushed: flushed(0).min(flushed(1)),
                changes: &|_| Box::new(std::iter::empty()),
                limits: &Limits::PRODUCTION,
                mode: RecoveryMode::ReadOnly,
            };
            match survey(&input) {
                Ok(recovered) => {
                    for cut in &recovered.cuts {
                        self.notes.push(format!(
                            "{} at byte {}: {} that nobody was promised",
                            cut.path.display(),
                            cut.offset,
                            count(cut.bytes, "byte", "bytes")
                        ));
                    }
                    for leftover in &recovered.leftovers {
                        let name = leftover.id.file_name(FileKind::Segment);
                        self.notes.push(format!("{name} is not part of the log ({:?})", leftover.why));
                    }
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
            self.env.clock.sleep(std::time::Duration::from_millis(100));
        }
        if let Some(error) = last {
            if error.kind() != ErrorKind::Corrupt && error.kind() != ErrorKind::Io {
                return Err(error.into());
            }
            let file = match &error {
                Error::Corrupt(damage) => {
                    damage.path.file_name().map(|name| name.to_string_lossy().into_owned())
                }
                _ => None,
            };
            self.keep(&file.unwrap_or_default(), "log", Err(error));
        }
        Ok(())
    }

    /// The names of what is affected, wherever they are still said.
    fn name(&mut self, files: &[PathBuf]) -> Outcome {
        let mut parts: Vec<Part> = self.found.iter().map(|finding| finding.part.clone()).collect();
        names::name(&*self.env.fs, &mut parts, files)?;
        self.found.iter_mut().zip(parts).for_each(|(finding, part)| finding.part = part);
        Ok(())
    }

    fn report(&self, args: &VerifyArgs, global: &Global, out: &mut Out) -> Outcome {
        for finding in &self.found {
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
                out.object(&said)?;
                continue;
            }
            let place = match (finding.file.as_str(), part.len) {
                ("", _) => String::new(),
                (file, 0) => format!("{file}: "),
                (file, _) => format!("{file}: {} at {:#x}: ", part.kind, part.offset),
            };
            out.line(&format!(
                "{} ({}): {place}{}",
                state_word(&part.state),
                finding.check,
                part.state.why().unwrap_or_default()
            ))?;
            explained(part, out)?;
        }
        for note in &self.notes {
            match global.json {
                true => out.object(object("note").text("note", note))?,
                false => out.line(&format!("note: {note}"))?,
            }
        }
        let read = &self.read;
        let rate = read.filter_false as f64 / read.filter_absent.max(1) as f64;
        if global.json {
            let mut said = object("summary");
            said.number("findings", self.found.len() as u64)
                .number("files", read.files)
                .number("bytes", read.bytes);
            said.number("parts", read.parts)
                .number("changes", read.changes)
                .number("contents", read.contents);
            said.number("rows", read.rows).raw("filter_false_positive_rate", &format!("{rate:.6}"));
            out.object(&said)?;
        } else {
            let word = if self.found.is_empty() { "sound" } else { "damaged" };
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
        match self.found.len() as u64 {
            0 => Ok(()),
            n => {
                Err(Failure::Damage(format!("{}: {}", args.path.display(), count(n, "finding", "findings"))))
            }
        }
    }
}

/// What was counted in a file.
#[derive(Default)]
struct Account {
    changes: u64,
    listed: u64,
    contents: u64,
    raw: u64,
    stored: u64,
    rows: u64,
    group_bytes: u64,
    damaged: bool,
}

fn state_word(state: &PartState) -> &'static str {
    state.name()
}

fn holds_of(sequences: Option<(u64, u64)>) -> Holds {
    sequences.map_or_else(Holds::default, |(first, last)| Holds::sequences(first, last))
}

/// What a file of the manifest holds.
fn named_holds(state: &State, name: &str) -> Holds {
    let Some((id, kind)) = FileId::parse(name) else { return Holds::default() };
    if let Some(info) = state.value_files.get(&id) {
        return Holds::sequences(info.sequence_first, info.sequence_last);
    }
    match state.tables.values().find(|table| table.id == id && table.kind() == kind) {
        Some(table) => Holds::sequences(table.sequence_first, table.sequence_last).and_derived(),
        None => Holds { derived: kind_name(Some(kind)) == "manifest", ..Holds::default() },
    }
}
