//! Every short workload, a crash after every change of the disk, every image that the crash may leave.
//!
//! All sequences of up to so many operations out of a small alphabet; for each, the machine goes off in every single call that changes
//! something, from the creation of the store on; for each of those, every legal image of the disk if there are few, else a drawn sample.
//! Each image is opened and read in full.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use recension::sim::{CrashPolicy, Prng};

use crate::oracle::Failure;
use crate::run::World;
use crate::script::{Edit, Op, Options, Put, Script, Want, What, Write};

#[derive(Debug, Default)]
pub struct Explored {
    pub workloads: u64,
    pub crashes: u64,
    pub images: u64,
    /// Crashes that left more images than were tried.
    pub sampled: u64,
    pub failures: Vec<(String, Failure)>,
    pub seconds: f64,
}

/// The operations, with short names.
pub fn alphabet() -> Vec<(&'static str, Op)> {
    let put = |entity, id, len| Edit {
        entity,
        expect: Want::Any,
        what: What::Put(Put { id, len, if_changed: false, meta: 1, authored: None, gap: 0, slots: 0 }),
    };
    let commit = |edits, sync| Op::Commit(Write { edits, sync, request: None, run: false });
    let hide = Edit { entity: 0, expect: Want::Any, what: What::Hide { back: 0, open: false, fields: 15 } };
    let delete = Edit { entity: 0, expect: Want::Any, what: What::Delete };
    vec![
        ("put", commit(vec![put(0, 1, 40)], true)),
        ("buffered", commit(vec![put(1, 2, 60)], false)),
        ("large", commit(vec![put(0, 3, 3000)], true)),
        ("large buffered", commit(vec![put(2, 4, 3300)], false)),
        ("batch", commit(vec![put(0, 5, 10), put(1, 6, 700), delete], true)),
        ("hide", commit(vec![hide], true)),
        ("forget", Op::Forget { entity: 0, back: 1, fields: 1 }),
        ("sync", Op::Sync),
        ("flush", Op::Flush),
        ("compact", Op::Compact { full: true, stop: None }),
        ("jobs", Op::Jobs(20)),
        ("reopen", Op::Reopen),
        ("checkpoint", Op::Checkpoint),
    ]
}

/// Explores all workloads of up to `ops` operations, at most `images` images for each crash.
#[allow(clippy::disallowed_methods, reason = "a tool: the engine's time and threads are the simulator's")]
pub fn exhaustive(ops: u32, images: u64, threads: u64, talk: bool) -> Explored {
    let begin = Instant::now();
    let letters = alphabet();
    let mut workloads: Vec<Vec<usize>> = vec![Vec::new()];
    let mut longest = vec![Vec::new()];
    for _ in 0..ops {
        longest = longest
            .iter()
            .flat_map(|start: &Vec<usize>| {
                (0..letters.len()).map(move |letter| [&start[..], &[letter]].concat())
            })
            .collect();
        workloads.extend(longest.iter().cloned());
    }
    let next = AtomicUsize::new(0);
    let crashes = AtomicU64::new(0);
    let total = Mutex::new(Explored::default());
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Explored::default();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(workload) = workloads.get(at) else { break };
                    let before = own.crashes;
                    let ops: Vec<Op> = workload.iter().map(|letter| letters[*letter].1.clone()).collect();
                    let explore = || explore(&ops, images, &mut own);
                    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(explore));
                    let failure = match result {
                        Ok(Ok(())) => None,
                        Ok(Err((at, failure))) => Some((at, failure)),
                        Err(_) => Some((0, Failure { oracle: "no panics", what: String::new() })),
                    };
                    if let Some((at, failure)) = failure {
                        let names: Vec<&str> = workload.iter().map(|letter| letters[*letter].0).collect();
                        own.failures.push((format!("[{}], crash in change {at}", names.join(", ")), failure));
                    }
                    own.workloads += 1;
                    crashes.fetch_add(own.crashes - before, Ordering::Relaxed);
                }
                if let Ok(mut total) = total.lock() {
                    total.workloads += own.workloads;
                    total.crashes += own.crashes;
                    total.images += own.images;
                    total.sampled += own.sampled;
                    total.failures.append(&mut own.failures);
                }
            });
        }
        if talk {
            let mut told = Instant::now();
            while next.load(Ordering::Relaxed) < workloads.len() {
                std::thread::park_timeout(Duration::from_millis(100));
                if told.elapsed() > Duration::from_secs(5) {
                    told = Instant::now();
                    let done = next.load(Ordering::Relaxed).min(workloads.len());
                    eprintln!(
                        "{done} of {} workloads, {} crashes",
                        workloads.len(),
                        crashes.load(Ordering::Relaxed)
                    );
                }
            }
        }
    });
    let _ = std::panic::take_hook();
    let mut total = total.into_inner().unwrap_or_default();
    total.seconds = begin.elapsed().as_secs_f64();
    total
}

fn script() -> Script {
    Script {
        seed: 7,
        options: Options { promise_us: 50_000, map: false, size: 2, jobs: 0 },
        faults: Vec::new(),
        clock: (0, 0),
        creation: Vec::new(),
        rounds: Vec::new(),
    }
}

/// One workload. An error comes with the change that the crash was in.
fn explore(ops: &[Op], images: u64, explored: &mut Explored) -> Result<(), (u64, Failure)> {
    let mut whole = World::new(&script(), false);
    whole.carry_out(ops, None).map_err(|failure| (0, failure))?;
    let last = whole.machine.fs.changes();
    for at in 1..=last {
        let mut world = World::new(&script(), false);
        world.carry_out(ops, Some(at)).map_err(|failure| (at, failure))?;
        explored.crashes += 1;
        let policy = match at % 3 {
            0 => CrashPolicy::POSIX,
            1 => CrashPolicy::STRICT,
            _ => CrashPolicy { split_renames: true, ..CrashPolicy::POSIX },
        };
        let space = world.machine.fs.crash_space(&policy);
        let all = space.images().filter(|n| *n <= images);
        explored.sampled += u64::from(all.is_none());
        let mut rng = Prng::new(at);
        for n in 0..all.unwrap_or(images) {
            let choices = match all {
                Some(_) => space.nth(n),
                None => world.machine.fs.draw_crash(&policy, &mut rng),
            };
            explored.images += 1;
            let machine = world.machine.fork().crash_with(&policy, &choices);
            crate::side::comes_back(&world, &machine, true).map_err(|failure| (at, failure))?;
        }
        explored.images += 1;
        let machine = world.machine.fork().process_kill();
        crate::side::comes_back(&world, &machine, false).map_err(|failure| (at, failure))?;
    }
    Ok(())
}

impl Explored {
    /// For people; `true` if nothing failed.
    pub fn print(&self) -> bool {
        for (what, failure) in self.failures.iter().take(10) {
            println!("FAILED {what}: {failure:.600}");
        }
        println!(
            "{} workloads, {} crashes, {} images ({} crashes sampled) in {:.1} s; {} workloads failed",
            self.workloads,
            self.crashes,
            self.images,
            self.sampled,
            self.seconds,
            self.failures.len()
        );
        self.failures.is_empty()
    }
}
