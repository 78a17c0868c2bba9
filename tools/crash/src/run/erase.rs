//! Forgetting, retention and purging: made out by the model, done by the store, and the answers compared.

use super::*;
use crate::model::erase::Wanted;
use crate::script::{By, Sharing};
use recension::{AnnotationKind, Digest, EntityRange, ErasureMode, FieldMask, Forgetting, Forgot, Progress};

/// Which revisions of which entities are meant.
type Meant<'a> = Box<dyn Fn(&[u8], &crate::model::Rev) -> bool + 'a>;

/// So many newer revisions are left out.
const SPARED: usize = 3;

impl World {
    pub(super) fn erase(&mut self, op: &Op) -> Done {
        // What is in flight may or may not be there yet when it is made out what is meant. Where numbers say it, it is made out again.
        if !self.may_be_early(op) || self.rng().one_in(2) {
            self.wait_all()?;
            // Nobody waits for dropped tickets: what they stand for comes when somebody works on it.
            self.machine.jobs.run_until_idle(100);
            if self.store().published() < self.model.end() {
                return Ok(());
            }
        }
        match op {
            Op::Forget { entity, back, fields } => self.forget(*entity, *back, *fields),
            Op::ForgetAll { like, by, fields, sharing } => {
                self.forget_all(*like, *by, FieldMask(*fields), *sharing)
            }
            Op::Retain { keep, back, fields } => {
                self.retain(usize::from(*keep), usize::from(*back), FieldMask(*fields))
            }
            Op::Purge { entity, expect } => self.purge(*entity, *expect),
            _ => Ok(()),
        }
    }

    /// Whether numbers say what is meant, and some of that is published already.
    fn may_be_early(&self, op: &Op) -> bool {
        let Op::Forget { entity: n, back, fields } = op else { return false };
        if fields & 64 != 0 {
            return false;
        }
        let (name, published) = (entity(*n), self.store().published());
        let revs = self.model.standing(&name);
        let meant = revs.get(revs.len().saturating_sub(usize::from(*back) + 1)..).unwrap_or_default();
        meant.iter().any(|rev| {
            let gone = self.model.forgotten(&name, rev.number, u64::MAX);
            rev.sequence + u64::from(rev.rest) <= published && !gone.contains(FieldMask(fields & 15))
        })
    }

    /// Destroys fields of an entity's newest revisions.
    fn forget(&mut self, n: u8, back: u8, bits: u8) -> Done {
        let fields = FieldMask(bits & 15);
        let sharing = match bits >> 4 & 3 {
            1 => Sharing::Include,
            2 => Sharing::Refuse,
            _ => Sharing::Leave,
        };
        let name = entity(n);
        if self.model.at(&name, self.store().published()).is_empty() {
            return Ok(());
        }
        let revs = self.model.standing(&name);
        let spared = if bits & 64 != 0 { revs.len().saturating_sub(1).min(SPARED) } else { 0 };
        let revs = revs.get(..revs.len().saturating_sub(spared)).unwrap_or_default();
        let Some(first) = revs.get(revs.len().saturating_sub(usize::from(back) + 1)) else { return Ok(()) };
        let first = first.number;
        let last = revs.last().map_or(first, |rev| rev.number);
        let wanted = self.model.wanted(&name, fields, sharing, |rev| (first..=last).contains(&rev.number));
        let what = Forgetting::revisions(&name, first, last);
        self.forget_what(what, wanted.map(|wanted| wanted.into_iter().collect()), fields, sharing)
    }

    /// By author or digest, everywhere.
    fn forget_all(&mut self, like: u8, by: By, fields: FieldMask, sharing: Sharing) -> Done {
        let Some(rev) = self.model.newest(&entity(like)).cloned() else { return Ok(()) };
        let model = &self.model;
        let (what, meant): (_, Meant<'_>) = match by {
            By::Author => {
                let Some(author) = rev.author.clone() else { return Ok(()) };
                let what = Forgetting::author(&author);
                let meant = move |name: &[u8], rev: &crate::model::Rev| {
                    let gone = model.forgotten(name, rev.number, u64::MAX).contains(FieldMask::AUTHOR);
                    rev.author.as_ref() == Some(&author) && !gone
                };
                (what, Box::new(meant))
            }
            By::Digest => {
                let Some(content) = rev.content.clone() else { return Ok(()) };
                let what = Forgetting::digest(Digest::of(&content));
                (what, Box::new(move |name, rev| model.has_content(name, rev, &content)))
            }
        };
        let wanted: Result<Vec<Option<Wanted>>, u64> = model
            .entities
            .keys()
            .map(|name| model.wanted(name, fields, sharing, |rev| meant(name, rev)))
            .collect();
        let wanted = wanted.map(|wanted| wanted.into_iter().flatten().collect());
        drop(meant);
        self.coverage.count(match by {
            By::Author => "forgetting by author",
            By::Digest => "forgetting by digest",
        });
        self.forget_what(what, wanted, fields, sharing)
    }

    fn forget_what(
        &mut self,
        what: Forgetting,
        wanted: Result<Vec<Wanted>, u64>,
        fields: FieldMask,
        sharing: Sharing,
    ) -> Done {
        let sharing = match sharing {
            Sharing::Refuse => recension::Sharing::Refuse,
            Sharing::Include => recension::Sharing::Include,
            Sharing::Leave => recension::Sharing::Leave,
        };
        let what = what.fields(fields).sharing(sharing).actor("crash").reason("a run");
        let was_latched = self.latched;
        let result = self.store().forget(&what, &mut Progress::none());
        match (wanted, result) {
            (Ok(wanted), result) => self.erased(AnnotationKind::Forget, &wanted, result, was_latched),
            (Err(others), Err(Error::Shared { count, .. })) if count == others => {
                self.coverage.count("shared contents refused");
                Ok(())
            }
            (Err(_), Err(error)) if !matches!(error, Error::Shared { .. }) => {
                self.excused("a commit", &error)
            }
            (Err(others), result) => failure(
                "every call is answered as the commits before it say",
                format!("{result:?} instead of {others} revisions that share: {what:?}"),
            ),
        }
    }

    fn retain(&mut self, keep: usize, back: usize, fields: FieldMask) -> Done {
        // Commit times have to be known.
        let mut rng = self.rng();
        self.with_oracle(|oracle| oracle.feed(0, &mut rng)).or_else(excuse)?;
        let unknown = |rev: &std::sync::Arc<crate::model::Rev>| !self.model.times.contains_key(&rev.sequence);
        let names: Vec<Bytes> = self.model.entities.keys().cloned().collect();
        if names.iter().any(|name| self.model.standing(name).iter().any(unknown)) || self.over {
            return Ok(());
        }
        let before = self.model.times.values().rev().nth(back).map_or(i64::MAX, |times| times.0);
        let wanted: Vec<Wanted> =
            names.iter().filter_map(|name| self.model.superseded(name, before, keep, fields)).collect();
        let retention = recension::Retention {
            range: EntityRange::default(),
            superseded_before: recension::Timestamp(before),
            keep_older: keep as u64,
            fields,
            mode: ErasureMode::Do,
            actor: "crash".into(),
            reason: "a run".into(),
        };
        let was_latched = self.latched;
        let result = self.store().retain(&retention, &mut Progress::none());
        if !wanted.is_empty() && result.is_ok() {
            self.coverage.count("retention");
        }
        self.erased(AnnotationKind::Retain, &wanted, result, was_latched)
    }

    /// Compares what a job says, and takes it into the model.
    fn erased(
        &mut self,
        kind: AnnotationKind,
        wanted: &[Wanted],
        result: recension::Result<Forgot>,
        was_latched: bool,
    ) -> Done {
        let most = (self.limits().segment_records as usize / 4).clamp(1, 512);
        let commits = self.model.job(kind, wanted, most);
        let (n, end) = (commits.len() as u64, commits.last().map_or(0, crate::model::Commit::last));
        let published = self.store().published();
        for commit in commits {
            let unknown = matches!(&result, Err(error) if error.kind() == ErrorKind::Latched) && !was_latched;
            if result.is_ok() || unknown || commit.last() <= published {
                self.model.reserve(commit);
            }
        }
        let revisions = wanted.iter().map(|wanted| wanted.revisions).sum::<u64>();
        match result {
            Ok(report)
                if (report.sequence, report.commits, report.revisions) != (end, n, revisions)
                    || report.entities != wanted.len() as u64 =>
            {
                let what =
                    format!("{report:?}, but {revisions} revisions in {n} commits up to {end} are meant");
                failure("every call is answered as the commits before it say", what)
            }
            Ok(report) => {
                self.note(report.sequence);
                self.coverage.count(if end > 0 { "forgotten" } else { "nothing to forget" });
                if end > 0 {
                    self.model.observe(end, end);
                    self.histories.synced();
                }
                Ok(())
            }
            Err(error) => self.excused("a commit", &error),
        }
    }

    fn purge(&mut self, n: u8, want: Want) -> Done {
        let name = entity(n);
        let expect = send::expected(want, &name, &self.model);
        let sent = Sent { entity: name.clone(), expect, what: SentWhat::Purge };
        let batch = SentBatch { changes: vec![sent], request: None, run: false, sync: true };
        let predicted = self.model.predict(&batch);
        let was_latched = self.latched;
        let call = self.begin(&batch);
        let result = self.store().purge(&name, expect, "crash", "a run");
        self.ended(call, &batch, &result);
        if let Predicted::Commit(commit, _) = &predicted {
            let unknown = matches!(&result, Err(error) if error.kind() == ErrorKind::Latched) && !was_latched;
            if result.is_ok() || unknown {
                self.model.reserve(commit.clone());
                self.coverage.count("purge");
            }
        }
        self.answered(&batch, &predicted, result, false)
    }
}
