//! The group frames of a frame in the making.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::group::Member;
use super::record::{GroupPlaces, RecordDraft};
use super::unit::{UNIT_HEADER_LEN, put_table};
use super::unit_draft::GroupDraft;
use crate::model::Address;
use crate::{Error, Result};

/// A group, and where its contents are wanted.
#[derive(Debug)]
pub(super) struct FrameGroup {
    pub draft: Arc<GroupDraft>,
    /// Record and slot of the newest content.
    pub newest: (usize, u16),
    /// Its members, encoded.
    pub table: Vec<u8>,
    named: bool,
}

impl FrameGroup {
    /// Length of its unit.
    pub fn disk_len(&self) -> usize {
        UNIT_HEADER_LEN.saturating_add(self.table.len()).saturating_add(self.draft.stored.len())
    }
}

/// The groups of a frame, in the order in which its records name them.
#[derive(Debug, Default)]
pub(super) struct FrameGroups {
    pub groups: Vec<FrameGroup>,
    numbers: BTreeMap<*const GroupDraft, usize>,
}

// The pointers are only compared: they are names of the drafts that `groups` holds.
impl FrameGroups {
    /// # Errors
    /// `Invalid` if a content of a group is in no record, or not newest first: whoever made the groups made a mistake.
    pub fn gather(records: &[RecordDraft]) -> Result<Self> {
        let mut numbers = BTreeMap::new();
        let mut found: Vec<(Arc<GroupDraft>, Vec<Option<Member>>)> = Vec::new();
        for (record, draft) in records.iter().enumerate() {
            for (slot, unit) in draft.units().iter().enumerate() {
                let Some((group, member)) = &unit.group else { continue };
                let number = *numbers.entry(Arc::as_ptr(group)).or_insert(found.len());
                if number == found.len() {
                    found.push((Arc::clone(group), vec![None; usize::from(group.members)]));
                }
                let place =
                    found.get_mut(number).and_then(|(_, members)| members.get_mut(usize::from(*member)));
                // Where the first record will be is not known yet: the table says how far members are apart.
                let address = Address { sequence: record as u64, slot: slot as u16 };
                let content = Member { address, raw_len: unit.raw_len, raw_crc: unit.raw_crc };
                if let Some(place) = place {
                    *place = Some(content);
                }
            }
        }
        let mut groups = Vec::with_capacity(found.len());
        for (draft, members) in found {
            let whole: Option<Vec<Member>> = members.into_iter().collect();
            let whole = whole.ok_or_else(|| Error::invalid("internal: a group lacks a content"))?;
            let order = |member: &Member| (u64::MAX - member.address.sequence, member.address.slot);
            if !whole.is_sorted_by_key(order) {
                return Err(Error::invalid("internal: a group that is not newest first"));
            }
            let newest = whole.first().map_or((0, 0), |it| (it.address.sequence as usize, it.address.slot));
            groups.push(FrameGroup { draft, newest, table: put_table(&whole), named: false });
        }
        Ok(Self { groups, numbers })
    }

    /// The number of a group.
    pub fn number(&self, group: &Arc<GroupDraft>) -> Option<usize> {
        self.numbers.get(&Arc::as_ptr(group)).copied()
    }

    /// Bytes of all their units.
    pub fn disk_len(&self) -> u64 {
        self.groups.iter().map(|group| group.disk_len() as u64).sum()
    }
}

impl GroupPlaces for FrameGroups {
    fn place(&mut self, group: &Arc<GroupDraft>) -> (u64, Option<u64>) {
        let number = self.number(group).unwrap_or_default();
        let Some(group) = self.groups.get_mut(number) else { return (0, None) };
        let new = !std::mem::replace(&mut group.named, true);
        (number as u64, new.then_some(group.disk_len() as u64))
    }
}
