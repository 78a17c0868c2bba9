//! Reading a store that may be damaged: every answer is right, or an error that says what is wrong.

use recension::{
    AsOf, Change, ChangeKind, CheckDepth, EntityRange, Error, FieldMask, Head, Progress, Result, Revision,
    Store,
};

use super::model::{Model, Seen, What};

/// What reading everything came to.
#[derive(Default)]
pub struct Survey {
    pub right: u64,
    pub errors: Vec<Error>,
}

/// Reads everything. An answer that is neither right nor an error is a panic.
pub fn survey(store: &Store, model: &Model) -> Survey {
    let mut survey = Survey::default();
    assert_eq!(
        store.published(),
        model.last(),
        "the store opened without an error and without some of its changes"
    );
    let entities: Vec<Vec<u8>> = model.entities().cloned().collect();
    for entity in &entities {
        let expected: Vec<Seen<'_>> = model.revisions(entity, u64::MAX).collect();
        survey.head(model, entity, store.head(entity), expected.last().copied());
        let half = model.last() / 2;
        survey.head(model, entity, store.as_of(entity, AsOf::Sequence(half)), model.head(entity, half));
        for backwards in [false, true] {
            let history = store.history(entity).expect("a good name");
            let items: Vec<Result<Revision>> =
                if backwards { history.rev().collect() } else { history.collect() };
            let mut left: Vec<Seen<'_>> =
                if backwards { expected.clone() } else { expected.iter().rev().copied().collect() };
            left.reverse();
            let mut failed = false;
            for item in items {
                // What is behind the last one may be the damaged part: then an error is in place of the end.
                let Some(seen) = left.pop() else {
                    failed |= survey.keep(item).is_none();
                    assert!(failed, "more than was written");
                    continue;
                };
                failed |= survey.revision(model, entity, item, seen);
            }
            assert!(failed || left.is_empty(), "a history of {entity:?} ends early without an error");
        }
        for seen in &expected {
            let found = store.revision(entity, seen.rev.number).transpose();
            survey.revision(model, entity, found.expect("not found, though it was written"), *seen);
        }
    }
    survey.heads(model, store.heads(EntityRange::default()).collect());
    survey.heads(
        model,
        store.heads(EntityRange::default()).rev().collect::<Vec<_>>().into_iter().rev().collect(),
    );
    survey.feed(model, store.changes(0).and_then(|changes| changes.collect()));
    survey
}

impl Survey {
    fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                self.right += 1;
                Some(value)
            }
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn head(&mut self, model: &Model, entity: &[u8], found: Result<Head>, expected: Option<Seen<'_>>) {
        match (self.keep(found), expected) {
            (None, _) | (Some(Head::Absent), None) => {}
            (Some(Head::Purged(last)), None) => {
                assert_eq!(model.purge(entity).map(|(_, last)| last), Some(last));
            }
            (Some(Head::Live(rev)), Some(seen)) if !seen.rev.deleted => {
                _ = self.revision(model, entity, Ok(rev), seen)
            }
            (Some(Head::Deleted(rev)), Some(seen)) if seen.rev.deleted => {
                _ = self.revision(model, entity, Ok(rev), seen)
            }
            (found, expected) => panic!("head of {entity:?}: {found:?} instead of {expected:?}"),
        }
    }

    /// Answers whether it is an error.
    fn revision(&mut self, model: &Model, entity: &[u8], found: Result<Revision>, seen: Seen<'_>) -> bool {
        let Some(found) = self.keep(found) else { return true };
        let rev = seen.rev;
        assert_eq!(found.entity().as_bytes(), entity);
        assert_eq!(
            (found.number(), found.parent(), found.sequence()),
            (rev.number, rev.parent, seen.sequence)
        );
        assert_eq!((found.commit_time().0, found.effective_time().0), (seen.commit_time, rev.effective));
        assert_eq!(
            (found.is_tombstone(), found.flags(), found.authored_time().map(|t| t.0)),
            (rev.deleted, rev.flags, rev.authored)
        );
        assert_eq!(found.hidden(), model.hidden(entity, rev.number, u64::MAX));
        assert_eq!(found.forgotten(), model.forgotten(entity, rev.number));
        let withheld = found.hidden().with(found.forgotten());
        if let Some(fields) = self.keep(found.fields().cloned())
            && withheld.is_empty()
        {
            let mut fields = fields;
            fields.slots.clear();
            assert_eq!(fields, rev.fields);
        }
        let forgotten = found.forgotten().contains(FieldMask::CONTENT);
        if let Some(content) = self.keep(found.content_unhidden())
            && !forgotten
        {
            assert_eq!(content.bytes(), rev.content.as_ref().map(|(bytes, _)| bytes), "content of {found:?}");
        }
        if let Some(digest) = self.keep(found.digest()) {
            assert_eq!(digest, Model::digest(rev).filter(|_| !withheld.contains(FieldMask::CONTENT)));
        }
        if let Some(slots) = self.keep(found.slots())
            && withheld.is_empty()
        {
            let found = slots.iter().map(|(role, content)| (role, content.bytes()));
            assert!(found.eq(
                rev.slots.iter().map(|(role, content)| (role, content.as_ref().map(|(bytes, _)| bytes)))
            ));
        }
        false
    }

    fn heads(&mut self, model: &Model, heads: Vec<Result<Head>>) {
        let found: Vec<Head> = heads.into_iter().filter_map(|head| self.keep(head)).collect();
        let expected: Vec<_> = model
            .entities()
            .filter_map(|entity| model.head(entity, u64::MAX).map(|seen| (entity, seen)))
            .collect();
        if self.errors.is_empty() {
            assert_eq!(found.len(), expected.len(), "heads are missing without an error");
        }
        for head in found {
            let rev = head.revision().expect("a revision");
            let (entity, seen) = expected
                .iter()
                .find(|(entity, _)| entity[..] == *rev.entity().as_bytes())
                .expect("one that was written");
            self.head(model, entity, Ok(head.clone()), Some(*seen));
        }
    }

    fn feed(&mut self, model: &Model, changes: Result<Vec<Change>>) {
        let Some(changes) = self.keep(changes) else { return };
        assert_eq!(changes.len() as u64, model.last(), "the feed ends early without an error");
        for (change, (i, expected)) in changes.into_iter().zip(model.changes.iter().enumerate()) {
            assert_eq!((change.sequence, change.commit_rest), (i as u64 + 1, expected.rest));
            let gone = model.purge(&expected.entity).is_some_and(|(sequence, _)| sequence > change.sequence);
            match (change.kind, &expected.what) {
                (ChangeKind::Purged, _) if gone => {}
                (ChangeKind::Revision(found), What::Revision(rev)) => {
                    let seen = Seen {
                        rev,
                        sequence: change.sequence,
                        rest: expected.rest,
                        commit_time: expected.commit_time,
                    };
                    self.revision(model, &expected.entity, Ok(found), seen);
                }
                (ChangeKind::Annotation(found), What::Annotation { first, last, fields, .. }) => {
                    assert_eq!((found.first, found.last, found.fields), (*first, *last, *fields));
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }
}

/// What `check` finds; cut short by nothing but an error.
pub fn findings(store: &Store) -> Result<Vec<String>> {
    let report = store.check(CheckDepth::Deep, &mut Progress::new(&mut |_, _, _| true))?;
    Ok(report.findings.into_iter().map(|finding| finding.what).collect())
}
