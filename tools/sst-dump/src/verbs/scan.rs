//! `scan`: the records of a file or a store, past damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use recension::codec::Part;
use recension::env::{Env, File};
use recension::index::annotations;
use recension::log::{Change, LoggedChange, StoredContent};
use recension::model::{Address, Fields, RevisionKind, Row, Timestamp};
use recension::pack::Depth;
use recension_cli::entity::shown;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Object, Out};
use recension_cli::{Global, time};

use crate::args::{Formatter, ScanArgs};
use crate::file::hex;
use crate::file::{self, Item, is_finding, open, read_unit, walk_listed};
use crate::show::{damaged, object, part_object};

pub fn run(args: &ScanArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    let paths: Vec<PathBuf> = match file::is_dir(fs, &args.path)? {
        false if args.index => {
            return Err(Failure::Usage("--index goes with the directory of a store".into()));
        }
        false => vec![args.path.clone()],
        true => {
            let files = file::store_in(fs, &args.path)?;
            if args.index { files.tables() } else { file::value_files(&files) }
        }
    };
    let mut scan = Scan { args, global, out, printed: 0, bad: 0, contents: None, wanted: None };
    for path in &paths {
        match scan.file(env, path) {
            Err(Failure::Closed) if scan.is_full() => break,
            other => other?,
        }
    }
    match scan.bad {
        0 => Ok(()),
        bad => Err(Failure::Damage(format!("{}: {}", args.path.display(), damaged(bad)))),
    }
}

struct Scan<'a> {
    args: &'a ScanArgs,
    global: &'a Global,
    out: &'a mut Out,
    printed: u64,
    bad: u64,
    /// The file whose contents stand beside its changes.
    contents: Option<Arc<dyn File>>,
    /// Of a pack, whose contents stand in front of the changes: those that are to be printed, and whose they are. `None`: all.
    wanted: Option<BTreeMap<Address, String>>,
}

impl Scan<'_> {
    fn is_full(&self) -> bool {
        self.args.limit.is_some_and(|limit| self.printed >= limit)
    }

    fn wants(&self, entity: &[u8], rev: Option<u64>) -> bool {
        let args = self.args;
        let bytes =
            |arg: &Option<std::ffi::OsString>| arg.as_ref().map(|arg| arg.as_encoded_bytes().to_vec());
        bytes(&args.prefix).is_none_or(|prefix| entity.starts_with(&prefix))
            && bytes(&args.from).is_none_or(|from| entity >= &from[..])
            && bytes(&args.to).is_none_or(|to| entity < &to[..])
            && args.rev.is_none_or(|wanted| rev == Some(wanted))
    }

    fn filtered(&self) -> bool {
        let args = self.args;
        args.prefix.is_some() || args.from.is_some() || args.to.is_some() || args.rev.is_some()
    }

    fn file(&mut self, env: &Env, path: &Path) -> Outcome {
        let file = match open(&*env.fs, path) {
            // A writer packed it meanwhile.
            Err(Failure::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        self.contents = self.args.values.map(|_| Arc::clone(&file));
        let depth = if self.args.values.is_some() { Depth::Contents } else { Depth::Stored };
        // A sealed segment says everything twice: the directory is read only where a frame is damaged.
        let mut hole: Vec<(u64, u64)> = Vec::new();
        self.wanted = self.wanted_contents(env, path)?;
        let mut is_pack = false;
        walk_listed(&*env.fs, path, depth, &mut |item| {
            if self.is_full() {
                return Err(Failure::Closed);
            }
            match item {
                Item::Part(part) => {
                    is_pack |= part.kind == "group";
                    if is_finding(&part.state) {
                        self.bad += 1;
                        if let (Some(range), false) = (part.holds.sequences, part.nested) {
                            hole.push(range);
                        }
                        return self.damage(&part, path);
                    }
                    Ok(())
                }
                Item::Change(change, contents) => self.change(&change, &contents, "frame"),
                Item::Listed(change) => {
                    let missed = hole.iter().any(|(first, last)| (*first..=*last).contains(&change.sequence));
                    if is_pack || missed { self.change(&change, &[], "directory") } else { Ok(()) }
                }
                Item::Content(address, content) => self.content(address, content),
                Item::Row(entity, row, _) => self.row(entity.as_bytes(), &row),
                Item::Lost(entity, number) => {
                    if !self.wants(entity.as_bytes(), number) {
                        return Ok(());
                    }
                    let mut said = object("lost_row");
                    said.entity(entity.as_bytes());
                    number.map(|number| said.number("rev", number));
                    let rev =
                        number.map_or_else(|| "a revision".into(), |number| format!("revision {number}"));
                    self.say(&said, &format!("{entity} {rev}: cannot be read here"))
                }
                Item::Pair(key, value) => self.pair(&key, &value),
                Item::Edits { number, edits, .. } if !self.filtered() => edits.iter().try_for_each(|edit| {
                    let text = super::manifest::edit_text(edit);
                    let mut said = object("edit");
                    said.number("commit", number);
                    super::manifest::edit_into(&mut said, edit);
                    self.say(&said, &format!("commit {number}: {text}"))
                }),
                _ => Ok(()),
            }
        })?;
        Ok(())
    }

    /// Which contents of a pack are wanted, if not all: its directory says, which stands behind them.
    fn wanted_contents(&self, env: &Env, path: &Path) -> Outcome<Option<BTreeMap<Address, String>>> {
        let args = self.args;
        if args.values.is_none() || !(self.filtered() || args.limit.is_some()) {
            return Ok(None);
        }
        let mut wanted = BTreeMap::new();
        let mut left = args.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.printed));
        let mut is_pack = false;
        let walked = walk_listed(&*env.fs, path, Depth::Stored, &mut |item| {
            match &item {
                Item::Part(part) => is_pack |= part.kind == "group",
                Item::Listed(change) if is_pack && left > 0 => {
                    let Some((entity, rev)) = file::who(change) else { return Ok(()) };
                    if !self.wants(entity.as_bytes(), rev) {
                        return Ok(());
                    }
                    left = left.saturating_sub(1);
                    if let (Change::Revision { digests, .. }, Some(rev)) = (&change.change, rev) {
                        for slot in 0..u16::try_from(digests.len()).unwrap_or(u16::MAX) {
                            let address = Address { sequence: change.sequence, slot };
                            wanted.insert(address, format!("{entity} revision {rev}"));
                        }
                    }
                }
                // Only packs are looked through twice.
                Item::Frame(_) | Item::Row(..) | Item::Pair(..) => return Err(Failure::Closed),
                _ => {}
            }
            Ok(())
        });
        match walked {
            Err(Failure::Closed) => Ok(Some(BTreeMap::new())),
            other => other.map(|_| Some(wanted)),
        }
    }

    fn say(&mut self, said: &Object, text: &str) -> Outcome {
        if self.is_full() {
            return Err(Failure::Closed);
        }
        self.printed += 1;
        match self.global.json {
            true => self.out.object(said),
            false => self.out.line(text),
        }
    }

    fn damage(&mut self, part: &Part, path: &Path) -> Outcome {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        match self.global.json {
            true => self.out.object(&part_object(part, Some(&name))),
            false => super::inspect::finding(part, Some(&name), self.out),
        }
    }

    fn change(&mut self, change: &LoggedChange, contents: &[StoredContent], place: &str) -> Outcome {
        let Some((entity, rev)) = file::who(change) else {
            if self.filtered() {
                return Ok(());
            }
            let mut said = object("erased");
            said.number("seq", change.sequence).text("place", place);
            let text = format!("{:>8}  a change of an entity that was purged", change.sequence);
            return self.say(&said, &text);
        };
        if !self.wants(entity.as_bytes(), rev) {
            return Ok(());
        }
        match &change.change {
            Change::Revision { entity, row, digests } => {
                let mut said = object("revision");
                row_into(&mut said, entity.as_bytes(), row);
                let all: Vec<String> = digests.iter().map(ToString::to_string).collect();
                said.text("place", place).texts("digests", all.iter().map(String::as_str));
                let raw = contents.first().and_then(|first| Some((first, self.contents.as_ref()?)));
                let raw = raw.map(|(content, file)| read_unit(&**file, content));
                let mut text = row_text(entity.as_bytes(), row, self.global);
                if let (Some(how), Some(raw)) = (self.args.values, raw) {
                    match raw {
                        Some(raw) => {
                            said.bytes("content", &raw);
                            text = format!("{text}  {}", formatted(how, &raw));
                        }
                        None => {
                            said.flag("content_damaged", true);
                            text += "  (content damaged)";
                        }
                    }
                }
                self.say(&said, &text)
            }
            Change::Annotation(annotation) => {
                let mut said = object("annotation");
                said.number("seq", change.sequence).entity(entity.as_bytes());
                said.text("kind", &format!("{:?}", annotation.kind).to_lowercase());
                said.number("first", annotation.first).number("last", annotation.last);
                said.number("fields", u64::from(annotation.fields.0));
                said.text("actor", &annotation.actor).text("reason", &annotation.reason);
                let text = format!(
                    "{:>8}  {entity}  {:?} revisions {} to {} ({}: {})",
                    change.sequence,
                    annotation.kind,
                    annotation.first,
                    annotation.last,
                    annotation.actor,
                    annotation.reason
                );
                self.say(&said, &text)
            }
            Change::Erased { .. } => Ok(()),
        }
    }

    fn content(&mut self, address: Address, content: Option<Bytes>) -> Outcome {
        let Some(how) = self.args.values else { return Ok(()) };
        let mut whose = String::new();
        if let Some(wanted) = &self.wanted {
            match wanted.get(&address) {
                Some(it) => whose = format!("  {it}"),
                None => return Ok(()),
            }
        }
        let mut said = object("content");
        said.number("seq", address.sequence).number("slot", u64::from(address.slot));
        let text = match &content {
            Some(content) => {
                said.number("len", content.len() as u64).bytes("content", content);
                formatted(how, content)
            }
            None => {
                said.flag("damaged", true);
                "damaged".into()
            }
        };
        // It is told once more with its change, which counts.
        match self.global.json {
            true => self.out.object(&said),
            false => self.out.line(&format!("content {}/{}{whose}  {text}", address.sequence, address.slot)),
        }
    }

    fn row(&mut self, entity: &[u8], row: &Row) -> Outcome {
        if !self.wants(entity, Some(row.number)) {
            return Ok(());
        }
        let mut said = object("row");
        row_into(&mut said, entity, row);
        let text = row_text(entity, row, self.global);
        self.say(&said, &text)
    }

    fn pair(&mut self, key: &Bytes, value: &Bytes) -> Outcome {
        let Ok(stored) = annotations::decode(key, value) else {
            if !self.wants(key, None) {
                return Ok(());
            }
            let mut said = object("pair");
            said.text("key", &hex(key)).text("value", &hex(value));
            return self.say(&said, &format!("{}  {}", hex(key), hex(value)));
        };
        let (sequence, change) = (stored.sequence, Change::Annotation(stored.annotation));
        self.change(&LoggedChange { sequence, commit_rest: 0, commit_time: 0, change }, &[], "table")
    }
}

/// The fields of a row, in its object.
pub fn row_into(said: &mut Object, entity: &[u8], row: &Row) {
    said.number("seq", row.sequence).entity(entity).number("rev", row.number).number("parent", row.parent);
    said.text("kind", if row.kind == RevisionKind::Delete { "delete" } else { "put" });
    said.text("committed", &time::rfc3339(Timestamp(row.commit_time)));
    said.text("effective", &time::rfc3339(Timestamp(row.effective_time)));
    said.number("commit_rest", u64::from(row.commit_rest)).number("flags", u64::from(row.flags.0));
    if let Some(content) = row.content {
        said.number("len", u64::from(content.len)).number("content_seq", content.address.sequence);
        said.number("content_slot", u64::from(content.address.slot));
    }
    if let Ok(fields) = Fields::decode(&row.cold) {
        fields.author.map(|author| said.bytes("author", &author));
        fields.comment.map(|comment| said.bytes("comment", &comment));
    }
}

/// A row, for people.
pub fn row_text(entity: &[u8], row: &Row, global: &Global) -> String {
    let what = match row.content {
        _ if row.kind == RevisionKind::Delete => "deleted".into(),
        Some(content) if content.address.sequence != row.sequence => {
            format!("{} B, as written by change {}", content.len, content.address.sequence)
        }
        Some(content) => format!("{} B", content.len),
        None => "no content".into(),
    };
    let at = time::shown(Timestamp(row.effective_time), global);
    format!("{:>8}  {}  revision {}  {at}  {what}", row.sequence, shown(entity), row.number)
}

/// A content as asked for.
pub fn formatted(how: Formatter, bytes: &[u8]) -> String {
    match how {
        Formatter::Size => format!("{} B", bytes.len()),
        Formatter::Hex => hex(bytes),
        Formatter::Quoted => format!("\"{}\"", bytes.escape_ascii()),
        Formatter::Pretty => match std::str::from_utf8(bytes) {
            Ok(text) => format!("\n{text}"),
            Err(_) => hex(bytes),
        },
    }
}
