//! Files, decoded part by part without the store's readers, against the model: every change, row and content that stands in them.
//!
//! Two questions: is everything there what was submitted ([`Audit::file`]), and is anything there that nobody may read any more
//! ([`Audit::leftover`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use recension::FieldMask;
use recension::env::{Access, Env};
use recension::index::annotations::{AUTHOR_ID, decode, decode_key};
use recension::inspect::{Item, read_unit, walk};
use recension::log::{Change as Logged, LoggedChange};
use recension::manifest::Edit;
use recension::model::{Address, Annotation, Digest, Entity, Fields, PURGED_PREFIX, Row, purged_name};
use recension::pack::Depth;

use crate::model::{Change, Model, Rev};
use crate::predict::name;

/// Where a content was first written.
type Place = (u64, u16);

/// What the model says of everything that may stand in a file.
pub struct Audit<'a> {
    model: &'a Model,
    store: [u8; 16],
    changes: BTreeMap<u64, &'a Change>,
    contents: BTreeMap<Place, &'a Bytes>,
    /// What a revision still has that is neither purged nor forgotten.
    live: BTreeSet<Place>,
}

/// What was met in files.
#[derive(Default)]
pub struct Met {
    pub contents: BTreeSet<Place>,
    /// Contents that rows name.
    pub named: BTreeMap<Place, String>,
    pub changes: u64,
    pub rows: u64,
}

fn place(address: Address) -> Place {
    (address.sequence, address.slot)
}

/// The contents of a revision and where they were first written. (A revert has them all from one revision.)
fn contents(rev: &Rev) -> impl Iterator<Item = (Place, &Bytes)> {
    let origin = rev.address.map_or(rev.sequence, |at| at.0);
    let slots = rev.slots.iter().filter_map(|(_, content)| content.as_ref());
    let all = rev.content.iter().chain(slots);
    all.enumerate().map(move |(slot, content)| ((origin, slot as u16), content))
}

impl<'a> Audit<'a> {
    pub fn new(model: &'a Model, store: [u8; 16]) -> Self {
        let changes = model.changes(0, u64::MAX).map(|change| (change.sequence(), change)).collect();
        let (mut all, mut live) = (BTreeMap::new(), BTreeSet::new());
        for (entity, revs) in &model.entities {
            for rev in revs {
                let gone = is_purged(model, entity, rev.sequence)
                    || model.forgotten(entity, rev.number, u64::MAX).contains(FieldMask::CONTENT);
                for (place, content) in contents(rev) {
                    all.entry(place).or_insert(content);
                    if !gone {
                        live.insert(place);
                    }
                }
            }
        }
        Self { model, store, changes, contents: all, live }
    }

    /// Everything in a file must be what was submitted.
    ///
    /// # Errors
    /// What is not.
    pub fn file(&self, env: &Env, path: &Path, met: &mut Met) -> Result<(), String> {
        let file = env.fs.open(path, Access::Read).map_err(|error| error.to_string())?;
        let mut wrong = None;
        let walked = walk(&*env.fs, path, Depth::Contents, &mut |item| {
            let result = match item {
                Item::Change(change, stored) => self.change(&change).and_then(|()| {
                    met.changes += 1;
                    stored.iter().try_for_each(|content| {
                        let bytes = read_unit(&*file, content);
                        self.content(content.locator.address, bytes.as_ref(), Some(content.digest), met)
                    })
                }),
                Item::Listed(change) => {
                    met.changes += 1;
                    self.change(&change)
                }
                Item::Content(address, bytes) => self.content(address, bytes.as_ref(), None, met),
                Item::Row(entity, row, _) => self.row(&entity, &row, met),
                Item::Lost(entity, number) => Err(format!("row {number:?} of {entity} cannot be read")),
                Item::Pair(key, value) => match decode(&key, &value) {
                    Ok(stored) => {
                        met.rows += 1;
                        self.annotation(&stored.annotation, stored.sequence)
                    }
                    Err(bad) => Err(format!("an annotation: {bad}")),
                },
                _ => Ok(()),
            };
            if let Err(what) = result {
                wrong.get_or_insert(what);
            }
            Ok(())
        });
        walked.map_err(|error| error.to_string())?;
        wrong.map_or(Ok(()), |what| Err(format!("{}: {what}", path.display())))
    }

    fn rev(&self, sequence: u64) -> Option<(&Bytes, &Rev)> {
        match self.changes.get(&sequence) {
            Some(Change::Rev(entity, rev)) => Some((entity, rev)),
            _ => None,
        }
    }

    fn change(&self, logged: &LoggedChange) -> Result<(), String> {
        let sequence = logged.sequence;
        match &logged.change {
            Logged::Erased { .. } => {
                let purged = match self.changes.get(&sequence) {
                    Some(Change::Rev(entity, _)) => is_purged(self.model, entity, sequence),
                    Some(Change::Note(note)) => is_purged(self.model, &note.entity, sequence),
                    None => false,
                };
                if purged {
                    Ok(())
                } else {
                    Err(format!("change {sequence} is erased, and nobody purged it"))
                }
            }
            Logged::Annotation(annotation) => self.annotation(annotation, sequence),
            Logged::Revision { entity, row, digests } => {
                self.said(entity, row)?;
                let Some((_, rev)) = self.rev(sequence) else { return Ok(()) };
                let own = contents(rev).filter(|(at, _)| at.0 == sequence).count();
                if digests.len() != own {
                    return Err(format!("change {sequence} has {} digests instead of {own}", digests.len()));
                }
                for (slot, digest) in digests.iter().enumerate() {
                    let at = (sequence, slot as u16);
                    if digest.is_erased() && self.live.contains(&at) {
                        return Err(format!(
                            "the content {at:?} of {entity} is erased, and nobody forgot it"
                        ));
                    }
                }
                Ok(())
            }
        }
    }

    /// What a change or a row says of a revision.
    fn said(&self, entity: &Entity, row: &Row) -> Result<(), String> {
        let Some((whose, rev)) = self.rev(row.sequence) else {
            return Err(format!("revision {} of {entity} at {}: never submitted", row.number, row.sequence));
        };
        let found = (entity.as_bytes(), row.number, row.parent, row.content.map(|it| place(it.address)));
        let wanted = (&whose[..], rev.number, rev.parent, rev.address);
        if found != wanted {
            return Err(format!("change {}: {found:?} instead of {wanted:?}", row.sequence));
        }
        Ok(())
    }

    fn annotation(&self, note: &Annotation, sequence: u64) -> Result<(), String> {
        let Some(Change::Note(wanted)) = self.changes.get(&sequence) else {
            return Err(format!("annotation {sequence} of {}: never submitted", note.entity));
        };
        let whose = match note.entity.as_bytes().starts_with(PURGED_PREFIX) {
            true => note.entity == purged_name(&self.store, &wanted.entity),
            false => note.entity.as_bytes() == &wanted.entity[..],
        };
        let found = (note.kind, note.first, note.last, note.fields);
        let submitted = (wanted.kind, wanted.first, wanted.last, wanted.fields);
        if !whose || found != submitted {
            return Err(format!("annotation {sequence} of {}: {found:?}, not {submitted:?}", note.entity));
        }
        Ok(())
    }

    fn content(
        &self,
        address: Address,
        bytes: Option<&Bytes>,
        digest: Option<Digest>,
        met: &mut Met,
    ) -> Result<(), String> {
        let at = place(address);
        let Some(bytes) = bytes else { return Err(format!("the content {at:?} cannot be read")) };
        let Some(wanted) = self.contents.get(&at) else {
            return Err(format!("the content {at:?} belongs to no change that was submitted"));
        };
        if *wanted != bytes || digest.is_some_and(|digest| digest != Digest::of(bytes)) {
            return Err(format!("the content {at:?} is not what was submitted"));
        }
        met.contents.insert(at);
        Ok(())
    }

    fn row(&self, entity: &Entity, row: &Row, met: &mut Met) -> Result<(), String> {
        met.rows += 1;
        self.said(entity, row)?;
        if let Some((_, rev)) = self.rev(row.sequence) {
            let named = contents(rev).map(|(at, _)| (at, format!("revision {} of {entity}", row.number)));
            met.named.extend(named.filter(|(at, _)| self.live.contains(at)));
        }
        Ok(())
    }

    /// What rows name and no value file has.
    pub fn dangling(&self, met: &Met) -> Option<String> {
        let mut lacking = met.named.iter().filter(|(at, _)| !met.contents.contains(at));
        lacking.next().map(|(at, whose)| format!("{whose} names the content {at:?}, which no value file has"))
    }

    /// What a file still has of what is forgotten or purged; one thing is enough.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn leftover(&self, env: &Env, path: &Path) -> Result<Option<String>, String> {
        let mut left = None;
        let walked = walk(&*env.fs, path, Depth::Stored, &mut |item| {
            let found = match item {
                Item::Change(change, stored) => self
                    .of_change(&change)
                    .or_else(|| stored.iter().find_map(|content| self.of_content(content.locator.address))),
                Item::Listed(change) => self.of_change(&change),
                Item::Group(_, header) => {
                    header.members.iter().find_map(|member| self.of_content(member.address))
                }
                Item::Row(entity, row, _) => self.of_row(&entity, &row, true),
                Item::Pair(key, _) => decode_key(&key).ok().and_then(|parts| {
                    self.of_name(parts.entity.as_bytes(), parts.sequence)
                        .map(|it| format!("an annotation of {it}"))
                }),
                Item::Edits { edits, .. } => edits.iter().find_map(|edit| self.of_edit(edit)),
                _ => None,
            };
            if left.is_none() {
                left = found;
            }
            Ok(())
        });
        walked.map_err(|error| error.to_string())?;
        Ok(left)
    }

    fn of_name(&self, entity: &[u8], sequence: u64) -> Option<String> {
        is_purged(self.model, entity, sequence).then(|| format!("{}, which is purged", name(entity)))
    }

    fn of_content(&self, address: Address) -> Option<String> {
        let known = self.contents.contains_key(&place(address));
        (known && !self.live.contains(&place(address))).then(|| format!("the content {address:?}"))
    }

    fn of_change(&self, logged: &LoggedChange) -> Option<String> {
        match &logged.change {
            Logged::Erased { .. } => None,
            Logged::Annotation(note) => self
                .of_name(note.entity.as_bytes(), logged.sequence)
                .map(|it| format!("an annotation of {it}")),
            Logged::Revision { entity, row, digests } => {
                let digests = digests.iter().enumerate().filter(|(_, digest)| !digest.is_erased());
                let mut gone = digests.filter_map(|(slot, _)| {
                    self.of_content(Address { sequence: logged.sequence, slot: slot as u16 })
                });
                let digest = gone.next().map(|it| format!("the digest of {it}"));
                // The tag of a content of its own is made of its digest when it is read.
                let own = row.content.is_some_and(|content| content.address.sequence == row.sequence);
                digest.or_else(|| self.of_row(entity, row, !own))
            }
        }
    }

    fn of_row(&self, entity: &Entity, row: &Row, tagged: bool) -> Option<String> {
        let whose = || format!("revision {} of {entity}", row.number);
        if let Some(purged) = self.of_name(entity.as_bytes(), row.sequence) {
            return Some(format!("a row of {purged}"));
        }
        let gone = self.model.forgotten(entity.as_bytes(), row.number, u64::MAX);
        if gone.is_empty() {
            return None;
        }
        let Ok(fields) = Fields::decode(&row.cold) else { return Some(format!("{}: unreadable", whose())) };
        let id = fields.attributes.iter().any(|(name, _)| name == AUTHOR_ID);
        let slots = fields.slots.iter().filter_map(|(_, content)| *content);
        let main = row.content.filter(|_| tagged);
        let tags = slots.chain(main).any(|content| content.tag != 0);
        let left = [
            (FieldMask::AUTHOR, fields.author.is_some() || id, "author"),
            (FieldMask::COMMENT, fields.comment.is_some(), "comment"),
            (FieldMask::ATTRIBUTES, !fields.attributes.is_empty() || !fields.tags.is_empty(), "attributes"),
            (FieldMask::CONTENT, tags, "piece of a digest"),
        ];
        let mut left = left.into_iter().filter(|(mask, there, _)| *there && gone.contains(*mask));
        left.next().map(|(_, _, what)| format!("the {what} of {}", whose()))
    }

    /// A file of the manifest may have a purged entity's name as a bound, perhaps with a zero behind it.
    fn of_edit(&self, edit: &Edit) -> Option<String> {
        let names = |key: &Bytes| decode_key(key).map(|parts| parts.entity.bytes().clone()).ok();
        let bounds = match edit {
            Edit::AddTable(table) if table.keyspace == 0 => vec![table.first.clone(), table.last.clone()],
            Edit::AddTable(table) => [&table.first, &table.last].into_iter().filter_map(names).collect(),
            Edit::AddValueFile(file) => vec![file.entity_first.clone(), file.entity_last.clone()],
            _ => Vec::new(),
        };
        let is_gone = |bound: &[u8]| {
            self.model.purge(bound, u64::MAX).is_some() && self.model.standing(bound).is_empty()
        };
        let mut told = bounds.iter().filter(|bound| {
            is_gone(bound)
                || bound
                    .strip_suffix(&[0])
                    .is_some_and(|bare| !self.model.entities.contains_key(*bound) && is_gone(bare))
        });
        told.next().map(|bound| format!("the bound {}", name(bound)))
    }
}

fn is_purged(model: &Model, entity: &[u8], sequence: u64) -> bool {
    model.purge(entity, u64::MAX).is_some_and(|purge| sequence < purge.sequence)
}
