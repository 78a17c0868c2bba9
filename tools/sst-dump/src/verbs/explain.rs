//! `explain`: what a read looks at, probe by probe, with the engine's own readers and no cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use recension::codec::{FileKind, Part};
use recension::env::Env;
use recension::index::levels::Levels;
use recension::index::{Order, entity_hash};
use recension::inspect::ReadTables;
use recension::log::{Change, StoredContent};
use recension::manifest::{State, ValueFileInfo};
use recension::model::{Bound, ContentRef, Row};
use recension::pack::Depth;
use recension::{AsOf, Entity};
use recension_cli::entity::from_arg;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count};
use recension_cli::{Global, time};

use crate::args::{ExplainArgs, Read};
use crate::file::{self, StoreFiles};
use crate::file::{Item, open, read_unit, walk_listed};
use crate::recorded::{ReadAt, Recorder};
use crate::show::object;

/// The explanation, as it is made.
struct Explain<'a> {
    env: &'a Env,
    recorder: &'a Recorder,
    dir: &'a Path,
    global: &'a Global,
    out: &'a mut Out,
    /// Parts of the files that were read, to name the reads.
    parts: BTreeMap<PathBuf, Vec<Part>>,
    probes: u64,
    reads: u64,
    bytes: u64,
}

pub fn run(args: &ExplainArgs, env: &Env, recorder: &Recorder, global: &Global, out: &mut Out) -> Outcome {
    let entity = from_arg(&args.entity)?;
    let bound = match (args.read, args.rev, &args.at) {
        (Read::Get, Some(number), None) => Bound { number, ..Bound::ALL },
        (Read::Get | Read::History, None, None) => Bound::ALL,
        (Read::AsOf, None, Some(point)) => match time::parse_as_of(point).map_err(Failure::Usage)? {
            AsOf::Sequence(sequence) => Bound { sequence, ..Bound::ALL },
            AsOf::CommitTime(at) => Bound { commit_time: at.as_micros(), ..Bound::ALL },
            AsOf::EffectiveTime(at) => Bound { effective_time: at.as_micros(), ..Bound::ALL },
            _ => return Err(Failure::Usage("a point of this kind cannot be explained".into())),
        },
        (Read::AsOf, ..) => return Err(Failure::Usage("as-of wants --at SEQ|TIME and nothing else".into())),
        (Read::Get | Read::History, ..) => {
            return Err(Failure::Usage("--rev goes with get, --at with as-of".into()));
        }
    };
    let files = file::store_in(&*env.fs, &args.store)?;
    let Some(state) = files.state.clone() else {
        let dir = args.store.display();
        return Err(Failure::NotFound(
            "no_manifest",
            format!("there is no manifest that can be read in {dir}"),
        ));
    };
    let mut explain = Explain {
        env,
        recorder,
        dir: &args.store,
        global,
        out,
        parts: BTreeMap::new(),
        probes: 0,
        reads: 0,
        bytes: 0,
    };
    let found = explain.rows(&files, &state, &entity, &bound, args.read)?;
    // The search ends at the newest that is not above; only the very one is what was asked for.
    let found = found.filter(|row| args.rev.is_none_or(|number| row.number == number));
    if let (Some(row), Read::Get | Read::AsOf) = (&found, args.read) {
        match row.content {
            Some(content) => explain.content_of(&entity, content)?,
            None => explain.step("content", "none", &[], true, "a tombstone, or withheld by its source")?,
        }
    }
    explain.end(found.is_some())
}

impl Explain<'_> {
    /// Memtables, then tables from the newest to the oldest place: as `IndexView::find` does.
    fn rows(
        &mut self,
        files: &StoreFiles,
        state: &State,
        entity: &Entity,
        bound: &Bound,
        read: Read,
    ) -> Outcome<Option<Row>> {
        let (memory, rows) = self.memtable(files, state, entity, bound)?;
        let hit = !rows.is_empty();
        let note = format!(
            "{} behind change {}, not in tables yet; {} of the entity",
            count(memory, "change", "changes"),
            state.flushed.get(&0).copied().unwrap_or(0),
            count(rows.len() as u64, "row", "rows")
        );
        self.step("memtable", "look up", &[], hit, &note)?;
        let mut newest = rows.into_iter().max_by_key(|row| row.number);
        if newest.is_some() && read != Read::History {
            return Ok(newest);
        }
        let fs = self.env.fs.clone();
        let tables = ReadTables::new(&*fs, self.dir, state.store);
        self.recorder.on();
        let levels = Levels::open(state.tables.values(), &tables)?;
        let opened = self.recorder.take();
        self.step("tables", "open", &opened, true, &count(levels.table_count() as u64, "table", "tables"))?;
        let hash = entity_hash(entity.as_bytes());
        for (level, all) in levels.revisions.levels() {
            for table in all {
                let place = format!("level {level} table {}", table.info.id.number);
                if !table.covers(entity.as_bytes()) {
                    // Levels from 1 on are searched by their bounds.
                    if level == 0 {
                        self.step(&place, "bounds", &[], false, "the entity is outside its names")?;
                    }
                    continue;
                }
                let maybe = table.source.may_contain(entity.as_bytes(), hash)?;
                let reads = self.recorder.take();
                let what = if maybe { "may have it" } else { "does not have it" };
                self.step(&place, "filter", &reads, maybe, what)?;
                if !maybe {
                    continue;
                }
                if read == Read::History {
                    let mut n = 0_u64;
                    for row in table.source.clone().rows(entity.as_bytes(), bound, Order::Descending) {
                        let row = row?;
                        n += 1;
                        if newest.as_ref().is_none_or(|newest| newest.number < row.number) {
                            newest = Some(row);
                        }
                    }
                    let reads = self.recorder.take();
                    self.step(&place, "rows", &reads, n > 0, &count(n, "row", "rows"))?;
                    continue;
                }
                let row = table.source.find(entity.as_bytes(), hash, bound)?;
                let reads = self.recorder.take();
                let note = match &row {
                    Some(row) => format!(
                        "revision {}, change {}: the newest inside the bound, the search ends",
                        row.number, row.sequence
                    ),
                    None => "no row inside the bound (or the filter was wrong)".into(),
                };
                self.step(&place, "find", &reads, row.is_some(), &note)?;
                if row.is_some() {
                    return Ok(row);
                }
            }
        }
        Ok(newest)
    }

    /// What a store that is opened now would have in memory: the changes behind the flush mark.
    fn memtable(
        &mut self,
        files: &StoreFiles,
        state: &State,
        entity: &Entity,
        bound: &Bound,
    ) -> Outcome<(u64, Vec<Row>)> {
        let flushed = state.flushed.get(&0).copied().unwrap_or(0);
        let (mut all, mut rows) = (std::collections::BTreeSet::new(), BTreeMap::new());
        for (id, kind, _) in &files.files {
            let listed = state.value_files.get(id);
            let behind = listed.is_none_or(|info| info.sequence_last > flushed);
            if !matches!(kind, FileKind::Segment | FileKind::Pack) || !behind || files.is_aside(*id, *kind) {
                continue;
            }
            walk_listed(&*self.env.fs, &self.dir.join(id.file_name(*kind)), Depth::Stored, &mut |item| {
                if let Item::Change(change, _) | Item::Listed(change) = item
                    && change.sequence > flushed
                {
                    all.insert(change.sequence);
                    if let Change::Revision { entity: whose, row, .. } = change.change
                        && whose == *entity
                        && bound.admits(&row)
                    {
                        rows.insert(row.sequence, row);
                    }
                }
                Ok(())
            })?;
        }
        Ok((all.len() as u64, rows.into_values().collect()))
    }

    /// [`Explain::content`] with the store as it is now: a writer may be replacing segments by packs.
    fn content_of(&mut self, entity: &Entity, content: ContentRef) -> Outcome {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let files = StoreFiles::read(&*self.env.fs, self.dir)?;
            let Some(state) = files.state.clone() else { return Ok(()) };
            match self.content(&files, &state, entity, content) {
                Err(_) if attempts < 8 && files.has_moved_on(&*self.env.fs) => {}
                other => return other,
            }
        }
    }

    /// From a content's address to its bytes.
    fn content(
        &mut self,
        files: &StoreFiles,
        state: &State,
        entity: &Entity,
        content: ContentRef,
    ) -> Outcome {
        let address = content.address;
        let inside = |info: &&ValueFileInfo| {
            let name = entity.as_bytes();
            (info.sequence_first..=info.sequence_last).contains(&address.sequence)
                && name >= &info.entity_first[..]
                && (info.entity_last.is_empty() || name <= &info.entity_last[..])
        };
        let listed = state.value_files.values().find(inside).cloned();
        let name = match &listed {
            Some(info) => info.id.file_name(info.kind),
            None => "the active segment".into(),
        };
        let note = format!("content {}/{} is in {name}", address.sequence, address.slot);
        self.step("value map", "look up", &[], true, &note)?;
        if let Some(info) = listed {
            let fs = self.env.fs.clone();
            let tables = ReadTables::new(&*fs, self.dir, state.store);
            self.recorder.on();
            let file = tables.value_file(&info)?;
            let opened = self.recorder.take();
            self.step(&name, "open", &opened, true, "header, trailer, index: kept while the store is open")?;
            let bytes = file.read_content(address)?;
            let reads = self.recorder.take();
            return self.step(&name, "content", &reads, true, &format!("{} bytes", bytes.len()));
        }
        let mut found: Option<(PathBuf, StoredContent)> = None;
        for path in files.value_files() {
            walk_listed(&*self.env.fs, &path, Depth::Stored, &mut |item| {
                if let Item::Change(_, contents) = item {
                    let own = contents.into_iter().find(|content| content.locator.address == address);
                    found = own.map(|content| (path.clone(), content)).or(found.take());
                }
                Ok(())
            })?;
        }
        let Some((path, content)) = found else {
            self.step("active segment", "content", &[], false, "no segment has it")?;
            return Err(Failure::Damage(format!(
                "no value file has content {}/{}",
                address.sequence, address.slot
            )));
        };
        self.recorder.on();
        let read = read_unit(&*open(&*self.env.fs, &path)?, &content);
        let reads = self.recorder.take();
        let note = read
            .as_ref()
            .map_or("damaged".into(), |read| format!("{} bytes; its place is known in memory", read.len()));
        self.step("active segment", "content", &reads, read.is_some(), &note)
    }

    /// The kind of part that a read met.
    fn name(&mut self, read: &ReadAt) -> Outcome<String> {
        if !self.parts.contains_key(&read.path) {
            let mut parts = Vec::new();
            walk_listed(&*self.env.fs, &read.path, Depth::Stored, &mut |item| {
                if let Item::Part(part) = item {
                    parts.push(part);
                }
                Ok(())
            })?;
            self.recorder.take();
            self.parts.insert(read.path.clone(), parts);
        }
        let parts = self.parts.get(&read.path).map(Vec::as_slice).unwrap_or_default();
        // The innermost one.
        let part = parts.iter().rfind(|part| part.offset <= read.offset && read.offset < part.end());
        Ok(part.map_or("bytes", |part| part.kind).to_owned())
    }

    fn step(&mut self, place: &str, what: &str, reads: &[ReadAt], hit: bool, note: &str) -> Outcome {
        self.probes += 1;
        self.reads += reads.len() as u64;
        let bytes: u64 = reads.iter().map(|read| read.len).sum();
        self.bytes += bytes;
        let mut named = Vec::new();
        for read in reads {
            named.push((self.name(read)?, read.clone()));
        }
        if self.global.json {
            let mut said = object("probe");
            said.text("place", place)
                .text("what", what)
                .boolean("hit", hit)
                .number("bytes", bytes)
                .text("note", note);
            let list: Vec<_> = named
                .iter()
                .map(|(kind, read)| {
                    let mut one = recension_cli::output::Object::new();
                    let file = read
                        .path
                        .file_name()
                        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                    one.text("part", kind)
                        .text("file", &file)
                        .number("offset", read.offset)
                        .number("len", read.len)
                        .finish()
                })
                .collect();
            said.raw("reads", &format!("[{}]", list.join(",")));
            return self.out.object(&said);
        }
        let word = if hit { "hit " } else { "miss" };
        self.out.line(&format!("{word}  {place}: {what}: {note}"))?;
        for (kind, read) in named {
            self.out.line(&format!("          {kind} at {:#x}, {} bytes", read.offset, read.len))?;
        }
        Ok(())
    }

    fn end(&mut self, found: bool) -> Outcome {
        if self.global.json {
            let mut said = object("summary");
            said.boolean("found", found)
                .number("probes", self.probes)
                .number("reads", self.reads)
                .number("bytes", self.bytes);
            self.out.object(&said)?;
        } else {
            let (probes, reads) = (count(self.probes, "probe", "probes"), count(self.reads, "read", "reads"));
            self.out.line(&format!("{probes}, {reads}, {} bytes, nothing cached", self.bytes))?;
        }
        match found {
            true => Ok(()),
            false => Err(Failure::NotFound("absent", "there is no such revision".into())),
        }
    }
}
