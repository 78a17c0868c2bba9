//! `properties`: numbers and histograms.

use std::collections::BTreeMap;

use bytes::Bytes;
use recension::env::Env;
use recension::log::{Change, LoggedChange};
use recension::pack::Depth;
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::{Out, grouped};
use recension_cli::table::properties;

use crate::args::PathArgs;
use crate::file::{self, Fact, Item, is_finding, walk_listed};
use crate::show::{damaged, fact_into, fact_text, object};

/// Counts by powers of two.
#[derive(Clone, Debug, Default)]
struct Histogram {
    buckets: BTreeMap<u32, u64>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Histogram {
    fn add(&mut self, value: u64) {
        *self.buckets.entry(u64::BITS - value.leading_zeros()).or_default() += 1;
        self.count += 1;
        self.sum += u128::from(value);
        self.max = self.max.max(value);
    }

    /// The smallest bound below which so many of a thousand are.
    fn quantile(&self, of_thousand: u64) -> u64 {
        let wanted = self.count.saturating_mul(of_thousand).div_ceil(1000);
        let mut seen = 0;
        for (bits, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return bound(*bits).min(self.max);
            }
        }
        self.max
    }
}

/// The largest value of a bucket.
fn bound(bits: u32) -> u64 {
    1_u64.checked_shl(bits).map_or(u64::MAX, |n| n - 1)
}

#[derive(Default)]
struct Numbers {
    by_name: BTreeMap<&'static str, Histogram>,
    /// Revisions per entity of the file at hand.
    revisions: BTreeMap<Bytes, u64>,
    newest: i64,
    times: Vec<i64>,
    /// The file at hand is a pack: its directory is the only place that says of revisions.
    is_pack: bool,
}

impl Numbers {
    fn add(&mut self, name: &'static str, value: u64) {
        self.by_name.entry(name).or_default().add(value);
    }

    fn item(&mut self, item: Item) {
        match item {
            Item::Change(change, contents) => {
                self.change(&change);
                for content in contents {
                    self.add("content bytes", u64::from(content.raw_len));
                    if content.locator.member != 0 {
                        continue;
                    }
                    self.add("stored bytes of a content", u64::from(content.locator.len));
                    let of_hundred = u64::from(content.locator.len).saturating_mul(100)
                        / u64::from(content.raw_len).max(1);
                    self.add("stored in % of raw, content", of_hundred);
                }
            }
            Item::Listed(change) if self.is_pack => self.change(&change),
            Item::Frame(frame) => self.add("changes of a frame", u64::from(frame.head.records)),
            Item::Group(_, header) => {
                self.is_pack = true;
                self.add("contents of a group", header.members.len() as u64);
                self.add("raw bytes of a group", u64::from(header.raw_len));
                self.add("stored bytes of a group", u64::from(header.stored_len));
                let of_hundred =
                    u64::from(header.stored_len).saturating_mul(100) / u64::from(header.raw_len).max(1);
                self.add("stored in % of raw, group", of_hundred);
                header.members.iter().for_each(|member| self.add("content bytes", u64::from(member.raw_len)));
            }
            Item::Row(entity, row, _) => {
                *self.revisions.entry(entity.bytes().clone()).or_default() += 1;
                self.add("metadata bytes of a revision", row.cold.len() as u64);
                self.newest = self.newest.max(row.commit_time);
                self.times.push(row.commit_time);
            }
            Item::Pair(key, value) => {
                self.add("key bytes", key.len() as u64);
                self.add("value bytes", value.len() as u64);
            }
            Item::Edits { edits, .. } => self.add("edits of a commit", edits.len() as u64),
            _ => {}
        }
    }

    fn change(&mut self, change: &LoggedChange) {
        if let Change::Revision { entity, row, .. } = &change.change {
            *self.revisions.entry(entity.bytes().clone()).or_default() += 1;
            self.add("metadata bytes of a revision", row.cold.len() as u64);
        }
        self.newest = self.newest.max(change.commit_time);
        self.times.push(change.commit_time);
    }

    /// Entities are counted by file: memory grows with the largest file, not with the store.
    fn end_file(&mut self) {
        for count in std::mem::take(&mut self.revisions).into_values() {
            self.add("revisions of an entity, in a file", count);
        }
        for time in std::mem::take(&mut self.times) {
            let seconds = self.newest.saturating_sub(time).max(0).cast_unsigned() / 1_000_000;
            self.add("age against the newest of the file, s", seconds);
        }
        self.newest = 0;
        self.is_pack = false;
    }
}

pub fn run(args: &PathArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    let paths = match file::is_dir(fs, &args.path)? {
        false => vec![args.path.clone()],
        true => {
            let files = file::store_in(fs, &args.path)?;
            // Tables say of revisions what the log says: they would count twice.
            file::value_files(&files)
        }
    };
    let mut bad = 0;
    let mut numbers = Numbers::default();
    let mut facts: Vec<(&'static str, Fact)> = Vec::new();
    for path in &paths {
        let mut summary = walk_listed(fs, path, Depth::Stored, &mut |item| {
            if let Item::Part(part) = &item {
                bad += u64::from(is_finding(&part.state));
            }
            numbers.item(item);
            Ok(())
        })?;
        numbers.end_file();
        if paths.len() == 1 {
            file::with_manifest(fs, &mut summary);
        }
        facts = summary.facts;
    }
    if paths.len() == 1 {
        if global.json {
            let mut said = object("properties");
            facts.iter().for_each(|(name, fact)| fact_into(&mut said, name, fact));
            out.object(&said)?;
        } else {
            let rows: Vec<_> = facts.iter().map(|(name, fact)| (*name, fact_text(fact, global))).collect();
            properties(out, &rows)?;
        }
    }
    for (name, histogram) in &numbers.by_name {
        if global.json {
            let mut said = object("histogram");
            said.text("name", name).number("count", histogram.count);
            said.number("sum", u64::try_from(histogram.sum).unwrap_or(u64::MAX)).number("max", histogram.max);
            said.number("p50_max", histogram.quantile(500)).number("p99_max", histogram.quantile(990));
            let buckets: Vec<_> =
                histogram.buckets.iter().map(|(bits, count)| format!("[{},{count}]", bound(*bits))).collect();
            said.raw("buckets", &format!("[{}]", buckets.join(",")));
            out.object(&said)?;
            continue;
        }
        let mean = histogram.sum as f64 / histogram.count.max(1) as f64;
        out.line("")?;
        out.line(&format!(
            "{name}: {} values, mean {mean:.1}, half up to {}, 99 % up to {}, largest {}",
            grouped(histogram.count),
            grouped(histogram.quantile(500)),
            grouped(histogram.quantile(990)),
            grouped(histogram.max)
        ))?;
        let most = histogram.buckets.values().copied().max().unwrap_or(1).max(1);
        for (bits, count) in &histogram.buckets {
            let width = usize::try_from(count.saturating_mul(40).div_ceil(most)).unwrap_or(40);
            out.line(&format!(
                "  up to {:>14} {:>10} {}",
                grouped(bound(*bits)),
                grouped(*count),
                "#".repeat(width)
            ))?;
        }
    }
    match bad {
        0 => Ok(()),
        bad => Err(Failure::Damage(format!("{}: {}", args.path.display(), damaged(bad)))),
    }
}
