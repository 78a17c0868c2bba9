//! What was counted in a file, against what it says of itself and what the manifest says of it.

use std::path::Path;
use std::sync::Arc;

use super::{Finding, Verifier};
use crate::cache::Cache;
use crate::codec::{FileKind, Holds};
use crate::env::File;
use crate::index::plain::PlainTable;
use crate::index::table::{RevisionTable, TableAccess, VerifyHash, describe_table};
use crate::inspect::item::{Item, Summary};
use crate::log::{SealedSegment, UNIT_HEADER_LEN, ValueFile};
use crate::manifest::{TableInfo, ValueFileInfo};
use crate::pack::{Pack, describe_pack};
use crate::{Error, Result};

/// What was counted in a file.
#[derive(Default)]
pub(super) struct Account {
    pub summary: Option<Summary>,
    /// Changes of frames.
    pub changes: u64,
    /// Changes of directories.
    pub listed: u64,
    pub contents: u64,
    pub raw: u64,
    pub stored: u64,
    pub rows: u64,
    pub damaged: bool,
}

impl Account {
    pub(super) fn count(&mut self, item: &Item) {
        match item {
            Item::Change(_, contents) => {
                self.changes = self.changes.saturating_add(1);
                self.contents = self.contents.saturating_add(contents.len() as u64);
                for content in contents {
                    self.raw = self.raw.saturating_add(u64::from(content.raw_len));
                    // A group counts once.
                    if content.locator.counts() {
                        let stored = u64::from(content.locator.len).saturating_sub(UNIT_HEADER_LEN as u64);
                        self.stored = self.stored.saturating_add(stored);
                    }
                }
            }
            Item::Group(_, header) => {
                self.contents = self.contents.saturating_add(header.members.len() as u64);
                self.raw = self.raw.saturating_add(u64::from(header.raw_len));
                self.stored = self.stored.saturating_add(u64::from(header.stored_len));
            }
            Item::Listed(_) => self.listed = self.listed.saturating_add(1),
            Item::Row(..) | Item::Pair(..) => self.rows = self.rows.saturating_add(1),
            Item::Lost(..) => self.damaged = true,
            _ => {}
        }
    }

    pub(super) fn sequences(&self) -> Option<(u64, u64)> {
        self.summary.as_ref().and_then(|summary| summary.sequences)
    }

    fn holds(&self) -> Holds {
        holds_of(self.sequences())
    }
}

pub(super) fn holds_of(sequences: Option<(u64, u64)>) -> Holds {
    sequences.map_or_else(Holds::default, |(first, last)| Holds::sequences(first, last))
}

impl Verifier<'_> {
    /// A segment or pack of the manifest, all of it.
    ///
    /// # Errors
    /// `Io`, `Cancelled`. Damage is no error here.
    pub fn value_file(
        &mut self,
        file: &Arc<dyn File>,
        path: &Path,
        info: &ValueFileInfo,
        store: &[u8; 16],
    ) -> Result<()> {
        let account = self.file(file, path)?;
        self.against_value_file(file, path, info, store, &account)
    }

    /// A table of the manifest, all of it. Answers whether it is sound.
    ///
    /// # Errors
    /// `Io`, `Cancelled`. Damage is no error here.
    pub fn table(
        &mut self,
        file: &Arc<dyn File>,
        path: &Path,
        info: &TableInfo,
        store: &[u8; 16],
    ) -> Result<bool> {
        let before = self.found.len();
        let account = self.file(file, path)?;
        if self.is_of(store, path, &account) && self.found.len() == before {
            self.open_table(file, path, info, store)?;
        }
        Ok(self.found.len() == before)
    }

    /// Whether a file is of the store.
    pub(super) fn is_of(&mut self, store: &[u8; 16], path: &Path, account: &Account) -> bool {
        let Some(summary) = &account.summary else { return true };
        let Some(common) = summary.common.filter(|common| common.store != *store) else {
            if matches!(summary.kind, Some(FileKind::Segment | FileKind::Pack)) {
                self.last = self.last.max(summary.sequences.map_or(0, |(_, last)| last));
            }
            return true;
        };
        let hex = |id: &[u8; 16]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let why = format!("expected a file of store {}, found one of {}", hex(store), hex(&common.store));
        let name = name_of(path);
        self.find(Finding::new(name, "identity", why).holding(account.holds()));
        false
    }

    pub(super) fn against_value_file(
        &mut self,
        file: &Arc<dyn File>,
        path: &Path,
        info: &ValueFileInfo,
        store: &[u8; 16],
        account: &Account,
    ) -> Result<()> {
        if !self.is_of(store, path, account) {
            return Ok(());
        }
        let name = name_of(path);
        if !account.summary.as_ref().is_some_and(|summary| summary.finished) {
            let why = "expected a sealed file, as the manifest says; it has no valid trailer";
            self.find(Finding::new(name, "seal", why).holding(account.holds().and_derived()));
            return Ok(());
        }
        if account.sequences().is_some_and(|found| found != (info.sequence_first, info.sequence_last)) {
            let why = format!("expected the changes {} to {}", info.sequence_first, info.sequence_last);
            self.find(Finding::new(&name, "accounts", why).holding(account.holds()));
        }
        if account.damaged {
            return Ok(());
        }
        let opened: Result<Arc<dyn ValueFile>> = match info.kind {
            FileKind::Pack => Pack::open_file(file.clone(), path, info, store, None)
                .map(|pack| -> Arc<dyn ValueFile> { Arc::new(pack) }),
            _ => SealedSegment::open_file(file.clone(), path, info, store, None)
                .map(|segment| -> Arc<dyn ValueFile> { Arc::new(segment) }),
        };
        let (depth, stop) = (self.depth, self.stop);
        let Some(_) = self.keep(&name, "contents", opened.and_then(|it| it.verify_stored(depth, stop)))?
        else {
            return Ok(());
        };
        self.accounts(&name, info, account);
        Ok(())
    }

    /// Counted, against what the manifest says. Between the parts of a merge the manifest counts a part of the file.
    fn accounts(&mut self, name: &str, info: &ValueFileInfo, account: &Account) {
        if info.live_bytes > info.stored_bytes {
            let why = format!("expected at most {} live bytes, found {}", info.stored_bytes, info.live_bytes);
            self.find(Finding::new(name, "accounts", why));
        }
        if !info.entity_first.is_empty() || !info.entity_last.is_empty() {
            return;
        }
        let changes = if info.kind == FileKind::Pack { account.listed } else { account.changes };
        let found = (changes, account.raw, account.stored);
        if found != (info.records, info.raw_bytes, info.stored_bytes) {
            let why = format!(
                "expected {} changes, {} raw bytes, {} stored as the manifest says; found {changes}, {}, {}",
                info.records, info.raw_bytes, info.stored_bytes, account.raw, account.stored
            );
            self.find(Finding::new(name, "accounts", why));
        }
    }

    pub(super) fn open_table(
        &mut self,
        file: &Arc<dyn File>,
        path: &Path,
        info: &TableInfo,
        store: &[u8; 16],
    ) -> Result<()> {
        let (stop, cache) = (self.stop, Arc::new(Cache::new(0)));
        let mut go = |_: u64| if stop() { Err(Error::Cancelled) } else { Ok(()) };
        let access = TableAccess::Read;
        let verified = match info.keyspace {
            0 => RevisionTable::open(file.clone(), path, info, store, cache, access)
                .and_then(|table| table.verify(VerifyHash::Compare, &mut go).map(drop)),
            _ => PlainTable::open(file.clone(), path, info, store, cache, access)
                .and_then(|table| table.verify(VerifyHash::Compare, None, &mut go)),
        };
        self.keep(&name_of(path), "table", verified).map(drop)
    }

    /// A file that nobody describes, by its own description.
    pub(super) fn reader(&mut self, file: &Arc<dyn File>, path: &Path, account: &Account) -> Result<()> {
        let Some(summary) = account.summary.as_ref().filter(|summary| summary.finished && !account.damaged)
        else {
            return Ok(());
        };
        let Some(common) = summary.common else { return Ok(()) };
        let name = name_of(path);
        match summary.kind {
            Some(FileKind::Pack) => {
                if let Some((_, info)) = self.keep(&name, "contents", describe_pack(&**file, path))? {
                    self.against_value_file(file, path, &info, &common.store, account)?;
                }
            }
            Some(FileKind::RevisionTable | FileKind::PlainTable) => {
                if let Some((_, info)) = self.keep(&name, "table", describe_table(file.clone(), path))? {
                    self.open_table(file, path, &info, &common.store)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
