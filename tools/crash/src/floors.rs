//! What a long run must have met, or it has tested less than it says.

use recension::sim::{FaultKind, Op};

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
    ("index made again", 0.5),
    ("rebuilt from value files", 1.0),
    ("rebuilt without a manifest", 0.5),
    ("rebuild interrupted", 0.5),
    ("rebuilt in place", 0.5),
    ("rebuilt from a merge that is half done", 0.1),
    ("opened for reading only", 1.0),
    ("flush: installed", 30.0),
    ("flush: annotations", 5.0),
    ("compaction: into level 1", 12.0),
    ("compaction: into level 2 or below", 2.5),
    ("seal: installed", 15.0),
    ("pack: installed", 50.0),
    ("prepare: contents grouped", 20.0),
    ("pack: group of the log copied", 1.0),
    ("log: content of a group from the cache", 4.0),
    ("merge: part installed", 25.0),
    ("merge: before segments that wait", 2.0),
    ("merge: more parts to come", 6.0),
    ("background: writer slowed down for packing", 1.0),
    ("calls under way with others", 20.0),
    ("another caller in the middle of a sync", 20.0),
    ("followed from outside", 10.0),
    ("purge", 2.0),
    ("retention", 1.0),
    ("forgetting by author", 0.5),
    ("forgetting by digest", 1.0),
    ("old file came back", 2.0),
    ("compaction cancelled", 1.5),
    ("reclaimed", 5.0),
    ("looked for what is erased", 1.0),
    ("files written anew", 1.0),
    ("recovery: segment cut and sealed", 60.0),
    ("recovery: torn tail cut", 4.0),
    ("leader: group of several commits", 20.0),
    ("manifest: rewritten as a snapshot", 10.0),
    ("store: latched", 1.0),
];

/// Places that a machine on one thread cannot reach, or only with a peer.
const ELSEWHERE: &[(&str, &str)] =
    &[("pipeline: look up again", "two threads that write the same entity: `tests/store_writes.rs`")];

/// Calls that do not fail here, or so seldom that 10 000 seeds may do without: an error behind a map is a signal, so runs with errors read
/// without maps; links are counted by nobody but tests; renames are those to `lost/`, links those of checkpoints.
const NOT_CALLED: &[Op] = &[Op::Map, Op::LinkCount, Op::Rename, Op::Link];

/// Each kind of fault takes effect in at least this share of seeds, per cent.
const FAULT_FLOOR: f64 = 0.2;

/// Met in one of 10 000 seeds: the engine renames nothing but files that nobody knows, on their way to `lost/`.
const RARE: &[FaultKind] = &[FaultKind::RenameSplit];

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
    for kind in FaultKind::ALL.iter().filter(|kind| !RARE.contains(kind)) {
        let runs = coverage.faults.get(kind).map_or(0, |(_, runs)| *runs);
        let share = runs as f64 * 100.0 / coverage.runs.max(1) as f64;
        if share < FAULT_FLOOR {
            let name = kind.name();
            out.push(format!(
                "{name} took effect in {share:.2} % of seeds, at least {FAULT_FLOOR} % are wanted"
            ));
        }
    }
    for kind in FaultKind::ERRORS {
        for op in kind.meets() {
            if !coverage.failed_calls.contains_key(&(op, *kind)) && !NOT_CALLED.contains(&op) {
                out.push(format!("call that never failed: {op:?} with {}", kind.name()));
            }
        }
    }
    for probe in coverage.unreached() {
        if !ELSEWHERE.iter().any(|(name, _)| *name == probe) {
            out.push(format!("place never reached: {probe}"));
        }
    }
    out
}
