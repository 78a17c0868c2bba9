#![allow(clippy::disallowed_methods, reason = "golden files are read and written outside the engine")]

use super::*;

/// Compares with the file in the tree; writes it with `RECENSION_BLESS=1`.
pub(in crate::index) fn compare(name: &str, bytes: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("RECENSION_BLESS").is_some() {
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap();
    assert!(golden == bytes, "{} differs: the format has changed", path.display());
}

#[test]
fn a_table_is_written_byte_for_byte_as_ever() {
    let model = model(1, 12, 12);
    // Compressed blocks would tie the file to one libzstd: those of level 0 (lz4) are enough, and most are stored raw.
    let (file, info) = try_build(&model, Limits::TINY, options(0)).unwrap();
    compare("revision-table-v1.bin", &file.bytes());
    let table = open(file, &info, TableAccess::Read).unwrap();
    read_all(&table, &model).unwrap();
}
