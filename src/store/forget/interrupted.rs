//! Jobs that were interrupted: what was committed of them holds, and they go on under the same id.

use std::collections::BTreeMap;

use super::erasures::ViewErasures;
use crate::index::annotations::StoredAnnotation;
use crate::model::{AnnotationKind, FieldMask};
use crate::{Error, Result};

/// A forgetting that took several commits and was stopped between them: by Ctrl-C, a crash, an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InterruptedJob {
    /// Its id. The same call with [`ErasureMode::Resume`](super::ErasureMode::Resume) goes on with it.
    pub job: u64,
    /// What it does: forget, or retain.
    pub kind: AnnotationKind,
    /// What it destroys.
    pub fields: FieldMask,
    /// Who began it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The sequence number of its last change.
    pub sequence: u64,
}

/// The last change of each job, among those that are met.
#[derive(Default)]
pub(crate) struct Jobs(BTreeMap<u64, StoredAnnotation>);

impl Jobs {
    pub(crate) fn add(&mut self, stored: &StoredAnnotation) {
        let Some(erasure) = stored.annotation.erasure else { return };
        let last = self.0.entry(erasure.job).or_insert_with(|| stored.clone());
        if last.sequence < stored.sequence {
            *last = stored.clone();
        }
    }

    fn open(self) -> impl Iterator<Item = (u64, StoredAnnotation)> {
        let open = |stored: &StoredAnnotation| stored.annotation.erasure.is_some_and(|erasure| erasure.more);
        self.0.into_iter().filter(move |(_, last)| open(last))
    }

    /// Those whose last change says that more was to follow, by their last change.
    pub(crate) fn interrupted(self) -> Vec<InterruptedJob> {
        let job = |(job, last): (u64, StoredAnnotation)| InterruptedJob {
            job,
            kind: last.annotation.kind,
            fields: last.annotation.fields,
            actor: last.annotation.actor,
            reason: last.annotation.reason,
            sequence: last.sequence,
        };
        let mut jobs: Vec<_> = self.open().map(job).collect();
        jobs.sort_by_key(|job| job.sequence);
        jobs
    }
}

/// The last change of a job that is to go on.
pub(super) fn last_of(erasures: &ViewErasures, job: u64, kind: AnnotationKind) -> Result<StoredAnnotation> {
    let mut jobs = Jobs::default();
    erasures.erasing(0, &mut |stored| {
        jobs.add(&stored);
        Ok(())
    })?;
    let mut open: BTreeMap<u64, StoredAnnotation> = jobs.open().collect();
    open.retain(|_, last| last.annotation.kind == kind);
    open.remove(&job).ok_or_else(|| {
        let known: Vec<String> = open.keys().map(|job| format!("{job:016x}")).collect();
        let known =
            if known.is_empty() { "there is none".into() } else { format!("there are {}", known.join(", ")) };
        Error::invalid(format!(
            "{job:016x} is no job of this kind that was interrupted: {known}; see the erasure report"
        ))
    })
}
