//! `recompress`: what the store's contents would take otherwise compressed, tried on a sample.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use recension::codec::{Codec, compress, decompress};
use recension::env::Env;
use recension::log::Change;
use recension::model::Address;
use recension::pack::{Depth, compress_group};
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, count, size};
use recension_cli::table::{Align, Table};

use crate::args::RecompressArgs;
use crate::file::{self, Item, open, read_unit, walk_listed};
use crate::show::object;

/// Contents of an entity, oldest first.
type Sample = BTreeMap<Bytes, Vec<Bytes>>;

/// How a group is compressed.
#[derive(Clone, Copy)]
struct Way {
    codec: Codec,
    level: i32,
    group: usize,
    /// Whether the window sees the whole group, with far matches.
    long: bool,
}

pub fn run(args: &RecompressArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let started = Instant::now();
    let is_over = || started.elapsed() > Duration::from_secs(args.seconds);
    let sample = sample(args, env, &is_over)?;
    let raw: u64 = sample.values().flatten().map(|content| content.len() as u64).sum();
    let contents = sample.values().map(Vec::len).sum::<usize>() as u64;
    if contents == 0 {
        return Err(Failure::NotFound(
            "no_contents",
            format!("there is no content that can be read in {}", args.store.display()),
        ));
    }
    if !global.json {
        let entities = count(sample.len() as u64, "entity", "entities");
        out.line(&format!(
            "sample: {} of {entities}, {}",
            count(contents, "content", "contents"),
            size(raw)
        ))?;
    }
    let mut table = Table::new(&[
        ("codec", Align::Left),
        ("level", Align::Right),
        ("group", Align::Right),
        ("window", Align::Left),
        ("bytes", Align::Right),
        ("of raw", Align::Right),
        ("compress MB/s", Align::Right),
        ("read µs", Align::Right),
    ]);
    let mut skipped = 0_u64;
    'ways: for way in ways() {
        let (mut stored, mut packing, mut reading, mut reads) =
            (0_u64, Duration::ZERO, Duration::ZERO, 0_u64);
        for contents in sample.values() {
            // Newest first, as in a pack.
            let newest_first: Vec<&Bytes> = contents.iter().rev().collect();
            for group in newest_first.chunks(way.group) {
                if is_over() {
                    skipped += 1;
                    continue 'ways;
                }
                let all: Vec<u8> = group.iter().flat_map(|content| content.iter().copied()).collect();
                let start = Instant::now();
                let packed = match (way.codec, way.long) {
                    (Codec::Zstd, true) => compress_group(&all, way.level)
                        .map_err(|error| Failure::Io("cannot compress".into(), error))?,
                    _ => compress(way.codec, way.level, &all),
                };
                packing += start.elapsed();
                stored += packed.len().min(all.len()) as u64;
                let start = Instant::now();
                if decompress(way.codec, &packed, all.len()).is_err() {
                    return Err(Failure::Failed("what was compressed does not come back".into()));
                }
                // Any revision of the group costs the group.
                reading += start.elapsed() * u32::try_from(group.len()).unwrap_or(u32::MAX);
                reads += group.len() as u64;
            }
        }
        let codec = format!("{:?}", way.codec).to_lowercase();
        let window = if way.long { "whole group" } else { "default" };
        let rate = raw as f64 / 1e6 / packing.as_secs_f64().max(1e-9);
        let cost = reading.as_secs_f64() * 1e6 / reads.max(1) as f64;
        if global.json {
            let mut said = object("way");
            said.text("codec", &codec)
                .number("level", u64::try_from(way.level).unwrap_or(0))
                .number("group", way.group as u64);
            said.text("window", window).number("raw_bytes", raw).number("bytes", stored);
            out.object(said.float("compress_mb_per_s", rate).float("read_us", cost))?;
            continue;
        }
        let level = if way.codec == Codec::Zstd { way.level.to_string() } else { String::new() };
        let share = format!("{:.2} %", stored as f64 * 100.0 / raw.max(1) as f64);
        table.row(
            out,
            vec![
                codec,
                level,
                way.group.to_string(),
                window.into(),
                stored.to_string(),
                share,
                format!("{rate:.0}"),
                format!("{cost:.1}"),
            ],
        )?;
    }
    table.end(out)?;
    if skipped > 0 {
        let text =
            format!("{} not tried: the time was up (--seconds)", count(skipped, "way was", "ways were"));
        match global.json {
            true => out.object(object("note").text("note", &text))?,
            false => out.line(&text)?,
        }
    }
    Ok(())
}

fn ways() -> Vec<Way> {
    let mut ways = vec![Way { codec: Codec::Lz4, level: 0, group: 1, long: false }];
    for level in [3, 9, 19] {
        for (group, long) in [(1, false), (8, true), (32, false), (32, true), (128, true)] {
            ways.push(Way { codec: Codec::Zstd, level, group, long });
        }
    }
    ways
}

/// Whole histories of entities, up to so many bytes, in the order of the files: of a pack only as much is decoded as is taken.
fn sample(args: &RecompressArgs, env: &Env, is_over: &dyn Fn() -> bool) -> Outcome<Sample> {
    let files = file::store_in(&*env.fs, &args.store)?;
    let mut sample: Sample = BTreeMap::new();
    let mut left = args.sample_mib.saturating_mul(1 << 20);
    for path in file::value_files(&files) {
        let Ok(file) = open(&*env.fs, &path) else { continue };
        let mut contents: BTreeMap<Address, Bytes> = BTreeMap::new();
        let mut held = 0_u64;
        let mut add = |entity: &Bytes, content: Bytes, left: &mut u64| {
            let len = content.len() as u64;
            // An entity that was begun is taken whole, others only while there is room.
            if *left == 0 && !sample.contains_key(entity) || content.is_empty() {
                return;
            }
            *left = left.saturating_sub(len);
            sample.entry(entity.clone()).or_default().push(content);
        };
        let decoded = walk_listed(&*env.fs, &path, Depth::Contents, &mut |item| {
            match item {
                // Of a segment there is nothing left to take.
                Item::Change(..) if left == 0 || is_over() => return Err(Failure::Closed),
                Item::Change(change, stored) => {
                    if let Change::Revision { entity, .. } = &change.change
                        && let Some(content) = stored.first().and_then(|content| read_unit(&*file, content))
                    {
                        add(entity.bytes(), content, &mut left);
                    }
                }
                Item::Content(address, Some(content)) if held < args.sample_mib << 20 => {
                    held += content.len() as u64;
                    // Groups are slices of one another's memory.
                    contents.insert(address, Bytes::copy_from_slice(&content));
                }
                Item::Content(..) if held >= args.sample_mib << 20 || is_over() => {
                    return Err(Failure::Closed);
                }
                _ => {}
            }
            Ok(())
        });
        match decoded {
            Err(Failure::Closed) => {}
            other => drop(other?),
        }
        if contents.is_empty() {
            match left == 0 || is_over() {
                true => break,
                false => continue,
            }
        }
        // The directory says whose they are.
        walk_listed(&*env.fs, &path, Depth::Stored, &mut |item| {
            if let Item::Listed(change) = item
                && let Change::Revision { entity, .. } = &change.change
                && let Some(content) = contents.remove(&Address { sequence: change.sequence, slot: 0 })
            {
                add(entity.bytes(), content, &mut left);
            }
            Ok(())
        })?;
        if left == 0 || is_over() {
            break;
        }
    }
    Ok(sample)
}
