//! What a table says of itself, without a manifest: for inspection and repair.

use std::path::Path;
use std::sync::Arc;

use super::input::{Identity, Input, TableAccess};
use crate::Result;
use crate::codec::{FILE_HEADER_LEN, FileHeader};
use crate::env::{File, read_at_most};
use crate::error::IoContext;
use crate::manifest::TableInfo;

/// The header of a table of either kind, and what a manifest would say of it. The level and up to where it is erased are given as 0, since
/// only a manifest knows them; the BLAKE3 is computed, which reads the whole file.
///
/// # Errors
/// `Corrupt` for anything but a whole table, `Unsupported` for a newer format, `Io`.
pub fn describe_table(file: Arc<dyn File>, path: &Path) -> Result<(FileHeader, TableInfo)> {
    let mut head = [0; FILE_HEADER_LEN];
    let n = read_at_most(&*file, &mut head, 0).context("read", path)?;
    let header = FileHeader::decode(path, head.get(..n).unwrap_or_default())?;
    let len = file.len().context("read the length of", path)?;
    let identity = Identity { kind: header.kind, version_max: 1, store: &header.store, id: header.id, len };
    let input = Input::open(file, path, identity, TableAccess::Read)?;
    let properties = input.properties()?;
    let info = TableInfo {
        keyspace: properties.keyspace,
        level: 0,
        id: header.id,
        len,
        blake3: input.hash(&mut |_| Ok(()))?,
        first: properties.first,
        last: properties.last,
        sequence_first: properties.sequence_first,
        sequence_last: properties.sequence_last,
        rows: properties.rows,
        entities: properties.entities,
        erased_up_to: 0,
    };
    Ok((header, info))
}
