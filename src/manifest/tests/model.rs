//! Random edits: the state that is read back is the one that was committed.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Segment(u64),
    Table(u8),
    Compact(u8),
    RemoveTable(prop::sample::Index),
    Live(prop::sample::Index, u64),
    Announce(usize),
    GiveUp(prop::sample::Index),
    Option(u8, Vec<u8>),
    Holder(u8, i64),
    Promise(u64),
    Kept(u8, Vec<u8>),
    Epoch,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<prop::sample::Index>;
    let bytes = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        4 => (1_u64..50).prop_map(Step::Segment),
        4 => any::<u8>().prop_map(Step::Table),
        2 => any::<u8>().prop_map(Step::Compact),
        1 => index().prop_map(Step::RemoveTable),
        1 => (index(), 0..4000_u64).prop_map(|(i, n)| Step::Live(i, n)),
        1 => (0_usize..4).prop_map(Step::Announce),
        1 => index().prop_map(Step::GiveUp),
        2 => (0_u8..6, bytes()).prop_map(|(key, value)| Step::Option(key, value)),
        1 => (0_u8..3, any::<i64>()).prop_map(|(path, made)| Step::Holder(path, made)),
        1 => (0_u64..1000).prop_map(Step::Promise),
        1 => (0x10_u8..0x40, bytes()).prop_map(|(tag, body)| Step::Kept(tag, body)),
        1 => Just(Step::Epoch),
        2 => Just(Step::Reopen),
    ]
}

fn edits(manifest: &Manifest, step: Step) -> Vec<Edit> {
    let state = manifest.state();
    let flushed_to = state.flushed.get(&0).copied().unwrap_or(0);
    let tables: Vec<_> = state.tables.values().cloned().collect();
    let remove = |table: &TableInfo| Edit::RemoveTable { keyspace: table.keyspace, id: table.id };
    match step {
        Step::Segment(len) => {
            let last = state.value_files.values().map(|file| file.sequence_last).max().unwrap_or(0);
            let id = manifest.allocate_file().unwrap();
            vec![Edit::AddValueFile(ValueFileInfo { id, ..segment(0, [last + 1, last + len]) })]
        }
        Step::Table(key) => {
            let id = manifest.announce(FileKind::RevisionTable, 1).unwrap()[0];
            let keys = [format!("k{key:03}"), format!("k{:03}", key.saturating_add(30))];
            let new = table(0, 0, [&keys[0], &keys[1]], [flushed_to + 1, flushed_to + 3]);
            vec![Edit::AddTable(TableInfo { id, ..new }), flushed(flushed_to + 3)]
        }
        Step::Compact(_) if tables.is_empty() => vec![],
        Step::Compact(level) => {
            let id = manifest.announce(FileKind::RevisionTable, 1).unwrap()[0];
            let first = tables.iter().map(|table| &table.first).min().unwrap().clone();
            let last = tables.iter().map(|table| &table.last).max().unwrap().clone();
            let sequence_first = tables.iter().map(|table| table.sequence_first).min().unwrap();
            let all = TableInfo { id, level: level % 7, first, last, sequence_first, ..tables[0].clone() };
            let all = TableInfo { sequence_last: flushed_to, rows: 1, ..all };
            tables.iter().map(remove).chain([Edit::AddTable(all)]).collect()
        }
        Step::RemoveTable(index) if !tables.is_empty() => vec![remove(index.get(&tables))],
        Step::RemoveTable(_) => vec![],
        Step::Live(index, live_bytes) if !state.value_files.is_empty() => {
            let ids: Vec<_> = state.value_files.keys().copied().collect();
            vec![Edit::SetLive { id: *index.get(&ids), live_bytes }]
        }
        Step::Live(..) => vec![],
        Step::Announce(count) => {
            manifest.announce(FileKind::Pack, count).unwrap();
            vec![]
        }
        Step::GiveUp(index) if !state.intents.is_empty() => {
            let ids: Vec<_> = state.intents.keys().copied().collect();
            vec![Edit::IntentDone(*index.get(&ids))]
        }
        Step::GiveUp(_) => vec![],
        Step::Option(key, value) => vec![Edit::SetOption { key: key.to_string(), value: value.into() }],
        Step::Holder(path, made) => {
            vec![Edit::AddHolder(Holder {
                path: path.to_string(),
                sequence: flushed_to,
                erased_up_to: 0,
                made,
            })]
        }
        Step::Promise(more) => {
            let ((file, offset), sequence) = (state.promise, state.promise_sequence + more % 3);
            vec![Edit::SetPromise { file: file + more % 2, offset: offset + more, sequence }]
        }
        Step::Kept(tag, body) => vec![Edit::Unknown { tag: tag.into(), body: body.into() }],
        Step::Epoch => vec![Edit::Epoch(state.epoch + 1), Edit::Incarnation(state.incarnation ^ 0x55)],
        Step::Reopen => vec![],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_is_read_back(steps in proptest::collection::vec(step(), 1..60)) {
        let disk = Disk::new();
        let mut manifest = create(&disk);
        for step in steps {
            let reopening = matches!(step, Step::Reopen);
            let edits = edits(&manifest, step);
            let state = manifest.commit(edits).unwrap();
            super::super::invariants::check(&state).unwrap();
            if reopening {
                drop(manifest);
                manifest = reopen(&disk);
                prop_assert_eq!(manifest.state(), state);
            }
        }
        let state = manifest.state();
        drop(manifest);
        prop_assert_eq!(reopen(&disk).state(), state);
    }

    #[test]
    fn arbitrary_edits_are_taken_or_refused_but_never_read_back_otherwise(
        numbers in proptest::collection::vec((0_u8..12, 0_u64..12, 0_u64..12, 0_u64..12), 0..40),
    ) {
        let disk = Disk::new();
        let manifest = create(&disk);
        let mut taken = 0;
        for (what, a, b, c) in numbers {
            let keys = [format!("k{a}"), format!("k{b}")];
            let edit = match what {
                0 => Edit::AddTable(table(a, (b % 3) as u8, [&keys[0], &keys[1]], [c, c.max(b)])),
                1 => Edit::RemoveTable { keyspace: 0, id: id(a) },
                2 => Edit::MoveTable { keyspace: 0, id: id(a), level: b as u8 },
                3 => Edit::AddValueFile(segment(a, [b, b.max(c)])),
                4 => Edit::RemoveValueFile(id(a)),
                5 => Edit::SetLive { id: id(a), live_bytes: b * 1000 },
                6 => flushed(a),
                7 => Edit::SetPromise { file: a, offset: b, sequence: c },
                8 => Edit::Intent { id: id(a), kind: FileKind::RevisionTable },
                9 => Edit::IntentDone(id(a)),
                10 => Edit::Deleted(id(a)),
                _ => Edit::NextFile(a * 40),
            };
            match manifest.commit(vec![edit]) {
                Ok(_) => taken += 1,
                Err(error) => prop_assert!(!rule_of(&error).is_empty()),
            }
        }
        let state = manifest.state();
        drop(manifest);
        prop_assert_eq!(reopen(&disk).state(), state, "after {} edits", taken);
    }
}
