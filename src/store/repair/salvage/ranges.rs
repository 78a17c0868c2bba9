//! A set of numbers that mostly follow each other.

use std::collections::BTreeMap;

/// A set of numbers that mostly follow each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, n: u64) -> bool {
        self.0.range(..=n).next_back().is_some_and(|(_, last)| n <= *last)
    }

    pub fn add(&mut self, n: u64) {
        if self.has(n) {
            return;
        }
        let (mut first, mut last) = (n, n);
        if let Some((before, end)) = self.0.range(..n).next_back().map(|(first, last)| (*first, *last))
            && end.saturating_add(1) == n
        {
            first = before;
        }
        if let Some(end) = self.0.remove(&n.saturating_add(1)) {
            last = end;
        }
        self.0.insert(first, last);
    }

    /// Ranges from 1 to `last` that are not in it.
    pub fn missing(&self, last: u64) -> Vec<(u64, u64)> {
        let mut missing = Vec::new();
        let mut next = 1_u64;
        for (first, end) in &self.0 {
            if *first > next {
                missing.push((next, first.saturating_sub(1)));
            }
            next = end.saturating_add(1);
        }
        if next <= last {
            missing.push((next, last));
        }
        missing
    }
}
