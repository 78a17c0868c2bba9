//! Edits of a manifest, shown.

use recension::manifest::{Edit, TableInfo, ValueFileInfo};
use recension_cli::entity::shown;
use recension_cli::output::{Object, size};

/// An edit in a few words.
pub fn edit_text(edit: &Edit) -> String {
    match edit {
        Edit::AddTable(table) => format!("add {}", table_text(table)),
        Edit::RemoveTable { keyspace, id } => format!("remove table {} of keyspace {keyspace}", id.number),
        Edit::MoveTable { keyspace, id, level } => {
            format!("move table {} of keyspace {keyspace} to level {level}", id.number)
        }
        Edit::AddValueFile(file) => format!("add {}", value_file_text(file)),
        Edit::RemoveValueFile(id) => format!("remove value file {}", id.number),
        Edit::SetLive { id, live_bytes } => {
            format!("value file {} has {} live", id.number, size(*live_bytes))
        }
        Edit::SetFlushed { keyspace, sequence } => {
            format!("keyspace {keyspace} flushed up to change {sequence}")
        }
        Edit::SetPromise { file, offset, sequence } => {
            format!("log durable up to file {file} byte {offset}, change {sequence}")
        }
        Edit::NextFile(number) => format!("file numbers below {number} are reserved"),
        Edit::Intent { id, kind } => format!("announce {}", id.file_name(*kind)),
        Edit::IntentDone(id) => format!("file {} given up", id.number),
        Edit::Obsolete { id, kind } => format!("{} is obsolete", id.file_name(*kind)),
        Edit::Deleted(id) => format!("file {} is deleted", id.number),
        Edit::Incarnation(n) => format!("incarnation {n}"),
        Edit::Epoch(n) => format!("epoch {n}"),
        Edit::AddHolder(holder) => format!("checkpoint at {} up to change {}", holder.path, holder.sequence),
        Edit::RemoveHolder { path } => format!("no checkpoint at {path} any more"),
        Edit::SetOption { key, value } => format!("{key} = {}", shown(value)),
        Edit::SetPackedEnd(end) => format!(
            "the log goes on behind segment {}, which became a pack: {} bytes, up to change {}",
            end.id.number, end.len, end.sequence
        ),
        other => format!("{other:?}"),
    }
}

/// Up to which change a file leaves out what is forgotten.
fn erased_text(up_to: u64) -> String {
    if up_to == 0 { String::new() } else { format!(", erased up to change {up_to}") }
}

/// A table in a few words.
pub fn table_text(table: &TableInfo) -> String {
    let erased = erased_text(table.erased_up_to);
    format!(
        "table {} keyspace {} level {}: {} rows of {} entities, {} to {}, changes {} to {}, {}{erased}",
        table.id.number,
        table.keyspace,
        table.level,
        table.rows,
        table.entities,
        shown(&table.first),
        shown(&table.last),
        table.sequence_first,
        table.sequence_last,
        size(table.len)
    )
}

/// A value file in a few words.
pub fn value_file_text(file: &ValueFileInfo) -> String {
    let erased = erased_text(file.annotation_watermark);
    format!(
        "{} {}: changes {} to {}, {}, contents {} raw {} stored {} live{erased}",
        crate::file::kind_name(Some(file.kind)),
        file.id.number,
        file.sequence_first,
        file.sequence_last,
        size(file.len),
        size(file.raw_bytes),
        size(file.stored_bytes),
        size(file.live_bytes)
    )
}

/// An edit in its object.
pub fn edit_into(said: &mut Object, edit: &Edit) {
    let debug = format!("{edit:?}");
    let name: String = debug.chars().take_while(|c| c.is_alphanumeric()).collect();
    said.text("edit", &name).text("text", &edit_text(edit));
    match edit {
        Edit::AddTable(table) => {
            said.number("file", table.id.number).number("keyspace", u64::from(table.keyspace));
            said.number("level", u64::from(table.level)).number("len", table.len).number("rows", table.rows);
            said.bytes("first", &table.first).bytes("last", &table.last);
            said.number("sequence_first", table.sequence_first).number("sequence_last", table.sequence_last);
            said.number("erased_up_to", table.erased_up_to);
        }
        Edit::AddValueFile(file) => {
            said.number("file", file.id.number).number("len", file.len);
            said.number("sequence_first", file.sequence_first).number("sequence_last", file.sequence_last);
            said.number("raw_bytes", file.raw_bytes).number("stored_bytes", file.stored_bytes);
            said.number("live_bytes", file.live_bytes).number("erased_up_to", file.annotation_watermark);
        }
        Edit::RemoveTable { id, .. }
        | Edit::MoveTable { id, .. }
        | Edit::SetLive { id, .. }
        | Edit::Intent { id, .. }
        | Edit::Obsolete { id, .. }
        | Edit::RemoveValueFile(id)
        | Edit::IntentDone(id)
        | Edit::Deleted(id) => {
            said.number("file", id.number);
        }
        Edit::SetFlushed { sequence, .. } => {
            said.number("sequence", *sequence);
        }
        _ => {}
    }
}
