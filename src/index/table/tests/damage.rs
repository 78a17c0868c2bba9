use super::*;
use crate::{Error, ErrorKind};

/// Opens and reads everything there is.
fn read(bytes: &[u8], info: &TableInfo, model: &Model) -> Result<()> {
    let table = open(MemFile::with(bytes), info, TableAccess::Read)?;
    read_all(&table, model)
}

fn typed(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported)
}

fn small() -> (Model, Vec<u8>, TableInfo) {
    let model = model(12, 5, 6);
    let (file, info) = build(&model, Limits { block_rows: 6, block_bytes: 60, ..Limits::TINY });
    (model, file.bytes(), info)
}

#[test]
fn a_table_torn_at_any_byte_does_not_open() {
    let (model, bytes, info) = small();
    for cut in 0..bytes.len() {
        let error = read(&bytes[..cut], &info, &model).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {cut}");
        // Also if the manifest believes in the short length.
        let short = TableInfo { len: cut as u64, ..info.clone() };
        assert!(typed(&read(&bytes[..cut], &short, &model).unwrap_err()), "cut at {cut}");
        // Or the rest of the file is zeros, as after a lost write.
        let mut zeros = bytes[..cut].to_vec();
        zeros.resize(bytes.len(), 0);
        if zeros != bytes {
            assert!(typed(&read(&zeros, &info, &model).unwrap_err()), "zeros from {cut}");
        }
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
            let error = table.verify(VerifyHash::Skip, &mut |_| Ok(())).expect_err("a flipped bit passed");
            assert!(typed(&error), "bit {bit}: {error}");
        }
    }
}

#[test]
fn blocks_that_changed_places_are_noticed() {
    let (model, bytes, info) = small();
    let table = open(MemFile::with(&bytes), &info, TableAccess::Read).unwrap();
    let layout = table.layout().unwrap();
    let (a, b) = (layout.hot[0].at, layout.hot[1].at);
    let mut moved = bytes.clone();
    let n = a.len.min(b.len) as usize;
    moved.copy_within(b.offset as usize..b.offset as usize + n, a.offset as usize);
    assert!(read(&moved, &info, &model).is_err());
}

#[test]
fn damage_names_the_file_the_place_and_the_entities() {
    let (_, mut bytes, info) = small();
    let table = open(MemFile::with(&bytes), &info, TableAccess::Read).unwrap();
    let at = table.layout().unwrap().hot[1].at;
    bytes[at.offset as usize + 30] ^= 1;
    let table = open(MemFile::with(&bytes), &info, TableAccess::Read).unwrap();
    let Error::Corrupt(found) = table.verify(VerifyHash::Skip, &mut |_| Ok(())).unwrap_err() else {
        panic!()
    };
    assert_eq!(found.path, Path::new("t"));
    assert_eq!(found.offset, at.offset + 16);
    assert!(found.affected.starts_with("entities from "), "{}", found.affected);
    assert!(found.expected.contains("checksum"), "{}", found.expected);
}

#[test]
fn a_walk_that_fails_goes_on_failing_and_an_iterator_ends() {
    let (model, mut bytes, info) = small();
    let table = open(MemFile::with(&bytes), &info, TableAccess::Read).unwrap();
    let at = table.layout().unwrap().entities[1].at;
    bytes[at.offset as usize + 30] ^= 1;
    let table = open(MemFile::with(&bytes), &info, TableAccess::Read).unwrap();
    let mut cursor = table.clone().runs(&EntityRange::default(), Order::Ascending);
    let mut good = 0;
    while let Ok(run) = cursor.next_run() {
        run.expect("an end was taken for an error");
        good += 1;
    }
    assert!(good < model.len());
    assert!(cursor.next_run().is_err() && cursor.next_row().is_err() && cursor.find(&Bound::ALL).is_err());
    let hidden = model.keys().find(|entity| table.find(entity, entity_hash(entity), &Bound::ALL).is_err());
    let mut rows = table.clone().rows(hidden.unwrap(), &Bound::ALL, Order::Ascending);
    assert!(rows.next().unwrap().is_err());
    assert!(rows.next().is_none());
}

#[test]
fn a_table_of_another_store_file_or_content_is_refused() {
    let (model, bytes, info) = small();
    let file = || MemFile::with(&bytes);
    let cache = || Arc::new(Cache::new(0));
    let access = TableAccess::Read;
    let other = RevisionTable::open(file(), Path::new("t"), &info, &[0; 16], cache(), access);
    assert_eq!(other.unwrap_err().kind(), ErrorKind::Corrupt);
    let wrong = [
        TableInfo { id: FileId { epoch: 1, number: 43 }, ..info.clone() },
        TableInfo { rows: info.rows + 1, ..info.clone() },
        TableInfo { last: Bytes::from_static(b"zz"), ..info.clone() },
        TableInfo { keyspace: 1, ..info.clone() },
    ];
    for wrong in wrong {
        assert_eq!(read(&bytes, &wrong, &model).unwrap_err().kind(), ErrorKind::Corrupt);
    }
    let hash = TableInfo { blake3: [0; 32], ..info.clone() };
    let table = open(file(), &hash, access).unwrap();
    assert!(table.verify(VerifyHash::Skip, &mut |_| Ok(())).is_ok());
    assert!(table.verify(VerifyHash::Compare, &mut |_| Ok(())).is_err());
    let stopped = table.verify(VerifyHash::Skip, &mut |_| Err(Error::Cancelled));
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn a_table_describes_itself_as_the_manifest_does_and_a_damaged_one_does_not() {
    let (_, mut bytes, info) = small();
    let (head, found) = describe_table(MemFile::with(&bytes), Path::new("t")).unwrap();
    assert_eq!(head, header(FileKind::RevisionTable));
    assert_eq!(found, TableInfo { level: 0, ..info });
    let end = bytes.len() - 70;
    bytes[end] ^= 1;
    for cut in [0, 63, 64, 127, 128, bytes.len() - 1, bytes.len()] {
        assert!(typed(&describe_table(MemFile::with(&bytes[..cut]), Path::new("t")).unwrap_err()), "{cut}");
    }
}
