//! What runs have really met.

use std::collections::BTreeMap;

use recension::Stats;
use recension::sim::{FaultKind, FaultStats, Op};

/// Counts of one run, or of many.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    pub runs: u64,
    /// Events: how often, and in how many runs.
    pub events: BTreeMap<&'static str, (u64, u64)>,
    pub faults: BTreeMap<FaultKind, (u64, u64)>,
    /// Calls that failed because of a fault.
    pub failed_calls: BTreeMap<(Op, FaultKind), u64>,
    /// Rare places in the engine: see [`recension::probe`].
    pub probes: BTreeMap<&'static str, (u64, u64)>,
    depth: u64,
}

impl Coverage {
    pub fn count(&mut self, event: &'static str) {
        self.add(event, 1);
    }

    pub fn add(&mut self, event: &'static str, n: u64) {
        if n > 0 {
            let entry = self.events.entry(event).or_default();
            *entry = (entry.0 + n, 1);
        }
    }

    pub fn deepest(&mut self, depth: u64) {
        self.count("recovery interrupted");
        if depth > self.depth {
            self.depth = depth;
            match depth {
                2 => self.count("recovery two deep"),
                3 => self.count("recovery three deep"),
                _ => {}
            }
        }
    }

    /// The places that this thread's run was at.
    pub fn probes(&mut self) {
        for (probe, n) in recension::probe::take() {
            if n > 0 {
                self.probes.insert(probe, (n, 1));
            }
        }
    }

    pub fn faults(&mut self, stats: &FaultStats) {
        for (kind, n) in stats.all() {
            self.faults.insert(kind, (n, 1));
        }
        self.failed_calls.extend(stats.failed_calls());
        self.runs = 1;
    }

    pub fn store(&mut self, stats: &Stats) {
        let (flushes, compactions, seals) = stats.jobs;
        self.add("flush", flushes);
        self.add("compaction", compactions);
        self.add("seal", seals);
        self.add("pack", stats.packed);
        self.add("merge of packs", stats.merged);
        self.add("writers delayed", stats.throttled.0);
        self.add("writers stopped", stats.throttled.1);
        if stats.segments.0 > 0 {
            self.count("sealed segments");
        }
        if stats.packs.0 > 0 {
            self.count("packs");
        }
        if stats.levels.len() > 1 {
            self.count("tables in level 1");
        }
        if stats.levels.len() > 2 {
            self.count("tables in level 2");
        }
        if stats.annotation_tables.0 > 0 {
            self.count("annotation tables");
        }
    }

    /// Adds the counts of a run.
    pub fn merge(&mut self, other: &Self) {
        self.runs += other.runs;
        for (event, (n, runs)) in &other.events {
            let entry = self.events.entry(event).or_default();
            *entry = (entry.0 + n, entry.1 + runs);
        }
        for (kind, (n, runs)) in &other.faults {
            let entry = self.faults.entry(*kind).or_default();
            *entry = (entry.0 + n, entry.1 + runs);
        }
        for (call, n) in &other.failed_calls {
            *self.failed_calls.entry(*call).or_default() += n;
        }
        for (probe, (n, runs)) in &other.probes {
            let entry = self.probes.entry(probe).or_default();
            *entry = (entry.0 + n, entry.1 + runs);
        }
    }

    /// Places that were never reached.
    pub fn unreached(&self) -> Vec<&'static str> {
        recension::probe::ALL.iter().copied().filter(|probe| !self.probes.contains_key(probe)).collect()
    }

    /// In how many of a hundred runs an event was met.
    pub fn share(&self, event: &str) -> f64 {
        let runs = self.events.get(event).map_or(0, |(_, runs)| *runs);
        runs as f64 * 100.0 / self.runs.max(1) as f64
    }
}
