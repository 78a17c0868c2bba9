//! `crash`: see `docs/testing.md`.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crash::script::Script;

#[derive(Parser)]
#[command(about = "Crashes Recension and looks at what comes back")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One seed. The last line holds a hash over everything that happened.
    Run {
        #[arg(long)]
        seed: u64,
        /// Tell the story.
        #[arg(long, short)]
        verbose: bool,
    },
    /// A script out of a file.
    Replay {
        file: std::path::PathBuf,
        #[arg(long, short)]
        verbose: bool,
    },
    /// Makes a failing script as small as it gets and prints it.
    Shrink {
        /// A seed, or a file.
        what: String,
        /// With this planted mistake (needs the feature `planted`): the first seed that shows it.
        #[arg(long)]
        planted: Option<String>,
    },
    /// All short workloads, a crash in every change of the disk, all images that it may leave.
    Exhaustive {
        /// Operations of a workload, at most.
        #[arg(long, default_value_t = 2)]
        ops: u32,
        /// Images that are tried of each crash, at most; 12 if it is not said, 2 for three operations and more.
        #[arg(long)]
        images: Option<u64>,
        #[arg(long, default_value_t = 2)]
        jobs: u64,
    },
    /// The real file system: a child that is killed, meets a full disk, or calls that fail.
    Reality {
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where; a new directory in the system's temporary one, if it is not said.
        #[arg(long)]
        dir: Option<std::path::PathBuf>,
    },
    #[command(hide = true)]
    RealityChild { path: std::path::PathBuf, seed: u64, after: u64, most: u64 },
    /// Many seeds: how many a second, what they met, which fail.
    Swarm {
        #[arg(long, default_value_t = 1000)]
        seeds: u64,
        #[arg(long, default_value_t = 0)]
        first: u64,
        #[arg(long, default_value_t = 2)]
        jobs: u64,
        /// Stop after so many failures.
        #[arg(long, default_value_t = 20)]
        failures: usize,
        /// Fail if too little was met. Runs of 10 000 seeds and more do so anyway.
        #[arg(long)]
        floors: bool,
    },
    /// Proof that it bites: each planted mistake is switched on and must be caught by an oracle.
    Scoreboard {
        /// Within so many seeds.
        #[arg(long, default_value_t = 10_000)]
        seeds: u64,
        /// Independent starts, for the median.
        #[arg(long, default_value_t = 5)]
        starts: u64,
        /// Only the mistakes whose name contains this, or one of these (`a, b`).
        #[arg(long)]
        only: Option<String>,
        #[arg(long, default_value_t = 2)]
        jobs: u64,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

fn refuse(error: &str) -> ExitCode {
    eprintln!("crash: {error}");
    2.into()
}

/// Runs a script; the last line holds the hash.
fn tell(script: &Script, name: &str, verbose: bool) -> ExitCode {
    let report = crash::run::run_with(script, verbose);
    for line in &report.story {
        println!("{line}");
    }
    if let Some(failure) = &report.failure {
        println!("FAILED {failure}");
    }
    println!("{name} trace {:016x}", report.hash);
    if report.failure.is_some() { 1.into() } else { 0.into() }
}

#[allow(clippy::disallowed_methods, reason = "a tool, outside of the simulated machine")]
fn script_of(file: &std::path::Path) -> Result<Script, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    crash::text::read(&text).map_err(|error| format!("{}: {error}", file.display()))
}

#[allow(clippy::disallowed_methods, reason = "a tool, outside of the simulated machine")]
fn reality(seconds: u64, seed: u64, dir: Option<std::path::PathBuf>) -> ExitCode {
    let own = dir.is_none();
    let dir =
        dir.unwrap_or_else(|| std::env::temp_dir().join(format!("recension-reality-{}", std::process::id())));
    if let Err(error) = std::fs::create_dir_all(&dir) {
        return refuse(&format!("{}: {error}", dir.display()));
    }
    let result = crash::reality::reality(seconds, seed, &dir);
    match result {
        Ok(done) => {
            if own {
                let _ = std::fs::remove_dir_all(&dir);
            }
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("FAILED {what}");
            println!("what is left: {}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn shrink(what: &str, planted: Option<&str>) -> ExitCode {
    let found = match (what.parse::<u64>(), planted) {
        (Ok(first), Some(name)) => crash::scoreboard::first_that_shows(name, first),
        (Ok(seed), None) => Ok(crash::generate::generate(seed)),
        (Err(_), _) => script_of(std::path::Path::new(what)),
    };
    let script = match found {
        Ok(script) => script,
        Err(error) => return refuse(&error),
    };
    match crash::shrink::shrink(&script) {
        Some((small, runs)) => {
            println!("{}", crash::text::write(&small));
            let failure = crash::run::run(&small).failure;
            println!(
                "# after {runs} runs: {:.300}",
                failure.map(|failure| failure.to_string()).unwrap_or_default()
            );
            ExitCode::SUCCESS
        }
        None => refuse("the script does not fail"),
    }
}

fn main() -> ExitCode {
    match Args::parse().command {
        Command::Run { seed, verbose } => {
            tell(&crash::generate::generate(seed), &format!("seed {seed}"), verbose)
        }
        Command::Replay { file, verbose } => match script_of(&file) {
            Ok(script) => tell(&script, &file.display().to_string(), verbose),
            Err(error) => refuse(&error),
        },
        Command::Shrink { what, planted } => shrink(&what, planted.as_deref()),
        Command::Exhaustive { ops, images, jobs } => {
            let images = images.unwrap_or(if ops < 3 { 12 } else { 2 });
            let explored = crash::exhaustive::exhaustive(ops, images.max(1), jobs.max(1), true);
            if explored.print() { 0.into() } else { 1.into() }
        }
        Command::Reality { seconds, seed, dir } => reality(seconds, seed, dir),
        Command::RealityChild { path, seed, after, most } => {
            match crash::reality::child(&path, seed, after, most) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => refuse(&error.to_string()),
            }
        }
        Command::Swarm { seeds, first, jobs, failures, floors } => {
            let swarm = crash::swarm::swarm(first, seeds, jobs.max(1), failures);
            swarm.print();
            let whole = swarm.failures.len() < failures;
            let missed = match floors || (seeds >= 10_000 && whole) {
                true => crash::floors::missed(&swarm.coverage),
                false => Vec::new(),
            };
            for missed in &missed {
                println!("FAILED floor: {missed}");
            }
            if swarm.failures.is_empty() && missed.is_empty() { 0.into() } else { 1.into() }
        }
        Command::Scoreboard { seeds, starts, only, jobs, json } => {
            if !crash::scoreboard::is_built_in() {
                return crash::scoreboard::again_with_mistakes();
            }
            let only = only.unwrap_or_default();
            let board = crash::scoreboard::scoreboard(seeds, starts, &only, jobs.max(1), json);
            if board.print(json) { 0.into() } else { 1.into() }
        }
    }
}
