//! Every read of the store compared with the model.

use bytes::Bytes;
use recension::{
    AnnotationKind, AsOf, ChangeKind, CheckDepth, Content, EntityRange, ErrorKind, FieldMask, Head, Progress,
    Revision, Snapshot, Store, Timestamp,
};

use super::model::{Model, Rev, Seen, What};

/// Store and model at what is published now.
pub struct Reads<'a> {
    pub store: &'a Store,
    pub model: &'a Model,
    pub at: u64,
}

/// A number that decides what a sampled read looks at.
fn mix(n: u64) -> u64 {
    recension::sim::mix(n, 0x7665_7269)
}

impl<'a> Reads<'a> {
    pub fn new(store: &'a Store, model: &'a Model) -> Self {
        let at = store.published();
        assert!(model.is_boundary(at), "published {at} is in the middle of a commit");
        Self { store, model, at }
    }

    /// Everything.
    pub fn all(&self) {
        let entities: Vec<Vec<u8>> = self.model.entities().cloned().collect();
        for entity in &entities {
            self.entity(entity);
        }
        self.entity(b"never written");
        let points: Vec<u64> = match self.at {
            0..=24 => (0..=self.at).collect(),
            _ => (0..24).map(|i| mix(i) % (self.at + 1)).collect(),
        };
        for point in points {
            self.point(point, &entities);
        }
        self.ranges(&self.store.snapshot(), self.at);
        self.feed();
        self.stats();
        let heads = self.store.heads_of(&entities).expect("heads of several");
        for (entity, head) in entities.iter().zip(heads) {
            self.head(entity, head, self.model.head(entity, self.at));
        }
    }

    /// Everything about one entity.
    pub fn entity(&self, entity: &[u8]) {
        let expected: Vec<Seen<'_>> = self.model.revisions(entity, self.at).collect();
        self.head(entity, self.store.head(entity).expect("a head"), expected.last().copied());
        let live = self.store.get(entity).expect("a head");
        assert_eq!(
            live.map(|rev| rev.number()),
            expected.last().filter(|seen| !seen.rev.deleted).map(|seen| seen.rev.number)
        );
        self.history(&self.store.snapshot(), entity, &expected);
        for seen in &expected {
            let found = self
                .store
                .revision(entity, seen.rev.number)
                .expect("a revision")
                .expect("a revision that was written");
            self.revision(entity, &found, *seen, true);
        }
        let present = |number: u64| expected.iter().any(|seen| seen.rev.number == number);
        let last = expected.last().map_or(0, |seen| seen.rev.number);
        for number in [0, 1, last.saturating_sub(1), last + 1, u64::MAX] {
            let found = self.store.revision(entity, number).expect("a revision");
            assert_eq!(found.is_some(), present(number), "revision {number} of {entity:?}");
        }
        for seen in &expected {
            for time in [seen.commit_time.saturating_sub(1), seen.commit_time] {
                self.as_of(entity, AsOf::CommitTime(Timestamp(time)));
            }
            for time in [
                seen.rev.effective.saturating_sub(1),
                seen.rev.effective,
                seen.rev.effective.saturating_add(1),
            ] {
                self.as_of(entity, AsOf::EffectiveTime(Timestamp(time)));
            }
        }
    }

    fn as_of(&self, entity: &[u8], point: AsOf) {
        let found = self.store.as_of(entity, point).expect("an entity as of a point");
        self.head(entity, found, self.model.as_of(entity, self.at, point));
    }

    fn history(&self, snapshot: &Snapshot, entity: &[u8], expected: &[Seen<'_>]) {
        let numbers: Vec<u64> = expected.iter().map(|seen| seen.rev.number).collect();
        let number = |rev: recension::Result<Revision>| rev.expect("a revision of a history").number();
        let down: Vec<u64> = snapshot.history(entity).expect("a history").map(number).collect();
        assert_eq!(down, numbers.iter().rev().copied().collect::<Vec<_>>(), "history of {entity:?}");
        let up: Vec<u64> = snapshot.history(entity).expect("a history").rev().map(number).collect();
        assert_eq!(up, numbers, "history of {entity:?}, oldest first");
        // From both ends, in an order that depends on what is there.
        let (mut pattern, mut front, mut back) =
            (mix(self.at ^ numbers.len() as u64), Vec::new(), Vec::new());
        let mut both = snapshot.history(entity).expect("a history");
        loop {
            let next = if pattern & 1 == 0 {
                both.next().map(number).map(|n| front.push(n))
            } else {
                both.next_back().map(number).map(|n| back.push(n))
            };
            if next.is_none() {
                break;
            }
            pattern = pattern.rotate_right(1);
        }
        assert!(both.next().is_none() && both.next_back().is_none(), "an exhausted history stays so");
        back.extend(front.iter().rev());
        assert_eq!(back, numbers, "history of {entity:?} from both ends");
        for rev in snapshot.history(entity).expect("a history") {
            let rev = rev.expect("a revision of a history");
            let seen = expected.iter().find(|seen| seen.rev.number == rev.number()).expect("seen before");
            self.revision(entity, &rev, *seen, false);
        }
    }

    /// The store as it was at a sequence number.
    fn point(&self, point: u64, entities: &[Vec<u8>]) {
        let snapshot = self.store.snapshot_at(point);
        for entity in entities {
            let expected: Vec<Seen<'_>> = self.model.revisions(entity, point).collect();
            self.head(entity, snapshot.head(entity).expect("a head"), expected.last().copied());
            self.head(
                entity,
                self.store.as_of(entity, AsOf::Sequence(point)).expect("a head"),
                expected.last().copied(),
            );
            let live = snapshot.get(entity).expect("a head").map(|rev| rev.number());
            assert_eq!(live, expected.last().filter(|seen| !seen.rev.deleted).map(|seen| seen.rev.number));
            if mix(point ^ u64::from(entity[0])).is_multiple_of(4) {
                self.history(&snapshot, entity, &expected);
                if let Some(all) = self.model.revisions(entity, self.at).last() {
                    let found = snapshot.revision(entity, all.rev.number).expect("a revision");
                    assert_eq!(
                        found.is_some(),
                        expected.iter().any(|seen| seen.rev.number == all.rev.number)
                    );
                }
                for seen in expected.iter().take(3) {
                    let time = AsOf::EffectiveTime(Timestamp(seen.rev.effective));
                    self.head(
                        entity,
                        snapshot.as_of(entity, time).expect("a head"),
                        self.model.as_of(entity, point, time),
                    );
                }
            }
        }
        if mix(point).is_multiple_of(3) {
            self.ranges(&snapshot, point);
        }
    }

    /// Heads by range, both ways, from both ends, and as of the point by each measure.
    fn ranges(&self, snapshot: &Snapshot, point: u64) {
        let prefix = EntityRange::prefix;
        let between =
            |from: &'static [u8], to: &'static [u8]| EntityRange { from: from.into(), to: Some(to.into()) };
        let all = EntityRange::default();
        for range in [
            all.clone(),
            prefix(b"a"),
            prefix(b"Q"),
            prefix(b"\xff"),
            between(b"a", b"b"),
            between(b"b", b"a"),
            between(b"ab", b"\xff\xff"),
        ] {
            self.range(&range, point, None, || snapshot.heads(range.clone()));
        }
        self.range(&prefix(b"a"), self.at, None, || self.store.prefix("a"));
        self.range(&all, point, None, || self.store.heads_as_of(all.clone(), AsOf::Sequence(point)));
        if let Some(change) = point.checked_sub(1).map(|place| &self.model.changes[place as usize]) {
            let commit = AsOf::CommitTime(Timestamp(change.commit_time));
            self.range(&all, self.at, Some(commit), || self.store.heads_as_of(all.clone(), commit));
            if let What::Revision(rev) = &change.what {
                let effective = AsOf::EffectiveTime(Timestamp(rev.effective));
                self.range(&all, self.at, Some(effective), || self.store.heads_as_of(all.clone(), effective));
            }
        }
    }

    fn range(&self, range: &EntityRange, at: u64, point: Option<AsOf>, heads: impl Fn() -> recension::Heads) {
        let newest = |entity: &Vec<u8>| match point {
            Some(point) => self.model.as_of(entity, at, point),
            None => self.model.head(entity, at),
        };
        let expected: Vec<(&Vec<u8>, Seen<'_>)> = self
            .model
            .entities()
            .filter(|entity| range.contains(entity))
            .filter_map(|entity| newest(entity).map(|seen| (entity, seen)))
            .collect();
        let up: Vec<Head> = heads().collect::<recension::Result<_>>().expect("heads");
        assert_eq!(up.len(), expected.len(), "heads of {range:?} at {at} {point:?}");
        for (head, (entity, seen)) in up.into_iter().zip(&expected) {
            assert_eq!(head.revision().expect("a head with a revision").entity().as_bytes(), &entity[..]);
            self.head(entity, head, Some(*seen));
        }
        let name = |head: recension::Result<Head>| {
            head.expect("heads").revision().expect("a revision").entity().as_bytes().to_vec()
        };
        let names: Vec<Vec<u8>> = expected.iter().map(|(entity, _)| (*entity).clone()).collect();
        let down: Vec<Vec<u8>> = heads().rev().map(name).collect();
        assert_eq!(
            down,
            names.iter().rev().cloned().collect::<Vec<_>>(),
            "heads of {range:?} at {at}, backwards"
        );
        let (mut both, mut front, mut back, mut pattern) = (heads(), Vec::new(), Vec::new(), mix(at));
        loop {
            let next = if pattern & 1 == 0 {
                both.next().map(name).map(|n| front.push(n))
            } else {
                both.next_back().map(name).map(|n| back.push(n))
            };
            if next.is_none() {
                break;
            }
            pattern = pattern.rotate_right(1);
        }
        front.extend(back.into_iter().rev());
        assert_eq!(front, names, "heads of {range:?} at {at} from both ends");
    }

    /// The changes behind every cursor, or behind some.
    fn feed(&self) {
        let durable = self.store.durable();
        assert!(durable <= self.at, "durable is beyond published");
        let cursors: Vec<u64> = match durable {
            0..=40 => (0..=durable).collect(),
            _ => [0, 1, durable - 1, durable].into_iter().chain((0..12).map(|i| mix(i) % durable)).collect(),
        };
        for after in cursors {
            let mut changes = self.store.changes(after).expect("changes");
            let mut next = after;
            let mut time = i64::MIN;
            while let Some(change) = changes.next() {
                let change = change.expect("a change");
                next += 1;
                assert_eq!((change.sequence, changes.cursor()), (next, next));
                let expected = &self.model.changes[next as usize - 1];
                assert_eq!(change.commit_rest, expected.rest, "rest of the commit at {next}");
                assert!(change.commit_time.0 >= time);
                time = change.commit_time.0;
                let gone = self.model.purge(&expected.entity).is_some_and(|(sequence, _)| sequence > next);
                match (&change.kind, &expected.what) {
                    (ChangeKind::Purged, What::Revision(_)) if gone => {}
                    (ChangeKind::Purged, What::Annotation { kind, .. })
                        if gone && *kind != AnnotationKind::Purge => {}
                    (ChangeKind::Annotation(found), What::Annotation { kind, last, .. })
                        if *kind == AnnotationKind::Purge =>
                    {
                        let name = recension::model::purged_name(&self.store.id(), &expected.entity);
                        assert_eq!((found.kind, found.last, &found.entity), (*kind, *last, &name));
                    }
                    (_, what) if gone => panic!("change {next} is of a purged entity: {change:?}, {what:?}"),
                    (ChangeKind::Revision(found), What::Revision(rev)) => {
                        let seen = Seen {
                            rev,
                            sequence: next,
                            rest: expected.rest,
                            commit_time: expected.commit_time,
                        };
                        assert_eq!(change.commit_time.0, expected.commit_time);
                        self.revision(&expected.entity, found, seen, after == 0);
                    }
                    (ChangeKind::Annotation(found), What::Annotation { kind, first, last, fields }) => {
                        assert_eq!(found.entity.as_bytes(), &expected.entity[..]);
                        assert_eq!(found.kind, *kind);
                        assert_eq!((found.first, found.last, found.fields), (*first, *last, *fields));
                        assert_eq!(&found.actor[..], "someone");
                        let erased = kind.erases() && found.reason == "erased";
                        assert!(erased || found.reason.starts_with(&format!("{first} to ")));
                    }
                    (found, expected) => panic!("change {next}: {found:?} instead of {expected:?}"),
                }
            }
            assert_eq!(next, durable, "the feed behind {after} ends early");
        }
        match self.store.changes(durable + 1) {
            Err(e) => assert_eq!(e.kind(), ErrorKind::CursorLost),
            Ok(_) => panic!("a cursor beyond the end was taken"),
        }
    }

    fn stats(&self) {
        let stats = self.store.stats().expect("stats");
        assert_eq!(stats.published, self.at);
        assert!(stats.durable <= stats.published);
        assert_eq!(stats.latched, None);
        assert!(stats.cache.0 <= stats.cache.1.max(stats.cache.0), "cache");
        assert!(stats.bytes_on_disk >= stats.segments.1, "segments are part of what is on disk");
        let revisions = self
            .model
            .changes
            .iter()
            .take(self.at as usize)
            .enumerate()
            .filter(|(_, change)| matches!(change.what, What::Revision(_)))
            // Tables that are written after a purge leave the entity's rows out.
            .filter(|(at, change)| {
                self.model.purge(&change.entity).is_none_or(|(sequence, _)| sequence <= *at as u64 + 1)
            })
            .count() as u64;
        assert!(stats.table_rows + stats.memtable.0 >= revisions, "rows: {stats:?}, revisions: {revisions}");
    }

    /// Nothing is wrong with it.
    pub fn check(&self, depth: CheckDepth) {
        let report = self.store.check(depth, &mut Progress::new(&mut |_, _, _| true)).expect("a check");
        assert!(report.is_clean(), "check: {:#?}", report.findings);
        if depth == CheckDepth::Deep {
            assert_eq!(report.changes, self.at);
        }
    }

    fn head(&self, entity: &[u8], found: Head, expected: Option<Seen<'_>>) {
        match (found, expected) {
            (Head::Absent, None) => assert_eq!(self.model.purge(entity), None),
            (Head::Purged(last), None) => {
                assert_eq!(self.model.purge(entity).map(|(_, last)| last), Some(last));
            }
            (Head::Live(found), Some(seen)) if !seen.rev.deleted => self.revision(entity, &found, seen, true),
            (Head::Deleted(found), Some(seen)) if seen.rev.deleted => {
                self.revision(entity, &found, seen, true)
            }
            (found, expected) => panic!("head of {entity:?}: {found:?} instead of {expected:?}"),
        }
    }

    fn revision(&self, entity: &[u8], found: &Revision, seen: Seen<'_>, contents: bool) {
        let rev = seen.rev;
        let name = || format!("revision {} of {entity:?}", rev.number);
        assert_eq!(found.entity().as_bytes(), entity);
        assert_eq!(
            (found.number(), found.parent(), found.sequence()),
            (rev.number, rev.parent, seen.sequence),
            "{}",
            name()
        );
        assert_eq!(found.commit_time().0, seen.commit_time, "{}", name());
        assert_eq!(found.authored_time().map(|time| time.0), rev.authored, "{}", name());
        assert_eq!(found.effective_time().0, rev.effective, "{}", name());
        assert_eq!((found.is_tombstone(), found.flags()), (rev.deleted, rev.flags), "{}", name());
        assert_eq!(
            found.content_len(),
            rev.content.as_ref().map(|(bytes, _)| bytes.len() as u32),
            "{}",
            name()
        );
        let address = found.content_address().map(|address| (address.sequence, address.slot));
        assert_eq!(address, rev.content.as_ref().map(|(_, address)| *address), "{}", name());
        let hidden = self.model.hidden(entity, rev.number, self.at);
        let forgotten = self.model.forgotten(entity, rev.number);
        assert_eq!((found.hidden(), found.forgotten()), (hidden, forgotten), "{}", name());
        self.fields(found, rev, hidden.with(forgotten));
        if contents {
            self.contents(found, rev, hidden, forgotten);
        }
    }

    fn fields(&self, found: &Revision, rev: &Rev, hidden: FieldMask) {
        let mut fields = found.fields().expect("fields").clone();
        let slots: Vec<_> = std::mem::take(&mut fields.slots)
            .into_iter()
            .map(|(role, reference)| {
                (role, reference.map(|r| (r.len as usize, (r.address.sequence, r.address.slot))))
            })
            .collect();
        let mut expected = rev.fields.clone();
        if hidden.contains(FieldMask::AUTHOR) {
            expected.author = None;
        }
        if hidden.contains(FieldMask::COMMENT) {
            expected.comment = None;
        }
        if hidden.contains(FieldMask::ATTRIBUTES) {
            expected.attributes.clear();
            expected.tags.clear();
        }
        assert_eq!(fields, expected, "fields of {found:?}");
        let expected: Vec<_> = rev
            .slots
            .iter()
            .map(|(role, content)| (role.clone(), content.as_ref().map(|(bytes, at)| (bytes.len(), *at))))
            .collect();
        assert_eq!(slots, expected, "slots of {found:?}");
    }

    fn contents(&self, found: &Revision, rev: &Rev, hidden: FieldMask, forgotten: FieldMask) {
        let forgotten = forgotten.contains(FieldMask::CONTENT);
        let hidden = hidden.contains(FieldMask::CONTENT);
        let shown = |content: Option<&Bytes>| match content {
            _ if forgotten => Content::Forgotten,
            Some(_) if hidden => Content::Hidden,
            Some(bytes) => Content::Present(bytes.clone()),
            None => Content::Withheld,
        };
        let main = rev.content.as_ref().map(|(bytes, _)| bytes);
        let expected = if rev.deleted { Content::Deleted } else { shown(main) };
        assert_eq!(found.content().expect("a content"), expected, "content of {found:?}");
        let unhidden = match main {
            Some(_) if forgotten => Content::Forgotten,
            main => main.map_or(expected, |bytes| Content::Present(bytes.clone())),
        };
        assert_eq!(found.content_unhidden().expect("a content"), unhidden, "content of {found:?}");
        let digest = Model::digest(rev).filter(|_| !hidden && !forgotten);
        assert_eq!(found.digest().expect("a digest"), digest, "digest of {found:?}");
        let slots = found.slots().expect("slots");
        let expected: Vec<_> = rev
            .slots
            .iter()
            .map(|(role, content)| (role.clone(), shown(content.as_ref().map(|(bytes, _)| bytes))))
            .collect();
        assert_eq!(slots, expected, "slots of {found:?}");
    }
}
