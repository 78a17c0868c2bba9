//! Proof that the harness bites: planted mistakes, and how many seeds it takes until an oracle notices each.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use recension::planted;

use crate::generate::generate;
use crate::run::run;

/// The oracle's name for a panic. That is the engine stopping itself, or the harness: neither counts as a catch.
pub const NO_PANICS: &str = "no panics";

/// Mistakes that show only between two threads. A simulated machine runs on one, so they are told and not counted; what holds the rule.
const THREADS: &[(&str, &str)] = &[
    (
        "forget without a guard",
        "`tests/forget.rs::a_revert_and_a_forget_at_once_never_leave_a_revision_with_a_forgotten_content`",
    ),
    ("forget does not move the bucket", "the same"),
];

/// Seeds of one start are this far from those of the next.
const APART: u64 = 10_000_000;

/// How one start went.
#[derive(Clone, Debug)]
pub struct Start {
    /// Seeds that were run, the one that showed it included; `None`: it was not caught.
    pub seeds: Option<u64>,
    pub oracle: &'static str,
    /// The first seed that showed it, and what was said.
    pub seed: u64,
    pub what: String,
    /// Seeds that ended in a panic before.
    pub panics: u64,
}

/// One planted mistake.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: &'static str,
    pub starts: Vec<Start>,
}

impl Line {
    pub fn caught(&self) -> bool {
        !self.starts.is_empty() && self.starts.iter().all(|start| start.seeds.is_some())
    }

    /// The middle one of the starts' seeds.
    pub fn median(&self) -> Option<u64> {
        let mut seeds: Vec<u64> = self.starts.iter().filter_map(|start| start.seeds).collect();
        seeds.sort_unstable();
        if self.caught() { seeds.get(seeds.len() / 2).copied() } else { None }
    }

    /// The oracles that noticed, the most frequent first.
    pub fn oracles(&self) -> Vec<&'static str> {
        let mut oracles = BTreeMap::<&str, usize>::new();
        for start in self.starts.iter().filter(|start| start.seeds.is_some()) {
            *oracles.entry(start.oracle).or_default() += 1;
        }
        let mut oracles: Vec<_> = oracles.into_iter().collect();
        oracles.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        oracles.into_iter().map(|(oracle, _)| oracle).collect()
    }
}

#[derive(Clone, Debug)]
pub struct Board {
    pub lines: Vec<Line>,
    pub bound: u64,
    pub seconds: f64,
}

/// Whether this program holds the mistakes.
pub const fn is_built_in() -> bool {
    cfg!(feature = "planted")
}

/// Builds the program with the mistakes in it and lets that one do the work.
#[allow(clippy::disallowed_methods, reason = "a tool, outside of the simulated machine")]
pub fn again_with_mistakes() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let target = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/planted");
    let status = std::process::Command::new(cargo)
        .args(["run", "--release", "--quiet", "--features", "planted", "--manifest-path", manifest])
        .args(["--target-dir", target, "--"])
        .args(std::env::args_os().skip(1))
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!(
                "crash: cargo cannot be started to build the harness with its planted mistakes: {error}"
            );
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "planted")]
fn select(index: Option<usize>) {
    planted::select(index);
}

#[cfg(not(feature = "planted"))]
fn select(_: Option<usize>) {}

/// The first script from seed `first` on whose run a mistake spoils; leaves the mistake switched on for this thread.
///
/// # Errors
/// If there is no such mistake, or none shows in many seeds.
pub fn first_that_shows(name: &str, first: u64) -> Result<crate::script::Script, String> {
    if !is_built_in() {
        return Err("build with `--features planted` for this".into());
    }
    let index = planted::ALL.iter().position(|(it, _)| *it == name);
    let index = index.ok_or_else(|| format!("no planted mistake is called `{name}`"))?;
    select(Some(index));
    let mut scripts = (first..first + 100_000).map(generate);
    let shows = scripts.find(|script| run(script).failure.is_some_and(|it| it.oracle != NO_PANICS));
    shows.ok_or_else(|| format!("`{name}` does not show in 100 000 seeds"))
}

/// Runs every planted mistake whose name contains `only`, or one of several parts with a comma between them, from `starts` places, up to `bound` seeds each.
#[allow(clippy::disallowed_methods, reason = "a tool: the engine's time and threads are the simulator's")]
pub fn scoreboard(bound: u64, starts: u64, only: &str, threads: u64, quiet: bool) -> Board {
    let begin = Instant::now();
    let mistakes: Vec<(usize, &'static str)> = planted::ALL
        .iter()
        .enumerate()
        .filter(|(_, (name, _))| {
            only.split(',').any(|only| name.contains(only.trim()))
                && !THREADS.iter().any(|(it, _)| it == name)
        })
        .map(|(index, (name, _))| (index, *name))
        .collect();
    let next = AtomicUsize::new(0);
    let lines = Mutex::new(vec![None; mistakes.len()]);
    std::panic::set_hook(Box::new(|_| {}));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((index, name)) = mistakes.get(at) else { break };
                    select(Some(*index));
                    let line = Line { name, starts: line(*index, bound, starts) };
                    select(None);
                    if !quiet {
                        print_line(&line, bound);
                    }
                    if let Ok(mut lines) = lines.lock() {
                        lines[at] = Some(line);
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let lines = lines.into_inner().unwrap_or_default().into_iter().flatten().collect();
    Board { lines, bound, seconds: begin.elapsed().as_secs_f64() }
}

/// All starts; ends with the first that catches nothing.
fn line(index: usize, bound: u64, starts: u64) -> Vec<Start> {
    let mut out = Vec::new();
    for n in 0..starts {
        let start = start(index, n * APART, bound);
        let caught = start.seeds.is_some();
        out.push(start);
        if !caught {
            break;
        }
    }
    out
}

fn start(index: usize, first: u64, bound: u64) -> Start {
    let mut panics = 0;
    let mut what = String::new();
    for n in 0..bound {
        let seed = first + n;
        let Some(failure) = run(&generate(seed)).failure else { continue };
        if failure.oracle == NO_PANICS {
            panics += 1;
            what = failure.what;
            continue;
        }
        // Something else is wrong if the seed fails without the mistake as well.
        select(None);
        let clean = run(&generate(seed)).failure.is_none();
        select(Some(index));
        if !clean {
            continue;
        }
        return Start { seeds: Some(n + 1), oracle: failure.oracle, seed, what: failure.what, panics };
    }
    Start { seeds: None, oracle: "", seed: first, what, panics }
}

fn print_line(line: &Line, bound: u64) {
    let panics: u64 = line.starts.iter().map(|start| start.panics).sum();
    let panics = if panics > 0 { format!(" ({panics} panics)") } else { String::new() };
    match line.median() {
        Some(median) => {
            let most = line.starts.iter().filter_map(|start| start.seeds).max().unwrap_or(0);
            println!("{:<36} {median:>6} {most:>6}  {}{panics}", line.name, line.oracles().join("; "));
        }
        None => println!("{:<36} NOT CAUGHT within {bound} seeds{panics}", line.name),
    }
}

impl Board {
    /// Prints what it comes to; `true` if every mistake was caught.
    pub fn print(&self, json: bool) -> bool {
        let caught = self.lines.iter().filter(|line| line.caught()).count();
        if json {
            for line in &self.lines {
                let seeds: Vec<String> = line
                    .starts
                    .iter()
                    .map(|start| start.seeds.map_or_else(|| "null".into(), |n| n.to_string()))
                    .collect();
                let oracles: Vec<String> =
                    line.oracles().iter().map(|oracle| format!("\"{oracle}\"")).collect();
                println!(
                    "{{\"mistake\":\"{}\",\"caught\":{},\"median\":{},\"seeds\":[{}],\"oracles\":[{}],\"panics\":{}}}",
                    line.name,
                    line.caught(),
                    line.median().map_or_else(|| "null".into(), |n| n.to_string()),
                    seeds.join(","),
                    oracles.join(","),
                    line.starts.iter().map(|start| start.panics).sum::<u64>(),
                );
            }
        } else {
            println!(
                "{caught} of {} planted mistakes caught by an oracle within {} seeds, in {:.0} s",
                self.lines.len(),
                self.bound,
                self.seconds
            );
            let mut medians: Vec<u64> = self.lines.iter().filter_map(Line::median).collect();
            medians.sort_unstable();
            if let (Some(middle), Some(most)) = (medians.get(medians.len() / 2), medians.last()) {
                println!("seeds to detection: {middle} for the mistake in the middle, {most} for the rarest");
            }
            for (name, why) in THREADS {
                println!("not run, as it takes two threads: {name} ({why})");
            }
        }
        caught == self.lines.len() && !self.lines.is_empty()
    }
}
