//! Everything that can be checked: of a file by itself, of a file against the manifest, and of a store as a whole.
//!
//! | what | where |
//! |---|---|
//! | checksums of every part; a single flipped bit is named | the `dissect` of the format |
//! | filters: no false negative; false positives are counted | `dissect_table` |
//! | header against name, store, manifest; accounts of changes and bytes | `account` |
//! | contents against digests, locators against groups, the file's own order, its BLAKE3 | the readers' own `verify`, once all parts are sound |
//! | order of levels, chain and promises of the log, index against value files | `store` |
//!
//! It goes on behind damage, and says whose revisions are affected, wherever that can still be found out.

mod account;
mod store;

use std::path::Path;
use std::sync::Arc;

pub use store::verify_store;

use super::item::Item;
use super::names;
use super::walk::walk_file;
use crate::codec::{FileId, FileKind, Holds, Part, PartState};
use crate::env::{Access, File, Fs};
use crate::error::IoContext;
use crate::pack::Depth;
use crate::{Error, Result};
use account::Account;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file; empty for the store as a whole.
    pub file: String,
    /// What was looked at: `checksum`, `identity`, `accounts`, `seal`, `table`, `contents`, `level order`, `log`, `pointers`, `missing`, `length` or
    /// `manifest`.
    pub check: &'static str,
    /// Where, what was expected, and what is affected.
    pub part: Part,
}

impl Finding {
    fn new(file: impl Into<String>, check: &'static str, why: impl Into<String>) -> Self {
        let part = Part::damaged("file", 0, 0, why).holding(Holds::derived());
        Self { file: file.into(), check, part }
    }

    fn holding(mut self, holds: Holds) -> Self {
        self.part.holds = holds;
        self
    }

    /// What an error says.
    fn of_error(file: &str, check: &'static str, error: &Error) -> Self {
        let (why, offset) = match error {
            Error::Corrupt(damage) => (
                format!(
                    "expected {}, found {}; affected: {}",
                    damage.expected, damage.found, damage.affected
                ),
                damage.offset,
            ),
            other => (other.to_string(), 0),
        };
        let mut finding = Self::new(file, check, why);
        finding.part.offset = offset;
        finding
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = &self.part;
        match (self.file.as_str(), part.len) {
            ("", _) => {}
            (file, 0) => write!(f, "{file}: ")?,
            (file, _) => write!(f, "{file}: {} at {:#x}: ", part.kind, part.offset)?,
        }
        write!(f, "{}", part.state.why().unwrap_or_default())?;
        if let Some(flip) = &part.flip {
            write!(f, "; {flip}")?;
        }
        match part.holds.sequences {
            Some((first, u64::MAX)) => write!(f, "; affected: changes from {first} on"),
            Some((first, last)) => write!(f, "; affected: changes {first} to {last}"),
            None => Ok(()),
        }
    }
}

/// What was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Parts of them.
    pub parts: u64,
    /// Changes.
    pub changes: u64,
    /// Contents.
    pub contents: u64,
    /// Their bytes, uncompressed.
    pub content_bytes: u64,
    /// Rows of tables.
    pub rows: u64,
    /// Names that are in no table, as filters were asked.
    pub filter_absent: u64,
    /// How often a filter said that such a name may be there.
    pub filter_false: u64,
}

/// What a verification came to.
#[derive(Clone, Debug, Default)]
pub struct Verified {
    /// What was read.
    pub read: Totals,
    /// What is wrong.
    pub found: Vec<Finding>,
    /// What is worth knowing and no damage.
    pub notes: Vec<String>,
    /// The store was written to meanwhile: what was found may be an effect of that. Look again.
    pub moved_on: bool,
}

/// Verifies files one by one and keeps what is wrong with them.
pub struct Verifier<'a> {
    depth: Depth,
    stop: &'a dyn Fn() -> bool,
    /// What was read so far.
    pub read: Totals,
    /// What is wrong.
    pub found: Vec<Finding>,
    /// The last change that a value file says.
    last: u64,
    /// Ends of logs that are not whole: only others know whether that is damage.
    torn: Vec<(String, Part)>,
}

impl<'a> Verifier<'a> {
    /// `stop` is asked now and then; if it says yes, whatever goes on ends in `Cancelled`.
    pub fn new(depth: Depth, stop: &'a dyn Fn() -> bool) -> Self {
        Self { depth, stop, read: Totals::default(), found: Vec::new(), last: 0, torn: Vec::new() }
    }

    fn find(&mut self, finding: Finding) {
        self.found.push(finding);
    }

    /// Keeps what an error says about a file; one that says nothing about bytes comes back.
    fn keep<T>(&mut self, file: &str, check: &'static str, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error @ (Error::Corrupt(_) | Error::Unsupported { .. } | Error::Invalid { .. })) => {
                self.find(Finding::of_error(file, check, &error));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// One file by itself: every part of it. Answers what it says of itself and what was counted.
    fn file(&mut self, file: &Arc<dyn File>, path: &Path) -> Result<Account> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut account = Account::default();
        let (found, torn, stop) = (&mut self.found, &mut self.torn, self.stop);
        let mut steps = 0_u64;
        let parts = &mut self.read.parts;
        // A pack's contents are compared with their digests by its reader, if its parts are sound.
        let is_pack = FileId::parse(&name).is_some_and(|(_, kind)| kind == FileKind::Pack);
        let depth = if is_pack { Depth::Stored } else { self.depth };
        let summary = walk_file(file, path, depth, &mut |item| {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(64) && stop() {
                return Err(Error::Cancelled);
            }
            match item {
                Item::Part(part) => {
                    *parts = parts.saturating_add(1);
                    if matches!(part.state, PartState::Torn(_)) {
                        torn.push((name.clone(), part.clone()));
                    }
                    if super::item::is_finding(&part.state) {
                        account.damaged = true;
                        found.push(Finding { file: name.clone(), check: "checksum", part });
                    }
                }
                Item::Content(address, None) => {
                    let (sequence, slot) = (address.sequence, address.slot);
                    let why = format!("expected the content of change {sequence} slot {slot}");
                    let holds = Holds::sequences(sequence, sequence);
                    found.push(Finding::new(&name, "checksum", why).holding(holds));
                    account.damaged = true;
                }
                item => account.count(&item),
            }
            Ok(())
        })?;
        self.read.files = self.read.files.saturating_add(1);
        self.read.bytes = self.read.bytes.saturating_add(summary.len);
        let changes = if account.changes == 0 { account.listed } else { account.changes };
        self.read.changes = self.read.changes.saturating_add(changes);
        if self.depth == Depth::Contents {
            self.read.contents = self.read.contents.saturating_add(account.contents);
            self.read.content_bytes = self.read.content_bytes.saturating_add(account.raw);
        }
        self.read.rows = self.read.rows.saturating_add(account.rows);
        if let Some(filter) = &summary.filter {
            self.read.filter_absent = self.read.filter_absent.saturating_add(filter.absent);
            self.read.filter_false = self.read.filter_false.saturating_add(filter.false_positives);
        }
        if let (Some(common), Some((id, kind))) = (&summary.common, summary.named)
            && (common.id, common.kind) != (id, kind)
        {
            let own = common.id.file_name(common.kind);
            let why = format!("expected the file of its name, found {own}: files were swapped or renamed");
            let holds = account::holds_of(summary.sequences);
            self.found.push(Finding::new(name, "identity", why).holding(holds));
        }
        account.summary = Some(summary);
        Ok(account)
    }
}

/// Verifies one file, without the store that it is of.
///
/// # Errors
/// `Io`. Damage is no error here.
pub fn verify_file(fs: &dyn Fs, path: &Path, depth: Depth) -> Result<Verified> {
    let file = fs.open(path, Access::Read).context("open", path)?;
    let mut verifier = Verifier::new(depth, &|| false);
    let account = verifier.file(&file, path)?;
    verifier.reader(&file, path, &account)?;
    let mut verified = Verified { read: verifier.read, found: verifier.found, ..Verified::default() };
    name_affected(fs, &mut verified, &[path.to_path_buf()])?;
    Ok(verified)
}

/// The names of what is affected, wherever they are still said.
fn name_affected(fs: &dyn Fs, verified: &mut Verified, files: &[std::path::PathBuf]) -> Result<()> {
    let mut parts: Vec<Part> = verified.found.iter().map(|finding| finding.part.clone()).collect();
    names::name(fs, &mut parts, files)?;
    verified.found.iter_mut().zip(parts).for_each(|(finding, part)| finding.part = part);
    Ok(())
}
