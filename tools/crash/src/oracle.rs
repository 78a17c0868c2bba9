//! Reading the whole store and comparing every answer with the model.

use std::collections::BTreeMap;

use bytes::Bytes;
use recension::sim::Prng;
use recension::{
    AnnotationKind, AsOf, ChangeKind, CheckDepth, Content, EntityRange, Error, ErrorKind, FieldMask, Head,
    Progress, Revision, Store, Timestamp,
};

use crate::model::{Change, Model, Rev};
use crate::predict::{name, short};

mod feed;
mod revision;

/// Something that must never happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which promise is broken.
    pub oracle: &'static str,
    pub what: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.oracle, self.what)
    }
}

pub fn failure<T>(oracle: &'static str, what: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { oracle, what: what.into() })
}

/// Which errors a read may answer instead of the right data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// `Io`.
    pub io: bool,
    /// `Corrupt`.
    pub corrupt: bool,
}

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything by name, and as of a few points.
    Usual,
    /// As of every point.
    Exhaustive,
}

pub struct Oracle<'a> {
    pub store: &'a Store,
    pub model: &'a mut Model,
    pub allowed: Allowed,
    /// Reads that were answered with an error.
    pub errors: u64,
}

type Checked<T = ()> = Result<T, Failure>;

impl<'a> Oracle<'a> {
    pub fn new(store: &'a Store, model: &'a mut Model, allowed: Allowed) -> Self {
        // Whoever reads sees what is published now: a purge among it counts.
        model.observe(store.published(), 0);
        Self { store, model, allowed, errors: 0 }
    }
}

impl Oracle<'_> {
    /// The value, `None` for an error that is allowed.
    fn take<T>(&mut self, what: &str, result: recension::Result<T>) -> Checked<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.refuse(what, &error).map(|()| None),
        }
    }

    fn refuse(&mut self, what: &str, error: &Error) -> Checked {
        self.errors += 1;
        let allowed = match error.kind() {
            ErrorKind::Io => self.allowed.io,
            ErrorKind::Corrupt | ErrorKind::Unsupported => self.allowed.corrupt,
            _ => false,
        };
        if allowed { Ok(()) } else { failure("reads answer", format!("{what}: {error}")) }
    }

    /// Everything.
    pub fn everything(&mut self, depth: Depth, rng: &mut Prng) -> Checked {
        let at = self.store.published();
        let names: Vec<Bytes> = self.model.entities.keys().cloned().collect();
        for entity in &names {
            self.history(entity, at)?;
            self.head(entity)?;
            self.by_number(entity, at, rng)?;
        }
        self.absent(at)?;
        self.all_heads(at, rng)?;
        self.feed(0, rng)?;
        let points: Vec<u64> = match depth {
            Depth::Exhaustive => (0..=at).collect(),
            Depth::Usual => (0..4).map(|_| rng.below(at + 1)).collect(),
        };
        for point in points {
            self.as_of_sequence(point, rng)?;
        }
        for _ in 0..4 {
            self.as_of_time(at, rng)?;
        }
        Ok(())
    }

    /// The history of an entity, both ways, each revision compared.
    pub fn history(&mut self, entity: &Bytes, at: u64) -> Checked {
        let what = format!("the history of {} at {at}", name(entity));
        let expected: Vec<_> = self.model.at(entity, at).to_vec();
        let snapshot = self.store.snapshot_at(at);
        let Some(history) = self.take(&what, snapshot.history(entity))? else { return Ok(()) };
        let mut found = Vec::new();
        for revision in history {
            match self.take(&what, revision)? {
                Some(revision) => found.push(revision),
                None => return Ok(()),
            }
        }
        let numbers: Vec<u64> = found.iter().map(Revision::number).collect();
        let wanted: Vec<u64> = expected.iter().rev().map(|rev| rev.number).collect();
        if numbers != wanted {
            return failure(
                "histories are whole",
                format!("{what}: revisions {numbers:?} instead of {wanted:?}"),
            );
        }
        // Oldest first, so that effective times are known of the one before.
        for (revision, rev) in found.iter().rev().zip(&expected) {
            self.revision(entity, revision, rev)?;
        }
        let Some(history) = self.take(&what, snapshot.history(entity))? else { return Ok(()) };
        let mut back = Vec::new();
        for revision in history.rev() {
            match self.take(&what, revision)? {
                Some(revision) => back.push(revision.number()),
                None => return Ok(()),
            }
        }
        back.reverse();
        if back != wanted {
            return failure(
                "histories are whole",
                format!("{what}: from the back {back:?} instead of {wanted:?}"),
            );
        }
        Ok(())
    }

    /// The head, through every path, with its content.
    pub fn head(&mut self, entity: &Bytes) -> Checked {
        let at = self.store.published();
        let rev = self.model.at(entity, at).last().cloned();
        let what = format!("the head of {}", name(entity));
        // Twice: through the cache the second time.
        for _ in 0..2 {
            if let Some(head) = self.take(&what, self.store.head(entity))? {
                self.same_head(&what, entity, &head, rev.as_ref())?;
                if let (Some(revision), Some(rev)) = (head.revision(), &rev) {
                    self.revision(entity, revision, rev)?;
                }
            }
        }
        let snapshot = self.store.snapshot();
        if let Some(head) = self.take(&what, snapshot.head(entity))? {
            self.same_head(&what, entity, &head, rev.as_ref())?;
        }
        Ok(())
    }

    fn by_number(&mut self, entity: &Bytes, at: u64, rng: &mut Prng) -> Checked {
        let revs = self.model.at(entity, at).to_vec();
        let last = revs.last().map_or(0, |rev| rev.number);
        for number in [1, rng.below(last + 2), last, last + 1] {
            let what = format!("revision {number} of {} by number", name(entity));
            let rev = revs.iter().find(|rev| rev.number == number);
            let Some(found) = self.take(&what, self.store.revision(entity, number))? else { continue };
            match (&found, rev) {
                (None, None) => {}
                (Some(found), Some(rev)) => self.light(entity, found, rev)?,
                _ => {
                    let wanted = rev.map(|rev| rev.sequence);
                    return failure(
                        "revisions are found",
                        format!("{what}: {found:?} instead of {wanted:?}"),
                    );
                }
            }
        }
        Ok(())
    }

    fn absent(&mut self, at: u64) -> Checked {
        for n in 0..crate::script::ENTITIES {
            let entity = crate::script::entity(n);
            if self.model.at(&entity, at).is_empty() {
                let what = format!("{}, which is not there", name(&entity));
                if let Some(head) = self.take(&what, self.store.head(&entity))? {
                    match (&head, self.model.purged_now(&entity)) {
                        (Head::Absent, None) => {}
                        (Head::Purged(last), Some(purge)) if *last == purge.last => {}
                        _ => return failure("nothing is invented", format!("{what}: {head:?}")),
                    }
                }
            }
        }
        Ok(())
    }

    fn all_heads(&mut self, at: u64, rng: &mut Prng) -> Checked {
        let point = if rng.one_in(2) { at } else { rng.below(at + 1) };
        self.listing(EntityRange::default(), point)?;
        let from = crate::script::entity(rng.below(u64::from(crate::script::ENTITIES)) as u8);
        let prefix = &from[..(rng.below(from.len() as u64) as usize + 1).min(from.len())];
        self.listing(EntityRange::prefix(prefix), point)
    }

    fn listing(&mut self, range: EntityRange, point: u64) -> Checked {
        let what = format!("all heads of {range:?} as of {point}");
        let wanted: Vec<(Bytes, u64, bool)> = self
            .model
            .entities
            .keys()
            .filter(|entity| range.contains(entity))
            .filter_map(|entity| {
                let rev = self.model.at(entity, point).last()?;
                Some((entity.clone(), rev.sequence, rev.tombstone))
            })
            .collect();
        let mut found = Vec::new();
        for head in self.store.heads_as_of(range.clone(), AsOf::Sequence(point)) {
            match self.take(&what, head)? {
                Some(head) => found.extend(seen(&head)),
                None => return Ok(()),
            }
        }
        if found != wanted {
            return failure("listings are whole", format!("{what}: {found:?} instead of {wanted:?}"));
        }
        let mut back = Vec::new();
        for head in self.store.snapshot_at(point).heads(range).rev() {
            match self.take(&what, head)? {
                Some(head) => back.extend(seen(&head)),
                None => return Ok(()),
            }
        }
        back.reverse();
        if back != wanted {
            return failure(
                "listings are whole",
                format!("{what}: from the back {back:?} instead of {wanted:?}"),
            );
        }
        Ok(())
    }

    /// All entities as of a sequence number.
    pub fn as_of_sequence(&mut self, point: u64, rng: &mut Prng) -> Checked {
        let names: Vec<Bytes> = self.model.entities.keys().cloned().collect();
        let snapshot = self.store.snapshot_at(point);
        for entity in &names {
            let what = format!("{} as of sequence {point}", name(entity));
            let rev = self.model.at(entity, point).last().cloned();
            let head = match rng.one_in(2) {
                true => snapshot.head(entity),
                false => self.store.as_of(entity, AsOf::Sequence(point)),
            };
            if let Some(head) = self.take(&what, head)? {
                self.same_head(&what, entity, &head, rev.as_ref())?;
            }
        }
        Ok(())
    }

    fn as_of_time(&mut self, at: u64, rng: &mut Prng) -> Checked {
        let times: BTreeMap<u64, (i64, i64)> = self.model.times.clone();
        let known: Vec<(i64, i64)> = times.values().copied().collect();
        let Some((commit, effective)) = rng.pick(&known).copied() else { return Ok(()) };
        let off = rng.below(3) as i64 - 1;
        let names: Vec<Bytes> = self.model.entities.keys().cloned().collect();
        for entity in &names {
            for (as_of, by) in [
                (AsOf::CommitTime(Timestamp(commit + off)), 0),
                (AsOf::EffectiveTime(Timestamp(effective + off)), 1),
            ] {
                let revs = self.model.at(entity, at);
                if revs.iter().any(|rev| !times.contains_key(&rev.sequence)) {
                    continue;
                }
                let time =
                    |rev: &Rev| times.get(&rev.sequence).map_or(0, |t| if by == 0 { t.0 } else { t.1 });
                let limit = if by == 0 { commit + off } else { effective + off };
                let rev = revs.iter().rev().find(|rev| time(rev) <= limit).cloned();
                let what = format!("{} as of {as_of:?}", name(entity));
                if let Some(head) = self.take(&what, self.store.as_of(entity, as_of))? {
                    self.same_head(&what, entity, &head, rev.as_ref())?;
                }
            }
        }
        Ok(())
    }

    /// The engine's own check.
    pub fn check(&mut self) -> Checked<u64> {
        let report = self.store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true));
        let Some(report) = self.take("check", report)? else { return Ok(0) };
        if !report.is_clean() && !self.allowed.corrupt && !self.allowed.io {
            return failure("check finds nothing", format!("{:?}", report.findings.first()));
        }
        let at = self.store.published();
        if report.is_clean() && report.changes != at {
            return failure(
                "check finds nothing",
                format!("{} changes in the log instead of {at}", report.changes),
            );
        }
        Ok(report.rows)
    }
}

fn seen(head: &Head) -> Option<(Bytes, u64, bool)> {
    let revision = head.revision()?;
    Some((revision.entity().bytes().clone(), revision.sequence(), matches!(head, Head::Deleted(_))))
}
