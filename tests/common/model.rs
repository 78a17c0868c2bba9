//! The store as plain maps.

use std::collections::BTreeMap;

use bytes::Bytes;
use recension::{AnnotationKind, AsOf, Digest, FieldMask, Fields, Flags, HeadState};

/// The address of a content: sequence and slot.
pub type Address = (u64, u16);

/// A revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Rev {
    pub number: u64,
    pub parent: u64,
    pub deleted: bool,
    pub flags: Flags,
    pub authored: Option<i64>,
    /// Known once the commit time is.
    pub effective: i64,
    pub content: Option<(Bytes, Address)>,
    /// Without slots.
    pub fields: Fields,
    pub slots: Vec<(Bytes, Option<(Bytes, Address)>)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Revision(Rev),
    Annotation { kind: AnnotationKind, first: u64, last: u64, fields: FieldMask },
}

/// A change, in sequence order; the sequence number is its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub entity: Vec<u8>,
    /// Changes of the same commit that follow.
    pub rest: u32,
    /// Changes that were written in the same piece and follow: they survive together.
    pub frame_rest: u32,
    /// Known when it was read.
    pub commit_time: i64,
    pub what: What,
}

/// A revision with what its change says of it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub rev: &'a Rev,
    pub sequence: u64,
    pub rest: u32,
    pub commit_time: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Everything that was given a number, in sequence order. What follows the published end is in flight.
    pub changes: Vec<Change>,
    /// Places of an entity's changes.
    places: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Commit times are known up to here.
    pub learned: u64,
}

impl Model {
    /// The last sequence number given out.
    pub fn last(&self) -> u64 {
        self.changes.len() as u64
    }

    pub fn push(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.places.entry(change.entity.clone()).or_default().push(self.changes.len());
            self.changes.push(change);
        }
    }

    /// Takes back what is behind a sequence number.
    pub fn truncate(&mut self, last: u64) {
        self.changes.truncate(last as usize);
        self.places.values_mut().for_each(|places| places.retain(|place| (*place as u64) < last));
        self.places.retain(|_, places| !places.is_empty());
        self.learned = self.learned.min(last);
    }

    /// Whether what was written together ends here.
    pub fn is_boundary(&self, sequence: u64) -> bool {
        sequence == 0 || self.changes.get(sequence as usize - 1).is_some_and(|change| change.frame_rest == 0)
    }

    /// The largest commit boundary that is not beyond.
    pub fn commit_end(&self, sequence: u64) -> u64 {
        let mut end = sequence.min(self.last());
        while end > 0 && self.changes[end as usize - 1].rest != 0 {
            end -= 1;
        }
        end
    }

    pub fn entities(&self) -> impl DoubleEndedIterator<Item = &Vec<u8>> {
        self.places.keys()
    }

    /// The newest purge of an entity: sequence and last number. It counts whatever the point that is read.
    pub fn purge(&self, entity: &[u8]) -> Option<(u64, u64)> {
        let places = self.places.get(entity).map_or(&[][..], |places| &places[..]);
        places.iter().rev().find_map(|place| match &self.changes[*place].what {
            What::Annotation { kind: AnnotationKind::Purge, last, .. } => Some((*place as u64 + 1, *last)),
            _ => None,
        })
    }

    /// The head's sequence and number as a transaction sees them: a purge is something, too.
    pub fn stands(&self, entity: &[u8], at: u64) -> (u64, u64) {
        let head = self.head(entity, at).map(|seen| (seen.sequence, seen.rev.number));
        head.or(self.purge(entity)).unwrap_or((0, 0))
    }

    /// The revisions of an entity, oldest first, as far as they belong to commits that end at or before `at` and were not purged.
    pub fn revisions(&self, entity: &[u8], at: u64) -> impl DoubleEndedIterator<Item = Seen<'_>> + use<'_> {
        let places = self.places.get(entity).map_or(&[][..], |places| &places[..]);
        let gone = self.purge(entity).map_or(0, |(sequence, _)| sequence);
        places.iter().filter_map(move |place| {
            let change = &self.changes[*place];
            let sequence = *place as u64 + 1;
            match &change.what {
                What::Revision(rev) if sequence > gone && sequence + u64::from(change.rest) <= at => {
                    Some(Seen { rev, sequence, rest: change.rest, commit_time: change.commit_time })
                }
                _ => None,
            }
        })
    }

    pub fn head(&self, entity: &[u8], at: u64) -> Option<Seen<'_>> {
        self.revisions(entity, at).next_back()
    }

    /// The newest revision as of a point, seen from `at`.
    pub fn as_of(&self, entity: &[u8], at: u64, point: AsOf) -> Option<Seen<'_>> {
        match point {
            AsOf::Sequence(sequence) => self.head(entity, sequence.min(at)),
            AsOf::CommitTime(time) => self.revisions(entity, at).rfind(|seen| seen.commit_time <= time.0),
            AsOf::EffectiveTime(time) => {
                self.revisions(entity, at).rfind(|seen| seen.rev.effective <= time.0)
            }
            other => panic!("the model does not know {other:?}"),
        }
    }

    /// The state of the head including what is in flight.
    pub fn head_state(&self, entity: &[u8]) -> HeadState {
        match (self.head(entity, u64::MAX), self.purge(entity)) {
            (Some(seen), _) => state(seen.rev),
            (None, Some((_, last))) => HeadState::Purged(last),
            (None, None) => HeadState::Absent,
        }
    }

    /// Which fields of a revision are hidden by annotations up to `at`, and not forgotten.
    pub fn hidden(&self, entity: &[u8], number: u64, at: u64) -> FieldMask {
        self.masks(entity, number, at).0
    }

    /// Which fields of a revision are forgotten.
    pub fn forgotten(&self, entity: &[u8], number: u64) -> FieldMask {
        self.masks(entity, number, u64::MAX).1
    }

    fn masks(&self, entity: &[u8], number: u64, at: u64) -> (FieldMask, FieldMask) {
        let places = self.places.get(entity).map_or(&[][..], |places| &places[..]);
        let gone = self.purge(entity).map_or(0, |(sequence, _)| sequence);
        let (mut hidden, mut forgotten) = (FieldMask::default(), FieldMask::default());
        let places = places.iter().filter(|place| (**place as u64) < at && **place as u64 >= gone);
        for change in places.map(|place| &self.changes[*place]) {
            if let What::Annotation { kind, first, last, fields } = &change.what
                && (*first..=*last).contains(&number)
            {
                match kind {
                    AnnotationKind::Hide => hidden = hidden.with(*fields),
                    AnnotationKind::Show => hidden = hidden.without(*fields),
                    _ => forgotten = forgotten.with(*fields),
                }
            }
        }
        (hidden.without(forgotten), forgotten)
    }

    pub fn digest(rev: &Rev) -> Option<Digest> {
        rev.content.as_ref().map(|(bytes, _)| Digest::of(bytes))
    }

    /// Takes in a commit time that the store says, and works out the effective time.
    pub fn learn(&mut self, sequence: u64, commit_time: i64) {
        assert_eq!(sequence, self.learned + 1);
        if let Some(before) = sequence.checked_sub(2).map(|place| &self.changes[place as usize]) {
            assert!(commit_time >= before.commit_time, "commit times go back at sequence {sequence}");
            assert!(before.frame_rest == 0 || commit_time == before.commit_time, "one commit, one time");
        }
        let place = sequence as usize - 1;
        let entity = self.changes[place].entity.clone();
        // Inside a commit the one before is not visible, but it counts.
        let previous = self.places[&entity].iter().rev().filter(|other| **other < place).find_map(|other| {
            match &self.changes[*other].what {
                What::Revision(rev) => Some(rev.effective),
                What::Annotation { .. } => None,
            }
        });
        let change = &mut self.changes[place];
        change.commit_time = commit_time;
        if let What::Revision(rev) = &mut change.what {
            const DAY: i64 = 24 * 3600 * 1_000_000;
            rev.effective = match (rev.authored, previous) {
                (Some(authored), previous) if authored <= commit_time + DAY => {
                    authored.max(previous.unwrap_or(authored))
                }
                (Some(_), Some(previous)) => previous,
                (_, previous) => commit_time.max(previous.unwrap_or(commit_time)),
            };
        }
        self.learned = sequence;
    }
}

pub fn state(rev: &Rev) -> HeadState {
    if rev.deleted { HeadState::Deleted(rev.number) } else { HeadState::Live(rev.number) }
}
