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
    /// Proof that it bites: each planted mistake is switched on and must be caught by an oracle.
    Scoreboard {
        /// Within so many seeds.
        #[arg(long, default_value_t = 4000)]
        seeds: u64,
        /// Independent starts, for the median.
        #[arg(long, default_value_t = 5)]
        starts: u64,
        /// Only the mistakes whose name contains this.
        #[arg(long)]
        only: Option<String>,
        #[arg(long, default_value_t = 2)]
        jobs: u64,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
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
