use super::*;
use crate::ErrorKind;

fn read(bytes: &[u8], info: &TableInfo, model: &Model) -> Result<()> {
    read_all(&open(MemFile::with(bytes), info, TableAccess::Read)?, model)
}

fn typed(error: &crate::Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported)
}

fn small() -> (Model, Vec<u8>, TableInfo) {
    let model = model(3, 30);
    let (file, info) = build(&model, Limits::TINY, Hashes::All);
    (model, file.bytes(), info)
}

#[test]
fn a_plain_table_torn_at_any_byte_does_not_open() {
    let (model, bytes, info) = small();
    for cut in 0..bytes.len() {
        assert!(typed(&read(&bytes[..cut], &info, &model).unwrap_err()), "cut at {cut}");
        let short = TableInfo { len: cut as u64, ..info.clone() };
        assert!(typed(&read(&bytes[..cut], &short, &model).unwrap_err()), "cut at {cut}");
    }
}

#[test]
fn any_flipped_bit_is_noticed_by_reading_and_by_verifying() {
    let (model, bytes, info) = small();
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let error = read(&bad, &info, &model).expect_err("a flipped bit passed");
        assert!(typed(&error), "bit {bit}: {error}");
        if let Ok(table) = open(MemFile::with(&bad), &info, TableAccess::Map) {
            let error = verify(&table, VerifyHash::Skip).expect_err("a flipped bit passed");
            assert!(typed(&error), "bit {bit}: {error}");
        }
    }
}

#[test]
fn a_scan_over_damage_gives_an_error_and_ends() {
    let (model, mut bytes, info) = small();
    bytes[80] ^= 1;
    let table = open(MemFile::with(&bytes), &info, TableAccess::Read).unwrap();
    let mut scan = table.clone().range(&EntityRange::default(), Order::Descending);
    let good = scan.by_ref().take_while(Result::is_ok).count();
    assert!(good > 0 && good < model.len());
    assert!(scan.next().is_none());
    let crate::Error::Corrupt(found) = table.get(model.keys().next().unwrap(), None).unwrap_err() else {
        panic!()
    };
    assert_eq!((found.path.as_path(), found.offset), (Path::new("k"), 64 + 16));
    assert!(found.affected.starts_with("keys from Q0/"), "{}", found.affected);
}

#[test]
fn a_table_of_another_kind_or_content_is_refused() {
    let (model, bytes, info) = small();
    for wrong in [TableInfo { rows: 1, ..info.clone() }, TableInfo { sequence_last: 1, ..info.clone() }] {
        assert_eq!(read(&bytes, &wrong, &model).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let as_rows = crate::index::table::RevisionTable::open(
        MemFile::with(&bytes),
        Path::new("k"),
        &info,
        &STORE,
        Arc::new(Cache::new(0)),
        TableAccess::Read,
    );
    assert_eq!(as_rows.unwrap_err().kind(), ErrorKind::Corrupt);
}
