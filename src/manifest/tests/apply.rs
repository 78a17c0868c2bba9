//! Each rule that can be told from one edit has a commit that breaks it.

use super::*;

fn refused(manifest: &Manifest, edits: Vec<Edit>) -> String {
    let before = manifest.state();
    let rule = rule_of(&manifest.commit(edits).unwrap_err());
    assert!(Arc::ptr_eq(&before, &manifest.state()), "a refused commit changes nothing");
    rule
}

#[test]
fn a_file_number_is_used_once() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let add = |number| Edit::AddValueFile(segment(number, [1, 10]));
    assert_eq!(refused(&manifest, vec![add(0)]), "number-fresh");
    assert_eq!(refused(&manifest, vec![add(1)]), "number-fresh", "the manifest's own number");
    manifest.commit(vec![add(5)]).unwrap();
    let again = Edit::AddTable(table(5, 0, ["a", "b"], [1, 1]));
    assert_eq!(refused(&manifest, vec![flushed(1), again.clone()]), "number-fresh");
    assert_eq!(refused(&manifest, vec![Edit::Intent { id: id(5), kind: FileKind::Pack }]), "number-fresh");
    manifest.commit(vec![Edit::RemoveValueFile(id(5))]).unwrap();
    assert_eq!(refused(&manifest, vec![add(5)]), "number-fresh", "also when it is removed");
    manifest.commit(vec![Edit::Deleted(id(5))]).unwrap();
    assert_eq!(refused(&manifest, vec![add(5)]), "number-fresh", "and deleted");
    let twice = vec![Edit::Intent { id: id(6), kind: FileKind::Pack }; 2];
    assert_eq!(refused(&manifest, twice), "number-fresh");
}

#[test]
fn a_file_number_must_be_reserved() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let next = manifest.state().next_file;
    let add = Edit::AddValueFile(segment(next, [1, 10]));
    assert_eq!(refused(&manifest, vec![add.clone()]), "number-reserved");
    manifest.commit(vec![add, Edit::NextFile(next + 1)]).unwrap();
}

#[test]
fn numbers_and_marks_never_go_back() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let promise = |file, offset| Edit::SetPromise { file, offset, sequence: 7 };
    manifest.commit(vec![flushed(10), promise(5, 100), Edit::Epoch(3)]).unwrap();
    let fewer = Edit::SetPromise { file: 5, offset: 200, sequence: 6 };
    assert_eq!(refused(&manifest, vec![fewer]), "promise-forward");
    assert_eq!(refused(&manifest, vec![Edit::NextFile(2)]), "number-forward");
    assert_eq!(refused(&manifest, vec![Edit::Epoch(2)]), "number-forward");
    assert_eq!(refused(&manifest, vec![Edit::Incarnation(0)]), "number-forward");
    assert_eq!(refused(&manifest, vec![flushed(9)]), "flushed-forward");
    assert_eq!(refused(&manifest, vec![promise(5, 99)]), "promise-forward");
    assert_eq!(refused(&manifest, vec![promise(4, 1000)]), "promise-forward");
    manifest.commit(vec![flushed(10), promise(6, 1), Edit::SetFlushed { keyspace: 1, sequence: 1 }]).unwrap();
}

#[test]
fn what_is_removed_moved_or_finished_must_exist() {
    let disk = Disk::new();
    let manifest = create(&disk);
    for edit in [
        Edit::RemoveTable { keyspace: 0, id: id(5) },
        Edit::MoveTable { keyspace: 0, id: id(5), level: 1 },
        Edit::RemoveValueFile(id(5)),
        Edit::SetLive { id: id(5), live_bytes: 0 },
        Edit::IntentDone(id(5)),
        Edit::Deleted(id(5)),
        Edit::RemoveHolder { path: "/x".into() },
        Edit::Obsolete { id: id(5), kind: FileKind::Pack },
        Edit::Unknown { tag: 0x99, body: Bytes::new() },
    ] {
        assert_eq!(refused(&manifest, vec![edit.clone()]), "exists", "{edit:?}");
    }
}

#[test]
fn a_file_is_installed_as_what_it_was_announced() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let announced = manifest.announce(FileKind::PlainTable, 1).unwrap()[0];
    let table = TableInfo { id: announced, ..table(0, 0, ["a", "b"], [1, 1]) };
    assert_eq!(refused(&manifest, vec![flushed(1), Edit::AddTable(table)]), "kind-fits");
    for kind in [FileKind::Segment, FileKind::Manifest] {
        assert_eq!(refused(&manifest, vec![Edit::Intent { id: id(9), kind }]), "kind-fits");
    }
    let file = ValueFileInfo { kind: FileKind::PlainTable, ..segment(9, [1, 1]) };
    assert_eq!(refused(&manifest, vec![Edit::AddValueFile(file)]), "kind-fits");
}

#[test]
fn sizes_are_limited_and_agree() {
    let disk = Disk::new();
    let manifest = create(&disk);
    manifest.commit(vec![Edit::AddValueFile(segment(5, [1, 10]))]).unwrap();
    let long = "x".repeat(70_000);
    for edit in [
        Edit::SetLive { id: id(5), live_bytes: 4001 },
        Edit::AddHolder(Holder { path: long.clone(), sequence: 0, erased_up_to: 0, made: 0 }),
        Edit::SetOption { key: long.clone(), value: Bytes::from_static(b"x") },
        Edit::SetOption { key: "x".into(), value: long.clone().into() },
        Edit::AddTable(table(6, 0, ["a", &long], [1, 1])),
    ] {
        assert_eq!(refused(&manifest, vec![edit]), "counts");
    }
}

#[test]
fn a_value_file_can_be_given_another_rectangle_in_one_commit() {
    let disk = Disk::new();
    let manifest = create(&disk);
    manifest.commit(vec![Edit::AddValueFile(segment(5, [1, 10]))]).unwrap();
    let smaller = ValueFileInfo { entity_first: Bytes::from_static(b"m\0"), ..segment(5, [1, 10]) };
    let part = Edit::AddValueFile(pack(6, [1, 10], [b"", b"m"]));
    let edits = vec![Edit::RemoveValueFile(id(5)), Edit::AddValueFile(smaller.clone()), part.clone()];
    let state = manifest.commit(edits).unwrap();
    assert_eq!(state.value_files[&id(5)], smaller);
    assert!(state.obsolete.is_empty());
    let other = ValueFileInfo { len: 9999, ..smaller };
    let edits = vec![Edit::RemoveValueFile(id(5)), Edit::AddValueFile(other)];
    assert_eq!(
        refused(&manifest, edits),
        "number-fresh",
        "another file is not the same with another rectangle"
    );
}

#[test]
fn a_checkpoint_at_the_same_path_replaces_the_one_before_and_an_empty_option_removes_it() {
    let disk = Disk::new();
    let manifest = create(&disk);
    let holder = |sequence| Holder { path: "/b".into(), sequence, erased_up_to: 0, made: 5 };
    let option = |value| Edit::SetOption { key: "k".into(), value: Bytes::from_static(value) };
    manifest.commit(vec![Edit::AddHolder(holder(1)), Edit::AddHolder(holder(2)), option(b"v")]).unwrap();
    assert_eq!(manifest.state().holders, [holder(2)]);
    assert_eq!(manifest.state().options["k"], "v");
    let state = manifest.commit(vec![Edit::RemoveHolder { path: "/b".into() }, option(b"")]).unwrap();
    assert!(state.holders.is_empty() && state.options.is_empty());
}
