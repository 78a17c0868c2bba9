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
    /// Check everything that can be checked, past damage
    Verify(VerifyArgs),
    /// Show what the manifest says, edit by edit
    Manifest(ManifestArgs),
    /// Show everywhere a revision is mentioned
    Trace(TraceArgs),
    /// Show what a read looks at, probe by probe
    Explain(ExplainArgs),
    /// Show where the bytes are
    Space(SpaceArgs),
    /// Show the frames of the log; gaps, duplicate tails and broken promises
    Log(LogArgs),
    /// Compare the index with what the value files say it must be
    DiffIndex(DiffIndexArgs),
    /// Show levels, tables, packs and segments; with --html over time, as a page for a browser
    Lsm(LsmArgs),
    /// Try other ways to compress the store's contents, on a sample
    Recompress(RecompressArgs),
    /// Measure reads of the store's own files, from the disk and from memory
    IoBench(IoBenchArgs),
}

/// `lsm`
#[derive(Args, Debug)]
pub struct LsmArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Write a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `recompress`
#[derive(Args, Debug)]
pub struct RecompressArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Size of the sample, uncompressed
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub sample_mib: u64,
    /// Take no longer than about so many seconds: what was not tried by then is not
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
}

/// `io-bench`
#[derive(Args, Debug)]
pub struct IoBenchArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Reads of each length
    #[arg(long, value_name = "N", default_value = "1000", value_parser = parse_count)]
    pub reads: usize,
}

/// `verify`
#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// A file of a store, or the directory of one
    pub path: PathBuf,
    /// Do not decode contents: checksums over stored bytes only
    #[arg(long)]
    pub stored: bool,
}

/// `manifest`
#[derive(Args, Debug)]
pub struct ManifestArgs {
    /// What to show.
    #[command(subcommand)]
    pub verb: ManifestVerb,
}

/// What to show of a manifest.
#[derive(Debug, Subcommand)]
pub enum ManifestVerb {
    /// Every edit
    Dump(PathArgs),
    /// What it comes to
    Summarize(PathArgs),
    /// Its rules and checksums
    Check(PathArgs),
    /// What it came to with a commit
    At(AtArgs),
}

/// `manifest at`
#[derive(Args, Debug)]
pub struct AtArgs {
    /// A manifest, or the directory of a store
    pub path: PathBuf,
    /// Number of the commit
    pub edit: u64,
}

/// `trace`
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// Only this revision
    #[arg(long, value_name = "N")]
    pub rev: Option<u64>,
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Read {
    /// The head, or a revision
    Get,
    /// All revisions
    History,
    /// The newest revision at a point
    AsOf,
}

/// `explain`
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// What is read
    pub read: Read,
    /// Name of the entity
    pub entity: OsString,
    /// With get: this revision
    #[arg(long, value_name = "N")]
    pub rev: Option<u64>,
    /// With as-of: a sequence number, @SECONDS, RFC 3339 or a date
    #[arg(long, value_name = "SEQ|TIME")]
    pub at: Option<String>,
}

/// `space`
#[derive(Args, Debug)]
pub struct SpaceArgs {
    /// Directory of the store
    pub store: PathBuf,
}

/// `log`
#[derive(Args, Debug)]
pub struct LogArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Only the last frames
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10")]
    pub tail: Option<u64>,
    /// Go on with changes as they become durable, also while another process writes
    #[arg(long)]
    pub follow: bool,
    /// With --follow: begin behind this change
    #[arg(long, value_name = "SEQ", requires = "follow")]
    pub since: Option<u64>,
    /// With --follow: end after so many seconds
    #[arg(long, value_name = "N", requires = "follow")]
    pub seconds: Option<u64>,
}

/// `diff-index`
#[derive(Args, Debug)]
pub struct DiffIndexArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Changes that are compared at a time: about 100 bytes of memory each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub window: Option<u64>,
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

/// A number from 1 to a million.
fn parse_count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err(format!("{text:?} is not a number from 1 to 1000000")),
    }
}

/// A number, decimal or with 0x in front.
fn parse_number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("{text:?} is not a number"))
}
