//! Verifying a store.
//!
//! | depth | what is read |
//! |---|---|
//! | quick | nothing but what is open: manifest rules, lengths, footers were verified by opening |
//! | full | every part of every file, the level order, every directory; each logged revision is looked up in the index, and each row's content in the value map |
//! | deep | also every content: checksums and digest |
//!
//! It goes on behind damage: every finding names a file, a place and what is affected. Files are verified by [`crate::inspect`], as `sst-dump verify` does; what
//! an open store knows beyond its files (memtables, the segment that is being written) is compared here.

use crate::sync::atomic::Ordering;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::Progress;
use super::forget::erasures::ViewErasures;
use super::inner::Inner;
use super::tables::PinnedFile;
use super::values::{Column, ValueMap};
use crate::codec::{FileId, FileKind};
use crate::env::File;
use crate::index::annotations::{Erasures, erase_row};
use crate::index::levels::invariants::{check_level_order, check_structure};
use crate::inspect::Verifier;
use crate::log::{Change, LoggedChange, VerifyDepth};
use crate::model::{Address, Bound, Digest, Entity, FieldMask, Fields, Row};
use crate::{Error, Result};

/// How much is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CheckDepth {
    /// Structure only.
    Quick,
    /// Everything but the contents.
    #[default]
    Full,
    /// Everything.
    Deep,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// Where, what was expected and what is affected.
    pub what: String,
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Tables read.
    pub tables: u64,
    /// Rows in them.
    pub rows: u64,
    /// Value files read.
    pub value_files: u64,
    /// Changes in them.
    pub changes: u64,
    /// Contents read and compared with their digest.
    pub contents: u64,
    /// Their bytes.
    pub content_bytes: u64,
    /// What is wrong; empty for a sound store. At most a thousand.
    pub findings: Vec<Finding>,
}

const FINDINGS_MAX: usize = 1000;

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn note(&mut self, what: impl std::fmt::Display) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { what: what.to_string() });
        }
    }

    /// Damage becomes a finding; what is not damage ends the check.
    fn keep<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(
                error @ (Error::Corrupt(_)
                | Error::Io { .. }
                | Error::Unsupported { .. }
                | Error::Invalid { .. }),
            ) => {
                self.note(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Inner {
    pub(crate) fn check(
        self: &Arc<Self>,
        depth: CheckDepth,
        progress: &mut Progress<'_>,
    ) -> Result<CheckReport> {
        let mut report = CheckReport::default();
        let contents = self.manifest.scan()?;
        report.keep(contents.require_complete(&self.path))?;
        report.keep(check_structure(self.view().levels()))?;
        if depth >= CheckDepth::Full {
            self.check_files(depth, &mut report, progress)?;
            self.check_levels(&mut report, progress)?;
            self.check_log(depth, &mut report, progress)?;
        }
        Ok(report)
    }

    /// Every table and every sealed value file of the manifest, part by part: what `sst-dump verify` does as well.
    fn check_files(
        self: &Arc<Self>,
        depth: CheckDepth,
        report: &mut CheckReport,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let (view, values) = (self.view(), self.values());
        let state = self.manifest.state();
        let tables: Vec<_> = view.levels().infos().cloned().collect();
        let ids: BTreeSet<FileId> = values.entries().iter().map(|entry| entry.file.id()).collect();
        let sealed: Vec<_> = ids.iter().filter_map(|id| state.value_files.get(id)).collect();
        let of = tables.len().saturating_add(sealed.len()) as u64;
        let step = RefCell::new((&mut *progress, 0_u64));
        let stop = || {
            let (progress, done) = &mut *step.borrow_mut();
            progress.step("files", *done, of).is_err()
        };
        let depth = if depth == CheckDepth::Deep { VerifyDepth::Contents } else { VerifyDepth::Stored };
        let mut verifier = Verifier::new(depth, &stop);
        for info in &tables {
            report.tables = report.tables.saturating_add(1);
            report.rows = report.rows.saturating_add(info.rows);
            if let Some((file, path)) = report.keep(self.pinned(info.id, info.kind()))? {
                report.keep(verifier.table(&file, &path, info, &state.store))?;
            }
            step.borrow_mut().1 = report.tables;
        }
        for info in sealed {
            report.value_files = report.value_files.saturating_add(1);
            if let Some((file, path)) = report.keep(self.pinned(info.id, info.kind))? {
                report.keep(verifier.value_file(&file, &path, info, &state.store))?;
            }
            step.borrow_mut().1 = report.tables.saturating_add(report.value_files);
        }
        report.value_files = ids.len() as u64;
        report.contents = report.contents.saturating_add(verifier.read.contents);
        report.content_bytes = report.content_bytes.saturating_add(verifier.read.content_bytes);
        verifier.found.iter().for_each(|finding| report.note(finding));
        Ok(())
    }

    /// A file of the manifest, which stays while it is read.
    fn pinned(&self, id: FileId, kind: FileKind) -> Result<(Arc<dyn File>, PathBuf)> {
        let handle = self.manifest.files().open(id, kind)?;
        let path = handle.path().to_path_buf();
        Ok((Arc::new(PinnedFile(handle)), path))
    }

    fn check_levels(self: &Arc<Self>, report: &mut CheckReport, progress: &mut Progress<'_>) -> Result<()> {
        let progress = RefCell::new(progress);
        let stop = || progress.borrow_mut().step("level order", 0, 0).is_err();
        if stop() {
            return Err(Error::Cancelled);
        }
        report.keep(check_level_order(&self.view(), &stop)).map(drop)
    }

    /// The log against the index, and contents against their digests.
    fn check_log(
        self: &Arc<Self>,
        depth: CheckDepth,
        report: &mut CheckReport,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let published = self.published.load(Ordering::Acquire);
        let values = self.values();
        let mut expected = 1;
        for column in values.columns() {
            let up_to = column.last.min(published);
            if column.first != expected {
                report.note(format!(
                    "a value file for sequence {expected}: the next one begins at {}",
                    column.first
                ));
            }
            expected = up_to.saturating_add(1);
            self.check_column(&values, column, up_to, depth, report, progress)?;
        }
        if expected <= published {
            report.note(format!("no value file for the sequences {expected} to {published}"));
        }
        Ok(())
    }

    fn check_column(
        self: &Arc<Self>,
        values: &ValueMap,
        column: &Column,
        up_to: u64,
        depth: CheckDepth,
        report: &mut CheckReport,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let mut next = column.first;
        let erasures = self.erasures();
        let names: Vec<String> = column.files.iter().map(|entry| entry.number.to_string()).collect();
        let name = names.join(", ");
        for logged in column.changes(column.first.saturating_sub(1), up_to) {
            let Some(logged) = report.keep(logged)? else { return Ok(()) };
            if logged.sequence != next {
                report.note(format!("file {name}: sequence {next} is missing"));
            }
            next = logged.sequence.saturating_add(1);
            report.changes += 1;
            if report.changes.is_multiple_of(256) {
                progress.step("log", logged.sequence, self.published())?;
            }
            self.check_change(values, &erasures, &logged, depth, report)?;
        }
        if next <= up_to {
            report.note(format!("file {name}: the sequences {next} to {up_to} are missing"));
        }
        Ok(())
    }

    fn check_change(
        &self,
        values: &ValueMap,
        erasures: &ViewErasures,
        logged: &LoggedChange,
        depth: CheckDepth,
        report: &mut CheckReport,
    ) -> Result<()> {
        let Change::Revision { entity, row, digests } = &logged.change else { return Ok(()) };
        let Some(gate) = report.keep(erasures.gate(entity))? else { return Ok(()) };
        let seen = gate.visibility(row.number);
        if seen.purged {
            // Of one the file may have been written anew, of the other not yet.
            return Ok(());
        }
        let bound = Bound { number: row.number, ..Bound::ALL };
        match report.keep(self.find_row(entity, &bound))? {
            Some(Some(found)) if found == *row || same_but_erased(&found, row, seen.forgotten) => {}
            // Forgotten and erased while this was going on.
            Some(Some(found)) if same_but_erased(&found, row, self.forgotten_now(entity, row.number)?) => {}
            Some(Some(found)) if found.number == row.number => {
                report.note(format!("revision {} of {entity}: the index and the log differ", row.number));
            }
            Some(_) => {
                report.note(format!("revision {} of {entity} is in the log but not in the index", row.number))
            }
            None => {}
        }
        if !seen.forgotten.contains(FieldMask::CONTENT) {
            self.check_references(values, entity, row, report)?;
        }
        let address = Address { sequence: logged.sequence, slot: 0 };
        let file = values.file(entity.as_bytes(), address);
        if file.is_ok_and(|file| self.manifest.state().value_files.contains_key(&file.id())) {
            // It is sealed and was verified as a file.
            return Ok(());
        }
        for (slot, digest) in digests.iter().enumerate().take_while(|_| depth == CheckDepth::Deep) {
            if digest.is_erased() {
                continue;
            }
            let slot = u16::try_from(slot).unwrap_or(u16::MAX);
            let read = values.read(entity.as_bytes(), Address { sequence: logged.sequence, slot });
            if let Some(content) = report.keep(read)? {
                report.contents += 1;
                report.content_bytes = report.content_bytes.saturating_add(content.len() as u64);
                if Digest::of(&content) != *digest {
                    report.note(format!(
                        "revision {} of {entity}: the content is not what its digest says",
                        row.number
                    ));
                }
            }
        }
        Ok(())
    }

    fn forgotten_now(&self, entity: &Entity, number: u64) -> Result<FieldMask> {
        Ok(self.visibility(entity, number)?.forgotten)
    }

    /// Every content that a row names must be in a value file, with the digest that the row's tag is of.
    fn check_references(
        &self,
        values: &ValueMap,
        entity: &Entity,
        row: &Row,
        report: &mut CheckReport,
    ) -> Result<()> {
        let mut references: Vec<_> = row.content.into_iter().collect();
        match Fields::decode(&row.cold) {
            Ok(mut fields) => {
                fields.resolve(row.sequence);
                references.extend(fields.slots.into_iter().filter_map(|(_, reference)| reference));
            }
            Err(bad) => report.note(format!("metadata of revision {} of {entity}: {bad}", row.number)),
        }
        for reference in references {
            let Some(digest) = report.keep(values.digest(entity.as_bytes(), reference.address))? else {
                continue;
            };
            if digest.is_erased() {
                if !self.forgotten_now(entity, row.number)?.contains(FieldMask::CONTENT) {
                    report
                        .note(format!("revision {} of {entity} names a content that was erased", row.number));
                }
            } else if digest.tag() != reference.tag {
                report.note(format!("revision {} of {entity} names a content that is another", row.number));
            }
        }
        Ok(())
    }
}

/// Whether two files say the same of a revision, once what is forgotten of it is left out of both: one may have been written anew.
fn same_but_erased(found: &Row, row: &Row, forgotten: FieldMask) -> bool {
    let erased = |row: &Row| {
        let mut row = row.clone();
        erase_row(&mut row, forgotten).ok().map(|_| row)
    };
    !forgotten.is_empty() && erased(found).is_some_and(|found| Some(found) == erased(row))
}
