//! What the tests of tables share: a file in memory, rows by a seed, a model to compare with.

mod blocks;
mod columns;
mod damage;
pub(in crate::index) mod golden;
mod look_up;
mod refused;
mod size;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::*;
use crate::Result;
use crate::cache::Cache;
use crate::codec::{FILE_HEADER_LEN, FileHeader, FileId, FileKind};
use crate::env::File;
use crate::index::{EntityRange, Order, Source, entity_hash};
use crate::limits::Limits;
use crate::manifest::TableInfo;
use crate::model::{Address, Bound, ContentRef, Fields, Flags, RevisionKind, Row};

/// A file in memory.
#[derive(Default)]
pub(in crate::index) struct MemFile(Mutex<Vec<u8>>);

impl MemFile {
    pub(in crate::index) fn with(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self(Mutex::new(bytes.to_vec())))
    }

    pub(in crate::index) fn bytes(&self) -> Vec<u8> {
        self.0.lock().clone()
    }
}

impl File for MemFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock();
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.0.lock();
        let end = offset as usize + buf.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[offset as usize..end].copy_from_slice(buf);
        Ok(buf.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().resize(len as usize, 0);
        Ok(())
    }

    fn allocate(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, len: u64) -> io::Result<Bytes> {
        Ok(Bytes::copy_from_slice(&self.0.lock()[..len as usize]))
    }

    fn link_count(&self) -> io::Result<u64> {
        Ok(1)
    }
}

pub(in crate::index) const STORE: [u8; 16] = *b"store-of-a-test!";
const ID: FileId = FileId { epoch: 1, number: 42 };

pub(in crate::index) fn header(kind: FileKind) -> FileHeader {
    FileHeader { kind, version: 1, header_len: FILE_HEADER_LEN as u32, store: STORE, id: ID }
}

/// Entities with their rows, newest first.
type Model = BTreeMap<Vec<u8>, Vec<Row>>;

/// A small generator of numbers, so that a seed means the same table for ever.
pub(in crate::index) struct Numbers(pub(in crate::index) u64);

impl Numbers {
    pub(in crate::index) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        xxhash_rust::xxh3::xxh3_64(&self.0.to_le_bytes())
    }

    pub(in crate::index) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Entities of 1 to `rows_max` rows each, with commits of several changes, tombstones, reuses, foreign numbers, odd times.
fn model(seed: u64, entities: u64, rows_max: u64) -> Model {
    let mut numbers = Numbers(seed);
    let mut model = Model::new();
    let names: Vec<_> =
        (0..entities).map(|i| format!("{}{i:03}", ["Q", "Talk:", "t/", "Q"][(i % 4) as usize])).collect();
    let mut left: Vec<_> = names.iter().map(|name| (name, 1 + numbers.below(rows_max))).collect();
    let (mut sequence, mut commit_time, mut rest) = (numbers.below(1000), 1_700_000_000_000_000, 0_u64);
    while !left.is_empty() {
        let pick = numbers.below(left.len() as u64) as usize;
        let (name, rows) = &mut left[pick];
        *rows -= 1;
        let run = model.entry(name.as_bytes().to_vec()).or_default();
        if rest == 0 {
            sequence += numbers.below(3);
            commit_time += numbers.below(5) as i64 * 250_000;
            rest = [0, 0, 0, 1, 4][numbers.below(5) as usize];
        } else {
            rest -= 1;
        }
        sequence += 1;
        run.insert(0, row(&mut numbers, run.first(), sequence, rest as u32, commit_time));
        if *rows == 0 {
            left.remove(pick);
        }
    }
    model
}

fn row(numbers: &mut Numbers, older: Option<&Row>, sequence: u64, commit_rest: u32, commit_time: i64) -> Row {
    let last = older.map_or(0, |row| row.number);
    let authored_time = match numbers.below(4) {
        0 => None,
        1 => Some(commit_time - numbers.below(1 << 40) as i64),
        2 => Some(i64::MIN + numbers.below(9) as i64),
        _ => Some(commit_time),
    };
    let effective_time =
        authored_time.unwrap_or(commit_time).max(older.map_or(i64::MIN, |row| row.effective_time));
    let kind = if numbers.below(8) == 0 { RevisionKind::Delete } else { RevisionKind::Put };
    let reused = older.and_then(|older| older.content).filter(|_| numbers.below(5) == 0);
    let own = ContentRef {
        address: Address { sequence, slot: [0, 0, 0, 7][numbers.below(4) as usize] },
        len: numbers.below(100_000) as u32,
        tag: numbers.next(),
    };
    let fields = Fields {
        author: (numbers.below(3) > 0).then(|| format!("author {}", numbers.below(5)).into()),
        comment: (numbers.below(2) > 0).then(|| "changed ".repeat(numbers.below(6) as usize).into()),
        unknown: if numbers.below(6) == 0 { vec![(99, Bytes::from_static(b"new"))] } else { vec![] },
        ..Fields::default()
    };
    Row {
        number: last + if numbers.below(4) == 0 { 1 + numbers.below(1 << 33) } else { 1 },
        parent: if numbers.below(5) == 0 { numbers.below(last + 1) } else { last },
        sequence,
        commit_rest,
        commit_time,
        authored_time,
        effective_time,
        kind,
        flags: Flags(if numbers.below(3) == 0 { numbers.next() as u16 } else { 0 }),
        content: (kind == RevisionKind::Put).then(|| reused.unwrap_or(own)),
        cold: fields.encode().into(),
    }
}

fn options(level: u8) -> TableOptions {
    TableOptions::for_level(0, level)
}

fn try_build(model: &Model, limits: Limits, options: TableOptions) -> Result<(Arc<MemFile>, TableInfo)> {
    let file = MemFile::with(&[]);
    let head = header(FileKind::RevisionTable);
    let mut builder = RevisionTableBuilder::new(file.clone(), Path::new("t"), head, limits, options)?;
    for (entity, rows) in model {
        builder.start_entity(entity)?;
        for row in rows {
            builder.add_row(row)?;
        }
    }
    Ok((file, builder.finish()?))
}

fn build(model: &Model, limits: Limits) -> (Arc<MemFile>, TableInfo) {
    try_build(model, limits, options(1)).unwrap()
}

fn open(file: Arc<dyn File>, info: &TableInfo, access: TableAccess) -> Result<Arc<RevisionTable>> {
    RevisionTable::open(file, Path::new("t"), info, &STORE, Arc::new(Cache::new(1 << 20)), access)
}

/// What a cursor gives, compared with the model's stated facts on the way.
fn walk(table: &Arc<RevisionTable>, range: &EntityRange, order: Order) -> Result<Vec<(Vec<u8>, Vec<Row>)>> {
    let mut cursor = table.clone().runs(range, order);
    let mut all = Vec::new();
    while let Some(info) = cursor.next_run()? {
        let mut rows = Vec::new();
        while let Some(row) = cursor.next_row()? {
            rows.push(row);
        }
        let (newest, oldest) = (rows.first().unwrap(), rows.last().unwrap());
        assert_eq!(info.rows, rows.len() as u64);
        assert_eq!((info.number_last, info.sequence_last), (newest.number, newest.sequence));
        assert_eq!((info.number_first, info.sequence_first), (oldest.number, oldest.sequence));
        all.push((info.entity.as_bytes().to_vec(), rows));
    }
    assert!(cursor.next_run()?.is_none());
    assert!(cursor.next_row()?.is_none());
    Ok(all)
}

/// Everything there is to read, by every way of reading it; compared with the model.
fn read_all(table: &Arc<RevisionTable>, model: &Model) -> Result<()> {
    let ascending = walk(table, &EntityRange::default(), Order::Ascending)?;
    assert_eq!(ascending, model.clone().into_iter().collect::<Vec<_>>());
    for (entity, rows) in model {
        let found = table.find(entity, entity_hash(entity), &Bound::ALL)?;
        assert_eq!(found.as_ref(), rows.first());
        let walked: Result<Vec<_>> = table.clone().rows(entity, &Bound::ALL, Order::Descending).collect();
        assert_eq!(&walked?, rows);
    }
    Ok(())
}
