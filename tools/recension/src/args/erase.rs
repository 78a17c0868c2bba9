//! What destroys: `forget`, `purge`, `retention`, `reclaim`; and what tells of it: `erasure-report`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use recension::{Digest, Expect, Timestamp};

use super::values::{Part, SharedChoice, parse_age, parse_digest, parse_expect, parse_job, parse_range};
use crate::time;

/// On whose word.
#[derive(Args, Debug)]
pub struct Word {
    /// Who does it; kept in the log
    #[arg(long, value_name = "NAME", default_value = "")]
    pub actor: String,
    /// Why; kept in the log, so do not repeat what is to be destroyed
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// `forget`
#[derive(Args, Debug)]
#[command(
    after_help = "There is no way back. Readers get `forgotten` at once, on every path; `erasure-report` says when the bytes are gone. If it \
                        was interrupted, what was committed holds; `erasure-report` names the job: run the same command again with --resume."
)]
pub struct ForgetArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity, with --rev
    #[arg(required_unless_present_any = ["author", "digest"], requires = "rev")]
    pub entity: Option<OsString>,
    /// The revision, or a range: N, N-M, or N- up to the head
    #[arg(long, value_name = "N[-M]", value_parser = parse_range, requires = "entity")]
    pub rev: Option<(u64, u64)>,
    /// All revisions by this author, in the whole store
    #[arg(long, value_name = "NAME", conflicts_with_all = ["entity", "digest"])]
    pub author: Option<OsString>,
    /// All revisions with this content, in the whole store: its BLAKE3 digest, 64 hexadecimal digits
    #[arg(long, value_name = "HEX", value_parser = parse_digest, conflicts_with = "entity")]
    pub digest: Option<Digest>,
    /// Which parts [default: content; with --author: author]
    #[arg(long, value_name = "PART,…", value_delimiter = ',')]
    pub fields: Vec<Part>,
    /// What becomes of a content that further revisions of the entity have
    #[arg(long, value_name = "HOW", default_value = "refuse")]
    pub shared: SharedChoice,
    /// Only say how much it would be
    #[arg(long)]
    pub preview: bool,
    /// Go on with a job that was interrupted; the rest of the command as it was
    #[arg(long, value_name = "JOB", value_parser = parse_job, conflicts_with = "preview")]
    pub resume: Option<u64>,
    #[command(flatten)]
    pub word: Word,
}

/// `purge`
#[derive(Args, Debug)]
#[command(
    after_help = "There is no way back. What is left is a hash of the name, keyed with the store's id: whoever has the store can test a guess \
                        of the name. Numbers go on if the name is used again."
)]
pub struct PurgeArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Name of the entity
    pub entity: OsString,
    /// What the head must be: a revision number or `any`
    #[arg(long, value_name = "N|any", value_parser = parse_expect, default_value = "any")]
    pub expect: Expect,
    #[command(flatten)]
    pub word: Word,
}

/// `retention`
#[derive(Args, Debug)]
#[command(
    after_help = "The head of an entity is always kept. What counts is when a revision was superseded: the commit time of the next one. There \
                        is no way back."
)]
pub struct RetentionArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Superseded longer ago than this: a number with s, m, h, d, w or y (365 days)
    #[arg(long, value_name = "AGE", value_parser = parse_age, required_unless_present = "before")]
    pub older_than: Option<Duration>,
    /// Superseded before this: @SECONDS, a date, or a date and time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time::parse_time, conflicts_with = "older_than")]
    pub before: Option<Timestamp>,
    /// Keep so many versions below the head whatever their age
    #[arg(long, value_name = "N")]
    pub keep: u64,
    /// Only entities whose name starts so
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub prefix: OsString,
    /// Which parts
    #[arg(long, value_name = "PART,…", value_delimiter = ',', default_value = "content")]
    pub fields: Vec<Part>,
    /// Only say how much it would be
    #[arg(long)]
    pub preview: bool,
    /// Go on with a job that was interrupted; the rest of the command as it was
    #[arg(long, value_name = "JOB", value_parser = parse_job, conflicts_with = "preview")]
    pub resume: Option<u64>,
    #[command(flatten)]
    pub word: Word,
}

/// `reclaim`
#[derive(Args, Debug)]
#[command(
    after_help = "What is forgotten is erased in the background while the store is open for writing, within 24 hours. This does it at once. Checkpoints and \
                        backups are files of their own: `erasure-report` names those that the store knows of."
)]
pub struct ReclaimArgs {
    /// Directory of the store
    pub store: PathBuf,
}

/// `erasure-report`
#[derive(Args, Debug)]
#[command(
    after_help = "Every file in the directory is looked into. Ends with 0 if none holds bytes of what is forgotten, with 6 if one does or if it cannot be told \
                        of one. What a disk keeps in its free blocks, and copies that the store knows nothing of, no report can tell."
)]
pub struct ErasureReportArgs {
    /// Directory of the store
    pub store: PathBuf,
    /// Take a checkpoint that was removed off the list
    #[arg(long, value_name = "DIR")]
    pub released: Option<PathBuf>,
}
