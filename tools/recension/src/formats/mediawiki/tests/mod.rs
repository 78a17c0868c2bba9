use super::*;
use crate::formats::{Body, Fatal, Input, Options, ReadError, Record, RecordReader, Reject};

mod bounds;
mod reader;
mod writer;

const HOSTILE: &[u8] = include_bytes!("../../../../../../tests/data/hostile.xml");

fn reader(xml: impl Into<Vec<u8>>, options: Options) -> Reader {
    Reader::new(Input::from_bytes("some.xml", xml).unwrap(), options)
}

/// Records and rejects, and how it ended.
fn all(reader: &mut Reader) -> (Vec<Result<Record, Reject>>, Option<Fatal>) {
    let mut out = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(record)) => out.push(Ok(record)),
            Ok(None) => return (out, None),
            Err(ReadError::Reject(reject)) => out.push(Err(reject)),
            Err(ReadError::Fatal(fatal)) => return (out, Some(fatal)),
        }
    }
}

fn records(xml: impl Into<Vec<u8>>) -> Vec<Record> {
    let (read, fatal) = all(&mut reader(xml, Options::default()));
    assert!(fatal.is_none(), "{}", fatal.unwrap());
    read.into_iter().map(|record| record.unwrap_or_else(|reject| panic!("{reject}"))).collect()
}

fn hostile() -> (Vec<Result<Record, Reject>>, Reader) {
    let mut reader = reader(HOSTILE, Options::default());
    let (read, fatal) = all(&mut reader);
    assert!(fatal.is_none(), "{}", fatal.unwrap());
    (read, reader)
}

fn accepted() -> Vec<Record> {
    hostile().0.into_iter().filter_map(Result::ok).collect()
}

fn by_id(id: u64) -> Record {
    accepted().into_iter().find(|record| record.origin_id == Some(id)).unwrap()
}

fn content(text: &str) -> Body {
    Body::Content(text.as_bytes().to_vec())
}

const ORDER: &str = "Order & \"quotes\" 'é' 頁";
