//! What a long run must have met, or it has tested less than it says.

use recension::sim::FaultKind;

use crate::coverage::Coverage;

/// Events and places in the engine, and the least share of seeds, per cent.
const SHARES: &[(&str, f64)] = &[
    ("recovered", 99.0),
    ("recovery three deep", 20.0),
    ("killed in the middle of work", 15.0),
    ("power cut", 80.0),
    ("process kill", 50.0),
    ("unacknowledged commits lost", 15.0),
    ("damage at rest", 5.0),
    ("checkpoint opened", 5.0),
    ("forgotten", 5.0),
    ("index made again", 1.0),
    ("opened for reading only", 1.0),
    ("flush: installed", 30.0),
    ("flush: annotations", 5.0),
    ("seal: installed", 8.0),
    ("pack: installed", 30.0),
    ("compaction: into level 1", 10.0),
    ("compaction: into level 2 or below", 0.5),
    ("recovery: segment cut and sealed", 60.0),
    ("recovery: torn tail cut", 4.0),
    ("leader: group of several commits", 20.0),
    ("manifest: rewritten as a snapshot", 10.0),
    ("store: latched", 1.0),
];

/// Places that a machine on one thread cannot reach, or only with a peer.
const ELSEWHERE: &[(&str, &str)] = &[
    ("pipeline: look up again", "two threads that write the same entity: `tests/store_writes.rs`"),
    (
        "background: writer stopped for a flush",
        "writers that outrun the flushing threads: `tests/store_races.rs`",
    ),
];

/// The engine renames nothing but files that nobody knows, on their way to `lost/`. Sealed files never change, and packs replace
/// segments soon, so that older copies of them hardly exist; `tests/store_crashes.rs` restores an old manifest.
const NOT_DRAWN: &[FaultKind] = &[FaultKind::RenameSplit, FaultKind::OlderCopy];

/// Places of what the scripts do not do: following a live log from outside, and forgetting beyond single ranges of revisions.
const NOT_DONE: &[&str] = &["live feed:", "forget:"];

/// What was missed.
pub fn missed(coverage: &Coverage) -> Vec<String> {
    let mut out = Vec::new();
    for (what, floor) in SHARES {
        let runs = [&coverage.events, &coverage.probes]
            .into_iter()
            .filter_map(|counts| counts.get(what))
            .map(|(_, runs)| *runs)
            .max()
            .unwrap_or(0);
        let share = runs as f64 * 100.0 / coverage.runs.max(1) as f64;
        if share < *floor {
            out.push(format!("{what}: in {share:.1} % of seeds, at least {floor} % are wanted"));
        }
    }
    for kind in FaultKind::ALL {
        if !coverage.faults.contains_key(kind) && !NOT_DRAWN.contains(kind) {
            out.push(format!("fault that never took effect: {}", kind.name()));
        }
    }
    for probe in coverage.unreached() {
        let elsewhere = ELSEWHERE.iter().any(|(name, _)| *name == probe)
            || NOT_DONE.iter().any(|start| probe.starts_with(start));
        if !elsewhere {
            out.push(format!("place never reached: {probe}"));
        }
    }
    out
}
