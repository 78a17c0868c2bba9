//! `export`: revisions as JSON lines or MediaWiki XML.
//!
//! | format | which | order |
//! |---|---|---|
//! | jsonl | all revisions | of the changes: what was imported comes back byte for byte |
//! | jsonl | heads | of the names |
//! | mediawiki | both | of the names, the revisions of a page from the oldest |

use std::collections::BTreeMap;

use recension::{AsOf, ChangeKind, EntityRange, Head, Revision, Store};

use super::{note, open_to_read};
use crate::args::{ExportArgs, FormatChoice, Global};
use crate::convert::{Contents, Losses, record_of};
use crate::exit::{Failure, Outcome, output, tell};
use crate::formats::mediawiki::{self, SiteInfo};
use crate::formats::{Refusal, WriteError, jsonl};
use crate::output::{Object, Out, count};
use crate::reserved;

/// Refused records that are named one by one.
const REFUSALS_SHOWN: u64 = 20;

pub fn run(args: &ExportArgs, global: &Global, out: &mut Out) -> Outcome {
    let store = open_to_read(&args.store)?;
    let mut export = Export { args, global, losses: Losses::new(), annotations: 0, refused: 0 };
    match (args.format, args.heads) {
        (FormatChoice::Jsonl, false) => export.changes(&store, out)?,
        (FormatChoice::Jsonl, true) => export.heads(&store, out)?,
        (FormatChoice::Mediawiki, _) => export.pages(&store, out)?,
    }
    out.flush()?;
    export.report();
    Ok(())
}

struct Export<'a> {
    args: &'a ExportArgs,
    global: &'a Global,
    losses: Losses,
    /// Changes that hid, showed, forgot or purged something, and are in no format.
    annotations: u64,
    refused: u64,
}

impl Export<'_> {
    fn wants(&self, entity: &[u8]) -> bool {
        entity.starts_with(self.args.prefix.as_encoded_bytes()) && !reserved::is_reserved(entity)
    }

    /// Whether a revision was there at the point asked for. `end` is the last sequence number of its commit.
    fn was_there(&self, revision: &Revision, end: u64) -> bool {
        match self.args.as_of {
            Some(AsOf::Sequence(sequence)) => end <= sequence,
            Some(AsOf::EffectiveTime(time)) => revision.effective_time() <= time,
            _ => true,
        }
    }

    fn changes(&mut self, store: &Store, out: &mut Out) -> Outcome {
        let mut writer = jsonl::Writer::new(out.writer());
        for change in store.changes(0)? {
            let change = change?;
            if matches!(self.args.as_of, Some(AsOf::Sequence(last)) if change.sequence > last) {
                break;
            }
            let revision = match change.kind {
                ChangeKind::Revision(revision) => revision,
                ChangeKind::Annotation(annotation) => {
                    self.annotations += u64::from(self.wants(annotation.entity.as_bytes()));
                    continue;
                }
                _ => continue,
            };
            let end = change.sequence.saturating_add(u64::from(change.commit_rest));
            if self.wants(revision.entity().as_bytes()) && self.was_there(&revision, end) {
                let record = record_of(&revision, Contents::Read, &mut self.losses)?;
                let written = writer.record(&record);
                self.took(written)?;
            }
        }
        Ok(())
    }

    fn heads(&mut self, store: &Store, out: &mut Out) -> Outcome {
        let mut writer = jsonl::Writer::new(out.writer());
        for head in self.all_heads(store) {
            let head = head?;
            let Some(revision) = head.revision() else { continue };
            if self.wants(revision.entity().as_bytes()) {
                let record = record_of(revision, Contents::Read, &mut self.losses)?;
                let written = writer.record(&record);
                self.took(written)?;
            }
        }
        Ok(())
    }

    fn all_heads(&self, store: &Store) -> recension::Heads {
        let range = EntityRange::prefix(self.args.prefix.as_encoded_bytes());
        match self.args.as_of {
            Some(as_of) => store.heads_as_of(range, as_of),
            None => store.heads(range),
        }
    }

    fn pages(&mut self, store: &Store, out: &mut Out) -> Outcome {
        let site = site_info(store)?;
        let begun = mediawiki::Writer::begin(out.writer(), &site);
        let mut writer = match begun {
            Ok(writer) => writer,
            Err(WriteError::Io(error)) => return Err(output(error)),
            Err(WriteError::Refused(refusal)) => return Err(Failure::Failed(refusal.to_string())),
        };
        let snapshot = match self.args.as_of {
            Some(AsOf::Sequence(sequence)) => store.snapshot_at(sequence),
            _ => store.snapshot(),
        };
        for head in self.all_heads(store) {
            let head: Head = head?;
            let Some(newest) = head.revision().filter(|head| self.wants(head.entity().as_bytes())) else {
                continue;
            };
            // A page is told by its newest revision: its title or protection may have changed on the way.
            let page = mediawiki::PageHead::of(&record_of(newest, Contents::Skip, &mut Losses::new())?);
            match page {
                Ok(page) => self.took(writer.page(page))?,
                Err(refusal) => {
                    self.refuse(&refusal);
                    continue;
                }
            }
            if self.args.heads {
                self.revision(newest, &mut BTreeMap::new(), store, &mut writer)?;
                continue;
            }
            let mut foreign = BTreeMap::new();
            for revision in snapshot.history(newest.entity())?.rev() {
                let revision = revision?;
                if revision.number() > newest.number() {
                    break;
                }
                self.revision(&revision, &mut foreign, store, &mut writer)?;
            }
        }
        for (what, n) in writer.losses() {
            *self.losses.entry(what.clone()).or_default() += n;
        }
        writer.end().map_err(output)?;
        Ok(())
    }

    /// `foreign`: the ids that earlier revisions of the page had where they came from, by number.
    fn revision<W: std::io::Write>(
        &mut self,
        revision: &Revision,
        foreign: &mut BTreeMap<u64, u64>,
        store: &Store,
        writer: &mut mediawiki::Writer<W>,
    ) -> Outcome {
        let mut record = record_of(revision, Contents::Read, &mut self.losses)?;
        foreign.extend(record.origin_id.map(|id| (revision.number(), id)));
        let parent = revision.parent();
        record.origin_parent = match foreign.get(&parent) {
            _ if parent == 0 => Some(0),
            Some(id) => Some(*id),
            None if self.args.heads => {
                let parent_revision = store.revision(revision.entity(), parent)?;
                let fields = parent_revision.as_ref().map(Revision::fields).transpose()?;
                Some(fields.and_then(|fields| fields.origin_id).unwrap_or(parent))
            }
            None => Some(parent),
        };
        let written = writer.revision(&record);
        self.took(written)
    }

    fn took(&mut self, written: Result<(), WriteError>) -> Outcome {
        match written {
            Ok(()) => Ok(()),
            Err(WriteError::Io(error)) => Err(output(error)),
            Err(WriteError::Refused(refusal)) => {
                self.refuse(&refusal);
                Ok(())
            }
        }
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.refused += 1;
        if self.refused <= REFUSALS_SHOWN {
            note(self.global, &format!("not exported: {refusal}"));
        }
    }

    /// What the format could not express.
    fn report(&self) {
        if self.refused > REFUSALS_SHOWN {
            let more = count(self.refused - REFUSALS_SHOWN, "revision", "revisions");
            note(self.global, &format!("not exported: {more} more"));
        }
        if self.annotations > 0 {
            let what = "who hid, showed, forgot or purged something, and why";
            match self.global.json {
                true => eprintln!(
                    "{}",
                    Object::new().text("lost", what).number("changes", self.annotations).finish()
                ),
                false => {
                    let changes = count(self.annotations, "change", "changes");
                    note(self.global, &format!("not in the export: {what} ({changes})"));
                }
            }
        }
        for (what, revisions) in &self.losses {
            if self.global.json {
                tell(&Object::new().text("lost", what).number("revisions", *revisions).finish());
            } else {
                note(
                    self.global,
                    &format!("not in the export: {what} ({})", count(*revisions, "revision", "revisions")),
                );
            }
        }
    }
}

/// What the last imported dump said of its wiki.
fn site_info(store: &Store) -> Outcome<SiteInfo> {
    let kept = store.get(reserved::SITE_INFO)?;
    let content = kept.map(|revision| revision.content()).transpose()?;
    let json = content.as_ref().and_then(|content| content.bytes());
    let json = json.and_then(|bytes| std::str::from_utf8(bytes).ok());
    Ok(json.and_then(SiteInfo::from_json).unwrap_or_default().or_of_a_store())
}
