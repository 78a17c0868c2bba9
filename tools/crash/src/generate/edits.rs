//! What is written.

use recension::sim::Prng;

use super::Maker;
use crate::script::{Edit, Op, Put, Want, What, Write};

impl Maker<'_> {
    pub(super) fn is_buffered(&mut self) -> bool {
        self.rng.below(100) < self.buffered
    }

    pub(super) fn entity(&mut self) -> u8 {
        self.rng.below(u64::from(self.entities)) as u8
    }

    pub(super) fn write(&mut self) -> Write {
        let n = if self.rng.one_in(5) { self.rng.below(6) + 2 } else { 1 };
        let run = n > 1 && self.rng.one_in(4);
        let request = !run && self.rng.one_in(8) && self.next_request < 250;
        let edits = (0..n)
            .map(|_| match self.rng.below(20) {
                _ if request => self.plain(),
                0 => Edit { entity: self.entity(), expect: self.want(), what: What::Require },
                1..3 => self.note(),
                _ => self.edit(),
            })
            .collect();
        let request = request.then(|| {
            self.next_request += 1;
            self.next_request - 1
        });
        Write { edits, sync: !self.is_buffered(), request, run }
    }

    fn note(&mut self) -> Edit {
        let (back, open) = (self.rng.below(4) as u8, self.rng.one_in(3));
        let fields = *self.rng.pick(&[1, 2, 4, 8, 15, 5]).unwrap_or(&1);
        let what = match self.rng.below(3) {
            0 => What::Show { back, open, fields },
            _ => What::Hide { back, open, fields },
        };
        let entity = self.entity();
        if let Some(put) = self.last.get(&entity)
            && self.rng.one_in(4)
        {
            // What was just hidden, once more.
            let what = What::Put(Put { if_changed: true, gap: 0, ..put.clone() });
            let edits = vec![Edit { entity, expect: Want::Any, what }];
            self.next = vec![Op::Commit(Write { edits, sync: true, request: None, run: false })];
        }
        Edit { entity, expect: Want::Any, what }
    }

    pub(super) fn want(&mut self) -> Want {
        match self.rng.below(12) {
            0 => Want::Absent,
            1 => Want::Stale,
            2 => Want::Future,
            3..8 => Want::Current,
            _ => Want::Any,
        }
    }

    /// An edit that mostly goes through and never depends on `if_changed`.
    pub(super) fn plain(&mut self) -> Edit {
        let what = match self.rng.below(8) {
            0 => What::Delete,
            _ => {
                let mut put = self.put();
                put.if_changed = false;
                What::Put(put)
            }
        };
        let expect = if self.rng.one_in(2) { Want::Current } else { Want::Any };
        Edit { entity: self.entity(), expect, what }
    }

    fn edit(&mut self) -> Edit {
        let what = match self.rng.below(20) {
            0..2 => What::Delete,
            2 => What::Undelete,
            3..5 => What::Revert { back: self.rng.below(4) as u8, if_changed: self.rng.one_in(4) },
            5 => What::Withheld,
            _ => What::Put(self.put()),
        };
        let entity = self.entity();
        if let What::Put(put) = &what {
            self.last.insert(entity, put.clone());
        }
        Edit { entity, expect: self.want(), what }
    }

    fn put(&mut self) -> Put {
        let again = self.rng.one_in(5) && self.next_content > 1;
        let id = match again {
            true => self.next_content - 1 - self.rng.below(u64::from(self.next_content.min(3) - 1)) as u32,
            false => {
                self.next_content += 1;
                self.next_content - 1
            }
        };
        // A function of the id, so that contents can be equal.
        let mut lens = Prng::new(u64::from(id) ^ self.large << 40);
        let len = match lens.below(100) {
            n if n < self.large => 9_000 + lens.below(20_000),
            0..10 => 0,
            10..80 => lens.below(300),
            _ => lens.below(3000),
        };
        Put {
            id,
            len: len as u32,
            if_changed: self.rng.one_in(6),
            meta: if self.rng.one_in(3) { 0 } else { self.rng.next_u64() as u8 },
            authored: self.rng.one_in(4).then(|| {
                *self
                    .rng
                    .pick(&[-1_000_000_000, 0, 5, 1_000_000, 3_600_000_000, 200_000_000_000])
                    .unwrap_or(&0)
            }),
            gap: if self.rng.one_in(10) { self.rng.below(5) as u8 + 1 } else { 0 },
            slots: if self.rng.one_in(12) { self.rng.below(3) as u8 } else { 0 },
        }
    }
}
