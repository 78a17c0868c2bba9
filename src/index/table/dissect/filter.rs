//! Filters: whether they know what is in the table, and how often they are wrong about what is not.

use super::{FilterSurvey, Walk};
use crate::Result;
use crate::index::filter::Filter;
use crate::index::table::frame::{BlockAt, BlockKind};
use crate::index::{annotations, entity_hash};

/// Probes of a filter with hashes of nobody, at most,
const PROBES: u64 = 20_000;
/// and so many for each hash in it: a small table is not asked for longer than it is read.
const PROBES_FOR_EACH: u64 = 16;

impl Walk<'_> {
    pub(super) fn filter(&mut self, at: Option<BlockAt>) -> Result<()> {
        let Some(at) = at else { return Ok(()) };
        let Some(filter) = self.load_filter(Some(at))? else { return Ok(()) };
        let mut survey =
            FilterSurvey { count: filter.count(), bytes: u64::from(at.len), ..FilterSurvey::default() };
        let mut name = *b"\0nobody has this name\0........";
        let number = name.len() - size_of::<u64>();
        for n in 0..PROBES.min(u64::from(survey.count).saturating_mul(PROBES_FOR_EACH)) {
            if let Some(number) = name.get_mut(number..) {
                number.copy_from_slice(&n.to_le_bytes());
            }
            survey.absent = survey.absent.saturating_add(1);
            survey.false_positives =
                survey.false_positives.saturating_add(u64::from(filter.contains(entity_hash(&name))));
        }
        self.out.filter = Some(survey);
        Ok(())
    }

    pub(in crate::index) fn load_filter(&self, at: Option<BlockAt>) -> Result<Option<Filter>> {
        let Some(at) = at else { return Ok(None) };
        Ok(self.raw(BlockKind::Filter, at)?.ok().and_then(|raw| Filter::decode(&raw).ok()))
    }

    /// Counts whether the filter knows an entity that is in the table; answers whether it does.
    pub(in crate::index) fn probe(&mut self, filter: Option<&Filter>, hash: u64) -> bool {
        let (Some(filter), Some(survey)) = (filter, &mut self.out.filter) else { return true };
        let known = filter.contains(hash);
        survey.present = survey.present.saturating_add(1);
        survey.false_negatives = survey.false_negatives.saturating_add(u64::from(!known));
        known
    }

    /// The hash that a key of a plain table has in its filter, where that is known.
    pub(in crate::index) fn key_hash(&self, key: &[u8]) -> Option<u64> {
        let keyspace = self.out.properties.as_ref()?.keyspace;
        if keyspace != crate::index::levels::KEYSPACE_ANNOTATIONS {
            return None;
        }
        annotations::decode_key(key).ok().map(|parts| entity_hash(parts.entity.as_bytes()))
    }
}
