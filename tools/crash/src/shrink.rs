//! From a script that fails to a small one that fails in the same way.

use crate::run::run;
use crate::script::{End, Op, Script, What, Write};

/// Runs that a shrink may take.
const RUNS_MAX: u64 = 4000;

struct Shrink {
    best: Script,
    oracle: &'static str,
    runs: u64,
}

/// Leaves out whatever is not needed for the same oracle to fail; `None` if the script does not fail. Also says how many runs it took.
pub fn shrink(script: &Script) -> Option<(Script, u64)> {
    let oracle = run(script).failure?.oracle;
    let mut shrink = Shrink { best: script.clone(), oracle, runs: 0 };
    loop {
        let before = shrink.best.clone();
        shrink.pass();
        if shrink.best == before || shrink.runs >= RUNS_MAX {
            return Some((shrink.best, shrink.runs));
        }
    }
}

impl Shrink {
    fn try_one(&mut self, change: impl FnOnce(&mut Script)) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        let mut script = self.best.clone();
        change(&mut script);
        if script == self.best {
            return false;
        }
        self.runs += 1;
        let fails = run(&script).failure.is_some_and(|failure| failure.oracle == self.oracle);
        if fails {
            self.best = script;
        }
        fails
    }

    fn pass(&mut self) {
        for at in (0..self.best.rounds.len()).rev() {
            self.try_one(|script| drop(script.rounds.remove(at)));
        }
        self.try_one(|script| script.creation.clear());
        self.try_one(|script| script.faults.clear());
        for at in (0..self.best.faults.len()).rev() {
            self.try_one(|script| _ = script.faults.remove(at));
        }
        self.try_one(|script| script.clock = (0, 0));
        self.try_one(|script| script.options.promise_us = 50_000);
        self.try_one(|script| script.options.map = false);
        for round in 0..self.best.rounds.len() {
            self.try_one(|script| script.rounds[round].nested.clear());
            for at in (0..self.best.rounds[round].nested.len()).rev() {
                self.try_one(|script| _ = script.rounds[round].nested.remove(at));
            }
            self.operations(round);
            self.try_one(|script| script.rounds[round].end = End::Clean);
        }
    }

    /// Leaves out runs of operations, long ones first, then makes those that are left smaller.
    fn operations(&mut self, round: usize) {
        let mut step = self.best.rounds[round].ops.len();
        while step > 0 {
            let mut at = self.best.rounds[round].ops.len();
            while at > 0 {
                let from = at.saturating_sub(step);
                self.try_one(|script| drop(script.rounds[round].ops.drain(from..at)));
                at = from.min(self.best.rounds[round].ops.len());
            }
            step /= 2;
        }
        for at in 0..self.best.rounds[round].ops.len() {
            let edits = match &self.best.rounds[round].ops[at] {
                Op::Commit(write) | Op::Submit(write) => write.edits.len(),
                _ => 0,
            };
            for edit in (0..edits).rev() {
                self.try_one(|script| {
                    if let Some(write) = write_of(&mut script.rounds[round].ops[at])
                        && write.edits.len() > 1
                    {
                        write.edits.remove(edit);
                    }
                });
            }
            self.try_one(|script| {
                if let Some(write) = write_of(&mut script.rounds[round].ops[at]) {
                    write.request = None;
                    for edit in &mut write.edits {
                        if let What::Put(put) = &mut edit.what {
                            (put.meta, put.authored, put.gap, put.slots) = (0, None, 0, 0);
                        }
                    }
                }
            });
        }
    }
}

fn write_of(op: &mut Op) -> Option<&mut Write> {
    match op {
        Op::Commit(write) | Op::Submit(write) => Some(write),
        _ => None,
    }
}
