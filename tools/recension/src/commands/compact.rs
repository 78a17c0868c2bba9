//! `compact`: merges tables.

use recension::{Compaction, IfMissing};

use super::progress::with_bar;
use super::write_to;
use crate::args::{CompactArgs, Global};
use crate::exit::Outcome;
use crate::output::{Object, Out, count, size};

pub fn run(args: &CompactArgs, global: &Global, out: &mut Out) -> Outcome {
    let how = if args.full { Compaction::Full } else { Compaction::Due };
    let (before, after) = write_to(&args.store, IfMissing::Fail, global, |store| {
        let before = tables(&store.stats()?);
        with_bar(|progress| store.compact(how, progress))?;
        Ok((before, tables(&store.stats()?)))
    })?;
    if global.json {
        let mut object = Object::new();
        object.number("tables_before", before.0).number("table_bytes_before", before.1);
        object.number("tables", after.0).number("table_bytes", after.1);
        return out.object(&object);
    }
    let shown = |(files, bytes): (u64, u64)| format!("{} ({})", count(files, "table", "tables"), size(bytes));
    out.line(&format!("{}, before {}", shown(after), shown(before)))
}

fn tables(stats: &recension::Stats) -> (u64, u64) {
    let all = stats.levels.iter().chain([&stats.annotation_tables]);
    all.fold((0, 0), |(files, bytes), level| (files + level.0, bytes + level.1))
}
