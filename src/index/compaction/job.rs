//! What a compaction reads, where it writes, and what nobody else may touch meanwhile.

use std::sync::Arc;

use bytes::Bytes;

use crate::codec::FileId;
use crate::index::Source;
use crate::index::annotations::AnnotationSource;
use crate::index::levels::{KEYSPACE_ANNOTATIONS, KEYSPACE_REVISIONS, Leveled, Levels, total};
use crate::manifest::TableInfo;

/// A rectangle of levels and keys that one job owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of which keyspace.
    pub keyspace: u16,
    /// The newest level read.
    pub from: u8,
    /// The level written; all levels between belong to the job too.
    pub to: u8,
    /// Smallest key of all inputs.
    pub first: Bytes,
    /// Largest key of all inputs, inclusive.
    pub last: Bytes,
}

impl Claim {
    /// Whether two jobs would get in each other's way.
    pub fn conflicts(&self, other: &Self) -> bool {
        self.keyspace == other.keyspace
            && self.from <= other.to
            && other.from <= self.to
            && self.first <= other.last
            && other.first <= self.last
    }
}

/// The inputs of a job: groups newest first; within a group the tables are disjoint and ascending.
pub(super) type Groups<T> = Vec<Vec<Arc<Leveled<T>>>>;

#[derive(Clone)]
pub(super) enum Inputs {
    Revisions(Groups<dyn Source>),
    Annotations(Groups<dyn AnnotationSource>),
}

/// A compaction that has been decided on. It keeps its inputs open.
#[derive(Clone)]
pub struct CompactionJob {
    pub(super) inputs: Inputs,
    pub(super) target: u8,
    pub(super) is_move: bool,
    pub(super) claim: Claim,
}

impl CompactionJob {
    pub(super) fn new(inputs: Inputs, target: u8, is_move: bool) -> Option<Self> {
        let infos: Vec<_> = infos(&inputs).collect();
        let claim = Claim {
            keyspace: keyspace(&inputs),
            from: infos.iter().map(|info| info.level).min()?,
            to: target,
            first: infos.iter().map(|info| &info.first).min()?.clone(),
            last: infos.iter().map(|info| &info.last).max()?.clone(),
        };
        Some(Self { inputs, target, is_move, claim })
    }

    /// Writes one table anew where it is, so that what is forgotten is left out.
    pub fn rewrite(levels: &Levels, keyspace: u16, id: FileId) -> Option<Self> {
        let inputs = match keyspace {
            KEYSPACE_REVISIONS => {
                let table = levels.revisions.tables().find(|table| table.info.id == id)?;
                Inputs::Revisions(vec![vec![table.clone()]])
            }
            _ => {
                let table = levels.annotations.tables().find(|table| table.info.id == id)?;
                Inputs::Annotations(vec![vec![table.clone()]])
            }
        };
        let level = infos(&inputs).map(|info| info.level).next()?;
        Self::new(inputs, level, false)
    }

    /// What no other job may touch while this one runs.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The level that the outputs belong to.
    pub fn target(&self) -> u8 {
        self.target
    }

    /// Whether the inputs only change their level: nothing is read or written.
    pub fn is_move(&self) -> bool {
        self.is_move
    }

    /// The tables that it reads.
    pub fn inputs(&self) -> impl Iterator<Item = &TableInfo> {
        infos(&self.inputs)
    }

    /// File lengths of the inputs together: about what it reads and what it writes.
    pub fn bytes(&self) -> u64 {
        total(self.inputs().map(|info| info.len))
    }
}

impl std::fmt::Debug for CompactionJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inputs: Vec<_> = self.inputs().map(|info| (info.level, info.id.number)).collect();
        f.debug_struct("CompactionJob")
            .field("claim", &self.claim)
            .field("inputs", &inputs)
            .field("is_move", &self.is_move)
            .finish_non_exhaustive()
    }
}

fn keyspace(inputs: &Inputs) -> u16 {
    match inputs {
        Inputs::Revisions(_) => KEYSPACE_REVISIONS,
        Inputs::Annotations(_) => KEYSPACE_ANNOTATIONS,
    }
}

fn infos(inputs: &Inputs) -> Box<dyn Iterator<Item = &TableInfo> + '_> {
    match inputs {
        Inputs::Revisions(groups) => Box::new(groups.iter().flatten().map(|table| &table.info)),
        Inputs::Annotations(groups) => Box::new(groups.iter().flatten().map(|table| &table.info)),
    }
}
