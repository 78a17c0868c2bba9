//! What forgetting comes to: which revisions are meant, and the commits that say so.

use std::sync::Arc;

use bytes::Bytes;
use recension::{AnnotationKind, FieldMask};

use super::{Change, Commit, Model, Note, Rev};

/// What becomes of equal contents of the same entity that are not meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    Refuse,
    Include,
    Leave,
}

/// A range of an entity's revisions, and what is meant of them.
type Part = (Bytes, (u64, u64, FieldMask));

/// The ranges of an entity that are to be forgotten.
pub struct Wanted {
    pub entity: Bytes,
    pub ranges: Vec<(u64, u64, FieldMask)>,
    pub revisions: u64,
}

impl Model {
    /// The contents of a revision that are there, and where they were first written.
    fn contents<'a>(&self, entity: &[u8], rev: &'a Rev) -> Vec<(&'a Bytes, Option<(u64, u16)>)> {
        if self.forgotten(entity, rev.number, u64::MAX).contains(FieldMask::CONTENT) {
            return Vec::new();
        }
        let slots = rev.slots.iter().filter_map(|(_, content)| Some((content.as_ref()?, None)));
        rev.content.iter().map(|content| (content, rev.address)).chain(slots).collect()
    }

    /// Whether one of a revision's contents is there and is these bytes.
    pub fn has_content(&self, entity: &[u8], rev: &Rev, bytes: &[u8]) -> bool {
        self.contents(entity, rev).iter().any(|(content, _)| content[..] == *bytes)
    }

    /// What is to be forgotten of an entity if `is_meant` says which revisions are; `Err`: so many others have a content of theirs.
    pub fn wanted(
        &self,
        entity: &Bytes,
        fields: FieldMask,
        sharing: Sharing,
        is_meant: impl Fn(&Rev) -> bool,
    ) -> Result<Option<Wanted>, u64> {
        let revs = self.standing(entity);
        let contents: Vec<_> = revs.iter().map(|rev| self.contents(entity, rev)).collect();
        let mut meant: Vec<bool> = revs.iter().map(|rev| is_meant(rev)).collect();
        let mut masks = vec![fields; revs.len()];
        while fields.contains(FieldMask::CONTENT) && sharing != Sharing::Leave {
            let of_meant: Vec<_> =
                contents.iter().zip(&meant).filter(|(_, meant)| **meant).flat_map(|(of, _)| of).collect();
            let shares = |of: &[(&Bytes, Option<(u64, u16)>)]| {
                of.iter().any(|(bytes, at)| {
                    of_meant.iter().any(|other| other.0 == *bytes || at.is_some() && other.1 == *at)
                })
            };
            let more: Vec<usize> = (0..revs.len()).filter(|i| !meant[*i] && shares(&contents[*i])).collect();
            if more.is_empty() {
                break;
            }
            if sharing == Sharing::Refuse {
                return Err(more.len() as u64);
            }
            // Of those that share it the content alone is meant.
            more.into_iter().for_each(|i| (meant[i], masks[i]) = (true, FieldMask::CONTENT));
        }
        let (mut ranges, mut open, mut revisions) = (Vec::<(u64, u64, FieldMask)>::new(), false, 0);
        for ((rev, meant), fields) in revs.iter().zip(meant).zip(masks) {
            let is_new = meant && !self.forgotten(entity, rev.number, u64::MAX).contains(fields);
            revisions += u64::from(is_new);
            match ranges.last_mut() {
                Some((_, last, mask)) if is_new && open && *mask == fields => *last = rev.number,
                _ if is_new => ranges.push((rev.number, rev.number, fields)),
                _ => {}
            }
            open = is_new;
        }
        Ok((revisions > 0).then(|| Wanted { entity: entity.clone(), ranges, revisions }))
    }

    /// What retention forgets of an entity: what was superseded before a commit time, but for so many older versions. `None` also if a
    /// commit time is not known.
    pub fn superseded(&self, entity: &Bytes, before: i64, keep: usize, fields: FieldMask) -> Option<Wanted> {
        let revs = self.standing(entity);
        let time = |rev: &Rev| self.times.get(&rev.sequence).map(|times| times.0);
        let old = revs.iter().rev().filter(|rev| time(rev).is_some_and(|time| time < before)).nth(1)?;
        let beyond = revs.iter().rev().nth(keep + 1)?;
        let last = old.number.min(beyond.number);
        let is_new = |rev: &&Arc<Rev>| {
            rev.number <= last && !self.forgotten(entity, rev.number, u64::MAX).contains(fields)
        };
        let revisions = revs.iter().filter(is_new).count() as u64;
        (revisions > 0).then(|| Wanted { entity: entity.clone(), ranges: vec![(1, last, fields)], revisions })
    }

    /// The commits of a job, as the store parts them: so many changes each at most.
    pub fn job(&self, kind: AnnotationKind, wanted: &[Wanted], most: usize) -> Vec<Commit> {
        let mut parts: Vec<Vec<Part>> = Vec::new();
        for Wanted { entity, ranges, .. } in wanted {
            for chunk in ranges.chunks(most) {
                let chunk = chunk.iter().map(|range| (entity.clone(), *range));
                match parts.last_mut() {
                    Some(part) if part.len() + chunk.len() <= most => part.extend(chunk),
                    _ => parts.push(chunk.collect()),
                }
            }
        }
        let mut sequence = self.end();
        let commit = |part: Vec<Part>| {
            let first_sequence = sequence + 1;
            let n = part.len();
            let changes = part.into_iter().enumerate().map(|(i, (entity, (first, last, fields)))| {
                sequence += 1;
                let rest = (n - 1 - i) as u32;
                Change::Note(Arc::new(Note { entity, sequence, rest, kind, first, last, fields }))
            });
            Commit { first: first_sequence, changes: changes.collect(), sync: true }
        };
        parts.into_iter().map(commit).collect()
    }
}
