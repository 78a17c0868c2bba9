//! `crash`: see `docs/testing.md`.

use clap::{Parser, Subcommand};

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
    },
    /// Each planted mistake until it is found: the median number of seeds. Builds itself with the mistakes first.
    Scoreboard {
        /// How often each is tried.
        #[arg(long, default_value_t = 3)]
        tries: u64,
        /// After so many seeds a mistake counts as missed.
        #[arg(long, default_value_t = 3000)]
        seeds: u64,
        /// Only those whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
}

fn main() -> std::process::ExitCode {
    match Args::parse().command {
        Command::Run { seed, verbose } => {
            let script = crash::generate::generate(seed);
            let report = crash::run::run_with(&script, verbose);
            for line in &report.story {
                println!("{line}");
            }
            if let Some(failure) = &report.failure {
                println!("FAILED {failure}");
            }
            println!("seed {seed} trace {:016x}", report.hash);
            if report.failure.is_some() { 1.into() } else { 0.into() }
        }
        Command::Swarm { seeds, first, jobs, failures } => {
            let swarm = crash::swarm::swarm(first, seeds, jobs.max(1), failures);
            swarm.print();
            if swarm.failures.is_empty() { 0.into() } else { 1.into() }
        }
        Command::Scoreboard { tries, seeds, only } => {
            if cfg!(feature = "planted") {
                let all = crash::scoreboard::scoreboard(tries.max(1), seeds, &only);
                return if all { 0.into() } else { 1.into() };
            }
            let again = std::process::Command::new("cargo")
                .args(["run", "--quiet", "--release", "-p", "crash", "--features", "planted", "--"])
                .args(std::env::args_os().skip(1))
                .status();
            match again {
                Ok(status) if status.success() => 0.into(),
                _ => 1.into(),
            }
        }
    }
}
