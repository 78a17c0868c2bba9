//! `stats`: numbers about a store.

use recension::Stats;

use super::open_to_read;
use crate::args::{Global, StoreArgs};
use crate::exit::Outcome;
use crate::output::{Object, Out, count, grouped, size};
use crate::table::properties;
use crate::time;

pub fn run(args: &StoreArgs, global: &Global, out: &mut Out) -> Outcome {
    let store = open_to_read(&args.store)?;
    let stats = store.stats()?;
    if global.json {
        return out.object(&object(&stats, &store.id()));
    }
    let files = |(files, bytes): (u64, u64)| format!("{}, {}", count(files, "file", "files"), size(bytes));
    let mut rows = vec![
        ("store", hex(&store.id())),
        ("changes", grouped(stats.published)),
        ("incarnation", stats.incarnation.to_string()),
        ("on disk", on_disk(&stats)),
        ("log", size(stats.disk.log)),
        (
            "index",
            format!(
                "{}, {} of it cold (authors, comments, attributes)",
                size(stats.disk.index),
                size(stats.disk.index_cold)
            ),
        ),
        ("sealed segments", files(stats.segments)),
        ("packs", files(stats.packs)),
        ("contents in them", contents(&stats)),
        ("live, dead", format!("{}, {}", size(stats.live_and_dead.0), size(stats.live_and_dead.1))),
        ("metadata beside them", size(stats.value_metadata)),
        ("active segment", size(stats.active_segment_bytes)),
    ];
    if let Some(amplification) = stats.written_ever.amplification() {
        let written = size(stats.written_ever.to_files);
        rows.push(("written", format!("{written} so far, {amplification:.2} for each byte of contents")));
    }
    if stats.not_erased.annotations > 0 {
        rows.push(("forgotten, not erased", not_erased(&stats)));
    }
    for (what, waiting) in
        [("wait to be packed", stats.packs_waiting), ("cannot be packed", stats.unpackable)]
    {
        if waiting.0 > 0 {
            rows.push((what, files(waiting)));
        }
    }
    for (tier, packs) in stats.pack_tiers.iter().enumerate() {
        const NAMES: [&str; 6] = ["packs, tier 0", "tier 1", "tier 2", "tier 3", "tier 4", "tier 5"];
        rows.push((NAMES.get(tier).unwrap_or(&"higher tier"), files(*packs)));
    }
    for (level, tables) in stats.levels.iter().enumerate() {
        const NAMES: [&str; 8] =
            ["level 0", "level 1", "level 2", "level 3", "level 4", "level 5", "level 6", "level 7"];
        rows.push((NAMES.get(level).unwrap_or(&"deeper level"), files(*tables)));
    }
    rows.push(("annotations", files(stats.annotation_tables)));
    rows.push(("rows in tables", grouped(stats.table_rows)));
    let (memtable_rows, memtable_bytes) = stats.memtable;
    rows.push(("in memory", format!("{}, {}", count(memtable_rows, "row", "rows"), size(memtable_bytes))));
    rows.push(("memory budget", size(stats.memory_budget)));
    rows.push(("cache", format!("{} of {}", size(stats.cache.0), size(stats.cache.1))));
    rows.push(("lost", files(stats.lost)));
    properties(out, &rows)
}

fn on_disk(stats: &Stats) -> String {
    let ratio = stats.ratio().map_or(String::new(), |ratio| format!(" (contents {ratio:.1} : 1)"));
    format!("{}{ratio}", size(stats.bytes_on_disk))
}

fn contents(stats: &Stats) -> String {
    let (raw, stored) = stats.contents;
    match stored {
        0 => "none".into(),
        _ => format!("{}, stored as {} ({:.1} : 1)", size(raw), size(stored), raw as f64 / stored as f64),
    }
}

fn not_erased(stats: &Stats) -> String {
    let left = &stats.not_erased;
    let stored = left.stored_bytes.saturating_add(left.unsealed_bytes);
    let contents = count(left.contents, "content", "contents");
    let since = left.since.map_or(String::new(), |since| format!(", since {}", time::rfc3339(since)));
    let unsure = left.unreadable.as_ref().map_or(String::new(), |why| format!("; perhaps more: {why}"));
    format!("{contents}, {} ({} uncompressed){since}{unsure}", size(stored), size(left.raw_bytes))
}

fn object(stats: &Stats, id: &[u8; 16]) -> Object {
    let pair = |(files, bytes): (u64, u64)| {
        let mut object = Object::new();
        object.number("files", files).number("bytes", bytes);
        object
    };
    let mut object = Object::new();
    object.text("store", &hex(id)).number("published", stats.published).number("durable", stats.durable);
    object.number("incarnation", stats.incarnation).number("bytes_on_disk", stats.bytes_on_disk);
    if let Some(ratio) = stats.ratio() {
        object.float("ratio", ratio);
    }
    object.object("segments", &pair(stats.segments));
    let disk = &stats.disk;
    let mut parts = Object::new();
    parts.number("log", disk.log).number("packs", disk.packs).number("index", disk.index);
    parts.number("index_cold", disk.index_cold);
    parts.number("annotations", disk.annotations).number("manifest", disk.manifest);
    parts.number("lost", disk.lost).number("other", disk.other);
    object.object("disk", &parts);
    object.number("content_bytes_live", stats.live_and_dead.0);
    object.number("content_bytes_dead", stats.live_and_dead.1);
    let left = &stats.not_erased;
    let mut not_erased = Object::new();
    not_erased.number("annotations", left.annotations).number("contents", left.contents);
    not_erased.number("bytes_raw", left.raw_bytes).number("bytes_stored", left.stored_bytes);
    not_erased.number("bytes_unsealed", left.unsealed_bytes);
    if let Some(since) = left.since {
        not_erased.text("since", &time::rfc3339(since));
    }
    if let Some(why) = &left.unreadable {
        not_erased.text("unreadable", why);
    }
    object.object("not_erased", &not_erased);
    object.number("value_metadata_bytes", stats.value_metadata);
    let tiers: Vec<String> = stats.pack_tiers.iter().map(|tier| pair(*tier).finish()).collect();
    object.raw("pack_tiers", &format!("[{}]", tiers.join(",")));
    object.object("packs", &pair(stats.packs)).object("packs_waiting", &pair(stats.packs_waiting));
    object.object("unpackable", &pair(stats.unpackable));
    object.number("active_segment_bytes", stats.active_segment_bytes);
    let levels: Vec<String> = stats.levels.iter().map(|level| pair(*level).finish()).collect();
    object.raw("levels", &format!("[{}]", levels.join(",")));
    object.object("annotation_tables", &pair(stats.annotation_tables)).number("table_rows", stats.table_rows);
    object.number("memtable_rows", stats.memtable.0).number("memtable_bytes", stats.memtable.1);
    object.number("content_bytes_raw", stats.contents.0).number("content_bytes_stored", stats.contents.1);
    object.object("lost", &pair(stats.lost));
    object
        .number("written_bytes", stats.written_ever.to_files)
        .number("written_raw_bytes", stats.written_ever.raw);
    object.number("memory_budget_bytes", stats.memory_budget);
    object.number("cache_bytes", stats.cache.0).number("cache_bytes_max", stats.cache.1);
    object
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
