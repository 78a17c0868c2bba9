//! A block of hot columns: what most reads of rows need.
//!
//! ```text
//! rows            varint
//! runs            varint, column: rows of each run in this block (a run may start in an earlier block or go on in a later one)
//! number          chained
//! sequence        chained
//! commit rest     column
//! commit time     chained, biased
//! effective form  u8   0: column of zigzag(commit − effective)   1: chained, biased
//! effective time
//! authored        column 0/1; column of zigzag(effective − authored) for the rows that have one
//! parent          column of zigzag(number of the next older row − parent); number − 1 where that is not in the block
//! kind            column
//! flags           column
//! content form    column: 0 none, 1 own bytes in slot 0, 2 elsewhere
//! length          column of the first of each run, column of zigzag(length of the next newer row − length)
//! elsewhere       column of zigzag(sequence − address sequence), column of slots, for the rows of form 2
//! tags            8 bytes for each row with a content
//! ```
//!
//! *Chained*: a column with the value of the first row of each run, and a column with the step down from one row to the next
//! older one (for number and sequence, less one: they never repeat). Rows of a run neighbour each other in time, so steps are
//! small; the jumps between runs stand apart and do not widen them. See [`super::column`] for the packing.

use super::column::{biased, put_column};
use crate::codec::{put_u64, put_varint, zigzag};
use crate::model::{Address, Row};

/// The hot part of a row, as the builder gathers it.
#[derive(Clone, Debug)]
pub(super) struct HotRow {
    /// Whether it is the newest row of its entity.
    pub(super) starts_run: bool,
    pub(super) row: Row,
}

pub(super) const EFFECTIVE_FROM_COMMIT: u8 = 0;
pub(super) const EFFECTIVE_CHAINED: u8 = 1;

/// zigzag(a − b), modulo 2^64: small for neighbours, exact for all.
fn gap(a: u64, b: u64) -> u64 {
    zigzag(a.wrapping_sub(b).cast_signed())
}

struct Encoder<'a> {
    rows: &'a [HotRow],
    /// Whether a row is the first of a run in this block.
    first: Vec<bool>,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn column(&mut self, value: impl Fn(usize, &Row) -> u64) {
        let values: Vec<u64> = self.rows.iter().enumerate().map(|(i, hot)| value(i, &hot.row)).collect();
        put_column(&mut self.out, &values);
    }

    fn chained(&self, less: u64, value: impl Fn(&Row) -> u64) -> Vec<u8> {
        self.firsts_and_steps(value, |newer, older| newer - older - less)
    }

    fn firsts_and_steps(&self, value: impl Fn(&Row) -> u64, step: impl Fn(u64, u64) -> u64) -> Vec<u8> {
        let (mut firsts, mut steps, mut last) = (Vec::new(), Vec::new(), 0);
        for (hot, first) in self.rows.iter().zip(&self.first) {
            let value = value(&hot.row);
            if *first {
                firsts.push(value)
            } else {
                steps.push(step(last, value))
            }
            last = value;
        }
        let mut out = Vec::new();
        put_column(&mut out, &firsts);
        put_column(&mut out, &steps);
        out
    }

    fn effective(&mut self) {
        let gaps: Vec<u64> = self
            .rows
            .iter()
            .map(|hot| gap(biased(hot.row.commit_time), biased(hot.row.effective_time)))
            .collect();
        let mut from_commit = vec![EFFECTIVE_FROM_COMMIT];
        put_column(&mut from_commit, &gaps);
        let mut chained = vec![EFFECTIVE_CHAINED];
        chained.extend(self.chained(0, |row| biased(row.effective_time)));
        self.out.extend(if from_commit.len() <= chained.len() { from_commit } else { chained });
    }

    fn authored(&mut self) {
        self.column(|_, row| u64::from(row.authored_time.is_some()));
        let of = |hot: &HotRow| {
            hot.row.authored_time.map(|authored| gap(biased(hot.row.effective_time), biased(authored)))
        };
        let gaps: Vec<u64> = self.rows.iter().filter_map(of).collect();
        put_column(&mut self.out, &gaps);
    }

    fn parents(&mut self) {
        let expected: Vec<u64> = (0..self.rows.len())
            .map(|i| {
                let next = self.first.get(i + 1).is_some_and(|first| !first);
                if next { self.rows[i + 1].row.number } else { self.rows[i].row.number - 1 }
            })
            .collect();
        self.column(|i, row| gap(expected[i], row.parent));
    }

    fn contents(&mut self) {
        self.column(|_, row| form(row));
        // A row without content repeats the length before it: no step.
        let mut last = 0;
        let lengths: Vec<u64> = self
            .rows
            .iter()
            .zip(&self.first)
            .map(|(hot, first)| {
                last = match &hot.row.content {
                    Some(content) => u64::from(content.len),
                    None if *first => 0,
                    None => last,
                };
                last
            })
            .collect();
        let (mut firsts, mut steps) = (Vec::new(), Vec::new());
        for (i, length) in lengths.iter().enumerate() {
            if self.first[i] { firsts.push(*length) } else { steps.push(gap(lengths[i - 1], *length)) }
        }
        put_column(&mut self.out, &firsts);
        put_column(&mut self.out, &steps);
        let elsewhere = || {
            self.rows
                .iter()
                .filter(|hot| form(&hot.row) == ELSEWHERE)
                .filter_map(|hot| Some((hot.row.sequence, hot.row.content?.address)))
        };
        let distances: Vec<u64> =
            elsewhere().map(|(sequence, address)| gap(sequence, address.sequence)).collect();
        let slots: Vec<u64> = elsewhere().map(|(_, address)| u64::from(address.slot)).collect();
        put_column(&mut self.out, &distances);
        put_column(&mut self.out, &slots);
        for content in self.rows.iter().filter_map(|hot| hot.row.content) {
            put_u64(&mut self.out, content.tag);
        }
    }
}

pub(super) const NONE: u64 = 0;
pub(super) const OWN: u64 = 1;
pub(super) const ELSEWHERE: u64 = 2;

fn form(row: &Row) -> u64 {
    match row.content {
        None => NONE,
        Some(content) if content.address == (Address { sequence: row.sequence, slot: 0 }) => OWN,
        Some(_) => ELSEWHERE,
    }
}

/// Encodes rows, newest first within each run. Number, sequence and both times never rise within a run, and numbers are above 0.
pub(super) fn encode_hot(rows: &[HotRow]) -> Vec<u8> {
    let first: Vec<bool> = rows.iter().enumerate().map(|(i, row)| i == 0 || row.starts_run).collect();
    let mut runs: Vec<u64> = Vec::new();
    for first in &first {
        match runs.last_mut() {
            Some(last) if !first => *last += 1,
            _ => runs.push(1),
        }
    }
    let mut encoder = Encoder { rows, first, out: Vec::with_capacity(rows.len() * 20) };
    put_varint(&mut encoder.out, rows.len() as u64);
    put_varint(&mut encoder.out, runs.len() as u64);
    put_column(&mut encoder.out, &runs);
    let numbers = encoder.chained(1, |row| row.number);
    let sequences = encoder.chained(1, |row| row.sequence);
    let commits = encoder.chained(0, |row| biased(row.commit_time));
    encoder.out.extend(numbers);
    encoder.out.extend(sequences);
    encoder.column(|_, row| u64::from(row.commit_rest));
    encoder.out.extend(commits);
    encoder.effective();
    encoder.authored();
    encoder.parents();
    encoder.column(|_, row| row.kind as u64);
    encoder.column(|_, row| u64::from(row.flags.0));
    encoder.contents();
    encoder.out
}
