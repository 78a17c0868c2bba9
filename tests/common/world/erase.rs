//! Forgetting in the model, and beside it in the store.

use bytes::Bytes;
use recension::limits::Limits;
use recension::{
    Digest, EntityRange, ErasureMode, Error, FieldMask, Forgetting, Forgot, Outcome, Progress, Retention,
    Sharing, Store, Timestamp,
};

use super::super::model::{Change, Model, Seen, What};
use super::super::op::{Erase, Wants};
use super::super::plan::Planned;
use super::{World, expect};
use recension::AnnotationKind;

/// An entity, its ranges with what is meant of them, and how many revisions that is.
type Wanted = (Vec<u8>, Vec<(u64, u64, FieldMask)>, u64);

/// What a job comes to.
struct Job {
    kind: AnnotationKind,
    wanted: Vec<Wanted>,
}

impl Model {
    fn contents<'a>(&self, seen: &Seen<'a>, entity: &[u8]) -> Vec<&'a (Bytes, (u64, u16))> {
        if self.forgotten(entity, seen.rev.number).contains(FieldMask::CONTENT) {
            return Vec::new();
        }
        seen.rev
            .content
            .iter()
            .chain(seen.rev.slots.iter().filter_map(|(_, content)| content.as_ref()))
            .collect()
    }

    /// The ranges of an entity; `Err`: other revisions have the content, too.
    fn wanted(
        &self,
        entity: &[u8],
        fields: FieldMask,
        sharing: Sharing,
        is_meant: impl Fn(&Seen<'_>, &[&(Bytes, (u64, u16))]) -> bool,
    ) -> Result<Option<Wanted>, u64> {
        let all: Vec<Seen<'_>> = self.revisions(entity, u64::MAX).collect();
        let contents: Vec<_> = all.iter().map(|seen| self.contents(seen, entity)).collect();
        let mut masks = vec![fields; all.len()];
        let mut meant: Vec<bool> = all.iter().zip(&contents).map(|(seen, of)| is_meant(seen, of)).collect();
        while fields.contains(FieldMask::CONTENT) && sharing != Sharing::Leave {
            let of_meant: Vec<_> = contents
                .iter()
                .zip(&meant)
                .filter(|(_, meant)| **meant)
                .flat_map(|(of, _)| of.iter())
                .collect();
            let shares = |of: &Vec<&(Bytes, (u64, u16))>| {
                of.iter().any(|(bytes, at)| of_meant.iter().any(|other| other.0 == *bytes || other.1 == *at))
            };
            let more: Vec<usize> = (0..all.len()).filter(|i| !meant[*i] && shares(&contents[*i])).collect();
            if more.is_empty() {
                break;
            }
            if sharing == Sharing::Refuse {
                return Err(more.len() as u64);
            }
            more.into_iter().for_each(|i| (meant[i], masks[i]) = (true, FieldMask::CONTENT));
        }
        let (mut ranges, mut open, mut count) = (Vec::<(u64, u64, FieldMask)>::new(), false, 0);
        for ((seen, meant), fields) in all.iter().zip(meant).zip(masks) {
            let is_new = meant && !self.forgotten(entity, seen.rev.number).contains(fields);
            count += u64::from(is_new);
            match ranges.last_mut() {
                Some(last) if is_new && open && last.2 == fields => last.1 = seen.rev.number,
                _ if is_new => ranges.push((seen.rev.number, seen.rev.number, fields)),
                _ => {}
            }
            open = is_new;
        }
        Ok((count > 0).then(|| (entity.to_vec(), ranges, count)))
    }

    fn superseded(&self, entity: &[u8], before: i64, keep: usize, fields: FieldMask) -> Option<Wanted> {
        let old = self.revisions(entity, u64::MAX).rev().filter(|seen| seen.commit_time < before).nth(1)?;
        let beyond = self.revisions(entity, u64::MAX).rev().nth(keep + 1)?;
        let last = old.rev.number.min(beyond.rev.number);
        let is_new = |seen: &Seen<'_>| {
            seen.rev.number <= last && !self.forgotten(entity, seen.rev.number).contains(fields)
        };
        let count = self.revisions(entity, u64::MAX).filter(is_new).count() as u64;
        (count > 0).then(|| (entity.to_vec(), vec![(1, last, fields)], count))
    }

    /// The commits of a job, as the store parts them.
    fn commits(&self, job: &Job) -> Vec<Vec<Change>> {
        let most = Limits::TINY.segment_records as usize / 4;
        let mut commits: Vec<Vec<Change>> = Vec::new();
        for (entity, ranges, _) in &job.wanted {
            for part in ranges.chunks(most) {
                let changes = part.iter().map(|(first, last, fields)| Change {
                    entity: entity.clone(),
                    rest: 0,
                    frame_rest: 0,
                    commit_time: 0,
                    what: What::Annotation { kind: job.kind, first: *first, last: *last, fields: *fields },
                });
                match commits.last_mut() {
                    Some(commit) if commit.len() + part.len() <= most => commit.extend(changes),
                    _ => commits.push(changes.collect()),
                }
            }
        }
        for commit in &mut commits {
            let count = commit.len() as u32;
            for (i, change) in (0_u32..).zip(commit) {
                (change.rest, change.frame_rest) = (count - 1 - i, count - 1 - i);
            }
        }
        commits
    }
}

impl World {
    pub(super) fn erase(&mut self, erase: &Erase) {
        // What is in flight may or may not be there yet when it is made out what is meant.
        if self.attempt(Store::sync).is_none() {
            return;
        }
        self.learn();
        match *erase {
            Erase::Purge { entity, wants } => self.purge(entity, wants),
            Erase::Retain { keep, at, fields, preview } => self.retain(keep, at, fields, preview),
            Erase::Revisions { entity, first, len, fields, sharing, preview } => {
                let (entity, fields) = (self.name(entity), mask(fields));
                let numbers: Vec<u64> =
                    self.model.revisions(&entity, u64::MAX).map(|seen| seen.rev.number).collect();
                let pick =
                    |n: u8| numbers.get(usize::from(n) % (numbers.len() + 1)).copied().unwrap_or(77_777);
                let first = pick(first);
                let last = len.map_or(u64::MAX, |len| first + u64::from(len));
                let sharing = share(sharing);
                let what = Forgetting::revisions(&entity, first, last).fields(fields).sharing(sharing);
                if numbers.is_empty() {
                    return self.refused(&what);
                }
                let of = self
                    .model
                    .wanted(&entity, fields, sharing, |seen, _| (first..=last).contains(&seen.rev.number));
                self.forget(what, preview, of.map(|wanted| wanted.into_iter().collect()));
            }
            Erase::Author { fields, sharing, preview } => {
                let (fields, sharing) = (mask(fields), share(sharing));
                let what = Forgetting::author("ann").fields(fields).sharing(sharing);
                let model = &self.model;
                let is_meant = |entity: &[u8], seen: &Seen<'_>| {
                    seen.rev.fields.author.as_deref() == Some(&b"ann"[..])
                        && !model.forgotten(entity, seen.rev.number).contains(FieldMask::AUTHOR)
                };
                let of = self.everywhere(fields, sharing, |entity, seen, _| is_meant(entity, seen));
                self.forget(what, preview, of);
            }
            Erase::Digest { entity, sharing, preview } => {
                let head = self.model.head(&self.name(entity), u64::MAX);
                let Some((bytes, _)) = head.and_then(|seen| seen.rev.content.clone()) else { return };
                let (fields, sharing) = (FieldMask::CONTENT, share(sharing));
                let what = Forgetting::digest(Digest::of(&bytes)).sharing(sharing);
                let of =
                    self.everywhere(fields, sharing, |_, _, of| of.iter().any(|content| content.0 == bytes));
                self.forget(what, preview, of);
            }
        }
    }

    fn everywhere(
        &self,
        fields: FieldMask,
        sharing: Sharing,
        is_meant: impl Fn(&[u8], &Seen<'_>, &[&(Bytes, (u64, u16))]) -> bool,
    ) -> Result<Vec<Wanted>, u64> {
        let mut all = Vec::new();
        for entity in self.model.entities() {
            all.extend(self.model.wanted(entity, fields, sharing, |seen, of| is_meant(entity, seen, of))?);
        }
        Ok(all)
    }

    fn refused(&self, what: &Forgetting) {
        let refused = self.store().forget(what, &mut Progress::none()).expect_err("there is nothing");
        assert!(matches!(refused, Error::Invalid { .. }) || self.surroundings.is_off(), "{refused:?}");
    }

    fn forget(&mut self, what: Forgetting, preview: bool, wanted: Result<Vec<Wanted>, u64>) {
        let what = what.actor("someone").reason("erased");
        let what = if preview { what.preview() } else { what };
        let result = self.store().forget(&what, &mut Progress::none());
        match wanted {
            Ok(wanted) => self.done(Job { kind: AnnotationKind::Forget, wanted }, preview, result),
            Err(others) => match result {
                Err(Error::Shared { count, .. }) => assert_eq!(count, others, "{what:?}"),
                other => {
                    assert!(self.surroundings.is_off(), "{other:?} instead of {others} shared: {what:?}")
                }
            },
        }
    }

    fn retain(&mut self, keep: u8, at: u8, fields: u8, preview: bool) {
        let times: Vec<i64> = self.model.changes.iter().map(|change| change.commit_time).collect();
        let before = times.get(usize::from(at) % (times.len() + 1)).copied().unwrap_or(i64::MAX);
        let fields = mask(fields);
        let entities = self.model.entities();
        let wanted = entities
            .filter_map(|entity| self.model.superseded(entity, before, usize::from(keep), fields))
            .collect();
        let retention = Retention {
            range: EntityRange::default(),
            superseded_before: Timestamp(before),
            keep_older: u64::from(keep),
            fields,
            mode: if preview { ErasureMode::Preview } else { ErasureMode::Do },
            actor: "someone".into(),
            reason: "erased".into(),
        };
        let result = self.store().retain(&retention, &mut Progress::none());
        self.done(Job { kind: AnnotationKind::Retain, wanted }, preview, result);
    }

    /// Compares what a job says, and takes it into the model.
    fn done(&mut self, job: Job, preview: bool, result: recension::Result<Forgot>) {
        let commits = if preview { Vec::new() } else { self.model.commits(&job) };
        let count = commits.len() as u64;
        commits.into_iter().for_each(|commit| self.model.push(commit));
        let Ok(forgot) = result else {
            assert!(self.surroundings.is_off(), "{result:?}");
            return;
        };
        let revisions = job.wanted.iter().map(|(.., count)| count).sum::<u64>();
        assert_eq!((forgot.revisions, forgot.entities), (revisions, job.wanted.len() as u64));
        assert_eq!(forgot.commits, count);
        if count > 0 {
            assert_eq!(forgot.sequence, self.model.last());
            (self.acknowledged, self.durable) = (self.model.last(), self.model.last());
        }
    }

    fn purge(&mut self, entity: u8, wants: Wants) {
        let entity = self.name(entity);
        let state = self.model.head_state(&entity);
        let expected = expect(wants, state.number());
        let planned = match self.model.plan_purge(&entity, expected) {
            Ok(change) => {
                let outcomes = vec![Outcome::Annotated { sequence: self.model.last() + 1 }];
                Planned::Goes { changes: vec![change], outcomes }
            }
            Err(refused) => refused,
        };
        let result = self.store().purge(&entity, expected, "someone", "erased");
        self.given(&planned);
        self.outcome(&planned, self.model.last(), super::Durability::Sync, result);
    }
}

fn mask(fields: u8) -> FieldMask {
    FieldMask(fields % 15 + 1)
}

fn share(n: u8) -> Sharing {
    match n % 3 {
        0 => Sharing::Refuse,
        1 => Sharing::Include,
        _ => Sharing::Leave,
    }
}
