//! Proof that it bites: each planted mistake is switched on, and seeds run until an oracle notices.

use crate::generate::generate;
use crate::oracle::Failure;
use crate::run::run;

/// How a planted mistake was found.
#[derive(Debug)]
pub struct Score {
    pub name: &'static str,
    pub what: &'static str,
    /// How many seeds it took, for each try.
    pub tries: Vec<Option<u64>>,
    /// What noticed.
    pub by: Option<Failure>,
    /// Where.
    pub seed: u64,
}

impl Score {
    /// The middle of the tries; those that did not find it count as endless.
    pub fn median(&self) -> Option<u64> {
        let mut tries: Vec<u64> = self.tries.iter().map(|n| n.unwrap_or(u64::MAX)).collect();
        tries.sort_unstable();
        tries.get(tries.len() / 2).copied().filter(|n| *n != u64::MAX)
    }
}

/// Tries one mistake so often, with at most so many seeds each.
#[cfg(feature = "planted")]
pub fn score(index: usize, tries: u64, seeds_max: u64) -> Score {
    let (name, what) = recension::planted::ALL[index];
    recension::planted::select(Some(index));
    let mut score = Score { name, what, tries: Vec::new(), by: None, seed: 0 };
    for n in 0..tries {
        let first = 1_000_000 * (n + 1);
        let found = (0..seeds_max).find_map(|i| {
            let failure = run(&generate(first + i)).failure?;
            score.by.get_or_insert(failure);
            if score.seed == 0 {
                score.seed = first + i;
            }
            Some(i + 1)
        });
        score.tries.push(found);
    }
    recension::planted::select(None);
    score
}

/// Without the feature there is nothing to score.
#[cfg(not(feature = "planted"))]
pub fn score(_: usize, _: u64, _: u64) -> Score {
    let _ = (generate, run);
    Score { name: "", what: "", tries: Vec::new(), by: None, seed: 0 }
}

/// Runs all, or those whose name contains `only`; answers whether each was found.
pub fn scoreboard(tries: u64, seeds_max: u64, only: &str) -> bool {
    std::panic::set_hook(Box::new(|_| {}));
    println!("{:<34} {:>8}  found by", "planted mistake", "seeds");
    let mut missed = 0;
    let mut medians = Vec::new();
    for (index, (name, _)) in recension::planted::ALL.iter().enumerate() {
        if !name.contains(only) {
            continue;
        }
        let score = score(index, tries, seeds_max);
        let median = score.median();
        let by = score.by.as_ref().map_or_else(|| "NOBODY".into(), |by| format!("{} (seed {})", by.oracle, score.seed));
        println!("{name:<34} {:>8}  {by}", median.map_or("-".into(), |n| n.to_string()));
        medians.extend(median);
        missed += u64::from(median.is_none());
    }
    medians.sort_unstable();
    let middle = medians.get(medians.len() / 2).copied().unwrap_or(0);
    println!("{} planted, {missed} missed; median of medians {middle} seeds, at most {seeds_max}", medians.len() as u64 + missed);
    missed == 0
}
