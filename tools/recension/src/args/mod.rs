//! What can be typed: the one definition that help, completions and man pages come from.

mod erase;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use recension::{AsOf, Expect, Timestamp};

use crate::time;
pub use erase::{ErasureReportArgs, ForgetArgs, PurgeArgs, ReclaimArgs, RetentionArgs};
pub use values::{ColorChoice, FormatChoice, KeyChoice, Part};
use values::{parse_expect, parse_range, parse_request_id};

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 conflict, 4 not found, 5 damage found, 6 done with rejects \
                          or something that is forgotten is still held, 130 interrupted.";

/// Keeps every version of everything: an embedded store of revisions.
#[derive(Debug, Parser)]
#[command(name = "recension", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Print one JSON object a line
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// Show times in UTC instead of local time
    #[arg(long, global = true, help_heading = "Output")]
    pub utc: bool,
    /// Colours: with `auto` on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    pub color: ColorChoice,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read revisions from JSON lines, MediaWiki XML or Wikidata JSON into a store
    Import(ImportArgs),
    /// Write revisions as JSON lines or MediaWiki XML to standard output
    Export(ExportArgs),
    /// Write the content of a revision to standard output, and nothing else
    Get(GetArgs),
    /// Write a revision; print its number
    Put(PutArgs),
    /// Write a tombstone: the entity is deleted, its history stays
    Delete(EditArgs),
    /// Bring a deleted entity back with its newest content
    Undelete(EditArgs),
    /// Make the content of an earlier revision the head again, as a new revision
    Revert(RevertArgs),
    /// Commit several changes, all of them or none
    Batch(BatchArgs),
    /// List the revisions of an entity
    History(HistoryArgs),
    /// Show what changed between two revisions of an entity
    Diff(DiffArgs),
    /// List entities and their heads
    Ls(LsArgs),
    /// List changes in the order in which they were made
    Changes(ChangesArgs),
    /// Show numbers about a store
    Stats(StoreArgs),
    /// Verify a store
    Check(CheckArgs),
    /// Merge tables and packs: what is due, or everything
    Compact(CompactArgs),
    /// Make a second store out of links to this one's files
    Checkpoint(CheckpointArgs),
    /// Make a store out of a checkpoint, with what was hidden and forgotten since
    Restore(RestoreArgs),
    /// Make manifest and index anew from the segments and packs alone
    Rebuild(RebuildArgs),
    /// Copy what can be saved of a damaged store into a new one; without --apply only say what that is
    Repair(RepairArgs),
    /// Hide parts of revisions from ordinary reads
    Hide(HideArgs),
    /// Show again what was hidden
    Show(HideArgs),
    /// Destroy parts of revisions for good: by revision, by author or by content
    Forget(ForgetArgs),
    /// Destroy an entity for good, its name included
    Purge(PurgeArgs),
    /// Destroy what was superseded long ago, keeping some older versions
    Retention(RetentionArgs),
    /// Write files anew that hold bytes of what is forgotten: now, and not in the background
    Reclaim(ReclaimArgs),
    /// Name each file that still holds bytes of what is forgotten
    ErasureReport(ErasureReportArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write man pages into a directory
    Man(ManArgs),
}

/// A command on a whole store.
#[derive(Args, Debug)]
pub struct StoreArgs {
    /// Directory of the store
    pub store: PathBuf,
}

/// `import`
#[derive(Args, Debug)]
#[command(
    after_help = "The format and the compression (gzip, bzip2, zstd, xz) are found out by content. An import that was \
                        interrupted goes on where it was when the same command is run again; revisions that are there already are \
                        skipped."
)]
pub struct ImportArgs {
    /// Directory of the store; made if it is not there
    pub store: PathBuf,
    /// Files to read; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What names the entity of a wiki page
    #[arg(long, default_value = "title")]
    pub key: KeyChoice,
    /// Accept JSON lines without `rev`: they become the next revision of their entity
    #[arg(long)]
    pub append: bool,
    /// Read from the start, even if an import of this source was interrupted
    #[arg(long)]
    pub restart: bool,
    /// Write records that are not taken to this file: place, entity, reason
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
    /// Do not pack what was imported: `compact --full` does it later, or a program that has the store open
    #[arg(long)]
    pub no_pack: bool,
}

/// `export`
#[derive(Args, Debug)]
#[command(
    after_help = "JSON lines come in the order of the changes (with --heads: of the names), MediaWiki XML comes page by page. \
                        What the format cannot express is listed on standard error."
)]
pub struct ExportArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Output format
    #[arg(long, default_value = "jsonl")]
    pub format: FormatChoice,
    /// Only the newest revision of each entity
    #[arg(long, conflicts_with = "history")]
    pub heads: bool,
    /// All revisions (the default)
    #[arg(long)]
    pub history: bool,
    /// The state at this point: a sequence number, @SECONDS, a date, or a date and time (RFC 3339)
    #[arg(long, value_name = "SEQ|TIME", value_parser = time::parse_as_of)]
    pub as_of: Option<AsOf>,
    /// Only entities whose name starts so
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: OsString,
}

/// `get`
#[derive(Args, Debug)]
pub struct GetArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// This revision instead of the head
    #[arg(long, value_name = "N", conflicts_with = "as_of")]
    pub rev: Option<u64>,
    /// The head at this point: a sequence number, @SECONDS, a date, or a date and time (RFC 3339)
    #[arg(long, value_name = "SEQ|TIME", value_parser = time::parse_as_of)]
    pub as_of: Option<AsOf>,
    /// Print what is known about the revision instead of its content
    #[arg(long)]
    pub meta: bool,
    /// The content of this slot instead of the main one
    #[arg(long, value_name = "ROLE", conflicts_with = "meta")]
    pub slot: Option<String>,
}

/// What all writing commands say about the revision.
#[derive(Args, Debug)]
pub struct EditFields {
    /// What the head must be: a revision number, `absent` (no revision yet) or `any`
    #[arg(long, value_name = "N|absent|any", value_parser = parse_expect)]
    pub expect: Expect,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    /// When it was made: @SECONDS, a date, or a date and time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse_time)]
    pub at: Option<Timestamp>,
    /// A minor edit
    #[arg(long)]
    pub minor: bool,
    /// Made by a bot
    #[arg(long)]
    pub bot: bool,
    /// A tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Makes a retry answer with the first attempt's revision: 32 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = parse_request_id)]
    pub request_id: Option<[u8; 16]>,
}

/// `put`
#[derive(Args, Debug)]
pub struct PutArgs {
    /// Directory of the store; made if it is not there
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// File with the content; `-` or nothing: standard input
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub fields: EditFields,
    /// Write nothing if the head has this content already
    #[arg(long)]
    pub if_changed: bool,
    /// Media type or content model
    #[arg(long = "type", value_name = "TYPE")]
    pub content_type: Option<String>,
}

/// `delete`, `undelete`
#[derive(Args, Debug)]
pub struct EditArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    #[command(flatten)]
    pub fields: EditFields,
}

/// `revert`
#[derive(Args, Debug)]
pub struct RevertArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// The revision whose content comes back
    #[arg(long, value_name = "N")]
    pub to: u64,
    #[command(flatten)]
    pub fields: EditFields,
}

/// `batch`
#[derive(Args, Debug)]
#[command(
    after_help = "Each line is an object as in JSON lines, without `rev`, with \"expect\": N, \"absent\" or \"any\"; in place of \
                        a content it may have \"deleted\":true, \"revert_to\":N, \"undelete\":true, or \"require\":true (only the \
                        expectation is checked); \"if_changed\":true as for put."
)]
pub struct BatchArgs {
    /// Directory of the store; made if it is not there
    pub store: PathBuf,
    /// File with one change a line; `-` is standard input
    pub file: PathBuf,
}

/// `history`
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// The oldest first
    #[arg(long)]
    pub reverse: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// The history at this point: a sequence number, @SECONDS, a date, or a date and time (RFC 3339)
    #[arg(long, value_name = "SEQ|TIME", value_parser = time::parse_as_of)]
    pub as_of: Option<AsOf>,
}

/// `diff`
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// Old revision; without it, the one before the new
    pub from: Option<u64>,
    /// New revision; without it, the head
    pub to: Option<u64>,
    /// Compare words instead of lines
    #[arg(long)]
    pub words: bool,
    /// Lines around each change
    #[arg(long, short = 'U', value_name = "N", default_value_t = 3)]
    pub context: usize,
}

/// `ls`
#[derive(Args, Debug)]
pub struct LsArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Only entities whose name starts so
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: OsString,
    /// The state at this point: a sequence number, @SECONDS, a date, or a date and time (RFC 3339)
    #[arg(long, value_name = "SEQ|TIME", value_parser = time::parse_as_of)]
    pub as_of: Option<AsOf>,
    /// Deleted entities as well
    #[arg(long)]
    pub deleted: bool,
    /// In descending order
    #[arg(long)]
    pub reverse: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// `changes`
#[derive(Args, Debug)]
pub struct ChangesArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Only changes behind this sequence number
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    pub since: u64,
    /// Wait for further changes, while other programs write to the store
    #[arg(long)]
    pub follow: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// `check`
#[derive(Args, Debug)]
pub struct CheckArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Read and verify every content as well
    #[arg(long, conflicts_with = "quick")]
    pub deep: bool,
    /// Only the structure: which files there are, and how they fit together
    #[arg(long)]
    pub quick: bool,
}

/// `compact`
#[derive(Args, Debug)]
pub struct CompactArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// The smallest store: all tables into one level, all segments packed, all packs merged and compressed at a high level. Takes minutes for
    /// gigabytes of contents
    #[arg(long)]
    pub full: bool,
}

/// `checkpoint`
#[derive(Args, Debug)]
pub struct CheckpointArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Directory of the new store, which must not be there; on the same file system
    pub to: PathBuf,
}

/// `restore`
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// Directory of the checkpoint; it stays as it is
    pub checkpoint: PathBuf,
    /// Directory of the store, which must not be there: move the old one aside first
    pub store: PathBuf,
    /// The old store, or what is left of it: what was hidden, forgotten or purged there since the checkpoint was made is applied. `none`: nothing
    /// is, and what was forgotten comes back
    #[arg(long, value_name = "STORE|none")]
    pub annotations_from: PathBuf,
}

/// `rebuild`
#[derive(Args, Debug)]
pub struct RebuildArgs {
    /// Directory of the store; it may have lost its manifest
    pub store: PathBuf,
    /// Say what would be done and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `repair`
#[derive(Args, Debug)]
pub struct RepairArgs {
    /// Directory of the damaged store, which is only read
    pub store: PathBuf,
    /// Directory of the new store, which must not be there
    #[arg(long, value_name = "NEW")]
    pub into: PathBuf,
    /// Write the new store
    #[arg(long)]
    pub apply: bool,
}

/// `hide`, `show`
#[derive(Args, Debug)]
pub struct HideArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// The revision, or a range: N, N-M, or N- for all from N on
    #[arg(long, value_name = "N[-M]", value_parser = parse_range)]
    pub rev: (u64, u64),
    /// Which parts
    #[arg(long, value_name = "PART,…", value_delimiter = ',', default_value = "content")]
    pub fields: Vec<Part>,
    /// Who does it; kept in the log
    #[arg(long, value_name = "NAME", default_value = "")]
    pub actor: String,
    /// Why; kept in the log
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `completions`
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: Shell,
}

/// `man`
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Where the pages go; made if it is not there
    pub dir: PathBuf,
}
