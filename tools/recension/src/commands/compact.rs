//! `compact`: merges tables and packs.

use recension::{Compaction, IfMissing};

use super::progress::with_bar;
use super::write_to;
use crate::args::{CompactArgs, Global};
use crate::exit::Outcome;
use crate::output::{Object, Out, count, size};

pub fn run(args: &CompactArgs, global: &Global, out: &mut Out) -> Outcome {
    let how = if args.full { Compaction::Full } else { Compaction::Due };
    let (before, after) = write_to(&args.store, IfMissing::Fail, global, |store| {
        let before = Files::of(&store.stats()?);
        with_bar(|progress| store.compact(how, progress))?;
        Ok((before, Files::of(&store.stats()?)))
    })?;
    if global.json {
        let mut object = Object::new();
        object.number("tables_before", before.tables.0).number("table_bytes_before", before.tables.1);
        object.number("tables", after.tables.0).number("table_bytes", after.tables.1);
        object.number("value_files_before", before.values.0).number("value_bytes_before", before.values.1);
        object.number("value_files", after.values.0).number("value_bytes", after.values.1);
        return out.object(&object);
    }
    let shown = |(files, bytes): (u64, u64), one: &str, many: &str| {
        format!("{} ({})", count(files, one, many), size(bytes))
    };
    let tables = |files: &Files| shown(files.tables, "table", "tables");
    let values = |files: &Files| shown(files.values, "segment or pack", "segments and packs");
    out.line(&format!("{}, before {}", tables(&after), tables(&before)))?;
    out.line(&format!("{}, before {}", values(&after), values(&before)))
}

/// How many files there are, and their bytes.
struct Files {
    tables: (u64, u64),
    /// Sealed segments and packs.
    values: (u64, u64),
}

impl Files {
    fn of(stats: &recension::Stats) -> Self {
        let sum = |kinds: &mut dyn Iterator<Item = &(u64, u64)>| {
            kinds.fold((0, 0), |(files, bytes), kind| (files + kind.0, bytes + kind.1))
        };
        Self {
            tables: sum(&mut stats.levels.iter().chain([&stats.annotation_tables])),
            values: sum(&mut [&stats.segments, &stats.packs].into_iter()),
        }
    }
}
