//! `space`: where the bytes are, and what would give some back.

use std::collections::BTreeMap;

use bytes::Bytes;
use recension::codec::{FileKind, PartState};
use recension::env::Env;
use recension::log::{Change, Locator, UNIT_HEADER_LEN};
use recension::manifest::{State, ValueFileInfo};
use recension::model::Address;
use recension::pack::{Depth, GroupHeader};
use recension_cli::Global;
use recension_cli::entity::shown;
use recension_cli::exit::Outcome;
use recension_cli::output::{Out, grouped, size};
use recension_cli::table::{Align, Table};

use crate::args::SpaceArgs;
use crate::file::{self, Item, kind_name, walk_listed};
use crate::show::object;

/// Entities that are counted one by one; beyond, the lightest are given up and the list is approximate.
const ENTITIES_MAX: usize = 1 << 18;
/// How many of the heaviest are shown.
const HEAVIEST: usize = 20;

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    count: u64,
    bytes: u64,
    raw: u64,
    /// Stored bytes of contents that something still refers to, and of those that nothing does.
    live: u64,
    dead: u64,
}

impl Sum {
    fn join(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.raw += other.raw;
        self.live += other.live;
        self.dead += other.dead;
    }

    fn add(&mut self, bytes: u64, raw: u64, live: u64, dead: u64) {
        self.count += 1;
        self.bytes += bytes;
        self.raw += raw;
        self.live += live;
        self.dead += dead;
    }
}

#[derive(Default)]
struct Space {
    sections: BTreeMap<(&'static str, &'static str), Sum>,
    prefixes: BTreeMap<Bytes, Sum>,
    /// Of prefixes that are not told one by one.
    other_prefixes: Sum,
    entities: BTreeMap<Bytes, Sum>,
    given_up: bool,
    unused: u64,
    groups: Groups,
}

/// What is known of how well groups compress.
#[derive(Default)]
struct Groups {
    /// Raw and stored bytes of all groups, and of full ones.
    all: (u64, u64),
    full: (u64, u64),
    /// Of groups that are not full, by the hash of their entity: raw, stored, how many.
    short: BTreeMap<u64, (u64, u64, u64)>,
    /// Raw and stored bytes in sealed segments.
    unpacked: (u64, u64),
}

impl Groups {
    fn add(&mut self, header: &GroupHeader) {
        let (raw, stored) = (u64::from(header.raw_len), u64::from(header.stored_len));
        self.all = (self.all.0 + raw, self.all.1 + stored);
        if header.full {
            self.full = (self.full.0 + raw, self.full.1 + stored);
        } else if !header.mixed && self.short.len() < ENTITIES_MAX {
            let short = self.short.entry(header.entity_hash).or_default();
            *short = (short.0 + raw, short.1 + stored, short.2 + 1);
        }
    }

    /// What the contents would save if they stood in full groups and compressed as those do that are there; where none is full, as all do.
    /// `None` if there are no groups.
    fn estimate(&self) -> Option<(u64, u64)> {
        let (full_raw, full_stored) = if self.full.0 > 0 { self.full } else { self.all };
        if full_raw == 0 {
            return None;
        }
        let ratio = full_stored as f64 / full_raw as f64;
        let saved = |raw: u64, stored: u64| stored.saturating_sub((raw as f64 * ratio) as u64);
        // A group that is the only short one of its entity has nothing to be put together with.
        let several = self.short.values().filter(|(.., groups)| *groups > 1);
        let merged = several.map(|(raw, stored, _)| saved(*raw, *stored)).sum();
        Some((merged, saved(self.unpacked.0, self.unpacked.1)))
    }
}

impl Space {
    /// Contents of an entity, and the file that they are in, if the manifest has it.
    fn entity(&mut self, entity: &Bytes, bytes: u64, raw: u64, file: Option<&ValueFileInfo>) {
        // Between the parts of a merge the file in front of it still holds what the merged one has already.
        let is_live = file.is_none_or(|file| {
            entity >= &file.entity_first && (file.entity_last.is_empty() || entity <= &file.entity_last)
        });
        let (live, dead) = if is_live { (bytes, 0) } else { (0, bytes) };
        let prefix = prefix(entity);
        let prefixes = &mut self.prefixes;
        match prefixes.len() < ENTITIES_MAX || prefixes.contains_key(&prefix) {
            true => prefixes.entry(prefix).or_default().add(bytes, raw, live, dead),
            false => self.other_prefixes.add(bytes, raw, live, dead),
        }
        self.entities.entry(entity.clone()).or_default().add(bytes, raw, live, dead);
        if self.entities.len() > ENTITIES_MAX {
            self.given_up = true;
            let mut sizes: Vec<u64> = self.entities.values().map(|sum| sum.bytes).collect();
            let middle = sizes.len() / 2;
            let (_, median, _) = sizes.select_nth_unstable(middle);
            let median = *median;
            self.entities.retain(|_, sum| sum.bytes > median);
        }
    }
}

/// Up to the first of `:`, `/`, `+`, or the first character.
fn prefix(entity: &Bytes) -> Bytes {
    let end = entity.iter().position(|byte| matches!(byte, b':' | b'/' | b'+')).map_or(1, |at| at + 1);
    entity.slice(..end.min(entity.len()))
}

pub fn run(args: &SpaceArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let files = file::store_in(&*env.fs, &args.store)?;
    let mut space = Space::default();
    let mut by_role: BTreeMap<String, Sum> = BTreeMap::new();
    let mut rewards: BTreeMap<&'static str, u64> = BTreeMap::new();
    for (id, kind, len) in &files.files {
        let role = files.role(*id, *kind);
        let info = files.state.as_ref().and_then(|state| state.value_files.get(id));
        let (raw, live) = info.map_or((0, 0), |info| (info.raw_bytes, info.live_bytes));
        let dead = info.map_or(0, |info| info.stored_bytes.saturating_sub(info.live_bytes));
        let tier = info
            .filter(|info| info.kind == FileKind::Pack)
            .map_or(String::new(), |info| format!(", generation {}", info.generation));
        by_role.entry(role.clone() + &tier).or_default().add(*len, raw, live, dead);
        if let Some(info) = info {
            *rewards.entry("dead bytes of value files").or_default() += dead;
            if info.kind == FileKind::Segment {
                let unpacked = &mut space.groups.unpacked;
                *unpacked = (unpacked.0 + info.raw_bytes, unpacked.1 + info.stored_bytes);
            }
        }
        if role.starts_with("removed") || role.starts_with("announced") || role.contains("not the newest") {
            *rewards.entry("files that are removed at the next open").or_default() += len;
        }
        let mut shares: BTreeMap<Address, u64> = BTreeMap::new();
        walk_listed(&*env.fs, &args.store.join(id.file_name(*kind)), Depth::Stored, &mut |item| {
            match item {
                Item::Part(part) => {
                    space
                        .sections
                        .entry((kind_name(Some(*kind)), part.kind))
                        .or_default()
                        .add(part.len, 0, 0, 0);
                    if part.state == PartState::Unused {
                        space.unused += part.len;
                    }
                }
                Item::Change(change, contents) => {
                    let units = contents.iter().map(|content| content.locator).filter(Locator::counts);
                    let bytes =
                        units.map(|place| u64::from(place.len).saturating_sub(UNIT_HEADER_LEN as u64));
                    let bytes = bytes.sum();
                    let raw = contents.iter().map(|content| u64::from(content.raw_len)).sum();
                    if let Change::Revision { entity, .. } = &change.change {
                        space.entity(entity.bytes(), bytes, raw, info);
                    }
                }
                Item::Group(_, header) => {
                    space.groups.add(&header);
                    // In proportion to what they are uncompressed; together no more and no less than the group.
                    let (mut raw, mut given) = (0_u64, 0_u64);
                    for member in &header.members {
                        raw += u64::from(member.raw_len);
                        let until = raw.saturating_mul(u64::from(header.stored_len))
                            / u64::from(header.raw_len).max(1);
                        shares.insert(member.address, until.saturating_sub(given));
                        given = until;
                    }
                }
                Item::Listed(change) if *kind == FileKind::Pack => {
                    if let Change::Revision { entity, row, digests } = &change.change {
                        let slots = 0..digests.len() as u16;
                        let bytes = slots
                            .filter_map(|slot| shares.remove(&Address { sequence: change.sequence, slot }))
                            .sum();
                        let own = row.content.filter(|content| content.address.sequence == change.sequence);
                        let raw = own.map_or(0, |content| u64::from(content.len));
                        space.entity(entity.bytes(), bytes, raw, info);
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
    }
    *rewards.entry("space reserved for the log, given back by close").or_default() += space.unused;
    if let Some((merged, packed)) = space.groups.estimate() {
        rewards.insert("pack compaction: groups that are not full, put together (estimate)", merged);
        rewards.insert("pack compaction: sealed segments, packed (estimate)", packed);
    }
    if let Some(state) = &files.state {
        let saved = index_compaction(state);
        rewards
            .insert("index compaction: tables of upper levels, written like the deepest (estimate)", saved);
    }
    say(&space, &by_role, &rewards, global, out)
}

/// What the tables above the deepest level would save if their rows took as much as those there.
fn index_compaction(state: &State) -> u64 {
    let tables = || state.tables.values().filter(|table| table.keyspace == 0);
    let Some(deepest) = tables().map(|table| table.level).max() else { return 0 };
    let of = |level: &dyn Fn(u8) -> bool| {
        let of = tables().filter(|table| level(table.level));
        of.fold((0_u64, 0_u64), |sum, table| (sum.0 + table.len, sum.1 + table.rows))
    };
    let (len, rows) = of(&|level| level == deepest);
    let (upper_len, upper_rows) = of(&|level| level < deepest);
    match rows {
        0 => 0,
        rows => {
            let like_there = u128::from(upper_rows) * u128::from(len) / u128::from(rows);
            upper_len.saturating_sub(u64::try_from(like_there).unwrap_or(u64::MAX))
        }
    }
}

fn say(
    space: &Space,
    by_role: &BTreeMap<String, Sum>,
    rewards: &BTreeMap<&'static str, u64>,
    global: &Global,
    out: &mut Out,
) -> Outcome {
    let total: u64 = by_role.values().map(|sum| sum.bytes).sum();
    let share = |bytes: u64| format!("{:.1} %", bytes as f64 * 100.0 / total.max(1) as f64);
    let mut heaviest: Vec<_> = space.entities.iter().collect();
    heaviest.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
    heaviest.truncate(HEAVIEST);
    let mut prefixes: Vec<_> = space.prefixes.iter().collect();
    prefixes.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
    let mut others = space.other_prefixes;
    prefixes.iter().skip(HEAVIEST).for_each(|(_, sum)| others.join(sum));
    prefixes.truncate(HEAVIEST);
    if global.json {
        for (role, sum) in by_role {
            let mut said = object("role");
            said.text("role", role).number("files", sum.count).number("bytes", sum.bytes);
            said.number("raw_bytes", sum.raw).number("live_bytes", sum.live);
            out.object(said.number("dead_bytes", sum.dead))?;
        }
        for ((file, part), sum) in &space.sections {
            let mut said = object("section");
            out.object(
                said.text("file_kind", file)
                    .text("part", part)
                    .number("count", sum.count)
                    .number("bytes", sum.bytes),
            )?;
        }
        for (kind, list) in [("prefix", &prefixes), ("entity", &heaviest)] {
            for (name, sum) in list {
                let mut said = object(kind);
                said.bytes("name", name).number("changes", sum.count).number("stored_bytes", sum.bytes);
                said.number("raw_bytes", sum.raw)
                    .number("live_bytes", sum.live)
                    .number("dead_bytes", sum.dead);
                out.object(said.flag("approximate", kind == "entity" && space.given_up))?;
            }
        }
        let mut said = object("other_prefixes");
        said.number("changes", others.count).number("stored_bytes", others.bytes);
        said.number("raw_bytes", others.raw).number("live_bytes", others.live);
        out.object(said.number("dead_bytes", others.dead))?;
        for (what, bytes) in rewards {
            out.object(object("reward").text("what", what).number("bytes", *bytes))?;
        }
        return Ok(());
    }
    let mut table = Table::new(&[
        ("files", Align::Right),
        ("bytes", Align::Right),
        ("share", Align::Right),
        ("raw", Align::Right),
        ("live", Align::Right),
        ("dead", Align::Right),
        ("what", Align::Left),
    ]);
    for (role, sum) in by_role {
        let contents = |bytes: u64| if sum.raw > 0 { size(bytes) } else { String::new() };
        let (raw, live, dead) = (contents(sum.raw), contents(sum.live), contents(sum.dead));
        let (files, bytes) = (grouped(sum.count), grouped(sum.bytes));
        table.row(out, vec![files, bytes, share(sum.bytes), raw, live, dead, role.clone()])?;
    }
    let none = String::new;
    table.row(out, vec![none(), grouped(total), "100 %".into(), none(), none(), none(), "all".into()])?;
    table.end(out)?;
    out.line("")?;
    let mut table = Table::new(&[
        ("parts", Align::Right),
        ("bytes", Align::Right),
        ("share", Align::Right),
        ("part", Align::Left),
    ]);
    for ((file, part), sum) in &space.sections {
        table.row(
            out,
            vec![grouped(sum.count), grouped(sum.bytes), share(sum.bytes), format!("{file}: {part}")],
        )?;
    }
    table.end(out)?;
    let about = if space.given_up { " (approximate: more entities than are counted)" } else { "" };
    for (title, list, rest) in
        [("by prefix", &prefixes, Some(others)), ("heaviest entities", &heaviest, None)]
    {
        out.line("")?;
        let mut table = Table::new(&[
            ("changes", Align::Right),
            ("stored", Align::Right),
            ("live", Align::Right),
            ("dead", Align::Right),
            ("raw", Align::Right),
            (title, Align::Left),
        ]);
        let mut row = |name: String, sum: &Sum, out: &mut Out| {
            let numbers = [sum.count, sum.bytes, sum.live, sum.dead, sum.raw];
            table.row(out, numbers.iter().map(|n| grouped(*n)).chain([name]).collect())
        };
        for (name, sum) in list {
            row(shown(name) + if title == "by prefix" { "" } else { about }, sum, out)?;
        }
        if let Some(rest) = rest.filter(|rest| rest.count > 0) {
            row("all others".into(), &rest, out)?;
        }
        table.end(out)?;
    }
    out.line("")?;
    out.line("what could be given back:")?;
    rewards.iter().try_for_each(|(what, bytes)| out.line(&format!("  {:>12}  {what}", size(*bytes))))
}
