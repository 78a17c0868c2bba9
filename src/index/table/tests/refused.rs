use super::*;
use crate::ErrorKind;

fn builder() -> RevisionTableBuilder {
    let head = header(FileKind::RevisionTable);
    RevisionTableBuilder::new(MemFile::with(&[]), Path::new("t"), head, Limits::TINY, options(0)).unwrap()
}

fn rows() -> Vec<Row> {
    model(3, 1, 1).into_values().next().unwrap()
}

fn invalid<T>(result: Result<T>) {
    assert_eq!(result.err().map(|error| error.kind()), Some(ErrorKind::Invalid));
}

#[test]
fn entities_must_ascend_and_have_rows() {
    let mut builder = builder();
    invalid(builder.add_row(&rows()[0]));
    invalid(builder.start_entity(b""));
    invalid(builder.start_entity(&[1; 513]));
    builder.start_entity(b"b").unwrap();
    builder.add_row(&rows()[0]).unwrap();
    invalid(builder.start_entity(b"b"));
    let mut builder = self::builder();
    builder.start_entity(b"b").unwrap();
    invalid(builder.start_entity(b"c"));
    invalid(self::builder().finish().map(|_| ()));
}

#[test]
fn rows_must_go_back_in_every_order() {
    let newest = Row { number: 10, sequence: 50, commit_rest: 3, ..rows()[0].clone() };
    let older = Row { number: 9, sequence: 49, commit_rest: 4, ..newest.clone() };
    let bad = [
        Row { number: 10, ..older.clone() },
        Row { sequence: 50, ..older.clone() },
        Row { commit_rest: 5, ..older.clone() },
        Row { commit_time: newest.commit_time + 1, ..older.clone() },
        Row { effective_time: newest.effective_time + 1, ..older.clone() },
        Row { number: 0, ..older.clone() },
        Row { sequence: 0, ..older.clone() },
        Row { cold: Bytes::from(vec![0; crate::limits::FIELDS_LEN_MAX + 1]), ..older.clone() },
    ];
    for bad in bad {
        let mut builder = builder();
        builder.start_entity(b"a").unwrap();
        builder.add_row(&newest).unwrap();
        invalid(builder.add_row(&bad));
    }
    let mut builder = builder();
    builder.start_entity(b"a").unwrap();
    builder.add_row(&newest).unwrap();
    builder.add_row(&older).unwrap();
    let info = builder.finish().unwrap();
    assert_eq!((info.rows, info.entities, info.sequence_first, info.sequence_last), (2, 1, 49, 50));
}

#[test]
fn headers_and_limits_of_something_else_are_refused() {
    let new = |head, limits| {
        RevisionTableBuilder::new(MemFile::with(&[]), Path::new("t"), head, limits, options(0)).map(|_| ())
    };
    invalid(new(header(FileKind::PlainTable), Limits::TINY));
    let head = header(FileKind::RevisionTable);
    invalid(new(FileHeader { version: 2, ..head }, Limits::TINY));
    invalid(new(head, Limits { block_rows: 0, ..Limits::TINY }));
}

#[test]
fn the_builder_knows_how_large_the_file_will_be() {
    let model = model(4, 200, 20);
    let file = MemFile::with(&[]);
    let head = header(FileKind::RevisionTable);
    let mut builder =
        RevisionTableBuilder::new(file.clone(), Path::new("t"), head, Limits::PRODUCTION, options(1))
            .unwrap();
    let mut last = builder.bytes();
    for (entity, rows) in &model {
        builder.start_entity(entity).unwrap();
        rows.iter().for_each(|row| builder.add_row(row).unwrap());
        assert!(builder.bytes() > 0);
        last = builder.bytes();
    }
    let len = builder.finish().unwrap().len;
    assert_eq!(len, file.len().unwrap());
    assert!(last > len / 2 && last < len * 2, "{last} {len}");
}
