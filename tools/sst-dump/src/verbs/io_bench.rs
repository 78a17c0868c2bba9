//! `io-bench`: how long reads of the store's own files take, from the disk and from memory.

use std::time::Instant;

use recension::env::{Env, Rng, read_at_most};
use recension_cli::Global;
use recension_cli::exit::{Failure, Outcome};
use recension_cli::output::Out;
use recension_cli::table::{Align, Table};

use crate::args::IoBenchArgs;
use crate::file::{self, io, open};
use crate::show::object;

/// Lengths that are read: a block, a group, a stretch of a scan.
const LENGTHS: [usize; 3] = [4 << 10, 64 << 10, 1 << 20];

pub fn run(args: &IoBenchArgs, env: &Env, global: &Global, out: &mut Out) -> Outcome {
    let fs = &*env.fs;
    let mut files = Vec::new();
    for (id, kind, len) in file::store_in(fs, &args.store)?.files {
        let path = args.store.join(id.file_name(kind));
        files.push((open(fs, &path)?, path, len));
    }
    files.retain(|(_, _, len)| *len > 0);
    let total: u64 = files.iter().map(|(_, _, len)| len).sum();
    if total == 0 {
        return Err(Failure::NotFound(
            "no_store",
            format!("there are no files of a store in {}", args.store.display()),
        ));
    }
    let mut table = Table::new(&[
        ("read", Align::Right),
        ("state", Align::Left),
        ("reads", Align::Right),
        ("p50 µs", Align::Right),
        ("p99 µs", Align::Right),
        ("MB/s", Align::Right),
    ]);
    for len in LENGTHS {
        // The same places twice: first from the disk, then from the page cache.
        let places =
            places(&files.iter().map(|(_, _, len)| *len).collect::<Vec<_>>(), total, args.reads, &*env.rng);
        for state in ["cold", "warm"] {
            if state == "cold" {
                for (file, path, _) in &files {
                    file.drop_cache().map_err(|error| io("drop the cached pages of", path, error))?;
                }
            }
            let mut bytes = vec![0; len];
            let (mut took, mut read) = (Vec::with_capacity(places.len()), 0_u64);
            for (index, offset) in &places {
                let Some((file, path, _)) = files.get(*index) else { continue };
                let start = Instant::now();
                let n =
                    read_at_most(&**file, &mut bytes, *offset).map_err(|error| io("read", path, error))?;
                took.push(start.elapsed().as_nanos());
                read += n as u64;
            }
            took.sort_unstable();
            let at = |of_thousand: usize| {
                took.get(took.len() * of_thousand / 1000).copied().unwrap_or(0) as f64 / 1000.0
            };
            let seconds = took.iter().sum::<u128>() as f64 / 1e9;
            let rate = read as f64 / 1e6 / seconds.max(1e-9);
            if global.json {
                let mut said = object("reads");
                said.number("len", len as u64).text("state", state).number("reads", took.len() as u64);
                out.object(said.float("p50_us", at(500)).float("p99_us", at(990)).float("mb_per_s", rate))?;
            } else {
                let cells = [
                    len.to_string(),
                    state.into(),
                    took.len().to_string(),
                    format!("{:.1}", at(500)),
                    format!("{:.1}", at(990)),
                    format!("{rate:.0}"),
                ];
                table.row(out, cells.into())?;
            }
        }
    }
    table.end(out)
}

/// Places in the files, each byte as likely as any other.
fn places(lens: &[u64], total: u64, reads: usize, rng: &dyn Rng) -> Vec<(usize, u64)> {
    let mut places = Vec::with_capacity(reads);
    for _ in 0..reads {
        let mut at = rng.next_u64() % total.max(1);
        for (index, len) in lens.iter().enumerate() {
            if at < *len {
                places.push((index, at / 4096 * 4096));
                break;
            }
            at -= len;
        }
    }
    places
}
