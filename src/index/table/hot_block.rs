//! Hot blocks in memory. The bytes are drawn in [`super::hot`].

use super::column::{Column, read_column, unbiased};
use super::hot::{EFFECTIVE_CHAINED, EFFECTIVE_FROM_COMMIT, ELSEWHERE, NONE, OWN};
use crate::cache::Cached;
use crate::codec::{Malformed, Reader};
use crate::model::{Address, Bound, ContentRef, Flags, RevisionKind, Row};

fn unzigzag(n: u64) -> u64 {
    (n >> 1) ^ (n & 1).wrapping_neg()
}

/// `a` from `b` and `gap(b, a)`.
fn ungap(b: u64, gap: u64) -> u64 {
    b.wrapping_sub(unzigzag(gap))
}

/// A decoded block.
#[derive(Clone, Debug)]
pub(super) struct HotBlock {
    rows: usize,
    number: Column,
    sequence: Column,
    commit_rest: Column,
    commit_time: Column,
    effective_time: Column,
    /// 0 for none, else 1; and zigzag(effective − authored).
    authored: Column,
    authored_gap: Column,
    parent: Column,
    kind: Column,
    flags: Column,
    form: Column,
    len: Column,
    tag: Column,
    /// Row and address of each content of form 2, rows ascending.
    elsewhere: Box<[(u32, Address)]>,
    /// Row at which each run (or its continuation) starts.
    starts: Box<[u32]>,
}

struct Decoder<'a> {
    reader: Reader<'a>,
    rows: usize,
    /// Rows of each run in the block.
    runs: Vec<u64>,
}

impl Decoder<'_> {
    fn column(&mut self) -> Result<Vec<u64>, Malformed> {
        read_column(&mut self.reader, self.rows)
    }

    fn below(&mut self, max: u64, expected: &'static str) -> Result<Vec<u64>, Malformed> {
        let values = self.column()?;
        if values.iter().any(|v| *v > max) { Err(self.reader.malformed(expected)) } else { Ok(values) }
    }

    fn chained(&mut self, less: u64) -> Result<Vec<u64>, Malformed> {
        self.firsts_and_steps(|newer, step| newer.checked_sub(step)?.checked_sub(less))
    }

    fn firsts_and_steps(&mut self, older: impl Fn(u64, u64) -> Option<u64>) -> Result<Vec<u64>, Malformed> {
        let firsts = read_column(&mut self.reader, self.runs.len())?;
        let steps = read_column(&mut self.reader, self.rows.saturating_sub(self.runs.len()))?;
        let mut steps = steps.into_iter();
        let mut values = Vec::with_capacity(self.rows);
        for (first, run) in firsts.into_iter().zip(&self.runs) {
            let mut last = first;
            values.push(last);
            for _ in 1..*run {
                let bad = self.reader.malformed("steps that stay above 0");
                last = steps.next().and_then(|step| older(last, step)).ok_or(bad)?;
                values.push(last);
            }
        }
        Ok(values)
    }

    fn effective(&mut self, commit: &[u64]) -> Result<Vec<u64>, Malformed> {
        match self.reader.u8("the form of the effective times")? {
            EFFECTIVE_FROM_COMMIT => {
                let gaps = self.column()?;
                Ok(commit.iter().zip(gaps).map(|(commit, gap)| ungap(*commit, gap)).collect())
            }
            EFFECTIVE_CHAINED => self.chained(0),
            _ => Err(self.reader.malformed("a known form of effective times")),
        }
    }

    /// Presence, and gaps widened to all rows.
    fn authored(&mut self) -> Result<(Vec<u64>, Vec<u64>), Malformed> {
        let given = self.below(1, "whether there is an authored time")?;
        let count = given.iter().filter(|given| **given == 1).count();
        let mut gaps = read_column(&mut self.reader, count)?.into_iter();
        let widened =
            given.iter().map(|given| if *given == 1 { gaps.next().unwrap_or(0) } else { 0 }).collect();
        Ok((given, widened))
    }

    fn parents(&mut self, numbers: &[u64]) -> Result<Vec<u64>, Malformed> {
        let gaps = self.column()?;
        let mut parents = Vec::with_capacity(self.rows);
        let mut at = 0_usize;
        for run in &self.runs {
            for left in (0..*run).rev() {
                let (number, next) = (numbers.get(at), numbers.get(at.saturating_add(1)));
                let expected = if left > 0 { next.copied() } else { number.map(|n| n.wrapping_sub(1)) };
                let parent = expected.zip(gaps.get(at)).map(|(expected, gap)| ungap(expected, *gap));
                parents.push(parent.unwrap_or(0));
                at = at.saturating_add(1);
            }
        }
        Ok(parents)
    }

    fn elsewhere(&mut self, forms: &[u64], sequences: &[u64]) -> Result<Vec<(u32, Address)>, Malformed> {
        let rows = forms.iter().zip(sequences).zip(0_u32..);
        let rows: Vec<_> = rows.filter(|((form, _), _)| **form == ELSEWHERE).collect();
        let distances = read_column(&mut self.reader, rows.len())?;
        let slots = read_column(&mut self.reader, rows.len())?;
        let addresses = rows.into_iter().zip(distances.into_iter().zip(slots));
        addresses
            .map(|(((_, sequence), row), (distance, slot))| {
                let slot = u16::try_from(slot).map_err(|_| self.reader.malformed("a slot number"))?;
                Ok((row, Address { sequence: ungap(*sequence, distance), slot }))
            })
            .collect()
    }

    fn tags(&mut self, forms: &[u64]) -> Result<Vec<u64>, Malformed> {
        forms.iter().map(|form| if *form == NONE { Ok(0) } else { self.reader.u64("a digest tag") }).collect()
    }
}

/// Decodes a block of exactly `rows` rows.
pub(super) fn decode_hot(bytes: &[u8], rows: usize) -> Result<HotBlock, Malformed> {
    let mut reader = Reader::new(bytes);
    if reader.varint("how many rows")? != rows as u64 || rows == 0 {
        return Err(reader.malformed("as many rows as the index says"));
    }
    let count = reader.varint_max(rows as u64, "how many runs")? as usize;
    let runs = read_column(&mut reader, count)?;
    let total = runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(*run).filter(|_| *run > 0));
    if total != Some(rows as u64) {
        return Err(reader.malformed("runs that add up to the rows"));
    }
    let starts = runs.iter().scan(0_u64, |at, run| {
        let start = *at as u32;
        *at = at.saturating_add(*run);
        Some(start)
    });
    let starts = starts.collect();
    let mut decoder = Decoder { reader, rows, runs };
    let number = decoder.chained(1)?;
    let sequence = decoder.chained(1)?;
    let commit_rest = decoder.below(u64::from(u32::MAX), "a commit's rest")?;
    let commit_time = decoder.chained(0)?;
    let effective_time = decoder.effective(&commit_time)?;
    let (authored, authored_gap) = decoder.authored()?;
    let parent = decoder.parents(&number)?;
    let kind = decoder.below(u64::from(u8::MAX), "a revision kind")?;
    if kind.iter().any(|kind| RevisionKind::from_u8(*kind as u8).is_none()) {
        return Err(decoder.reader.malformed("a known revision kind"));
    }
    let flags = decoder.below(u64::from(u16::MAX), "flags")?;
    let form = decoder.below(ELSEWHERE, "a content form")?;
    let len = decoder.firsts_and_steps(|newer, step| Some(ungap(newer, step)))?;
    if len.iter().any(|len| *len > u64::from(u32::MAX)) {
        return Err(decoder.reader.malformed("content lengths below 4 GiB"));
    }
    let elsewhere = decoder.elsewhere(&form, &sequence)?;
    let tag = decoder.tags(&form)?;
    decoder.reader.end("nothing behind the tags")?;
    Ok(HotBlock {
        rows,
        number: Column::new(number),
        sequence: Column::new(sequence),
        commit_rest: Column::new(commit_rest),
        commit_time: Column::new(commit_time),
        effective_time: Column::new(effective_time),
        authored: Column::new(authored),
        authored_gap: Column::new(authored_gap),
        parent: Column::new(parent),
        kind: Column::new(kind),
        flags: Column::new(flags),
        form: Column::new(form),
        len: Column::new(len),
        tag: Column::new(tag),
        elsewhere: elsewhere.into(),
        starts,
    })
}

/// What decides whether a row is inside a [`Bound`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RowKey {
    pub(super) number: u64,
    /// Sequence number of the last change of its commit.
    pub(super) commit_end: u64,
    pub(super) commit_time: i64,
    pub(super) effective_time: i64,
}

impl RowKey {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            number: row.number,
            commit_end: row.sequence.saturating_add(u64::from(row.commit_rest)),
            commit_time: row.commit_time,
            effective_time: row.effective_time,
        }
    }

    /// The same answer as [`Bound::admits`].
    pub(super) fn inside(&self, bound: &Bound) -> bool {
        self.commit_end <= bound.sequence
            && self.number <= bound.number
            && self.commit_time <= bound.commit_time
            && self.effective_time <= bound.effective_time
    }
}

impl HotBlock {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Rows at which a run or the continuation of one starts.
    pub(super) fn starts(&self) -> &[u32] {
        &self.starts
    }

    pub(super) fn key(&self, row: usize) -> RowKey {
        RowKey {
            number: self.number.get(row),
            commit_end: self.sequence.get(row).saturating_add(self.commit_rest.get(row)),
            commit_time: unbiased(self.commit_time.get(row)),
            effective_time: unbiased(self.effective_time.get(row)),
        }
    }

    /// The first (newest) row of `from..to` inside the bound, `to` if there is none. The rows are of one run.
    pub(super) fn search(&self, from: usize, to: usize, bound: &Bound) -> usize {
        let (mut low, mut high) = (from, to);
        // The newest is asked for most often.
        if low < high && self.key(low).inside(bound) {
            return low;
        }
        while low < high {
            let middle = low.midpoint(high);
            if self.key(middle).inside(bound) { high = middle } else { low = middle.saturating_add(1) }
        }
        low
    }

    /// A row, without its cold fields.
    pub(super) fn row(&self, row: usize) -> Row {
        let sequence = self.sequence.get(row);
        let effective = self.effective_time.get(row);
        let address = match self.form.get(row) {
            NONE => None,
            OWN => Some(Address { sequence, slot: 0 }),
            _ => {
                let at = self.elsewhere.binary_search_by_key(&row, |(row, _)| *row as usize);
                at.ok().and_then(|at| self.elsewhere.get(at)).map(|(_, address)| *address)
            }
        };
        let authored = self.authored.get(row) == 1;
        let len = self.len.get(row) as u32;
        Row {
            number: self.number.get(row),
            parent: self.parent.get(row),
            sequence,
            commit_rest: self.commit_rest.get(row) as u32,
            commit_time: unbiased(self.commit_time.get(row)),
            authored_time: authored.then(|| unbiased(ungap(effective, self.authored_gap.get(row)))),
            effective_time: unbiased(effective),
            // Every kind was checked when the block was decoded.
            kind: RevisionKind::from_u8(self.kind.get(row) as u8).unwrap_or(RevisionKind::Put),
            flags: Flags(self.flags.get(row) as u16),
            content: address.map(|address| ContentRef { address, len, tag: self.tag.get(row) }),
            cold: bytes::Bytes::new(),
        }
    }
}

impl Cached for HotBlock {
    fn weight(&self) -> usize {
        let columns = [
            &self.number,
            &self.sequence,
            &self.commit_rest,
            &self.commit_time,
            &self.effective_time,
            &self.authored,
            &self.authored_gap,
            &self.parent,
            &self.kind,
            &self.flags,
            &self.form,
            &self.len,
            &self.tag,
        ];
        let columns: usize = columns.into_iter().map(Column::weight).sum();
        size_of::<Self>() + columns + size_of_val(&*self.elsewhere) + size_of_val(&*self.starts)
    }
}
