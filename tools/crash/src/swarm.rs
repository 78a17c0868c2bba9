//! Many seeds.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::coverage::Coverage;
use crate::generate::generate;
use crate::oracle::Failure;
use crate::run::run;

/// A seed may take so long before the whole run is given up: it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub struct Swarm {
    pub coverage: Coverage,
    /// The failing seeds, in order.
    pub failures: Vec<(u64, Failure)>,
    pub seconds: f64,
}

/// Runs `seeds` seeds from `first`, on so many threads; stops early after so many failures.
#[allow(clippy::disallowed_methods, reason = "a tool: the engine's time and threads are the simulator's")]
pub fn swarm(first: u64, seeds: u64, threads: u64, failures_max: usize) -> Swarm {
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new(Swarm::default());
    let started: Vec<Mutex<Option<(u64, Instant)>>> = (0..threads).map(|_| Mutex::new(None)).collect();
    let done = AtomicBool::new(false);
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        let workers: Vec<_> = started
            .iter()
            .map(|started| {
                let (next, total) = (&next, &total);
                scope.spawn(move || {
                    let mut coverage = Coverage::default();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= seeds || total.lock().is_ok_and(|total| total.failures.len() >= failures_max)
                        {
                            break;
                        }
                        let seed = first + n;
                        set(started, Some((seed, Instant::now())));
                        let report = run(&generate(seed));
                        coverage.merge(&report.coverage);
                        if let (Some(failure), Ok(mut total)) = (report.failure, total.lock()) {
                            total.failures.push((seed, failure));
                        }
                    }
                    set(started, None);
                    if let Ok(mut total) = total.lock() {
                        total.coverage.merge(&coverage);
                    }
                })
            })
            .collect();
        let (started, done) = (&started, &done);
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_millis(50));
                for slot in started {
                    if let Ok(Some((seed, since))) = slot.lock().map(|slot| *slot)
                        && since.elapsed() > PATIENCE
                    {
                        println!("FAILED seed {seed} hangs");
                        std::process::exit(1);
                    }
                }
            }
        });
        for worker in workers {
            let _ = worker.join();
        }
        done.store(true, Ordering::Relaxed);
    });
    let _ = std::panic::take_hook();
    let mut total = total.into_inner().unwrap_or_default();
    total.failures.sort_by_key(|(seed, _)| *seed);
    total.seconds = begin.elapsed().as_secs_f64();
    total
}

fn set(slot: &Mutex<Option<(u64, Instant)>>, value: Option<(u64, Instant)>) {
    if let Ok(mut slot) = slot.lock() {
        *slot = value;
    }
}

impl Swarm {
    /// For people.
    pub fn print(&self) {
        let coverage = &self.coverage;
        println!("{:<40} {:>10} {:>8}", "event", "times", "% seeds");
        for (event, (n, _)) in &coverage.events {
            println!("{event:<40} {n:>10} {:>8.1}", coverage.share(event));
        }
        println!("{:<40} {:>10} {:>8}", "fault that took effect", "times", "% seeds");
        for (kind, (n, runs)) in &coverage.faults {
            println!(
                "{:<40} {n:>10} {:>8.1}",
                kind.name(),
                *runs as f64 * 100.0 / coverage.runs.max(1) as f64
            );
        }
        println!("{:<40} {:>10}", "call that failed", "times");
        for ((op, kind), n) in &coverage.failed_calls {
            println!("{:<40} {n:>10}", format!("{op:?}: {}", kind.name()));
        }
        println!("{:<40} {:>10} {:>8}", "place in the engine", "times", "% seeds");
        for (probe, (n, runs)) in &coverage.probes {
            println!("{probe:<40} {n:>10} {:>8.1}", *runs as f64 * 100.0 / coverage.runs.max(1) as f64);
        }
        for probe in coverage.unreached() {
            println!("{probe:<40} {:>10}", "never");
        }
        let mut oracles = std::collections::BTreeMap::<&str, Vec<&(u64, Failure)>>::new();
        for failure in &self.failures {
            oracles.entry(failure.1.oracle).or_default().push(failure);
        }
        for (oracle, failures) in oracles {
            println!("FAILED {oracle}: {} seeds", failures.len());
            for (seed, failure) in failures.iter().take(6) {
                println!("   seed {seed}: {:.500}", failure.what);
            }
        }
        println!(
            "{} seeds in {:.1} s: {:.0} seeds/s; {} failed",
            coverage.runs,
            self.seconds,
            coverage.runs as f64 / self.seconds,
            self.failures.len()
        );
    }
}
