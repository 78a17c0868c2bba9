//! Committing what was made out, some entities at a time.

use std::sync::Arc;
use std::time::Duration;

use super::interrupted::last_of;
use super::{ErasureMode, Forgot};
use crate::model::{Annotation, AnnotationKind, Entity, Erasure, Expect, FieldMask, Row};
use crate::store::Progress;
use crate::store::draft::{Batch, Durability, Op};
use crate::store::inner::Inner;
use crate::{Error, Result};

/// Most changes of one commit.
const COMMIT_MAX: usize = 512;
/// How often an entity is made out again that is being written to meanwhile.
const TRIES: u32 = 100;

/// Revision numbers, both inclusive, and what is to be forgotten of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub first: u64,
    pub last: u64,
    pub fields: FieldMask,
}

/// The ranges of an entity that are to be forgotten, and the head that they were made out with.
pub(crate) struct Planned {
    entity: Entity,
    head: u64,
    head_sequence: u64,
    ranges: Vec<Span>,
    revisions: u64,
}

impl Planned {
    /// `None` if there is nothing to be done.
    pub(super) fn new(entity: &Entity, head: &Row, ranges: Vec<Span>, revisions: u64) -> Option<Self> {
        let (head, head_sequence) = (head.number, head.sequence);
        (revisions > 0).then(|| Self { entity: entity.clone(), head, head_sequence, ranges, revisions })
    }
}

/// One call, however many commits it takes.
pub(super) struct Job<'a> {
    inner: &'a Arc<Inner>,
    plan: &'a dyn Fn(&Entity) -> Result<Option<Planned>>,
    /// What every change of it says; entity and range are filled in.
    word: Annotation,
    mode: ErasureMode,
    commit_max: usize,
    /// Planned and not committed.
    held: Vec<Planned>,
    /// The last change that was committed said that more follows.
    open: Option<(Entity, Span)>,
    report: Forgot,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        inner: &'a Arc<Inner>,
        kind: AnnotationKind,
        fields: FieldMask,
        mode: ErasureMode,
        (actor, reason): (String, String),
        time: i64,
        plan: &'a dyn Fn(&Entity) -> Result<Option<Planned>>,
    ) -> Result<Self> {
        let (job, open) = match mode {
            ErasureMode::Resume(job) => {
                let Annotation { entity, first, last, fields, .. } =
                    last_of(&inner.erasures(), job, kind)?.annotation;
                // If nothing is left to be done, the end is still to be said.
                (job, Some((entity, Span { first, last, fields })))
            }
            _ => (inner.env.rng.next_u64().max(1), None),
        };
        let erasure = Some(Erasure { job, more: true, time });
        // Filled in for each range.
        let entity = crate::model::purged_name(&inner.store, b"");
        let word = Annotation { entity, first: 1, last: 1, kind, fields, actor, reason, erasure };
        let commit_max = COMMIT_MAX.min(inner.options.limits.segment_records as usize / 4).max(1);
        Ok(Self { inner, plan, word, mode, commit_max, held: Vec::new(), open, report: Forgot::default() })
    }

    pub(super) fn run(
        mut self,
        entities: impl Iterator<Item = Result<Entity>>,
        progress: &mut Progress<'_>,
    ) -> Result<Forgot> {
        self.inner.check_writable()?;
        for (done, entity) in entities.enumerate() {
            if done % 64 == 0 {
                progress.step("entities", done as u64, 0)?;
            }
            let Some(planned) = (self.plan)(&entity?)? else { continue };
            self.take(planned)?;
        }
        let held = std::mem::take(&mut self.held);
        self.commit(held, false)?;
        if let Some((entity, range)) = self.open.take() {
            // The end was to be said by a change that was not needed any more: say it again.
            let batch = vec![self.change(&entity, range, false)];
            self.send(batch)?;
        }
        Ok(self.report)
    }

    /// Commits what is held when that is enough, but never the last of it: the last change of a job says so.
    fn take(&mut self, mut planned: Planned) -> Result<()> {
        if self.mode == ErasureMode::Preview {
            self.count(&planned);
            return Ok(());
        }
        while planned.ranges.len() > self.commit_max {
            let rest = planned.ranges.split_off(self.commit_max);
            let part = Planned {
                ranges: std::mem::replace(&mut planned.ranges, rest),
                revisions: 0,
                ..planned.clone_head()
            };
            self.take_part(part)?;
        }
        self.take_part(planned)
    }

    fn take_part(&mut self, part: Planned) -> Result<()> {
        let changes: usize = self.held.iter().map(|held| held.ranges.len()).sum();
        if changes + part.ranges.len() > self.commit_max && !self.held.is_empty() {
            probe!("forget: several commits");
            let held = std::mem::replace(&mut self.held, vec![part]);
            return self.commit(held, true);
        }
        self.held.push(part);
        Ok(())
    }

    fn count(&mut self, planned: &Planned) {
        self.report.revisions += planned.revisions;
        self.report.entities += u64::from(planned.revisions > 0);
    }

    fn change(&self, entity: &Entity, span: Span, more: bool) -> Op {
        let Span { first, last, fields } = span;
        let erasure = self.word.erasure.map(|erasure| Erasure { more, ..erasure });
        let annotation =
            Annotation { entity: entity.clone(), first, last, fields, erasure, ..self.word.clone() };
        Op::Annotate { entity: entity.clone(), annotation }
    }

    fn commit(&mut self, planned: Vec<Planned>, more: bool) -> Result<()> {
        if planned.is_empty() {
            return Ok(());
        }
        match self.attempt(&planned, more) {
            Err(Error::Conflict { .. }) if planned.len() > 1 => {
                let last = planned.len() - 1;
                for (i, one) in planned.into_iter().enumerate() {
                    self.commit(vec![one], more || i < last)?;
                }
                Ok(())
            }
            Err(Error::Conflict { .. }) => {
                probe!("forget: made out again");
                self.again(planned, more)
            }
            other => other,
        }
    }

    /// Somebody wrote to the entity: what is meant is made out anew.
    fn again(&mut self, planned: Vec<Planned>, more: bool) -> Result<()> {
        for entity in planned.into_iter().map(|planned| planned.entity) {
            let mut tries = 0;
            while let Some(mut anew) = (self.plan)(&entity)? {
                if anew.ranges.len() > self.commit_max {
                    // The rest is made out when these are done.
                    anew.ranges.truncate(self.commit_max);
                    anew.revisions = 0;
                    match self.attempt(&[anew], true) {
                        Err(Error::Conflict { .. }) => {}
                        other => {
                            other?;
                            continue;
                        }
                    }
                } else {
                    match self.attempt(&[anew], more) {
                        Err(Error::Conflict { .. }) => {}
                        other => {
                            other?;
                            break;
                        }
                    }
                }
                tries += 1;
                if tries == TRIES {
                    return Err(Error::Busy {
                        reason: "an entity of which something is to be forgotten is written to all the time",
                        retry_after: Duration::from_millis(100),
                    });
                }
            }
        }
        Ok(())
    }

    fn attempt(&mut self, planned: &[Planned], more: bool) -> Result<()> {
        let mut ops = Vec::new();
        let mut last = None;
        for one in planned {
            let expect = Expect::Head(one.head);
            if !planted!("forget without a guard") {
                ops.push(Op::Guard { entity: one.entity.clone(), expect, sequence: Some(one.head_sequence) });
            }
            for range in &one.ranges {
                ops.push(self.change(&one.entity, *range, true));
                last = Some((one.entity.clone(), *range));
            }
        }
        if !more && let (Some(op), Some((entity, range))) = (ops.last_mut(), &last) {
            *op = self.change(entity, *range, false);
        }
        self.send(ops)?;
        planned.iter().for_each(|one| self.count(one));
        self.open = last.filter(|_| more);
        Ok(())
    }

    fn send(&mut self, ops: Vec<Op>) -> Result<()> {
        let committed = self.inner.commit(Batch { ops, ..Batch::new() }, Durability::Sync)?;
        self.report.sequence = committed.sequence;
        self.report.commits += 1;
        self.report.job = self.word.erasure.unwrap_or_default().job;
        Ok(())
    }
}

impl Planned {
    fn clone_head(&self) -> Self {
        Self {
            entity: self.entity.clone(),
            head: self.head,
            head_sequence: self.head_sequence,
            ranges: Vec::new(),
            revisions: 0,
        }
    }
}
