//! A state as the list of edits that makes it.

use super::edit::Edit;
use super::state::State;

/// The edits that turn an empty state of the same store into this one. The same state gives the same list.
pub(super) fn edits(state: &State) -> Vec<Edit> {
    let mut edits = vec![
        Edit::NextFile(state.next_file),
        Edit::Epoch(state.epoch),
        Edit::SetPromise { file: state.promise.0, offset: state.promise.1, sequence: state.promise_sequence },
    ];
    // One that nobody gave is none, here as there.
    if state.incarnation != 0 {
        edits.insert(2, Edit::Incarnation(state.incarnation));
    }
    let flushed = state.flushed.iter();
    edits.extend(flushed.map(|(&keyspace, &sequence)| Edit::SetFlushed { keyspace, sequence }));
    edits.extend(state.value_files.values().cloned().map(Edit::AddValueFile));
    edits.extend(state.packed_end.map(Edit::SetPackedEnd));
    edits.extend(state.tables.values().cloned().map(Edit::AddTable));
    edits.extend(state.intents.iter().map(|(&id, &kind)| Edit::Intent { id, kind }));
    edits.extend(state.obsolete.iter().map(|(&id, &kind)| Edit::Obsolete { id, kind }));
    edits.extend(state.holders.iter().cloned().map(Edit::AddHolder));
    let options = state.options.iter();
    edits.extend(options.map(|(key, value)| Edit::SetOption { key: key.clone(), value: value.clone() }));
    edits.extend(state.kept.iter().map(|(tag, body)| Edit::Unknown { tag: *tag, body: body.clone() }));
    edits
}

/// The payload of a frame.
pub(super) fn payload(edits: &[Edit]) -> Vec<u8> {
    let mut out = Vec::new();
    for edit in edits {
        edit.encode(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_that_nobody_gave_is_not_written() {
        let given = |incarnation| {
            let edits = edits(&State { incarnation, ..State::default() });
            edits.into_iter().filter(|edit| matches!(edit, Edit::Incarnation(_))).count()
        };
        assert_eq!((given(0), given(7)), (0, 1));
    }
}
