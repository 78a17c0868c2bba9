//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use recension_cli::Global;

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 4 not found, 5 damage found, 130 interrupted. Takes no lock and never writes \
                          to a store: it may be used on one that is open, on copied files and on damaged ones.";

/// Shows everything inside a Recension store, live or damaged.
#[derive(Debug, Parser)]
#[command(name = "sst-dump", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// What every verb takes.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Say what a file or a store is, what it says of itself, and what is damaged
    Inspect(PathArgs),
    /// List every part of a file: offset, length, kind, state of its checksum
    Layout(LayoutArgs),
    /// Print bytes with the names of their fields
    Hex(HexArgs),
    /// Print the records of a file or a store, past damage
    Scan(ScanArgs),
    /// Print numbers and histograms of a file or a store
    Properties(PathArgs),
}

/// A file or the directory of a store.
#[derive(Args, Debug)]
pub struct PathArgs {
    /// A file of a store, or the directory of one
    pub path: PathBuf,
}

/// `layout`
#[derive(Args, Debug)]
pub struct LayoutArgs {
    /// A file of a store
    pub path: PathBuf,
    /// Only what is not sound
    #[arg(long)]
    pub damaged: bool,
    /// Also decode every content and compare it with its digest
    #[arg(long)]
    pub deep: bool,
}

/// `hex`
#[derive(Args, Debug)]
pub struct HexArgs {
    /// A file
    pub path: PathBuf,
    /// Name the fields
    #[arg(long)]
    pub annotate: bool,
    /// Where to begin, decimal or 0x…
    #[arg(long, default_value = "0", value_parser = parse_number)]
    pub offset: u64,
    /// How many bytes
    #[arg(long, default_value = "512", value_parser = parse_number)]
    pub len: u64,
}

/// How contents are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Formatter {
    /// Only the length
    Size,
    /// As a quoted string, escaped
    Quoted,
    /// As hexadecimal digits
    Hex,
    /// As it is, if it is text; else as hexadecimal digits
    Pretty,
}

/// `scan`
#[derive(Args, Debug)]
pub struct ScanArgs {
    /// A file of a store, or the directory of one
    pub path: PathBuf,
    /// Only entities whose names begin so
    #[arg(long)]
    pub prefix: Option<OsString>,
    /// Only entities from here on
    #[arg(long)]
    pub from: Option<OsString>,
    /// Only entities before this one
    #[arg(long)]
    pub to: Option<OsString>,
    /// Only this revision number
    #[arg(long, value_name = "N")]
    pub rev: Option<u64>,
    /// At most so many records
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Of a store: the rows of its tables instead of the changes of its log
    #[arg(long)]
    pub index: bool,
    /// Print contents (and values) too
    #[arg(long, value_name = "HOW")]
    pub values: Option<Formatter>,
}

/// A number, decimal or with 0x in front.
fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is not a number"))
}
