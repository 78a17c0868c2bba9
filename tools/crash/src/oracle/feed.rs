//! The change feed, from a cursor to its end.

use super::*;

impl Oracle<'_> {
    /// The feed from a cursor to its end.
    pub fn feed(&mut self, after: u64, rng: &mut Prng) -> Checked {
        let durable = self.store.durable();
        let what = format!("the feed behind {after} up to {durable}");
        let wanted: Vec<Change> = self.model.changes(after, durable).cloned().collect();
        let changes = self.store.changes(after);
        if after > durable {
            return match changes {
                Err(Error::CursorLost { cursor, last }) if (cursor, last) == (after, durable) => Ok(()),
                other => failure(
                    "cursors are valid or lost",
                    format!("{what}: {other:?}", other = other.map(|_| ())),
                ),
            };
        }
        let Some(changes) = self.take(&what, changes)? else { return Ok(()) };
        let mut n = 0;
        for change in changes {
            let Some(change) = self.take(&what, change)? else { return Ok(()) };
            let Some(wanted) = wanted.get(n) else {
                return failure("the feed is the commit order", format!("{what}: one more, {change:?}"));
            };
            n += 1;
            if (change.sequence, change.commit_rest) != (wanted.sequence(), wanted.rest()) {
                return failure(
                    "the feed is the commit order",
                    format!("{what}: {change:?} instead of {wanted:?}"),
                );
            }
            let entity = match wanted {
                Change::Rev(entity, _) => entity,
                Change::Note(note) => &note.entity,
            };
            let gone = self.model.purged_now(entity).is_some_and(|purge| purge.sequence > wanted.sequence());
            match (&change.kind, wanted) {
                (ChangeKind::Purged, _) if gone => {}
                (ChangeKind::Annotation(found), Change::Note(note)) if note.kind == AnnotationKind::Purge => {
                    let name = recension::model::purged_name(&self.store.id(), entity);
                    if (found.kind, &found.entity, found.last) != (note.kind, &name, note.last) {
                        return failure(
                            "the feed is the commit order",
                            format!("{what}: {found:?} for {note:?}"),
                        );
                    }
                }
                (found, _) if gone => {
                    return failure(
                        "forgotten is forgotten",
                        format!("{what}: {found:?} of a purged entity"),
                    );
                }
                (ChangeKind::Revision(revision), Change::Rev(entity, rev)) => {
                    if rng.one_in(4) || !self.model.times.contains_key(&rev.sequence) {
                        self.revision(entity, revision, rev)?;
                    } else {
                        self.light(entity, revision, rev)?;
                    }
                    if change.commit_time != revision.commit_time() {
                        return failure(
                            "the feed is the commit order",
                            format!("{what}: commit time of {change:?}"),
                        );
                    }
                }
                (ChangeKind::Annotation(found), Change::Note(note)) => {
                    let same = found.entity.as_bytes() == &note.entity[..]
                        && (found.first, found.last, found.kind, found.fields)
                            == (note.first, note.last, note.kind, note.fields)
                        && found.actor == "crash"
                        && match note.kind.erases() {
                            true => found.reason == "a run",
                            false => found.reason == note.first.to_string(),
                        };
                    if !same {
                        return failure(
                            "the feed is the commit order",
                            format!("{what}: {found:?} for {note:?}"),
                        );
                    }
                }
                (found, wanted) => {
                    return failure(
                        "the feed is the commit order",
                        format!("{what}: {found:?} for {wanted:?}"),
                    );
                }
            }
        }
        if n < wanted.len() {
            return failure(
                "the feed is the commit order",
                format!("{what}: it ends after {n} of {}", wanted.len()),
            );
        }
        Ok(())
    }
}
