//! Plain tables against a model, damaged, and byte for byte.

mod damage;
mod look_up;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::Result;
use crate::cache::Cache;
use crate::codec::FileKind;
use crate::env::File;
use crate::index::table::tests::{MemFile, Numbers, STORE, golden, header};
use crate::index::table::{TableAccess, TableOptions, VerifyHash};
use crate::index::{EntityRange, Order, entity_hash};
use crate::limits::Limits;
use crate::manifest::TableInfo;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Keys as annotations have them (an entity and numbers), and an odd one.
fn model(seed: u64, keys: u64) -> Model {
    let mut numbers = Numbers(seed);
    let mut model: Model = (1..keys)
        .map(|i| {
            let key = [format!("Q{}/", i / 4).as_bytes(), &i.to_be_bytes()].concat();
            (key, vec![numbers.next() as u8; numbers.below(40) as usize])
        })
        .collect();
    model.insert(vec![0xff; 30], b"last".to_vec());
    model
}

#[derive(Clone, Copy, PartialEq)]
enum Hashes {
    All,
    None,
}

fn build(model: &Model, limits: Limits, hashes: Hashes) -> (Arc<MemFile>, TableInfo) {
    let file = MemFile::with(&[]);
    let options = TableOptions::for_level(1, 0);
    let head = header(FileKind::PlainTable);
    let mut builder = PlainTableBuilder::new(file.clone(), Path::new("k"), head, limits, options).unwrap();
    for (key, value) in model {
        builder.add(key, value, (hashes == Hashes::All).then(|| entity_hash(key))).unwrap();
    }
    assert_eq!(builder.rows(), model.len() as u64);
    assert!(builder.bytes() > 64);
    let info = builder.finish(3..=9).unwrap();
    (file, info)
}

fn open(file: Arc<dyn File>, info: &TableInfo, access: TableAccess) -> Result<Arc<PlainTable>> {
    PlainTable::open(file, Path::new("k"), info, &STORE, Arc::new(Cache::new(1 << 20)), access)
}

fn scan(table: &Arc<PlainTable>, range: &EntityRange, order: Order) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    table
        .clone()
        .range(range, order)
        .map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec())))
        .collect()
}

fn verify(table: &PlainTable, hash: VerifyHash) -> Result<()> {
    table.verify(hash, Some(&entity_hash), &mut |_| Ok(()))
}

/// Reads everything there is, by every way of reading it.
fn read_all(table: &Arc<PlainTable>, model: &Model) -> Result<()> {
    let pairs: Vec<_> = model.clone().into_iter().collect();
    assert_eq!(scan(table, &EntityRange::default(), Order::Ascending)?, pairs);
    for (key, value) in model {
        assert_eq!(table.get(key, Some(entity_hash(key)))?.as_deref(), Some(&value[..]));
        assert_eq!(table.get(key, None)?.as_deref(), Some(&value[..]));
    }
    Ok(())
}

#[test]
fn a_plain_table_is_written_byte_for_byte_as_ever() {
    let model = model(1, 60);
    let (file, info) = build(&model, Limits::TINY, Hashes::All);
    golden::compare("plain-table-v1.bin", &file.bytes());
    read_all(&open(file, &info, TableAccess::Read).unwrap(), &model).unwrap();
}
